"""Telling applicants what became of their applications and of each order: every move that somebody else made, and receipts of his own."""

from typing import Any
from uuid import UUID

from cities.schema import City
from domain.applications.facts import LETTERS
from domain.orders.papers import Papers
from models.application import Application
from models.lifecycle import Event
from models.mandate import agents_of
from models.service_order import ServiceOrder
from notifications.intents import Intents

SERVICE_NAMES = {"water": "用水", "power": "用电", "gas": "用气", "network": "用网"}
assert set(SERVICE_NAMES) == set(LETTERS)

KINDS = {
    "service_order.accepted": "application.accepted",
    "service_order.sent_back": "application.sent_back",
    "service_order.lapsed": "application.lapsed",
    "service_order.refused": "application.refused",
    "service_order.failed": "application.failed",
    "service_order.returned": "application.returned",
    "service_order.redispatched": "application.redispatched",
    "service_order.surveyed": "application.surveyed",
    "service_order.committed": "application.committed",
    "service_order.plan_replied": "application.plan_replied",
    "service_order.constructing": "application.constructing",
    "service_order.faulted": "application.faulted",
    "service_order.rectified": "application.rectified",
    "service_order.inspected": "application.inspected",
    "service_order.connected": "application.connected",
    "service_order.withdrawn": "application.part_withdrawn",
    "service_order.extended": "application.extended",
    "service_order.paused": "application.paused",
    "service_order.resumed": "application.resumed",
}
"""Event of an order → the message to its applicant."""


class ApplicationTelling:
    """Turns what happens to applications into message intents."""

    def __init__(self, city: City, papers: Papers, intents: Intents) -> None:
        self._city = city
        self._papers = papers
        self._intents = intents

    async def filed(self, event: Event) -> None:
        """The applicant has a receipt with the number."""
        application = await Application.get(id=event.subject_id)
        values = {"application_id": str(application.id), "application_number": application.number, "at": event.at}
        await self._tell("application.filed", event, application, values)

    async def order(self, event: Event) -> None:
        """What somebody else did with one order, in the words of its kind."""
        order_id = event.data.get("order_id") or event.subject_id
        order = await ServiceOrder.get(id=UUID(str(order_id)))
        application = await Application.get(id=order.application_id)
        values: dict[str, Any] = {
            "application_id": str(application.id),
            "application_number": application.number,
            "company": self._city.company(order.company).short_name,
            "service": order.service,
            "at": event.at,
        }
        await self._tell(KINDS[event.kind], event, application, values | await self._more(event, order))

    async def _more(self, event: Event, order: ServiceOrder) -> dict[str, Any]:
        match event.kind:
            case "service_order.sent_back":
                return {"ends_on": order.correction_ends_on or event.at.date()}
            case "service_order.refused" | "service_order.failed":
                return {"refusal_reason_of_order": order.reason}
            case "service_order.extended":
                return {"days": str((await self._said(order, "extension"))["days"])}
            case "service_order.committed":
                return {"days": str((await self._said(order, "commitment"))["days"])}
            case "service_order.paused":
                return {"pause_reason": (await self._said(order, "pause"))["reason"]}
        return {}

    async def _said(self, order: ServiceOrder, kind: str) -> dict[str, Any]:
        return await self._papers.last(order.id, kind) or {}

    async def _tell(self, kind: str, event: Event, application: Application, values: dict[str, Any]) -> None:
        for person_id in await applicants(application):
            await self._intents.intend(kind, event.id, person_id, values)


async def applicants(application: Application) -> list[UUID]:
    """Whom an application concerns: the person it belongs to, or those who act for the organization now."""
    if application.organization_id is not None:
        return await agents_of(application.organization_id, application.actor_user_id)
    return [application.person_id]
