"""One's credit records: what is held against one, and objecting to it."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from models.credit import CreditRecord


class CreditView(Output, frozen=True):
    """One record. It counts only once it is confirmed."""

    record_id: UUID
    credit_event: str
    status: str
    noticed_at: datetime
    objection_until: date
    ended_at: datetime | None


class CreditList(Output, frozen=True):
    """One's records, newest first."""

    records: list[CreditView]


class Objection(Input, frozen=True):
    """Why it is wrong."""

    words: Annotated[str, Meta(min_length=4, max_length=500)]


async def list_records(call: Call) -> Answer:
    return Answer(CreditList([view(row) for row in await call.services.credit.of(call.caller.principal)]))


async def object_to(call: Call) -> Answer:
    body: Objection = call.body
    return Answer(view(await call.services.credit.object(call.caller, call.path["record_id"], body.words)))


def view(row: CreditRecord) -> CreditView:
    """A record for its subject."""
    return CreditView(row.id, row.event, row.status, row.noticed_at, row.objection_until, row.ended_at)
