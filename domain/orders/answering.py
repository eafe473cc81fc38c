"""What applicants do with their orders: answer a correction, confirm or question a plan, sign, withdraw."""

from typing import Any, Literal
from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from domain.identity.tokens import Caller
from domain.orders.clock import OrderClock
from domain.orders.moving import OncePerOrder, event_data, locked, moved, take_consent_back
from domain.orders.papers import Papers
from models.application import way_to_application
from models.lifecycle import SYSTEM, Actor, announce
from models.service_order import BEFORE_CONSTRUCTION, OVER, OrderStatus, ServiceOrder
from models.share import note_use

_S = OrderStatus
_LAPSED = "select id from service_order where status = 'correcting' and correction_ends_on < $1 order by id limit 500"


class PlanDiffers(LianbanError):
    """What was confirmed is not the plan as it is now: look at it again. data: ``plan_version``."""

    code = "plan_differs"


class OrderAnswers:
    """One method per verb of an applicant. Every method raises NotFound where the order is not his, IllegalMove where it stands elsewhere."""

    def __init__(self, papers: Papers, order_clock: OrderClock) -> None:
        self._papers = papers
        self._clock = order_clock

    async def answer(self, caller: Caller, order_id: UUID, changes: dict[str, Any], note: str) -> ServiceOrder:
        """The answer to a correction: `changes` of the answers by pointer, checked before; what was uploaded counts by itself."""
        async with transaction():
            order, actor = await self._own(caller, order_id, "file", "application.corrected")
            event = "answer_surveyed" if order.surveyed_at else "answer_accepted" if order.accepted_at else "answer"
            columns = {"correction_ends_on": None, "revision": order.revision + 1}
            await self._moved(order, event, actor, columns=columns)
            await self._papers.write(order.id, "answer", {"changes": changes, "note": note}, actor)
            await self._clock.goes_on(order, "correction")
        return order

    async def confirm_plan(self, caller: Caller, order_id: UUID, plan_version: int) -> ServiceOrder:
        """The applicant agrees with the plan he has seen.

        Raises:
            PlanDiffers: there is a newer one.
        """
        async with transaction():
            order, actor = await self._own(caller, order_id, "sign", "application.plan_confirmed")
            _same_plan(order, plan_version)
            await self._moved(order, "confirm_plan", actor)
        failpoint("order.plan_confirmed_committed")
        return order

    async def question_plan(self, caller: Caller, order_id: UUID, plan_version: int, note: str) -> ServiceOrder:
        """He has a question, or wants another: it is the company's turn again.

        Raises:
            PlanDiffers.
        """
        async with transaction():
            order, actor = await self._own(caller, order_id, "file", "application.plan_questioned")
            _same_plan(order, plan_version)
            await self._moved(order, "question_plan_surveyed" if order.surveyed_at else "question_plan", actor)
            await self._clock.goes_on(order, "applicant")
            await self._papers.write(order.id, "plan_question", {"note": note}, actor)
        return order

    async def sign_contract(self, caller: Caller, order_id: UUID, plan_version: int) -> ServiceOrder:
        """供用水、电、气合同 or 入网协议, signed by a caller who has just proved who he is.

        Raises:
            PlanDiffers.
        """
        async with transaction():
            order, actor = await self._own(caller, order_id, "sign", "application.contracted")
            _same_plan(order, plan_version)
            await self._moved(order, "sign_contract", actor)
            await self._clock.goes_on(order, "applicant")
            content = {
                "plan_version": plan_version,
                "user_id": str(caller.user_id),
                "session_id": str(caller.session_id),
            }
            await self._papers.write(order.id, "contract", content, actor)
        failpoint("order.contracted_committed")
        return order

    async def withdraw(self, caller: Caller, order_id: UUID) -> ServiceOrder:
        """Withdraw one order, and the consent with it: at once before construction; after that the company has to agree.

        Raises:
            OncePerOrder: it is being decided already.
        """
        async with transaction():
            order, actor = await self._own(caller, order_id, "file", "application.withdrawn")
            await self.withdrawn(order, actor)
        return order

    async def withdrawn(self, order: ServiceOrder, actor: Actor) -> None:
        """Withdraw a locked order, in the caller's transaction."""
        if order.status in OVER or order.status in BEFORE_CONSTRUCTION:
            columns = {"ended_at": clock.now(), "correction_ends_on": None}
            await moved(order, "withdraw", actor, columns=columns)
            await self._clock.ended(order, void=True)
            await take_consent_back(order)
            return
        if order.withdrawal_asked_at is not None:
            raise OncePerOrder(what="withdrawal")
        order.withdrawal_asked_at = clock.now()
        await order.save(update_fields=["withdrawal_asked_at"])
        paper = await self._papers.write(order.id, "withdrawal", {}, actor)
        await announce("service_order.withdrawal_asked", "order_paper", paper, actor, event_data(order))

    async def lapse(self) -> int:
        """Withdraw what nobody has corrected in time; how many."""
        rows = await fetch(_LAPSED, clock.today())
        for row in rows:
            async with transaction():
                order = await locked(row["id"])
                if order.status == _S.CORRECTING and (order.correction_ends_on or clock.today()) < clock.today():
                    columns = {"ended_at": clock.now(), "correction_ends_on": None}
                    await moved(order, "lapse", SYSTEM, columns=columns)
                    await self._clock.ended(order, void=True)
        return len(rows)

    async def _moved(self, order: ServiceOrder, event: str, actor: Actor, **more: Any) -> ServiceOrder:
        before = str(order.status)
        await moved(order, event, actor, **more)
        await self._clock.came_to(order, before)
        return order

    async def _own(
        self, caller: Caller, order_id: UUID, scope: Literal["read", "file", "sign"], deed: str
    ) -> tuple[ServiceOrder, Actor]:
        """The caller's own order, locked; what an agent is about to do is written down."""
        known = await ServiceOrder.get_or_none(id=order_id)
        way = await way_to_application(known.application_id, caller.principal, scope) if known else None
        if known is None or way is None:
            raise NotFound("service_order")
        order = await locked(order_id)
        await note_use(way, caller.person_id, deed, None, order.application_id)
        return order, Actor("person", str(caller.person_id))


def _same_plan(order: ServiceOrder, plan_version: int) -> None:
    if order.status in (_S.PLAN_REPLIED, _S.PLAN_CONFIRMED) and order.plan_version != plan_version:
        raise PlanDiffers(plan_version=order.plan_version)
