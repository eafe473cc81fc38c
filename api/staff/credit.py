"""Credit records for the office of the city that decides them: what waits, and deciding it with a reason."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.credit import view
from api.texts import Input, Output, Page

Decision = Literal["uphold_objection", "dismiss_objection", "repair"]


class WaitingRecord(Output, frozen=True):
    """A record that is not over, with the subject's objection in his own words."""

    record_id: UUID
    credit_event: str
    status: str
    evidence_kind: str
    evidence_id: UUID
    noticed_at: datetime
    objection_until: date
    objection: str | None


class WaitingRecords(Output, frozen=True):
    """A page of them, oldest first."""

    records: list[WaitingRecord]
    next_after: UUID | None


class CreditDecision(Input, frozen=True):
    """What becomes of the record, and why; the reason stands in the journal."""

    decision: Decision
    reason: Annotated[str, Meta(min_length=4, max_length=200)]


class DeceitFinding(Input, frozen=True):
    """What was found out about the paper that the company has refused as untrue; it stands in the journal."""

    reason: Annotated[str, Meta(min_length=4, max_length=200)]


async def list_records(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.credit.waiting(call.staff, query.after, query.limit)
    views = [
        WaitingRecord(
            row.id,
            row.event,
            row.status,
            row.evidence_kind,
            row.evidence_id,
            row.noticed_at,
            row.objection_until,
            words,
        )
        for row, words in rows
    ]
    return Answer(WaitingRecords(views, views[-1].record_id if len(rows) == query.limit else None))


async def decide(call: Call) -> Answer:
    body: CreditDecision = call.body
    row = await call.services.credit.decide(call.staff, call.path["record_id"], body.decision, body.reason)
    return Answer(view(row))


async def note_deceit(call: Call) -> Answer:
    body: DeceitFinding = call.body
    return Answer(view(await call.services.credit.deceit(call.staff, call.path["order_id"], body.reason)), 201)
