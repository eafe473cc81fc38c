"""Money on its way back: one number, one refund, whatever goes wrong; never more than came in."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.database import fetch, fetch_one, transaction, violated_constraint
from models.payment import Claim, Payment, PaymentPart
from models.refund import Refund
from payments.refunding import request_full
from payments.views import progress
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def refused(spine: Spine, citizen: Citizen) -> Payment:
    """A paid payment whose money the company has refused; the refund has been requested and not yet asked for."""
    number = await spine.account(FEN)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0002"})
    payment = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, payment))
    return payment


async def _word(payment: Payment, citizen: Citizen) -> str:
    (view,) = await progress([payment.id], citizen.principal)
    return view["progress"]


async def _numbers(spine: Spine) -> list[str]:
    return [refund["out_refund_no"] for refund in await spine.refunds()]


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "drop"},
        {"fault": "drop", "after": True},
        {"fault": "error", "status": 500},
        {"fault": "error", "status": 503},
        {"fault": "forge"},
    ],
    ids=["cut before", "cut after", "500", "503", "answer signed by a stranger"],
)
async def test_a_refund_in_doubt_is_asked_for_again_under_its_own_number(
    spine: Spine, citizen: Citizen, refused: Payment, fault: dict[str, Any]
) -> None:
    await spine.fault("wechat_pay", "refund", times=2, **fault)
    await spine.jobs.run()
    assert await _word(refused, citizen) == "refunding"
    await spine.jobs.pass_time(2 * MINUTE)
    refund = await Refund.all().get()
    assert await _numbers(spine) == [refund.refund_number]
    await spine.end_refunds()
    await spine.jobs.pass_time(10 * MINUTE)
    await refused.refresh_from_db()
    assert (refused.status, await _word(refused, citizen)) == ("refunded", "refunded")
    assert set(await spine.calls("wechat_pay", "refund")) == {refund.refund_number}
    assert await spine.told(citizen) == ["payment.succeeded", "payment.refund_started", "payment.refunded"]


async def test_a_refund_that_hangs_is_found_again(spine: Spine, citizen: Citizen, refused: Payment) -> None:
    await spine.fault("wechat_pay", "refund", "hang", after=True)
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(2 * MINUTE)
    await refused.refresh_from_db()
    assert refused.status == "refunded"
    assert len(await spine.refunds()) == 1


async def test_a_refund_for_which_the_merchant_is_short_today_is_asked_for_again(
    spine: Spine, citizen: Citizen, refused: Payment
) -> None:
    await spine.control("POST", "/wechat-pay/refund-outcome", {"outcome": "NOT_ENOUGH"})
    await spine.jobs.pass_time(5 * MINUTE)
    refund = await Refund.all().get()
    assert refund.status == "submitting"
    await spine.control("POST", "/wechat-pay/refund-outcome", {"outcome": "SUCCESS"})
    await spine.jobs.pass_time(60 * MINUTE)
    await spine.end_refunds()
    await spine.jobs.pass_time(60 * MINUTE)
    await refused.refresh_from_db()
    assert refused.status == "refunded"
    assert await _numbers(spine) == [refund.refund_number]


@pytest.mark.parametrize("order", ["notice first", "query first"])
async def test_notice_and_query_of_a_refund_do_what_one_does(
    spine: Spine, citizen: Citizen, refused: Payment, order: str
) -> None:
    await spine.jobs.run()
    await spine.end_refunds()
    (number,) = await _numbers(spine)
    if order == "query first":
        await spine.jobs.pass_time(MINUTE)
    assert await spine.notify_refund(number, times=2) == [204, 204]
    await spine.jobs.pass_time(MINUTE)
    before = await spine.rows()
    assert await spine.notify_refund(number, mutate={"user_received_account": "again"}) == [204]
    refund = await Refund.all().get()
    await spine.jobs.do("payments.follow_refund", refund_id=refund.id, step=0)
    (event,) = await fetch("select id from event where kind = 'posting.refused'")
    await spine.jobs.do("payments.refund_refused", event_id=event["id"])
    await spine.jobs.run()
    assert await spine.rows() == before
    await refused.refresh_from_db()
    assert refused.status == "refunded"
    assert await Claim.filter(freed_at=None).count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sub_mchid", "1900000102"),
        ("out_trade_no", "0" * 32),
        ("amount", {"total": FEN, "refund": FEN - 1, "payer_total": FEN, "payer_refund": FEN - 1}),
        ("amount", {"total": FEN + 1, "refund": FEN, "payer_total": FEN, "payer_refund": FEN}),
    ],
    ids=["merchant", "order", "refunded less", "of another total"],
)
async def test_a_refund_notice_that_differs_from_what_was_asked_books_nothing(
    spine: Spine, citizen: Citizen, refused: Payment, field: str, value: Any
) -> None:
    await spine.jobs.run()
    await spine.end_refunds()
    (number,) = await _numbers(spine)
    before = await spine.rows()
    assert await spine.notify_refund(number, mutate={field: value}) == [204]
    await spine.jobs.run()
    assert await spine.rows() == before
    row = await fetch_one("select outcome from inbox order by received_at desc limit 1")
    assert row is not None
    assert row["outcome"] == "payment_refund_mismatch"


async def test_a_refund_whose_way_is_blocked_is_said_and_may_still_succeed(
    spine: Spine, citizen: Citizen, refused: Payment
) -> None:
    await spine.jobs.run()
    await spine.end_refunds("ABNORMAL")
    await spine.jobs.pass_time(MINUTE)
    assert (await Refund.all().get()).status == "abnormal"
    assert await _word(refused, citizen) == "refund_stuck"
    assert await spine.balance("suspense") == FEN, "the money is nobody's yet"
    assert (await spine.told(citizen))[-1] == "payment.refund_stuck"
    assert await Claim.filter(freed_at=None).count() == 1
    await spine.end_refunds("SUCCESS")
    (number,) = await _numbers(spine)
    await spine.notify_refund(number)
    await spine.jobs.run()
    assert await _word(refused, citizen) == "refunded"
    assert (await spine.told(citizen))[-1] == "payment.refunded"


async def test_a_refund_closed_by_the_provider_is_followed_by_a_new_one_under_its_own_number(
    spine: Spine, citizen: Citizen, refused: Payment
) -> None:
    await spine.close_refunds(1)
    assert await _word(refused, citizen) == "refunding"
    await spine.end_refunds("SUCCESS")
    await spine.jobs.pass_time(10 * MINUTE)
    await refused.refresh_from_db()
    assert (refused.status, await _word(refused, citizen)) == ("refunded", "refunded")
    first, second = await Refund.all().order_by("created_at")
    assert (first.status, second.status) == ("closed", "succeeded")
    assert await _numbers(spine) == [first.refund_number, second.refund_number]
    assert second.reason == first.reason
    assert await spine.told(citizen) == ["payment.succeeded", "payment.refund_started", "payment.refunded"]
    assert await spine.balance("suspense") == 0
    assert await Claim.filter(freed_at=None).count() == 0


async def test_after_three_closed_refunds_a_person_must_act_and_the_payer_knows(
    spine: Spine, citizen: Citizen, refused: Payment
) -> None:
    await spine.close_refunds(3)
    await spine.jobs.pass_time(timedelta(minutes=10))
    assert [refund.status for refund in await Refund.all()] == ["closed"] * 3
    assert await _word(refused, citizen) == "refund_stuck"
    assert await spine.balance("suspense") == FEN
    assert await Claim.filter(freed_at=None).count() == 1
    assert await spine.told(citizen) == ["payment.succeeded", "payment.refund_started", "payment.refund_stuck"]


async def test_the_closing_of_a_refund_may_be_heard_of_any_number_of_times(
    spine: Spine, citizen: Citizen, refused: Payment
) -> None:
    await spine.close_refunds(2)
    await spine.jobs.run()
    before = await spine.rows()
    for event in await fetch("select id from event where kind = 'refund.closed'"):
        await asyncio.gather(*(spine.jobs.do("payments.refund_again", event_id=event["id"]) for _ in range(3)))
    assert await spine.rows() == before
    await spine.close_refunds(1)
    for event in await fetch("select id from event where kind = 'refund.closed'"):
        await spine.jobs.do("payments.refund_again", event_id=event["id"])
    assert await Refund.all().count() == 3


async def test_ten_requests_at_once_make_one_refund(spine: Spine, citizen: Citizen, refused: Payment) -> None:
    await spine.jobs.run()
    assert await Refund.all().count() == 1
    await asyncio.gather(*(request_full(refused, "amount_changed") for _ in range(10)))
    assert await Refund.all().count() == 1
    assert len(await fetch("select 1 from event where kind = 'refund.requested'")) == 1


@pytest.mark.parametrize(("first", "second"), [(FEN, 1), (FEN - 1, 2), (1, FEN)])
async def test_refunds_never_exceed_what_came_in(spine: Spine, citizen: Citizen, first: int, second: int) -> None:
    payment = await spine.paid(citizen, await spine.account(FEN))
    part = await PaymentPart.get(payment_id=payment.id)
    query = (
        "insert into refund (id, status, payment_id, part_id, refund_number, amount_fen, reason, created_at)"
        " values (gen_random_uuid(), 'requested', $1, $2, gen_random_uuid()::text, $3, 'paid_late', now())"
    )
    refusals: list[str | None] = []
    for amount in (first, second):
        try:
            async with transaction():
                await fetch(query, payment.id, part.id, amount)
        except Exception as error:
            refusals.append(violated_constraint(error))
    assert refusals in (["refund_within_part"], ["refund_live_once_per_part"])
    assert await Refund.all().count() == 1


async def test_money_that_was_posted_is_not_given_back_too(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.paid(citizen, await spine.account(FEN))
    assert await _word(payment, citizen) == "posted"
    await spine.jobs.pass_time(timedelta(hours=1))
    assert await spine.refunds() == []
    assert await Refund.all().count() == 0
