"""Reports of companies: kept as they come, worked by their numbers, so that late, twice and out of order leave the same rows as once."""

from datetime import timedelta
from uuid import UUID

import msgspec

from core import clock, ids
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import OutboundError
from domain.orders.moving import Handler
from domain.services import Services
from gateways.companies import CompanyRefusal
from gateways.company_order_types import AnyReport
from models.lifecycle import Actor
from models.order_report import OrderReport
from models.service_order import ENDS, ServiceOrder

log = get_logger(__name__)

_COLUMN = "order_report.content"
_KEEP = """
insert into order_report (id, order_id, sequence, kind, content, came_at) values ($1, $2, $3, $4, $5, $6)
on conflict (order_id, sequence) do nothing
"""
_NEXT = """
select id from order_report where order_id = $1 and worked_at is null
  and sequence = (select coalesce(max(sequence), 0) + 1 from order_report where order_id = $1 and worked_at is not null)
"""
_WAITING = "select distinct order_id from order_report where worked_at is null and came_at < $1 limit 500"


async def take(services: Services, company: str, report: AnyReport) -> str:
    """Keep a verified report of this company and work what can be worked; what became of it."""
    order = await _own(company, report.order_id)
    if order is None:
        # The order must be this company's own: a company speaks for nobody else.
        log.error("inbox.order_of_another_company", company=company)
        return "unknown_order"
    await _keep(services, order.id, report)
    failpoint("order_report.kept_committed")
    await work(services, order.id)
    kept = await OrderReport.get(order_id=order.id, sequence=report.sequence)
    return kept.outcome or "waits"


async def work(services: Services, order_id: UUID) -> None:
    """Work the reports of an order whose turn it is, each in a transaction of its own."""
    while True:
        async with transaction():
            order = await ServiceOrder.filter(id=order_id).select_for_update().get()
            row = await fetch_one(_NEXT, order_id)
            if row is None:
                return
            kept = await OrderReport.get(id=row["id"])
            kept.outcome, kept.worked_at = await _work(services, order, kept), clock.now()
            await kept.save(update_fields=["outcome", "worked_at"])
            failpoint("order_report.worked_before_commit")


async def ask_for_missing(services: Services) -> int:
    """Ask the companies about orders with a report missing between two others; how many were asked about."""
    ask_after: timedelta = services.city.crews.delivery(clock.today()).ask_after
    rows = await fetch(_WAITING, clock.now() - ask_after)
    for row in rows:
        await catch_up(services, await ServiceOrder.get(id=row["order_id"]))
    return len(rows)


async def ask_about_all(services: Services) -> int:
    """Ask about every order that is not over: what was lost on its way is found; how many were asked about."""
    orders = await ServiceOrder.exclude(status__in=[str(end) for end in ENDS]).order_by("id")
    for order in orders:
        await catch_up(services, order)
    return len(orders)


async def catch_up(services: Services, order: ServiceOrder) -> None:
    """Take what the company has reported of an order and what has not come here."""
    try:
        standing = await services.order_delivery.standing(order)
    except (OutboundError, CompanyRefusal) as error:
        log.warning("order.not_asked", order_id=str(order.id), error_code=error.code)
        return
    if standing is None:
        return
    for report in standing.reports:
        await _keep(services, order.id, report)
    await work(services, order.id)


async def _work(services: Services, order: ServiceOrder, kept: OrderReport) -> str:
    content = services.vault.open_bytes(kept.content, _COLUMN, kept.id)
    report = msgspec.json.decode(content, type=AnyReport)
    by = Handler(Actor("company", order.company), order.company)
    try:
        return await services.company_work.do(order.id, by, report)
    except LianbanError as error:
        log.error(
            "order_report.not_done",
            order_id=str(order.id),
            company=order.company,
            report=kept.kind,
            error_code=error.code,
        )
        return error.code[:40]


async def _keep(services: Services, order_id: UUID, report: AnyReport) -> None:
    report_id = ids.new_id()
    kind = str(report.__struct_config__.tag)
    content = services.vault.seal(msgspec.json.encode(report), _COLUMN, report_id)
    await fetch(_KEEP, report_id, order_id, report.sequence, kind, content, clock.now())


async def _own(company: str, order_id: str) -> ServiceOrder | None:
    try:
        return await ServiceOrder.get_or_none(id=UUID(order_id), company=company)
    except ValueError:
        return None
