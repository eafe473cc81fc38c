"""The papers of an order, for the staff of its company: listed, and opened for a purpose."""

from typing import Annotated, Literal

from msgspec import Meta

from api.calls import Answer, Call
from api.company.materials import PaperStanding, standings
from api.materials import LinkQuery, MaterialView, file, link_view, view
from api.texts import Input, Output


class OrderMaterial(Output, frozen=True):
    """A material of the order, and which requirement it serves."""

    requirement: str
    material: MaterialView


class OrderMaterials(Output, frozen=True):
    """What the company may read of the application's papers, and what stands for those that were not handed in."""

    papers: list[OrderMaterial]
    not_handed_in: list[PaperStanding]


class MaterialReveal(Input, frozen=True):
    """For which purpose it is read, in words."""

    reading_purpose: Literal["handling", "complaint", "correction", "authority_request"]
    note: Annotated[str, Meta(min_length=4, max_length=120)]


async def list_papers(call: Call) -> Answer:
    found, needs = await call.services.staff_reading.of_order(call.staff, call.path["order_id"])
    papers = [OrderMaterial(one.requirement, view(call, one.material)) for one in found]
    return Answer(OrderMaterials(papers, standings(needs)))


async def link(call: Call) -> Answer:
    body: MaterialReveal = call.body
    order_id, material_id = call.path["order_id"], call.path["material_id"]
    made = await call.services.staff_reading.link(
        call.staff, order_id, material_id, body.reading_purpose, body.note, call.request_id
    )
    return Answer(link_view(made, f"/staff/v1/service-orders/{order_id}/materials/{material_id}/content"), 201)


async def read(call: Call) -> Answer:
    query: LinkQuery = call.query
    return file(
        *await call.services.staff_reading.read(call.staff, call.path["order_id"], call.path["material_id"], query.link)
    )
