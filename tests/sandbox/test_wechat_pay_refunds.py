"""Refunds of WeChat Pay: accepted once, settled later, repeatable, never more than was paid."""

from typing import Any

import httpx
import pytest

from tests.sandbox.wechat_support import SP_MCHID, SUB_MCHID, World, unsealed


def asked(out_trade_no: str, out_refund_no: str, refund: int, total: int = 4660, **more: Any) -> dict[str, Any]:
    amount = {"refund": refund, "total": total, "currency": "CNY"}
    return {
        "sub_mchid": SUB_MCHID,
        "out_trade_no": out_trade_no,
        "out_refund_no": out_refund_no,
        "amount": amount,
    } | more


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def refund_notice(wechat: World) -> dict[str, Any]:
    while True:
        received = await wechat.product.next()
        if received.path == "/refunds":
            return {"headers": received.headers, "body": httpx.Response(200, content=received.body).json()}


async def test_a_refund_is_processing_first_then_succeeds_with_a_notice(wechat: World) -> None:
    await wechat.control("POST", "/wechat-pay/pace", {"factor": 60})
    await wechat.paid_order("REFUND-0001")
    body = asked("REFUND-0001", "R-0001", 1000, notify_url=f"{wechat.product.url}/refunds", reason="多缴退回")
    accepted = await wechat.pay.refund(body)
    assert (accepted.status_code, accepted.json()["status"]) == (200, "PROCESSING")
    assert accepted.json()["amount"]["refund"] == 1000
    assert (await wechat.pay.query("REFUND-0001")).json()["trade_state"] == "REFUND"
    notice = (await refund_notice(wechat))["body"]
    assert (notice["event_type"], notice["resource"]["original_type"]) == ("REFUND.SUCCESS", "refund")
    content = unsealed(notice["resource"])
    assert (content["refund_status"], content["sp_mchid"], content["sub_mchid"]) == ("SUCCESS", SP_MCHID, SUB_MCHID)
    assert content["amount"] == {"total": 4660, "refund": 1000, "payer_total": 4660, "payer_refund": 1000}
    assert "status" not in content
    found = (await wechat.pay.query_refund("R-0001")).json()
    assert (found["status"], found["success_time"]) == ("SUCCESS", content["success_time"])


async def test_the_same_number_and_content_is_one_refund_another_content_is_refused(wechat: World) -> None:
    await wechat.paid_order("REFUND-0002")
    transaction_id = (await wechat.pay.query("REFUND-0002")).json()["transaction_id"]
    first = await wechat.pay.refund(asked("REFUND-0002", "R-0002", 1000))
    by_id = {"transaction_id": transaction_id} | asked("", "R-0002", 1000)
    del by_id["out_trade_no"]
    again = await wechat.pay.refund(by_id)
    assert first.json() == again.json()
    assert code_of(await wechat.pay.refund(asked("REFUND-0002", "R-0002", 1001))) == (400, "INVALID_REQUEST")
    assert len((await wechat.control("GET", "/wechat-pay/refunds"))["refunds"]) == 1


async def test_refunds_together_never_exceed_what_was_paid_and_keep_a_minute_apart(wechat: World) -> None:
    await wechat.paid_order("REFUND-0003")
    assert (await wechat.pay.refund(asked("REFUND-0003", "R-1", 4000))).status_code == 200
    assert code_of(await wechat.pay.refund(asked("REFUND-0003", "R-2", 660))) == (429, "FREQUENCY_LIMITED")
    wechat.travel(61)
    assert code_of(await wechat.pay.refund(asked("REFUND-0003", "R-2", 661))) == (400, "INVALID_REQUEST")
    assert (await wechat.pay.refund(asked("REFUND-0003", "R-2", 660))).status_code == 200
    wechat.travel(122)
    assert code_of(await wechat.pay.refund(asked("REFUND-0003", "R-3", 1))) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"amount": {"refund": 1, "total": 4659, "currency": "CNY"}}, (400, "INVALID_REQUEST")),
        ({"amount": {"refund": 0, "total": 4660, "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"refund": 1, "total": 4660}}, (400, "PARAM_ERROR")),
        ({"out_refund_no": "R/1"}, (400, "PARAM_ERROR")),
        ({"out_refund_no": "R" * 65}, (400, "PARAM_ERROR")),
        ({"reason": "退" * 81}, (400, "PARAM_ERROR")),
        ({"transaction_id": "4200000000000000000000000001"}, (400, "PARAM_ERROR")),
        ({"sub_mchid": "1900000102"}, (404, "RESOURCE_NOT_EXISTS")),
        ({"sub_mchid": "1900000999"}, (400, "MCH_NOT_EXISTS")),
        ({"out_trade_no": "NO-SUCH-ORDER"}, (404, "RESOURCE_NOT_EXISTS")),
    ],
)
async def test_a_wrong_refund_is_refused(wechat: World, changed: dict[str, Any], expected: tuple[int, str]) -> None:
    await wechat.paid_order("REFUND-0004")
    assert code_of(await wechat.pay.refund(asked("REFUND-0004", "R-0004", 1) | changed)) == expected
    assert (await wechat.pay.query("REFUND-0004")).json()["trade_state"] == "SUCCESS"


async def test_what_was_not_paid_or_paid_a_year_ago_is_not_refunded(wechat: World) -> None:
    person = await wechat.person()
    await wechat.pay.open(wechat.order("REFUND-0005", person["openid"]))
    assert code_of(await wechat.pay.refund(asked("REFUND-0005", "R-0005", 1))) == (400, "INVALID_REQUEST")
    await wechat.paid_order("REFUND-0006")
    wechat.travel(366 * 86400)
    assert code_of(await wechat.pay.refund(asked("REFUND-0006", "R-0006", 1))) == (400, "INVALID_REQUEST")


async def test_a_refund_query_needs_its_merchant(wechat: World) -> None:
    await wechat.paid_order("REFUND-0007")
    await wechat.pay.refund(asked("REFUND-0007", "R-0007", 1))
    assert (await wechat.pay.query_refund("R-0007")).status_code == 200
    assert code_of(await wechat.pay.query_refund("R-0007", "1900000102")) == (404, "RESOURCE_NOT_EXISTS")
    assert code_of(await wechat.pay.query_refund("R-0008")) == (404, "RESOURCE_NOT_EXISTS")


async def test_refunds_can_be_told_to_fail(wechat: World) -> None:
    await wechat.control("POST", "/wechat-pay/pace", {"factor": 60})
    await wechat.paid_order("REFUND-0008")
    await wechat.control("POST", "/wechat-pay/refund-outcome", {"outcome": "NOT_ENOUGH"})
    body = asked("REFUND-0008", "R-0009", 4660, notify_url=f"{wechat.product.url}/refunds")
    assert code_of(await wechat.pay.refund(body)) == (403, "NOT_ENOUGH")
    await wechat.control("POST", "/wechat-pay/refund-outcome", {"outcome": "USER_ACCOUNT_ABNORMAL"})
    assert code_of(await wechat.pay.refund(body)) == (403, "USER_ACCOUNT_ABNORMAL")
    await wechat.control("POST", "/wechat-pay/refund-outcome", {"outcome": "ABNORMAL"})
    assert (await wechat.pay.refund(body)).json()["status"] == "PROCESSING"
    assert (await refund_notice(wechat))["body"]["event_type"] == "REFUND.ABNORMAL"
    await wechat.control("POST", "/wechat-pay/refunds/R-0009/force", {"status": "CLOSED"})
    assert (await refund_notice(wechat))["body"]["event_type"] == "REFUND.CLOSED"
    await wechat.control("POST", "/wechat-pay/refund-outcome", {"outcome": "SUCCESS"})
    # What was closed has given its amount back: a new number may ask for all of it.
    assert (await wechat.pay.refund(asked("REFUND-0008", "R-0010", 4660))).status_code == 200


async def test_a_coupon_is_shared_between_payer_and_discount(wechat: World) -> None:
    await wechat.paid_order("REFUND-0009", coupon_fen=2330)
    amount = (await wechat.pay.refund(asked("REFUND-0009", "R-0011", 1000))).json()["amount"]
    assert (amount["refund"], amount["payer_refund"], amount["discount_refund"]) == (1000, 500, 500)
