"""What companies do with their orders, by their own system or by their staff: the same verbs, the same rows."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from cities.schema import City
from core import clock
from core.database import transaction
from core.failpoint import failpoint
from domain.materials.tolerances import owed_papers
from domain.orders.clock import OrderClock
from domain.orders.moving import (
    Handler,
    OncePerOrder,
    PapersMissing,
    ReasonNotListed,
    SupervisorNeeded,
    TooLate,
    event_data,
    locked,
    moved,
    take_consent_back,
)
from domain.orders.papers import Papers
from models.lifecycle import SYSTEM, Actor, IllegalMove, announce
from models.service_order import BEFORE_ACCEPTANCE, WORKING, OrderStatus, ServiceOrder

_S = OrderStatus
NOT_OURS = "not_ours"
"""The reason of an order that its company has handed back."""


class Item(NamedTuple):
    """One thing that is missing or to put right: a pointer into the form, a requirement's code or a word of the site; and what to do."""

    subject: str
    note: str


class Found(NamedTuple):
    """A company's part of the survey: it can supply. `source`: gis or surveyed."""

    distance_m: int
    source: str
    plan: str = ""
    photos: tuple[str, ...] = ()
    committed_days: int | None = None
    """Beyond the last distance for which days are promised: those the company commits itself to, once a supervisor approves."""
    commitment_reason: str = ""


class Orders:
    """One method per verb of a company. Each locks the order, so that of two who act at once one wins and the other is told.

    Every method raises NotFound where the order is not the company's, and IllegalMove where it stands elsewhere.
    """

    def __init__(self, city: City, papers: Papers, order_clock: OrderClock) -> None:
        self._city = city
        self._papers = papers
        self._clock = order_clock

    async def receive(self, order_id: UUID, actor: Actor = SYSTEM) -> None:
        """The company has it (official code 1); again changes nothing."""
        async with transaction():
            await self._received(await locked(order_id), actor)

    async def accept(self, order_id: UUID, by: Handler) -> ServiceOrder:
        """受理: from here the promise counts. One that the company was never seen to receive is received with it (codes 1 and 3)."""
        async with transaction():
            order = await locked(order_id, by.company)
            await self._received(order, by.actor)
            await self._moved(order, "accept", by.actor, columns={"accepted_at": clock.now()})
            await self._clock.open(order)
            failpoint("order.accepted_before_commit")
        return order

    async def send_back(
        self, order_id: UUID, by: Handler, items: Sequence[Item], *, seen_before: bool = True
    ) -> ServiceOrder:
        """补正, all of it at once (行政许可法 第三十二条). `seen_before`: it could have been seen the first time.

        Raises:
            SupervisorNeeded: a second time for what could have been said the first time; with one it is counted.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            again = order.corrections > 0 and seen_before
            if again and not by.is_approved:
                raise SupervisorNeeded(why="second_correction")
            await self._received(order, by.actor)
            days = self._city.applications.rule(clock.today()).correction_days
            columns = {
                "corrections": order.corrections + 1,
                "late_corrections": order.late_corrections + again,
                "correction_ends_on": clock.today() + timedelta(days=days),
            }
            approver = by.supervisor if again else None
            await self._moved(order, "send_back", by.actor, approver=approver, columns=columns)
            content = {"items": [item._asdict() for item in items]}
            await self._clock.waits(
                order, "correction", await self._papers.write(order.id, "correction", content, by.actor)
            )
        return order

    async def refuse(self, order_id: UUID, by: Handler, reason: str, note: str = "") -> ServiceOrder:
        """不予受理 before acceptance, 办结（不通过） after it; `reason` is of the city's list for the stage.

        Raises:
            ReasonNotListed.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            before = order.status in BEFORE_ACCEPTANCE
            if self._city.applications.refusal(reason, "acceptance" if before else "survey") is None:
                raise ReasonNotListed(reason=reason)
            await self._received(order, by.actor)
            columns = {"reason": reason, "ended_at": clock.now()}
            await self._moved(order, "refuse" if before else "fail", by.actor, reason=reason, columns=columns)
            await self._clock.ended(order, void=True)
            await self._papers.write(order.id, "refusal", {"reason": reason, "note": note}, by.actor)
        return order

    async def hand_back(self, order_id: UUID, by: Handler, note: str) -> ServiceOrder:
        """Not this company's: within one working day, for us to hand to the right one.

        Raises:
            TooLate: later than that.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            await self._received(order, by.actor)
            days = self._city.applications.rule(clock.today()).return_days
            if await self._clock.is_past_workdays(days, order):
                raise TooLate(workdays=days)
            await self._moved(order, "return", by.actor, reason=NOT_OURS, columns={"reason": NOT_OURS})
            await self._papers.write(order.id, "return", {"note": note}, by.actor)
        return order

    async def redispatch(self, order_id: UUID, actor: Actor, note: str) -> ServiceOrder:
        """It is this company's after all: a member of the platform's staff says so."""
        async with transaction():
            order = await locked(order_id)
            await self._moved(order, "redispatch", actor, columns={"reason": None, "received_at": clock.now()})
            await self._papers.write(order.id, "return", {"note": note}, actor)
        return order

    async def survey(self, order_id: UUID, by: Handler, found: Found) -> ServiceOrder:
        """The company's part of the joint survey; who cannot supply refuses with a reason instead."""
        async with transaction():
            order = await locked(order_id, by.company)
            columns = {
                "surveyed_at": clock.now(),
                "distance_m": found.distance_m,
                "distance_source": found.source,
            }
            await self._moved(order, "survey", by.actor, columns=columns)
            await self._papers.write(order.id, "survey", found._asdict(), by.actor)
            approver = by.supervisor if by.is_approved else None
            await self._clock.surveyed(order, approver, by.actor, found.committed_days)
        return order

    async def commit(self, order_id: UUID, by: Handler, days: int, reason: str) -> ServiceOrder:
        """Beyond the last band: the company commits itself to days, with a reason and a supervisor's approval.

        Raises:
            SupervisorNeeded. OncePerOrder: something is promised already. ExtensionRefused: too many days.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            _working(order, "commit")
            if not by.is_approved:
                raise SupervisorNeeded(why="commitment")
            if await self._clock.explain(order.id) is not None:
                raise OncePerOrder(what="commitment")
            await self._clock.commit(order, days)
            content = {"days": days, "reason": reason, "approver": by.supervisor}
            paper = await self._papers.write(order.id, "commitment", content, by.actor)
            await announce("service_order.committed", "order_paper", paper, by.actor, event_data(order))
        return order

    async def reply_plan(self, order_id: UUID, by: Handler, plan: str, **more: Any) -> ServiceOrder:
        """方案答复: it waits for the applicant from here."""
        async with transaction():
            order = await locked(order_id, by.company)
            await self._moved(order, "reply_plan", by.actor, columns={"plan_version": order.plan_version + 1})
            paper = await self._papers.write(order.id, "plan", {"plan": plan, **more}, by.actor)
            await self._clock.waits(order, "applicant", paper)
        return order

    async def construct(self, order_id: UUID, by: Handler) -> ServiceOrder:
        """Construction begins: from here the applicant does not withdraw alone."""
        async with transaction():
            return await self._moved(await locked(order_id, by.company), "construct", by.actor)

    async def inspect(
        self, order_id: UUID, by: Handler, passed: bool, items: Sequence[Item] = (), again_by: date | None = None
    ) -> ServiceOrder:
        """验收; not passed: what to put right, and until when. Each inspection is a version."""
        async with transaction():
            order = await locked(order_id, by.company)
            columns = {"inspections": order.inspections + 1, "rectify_by": None if passed else again_by}
            await self._moved(order, "inspect" if passed else "find_fault", by.actor, columns=columns)
            content = {"items": [item._asdict() for item in items], "again_by": again_by and again_by.isoformat()}
            await self._papers.write(order.id, "inspection" if passed else "fault", content, by.actor)
        return order

    async def rectify(self, order_id: UUID, by: Handler, note: str = "") -> ServiceOrder:
        """What was found has been put right: it is inspected again."""
        async with transaction():
            order = await locked(order_id, by.company)
            await self._moved(order, "rectify", by.actor, columns={"rectify_by": None})
            await self._papers.write(order.id, "rectification", {"note": note}, by.actor)
        return order

    async def connect(self, order_id: UUID, by: Handler, account_number: str | None = None) -> ServiceOrder:
        """接通: water, power, gas or line is on; gas never while a paper it needs is not there.

        Raises:
            PapersMissing.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            owed = await owed_papers(order.application_id, order.service)
            if owed and order.service == "gas":
                raise PapersMissing(missing=owed)
            now = clock.now()
            columns = {"connected_at": now, "ended_at": now, "tolerated": bool(owed)}
            await self._moved(order, "connect", by.actor, columns=columns)
            await self._clock.ended(order)
            await self._papers.write(order.id, "connection", {"account_number": account_number}, by.actor)
            failpoint("order.connected_before_commit")
        return order

    async def archive(self, order_id: UUID, by: Handler, file_number: str | None = None) -> ServiceOrder:
        """归档."""
        async with transaction():
            order = await moved(await locked(order_id, by.company), "archive", by.actor)
            await self._papers.write(order.id, "archive", {"file_number": file_number}, by.actor)
        return order

    async def ask_extension(self, order_id: UUID, by: Handler, days: int, reason: str) -> ServiceOrder:
        """The company asks for more working days, once, before the promise is over; a supervisor decides (:meth:`extend`).

        Raises:
            OncePerOrder: it was extended before, or is being decided. TooLate: the promise is over.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            _working(order, "ask_extension")
            if order.extended_days is not None or order.extension_asked_days is not None:
                raise OncePerOrder(what="extension")
            if await self._clock.is_over(order):
                raise TooLate
            order.extension_asked_days = days
            await order.save(update_fields=["extension_asked_days"])
            paper = await self._papers.write(order.id, "extension_asked", {"days": days, "reason": reason}, by.actor)
            await announce("service_order.extension_asked", "order_paper", paper, by.actor, event_data(order))
        return order

    async def extend(self, order_id: UUID, by: Handler, agreed: bool) -> ServiceOrder:
        """A supervisor decides what was asked; who asked does not decide.

        Raises:
            SupervisorNeeded: he is the one who asked.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            asked = await self._papers.of([order.id], ["extension_asked"])
            if order.extension_asked_days is None:
                raise IllegalMove(subject="service_order", state=order.status, event="extend")
            if not by.is_approved:
                raise SupervisorNeeded(why="extension")
            days = order.extension_asked_days
            order.extension_asked_days, order.extended_days = None, days if agreed else None
            await order.save(update_fields=["extension_asked_days", "extended_days"])
            if agreed:
                await self._clock.extend(order, days, "extension", Actor(asked[-1].by, ""), str(by.supervisor))
            content = {"days": days, "reason": asked[-1].content["reason"], "approver": by.supervisor}
            kind = "extension" if agreed else "extension_refused"
            paper = await self._papers.write(order.id, kind, content, by.actor)
            if agreed:
                await announce("service_order.extended", "order_paper", paper, by.actor, event_data(order))
            else:
                await announce("service_order.extension_refused", "order_paper", paper, by.actor, event_data(order))
        return order

    async def suspend(self, order_id: UUID, by: Handler, reason: str, evidence: str) -> ServiceOrder:
        """特别程序（开始）: the promise stands still, for a reason of the closed list and by its evidence.

        Raises:
            OncePerOrder: it stands still already.
        """
        async with transaction():
            order = await locked(order_id, by.company)
            _working(order, "suspend")
            if order.paused_reason is not None:
                raise OncePerOrder(what="pause")
            order.paused_reason, order.paused_at = reason, clock.now()
            await order.save(update_fields=["paused_reason", "paused_at"])
            paper = await self._papers.write(order.id, "pause", {"reason": reason, "evidence": evidence}, by.actor)
            await self._clock.pause(order, reason, paper, by.actor, by.supervisor if by.is_approved else None)
            await announce("service_order.paused", "order_paper", paper, by.actor, event_data(order))
        return order

    async def resume(self, order_id: UUID, by: Handler, note: str = "") -> ServiceOrder:
        """特别程序（结束）: the promise runs on."""
        async with transaction():
            order = await locked(order_id, by.company)
            if order.paused_reason is None:
                raise IllegalMove(subject="service_order", state=order.status, event="resume")
            content = {"reason": order.paused_reason, "note": note}
            reason = order.paused_reason
            order.paused_reason, order.paused_at, order.resumed_at = None, None, clock.now()
            await order.save(update_fields=["paused_reason", "paused_at", "resumed_at"])
            paper = await self._papers.write(order.id, "resumption", content, by.actor)
            await self._clock.resume(order, reason, paper)
            await announce("service_order.resumed", "order_paper", paper, by.actor, event_data(order))
        return order

    async def agree_withdrawal(self, order_id: UUID, by: Handler) -> ServiceOrder:
        """The company agrees that the applicant withdraws, though construction has begun."""
        async with transaction():
            order = await locked(order_id, by.company)
            if order.withdrawal_asked_at is None:
                raise IllegalMove(subject="service_order", state=order.status, event="agree_withdrawal")
            await self._moved(order, "agree_withdrawal", by.actor, columns={"ended_at": clock.now()})
            await take_consent_back(order)
            await self._clock.ended(order, void=True)
        return order

    async def _received(self, order: ServiceOrder, actor: Actor) -> None:
        if order.status == _S.CREATED:
            await self._moved(order, "receive", actor, columns={"received_at": clock.now()})
            if order.pushed:  # the platform is told of every node; nobody else of this one
                await announce("service_order.received", "order_receipt", order.id, actor, event_data(order))

    async def _moved(self, order: ServiceOrder, event: str, actor: Actor, **more: Any) -> ServiceOrder:
        """Move a locked order, and the clock of its step with it."""
        before = str(order.status)
        await moved(order, event, actor, **more)
        await self._clock.came_to(order, before)
        return order


def _working(order: ServiceOrder, event: str) -> None:
    if order.status not in WORKING:
        raise IllegalMove(subject="service_order", state=order.status, event=event)
