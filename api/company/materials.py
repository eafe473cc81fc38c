"""The papers of a company's orders, for its system: listed with links of minutes, fetched under its signature."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from api.calls import Answer, Call
from api.company.signed import joined_company, signer
from api.materials import file
from api.texts import Output
from domain.materials.needs import Need
from domain.materials.reading import LinkedPaper, SystemReader


class PaperStanding(Output, frozen=True):
    """A paper that is asked for and was not handed in: what stands for it, or until when it is promised."""

    requirement: str
    paper: str
    state: Literal["waived", "promised", "overdue", "missing"]
    evidence_source: str | None
    known_at: datetime | None
    contested: bool
    promised_for: date | None


class LinkedMaterial(Output, frozen=True):
    """A material of the order. `url`: where its bytes are fetched, by the same company, until `expires_at`; null: it is withheld."""

    requirement: str
    material_id: UUID
    paper: str
    status: str
    media_type: str
    size_bytes: int
    created_at: datetime
    url: str | None
    expires_at: datetime | None


class LinkedMaterials(Output, frozen=True):
    """What the company may read of the application's papers, and what stands for the others."""

    order_id: UUID
    papers: list[LinkedMaterial]
    not_handed_in: list[PaperStanding]


async def list_materials(call: Call) -> Answer:
    company = await joined_company(call)
    order_id = call.path["order_id"]
    papers, needs = await call.services.company_reading.of_order(company.code, order_id)
    return Answer(LinkedMaterials(order_id, [_linked(order_id, one) for one in papers], standings(needs)))


async def read(call: Call) -> Answer:
    company, keyid = await signer(call)
    path, reading = call.path, call.services.company_reading
    reader = SystemReader(company.code, keyid)
    found = await reading.read(reader, path["order_id"], path["material_id"], path["material_link"], call.request_id)
    return file(*found)


def standings(needs: list[Need]) -> list[PaperStanding]:
    """What stands for papers, for those who work an order."""
    return [
        PaperStanding(
            need.requirement.code,
            need.requirement.paper,
            need.state,
            need.evidence.source if need.evidence else None,
            need.evidence.known_at if need.evidence else None,
            need.evidence.contested if need.evidence else False,
            need.due_on,
        )
        for need in needs
        if need.state != "attached"
    ]


def _linked(order_id: UUID, one: LinkedPaper) -> LinkedMaterial:
    material, link = one.paper.material, one.link
    path = f"/company/v1/service-orders/{order_id}/materials/{material.id}"
    return LinkedMaterial(
        one.paper.requirement, material.id, material.kind, material.status, material.media_type, material.size_bytes,
        material.created_at, f"{path}/{link.text}" if link else None, link.expires_at if link else None,
    )  # fmt: skip
