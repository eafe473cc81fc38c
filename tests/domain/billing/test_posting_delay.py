"""A company that takes longer than the city's patience: the payer hears of it once, operators every day."""

from datetime import timedelta

import msgspec
import pytest

from cities.schema import Duration
from core.database import fetch, fetch_one
from domain.billing.posting import BillPosting
from models.posting import Posting
from models.refund import Refund
from payments.refunding import Refunding
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

FEN = 4199
SIDE = f"company:{WATER}"
DELAYED = "payment.posting_delayed"


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _waits(spine: Spine, citizen: Citizen, status: str) -> Posting:
    """A posting that stands in this status and stays there."""
    number = await spine.account(FEN)
    if status == "processing":
        await spine.control("POST", f"/companies/{WATER}/processing", {"account_number": number, "seconds": 10**7})
    elif status == "pending":
        await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EQ0007"})
    else:
        await spine.fault(SIDE, "post_payment", "drop")
        await spine.fault(SIDE, "query_posting", "drop", times=1000)
    await spine.paid(citizen, number)
    posting = await Posting.get()
    assert posting.status == status
    return posting


@pytest.mark.parametrize("status", ["processing", "unknown", "pending"])
async def test_the_payer_is_told_once_after_half_an_hour(
    spine: Spine, citizen: Citizen, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await _waits(spine, citizen, status)
    await spine.jobs.pass_time(timedelta(minutes=29))
    assert await spine.told(citizen) == ["payment.succeeded"]
    await spine.jobs.pass_time(2 * MINUTE)
    assert await spine.told(citizen) == ["payment.succeeded", DELAYED], "at its time, not at the next question"
    await spine.jobs.pass_time(timedelta(hours=7))
    assert await spine.told(citizen) == ["payment.succeeded", DELAYED]
    assert len(await fetch("select 1 from event where kind = 'posting.delayed'")) == 1
    assert capsys.readouterr().out.count("posting.delayed ") == 1


async def test_who_gets_his_answer_in_time_or_just_before_he_is_told_hears_of_no_delay(
    spine: Spine, citizen: Citizen
) -> None:
    await spine.paid(citizen, await spine.account(FEN))
    await spine.jobs.pass_time(timedelta(hours=2))
    number = await spine.account(FEN)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EQ0007"})
    await spine.paid(citizen, number)
    waiting = await Posting.get(status="pending")
    await spine.jobs.pass_time(25 * MINUTE)
    await spine.travel(6 * MINUTE)
    await spine.jobs.do("billing.post", posting_id=waiting.id, step=9)
    (event,) = await fetch("select id from event where kind = 'posting.delayed'")
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": None})
    await spine.jobs.do("billing.post", posting_id=waiting.id, step=9)
    await spine.jobs.do("telling.posting_delayed", event_id=event["id"])
    await spine.jobs.run()
    assert DELAYED not in await spine.told(citizen)
    assert {posting.status for posting in await Posting.all()} == {"posted"}


async def test_operators_hear_every_day_how_many_wait_at_which_company(
    spine: Spine, citizen: Citizen, capsys: pytest.CaptureFixture[str]
) -> None:
    await _waits(spine, citizen, "processing")
    assert await spine.services.posting.report_delayed() == 0
    await spine.jobs.pass_time(timedelta(minutes=31))
    capsys.readouterr()
    assert await spine.services.posting.report_delayed() == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "postings.delayed" in line]
    assert "error" in line
    assert "company=water" in line
    assert "count=1" in line


async def test_pauses_and_patience_are_those_of_the_city(spine: Spine, citizen: Citizen) -> None:
    posting = await _waits(spine, citizen, "pending")
    services, city = spine.services, spine.services.city
    (rule,) = city.payments.posting
    hasty = msgspec.structs.replace(
        rule,
        delayed_after=Duration.parse("3h"),
        give_up_after=Duration.parse("4h"),
        retry_after=(Duration.parse("2h"),),
    )
    (refunds,) = city.payments.refund
    slow = msgspec.structs.replace(refunds, retry_after=(Duration.parse("5h"),))
    payments = msgspec.structs.replace(city.payments, posting=(hasty,), refund=(slow,))
    city = msgspec.structs.replace(city, payments=payments)
    ours = BillPosting(services.companies, services.accounts, city)
    await _forget_jobs()
    await ours.post(posting.id, 0)
    assert await _next_in_minutes() == 120
    await _forget_jobs()
    await spine.travel(150 * MINUTE)
    await ours.post(posting.id, 0)
    assert await _next_in_minutes() == 30, "when the payer is to be told"
    assert await ours.report_delayed() == 0
    await _forget_jobs()
    await spine.travel(100 * MINUTE)
    await ours.post(posting.id, 1)
    await posting.refresh_from_db()
    assert posting.status == "refused"
    await spine.jobs.run()
    await _forget_jobs()
    refund = await Refund.get()
    await Refunding(services.providers, {refund.reason: "退款"}, city).follow(refund.id, 0)
    assert await _next_in_minutes() == 300


async def _forget_jobs() -> None:
    await fetch("update procrastinate_jobs set status = 'succeeded' where status = 'todo'")


async def _next_in_minutes() -> int:
    row = await fetch_one(
        "select extract(epoch from min(scheduled_at) - now()) / 60 as minutes from procrastinate_jobs where status = 'todo'"
    )
    assert row is not None
    return round(row["minutes"])
