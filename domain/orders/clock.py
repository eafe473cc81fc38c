"""The promise of an order: opened with acceptance, standing still while it is somebody else's turn, ended with the order.

Everything is called inside the transaction that moves the order, after the move.
"""

from contextlib import suppress
from typing import Literal
from uuid import UUID

from cities.promises import PAUSE_REASONS, Node, PauseReason
from cities.schema import City, in_force
from core import clock
from core.database import fetch_one
from core.errors import LianbanError
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import (
    ApproverNeeded,
    CommitmentNeeded,
    DeadlineNotPaused,
    DeadlineNotRunning,
    DeadlinePaused,
    Deadlines,
    Explanation,
    Promise,
    Subject,
)
from domain.orders.moving import SupervisorNeeded
from models.lifecycle import Actor
from models.service_order import APPLICANTS_TURN, OrderStatus, ServiceOrder

KIND = "service_order"
_S = OrderStatus
_NODES: dict[OrderStatus, Node] = {
    _S.RECEIVED: "accept", _S.CORRECTED: "accept", _S.CORRECTING: "confirm", _S.RETURNED: "confirm", _S.ACCEPTED: "survey",
    _S.SURVEYED: "plan", _S.PLAN_REPLIED: "confirm", _S.PLAN_CONFIRMED: "confirm", _S.CONTRACTED: "build", _S.CONSTRUCTING: "build",
    _S.RECTIFYING: "build", _S.RECTIFIED: "inspect", _S.INSPECTED: "connect",
}  # fmt: skip
"""Which step's clock runs in a state; `confirm` has none: it waits for the applicant, or for us."""
_AREA = "select substr(area, 1, 6) as area from application where id = $1"


class PauseNotListed(LianbanError):
    """The promise stands still only for a reason of the closed list. data: ``reason``."""

    code = "pause_not_listed"


class OrderClock:
    """Runs the promises of orders."""

    def __init__(self, city: City, deadlines: Deadlines, calendars: Calendars) -> None:
        self._city = city
        self._deadlines = deadlines
        self._calendars = calendars

    async def came_to(self, order: ServiceOrder, before: str) -> None:
        """The order has moved: the clock of the step it has left ends, that of its step begins."""
        node = _NODES.get(OrderStatus(order.status))
        if node is not None and node != _NODES.get(OrderStatus(before)):
            await self._deadlines.enter_node(_subject(order), node, company=order.company, area=await _district(order))

    async def open(self, order: ServiceOrder) -> None:
        """The order was accepted: what is promised by the distance the applicant has declared, until the survey.

        Where he did not know it, by the longest that is promised; beyond that nothing is promised before the survey.
        """
        assert order.accepted_at is not None
        promise = self._promise_of(order)
        if promise is not None:
            await self._open(order, promise)

    async def surveyed(
        self, order: ServiceOrder, approver: str | None, actor: Actor, committed_days: int | None
    ) -> None:
        """The surveyed distance takes the place of the declared one: a shorter promise at once, a longer one with approval only.

        Beyond the last band the company commits itself to days, with approval, or has a working day for it.
        """
        promise = self._promise_of(order)
        if promise is None and committed_days is not None and approver is not None:
            promise = self._deadlines.committed(committed_days, clock.today())
        runs = await self._deadlines.explain(_subject(order))
        if promise is None:
            if runs is None:
                await self._deadlines.open_commitment(
                    _subject(order), clock.now(), company=order.company, area=await _district(order)
                )
        elif runs is None:
            await self._open(order, promise)
        else:
            with suppress(ApproverNeeded):  # else the shorter promise stands
                await self._deadlines.revise(_subject(order), promise, "surveyed", actor, approver)

    async def commit(self, order: ServiceOrder, days: int) -> None:
        """The company commits itself to days, which a supervisor has approved.

        Raises:
            ExtensionRefused: more than the city allows.
        """
        await self._deadlines.end_commitment(_subject(order))
        await self._open(order, self._deadlines.committed(days, clock.today()))

    async def waits(self, order: ServiceOrder, reason: Literal["correction", "applicant"], paper: UUID) -> None:
        """It is the applicant's turn, as this paper says. What stands still already stands still."""
        with suppress(DeadlineNotRunning, DeadlinePaused):
            # The way itself says that it is his turn: no supervisor has to.
            await self._deadlines.pause(_subject(order), reason, f"order_paper:{paper}", _WAY, approver="turn")

    async def goes_on(self, order: ServiceOrder, reason: Literal["correction", "applicant"]) -> None:
        """The applicant has answered."""
        with suppress(DeadlineNotPaused):
            await self._deadlines.resume(_subject(order), reason)

    async def pause(self, order: ServiceOrder, reason: str, paper: UUID, actor: Actor, approver: str | None) -> None:
        """特别程序（开始）.

        Raises:
            PauseNotListed. DeadlineNotRunning, DeadlinePaused. SupervisorNeeded: for this reason, or so often, only with one.
        """
        try:
            await self._deadlines.pause(
                _subject(order), listed(reason), f"order_paper:{paper}", actor, approver=approver
            )
        except ApproverNeeded as needed:
            raise SupervisorNeeded(why="pause") from needed

    async def resume(self, order: ServiceOrder, reason: str, paper: UUID) -> None:
        """特别程序（结束）; one whose cap was reached runs on already, and where it is the applicant's turn meanwhile, that stops it."""
        with suppress(DeadlineNotPaused):
            await self._deadlines.resume(_subject(order), listed(reason))
        if order.status in APPLICANTS_TURN:
            await self.waits(order, "correction" if order.status == _S.CORRECTING else "applicant", paper)

    async def extend(self, order: ServiceOrder, days: int, reason: str, actor: Actor, approver: str) -> None:
        """So many working days more.

        Raises:
            DeadlineNotRunning, ExtensionRefused, ApproverNeeded.
        """
        await self._deadlines.extend(_subject(order), days, reason, actor, approver)

    async def ended(self, order: ServiceOrder, *, void: bool = False) -> None:
        """Connected; or (`void`) ended otherwise."""
        await self._deadlines.close(_subject(order), void=void)

    async def explain(self, order_id: UUID) -> Explanation | None:
        """The promise with everything that makes its due date; None while nothing is promised."""
        return await self._deadlines.explain(Subject(KIND, order_id))

    async def days_for(self, order_id: UUID, distance_m: int | None) -> int | None:
        """The days promised to an order for a distance; None beyond the last band. A main laid beforehand is near whatever was measured."""
        order = await ServiceOrder.get(id=order_id)
        promise = self._promise_of(order) if order.main_laid else self._promise(distance_m)
        return None if promise is None else promise.days

    async def is_over(self, order: ServiceOrder) -> bool:
        """True when the promise's last moment has passed."""
        found = await self.explain(order.id)
        return found is not None and found.deadline.closed_at is None and clock.now() > found.due.due_at

    async def is_past_workdays(self, days: int, order: ServiceOrder) -> bool:
        """True when more than so many working days have gone since the company has received the order."""
        assert order.received_at is not None
        calendar = await self._calendars.current()
        return calendar.between(order.received_at.astimezone(clock.SHANGHAI).date(), clock.today()) > days

    def _promise_of(self, order: ServiceOrder) -> Promise | None:
        if order.main_laid:
            return self._deadlines.promise(0, clock.today(), main_laid=True)
        return self._promise(order.distance_m)

    def _promise(self, distance_m: int | None) -> Promise | None:
        if distance_m is None:
            bands = in_force(self._city.promises.distance, clock.today(), "distance").bands
            distance_m = bands[-1].up_to_m
        try:
            return self._deadlines.promise(distance_m, clock.today())
        except CommitmentNeeded:
            return None

    async def _open(self, order: ServiceOrder, promise: Promise) -> None:
        assert order.accepted_at is not None
        await self._deadlines.open_deadline(
            _subject(order), promise, order.accepted_at, company=order.company, area=await _district(order)
        )


_WAY = Actor("system", "order")


def listed(reason: str) -> PauseReason:
    """Raises :class:`PauseNotListed`."""
    for one in PAUSE_REASONS:
        if one == reason:
            return one
    raise PauseNotListed(reason=reason)


def _subject(order: ServiceOrder) -> Subject:
    return Subject(KIND, order.id)


async def _district(order: ServiceOrder) -> str | None:
    row = await fetch_one(_AREA, order.application_id)
    return row["area"] if row else None
