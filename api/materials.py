"""One's materials: handing in, looking at, taking away."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from domain.materials.materials import Link
from models.material import Material

_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "application/pdf": "pdf"}


class UploadQuery(Input, frozen=True):
    """Which kind of paper it is."""

    paper: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]


class LinkQuery(Input, frozen=True):
    """What the link was opened with."""

    link: Annotated[str, Meta(min_length=10, max_length=100)]


class MaterialView(Output, frozen=True):
    """A paper as we keep it: made anew from what was sent, so that its size is its own."""

    material_id: UUID
    paper: str
    paper_name: str
    status: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    pages: int | None
    created_at: datetime


class MaterialList(Output, frozen=True):
    """A page of materials, newest first."""

    materials: list[MaterialView]
    next_after: UUID | None


class MaterialLink(Output, frozen=True):
    """Where the material is read, by the same reader, until `expires_at`."""

    url: str
    expires_at: datetime


async def upload(call: Call) -> Answer:
    query: UploadQuery = call.query
    material = await call.services.materials.upload(call.caller, query.paper, call.raw)
    return Answer(view(call, material), 201)


async def list_materials(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.materials.of(call.caller.principal, query.after, query.limit)
    views = [view(call, row) for row in rows]
    return Answer(MaterialList(views, views[-1].material_id if len(rows) == query.limit else None))


async def remove(call: Call) -> Answer:
    await call.services.materials.remove(call.caller, call.path["material_id"])
    return Answer(None, 204)


async def link(call: Call) -> Answer:
    material_id = call.path["material_id"]
    made = await call.services.materials.link(call.caller, material_id)
    return Answer(link_view(made, f"/v1/materials/{material_id}/content"), 201)


async def read(call: Call) -> Answer:
    query: LinkQuery = call.query
    return file(*await call.services.materials.read(call.caller, call.path["material_id"], query.link))


def view(call: Call, material: Material) -> MaterialView:
    """A material for its owner."""
    paper = call.services.city.materials.paper(material.kind)
    return MaterialView(
        material.id, material.kind, paper.name if paper else material.kind, material.status, material.media_type,
        material.size_bytes, material.width, material.height, material.pages, material.created_at,
    )  # fmt: skip


def link_view(made: Link, path: str) -> MaterialLink:
    """A link as an address on this host."""
    return MaterialLink(f"{path}?link={made.text}", made.expires_at)


def file(material: Material, content: bytes) -> Answer:
    """The bytes, to be saved and never shown as a page of ours: no browser guesses what they might be, nobody keeps them on the way."""
    name = f"{material.kind}-{material.id.hex[-6:]}.{_SUFFIXES[material.media_type]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(content, 200, "application/octet-stream", headers)
