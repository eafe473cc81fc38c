"""Days of the spine: what was paid on one, and the morning after."""

from datetime import date, datetime, time, timedelta
from typing import Any

from core import clock
from core.database import fetch
from payments.reconciliation.running import Outcome, Reconciling
from tests.harness.spine import WATER, Spine


async def travel_to(spine: Spine, day: date, at: time) -> None:
    """Travel forward to a moment of a day in Shanghai."""
    moment = datetime.combine(day, at, clock.SHANGHAI)
    assert moment > clock.now(), moment
    await spine.travel(moment - clock.now())


async def begin_day(spine: Spine, at: time = time(9)) -> date:
    """The morning of a fresh day; that day."""
    day = clock.today() + timedelta(days=1)
    await travel_to(spine, day, at)
    return day


async def morning_after(spine: Spine, day: date, at: time = time(10, 30)) -> None:
    """The next morning, when all files are there."""
    await travel_to(spine, day + timedelta(days=1), at)


def of_companies(spine: Spine, *companies: str) -> Reconciling:
    """The reconciliation of the water company alone, or of those named: seven days of all would take a test half a minute."""
    whole = spine.services.reconciling
    parties = [party for party in whole._parties if party.company in (companies or (WATER,))]
    return Reconciling(whole._sources, parties, whole._ask_again, spine.services.city)


async def reconcile(spine: Spine, day: date, *companies: str) -> dict[str, Outcome]:
    """Reconcile a day of the water company, or of those named; outcomes of its files by source."""
    outcomes = await of_companies(spine, *companies).day(day)
    return {one.party.source: one for one in outcomes if one.party.company == WATER}


async def spoil_bill(spine: Spine, day: date, **spoiling: Any) -> None:
    """WeChat Pay's bill of the water company's merchant is wrong on that day."""
    merchant = spine.services.companies.get(WATER).merchants["wechat_pay"]
    await spine.control("POST", f"/wechat-pay/bills/{day}/{merchant}", spoiling)


async def spoil_postings(spine: Spine, day: date, **spoiling: Any) -> None:
    """The water company's posting file is wrong on that day."""
    await spine.control("POST", f"/companies/{WATER}/posting-file", {"date": day.isoformat(), **spoiling})


async def items() -> list[tuple[str, str, str, int | None, int | None]]:
    """Every item: kind, subject, status, ours, theirs."""
    rows = await fetch("select * from reconciliation_item order by kind, subject, number")
    return [(row["kind"], row["subject"], row["status"], row["ours_fen"], row["theirs_fen"]) for row in rows]


TABLES = ("reconciliation_run", "reconciliation_row", "reconciliation_item")
