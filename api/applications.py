"""Applications as their applicants see them: one's own, one with everything that happened, withdrawing; progress without a login."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from domain.applications.cases import Case, OrderSeen, Summary
from domain.deadlines.clocks import Explanation
from domain.orders.papers import Paper
from models.service_order import OFFICIAL_NAMES

_SHOWN = (
    "correction",
    "answer",
    "refusal",
    "survey",
    "commitment",
    "plan",
    "plan_question",
    "fault",
    "extension",
    "pause",
    "resumption",
)
"""What was said and concerns the applicant."""
_HIDDEN = ("approver", "photos")


class ApplicationRow(Output, frozen=True):
    """An application in a list. A draft has neither number nor stage; companies stand by what became of their part."""

    application_id: UUID
    status: str
    application_number: str | None
    stage: str | None
    finished: bool
    services: list[str]
    connected: list[str]
    running: list[str]
    ended: list[str]
    your_turn: list[str]
    saved_at: datetime
    filed_at: datetime | None


class ApplicationList(Output, frozen=True):
    """One's drafts and applications, newest first; `next_after` leads to the next page."""

    applications: list[ApplicationRow]
    next_after: UUID | None


class CountedDay(Output, frozen=True):
    """One day on the way to the due date: whether it counts and why. `name`: the feast, or the reason of the pause."""

    day: date
    counted: bool
    why: str
    name: str | None


class PromisePause(Output, frozen=True):
    """A time in which the promise stood still; `ends_at` null: it still does."""

    reason: str
    begins_at: datetime
    ends_at: datetime | None


class PromiseView(Output, frozen=True):
    """A promise with everything that makes its due date.

    Both clocks: `used_days` of the promised days have begun, `lived_days` working days the applicant has been waiting, pauses or not.
    """

    promised_days: int
    basis: str
    clause: str
    accepted_at: datetime
    due_on: date
    provisional: bool
    used_days: int
    lived_days: int
    outcome: str | None
    counted_days: list[CountedDay]
    pauses: list[PromisePause]


class OrderStep(Output, frozen=True):
    """Something that happened to an order; `by` is the kind of whoever did it."""

    at: datetime
    step: str
    status: str
    by: str


class SaidView(Output, frozen=True):
    """What was said at a step: the list of what is missing, a plan, a finding; later ones of a kind are later versions."""

    kind: str
    version: int
    at: datetime
    content: dict[str, Any]


class ServiceOrderView(Output, frozen=True):
    """One company's part: where it stands (also by the official code 1 to 15), what happened, what was said, what is promised."""

    order_id: UUID
    order_number: str
    company: str
    service: str
    status: str
    official_code: int | None
    official_name: str | None
    distance_m: int | None
    distance_source: str | None
    correction_ends_on: date | None
    plan_version: int
    rectify_by: date | None
    reason: str | None
    paused_reason: str | None
    withdrawal_asked_at: datetime | None
    connected_at: datetime | None
    ended_at: datetime | None
    timeline: list[OrderStep]
    said: list[SaidView]
    promise: PromiseView | None


class ApplicationView(Output, frozen=True):
    """An application with its orders; the stage is a function of theirs, so partial completion is always visible."""

    application_id: UUID
    application_number: str
    status: str
    stage: str
    finished: bool
    connected: list[str]
    running: list[str]
    ended: list[str]
    your_turn: list[str]
    filed_at: datetime
    withdrawn_at: datetime | None
    form_version: int
    answers: dict[str, Any]
    progress_code: str | None
    orders: list[ServiceOrderView]


class ProgressRequest(Input, frozen=True):
    """The code from the receipt, and the last four digits of the contact's phone."""

    progress_code: Annotated[str, Meta(min_length=12, max_length=30)]
    phone_last4: Annotated[str, Meta(pattern=r"\A[0-9]{4}\Z")]


class ProgressOrder(Output, frozen=True):
    """One company's part, by its dates."""

    company: str
    service: str
    status: str
    accepted_at: datetime | None
    connected_at: datetime | None
    ended_at: datetime | None


class ProgressView(Output, frozen=True):
    """How an application stands: states and dates, neither name nor address."""

    stage: str
    finished: bool
    filed_at: datetime
    orders: list[ProgressOrder]


async def list_applications(call: Call) -> Answer:
    query: Page = call.query
    found = await call.services.cases.mine(call.caller.principal, query.after, query.limit)
    last = found[-1].application.id if len(found) == query.limit else None
    return Answer(ApplicationList([listed(one) for one in found], last))


async def show(call: Call) -> Answer:
    return Answer(_case(await call.services.cases.show(call.caller, call.path["application_id"])))


async def withdraw(call: Call) -> Answer:
    application = await call.services.withdrawing.withdraw(call.caller, call.path["application_id"])
    return Answer(_case(await call.services.cases.show(call.caller, application.id)))


async def show_progress(call: Call) -> Answer:
    body: ProgressRequest = call.body
    found = await call.services.cases.progress(body.progress_code, body.phone_last4)
    assert found.joint is not None
    assert found.application.filed_at is not None
    orders = [
        ProgressOrder(one.company, one.service, one.status, one.accepted_at, one.connected_at, one.ended_at)
        for one in found.orders
    ]
    return Answer(ProgressView(found.joint.stage, found.joint.finished, found.application.filed_at, orders))


def listed(one: Summary) -> ApplicationRow:
    """A case or draft as it stands in a list."""
    row, joint = one.application, one.joint
    return ApplicationRow(
        row.id, row.status, row.number, joint and joint.stage, joint is not None and joint.finished, list(row.services),
        list(joint.connected) if joint else [], list(joint.running) if joint else [], list(joint.ended) if joint else [],
        list(joint.your_turn) if joint else [], row.saved_at, row.filed_at,
    )  # fmt: skip


def _case(case: Case) -> ApplicationView:
    row, joint = case.application, case.joint
    assert row.number is not None
    assert row.filed_at is not None
    return ApplicationView(
        row.id, row.number, row.status, joint.stage, joint.finished, list(joint.connected), list(joint.running), list(joint.ended),
        list(joint.your_turn), row.filed_at, row.withdrawn_at, row.form_version, case.answers, case.progress_code,
        [order_view(one) for one in case.orders],
    )  # fmt: skip


def order_view(seen: OrderSeen) -> ServiceOrderView:
    """One order with its story."""
    order = seen.order
    steps = [OrderStep(row["at"], row["event"], row["to_state"], row["actor_kind"]) for row in seen.steps]
    return ServiceOrderView(
        order.id, order.number, order.company, order.service, order.status, seen.official, OFFICIAL_NAMES.get(seen.official or 0),
        order.distance_m, order.distance_source, order.correction_ends_on, order.plan_version, order.rectify_by, order.reason,
        order.paused_reason, order.withdrawal_asked_at, order.connected_at, order.ended_at, steps,
        [_said(paper) for paper in seen.papers if paper.kind in _SHOWN], seen.promise and _promise(seen.promise),
    )  # fmt: skip


def _said(paper: Paper) -> SaidView:
    content = {name: value for name, value in paper.content.items() if name not in _HIDDEN}
    return SaidView(paper.kind, paper.version, paper.at, content)


def _promise(found: Explanation) -> PromiseView:
    row, due = found.deadline, found.due
    return PromiseView(
        due.promised_days, row.basis, found.clause, row.accepted_at, due.due_on, due.provisional, due.used_days, due.lived_days,
        row.outcome, [CountedDay(day.date, day.counted, day.why.value, day.name) for day in due.days],
        [PromisePause(pause.reason, pause.begins_at, pause.ends_at) for pause in found.pauses],
    )  # fmt: skip
