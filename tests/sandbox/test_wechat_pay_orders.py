"""Orders of WeChat Pay: what is refused, what comes back, who may pay, until when."""

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from tests.sandbox.wechat_support import APPID, OTHER_APPID, SP_MCHID, STRANGER_KEY, SUB_MCHID, World

DAY_S = 86400


def in_s(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, timezone(timedelta(hours=8))).isoformat(timespec="seconds")


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def opened(wechat: World, out_trade_no: str, **more: Any) -> tuple[dict[str, Any], str]:
    """A person, and the prepay_id of an order opened for them."""
    person = await wechat.person()
    response = await wechat.pay.open(wechat.order(out_trade_no, person["openid"], **more))
    assert response.status_code == 200, response.text
    return person, response.json()["prepay_id"]


async def state_of(wechat: World, out_trade_no: str) -> str:
    return (await wechat.pay.query(out_trade_no)).json()["trade_state"]


@pytest.mark.parametrize(
    "changed",
    [
        {"out_trade_no": "short"},
        {"out_trade_no": "x" * 33},
        {"out_trade_no": "ORDER/0001"},
        {"out_trade_no": "ORDER-0001\n"},
        {"description": "水" * 128},
        {"description": " "},
        {"description": None},
        {"amount": {"total": 0}},
        {"amount": {"total": 46.6}},
        {"amount": {"total": "4660"}},
        {"amount": {"total": True}},
        {"amount": {"total": 4660, "currency": "USD"}},
        {"amount": {"total": 4660, "payer_total": 4660}},
        {"attach": "x" * 129},
        {"notify_url": "http://pay.example.cn/notify"},
        {"notify_url": "https://pay.example.cn/notify?order=1"},
        {"notify_url": "https://pay.example.cn/" + "x" * 240},
        {"payer": {}},
        {"payer": {"openid": "o1"}},
        {"payer": {"sp_openid": "oNobodyKnowsThisOpenid000000"}},
        {"payer": {"sp_openid": "o1", "sub_openid": "o2"}},
        {"appid": APPID},
        {"scene_info": {"device_id": "1"}},
        {"time_expire": "2026-12-01T10:00:00Z"},
        {"time_expire": "2026-12-01 10:00:00"},
        {"time_expire": "2026-13-01T10:00:00+08:00"},
        {"time_expire": in_s(30)},
        {"time_expire": in_s(91 * DAY_S)},
    ],
)
async def test_a_body_that_breaks_a_rule_is_refused(wechat: World, changed: dict[str, Any]) -> None:
    person = await wechat.person()
    response = await wechat.pay.open(wechat.order("ORDER-0001", person["openid"]) | changed)
    assert code_of(response) == (400, "PARAM_ERROR")
    assert (await wechat.control("GET", "/wechat-pay/orders"))["orders"] == []


@pytest.mark.parametrize("body", ["{", "[]", '{"sp_mchid":"1","sp_mchid":"1"}', "\ufeff{}"])
async def test_a_body_that_is_no_json_object_is_refused(wechat: World, body: str) -> None:
    response = await wechat.pay.call("POST", "/v3/pay/partner/transactions/jsapi", body)
    assert code_of(response) == (400, "PARAM_ERROR")


async def test_every_party_must_belong_to_the_caller(wechat: World) -> None:
    person = await wechat.person()
    body = wechat.order("PARTY-0001", person["openid"])
    for changed, expected in (
        ({"sp_mchid": "1900000002"}, (403, "NO_AUTH")),
        ({"sp_appid": OTHER_APPID}, (400, "APPID_MCHID_NOT_MATCH")),
        ({"sub_mchid": "1900000999"}, (400, "MCH_NOT_EXISTS")),
        ({"sub_appid": OTHER_APPID}, (400, "APPID_MCHID_NOT_MATCH")),
        ({"payer": {"sp_openid": person["openids"][OTHER_APPID]}}, (500, "OPENID_MISMATCH")),
        ({"payer": {"sub_openid": person["openids"][OTHER_APPID]}}, (400, "PARAM_ERROR")),
    ):
        assert code_of(await wechat.pay.open(body | changed)) == expected, changed


async def test_a_sub_merchant_with_an_app_of_its_own_may_use_its_openids(wechat: World) -> None:
    person = await wechat.person()
    openid = person["openids"][OTHER_APPID]
    body = wechat.order("SUBAPP-0001", "") | {"sub_mchid": "1900000102", "sub_appid": OTHER_APPID}
    response = await wechat.pay.open(body | {"payer": {"sub_openid": openid}})
    parameters = wechat.pay_parameters(response.json()["prepay_id"], appId=OTHER_APPID)
    assert (await wechat.control("POST", f"/people/{person['person_id']}/pay", parameters))["result"] == "ok"
    paid = (await wechat.pay.query("SUBAPP-0001", "1900000102")).json()
    assert (paid["sub_appid"], paid["payer"]) == (OTHER_APPID, {"sub_openid": openid})


async def test_the_same_order_again_gives_a_fresh_prepay_id_and_another_content_is_refused(wechat: World) -> None:
    person = await wechat.person()
    body = wechat.order("AGAIN-0001", person["openid"], time_expire=in_s(600))
    first, second = await wechat.pay.open(body), await wechat.pay.open(body | {"time_expire": in_s(900)})
    assert first.json()["prepay_id"] != second.json()["prepay_id"]
    for changed in ({"amount": {"total": 4661, "currency": "CNY"}}, {"attach": "x"}, {"description": "电费"}):
        assert code_of(await wechat.pay.open(body | changed)) == (400, "INVALID_REQUEST"), changed
    for prepay in (first, second):  # both belong to the order; whichever is used first pays it
        parameters = wechat.pay_parameters(prepay.json()["prepay_id"])
        result = await wechat.control("POST", f"/people/{person['person_id']}/pay", parameters)
        assert result["result"] == ("ok" if prepay is first else "fail")
    assert code_of(await wechat.pay.open(body)) == (400, "ORDER_PAID")


async def test_a_paid_order_shows_who_paid_what_and_when(wechat: World) -> None:
    person = await wechat.paid_order("PAID-0001")
    found = (await wechat.pay.query("PAID-0001")).json()
    assert found["trade_state"] == "SUCCESS"
    assert found["trade_type"] == "JSAPI"
    assert found["amount"] == {"total": 4660, "payer_total": 4660, "currency": "CNY", "payer_currency": "CNY"}
    assert found["payer"] == {"sp_openid": person["openid"]}
    assert {found["sp_mchid"], found["sub_mchid"], found["sp_appid"]} == {SP_MCHID, SUB_MCHID, APPID}
    assert abs(datetime.fromisoformat(found["success_time"]).timestamp() - time.time()) < 5
    by_id = f"/v3/pay/partner/transactions/id/{found['transaction_id']}?sp_mchid={SP_MCHID}&sub_mchid={SUB_MCHID}"
    assert (await wechat.pay.call("GET", by_id)).json() == found


async def test_a_coupon_makes_payer_total_smaller_than_total(wechat: World) -> None:
    await wechat.paid_order("COUPON-0001", coupon_fen=60)
    found = (await wechat.pay.query("COUPON-0001")).json()
    assert (found["amount"]["total"], found["amount"]["payer_total"]) == (4660, 4600)
    assert found["promotion_detail"][0]["amount"] == 60


async def test_a_query_needs_the_right_parties_and_an_order(wechat: World) -> None:
    await wechat.paid_order("QUERY-0001")
    target = "/v3/pay/partner/transactions/out-trade-no/QUERY-0001"
    assert code_of(await wechat.pay.query("QUERY-0001", "1900000102")) == (404, "ORDER_NOT_EXIST")
    assert code_of(await wechat.pay.query("QUERY-0002")) == (404, "ORDER_NOT_EXIST")
    assert code_of(await wechat.pay.call("GET", f"{target}?mchid={SP_MCHID}")) == (400, "PARAM_ERROR")
    other = f"{target}?sp_mchid=1900000002&sub_mchid={SUB_MCHID}"
    assert code_of(await wechat.pay.call("GET", other)) == (403, "NO_AUTH")


async def test_numbers_with_marks_travel_in_the_address(wechat: World) -> None:
    await opened(wechat, "MARKS|*_-1")
    escaped = "MARKS%7C%2A_-1"
    assert (await wechat.pay.query(escaped)).json()["out_trade_no"] == "MARKS|*_-1"
    assert (await wechat.pay.close(escaped)).status_code == 204


async def test_a_closed_order_stays_closed_and_closing_repeats(wechat: World) -> None:
    person, prepay_id = await opened(wechat, "CLOSE-0001")
    assert await state_of(wechat, "CLOSE-0001") == "NOTPAY"
    for _ in range(2):
        assert (await wechat.pay.close("CLOSE-0001")).status_code == 204
    assert await state_of(wechat, "CLOSE-0001") == "CLOSED"
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", wechat.pay_parameters(prepay_id))
    assert result == {"result": "fail", "reason": "the order is CLOSED"}
    assert code_of(await wechat.pay.open(wechat.order("CLOSE-0001", person["openid"]))) == (400, "ORDER_CLOSED")
    assert code_of(await wechat.pay.close("CLOSE-0002")) == (404, "ORDER_NOT_EXIST")


async def test_a_paid_order_cannot_be_closed(wechat: World) -> None:
    await wechat.paid_order("CLOSE-PAID")
    assert code_of(await wechat.pay.close("CLOSE-PAID")) == (400, "ORDER_PAID")
    assert await state_of(wechat, "CLOSE-PAID") == "SUCCESS"


async def test_money_can_be_forced_to_arrive_after_a_close(wechat: World) -> None:
    await opened(wechat, "LATE-0001")
    await wechat.pay.close("LATE-0001")
    await wechat.control("POST", "/wechat-pay/orders/LATE-0001/force", {"trade_state": "SUCCESS"})
    assert await state_of(wechat, "LATE-0001") == "SUCCESS"
    assert (await wechat.product.next()).path == "/notify"


async def test_an_order_ends_at_its_time_and_cannot_be_paid_afterwards(wechat: World) -> None:
    person, prepay_id = await opened(wechat, "EXPIRE-0001", time_expire=in_s(120))
    wechat.travel(119)
    assert await state_of(wechat, "EXPIRE-0001") == "NOTPAY"
    wechat.travel(121)
    assert await state_of(wechat, "EXPIRE-0001") == "CLOSED"
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", wechat.pay_parameters(prepay_id))
    assert result == {"result": "fail", "reason": "the order is CLOSED"}
    assert (await wechat.pay.close("EXPIRE-0001")).status_code == 204


async def test_without_a_time_an_order_lives_seven_days_and_its_prepay_id_two_hours(wechat: World) -> None:
    person, prepay_id = await opened(wechat, "LIFE-0001")
    wechat.travel(2 * 3600 + 5)
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", wechat.pay_parameters(prepay_id))
    assert result == {"result": "fail", "reason": "the prepay_id, code or address has expired"}
    assert await state_of(wechat, "LIFE-0001") == "NOTPAY"
    wechat.travel(7 * DAY_S + 5)
    assert await state_of(wechat, "LIFE-0001") == "CLOSED"


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ({"key": STRANGER_KEY}, "paySign does not verify"),
        ({"paySign": "AAAA"}, "paySign does not verify"),
        ({"signType": "MD5"}, "signType must be RSA"),
        ({"timeStamp": 1764000000}, "timeStamp must be a string that is not empty"),
        ({"nonceStr": ""}, "nonceStr must be a string that is not empty"),
        ({"package": "prepay_id=wx0"}, "no such prepay_id, code or address"),
        ({"package": "Sign=WXPay"}, "package must be prepay_id=…"),
        ({"appId": OTHER_APPID}, "appId is not the app the order was opened in"),
    ],
)
async def test_the_phone_refuses_wrong_parameters(wechat: World, spoiled: dict[str, Any], reason: str) -> None:
    person, prepay_id = await opened(wechat, "PHONE-0001")
    right = wechat.pay_parameters(prepay_id)
    signed_again = {name: value for name, value in spoiled.items() if name in ("key", "appId")}
    parameters = wechat.pay_parameters(prepay_id, **signed_again) if signed_again else right | spoiled
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", parameters)
    assert result == {"result": "fail", "reason": reason}
    assert await state_of(wechat, "PHONE-0001") == "NOTPAY"


async def test_the_app_form_of_the_signature_is_refused(wechat: World) -> None:
    person, prepay_id = await opened(wechat, "APPFORM-0001")
    parameters = wechat.pay_parameters(prepay_id)
    parameters["paySign"] = wechat.pay_parameters(prepay_id, package=prepay_id)["paySign"]
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", parameters)
    assert result["reason"] == "paySign does not verify"


async def test_nobody_else_can_pay_an_order_opened_for_one_person(wechat: World) -> None:
    _, prepay_id = await opened(wechat, "OWNER-0001")
    stranger = await wechat.person("李四")
    result = await wechat.control("POST", f"/people/{stranger['person_id']}/pay", wechat.pay_parameters(prepay_id))
    assert result == {"result": "fail", "reason": "the order was opened for another openid"}


async def test_a_native_order_is_paid_by_whoever_scans_it(wechat: World) -> None:
    body = wechat.order("NATIVE-0001", "")
    del body["payer"]
    code_url = (await wechat.pay.open(body, "native")).json()["code_url"]
    assert code_url.startswith("weixin://wxpay/bizpayurl?pr=")
    person = await wechat.person()
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", {"code_url": code_url})
    assert result == {"result": "ok"}
    found = (await wechat.pay.query("NATIVE-0001")).json()
    assert (found["trade_type"], found["payer"]) == ("NATIVE", {"sp_openid": person["openid"]})


async def test_an_h5_order_needs_the_users_address_and_device(wechat: World) -> None:
    body = wechat.order("H5-00001", "")
    del body["payer"]
    assert code_of(await wechat.pay.open(body, "h5")) == (400, "PARAM_ERROR")
    scene = {"payer_client_ip": "203.0.113.7", "h5_info": {"type": "Wap"}}
    h5_url = (await wechat.pay.open(body | {"scene_info": scene}, "h5")).json()["h5_url"]
    wechat.travel(301)
    person = await wechat.person()
    result = await wechat.control("POST", f"/people/{person['person_id']}/pay", {"h5_url": h5_url})
    assert result["result"] == "fail"
