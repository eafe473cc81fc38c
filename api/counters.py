"""What a citizen shows at a counter, who acted for him there, and who has looked at what is his."""

from datetime import datetime
from uuid import UUID

from api.calls import Answer, Call
from api.texts import Output, Page
from cities.materials import paper_names


class CounterCodeView(Output, frozen=True):
    """Shown to the clerk, as digits or as a QR code of them; used once."""

    counter_code: str
    expires_at: datetime


class ActingOfMine(Output, frozen=True):
    """Somebody at a counter acted for the caller. `deeds`: what was done, in order."""

    acting_id: UUID
    unit_name: str
    acting_purpose: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    deeds: list[str]


class ActingOfMineList(Output, frozen=True):
    """A page of them, newest first."""

    acting_sessions: list[ActingOfMine]
    next_after: UUID | None


class DisclosureOfMine(Output, frozen=True):
    """Somebody has seen a value of the caller's, of an account he was bound to or of an order of his, in clear.

    `order_number`: of which order; `by_system`: a company's system fetched it.
    """

    disclosure_id: UUID
    at: datetime
    unit_name: str
    subject: str
    field: str
    purpose: str
    order_number: str | None
    paper_name: str | None
    by_system: bool


class DisclosureOfMineList(Output, frozen=True):
    """A page of them, newest first."""

    disclosures: list[DisclosureOfMine]
    next_after: UUID | None


async def new_code(call: Call) -> Answer:
    return Answer(CounterCodeView(*(await call.services.acting.new_code(call.caller))), 201)


async def list_acting(call: Call) -> Answer:
    query: Page = call.query
    acting = call.services.acting
    rows = await acting.of_person(call.caller.person_id, query.after, query.limit)
    views = [
        ActingOfMine(
            row["id"], acting.unit_name(row["unit"]), row["purpose"], row["created_at"], row["expires_at"], row["ended_at"],
            row["ended_by"], row["deeds"],
        )
        for row in rows
    ]  # fmt: skip
    return Answer(ActingOfMineList(views, views[-1].acting_id if len(rows) == query.limit else None))


async def end_acting(call: Call) -> Answer:
    await call.services.acting.end_by_citizen(call.caller.person_id, call.path["acting_id"])
    return Answer(None, 204)


async def list_disclosures(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.desk.disclosures_about(call.caller.person_id, query.after, query.limit)
    names = paper_names(call.services.city.materials)
    views = [
        DisclosureOfMine(
            row["id"],
            row["at"],
            call.services.acting.unit_name(row["unit"]),
            row["subject"],
            row["field"],
            row["purpose"],
            row["order_number"],
            names.get(row["paper"], row["paper"]),
            row["by_system"],
        )
        for row in rows
    ]
    return Answer(DisclosureOfMineList(views, views[-1].disclosure_id if len(rows) == query.limit else None))
