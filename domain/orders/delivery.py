"""Telling a company of its orders: each thing under one id, one after the other, until it has answered.

After a time-out we ask; what never arrived is told again under the same id. A company without an interface for orders has them in the
staff pages from the first minute. Nothing leaves without the consent that names the company: the order could not exist.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, NotSent, OutcomeUnknown
from core.queue import enqueue
from domain.companies import Companies, CompanyNotJoined
from domain.orders.content import common_part, corrected, own_part
from domain.orders.handling import Orders
from domain.orders.papers import Papers
from gateways.companies import CompanyGateway, CompanyRefusal
from gateways.company_order_types import Lead, OrderNotice, OrderStanding, SentOrder
from models.application import Application
from models.consent import Consent
from models.lifecycle import SYSTEM, Actor, Event, StaleState, born, move
from models.order_telling import ORDER_TELLING, OrderTelling, TellingStatus
from models.service_order import ENDS, OrderStatus, ServiceOrder

log = get_logger(__name__)

TELL_TASK = "orders.tell"

ORDERS = frozenset({"service_order.created", "service_order.corrected"})
WITHDRAWALS = {
    "service_order.withdrawn": "withdrawn_by_applicant",
    "service_order.lapsed": "correction_lapsed",
    "service_order.reassigned": "reassigned",
}
NOTICES = {
    "service_order.plan_confirmed": "plan_confirmed",
    "service_order.plan_questioned": "plan_questioned",
    "service_order.contracted": "contract_signed",
    "service_order.redispatched": "redispatched",
    "service_order.withdrawal_asked": "withdrawal_asked",
    "service_order.extended": "extension_approved",
    "service_order.extension_refused": "extension_refused",
    "service_order.paused": "paused",
    "service_order.resumed": "resumed",
    "order_request.approved": "request_approved",
    "order_request.refused": "request_refused",
}
APPOINTMENTS = {
    "survey.held": "appointment_held",
    "survey.fixed": "appointment_fixed",
    "survey.released": "appointment_cancelled",
    "survey.cancelled": "appointment_cancelled",
}
"""Event → what its company is told of it. An event of a survey goes to every company that was booked for its round."""
PAPER_ADDED = "application.paper_added"
"""Goes to the companies whose service asks for the paper."""

_NEXT = "select coalesce(max(number), 0) + 1 as number, coalesce(max(revision), 0) + 1 as revision from order_telling where order_id = $1"
_EARLIER = """
select 1 from order_telling where order_id = $1 and number < $2 and status not in ('told', 'refused', 'at_desk') limit 1
"""
_FOLLOWING = """
select id from order_telling where order_id = $1 and number > $2 and status = 'pending' order by number limit 1
"""
_LOCK_ORDER = "select 1 from service_order o join order_telling t on t.order_id = o.id where t.id = $1 for update of o"
_BOOKED = """
select b.order_id, s.code from survey_booking b join survey_slot s on s.id = b.slot_id
where b.survey_id = $1 and b.round = $2 order by b.company
"""
_OPEN = """
select id from service_order where application_id = $1 and service = any($2::text[]) and status <> all($3::text[]) order by number
"""
_LATE = """
select company, count(*) as count, min(created_at) as since from order_telling
where status not in ('told', 'refused', 'at_desk') and created_at < $1 group by company order by company
"""


class OrderDelivery:
    """Writes down what companies are to be told, and tells them."""

    def __init__(self, orders: Orders, papers: Papers, companies: Companies, vault: Vault, city: City) -> None:
        self._orders = orders
        self._papers = papers
        self._companies = companies
        self._vault = vault
        self._city = city

    async def heard(self, event: Event) -> None:
        """Write down what the companies are to be told of an event: once, however often it is heard.

        Raises:
            KeyError: no company is told of such an event.
        """
        if event.kind in APPOINTMENTS:
            await self._appointment(event)
            return
        if event.kind == PAPER_ADDED:
            await self._paper_added(event)
            return
        order_id = UUID(event.data.get("order_id") or str(event.subject_id))
        if event.kind in ORDERS:
            await self._write(order_id, event.id, "order", None, {})
        elif event.kind in WITHDRAWALS:
            await self._write(order_id, event.id, "withdrawal", WITHDRAWALS[event.kind], {})
        else:
            data = {"request": event.data["kind"]} if event.subject == "order_request" else {}
            await self._write(order_id, event.id, "notice", NOTICES[event.kind], data)

    async def tell(self, telling_id: UUID, step: int) -> None:
        """One step: send, or ask; plan the next one while it is not over. What stands before it goes first."""
        telling = await OrderTelling.get(id=telling_id)
        if telling.status in ORDER_TELLING.terminal or await fetch_one(_EARLIER, telling.order_id, telling.number):
            return
        try:
            await self._step(telling)
        except (NotSent, CompanyRefusal) as error:
            log.warning("order.telling_postponed", telling_id=str(telling_id), error_code=error.code)
        except OutcomeUnknown:
            await self._lost(telling_id)
        except StaleState:
            pass
        await telling.refresh_from_db()
        if telling.status not in ORDER_TELLING.terminal:
            waits = self._city.crews.delivery(clock.today()).retry_after
            async with transaction():
                await enqueue(
                    TELL_TASK, at=clock.now() + waits[min(step, len(waits) - 1)], telling_id=telling_id, step=step + 1
                )

    async def report_late(self) -> int:
        """Say as an error, for each company, how many things it has not been told in time; how many in all."""
        late_after: timedelta = self._city.crews.delivery(clock.today()).late_after
        rows = await fetch(_LATE, clock.now() - late_after)
        for row in rows:
            oldest_s = int((clock.now() - row["since"]).total_seconds())
            log.error("order_tellings.late", company=row["company"], count=row["count"], oldest_s=oldest_s)
        return sum(row["count"] for row in rows)

    async def standing(self, order: ServiceOrder) -> OrderStanding | None:
        """What the company says of an order when it is asked; None when it cannot be asked, or has never heard of it."""
        gateway = self._gateway(order.company)
        return None if gateway is None else await gateway.query_order(str(order.id))

    async def _appointment(self, event: Event) -> None:
        if event.data.get("round") is None:
            return
        told = {
            "survey_id": str(event.subject_id),
            **{name: event.data[name] for name in ("round", "starts_at", "ends_at")},
        }
        for row in await fetch(_BOOKED, event.subject_id, event.data["round"]):
            data = told | {"slot_id": row["code"]}
            await self._write(row["order_id"], event.id, "notice", APPOINTMENTS[event.kind], data)

    async def _paper_added(self, event: Event) -> None:
        requirement = event.data["requirement"]
        services = {
            service for one in self._city.materials.requirements if one.code == requirement for service in one.services
        }
        over = [status.value for status in ENDS]
        for row in await fetch(_OPEN, event.subject_id, list(services), over):
            await self._write(row["id"], event.id, "notice", "material_added", {"requirement": requirement})

    async def _write(self, order_id: UUID, cause_id: UUID, kind: str, notice: str | None, data: dict[str, Any]) -> None:
        try:
            async with transaction():
                order = await ServiceOrder.filter(id=order_id).select_for_update().get()
                if await OrderTelling.exists(order_id=order_id, cause_id=cause_id):
                    return
                if await _is_of_no_use(order, kind):
                    return
                row = await fetch_one(_NEXT, order_id)
                assert row is not None
                telling = await OrderTelling.create(
                    id=ids.new_id(),
                    status=TellingStatus.PENDING,
                    order_id=order_id,
                    company=order.company,
                    number=row["number"],
                    kind=kind,
                    revision=row["revision"] if kind == "order" else None,
                    notice=notice,
                    data=data,
                    cause_id=cause_id,
                    created_at=clock.now(),
                )
                await born(ORDER_TELLING, telling, SYSTEM)
                await enqueue(TELL_TASK, telling_id=telling.id, step=0)
        except Exception as error:
            if violated_constraint(error) != "order_telling_cause_once":
                raise
            return
        failpoint("order_telling.written_committed")

    async def _step(self, telling: OrderTelling) -> None:
        gateway = self._gateway(telling.company)
        if gateway is None:
            await self._end(telling.id, "lay_down", SYSTEM)
            return
        company = Actor("company", telling.company)
        if telling.status != TellingStatus.PENDING:
            if telling.kind == "order":
                standing = await gateway.query_order(str(telling.order_id))
                if standing is not None and standing.revision >= (telling.revision or 0):
                    await self._end(telling.id, "told", company, {"company_number": standing.company_number})
                    return
            # A withdrawal or a notice changes nothing the second time: its own id is the question.
            async with transaction():
                await move(ORDER_TELLING, await _locked(telling.id), "absent", company)
        async with transaction():
            telling = await _locked(telling.id)
            await move(ORDER_TELLING, telling, "send", SYSTEM)
        failpoint("order_telling.sending_committed")
        try:
            number = await self._send(gateway, telling)
        except NotSent:
            async with transaction():
                await move(ORDER_TELLING, await _locked(telling.id), "absent", SYSTEM)
            raise
        except CompanyRefusal as refusal:
            if refusal.kind is not FailureKind.PERMANENT:
                async with transaction():
                    await move(ORDER_TELLING, await _locked(telling.id), "absent", company)
                raise
            log.error("order.telling_refused", telling_id=str(telling.id), refusal=refusal.company_code)
            await self._end(telling.id, "refused", company, {"refusal_code": refusal.company_code})
            return
        failpoint("order_telling.answered")
        await self._end(telling.id, "told", company, {"company_number": number})

    async def _send(self, gateway: CompanyGateway, telling: OrderTelling) -> str | None:
        if telling.kind == "order":
            return (await gateway.send_order(await self._content(telling))).company_number
        if telling.kind == "withdrawal":
            return (await gateway.withdraw_order(str(telling.order_id), telling.notice or "")).company_number
        told = {"notice_id": str(telling.id), "order_id": str(telling.order_id), "kind": telling.notice}
        await gateway.order_notice(
            msgspec.convert(told | {"at": telling.created_at, "data": telling.data}, OrderNotice)
        )
        return None

    async def _content(self, telling: OrderTelling) -> SentOrder:
        """The same for the same order and revision, always: what was filed, with the answers to the corrections before this revision."""
        order = await ServiceOrder.get(id=telling.order_id)
        application = await Application.get(id=order.application_id)
        consent = await Consent.get(application_id=order.application_id, company=order.company)
        assert application.answers is not None
        assert application.filed_at is not None
        answers = msgspec.json.decode(
            self._vault.open_bytes(application.answers, "application.answers", application.id)
        )
        for paper in (await self._papers.of([order.id], ["answer"]))[: (telling.revision or 1) - 1]:
            answers = corrected(answers, paper.content["changes"])
        return SentOrder(
            order_id=str(order.id),
            revision=telling.revision or 1,
            number=order.number,
            application_number=application.number or "",
            service=order.service,
            area=application.area or "",
            form_version=f"application-{application.form_version}",
            filed_at=application.filed_at,
            notice_version=consent.notice_version,
            consented_at=consent.given_at,
            common=common_part(answers),
            part=own_part(answers, order.service),
            source="platform_push" if order.pushed else "applicant",
            lead=_lead(order, answers) if order.pushed else None,
        )

    async def _end(self, telling_id: UUID, event: str, actor: Actor, columns: Mapping[str, Any] | None = None) -> None:
        """End a telling; an order that the company has is received; what waited behind it may go."""
        async with transaction():
            # The order's lock first: a telling that is being written meanwhile is then seen below, or sees that this one is over.
            await fetch(_LOCK_ORDER, telling_id)
            telling = await _locked(telling_id)
            await move(ORDER_TELLING, telling, event, actor, columns={**(columns or {}), "ended_at": clock.now()})
            if telling.kind == "order" and event != "refused":
                await self._orders.receive(telling.order_id)
            for row in await fetch(_FOLLOWING, telling.order_id, telling.number):
                await enqueue(TELL_TASK, telling_id=row["id"], step=0)

    async def _lost(self, telling_id: UUID) -> None:
        async with transaction():
            telling = await _locked(telling_id)
            if telling.status == TellingStatus.SENDING:
                await move(ORDER_TELLING, telling, "lost", SYSTEM)

    def _gateway(self, company: str) -> CompanyGateway | None:
        """The company's interface; None when its staff work orders in the staff pages."""
        try:
            gateway = self._companies.get(company).gateway
        except CompanyNotJoined:
            return None
        return gateway if isinstance(gateway, CompanyGateway) else None


async def _is_of_no_use(order: ServiceOrder, kind: str) -> bool:
    """Events may be heard in another order than they happened: what was withdrawn is not sent after it, nor taken back unsent."""
    if kind == "order":
        return order.status in (OrderStatus.WITHDRAWN, OrderStatus.REASSIGNED)
    return kind == "withdrawal" and not await OrderTelling.exists(order_id=order.id, kind="order")


def _lead(order: ServiceOrder, answers: Mapping[str, Any]) -> Lead:
    site = answers.get("site", {})
    return Lead(site.get("planned_start"), site.get("planned_on"), order.main_laid)


async def _locked(telling_id: UUID) -> OrderTelling:
    return await OrderTelling.filter(id=telling_id).select_for_update().get()
