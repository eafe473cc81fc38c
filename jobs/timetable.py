"""What runs by the clock. Six fields: the seconds stand last."""

from datetime import timedelta

import procrastinate

from core import clock
from core.database import fetch
from core.log import get_logger
from core.outbound import OutboundError
from domain.billing.accounts import CompanyAway
from domain.identity.sso import tidy_attempts
from domain.services import Services
from jobs.orphans import sweep
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
    """Remove what has served its time."""
    now = clock.now()
    await fetch("delete from idempotent_answer where created_at < $1", now - KEPT)
    await fetch(
        "delete from quote q where expires_at < $1 and not exists (select 1 from payment_part part where part.quote_id = q.id)",
        now - timedelta(days=2),
    )
    await fetch("delete from phone_code where expires_at < $1", now - timedelta(days=2))
    await fetch(
        "delete from refresh_token t using session s where s.id = t.session_id and s.expires_at < $1",
        now - timedelta(days=30),
    )
    await tidy_attempts()


async def take_bill_files(services: Services) -> None:
    """Yesterday's files of all joined companies; a company whose file is not ready is asked again at the next hour."""
    yesterday = clock.today() - timedelta(days=1)
    for company in services.companies:
        if await BillFile.exists(company=company.code, day=yesterday):
            continue
        try:
            written = await services.refresher.take_file(company.code, yesterday)
            log.info("bills.file_taken", company=company.code, written=written)
        except CompanyAway:
            log.warning("bills.file_missing", company=company.code)


async def refresh_certificates(services: Services) -> None:
    """WeChat Pay's platform certificates, where the merchant still uses them."""
    if not services.settings.wechat_pay.platform_certificates:
        return
    try:
        await services.wechat_pay.refresh_certificates()
    except (OutboundError, ProviderRefused) as error:
        log.warning("wechat_pay.certificates_not_refreshed", error_code=error.code)


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

    async def run_receipts(timestamp: int) -> None:
        await services.delivery.expire()

    async def run_delayed(timestamp: int) -> None:
        await services.posting.report_delayed()

    async def run_reconciliation(timestamp: int) -> None:
        await services.reconciling.tick()

    async def run_old_items(timestamp: int) -> None:
        await items.report_old(services.city.payment_rules(clock.today()).reconciliation.old_after)

    async def run_files(timestamp: int) -> None:
        await take_bill_files(services)

    async def run_certificates(timestamp: int) -> None:
        await refresh_certificates(services)

    # Hours are UTC: the companies' files are ready at 02:00 in Ezhou, which is 18:00.
    for name, cron, work in (
        ("jobs.rescue", "* * * * * */5", run_rescue),
        ("jobs.sweep", "*/10 * * * * 7", run_sweep),
        ("jobs.tidy", "17 * * * * 11", run_tidy),
        ("notifications.expire", "*/10 * * * * 23", run_receipts),
        ("billing.report_delayed", "20 1 * * * 13", run_delayed),
        ("bills.daily_file", "40 0-4,18-23 * * * 5", run_files),
        ("payments.reconcile", "*/10 * * * * 31", run_reconciliation),
        ("payments.report_old_items", "30 2 * * * 19", run_old_items),
        ("wechat_pay.certificates", "37 * * * * 41", run_certificates),
    ):
        app.periodic(cron=cron)(app.task(name=name, pass_context=False, queueing_lock=name)(work))
