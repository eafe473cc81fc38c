"""Orders at WeChat Pay: opened once under one number whatever goes wrong, closed before their bills are free again."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.database import fetch
from core.errors import NotFound
from core.outbound import OutboundError
from models.lifecycle import SYSTEM, Actor
from models.payment import Claim, Payment
from payments.opening import OrderRefused, PaymentNotPayable, ProviderBusy
from tests.harness.spine import MINUTE, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def payment(spine: Spine, citizen: Citizen) -> Payment:
    return await spine.payment(citizen, await spine.account(FEN))


async def _live_claims() -> int:
    return await Claim.filter(freed_at=None).count()


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "drop"},
        {"fault": "drop", "after": True},
        {"fault": "error", "status": 500},
        {"fault": "error", "status": 503},
        {"fault": "error", "status": 429},
        {"fault": "forge"},
    ],
    ids=["cut before", "cut after", "500", "503", "429 that nobody signed", "answer signed by a stranger"],
)
async def test_an_order_whose_opening_went_wrong_is_opened_once_under_the_same_number(
    spine: Spine, citizen: Citizen, payment: Payment, fault: dict[str, Any]
) -> None:
    await spine.fault("wechat_pay", "order", **fault)
    with pytest.raises(ProviderBusy):
        await spine.order(citizen, payment)
    await payment.refresh_from_db()
    assert payment.status == "order_unknown"
    order_no = await spine.pay(citizen, payment)
    orders = (await spine.control("GET", "/wechat-pay/orders"))["orders"]
    assert [order["out_trade_no"] for order in orders] == [order_no]
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert await spine.balance("posted") == FEN


async def test_an_order_opened_behind_a_time_out_is_unknown_and_found_again(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.fault("wechat_pay", "order", "hang", after=True)
    with pytest.raises(ProviderBusy):
        await spine.order(citizen, payment)
    await payment.refresh_from_db()
    assert payment.status == "order_unknown"
    first = await spine.order_at_provider(payment)
    assert first is not None
    await spine.order(citizen, payment)
    assert await spine.order_at_provider(payment) == first


async def test_an_order_refused_for_good_fails_the_payment_and_frees_its_bills(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.control("POST", "/reset")  # WeChat no longer knows this payer
    await spine.all_well()
    with pytest.raises(OrderRefused):
        await spine.order(citizen, payment)
    await payment.refresh_from_db()
    assert payment.status == "failed"
    assert await _live_claims() == 0
    with pytest.raises(PaymentNotPayable):
        await spine.order(citizen, payment)


async def test_asking_for_the_cashier_ten_times_at_once_opens_one_order(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    params = await asyncio.gather(*(spine.order(citizen, payment) for _ in range(10)))
    assert len({answer["paySign"] for answer in params}) == 10, "each is signed for its own call"
    assert len((await spine.control("GET", "/wechat-pay/orders"))["orders"]) == 1
    assert await spine.control("POST", f"/people/{citizen.phone_id}/pay", params[0]) == {"result": "ok"}


async def test_nobody_gets_the_cashier_of_another(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    with pytest.raises(NotFound):
        await spine.order(await spine.citizen(), payment)
    assert await spine.order_at_provider(payment) is None


async def test_time_that_is_up_closes_at_the_provider_and_frees_the_bills(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    params = await spine.order(citizen, payment)
    await spine.jobs.pass_time(9 * MINUTE)
    assert await _live_claims() == 1
    await spine.jobs.pass_time(90 * timedelta(seconds=1))
    await payment.refresh_from_db()
    assert payment.status == "closed"
    assert await _live_claims() == 0
    assert list((await spine.calls("wechat_pay", "close")).values()) == [1]
    with pytest.raises(PaymentNotPayable):
        await spine.order(citizen, payment)
    late = await spine.control("POST", f"/people/{citizen.phone_id}/pay", params)
    assert late["result"] == "fail"
    assert await spine.jobs.waiting("payments.watch") == 0


async def test_a_payment_nobody_began_to_pay_ends_without_a_call(spine: Spine, payment: Payment) -> None:
    await spine.jobs.pass_time(11 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "closed"
    assert await _live_claims() == 0
    assert await spine.calls("wechat_pay", "close") == {}


async def test_money_that_races_the_close_wins(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    await spine.pay(citizen, payment)
    await payment.refresh_from_db()
    await spine.services.follower.close(payment, Actor("person", str(citizen.id)))
    assert payment.status == "succeeded"
    await spine.jobs.run()
    assert await spine.balance("posted") == FEN
    assert await _live_claims() == 1


async def test_a_close_without_answer_stays_closing_and_is_done_by_schedule(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.order(citizen, payment)
    await payment.refresh_from_db()
    await spine.fault("wechat_pay", "close", "error", status=500, times=2)
    with pytest.raises(OutboundError):
        await spine.services.follower.close(payment, SYSTEM)
    await payment.refresh_from_db()
    assert payment.status == "closing"
    assert await _live_claims() == 1, "what may still be paid is not free"
    await spine.jobs.pass_time(2 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "closed"
    assert await _live_claims() == 0


async def test_a_close_that_was_done_though_its_answer_was_lost_ends_closed(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.order(citizen, payment)
    await payment.refresh_from_db()
    await spine.fault("wechat_pay", "close", "drop", after=True)
    with pytest.raises(OutboundError):
        await spine.services.follower.close(payment, SYSTEM)
    await payment.refresh_from_db()
    await spine.services.follower.close(payment, SYSTEM)
    assert payment.status == "closed"


async def test_a_notice_that_overtakes_the_closing_makes_it_succeed(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    order_no = await spine.pay(citizen, payment)
    await payment.refresh_from_db()
    await spine.fault("wechat_pay", "close", "error", status=500)
    with pytest.raises(OutboundError):
        await spine.services.follower.close(payment, SYSTEM)
    await spine.notify(order_no)
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"


@pytest.mark.parametrize("end", ["closed", "succeeded", "failed"])
async def test_closing_what_is_over_changes_nothing(spine: Spine, citizen: Citizen, payment: Payment, end: str) -> None:
    if end == "closed":
        await spine.services.follower.close(payment, SYSTEM)
    elif end == "succeeded":
        await spine.notify(await spine.pay(citizen, payment))
    else:
        await spine.control("POST", "/reset")
        await spine.all_well()
        with pytest.raises(OrderRefused):
            await spine.order(citizen, payment)
    await spine.jobs.run()
    before = await spine.rows()
    await payment.refresh_from_db()
    await spine.services.follower.close(payment, Actor("person", str(citizen.id)))
    assert payment.status == end
    assert await spine.rows() == before


async def test_two_closes_at_once_close_once(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    await spine.order(citizen, payment)
    rows = [await Payment.get(id=payment.id) for _ in range(8)]
    await asyncio.gather(*(spine.services.follower.close(row, SYSTEM) for row in rows))
    await payment.refresh_from_db()
    assert payment.status in ("closed", "closing")
    await spine.services.follower.close(payment, SYSTEM)
    assert payment.status == "closed"
    events = await fetch("select kind from event where kind = 'payment.closed'")
    assert len(events) == 1


async def test_a_query_that_fails_is_asked_again_by_schedule(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    await spine.pay(citizen, payment)
    await spine.fault("wechat_pay", "query", "error", status=500)
    await spine.fault("wechat_pay", "query", "drop")
    await spine.fault("wechat_pay", "query", "forge")
    await spine.jobs.pass_time(2 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "awaiting_payer"
    await spine.jobs.pass_time(4 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "succeeded"


async def test_a_close_whose_404_nobody_signed_ends_when_the_time_is_up_and_not_before(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.fault("wechat_pay", "order", "drop")
    with pytest.raises(ProviderBusy):
        await spine.order(citizen, payment)
    await spine.fault("wechat_pay", "close", "error", status=404, times=None)
    with pytest.raises(OutboundError):
        await spine.services.follower.close(await Payment.get(id=payment.id), SYSTEM)
    await spine.jobs.pass_time(5 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "closing"
    assert await _live_claims() == 1
    await spine.jobs.pass_time(10 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "closed"
    assert await _live_claims() == 0


async def test_an_unsigned_refusal_of_another_kind_closes_nothing(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.pay(citizen, payment)
    for operation in ("close", "query"):
        await spine.fault("wechat_pay", operation, "error", status=400, times=None)
    await spine.jobs.pass_time(20 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "closing"
    await spine.all_well()
    await spine.jobs.pass_time(6 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "succeeded"


async def test_in_its_last_minute_no_order_is_opened_and_the_payment_does_not_fail_of_it(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.travel(payment.expires_at - payment.created_at - MINUTE)
    with pytest.raises(PaymentNotPayable):
        await spine.order(citizen, payment)
    assert await spine.calls("wechat_pay", "order") == {}
    assert (await Payment.get(id=payment.id)).status == "created"
