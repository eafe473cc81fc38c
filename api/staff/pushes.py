"""Pushed projects as staff see them: what waits, why, what it says; amended, replayed, dismissed. And what projects will need, for planners."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from core.errors import NotFound
from domain.applications.order_desk import scope_of
from domain.applications.push_desk import DeskPush

PushState = Literal["expected", "received", "stuck", "filed", "dismissed"]
Why = Annotated[str, Meta(min_length=4, max_length=200)]


class PushPage(Page, frozen=True):
    """Those of one state; else all that wait for somebody, or differ from the platform's own list."""

    state: PushState | None = None


class PushRow(Output, frozen=True):
    """One push. `problem`: why it is stuck; `difference`: what the comparison with the platform's list has found; `untold`: statuses on their way."""

    push_id: UUID
    push_number: str
    state: str
    problem: str | None
    difference: str | None
    project_code: str | None
    pushed_on: date
    received_at: datetime | None
    ended_at: datetime | None
    application_number: str | None
    amendments: int
    untold: int


class PushList(Output, frozen=True):
    """A page of them, oldest first."""

    pushes: list[PushRow]
    next_after: UUID | None


class PushProblem(Output, frozen=True):
    """One thing that is wrong: where, which kind, in words; never a value."""

    pointer: str
    code: str
    sentence: str


class PushAmendmentView(Output, frozen=True):
    """Who put something else in its place, and why. What, is read with a purpose."""

    version: int
    staff_id: UUID
    reason: str
    at: datetime


class PushStep(Output, frozen=True):
    """A step of its way."""

    event: str
    from_state: str | None
    to_state: str
    actor_kind: str
    reason: str | None
    at: datetime


class PushView(Output, frozen=True):
    """One push with what is wrong with it as it stands now, and everything done with it."""

    push: PushRow
    problems: list[PushProblem]
    amended: list[PushAmendmentView]
    steps: list[PushStep]


class PushReveal(Input, frozen=True):
    """What for, and a note for the record without personal data."""

    push_purpose: Literal["understand_push", "contact_platform", "authority_request"]
    note: Annotated[str, Meta(min_length=4, max_length=200)]


class PushContent(Output, frozen=True):
    """What the platform has sent, as text, and what has been put in its place; null: nothing."""

    original: str
    amended_content: str | None


class PushAmend(Input, frozen=True):
    """The whole push as it ought to read, and why."""

    content: dict[str, Any]
    reason: Why


class PushReason(Input, frozen=True):
    """Why; without personal data."""

    reason: Why


class DemandPeriod(Input, frozen=True):
    """Pushed from `first` to `last`, both counted."""

    first: date
    last: date


async def list_pushes(call: Call) -> Answer:
    query: PushPage = call.query
    if not _is_of_the_whole_city(call):
        return Answer(PushList([], None))
    rows = await call.services.push_desk.listed(query.state, query.after, query.limit)
    views = [_row(row) for row in rows]
    return Answer(PushList(views, views[-1].push_id if len(rows) == query.limit else None))


async def show(call: Call) -> Answer:
    _of_the_whole_city(call)
    return await _shown(call)


async def reveal(call: Call) -> Answer:
    _of_the_whole_city(call)
    body: PushReveal = call.body
    seen = await call.services.push_desk.reveal(
        call.staff, call.path["push_id"], body.push_purpose, body.note, call.request_id
    )
    return Answer(PushContent(*seen))


async def amend(call: Call) -> Answer:
    _of_the_whole_city(call)
    body: PushAmend = call.body
    await call.services.pushes.amend(call.path["push_id"], body.content, call.staff.staff_id, body.reason)
    return await _shown(call)


async def replay(call: Call) -> Answer:
    _of_the_whole_city(call)
    body: PushReason = call.body
    await call.services.pushes.replay(call.path["push_id"], call.staff.actor, body.reason)
    return await _shown(call)


async def dismiss(call: Call) -> Answer:
    _of_the_whole_city(call)
    body: PushReason = call.body
    await call.services.pushes.dismiss(call.path["push_id"], call.staff.actor, body.reason)
    return await _shown(call)


async def explain(call: Call) -> Answer:
    _of_the_whole_city(call)
    body: PushReason = call.body
    await call.services.push_desk.explain(call.staff, call.path["push_id"], body.reason)
    return await _shown(call)


async def export_demand(call: Call) -> Answer:
    query: DemandPeriod = call.query
    text = await call.services.demand.csv(scope_of(call.staff), query.first, query.last)
    name = f"demand-{query.first:%Y%m%d}-{query.last:%Y%m%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(text.encode(), media_type="text/csv", headers=headers)


def _of_the_whole_city(call: Call) -> None:
    """A push that cannot be read belongs to no district yet: staff of a district's unit find none.

    Raises:
        NotFound.
    """
    if not _is_of_the_whole_city(call):
        raise NotFound("platform_push")


def _is_of_the_whole_city(call: Call) -> bool:
    unit = call.staff.unit
    return unit.kind == "city" or unit.area == call.services.city.area_code


async def _shown(call: Call) -> Answer:
    return Answer(_view(await call.services.push_desk.one(call.path["push_id"])))


def _view(found: DeskPush) -> PushView:
    return PushView(
        _row(found.row),
        [PushProblem(*problem) for problem in found.problems],
        [PushAmendmentView(**one) for one in found.amendments],
        [PushStep(**one) for one in found.steps],
    )


def _row(row: dict[str, Any]) -> PushRow:
    return PushRow(
        row["id"], row["number"], row["status"], row["problem"], row["difference"], row["project_code"], row["pushed_on"], row["received_at"],
        row["ended_at"], row["application_number"], row["amendments"], row["untold"],
    )  # fmt: skip
