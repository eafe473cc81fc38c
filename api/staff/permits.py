"""Permits as staff see them: companies ask, bureaus answer."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from core.errors import NotFound
from domain.orders.moving import Handler


class PermitPage(Page, frozen=True):
    """Those that are open, or all."""

    over: bool = False


class PermitRequest(Input, frozen=True):
    """Which permits an order needs, all at once; `evidence` says what was handed in, without personal data."""

    kinds: Annotated[list[Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]], Meta(min_length=1, max_length=10)]
    evidence: Annotated[str, Meta(min_length=4, max_length=200)]


class PermitAnswer(Input, frozen=True):
    """Yes, with the permit's number, or no, with the reason; without personal data."""

    granted: bool
    text: Annotated[str, Meta(min_length=2, max_length=200)]


class PermitView(Output, frozen=True):
    """One permit of one order. `due_at`: until when its bureau has to answer."""

    permit_id: UUID
    state: str
    order_id: UUID
    order_number: str
    company: str
    kind: str
    unit: str
    evidence: str
    asked_at: datetime
    answer: str | None
    ended_at: datetime | None
    due_on: date | None
    due_at: datetime | None
    level: str | None


class PermitList(Output, frozen=True):
    """A page of them, oldest first."""

    permits: list[PermitView]
    next_after: UUID | None


async def ask(call: Call) -> Answer:
    body: PermitRequest = call.body
    staff = call.staff
    if staff.unit.company is None:
        raise NotFound("service_order")
    by = Handler(staff.actor, staff.unit.company)
    rows = await call.services.permits.ask(call.path["order_id"], by, body.kinds, body.evidence)
    return Answer(PermitList([_view(row) for row in rows], None), 201)


async def list_permits(call: Call) -> Answer:
    query: PermitPage = call.query
    unit = call.staff.unit
    company, bureau = (unit.company, None) if unit.company else (None, unit.code)
    rows = await call.services.permits.listed(company, bureau, query.after, query.limit, over=query.over)
    views = [_view(row) for row in rows]
    return Answer(PermitList(views, views[-1].permit_id if len(rows) == query.limit else None))


async def answer(call: Call) -> Answer:
    body: PermitAnswer = call.body
    staff = call.staff
    permits = call.services.permits
    row = await permits.answer(call.path["permit_id"], staff.unit.code, staff.actor, body.granted, body.text)
    return Answer(_view(row))


def _view(row: Any) -> PermitView:
    return PermitView(*row.values())
