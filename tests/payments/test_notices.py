"""What WeChat Pay's notices do to a payment: right ones once, all others nothing."""

from datetime import timedelta
from typing import Any

import pytest

from core.database import fetch
from models.bill import Bill
from models.payment import Payment
from models.posting import Posting
from tests.harness.spine import MINUTE, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _awaiting(spine: Spine, citizen: Citizen) -> tuple[Payment, str]:
    """A payment that has been paid in WeChat, of which nobody has told us."""
    payment = await spine.payment(citizen, await spine.account(FEN))
    return payment, await spine.pay(citizen, payment)


async def _outcomes() -> list[str | None]:
    return [
        row["outcome"]
        for row in await fetch("select outcome from inbox where source = 'wechat_pay' order by received_at")
    ]


async def test_without_any_notice_the_schedule_asks_and_settles(spine: Spine, citizen: Citizen) -> None:
    payment, _ = await _awaiting(spine, citizen)
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "awaiting_payer"
    ran = await spine.jobs.pass_time(timedelta(seconds=20))
    assert "payments.watch" in ran
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert [posting.status for posting in await Posting.all()] == ["posted"]
    assert await spine.balance("posted") == FEN
    assert await spine.jobs.waiting("payments.watch") == 0
    assert await _outcomes() == []


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
async def test_notices_sent_twice_or_out_of_order_do_what_one_does(spine: Spine, citizen: Citizen, fault: str) -> None:
    await spine.let_speak(("wechat_pay", "notice", fault))
    first = await spine.payment(citizen, await spine.account(FEN))
    await spine.pay(citizen, first)
    other = await spine.citizen()
    second = await spine.payment(other, await spine.account(FEN + 1))
    await spine.pay(other, second)
    await spine.until_inbox(2)
    await spine.jobs.run()
    assert {payment.status for payment in await Payment.all()} == {"succeeded"}
    assert await spine.balance("posted") == 2 * FEN + 1
    assert await spine.told(citizen) == ["payment.succeeded", "payment.posted"]


async def test_the_same_notice_again_changes_no_row(spine: Spine, citizen: Citizen) -> None:
    payment, order_no = await _awaiting(spine, citizen)
    await spine.notify(order_no)
    await spine.jobs.run()
    before = await spine.rows()
    assert await spine.notify(order_no, times=3) == [204, 204, 204]
    # The same content under another id, as after a lost acknowledgement, and the word of a query besides.
    assert await spine.notify(order_no, mutate={"attach": "again"}) == [204]
    await payment.refresh_from_db()
    await spine.services.follower.query(payment)
    await spine.jobs.run()
    assert await spine.rows() == before
    assert await _outcomes() == ["received", "already"]


async def test_a_notice_after_the_answer_to_a_query_changes_no_row(spine: Spine, citizen: Citizen) -> None:
    payment, order_no = await _awaiting(spine, citizen)
    await payment.refresh_from_db()
    await spine.services.follower.query(payment)
    await spine.jobs.run()
    before = await spine.rows()
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    assert await spine.rows() == before


@pytest.mark.parametrize(
    "spoiled",
    [{"sign_with": "stranger"}, {"sign_with": "signtest"}, {"late_s": 301}, {"late_s": -301}],
    ids=["signed by a stranger", "a signature probe", "too old", "from the future"],
)
async def test_a_notice_that_is_not_provably_fresh_and_theirs_is_refused_unread(
    spine: Spine, citizen: Citizen, spoiled: dict[str, Any]
) -> None:
    _, order_no = await _awaiting(spine, citizen)
    await spine.jobs.run()
    before = await spine.rows()
    assert await spine.notify(order_no, **spoiled) == [401]
    assert await spine.jobs.run() == []
    assert await _outcomes() == []
    assert await spine.rows() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sp_mchid", "1900000002"),
        ("sub_mchid", "1900000102"),
        ("sp_appid", "wx0000000000000000"),
        ("amount", {"total": FEN - 1, "payer_total": FEN - 1, "currency": "CNY", "payer_currency": "CNY"}),
        ("amount", {"total": FEN + 1, "payer_total": FEN + 1, "currency": "CNY", "payer_currency": "CNY"}),
        ("amount", {"total": FEN, "payer_total": FEN, "currency": "USD", "payer_currency": "USD"}),
        ("amount", {"payer_total": FEN, "currency": "CNY"}),
    ],
    ids=["platform merchant", "merchant", "app", "less", "more", "currency", "no total"],
)
async def test_money_that_is_not_ours_to_the_fen_is_not_booked(
    spine: Spine, citizen: Citizen, field: str, value: Any
) -> None:
    payment, order_no = await _awaiting(spine, citizen)
    await spine.jobs.run()
    before = await spine.rows()
    answers = await spine.notify(order_no, mutate={field: value})
    await spine.jobs.run()
    assert await spine.rows() == before
    if answers == [204]:
        assert await _outcomes() == ["payment_trade_mismatch"]
        (item,) = await fetch(
            "update inbox set processed_at = null, outcome = null where outcome is not null returning id"
        )
        await spine.jobs.do("inbox.process", inbox_id=item["id"])
        rows = await fetch("select detail from audit where action = 'payment.trade_mismatch'")
        assert len(rows) == 1, "told again it is the same fact"
    else:
        assert answers == [401]
    # The true word still settles it.
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"


async def test_a_notice_about_an_order_nobody_opened_changes_nothing(spine: Spine, citizen: Citizen) -> None:
    _, order_no = await _awaiting(spine, citizen)
    await spine.jobs.run()
    before = await spine.rows()
    assert await spine.notify(order_no, mutate={"out_trade_no": "0" * 32}) == [204]
    await spine.jobs.run()
    assert await spine.rows() == before
    assert await _outcomes() == ["unknown_order"]


async def test_a_notice_cannot_pay_another_payment_with_its_money(spine: Spine, citizen: Citizen) -> None:
    cheap = await spine.payment(citizen, await spine.account(1))
    order_no = await spine.pay(citizen, cheap)
    dear = await spine.payment(citizen, await spine.account(900_000))
    await spine.order(citizen, dear)
    await spine.jobs.run()
    before = await spine.rows()
    assert await spine.notify(order_no, mutate={"out_trade_no": await spine.order_no(dear)}) == [204]
    await spine.jobs.run()
    assert await spine.rows() == before
    assert await _outcomes() == ["payment_trade_mismatch"]


@pytest.mark.parametrize("state", ["NOTPAY", "CLOSED", "USERPAYING", "PAYERROR", "REVOKED"])
async def test_a_notice_of_anything_but_money_changes_nothing(spine: Spine, citizen: Citizen, state: str) -> None:
    _, order_no = await _awaiting(spine, citizen)
    await spine.jobs.run()
    before = await spine.rows()
    await spine.notify(order_no, mutate={"trade_state": state})
    await spine.jobs.run()
    assert await spine.rows() == before


async def test_what_a_coupon_pays_counts_as_paid(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    order_no = await spine.pay(citizen, payment, coupon_fen=500)
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert await spine.balance("posted") == FEN


async def test_money_after_the_close_is_returned_by_itself_and_the_payer_told(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN)
    payment = await spine.payment(citizen, number)
    await spine.order(citizen, payment)
    await spine.jobs.pass_time(11 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "closed"
    order_no = await spine.order_no(payment)
    await spine.control("POST", f"/wechat-pay/orders/{order_no}/force", {"trade_state": "SUCCESS"})
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "received_late"
    assert await spine.balance("suspense") == FEN
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    (refund,) = await spine.refunds()
    assert refund["amount"]["refund"] == FEN
    assert await spine.balance("suspense") == await spine.balance("clearing") == await spine.balance("posted") == 0
    assert await spine.told(citizen) == ["payment.refund_started", "payment.refunded"]
    assert [posting.id for posting in await Posting.all()] == []
    # The bill was never touched and can be paid again.
    again = await spine.paid(citizen, number)
    assert again.status == "succeeded"
    assert [bill.status for bill in await Bill.all()] == ["posted"]


async def test_money_after_the_close_never_displaces_who_pays_now(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN)
    first = await spine.payment(citizen, number)
    await spine.order(citizen, first)
    await spine.jobs.pass_time(11 * MINUTE)
    second = await spine.paid(await spine.citizen(), number)
    assert second.status == "succeeded"
    order_no = await spine.order_no(first)
    await spine.control("POST", f"/wechat-pay/orders/{order_no}/force", {"trade_state": "SUCCESS"})
    await spine.notify(order_no)
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await first.refresh_from_db()
    assert first.status == "refunded"
    assert await spine.balance("posted") == FEN
    assert await Posting.all().count() == 1
