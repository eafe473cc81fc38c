"""Combined orders of WeChat Pay: what is refused, paid all or nothing, told once, closed with the same sub-orders only."""

import json
from typing import Any

import httpx
import pytest

from tests.sandbox.wechat_support import APPID, OTHER_APPID, SP_MCHID, SUB_MCHID, World, unsealed

NUMBER, FIRST, SECOND = "COMBINED-0001", "SUB-000001", "SUB-000002"
PATH = "/v3/combine-transactions"


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def sub_order(out_trade_no: str, fen: int, **more: Any) -> dict[str, Any]:
    return {
        "mchid": SP_MCHID, "sub_mchid": SUB_MCHID, "attach": NUMBER, "amount": {"total_amount": fen, "currency": "CNY"},
        "out_trade_no": out_trade_no, "description": "2026-10 水费", **more,
    }  # fmt: skip


def body(wechat: World, openid: str, **more: Any) -> dict[str, Any]:
    return {
        "combine_appid": APPID, "combine_mchid": SP_MCHID, "combine_out_trade_no": NUMBER, "notify_url": f"{wechat.product.url}/notify",
        "sub_orders": [sub_order(FIRST, 4660), sub_order(SECOND, 801)], "combine_payer_info": {"openid": openid}, **more,
    }  # fmt: skip


async def opened(wechat: World) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A person, the body of the order opened for him, and its prepay_id."""
    person = await wechat.person()
    order = body(wechat, person["openid"])
    response = await wechat.pay.call("POST", f"{PATH}/jsapi", order)
    assert response.status_code == 200, response.text
    return person, order, response.json()["prepay_id"]


async def queried(wechat: World) -> dict[str, Any]:
    return (await wechat.pay.call("GET", f"{PATH}/out-trade-no/{NUMBER}")).json()


async def close(wechat: World, *numbers: str, **more: Any) -> httpx.Response:
    subs = [{"mchid": SP_MCHID, "out_trade_no": number} for number in numbers]
    return await wechat.pay.call(
        "POST", f"{PATH}/out-trade-no/{NUMBER}/close", {"combine_appid": APPID, "sub_orders": subs, **more}
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"combine_out_trade_no": "short"},
        {"combine_out_trade_no": FIRST},
        {"sub_orders": []},
        {"sub_orders": [sub_order(f"SUB-{number:06}", 1) for number in range(51)]},
        {"sub_orders": [sub_order(FIRST, 1), sub_order(FIRST, 1)]},
        {"sub_orders": [sub_order(FIRST, 0)]},
        {"sub_orders": [sub_order(FIRST, 1, attach="")]},
        {"sub_orders": [{name: value for name, value in sub_order(FIRST, 1).items() if name != "attach"}]},
        {"sub_orders": [sub_order(FIRST, 1, amount={"total": 1, "currency": "CNY"})]},
        {"sub_orders": [sub_order(FIRST, 1, mchid="1900000099")]},
        {"sub_orders": [sub_order(FIRST, 1, notify_url="https://x.cn/n")]},
        {"combine_payer_info": {}},
        {"payer": {"sp_openid": "o"}},
        {"combine_payer_info": {"openid": "oNobodyKnowsThisOpenid000000"}},
        {"amount": {"total": 5461}},
    ],
)
async def test_a_combined_order_that_breaks_a_rule_is_refused(wechat: World, changed: dict[str, Any]) -> None:
    person = await wechat.person()
    response = await wechat.pay.call("POST", f"{PATH}/jsapi", body(wechat, person["openid"], **changed))
    assert code_of(response) == (400, "PARAM_ERROR")


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"combine_appid": OTHER_APPID}, (400, "APPID_MCHID_NOT_MATCH")),
        ({"combine_mchid": "1900000099"}, (403, "NO_AUTH")),
        ({"sub_orders": [sub_order(FIRST, 1, sub_mchid="1999999999")]}, (400, "MCH_NOT_EXISTS")),
    ],
)
async def test_strangers_are_refused(wechat: World, changed: dict[str, Any], answer: tuple[int, str]) -> None:
    person = await wechat.person()
    response = await wechat.pay.call("POST", f"{PATH}/jsapi", body(wechat, person["openid"], **changed))
    assert code_of(response)[1] in (answer[1], "PARAM_ERROR")
    assert not response.is_success


async def test_it_is_paid_whole_told_once_and_refunded_in_parts(wechat: World) -> None:
    person, _, prepay_id = await opened(wechat)
    assert {item["trade_state"] for item in (await queried(wechat))["sub_orders"]} == {"NOTPAY"}
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", wechat.pay_parameters(prepay_id))
    assert result == {"result": "ok"}
    told = unsealed(json.loads((await wechat.product.received.get()).body)["resource"])
    assert told == await queried(wechat)
    assert [(item["out_trade_no"], item["amount"]["total_amount"], item["trade_state"]) for item in told["sub_orders"]] == [
        (FIRST, 4660, "SUCCESS"), (SECOND, 801, "SUCCESS"),
    ]  # fmt: skip
    assert len({item["transaction_id"] for item in told["sub_orders"]}) == 2
    assert code_of(await close(wechat, FIRST, SECOND)) == (400, "ORDER_PAID")
    refund = {
        "sub_mchid": SUB_MCHID, "out_trade_no": SECOND, "out_refund_no": "R-1", "amount": {"refund": 801, "total": 801, "currency": "CNY"},
    }  # fmt: skip
    assert (await wechat.pay.refund(refund)).json()["status"] == "PROCESSING"
    states = {item["out_trade_no"]: item["trade_state"] for item in (await queried(wechat))["sub_orders"]}
    assert states == {FIRST: "SUCCESS", SECOND: "REFUND"}


async def test_a_sub_order_is_not_asked_about_or_closed_alone(wechat: World) -> None:
    await opened(wechat)
    assert code_of(await wechat.pay.query(FIRST)) == (404, "ORDER_NOT_EXIST")
    assert code_of(await wechat.pay.close(FIRST)) == (404, "ORDER_NOT_EXIST")
    assert code_of(await wechat.pay.query(NUMBER)) == (404, "ORDER_NOT_EXIST")
    assert code_of(await wechat.pay.call("GET", f"{PATH}/out-trade-no/UNKNOWN-1")) == (404, "ORDER_NOT_EXIST")


async def test_it_closes_with_exactly_its_sub_orders(wechat: World) -> None:
    person, _, prepay_id = await opened(wechat)
    for numbers in ((FIRST,), (FIRST, SECOND, "SUB-000003"), (FIRST, "SUB-000003")):
        assert code_of(await close(wechat, *numbers)) == (400, "INVALID_REQUEST")
    for _ in range(2):
        assert (await close(wechat, SECOND, FIRST)).status_code == 204
    assert {item["trade_state"] for item in (await queried(wechat))["sub_orders"]} == {"CLOSED"}
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", wechat.pay_parameters(prepay_id))
    assert result["result"] == "fail"


async def test_the_same_order_again_gives_a_fresh_prepay_id_and_another_content_is_refused(wechat: World) -> None:
    _, order, prepay_id = await opened(wechat)
    again = await wechat.pay.call("POST", f"{PATH}/jsapi", order)
    assert again.json()["prepay_id"] != prepay_id
    changed = {**order, "sub_orders": [sub_order(FIRST, 4661), sub_order(SECOND, 801)]}
    assert code_of(await wechat.pay.call("POST", f"{PATH}/jsapi", changed)) == (400, "INVALID_REQUEST")
    other = {**order, "combine_out_trade_no": "COMBINED-0002"}
    assert code_of(await wechat.pay.call("POST", f"{PATH}/jsapi", other)) == (403, "OUT_TRADE_NO_USED")


@pytest.mark.parametrize(
    ("kind", "more", "handle"),
    [("native", {}, "code_url"), ("h5", {"scene_info": {"payer_client_ip": "14.17.22.32", "h5_info": {"type": "Wap"}}}, "h5_url")],
    ids=["native", "h5"],
)  # fmt: skip
async def test_a_code_or_an_address_is_paid_by_whoever_opens_it(
    wechat: World, kind: str, more: dict[str, Any], handle: str
) -> None:
    person = await wechat.person()
    order = {name: value for name, value in body(wechat, "", **more).items() if name != "combine_payer_info"}
    answer = (await wechat.pay.call("POST", f"{PATH}/{kind}", order)).json()
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", {handle: answer[handle]})
    assert result == {"result": "ok"}
    assert (await queried(wechat))["combine_payer_info"] == {"openid": person["openid"]}
