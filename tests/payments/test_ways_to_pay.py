"""Alipay, WeChat from a browser and by a code: the same port, the same lifecycle; changing one's mind costs nobody anything."""

from datetime import timedelta
from typing import Any, cast

import pytest

from api import payments as payments_api
from core.database import fetch, fetch_one
from domain.billing.paying import AlreadyPaid, Paying, PaymentClosing, Way
from models.lifecycle import SYSTEM
from models.payment import Payment
from models.refund import Refund
from payments.following import Follower
from payments.opening import Cashier, PaymentNotPayable
from payments.providers.registry import MethodNotOffered, Providers
from payments.settling import Settling
from tests.harness.spine import MINUTE, Citizen, Spine

FEN = 4199
JSAPI, H5, NATIVE = (Way("wechat_pay", method) for method in ("jsapi", "h5", "native"))
ALIPAY = Way("alipay", "wap")
WAYS = pytest.mark.parametrize("way", [JSAPI, H5, NATIVE, ALIPAY], ids="-".join)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _visits(spine: Spine, citizen: Citizen, params: dict[str, str], **more: Any) -> dict[str, str]:
    return await spine.control("POST", f"/people/{citizen.phone_id}/pay", {**params, **more})


async def _tell(spine: Spine, payment: Payment, **spoiled: Any) -> list[Any]:
    """The provider sends the notice of a payment's order; what our door answered."""
    await spine._serve()
    side = "alipay/trades" if payment.provider == "alipay" else "wechat-pay/orders"
    return (await spine.control("POST", f"/{side}/{await spine.order_no(payment)}/notify", spoiled))["answers"]


async def _at_alipay(spine: Spine, payment: Payment) -> dict[str, Any] | None:
    number = await spine.order_no(payment)
    trades = (await spine.control("GET", "/alipay/trades"))["trades"]
    return next((trade for trade in trades if trade["out_trade_no"] == number), None)


async def _again(payment: Payment) -> str:
    await payment.refresh_from_db()
    return str(payment.status)


async def _outcomes() -> list[str | None]:
    return [
        row["outcome"] for row in await fetch("select outcome from inbox where source = 'alipay' order by received_at")
    ]


@WAYS
async def test_a_bill_is_paid_and_posted_whichever_way(spine: Spine, citizen: Citizen, way: Way) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN), way)
    assert await _visits(spine, citizen, await spine.order(citizen, payment)) == {"result": "ok"}
    await spine.jobs.pass_time(timedelta(seconds=20))
    assert await _again(payment) == "succeeded"
    assert await spine.balance("posted", way.provider) == FEN


@WAYS
async def test_a_notice_does_what_a_query_does_and_both_do_it_once(spine: Spine, citizen: Citizen, way: Way) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN), way)
    await _visits(spine, citizen, await spine.order(citizen, payment))
    await _tell(spine, payment)
    await spine.jobs.run()
    assert await _again(payment) == "succeeded"
    before = await spine.rows()
    await _tell(spine, payment, times=2)
    await spine.services.follower.query(payment)
    await spine.jobs.run()
    assert await spine.rows() == before


async def test_alipay_hears_success_and_keeps_its_schedule_until_then(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN), ALIPAY)
    await _visits(spine, citizen, await spine.order(citizen, payment))
    assert await _tell(spine, payment) == [{"status": 200, "answer": "success"}]
    assert await _tell(spine, payment, sign_with="stranger") == [
        {"status": 401, "answer": '{"code":"FAIL","message":"通知未通过验证"}'}
    ]


# Changing one's mind


async def _switched(spine: Spine, citizen: Citizen, number: str, way: Way) -> Payment:
    payment = await spine.payment(citizen, number, way)
    await spine.order(citizen, payment)
    return payment


async def test_from_wechat_to_alipay_to_a_code_one_order_is_open_at_a_time(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN)
    first = await _switched(spine, citizen, number, JSAPI)
    second = await _switched(spine, citizen, number, ALIPAY)
    order = await spine.order_at_provider(first)
    assert order is not None
    assert (await _again(first), order["trade_state"]) == ("closed", "CLOSED")
    third = await spine.payment(citizen, number, NATIVE)
    assert await _again(second) == "closed"
    assert await _visits(spine, citizen, await spine.order(citizen, third)) == {"result": "ok"}
    await _tell(spine, third)
    await spine.jobs.run()
    assert await _again(third) == "succeeded"
    assert await spine.balance("posted") == FEN


async def test_an_alipay_page_that_was_opened_is_closed_before_the_next_order_exists(
    spine: Spine, citizen: Citizen
) -> None:
    number = await spine.account(FEN)
    first = await spine.payment(citizen, number, ALIPAY)
    params = await spine.order(citizen, first)
    await _visits(spine, citizen, params, only="open")
    await spine.payment(citizen, number, JSAPI)
    trade = await _at_alipay(spine, first)
    assert trade is not None
    assert (await _again(first), trade["trade_status"]) == ("closed", "TRADE_CLOSED")
    assert (await _visits(spine, citizen, params))["result"] == "fail"


@pytest.mark.parametrize("way", [JSAPI, ALIPAY], ids="-".join)
async def test_who_has_paid_meanwhile_needs_no_other_way(spine: Spine, citizen: Citizen, way: Way) -> None:
    number = await spine.account(FEN)
    quote = await spine.quote(citizen, number)
    first = await spine.created(await spine.create(citizen, quote, way=way))
    await _visits(spine, citizen, await spine.order(citizen, first))
    with pytest.raises(AlreadyPaid):
        await spine.create(citizen, quote, way=NATIVE)
    assert await _again(first) == "succeeded"
    assert await Payment.all().count() == 1


@pytest.mark.parametrize(
    "fault", [{"fault": "drop", "after": True}, {"fault": "error"}, {"fault": "forge"}], ids=lambda f: f["fault"]
)
async def test_while_it_is_unknown_whether_the_first_is_closed_there_is_no_second(
    spine: Spine, citizen: Citizen, fault: dict[str, Any]
) -> None:
    number = await spine.account(FEN)
    quote = await spine.quote(citizen, number)
    first = await spine.created(await spine.create(citizen, quote, way=ALIPAY))
    await _visits(spine, citizen, await spine.order(citizen, first), only="open")
    await spine.fault("alipay", "close", **fault)
    with pytest.raises(PaymentClosing):
        await spine.create(citizen, quote, way=NATIVE)
    assert (await _again(first), await Payment.all().count()) == ("closing", 1)
    second = await spine.created(await spine.create(citizen, quote, way=NATIVE))
    assert (await _again(first), await _again(second)) == ("closed", "created")


# The address that outlives its close


async def test_an_address_opened_after_its_payment_was_closed_brings_money_that_goes_back(
    spine: Spine, citizen: Citizen
) -> None:
    number = await spine.account(FEN)
    first = await spine.payment(citizen, number, ALIPAY)
    params = await spine.order(citizen, first)
    second = await spine.payment(citizen, number, JSAPI)
    assert await _again(first) == "closed", "Alipay knew of no trade, since nobody had opened the page"
    assert await _visits(spine, citizen, params) == {"result": "ok"}
    await spine.pay(citizen, second)
    await _tell(spine, first)
    await _tell(spine, second)
    await spine.jobs.run()
    await spine.jobs.pass_time(MINUTE)
    assert (await _again(first), await _again(second)) == ("refunded", "succeeded")
    trade = await _at_alipay(spine, first)
    assert trade is not None
    assert [refund["amount"] for refund in trade["refunds"]] == ["41.99"]
    assert (await spine.balance("posted", "alipay"), await spine.balance("posted", "wechat_pay")) == (0, FEN)


async def test_such_money_is_found_without_any_notice(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN)
    first = await spine.payment(citizen, number, ALIPAY)
    params = await spine.order(citizen, first)
    await first.refresh_from_db()
    await spine.services.follower.close(first, SYSTEM)
    assert first.status == "closed"
    assert await _visits(spine, citizen, params) == {"result": "ok"}
    await spine.jobs.pass_time(9 * MINUTE)
    assert await _again(first) == "closed"
    await spine.jobs.pass_time(4 * MINUTE)
    assert await _again(first) == "refunded"
    assert await spine.jobs.waiting("payments.last_look") == 0


async def test_after_its_time_the_address_opens_nothing(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN), ALIPAY)
    params = await spine.order(citizen, payment)
    await spine.jobs.pass_time(11 * MINUTE)
    assert await _again(payment) == "closed"
    assert (await _visits(spine, citizen, params))["result"] == "fail"
    with pytest.raises(PaymentNotPayable):
        await spine.order(citizen, payment)
    await spine.jobs.pass_time(2 * MINUTE)
    assert await _again(payment) == "closed"


# Refunds


@pytest.mark.parametrize("outcome", ["MOVED", "SLOW"])
async def test_a_bill_that_the_company_refuses_goes_back_through_alipay_once(
    spine: Spine, citizen: Citizen, outcome: str
) -> None:
    await spine.control("POST", "/alipay/refund-outcome", {"outcome": outcome})
    number = await spine.account(FEN)
    payment = await spine.payment(citizen, number, ALIPAY)
    await spine.control("POST", "/companies/water/refuse", {"account_number": number, "code": "EP0002"})
    await _visits(spine, citizen, await spine.order(citizen, payment))
    await _tell(spine, payment)
    await spine.jobs.run()
    refund = await Refund.get(payment_id=payment.id)
    if outcome == "SLOW":
        assert refund.status == "processing"
        await spine.control(
            "POST", f"/alipay/trades/{await spine.order_no(payment)}/refunds/{refund.refund_number}/move"
        )
        await _tell(spine, payment)
        await spine.jobs.run()
    assert await _again(payment) == "refunded"
    trade = await _at_alipay(spine, payment)
    assert trade is not None
    assert (len(trade["refunds"]), trade["trade_status"]) == (1, "TRADE_CLOSED")
    before = await spine.rows()
    await _tell(spine, payment)
    await spine.jobs.run()
    assert await spine.rows() == before


# Notices that are not what they seem, each signed with Alipay's own key


@pytest.mark.parametrize(
    ("mutate", "answer", "outcomes"),
    [
        ({"total_amount": "41.98"}, 200, ["payment_trade_mismatch"]),
        ({"total_amount": "41.991"}, 401, []),
        ({"total_amount": "4.199e1"}, 401, []),
        ({"total_amount": "-41.99"}, 401, []),
        ({"total_amount": None}, 401, []),
        ({"seller_id": "2088000000000102"}, 200, ["payment_trade_mismatch"]),
        ({"seller_id": None}, 401, []),
        ({"app_id": "2021000000000000"}, 401, []),
        ({"out_trade_no": "0" * 32}, 200, ["unknown_order"]),
        ({"trans_currency": "USD"}, 200, ["payment_trade_mismatch"]),
        ({"trade_status": "WAIT_BUYER_PAY"}, 200, ["not_paid"]),
        ({"trade_status": "TRADE_CLOSED"}, 200, ["payment_trade_mismatch"]),
        ({"trade_status": "TRADE_PAID"}, 401, []),
        ({"refund_fee": "41.99", "gmt_refund": "2026-11-23 10:00:00"}, 200, ["payment_trade_mismatch"]),
        ({"refund_fee": "41.99", "out_biz_no": "0" * 32}, 200, ["unknown_refund"]),
        ({"notify_type": "other_sync"}, 200, ["ignored"]),
        ({"charset": "GBK"}, 401, []),
        ({"notify_time": "2026-11-01 10:00:00"}, 401, []),
        ({"notify_id": ""}, 401, []),
        ({"trade_no": None}, 401, []),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items())[:40] if isinstance(value, dict) else None,
)  # fmt: skip
async def test_a_notice_with_a_field_changed_books_nothing_though_its_signature_is_right(
    spine: Spine, citizen: Citizen, mutate: dict[str, str | None], answer: int, outcomes: list[str]
) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN), ALIPAY)
    await _visits(spine, citizen, await spine.order(citizen, payment))
    (answered,) = await _tell(spine, payment, mutate=mutate)
    assert answered["status"] == answer
    await spine.jobs.run()
    assert await _again(payment) == "awaiting_payer"
    assert await fetch_one("select 1 from ledger_transaction") is None
    assert await _outcomes() == outcomes


async def test_a_payment_of_wechat_is_not_paid_by_a_word_of_alipay(spine: Spine, citizen: Citizen) -> None:
    wechat = await spine.payment(citizen, await spine.account(FEN), JSAPI)
    await spine.order(citizen, wechat)
    other = await spine.payment(citizen, await spine.account(FEN), ALIPAY)
    await _visits(spine, citizen, await spine.order(citizen, other))
    await _tell(spine, other, mutate={"out_trade_no": await spine.order_no(wechat)})
    await spine.jobs.run()
    assert (await _again(wechat), await _outcomes()) == ("awaiting_payer", ["unknown_order"])


# What is offered


@pytest.mark.parametrize(
    "way", [Way("alipay", "jsapi"), Way("wechat_pay", "wap"), Way("unionpay", "wap")], ids="-".join
)
async def test_a_way_that_is_not_there_is_refused(spine: Spine, citizen: Citizen, way: Way) -> None:
    with pytest.raises(MethodNotOffered):
        await spine.payment(citizen, await spine.account(FEN), way)


async def test_what_was_begun_at_a_provider_that_is_taken_away_waits_for_it(spine: Spine, citizen: Citizen) -> None:
    services, number = spine.services, await spine.account(FEN)
    payment = await spine.payment(citizen, number, ALIPAY)
    await _visits(spine, citizen, await spine.order(citizen, payment))
    left = Providers([one for one in services.providers if one.name != "alipay"])
    follower = Follower(left, Settling(left), services.city)
    with pytest.raises(MethodNotOffered):
        await Cashier(left, services.vault, "https://x/h5/").client_params(payment.id, citizen.principal)
    await follower.watch(payment.id, 0)
    paying, quote = (
        Paying(services.companies, services.refresher, follower, services.city, left),
        await spine.quote(citizen, number),
    )
    with pytest.raises(PaymentClosing):
        await paying.create(
            citizen.caller, [quote.quote.id], None, JSAPI, spine.once(citizen, quote.quote.id), payments_api.created
        )
    assert await _again(payment) in ("awaiting_payer", "closing")
    await services.follower.watch(payment.id, 1)
    assert await _again(payment) == "succeeded"
    await spine.jobs.run()


async def test_a_company_that_is_not_at_alipay_is_not_paid_there_and_nothing_gives_way_for_it(
    spine: Spine, citizen: Citizen
) -> None:
    number = await spine.account(FEN)
    first = await _switched(spine, citizen, number, JSAPI)
    merchants = cast("dict[str, str]", spine.services.companies.get("water").merchants)
    seller = merchants.pop("alipay")
    try:
        with pytest.raises(MethodNotOffered):
            await spine.payment(citizen, number, ALIPAY)
    finally:
        merchants["alipay"] = seller
    assert await _again(first) == "awaiting_payer"


async def test_a_browser_page_of_wechat_is_renewed_when_it_has_served_its_time(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN), H5)
    first = (await spine.order(citizen, payment))["url"]
    assert "&redirect_url=" in first
    assert (await spine.order(citizen, payment))["url"] == first
    await spine.travel(timedelta(minutes=4, seconds=31))
    with pytest.raises(PaymentNotPayable):
        await spine.order(citizen, payment, "203.0.113.8")
    second = (await spine.order(citizen, payment))["url"]
    assert second != first
    assert (await spine.control("GET", "/wechat-pay/orders"))["orders"][0]["out_trade_no"] == await spine.order_no(
        payment
    )
    assert await _visits(spine, citizen, {"url": second}) == {"result": "ok"}
