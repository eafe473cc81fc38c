"""Promises as staff see them: warnings, supervision orders, figures, and who bears what was built."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from domain.deadlines.supervising import Scope

OrderState = Literal["issued", "climbed", "replied", "closed"]
_STANDING = ("issued", "climbed", "replied")


class WarningPage(Page, frozen=True):
    """Those that wait for an answer, or all; those that have reached a leader, or all."""

    over: bool = False
    leader: bool = False


class WarningAnswer(Input, frozen=True):
    """What is done about it; no personal data."""

    note: Annotated[str, Meta(min_length=4, max_length=200)]


class WarningView(Output, frozen=True):
    """One warning. `leader_at` null: it is with who handles it."""

    warning_id: UUID
    level: str
    raised_at: datetime
    leader_at: datetime | None
    answered_at: datetime | None
    answer: str | None
    deadline_id: UUID
    subject_kind: str
    subject_id: UUID
    kind: str
    node: str
    company: str | None
    area: str | None
    due_on: date
    due_at: datetime | None
    provisional: bool
    closed_at: datetime | None


class WarningList(Output, frozen=True):
    """A page of them, oldest first."""

    warnings: list[WarningView]
    next_after: UUID | None


class SupervisionPage(Page, frozen=True):
    """Those of one state, else of all that are not closed."""

    state: OrderState | None = None


class SupervisionText(Input, frozen=True):
    """Why, and until when; or why that does not do. No personal data."""

    text: Annotated[str, Meta(min_length=4, max_length=200)]


class SupervisionView(Output, frozen=True):
    """One supervision order. `unit`: whose it is now."""

    supervision_id: UUID
    state: str
    company: str | None
    area: str | None
    unit: str
    issued_at: datetime
    reply_due_at: datetime
    reply: str | None
    replied_at: datetime | None
    ended_at: datetime | None
    deadline_id: UUID
    subject_kind: str
    subject_id: UUID
    due_on: date
    due_at: datetime | None
    closed_at: datetime | None
    outcome: str | None


class SupervisionList(Output, frozen=True):
    """A page of them, oldest first."""

    supervisions: list[SupervisionView]
    next_after: UUID | None


class Span(Input, frozen=True):
    """From one day to another, both included."""

    first: date
    last: date


class FigureView(Output, frozen=True):
    """How one company keeps its promises of one kind in one district. Days are working days, on average."""

    company: str | None
    area: str | None
    kind: str
    node: str
    met: int
    missed: int
    open: int
    overdue: int
    used_days: float
    lived_days: float
    longest_days: int


class FigureList(Output, frozen=True):
    """By company, district, kind and step."""

    figures: list[FigureView]


class Month(Input, frozen=True):
    """A month by its first day, or any of its days."""

    day: date


class FeeRow(Output, frozen=True):
    """What one bearer bears at one company in one district. `amount_fen` is the sum of the `known` among `cases`."""

    company: str
    service: str
    area: str | None
    bearer: str
    cases: int
    doubtful: int
    known: int
    amount_fen: int


class FeeReport(Output, frozen=True):
    """A month's cases by who bears them."""

    month: date
    rows: list[FeeRow]


async def list_warnings(call: Call) -> Answer:
    query: WarningPage = call.query
    found = call.services.supervising
    rows = await found.warnings(_scope(call), query.after, query.limit, over=query.over, leader=query.leader)
    views = [_warning(row) for row in rows]
    return Answer(WarningList(views, views[-1].warning_id if len(rows) == query.limit else None))


async def answer_warning(call: Call) -> Answer:
    body: WarningAnswer = call.body
    row = await call.services.supervising.answer(call.path["warning_id"], _scope(call), call.staff.actor, body.note)
    return Answer(_warning(row))


async def list_supervisions(call: Call) -> Answer:
    query: SupervisionPage = call.query
    states = (query.state,) if query.state else _STANDING
    rows = await call.services.supervising.orders(_scope(call), states, query.after, query.limit)
    views = [_order(row) for row in rows]
    return Answer(SupervisionList(views, views[-1].supervision_id if len(rows) == query.limit else None))


async def reply_supervision(call: Call) -> Answer:
    body: SupervisionText = call.body
    order_id = call.path["supervision_id"]
    return Answer(_order(await call.services.supervising.reply(order_id, _scope(call), call.staff.actor, body.text)))


async def send_back_supervision(call: Call) -> Answer:
    body: SupervisionText = call.body
    order_id = call.path["supervision_id"]
    return Answer(
        _order(await call.services.supervising.send_back(order_id, _scope(call), call.staff.actor, body.text))
    )


async def close_supervision(call: Call) -> Answer:
    order_id = call.path["supervision_id"]
    return Answer(_order(await call.services.supervising.close(order_id, _scope(call), call.staff.actor)))


async def show_figures(call: Call) -> Answer:
    span: Span = call.query
    rows = await call.services.supervising.figures(_scope(call), span.first, span.last)
    return Answer(FigureList([FigureView(*row) for row in rows]))


async def show_fees(call: Call) -> Answer:
    month: Month = call.query
    first = month.day.replace(day=1)
    rows = await call.services.fees.month(first, *_scope(call))
    return Answer(FeeReport(first, [FeeRow(*row) for row in rows]))


def _scope(call: Call) -> Scope:
    return call.services.supervising.scope(call.staff.unit)


def _warning(row: Any) -> WarningView:
    return WarningView(*row.values())


def _order(row: Any) -> SupervisionView:
    return SupervisionView(*row.values())
