"""Service orders at the desks of staff: a company's people work their own here as its system does by the gateway, a supervisor agrees."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from core import clock
from core.errors import NotFound
from domain.applications.order_desk import DeskOrder, code_of
from domain.orders.moving import Handler
from gateways import company_order_types as reports
from gateways.company_order_types import AnyReport
from models.order_request import RequestStatus

Reason = Annotated[str, Meta(pattern=r"\A[a-z_]{1,40}\Z")]
Words = Annotated[str, Meta(min_length=1, max_length=500)]
Note = Annotated[str, Meta(max_length=500)]
OrderPurpose = Literal["survey_visit", "contact_applicant", "contract", "authority_request"]
Outcome = Literal["done", "asked"]


class OrderPage(Page, frozen=True):
    """Those of one status, of one service, with a promise of one level, or of one number (of the order or of the application)."""

    status: Annotated[str, Meta(pattern=r"\A[a-z_]{1,20}\Z")] | None = None
    service: Literal["water", "power", "gas", "network"] | None = None
    level: Literal["green", "yellow", "red"] | None = None
    number: Annotated[str, Meta(min_length=4, max_length=30)] | None = None


class DeskOrderRow(Output, frozen=True):
    """One order in a list. `official_code`: 1 to 15; null before the company has it. `due_on` null: nothing is promised now."""

    order_id: UUID
    number: str
    application_number: str
    company: str
    service: str
    status: str
    official_code: int | None
    area: str
    access_point: str
    filed_at: datetime
    accepted_at: datetime | None
    due_on: date | None
    provisional: bool | None
    level: str | None
    requests_waiting: int


class DeskOrderList(Output, frozen=True):
    """A page of them, newest first."""

    orders: list[DeskOrderRow]
    next_after: UUID | None


class DeskPaper(Output, frozen=True):
    """What was said at one step; later ones of a kind are later versions."""

    kind: str
    version: int
    by: str
    at: datetime
    content: dict[str, Any]


class DeskReport(Output, frozen=True):
    """A report of the company's system; `outcome`: done, asked, or the code of what was wrong with it; null: it waits for one before it."""

    sequence: int
    kind: str
    came_at: datetime
    outcome: str | None


class DeskTelling(Output, frozen=True):
    """What the company was told, and whether it has answered."""

    kind: str
    notice: str | None
    revision: int | None
    status: str
    created_at: datetime
    ended_at: datetime | None
    refusal_code: str | None


class SurveyFinding(Output, frozen=True):
    """The company's signed part of the survey."""

    version: int
    can_supply: bool
    distance_m: int | None
    distance_source: str | None
    reason: str | None
    plan: str
    photos: list[str]
    signed_by: str
    signed_at: datetime


class OtherOrder(Output, frozen=True):
    """An order of another case at the same place that this reader may see; `same_applicant`: both are of one."""

    number: str
    company: str
    service: str
    status: str
    filed_at: datetime
    same_applicant: bool


class OthersAtAddress(Output, frozen=True):
    """How many other cases there are at this place, with every company; of their orders only those this reader may see."""

    cases: int
    orders: list[OtherOrder]


class DeskOrderView(Output, frozen=True):
    """One order with everything that was said of it; `part` is what the applicant asked of this company."""

    order: DeskOrderRow
    applicant_masked: str
    phone_masked: str
    address_masked: str
    part: dict[str, Any]
    corrections: int
    reason: str | None
    paused_reason: str | None
    withdrawal_asked_at: datetime | None
    extension_asked_days: int | None
    papers: list[DeskPaper]
    finding: SurveyFinding | None
    reports: list[DeskReport]
    tellings: list[DeskTelling]
    others_at_address: OthersAtAddress


class OrderReveal(Input, frozen=True):
    """For which purpose, in words."""

    purpose: OrderPurpose
    note: Annotated[str, Meta(min_length=4, max_length=200)]


class RevealedOrder(Output, frozen=True):
    """Who applies, whom to call and where, in clear; that it was seen, and why, is on record, and the applicant can see it."""

    applicant: dict[str, Any]
    agent: dict[str, Any]
    contact: dict[str, Any]
    site: dict[str, Any]


class OrderItem(Input, frozen=True):
    """One thing to put right: a pointer into the form, the code of a paper, or a word of the site; and what to do."""

    subject: Annotated[str, Meta(pattern=r"\A[!-~]{1,120}\Z")]
    note: Words


class OrderSendBack(Input, frozen=True):
    """Everything that is missing, at once."""

    items: Annotated[tuple[OrderItem, ...], Meta(min_length=1, max_length=20)]


class OrderRefusal(Input, frozen=True):
    """A reason of the city's list, and what it means here."""

    reason: Reason
    note: Note = ""


class OrderWords(Input, frozen=True):
    """Why, in words the applicant or the colleague who decides understands."""

    note: Words


class OrderSurvey(Input, frozen=True):
    """The company's part of the survey: can it supply, how far is its main, by which plan; else why not."""

    can_supply: bool
    distance_m: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    distance_source: Literal["gis", "surveyed"] = "surveyed"
    reason: Reason | None = None
    plan: Note = ""
    photos: Annotated[tuple[Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")], ...], Meta(max_length=20)] = ()


class OrderPlan(Input, frozen=True):
    """The plan for the applicant to confirm, and which permits it needs."""

    plan: Words
    needs_permits: Annotated[tuple[Reason, ...], Meta(max_length=8)] = ()


class OrderInspection(Input, frozen=True):
    """Passed, or what to put right until when."""

    passed: bool
    items: Annotated[tuple[OrderItem, ...], Meta(max_length=20)] = ()
    again_by: date | None = None


class OrderConnection(Input, frozen=True):
    """The new account, if there is one."""

    account_number: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,32}\Z")] | None = None


class OrderArchive(Input, frozen=True):
    """Under which number it is filed."""

    file_number: Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")] | None = None


class OrderDays(Input, frozen=True):
    """How many working days, and why."""

    days: Annotated[int, Meta(ge=1, le=365)]
    note: Words


class OrderCost(Input, frozen=True):
    """What the connection outside the red line came to, in fen; who bears it is the city's rule."""

    amount_fen: Annotated[int, Meta(ge=0, le=1_000_000_000_00)]


class OrderPause(Input, frozen=True):
    """A reason of the closed list, and the evidence."""

    reason: Reason
    note: Annotated[str, Meta(min_length=4, max_length=200)]


class OrderDecision(Input, frozen=True):
    """Agreed or not, and why not."""

    agreed: bool
    reason: Annotated[str, Meta(min_length=4, max_length=200)] | None = None


class OrderOutcome(Output, frozen=True):
    """`done`, or `asked`: a supervisor has to agree first, and nothing has happened yet."""

    order_id: UUID
    status: str
    outcome: Outcome


class OrderRequestView(Output, frozen=True):
    """Something a company may only do with a supervisor's agreement."""

    request_id: UUID
    order_id: UUID
    number: str
    company: str
    kind: str
    status: str
    asked_by_kind: str
    asked_at: datetime


class OrderRequestList(Output, frozen=True):
    """A page of them, oldest first."""

    requests: list[OrderRequestView]
    next_after: UUID | None


async def list_orders(call: Call) -> Answer:
    query: OrderPage = call.query
    filters = (query.status, query.service, query.level, query.number)
    rows = await call.services.order_desk.listed(call.staff, filters, query.after, query.limit)
    views = [_row(row) for row in rows]
    return Answer(DeskOrderList(views, views[-1].order_id if len(rows) == query.limit else None))


async def show(call: Call) -> Answer:
    return Answer(_view(await call.services.order_desk.one(call.staff, call.path["order_id"])))


async def reveal(call: Call) -> Answer:
    body: OrderReveal = call.body
    desk, order_id = call.services.order_desk, call.path["order_id"]
    return Answer(RevealedOrder(**await desk.reveal(call.staff, order_id, body.purpose, body.note, call.request_id)))


async def accept(call: Call) -> Answer:
    return await _do(call, reports.Accepted)


async def send_back(call: Call) -> Answer:
    return await _do(call, reports.CorrectionAsked, items=_items(call.body.items))


async def refuse(call: Call) -> Answer:
    return await _do(call, reports.OrderRefused, reason=call.body.reason, note=call.body.note)


async def hand_back(call: Call) -> Answer:
    return await _do(call, reports.HandedBack, note=call.body.note)


async def sign_survey(call: Call) -> Answer:
    body: OrderSurvey = call.body
    return await _do(
        call, reports.Surveyed, can_supply=body.can_supply, distance_m=body.distance_m, distance_source=body.distance_source,
        reason=body.reason, plan=body.plan, photos=body.photos,
    )  # fmt: skip


async def commit_days(call: Call) -> Answer:
    return await _do(call, reports.DaysCommitted, days=call.body.days, note=call.body.note)


async def reply_plan(call: Call) -> Answer:
    return await _do(call, reports.PlanReplied, plan=call.body.plan, needs_permits=call.body.needs_permits)


async def construct(call: Call) -> Answer:
    return await _do(call, reports.ConstructionStarted)


async def inspect(call: Call) -> Answer:
    body: OrderInspection = call.body
    return await _do(call, reports.Inspected, passed=body.passed, items=_items(body.items), again_by=body.again_by)


async def rectify(call: Call) -> Answer:
    return await _do(call, reports.Rectified)


async def connect(call: Call) -> Answer:
    return await _do(call, reports.Connected, account_number=call.body.account_number)


async def archive(call: Call) -> Answer:
    return await _do(call, reports.Archived, file_number=call.body.file_number)


async def ask_extension(call: Call) -> Answer:
    return await _do(call, reports.ExtensionAsked, days=call.body.days, note=call.body.note)


async def pause(call: Call) -> Answer:
    return await _do(call, reports.PauseAsked, reason=call.body.reason, note=call.body.note)


async def resume(call: Call) -> Answer:
    return await _do(call, reports.PauseOver)


async def agree_withdrawal(call: Call) -> Answer:
    return await _do(call, reports.WithdrawalAgreed)


async def state_cost(call: Call) -> Answer:
    """Whoever bears it by the rule: what it came to."""
    await call.services.order_costs.state(
        call.path["order_id"], call.staff.unit.company, call.body.amount_fen, call.staff.actor
    )
    return await _outcome(call, "done")


async def redispatch(call: Call) -> Answer:
    """It is this company's after all."""
    order = await call.services.order_desk.reachable(call.staff, call.path["order_id"])
    await call.services.orders.redispatch(order.id, call.staff.actor, call.body.note)
    return await _outcome(call, "done")


async def decide_extension(call: Call) -> Answer:
    order = await call.services.order_desk.reachable(call.staff, call.path["order_id"])
    await call.services.company_work.decide_extension(order.id, call.staff.actor, agreed=call.body.agreed)
    return await _outcome(call, "done")


async def list_requests(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.order_desk.requests(call.staff, RequestStatus.ASKED, query.after, query.limit)
    views = [
        OrderRequestView(
            row["id"], row["order_id"], row["number"], row["company"], row["kind"], row["status"], row["asked_by_kind"], row["asked_at"]
        )
        for row in rows
    ]  # fmt: skip
    return Answer(OrderRequestList(views, views[-1].request_id if len(rows) == query.limit else None))


async def decide(call: Call) -> Answer:
    body: OrderDecision = call.body
    request = await call.services.order_desk.request(call.staff, call.path["request_id"])
    await call.services.company_work.decide(request.id, call.staff.actor, agreed=body.agreed, reason=body.reason)
    order = await call.services.order_desk.reachable(call.staff, request.order_id)
    return Answer(OrderOutcome(order.id, order.status, "done"))


async def _do(call: Call, kind: type[AnyReport], **said: Any) -> Answer:
    """What the company's system would report, said by its staff: the same verb, the same rows."""
    if call.staff.unit.company is None:
        raise NotFound("service_order")
    order_id: UUID = call.path["order_id"]
    report = kind(order_id=str(order_id), sequence=1, at=clock.now(), **said)
    by = Handler(call.staff.actor, call.staff.unit.company)
    return await _outcome(call, await call.services.company_work.do(order_id, by, report))


async def _outcome(call: Call, outcome: str) -> Answer:
    order = await call.services.order_desk.reachable(call.staff, call.path["order_id"])
    return Answer(OrderOutcome(order.id, order.status, "asked" if outcome == "asked" else "done"))


def _items(items: tuple[OrderItem, ...]) -> tuple[reports.Item, ...]:
    return tuple(reports.Item(item.subject, item.note) for item in items)


def _row(row: dict[str, Any]) -> DeskOrderRow:
    return DeskOrderRow(
        row["id"], row["number"], row["application_number"], row["company"], row["service"], row["status"], code_of(row), row["area"],
        row["access_point"], row["filed_at"], row["accepted_at"], row["due_on"], row["provisional"], row["level"], row["requests"],
    )  # fmt: skip


def _view(found: DeskOrder) -> DeskOrderView:
    row, part = found.row, found.finding
    finding = None
    if part is not None:
        said = part.finding
        finding = SurveyFinding(
            part.version, said.can_supply, said.distance_m, said.distance_source, said.reason, said.plan, list(said.photos),
            part.signed_by, part.signed_at,
        )  # fmt: skip
    return DeskOrderView(
        order=_row(row),
        applicant_masked=found.applicant_masked,
        phone_masked=found.phone_masked,
        address_masked=found.address_masked,
        part=found.part,
        corrections=row["corrections"],
        reason=row["reason"],
        paused_reason=row["paused_reason"],
        withdrawal_asked_at=row["withdrawal_asked_at"],
        extension_asked_days=row["extension_asked_days"],
        papers=[DeskPaper(one.kind, one.version, one.by, one.at, one.content) for one in found.papers],
        finding=finding,
        reports=[DeskReport(one["sequence"], one["kind"], one["came_at"], one["outcome"]) for one in found.reports],
        tellings=[
            DeskTelling(
                one["kind"], one["notice"], one["revision"], one["status"], one["created_at"], one["ended_at"], one["refusal_code"]
            )
            for one in found.tellings
        ],
        others_at_address=OthersAtAddress(found.at_address.cases, [OtherOrder(*one) for one in found.at_address.orders]),
    )  # fmt: skip
