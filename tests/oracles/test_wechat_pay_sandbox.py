"""The sandbox's WeChat Pay judged by wechatpayv3, a client that neither of our sides was written with."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.wechat_support import (
    API_V3_KEY,
    APPID,
    MERCHANT_KEY,
    PUBLIC_KEY_ID,
    PUBLIC_KEY_PAIR,
    SERIAL,
    SP_MCHID,
    SUB_MCHID,
    World,
    private_pem,
    public_pem,
    world,
)

wechatpayv3 = pytest.importorskip("wechatpayv3.async_", reason="extra `oracles` is not installed")
pytestmark = pytest.mark.oracle


@pytest.fixture(params=["public_key", "certificate"])
async def judged(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[World, Any]]:
    """A sandbox, and the foreign client in partner mode: once with the public key, once with certificates."""
    async with world(tmp_path, request.param) as running, _client(running, request.param) as client:
        yield running, client


@asynccontextmanager
async def _client(running: World, mode: str) -> AsyncIterator[Any]:
    by_key = {"public_key": public_pem(PUBLIC_KEY_PAIR), "public_key_id": PUBLIC_KEY_ID}
    client = wechatpayv3.AsyncWeChatPay(
        wechatpay_type=wechatpayv3.WeChatPayType.MINIPROG,
        mchid=SP_MCHID,
        private_key=private_pem(MERCHANT_KEY),
        cert_serial_no=SERIAL,
        appid=APPID,
        apiv3_key=API_V3_KEY,
        partner_mode=True,
        **(by_key if mode == "public_key" else {}),
    )
    client._core._gate_way = running.pay.base_url  # the address is a private constant of the library
    async with client:
        yield client


async def test_a_foreign_client_opens_pays_queries_refunds_and_reads_the_notices(judged: tuple[World, Any]) -> None:
    running, client = judged
    person = await running.person()
    await running.control("POST", "/wechat-pay/pace", {"factor": 60})
    code, text = await client.pay(
        description="2026-10 水费",
        out_trade_no="ORACLE-0001",
        amount={"total": 4660, "currency": "CNY"},
        payer={"sp_openid": person["openid"]},
        notify_url=f"{running.product.url}/notify",
        sub_mchid=SUB_MCHID,
    )
    assert code == 200, text
    prepay_id = json.loads(text)["prepay_id"]

    parameters = {"appId": APPID, "timeStamp": "1795000000", "nonceStr": "abc", "package": f"prepay_id={prepay_id}"}
    pay_sign = client.sign(list(parameters.values()))
    body = parameters | {"signType": "RSA", "paySign": pay_sign}
    assert await running.control("POST", f"/people/{person['person_id']}/pay", body) == {"result": "ok"}

    received = await running.product.next()
    notice = client.callback(received.headers, received.body)
    assert notice is not None
    assert (notice["event_type"], notice["resource"]["trade_state"]) == ("TRANSACTION.SUCCESS", "SUCCESS")
    assert client.callback(running.product.probes[0].headers, running.product.probes[0].body) is None

    code, text = await client.query(out_trade_no="ORACLE-0001", sub_mchid=SUB_MCHID)
    assert (code, json.loads(text)) == (200, notice["resource"])
    code, text = await client.query(transaction_id=notice["resource"]["transaction_id"], sub_mchid=SUB_MCHID)
    assert (code, json.loads(text)["out_trade_no"]) == (200, "ORACLE-0001")

    code, text = await client.refund(
        out_refund_no="ORACLE-R1",
        amount={"refund": 60, "total": 4660, "currency": "CNY"},
        out_trade_no="ORACLE-0001",
        notify_url=f"{running.product.url}/refunds",
        sub_mchid=SUB_MCHID,
    )
    assert (code, json.loads(text)["status"]) == (200, "PROCESSING")
    received = await running.product.next()
    notice = client.callback(received.headers, received.body)
    assert (notice["event_type"], notice["resource"]["refund_status"]) == ("REFUND.SUCCESS", "SUCCESS")
    code, text = await client.query_refund("ORACLE-R1", sub_mchid=SUB_MCHID)
    assert (code, json.loads(text)["status"]) == (200, "SUCCESS")


def _sub_orders(*amounts: int) -> list[dict[str, Any]]:
    return [
        {
            "mchid": SP_MCHID, "sub_mchid": SUB_MCHID, "attach": "ORACLE-C", "amount": {"total_amount": fen, "currency": "CNY"},
            "out_trade_no": f"ORACLE-SUB-{place}", "description": "2026-10 水费",
        }
        for place, fen in enumerate(amounts, 1)
    ]  # fmt: skip


async def test_a_foreign_client_pays_a_combined_order_and_refunds_one_part(judged: tuple[World, Any]) -> None:
    running, client = judged
    person = await running.person()
    await running.control("POST", "/wechat-pay/pace", {"factor": 60})
    code, text = await client.combine_pay(
        combine_out_trade_no="ORACLE-C-0001",
        sub_orders=_sub_orders(4660, 801),
        combine_payer_info={"openid": person["openid"]},
        notify_url=f"{running.product.url}/notify",
    )
    assert code == 200, text
    given = {
        "appId": APPID,
        "timeStamp": "1795000000",
        "nonceStr": "abc",
        "package": f"prepay_id={json.loads(text)['prepay_id']}",
    }
    paid = given | {"signType": "RSA", "paySign": client.sign(list(given.values()))}
    assert await running.control("POST", f"/people/{person['person_id']}/pay", paid) == {"result": "ok"}

    received = await running.product.next()
    notice = client.callback(received.headers, received.body)
    assert notice is not None
    parts = notice["resource"]["sub_orders"]
    assert [(part["out_trade_no"], part["amount"]["total_amount"], part["trade_state"]) for part in parts] == [
        ("ORACLE-SUB-1", 4660, "SUCCESS"), ("ORACLE-SUB-2", 801, "SUCCESS"),
    ]  # fmt: skip
    code, text = await client.combine_query("ORACLE-C-0001")
    assert (code, json.loads(text)) == (200, notice["resource"])

    code, text = await client.refund(
        out_refund_no="ORACLE-CR1",
        amount={"refund": 801, "total": 801, "currency": "CNY"},
        out_trade_no="ORACLE-SUB-2",
        notify_url=f"{running.product.url}/refunds",
        sub_mchid=SUB_MCHID,
    )
    assert (code, json.loads(text)["status"]) == (200, "PROCESSING")
    received = await running.product.next()
    assert client.callback(received.headers, received.body)["resource"]["out_trade_no"] == "ORACLE-SUB-2"


async def test_a_foreign_client_closes_a_combined_order(judged: tuple[World, Any]) -> None:
    running, client = judged
    person = await running.person()
    code, text = await client.combine_pay(
        combine_out_trade_no="ORACLE-C-0002",
        sub_orders=_sub_orders(1, 2),
        combine_payer_info={"openid": person["openid"]},
        notify_url=f"{running.product.url}/notify",
    )
    assert code == 200, text
    subs = [{"mchid": SP_MCHID, "out_trade_no": f"ORACLE-SUB-{place}"} for place in (1, 2)]
    code, text = await client.combine_close("ORACLE-C-0002", subs)
    assert code == 204, text
    code, text = await client.combine_query("ORACLE-C-0002")
    assert {part["trade_state"] for part in json.loads(text)["sub_orders"]} == {"CLOSED"}


async def test_a_foreign_client_closes_an_order(judged: tuple[World, Any]) -> None:
    running, client = judged
    person = await running.person()
    await running.pay.open(running.order("ORACLE-0002", person["openid"]))
    code, _ = await client.close("ORACLE-0002", sub_mchid=SUB_MCHID)
    assert code == 204
    code, text = await client.query(out_trade_no="ORACLE-0002", sub_mchid=SUB_MCHID)
    assert (code, json.loads(text)["trade_state"]) == (200, "CLOSED")


async def test_a_foreign_client_notices_a_forged_answer(judged: tuple[World, Any]) -> None:
    running, client = judged
    await running.paid_order("ORACLE-0003")
    await running.fault("wechat_pay", "query", "forge", times=1)
    with pytest.raises(Exception, match="failed to verify the signature"):
        await client.query(out_trade_no="ORACLE-0003", sub_mchid=SUB_MCHID)
