"""What a company does with its orders, by whichever door it comes: its system's reports and its staff's clicks do the same here.

What needs a supervisor waits as a request, is decided by somebody else than who asked, and is then done as it was asked.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from core import clock, ids
from core.crypto import Vault
from core.database import transaction, violated_constraint
from core.errors import LianbanError, NotFound
from domain.orders.clock import OrderClock
from domain.orders.handling import Found, Item, Orders
from domain.orders.moving import Handler, OncePerOrder, SupervisorNeeded, locked
from domain.surveys.parts import Finding, Parts
from gateways import company_order_types as reports
from gateways.company_order_types import AnyReport
from models.lifecycle import Actor, born, move
from models.order_request import ORDER_REQUEST, OrderRequest, RequestStatus
from models.service_order import OrderPaper, ServiceOrder

DONE, ASKED = "done", "asked"
COMMITMENT, LONGER = "commitment", "longer_promise"
_COLUMN = "order_request.content"


class NotYourOwnRequest(LianbanError):
    """Who asked does not decide."""

    code = "not_your_own_request"


class DistanceMissing(LianbanError):
    """A company that can supply says how far its main is."""

    code = "survey_distance_missing"


class CompanyWork:
    """Does what a company says, and keeps what has to be agreed first."""

    def __init__(self, orders: Orders, order_clock: OrderClock, parts: Parts, vault: Vault) -> None:
        self._orders = orders
        self._clock = order_clock
        self._parts = parts
        self._vault = vault

    async def do(self, order_id: UUID, by: Handler, report: AnyReport) -> str:
        """Do it: ``done``; or ``asked``, when a supervisor has to agree first. The order must be of the handler's company.

        `report` names order and number too; neither is looked at here.

        Raises:
            LianbanError: of the verbs of :class:`Orders`; nothing has been written then.
        """
        try:
            async with transaction():
                await self._verb(order_id, by, report)
                if isinstance(report, reports.Surveyed) and report.can_supply:
                    return await self._follow_survey(order_id, by, report)
        except SupervisorNeeded as needed:
            await self._ask(order_id, by, str(needed.data["why"]), report)
            return ASKED
        return DONE

    async def decide(
        self, request_id: UUID, supervisor: Actor, *, agreed: bool, reason: str | None, company: str | None = None
    ) -> None:
        """Agree, and it is done as it was asked; or refuse, with a reason. `company`: only of this company's orders.

        Raises:
            NotFound: there is none that waits.
            NotYourOwnRequest: he asked for it himself.
        """
        async with transaction():
            known = await OrderRequest.get_or_none(id=request_id)
            if known is None or (company is not None and known.company != company):
                raise NotFound("order_request")
            await locked(known.order_id)
            request = await OrderRequest.filter(id=request_id).select_for_update().get()
            if request.status != RequestStatus.ASKED:
                raise NotFound("order_request")
            if request.asked_by == supervisor.id:
                raise NotYourOwnRequest
            columns = {"decided_by": supervisor.id, "decided_at": clock.now(), "reason": reason}
            data = {"order_id": str(request.order_id), "company": request.company, "kind": request.kind}
            if agreed:
                by = Handler(Actor(request.asked_by_kind, request.asked_by), request.company, supervisor.id)
                await self._agreed(request, by)
            event = "approve" if agreed else "refuse"
            await move(ORDER_REQUEST, request, event, supervisor, reason=reason, columns=columns, data=data)

    async def decide_extension(self, order_id: UUID, supervisor: Actor, *, agreed: bool) -> None:
        """Agree to the days a company has asked for, or not.

        Raises:
            NotYourOwnRequest: he asked for them himself. IllegalMove: nothing is asked.
        """
        async with transaction():
            order = await locked(order_id)
            asked = await OrderPaper.filter(order_id=order_id, kind="extension_asked").order_by("-version").first()
            if asked is not None and asked.actor_id == supervisor.id:
                raise NotYourOwnRequest
            asker = Actor(asked.actor_kind, asked.actor_id) if asked else supervisor
            await self._orders.extend(order_id, Handler(asker, order.company, supervisor.id), agreed)

    async def _agreed(self, request: OrderRequest, by: Handler) -> None:
        asked = self.asked_for(request)
        if request.kind == LONGER and isinstance(asked, reports.Surveyed):
            order = await locked(request.order_id, by.company)
            await self._clock.surveyed(order, by.supervisor, by.actor, asked.committed_days)
            return
        await self._verb(request.order_id, by, asked)

    def asked_for(self, request: OrderRequest) -> AnyReport:
        """What was asked for, as it would be done."""
        return msgspec.json.decode(self._vault.open_bytes(request.content, _COLUMN, request.id), type=AnyReport)

    async def _ask(self, order_id: UUID, by: Handler, why: str, report: AnyReport) -> None:
        request_id = ids.new_id()
        try:
            async with transaction():
                await locked(order_id, by.company)
                request = await OrderRequest.create(
                    id=request_id,
                    status=RequestStatus.ASKED,
                    order_id=order_id,
                    company=by.company,
                    kind=why,
                    content=self._vault.seal(msgspec.json.encode(report), _COLUMN, request_id),
                    asked_by_kind=by.actor.kind,
                    asked_by=by.actor.id,
                    asked_at=clock.now(),
                )
                data = {"order_id": str(order_id), "company": by.company, "kind": why}
                await born(ORDER_REQUEST, request, by.actor, announces="order_request.asked", data=data)
        except Exception as error:
            if violated_constraint(error) == "order_request_live_once":
                raise OncePerOrder(what=why) from error
            raise

    async def _follow_survey(self, order_id: UUID, by: Handler, report: reports.Surveyed) -> str:
        """What the surveyed distance makes longer is asked for; until somebody agrees the shorter promise stands.

        Beyond the last band nothing is promised until the days the company commits itself to are agreed.
        """
        if by.is_approved:
            return DONE
        runs = await self._clock.explain(order_id)
        if runs is None:
            if report.committed_days is None:
                return DONE
            words = report.commitment_reason or "勘查距离超过承诺的最远一档"
            commitment = reports.DaysCommitted(
                order_id=report.order_id, sequence=report.sequence, at=report.at, days=report.committed_days, note=words
            )
            await self._ask(order_id, by, COMMITMENT, commitment)
            return ASKED
        promised = await self._clock.days_for(order_id, report.distance_m)
        if promised is None or promised > runs.deadline.days:
            await self._ask(order_id, by, LONGER, report)
            return ASKED
        return DONE

    async def _verb(self, order_id: UUID, by: Handler, report: AnyReport) -> None:
        match report:
            case reports.CorrectionAsked():
                await self._orders.send_back(order_id, by, _items(report.items))
            case reports.OrderRefused() | reports.OrderFailed():
                await self._orders.refuse(order_id, by, report.reason, report.note)
            case reports.HandedBack():
                await self._orders.hand_back(order_id, by, report.note)
            case reports.Surveyed():
                await self._survey(order_id, by, report)
            case reports.PlanReplied():
                await self._orders.reply_plan(order_id, by, report.plan, needs_permits=list(report.needs_permits))
            case reports.Inspected():
                await self._orders.inspect(order_id, by, report.passed, _items(report.items), report.again_by)
            case reports.Connected():
                await self._orders.connect(order_id, by, report.account_number)
            case reports.Archived():
                await self._orders.archive(order_id, by, report.file_number)
            case reports.ExtensionAsked():
                await self._orders.ask_extension(order_id, by, report.days, report.note)
            case reports.DaysCommitted():
                await self._orders.commit(order_id, by, report.days, report.note)
            case reports.PauseAsked():
                await self._orders.suspend(order_id, by, report.reason, report.note)
            case _:
                await self._plain(type(report))(order_id, by)

    def _plain(self, kind: type[AnyReport]) -> Callable[[UUID, Handler], Any]:
        """The verbs that say nothing more."""
        return {
            reports.Accepted: self._orders.accept,
            reports.ConstructionStarted: self._orders.construct,
            reports.Rectified: self._orders.rectify,
            reports.PauseOver: self._orders.resume,
            reports.WithdrawalAgreed: self._orders.agree_withdrawal,
        }[kind]

    async def _survey(self, order_id: UUID, by: Handler, report: reports.Surveyed) -> None:
        order: ServiceOrder = await locked(order_id, by.company)
        if report.can_supply and report.distance_m is None:
            raise DistanceMissing
        finding = Finding(
            report.can_supply,
            report.distance_m,
            None if report.distance_m is None else report.distance_source,
            report.reason or (None if report.can_supply else "cannot_supply"),
            report.commitment_reason,
            report.plan,
            report.photos,
        )
        await self._parts.sign(order, finding, by.actor)
        if not report.can_supply:
            await self._orders.refuse(order_id, by, finding.reason or "cannot_supply", report.plan)
            return
        assert report.distance_m is not None
        await self._orders.survey(
            order_id,
            by,
            Found(
                report.distance_m,
                report.distance_source,
                report.plan,
                report.photos,
                report.committed_days,
                report.commitment_reason,
            ),
        )


def _items(items: tuple[reports.Item, ...]) -> list[Item]:
    return [Item(item.subject, item.note) for item in items]
