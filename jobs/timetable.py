"""What runs by the clock. Six fields: the seconds stand last."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import date, datetime, timedelta

import procrastinate

from cities.schema import BillFileRule
from core import clock
from core.apart import Apart
from core.database import fetch
from core.log import get_logger
from core.outbound import OutboundError
from domain.billing.accounts import CompanyAway
from domain.billing.sharing import lapse_invitations
from domain.identity.cards import lapse_cards
from domain.identity.mandates import expire_mandates, warn_of_ends
from domain.services import Services
from jobs import order_reports, retention
from jobs.orphans import sweep
from models import nonce
from models.bill import BillFile
from models.idempotency import KEPT
from payments.providers.port import ProviderRefused
from payments.reconciliation import items

log = get_logger(__name__)

STALLED_AFTER_S = 10.0


async def rescue(app: procrastinate.App) -> int:
    """Give jobs of dead workers to the living; how many."""
    rescued = 0
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_S):
        try:
            await app.job_manager.retry_job(job)
            rescued += 1
        except Exception as error:
            log.warning("jobs.rescue_failed", job_id=job.id, error_type=type(error).__name__)
    return rescued


async def tidy() -> None:
    """Remove what a protocol keeps for a while: nonces and the answers to idempotency keys."""
    await nonce.tidy()
    await fetch("delete from idempotent_answer where created_at < $1", clock.now() - KEPT)


async def take_bill_files(services: Services) -> None:
    """Every file of the last days that is ready and that we do not have, of all joined companies, oldest first.

    One that is missing is asked for again the next time, for as long as the pack looks back, and is an alarm once it is overdue. From
    before a company's first file nothing is missed.
    """
    now, rule = clock.now().astimezone(clock.SHANGHAI), services.city.payment_rules(clock.today()).bill_file
    apart = Apart("bills.file_failed")
    for company in services.companies:
        if company.rules.gateway.mode == "file":
            continue  # its account files hold the bills
        with apart.one(company=company.code):
            await _take_bill_files(services, company.code, now, rule, apart)
    apart.end()


async def _take_bill_files(services: Services, company: str, now: datetime, rule: BillFileRule, apart: Apart) -> None:
    first = await BillFile.filter(company=company).order_by("day").first()
    taken = set(await BillFile.filter(company=company).order_by("-day").limit(60).values_list("day", flat=True))
    for day in _days(now, rule):
        is_missed = day == now.date() - timedelta(days=1) or (first is not None and first.day < day)
        if day in taken or not is_missed:
            continue
        with apart.one(company=company, day=str(day)):
            try:
                written = await services.refresher.take_file(company, day)
                log.info("bills.file_taken", company=company, day=str(day), written=written)
            except CompanyAway:
                late = now >= datetime.combine(day + timedelta(days=1), rule.late_at, clock.SHANGHAI)
                (log.error if late else log.warning)("bills.file_missing", company=company, day=str(day))


def _days(now: datetime, rule: BillFileRule) -> Iterator[date]:
    """The days whose files are ready, oldest first."""
    day = now.date() - rule.look_back
    while datetime.combine(day + timedelta(days=1), rule.ready_at, clock.SHANGHAI) <= now:
        yield day
        day += timedelta(days=1)


async def refresh_certificates(services: Services) -> None:
    """WeChat Pay's platform certificates, where the merchant still uses them."""
    if not services.settings.wechat_pay.platform_certificates:
        return
    try:
        await services.wechat_pay.refresh_certificates()
    except (OutboundError, ProviderRefused) as error:
        log.warning("wechat_pay.certificates_not_refreshed", error_code=error.code)


def _timed(work: Callable[[], Awaitable[object]]) -> Callable[[int], Awaitable[None]]:
    async def run(timestamp: int) -> None:
        await work()

    return run


def register(app: procrastinate.App, services: Services) -> None:
    """Put the timetable into the application."""

    async def run_rescue(timestamp: int) -> None:
        await rescue(app)

    async def run_sweep(timestamp: int) -> None:
        await sweep()

    async def run_tidy(timestamp: int) -> None:
        await tidy()
        await app.job_manager.delete_old_jobs(
            nb_hours=72, include_failed=False, include_cancelled=True, include_aborted=True
        )

    async def run_retention(timestamp: int) -> None:
        await retention.sweep(services.city.retention.rule(clock.today()))

    async def run_lapse(timestamp: int) -> None:
        await warn_of_ends(services.city.payment_rules(clock.today()).mandate)
        await lapse_invitations()
        await lapse_cards()
        await expire_mandates()

    async def run_old_items(timestamp: int) -> None:
        await items.report_old(services.city.payment_rules(clock.today()).reconciliation.old_after)

    async def run_files(timestamp: int) -> None:
        await take_bill_files(services)

    async def run_certificates(timestamp: int) -> None:
        await refresh_certificates(services)

    async def run_ask_for_missing(timestamp: int) -> None:
        await order_reports.ask_for_missing(services)

    async def run_ask_about_all(timestamp: int) -> None:
        await order_reports.ask_about_all(services)

    for name, cron, work in (
        ("jobs.rescue", "* * * * * */5", run_rescue),
        ("jobs.sweep", "*/10 * * * * 7", run_sweep),
        ("jobs.tidy", "17 * * * * 11", run_tidy),
        ("retention.sweep", "17 3 * * * 53", run_retention),
        ("delegation.lapse", "* * * * * */30", run_lapse),
        ("orders.lapse", "7 * * * * 3", _timed(services.order_answers.lapse)),
        ("applications.discard_old", "47 3 * * * 21", _timed(services.drafts.discard_old)),
        ("tolerances.watch", "*/10 * * * * 35", _timed(services.tolerances.watch)),
        ("credit.confirm", "5 * * * * 43", _timed(services.credit.confirm_due)),
        ("materials.sweep", "25 4 * * * 29", _timed(services.materials.sweep)),
        ("materials.scan_waiting", "50 4 * * * 17", _timed(services.materials.scan_waiting)),
        ("deadlines.watch", "* * * * * 37", _timed(services.watch.run)),
        ("notifications.expire", "*/10 * * * * 23", _timed(services.delivery.expire)),
        ("billing.report_delayed", "20 1 * * * 13", _timed(services.posting.report_delayed)),
        ("bills.daily_file", "10,40 * * * * 5", run_files),
        ("orders.report_late", "*/30 * * * * 37", _timed(services.order_delivery.report_late)),
        ("pushes.reconcile", "20 1 * * * 41", _timed(services.push_reconciling.nightly)),
        ("pushes.report_late", "*/30 * * * * 47", _timed(services.push_reports.report_late)),
        ("orders.ask_for_missing", "*/10 * * * * 53", run_ask_for_missing),
        ("orders.ask_about_all", "40 3 * * * 29", run_ask_about_all),
        ("companies.files", "*/5 * * * * 47", _timed(services.exchange.tick)),
        ("payments.reconcile", "*/10 * * * * 31", _timed(services.reconciling.tick)),
        ("payments.report_old_items", "30 2 * * * 19", run_old_items),
        ("wechat_pay.certificates", "37 * * * * 41", run_certificates),
    ):
        app.periodic(cron=cron)(app.task(name=name, pass_context=False, queueing_lock=name)(work))
