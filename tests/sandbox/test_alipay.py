"""Alipay's gateway in the sandbox, met by a merchant who signs by his own reading of the rules."""

import base64
import datetime
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.alipay_notices import WAITS_S
from sandbox.clock import SHANGHAI
from sandbox.server import Sandbox
from tests.sandbox.wechat_support import (
    MERCHANT_CERTIFICATE,
    MERCHANT_KEY,
    PLATFORM_CERTIFICATE,
    PLATFORM_KEY,
    STRANGER_KEY,
    Product,
    configuration,
    private_pem,
    public_pem,
)

APP, SELLER, TOKEN = "2021000000000001", "2088000000000101", "202611BBtoken"
OWNED = "2021000000000002"
MINUTE, HOUR = 60, 3600


@dataclass
class Alipay:
    url: str
    control_url: str
    http: httpx.AsyncClient
    product: Product
    folder: Path
    offset_s: float = 0.0

    def signed(self, method: str, body: Any, **changes: Any) -> dict[str, str]:
        """All parameters; a change to None leaves one out, `key` signs with another key, `after` changes what is signed."""
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.offset_s)
        key, after = changes.pop("key", MERCHANT_KEY), changes.pop("after", {})
        fields = {
            "app_id": APP, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2", "version": "1.0",
            "timestamp": now.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"), "app_auth_token": TOKEN,
            "biz_content": json.dumps(body, ensure_ascii=False), **changes,
        }  # fmt: skip
        given = {name: value for name, value in fields.items() if value is not None}
        text = "&".join(f"{name}={given[name]}" for name in sorted(given))
        sign = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()
        return {**given, "sign": sign, **after}

    async def call(self, method: str, body: Any, **changes: Any) -> dict[str, Any]:
        fields = self.signed(f"alipay.trade.{method}", body, **changes)
        answer = (await self.http.post(f"{self.url}/gateway.do", data=fields)).json()
        return next(value for name, value in answer.items() if name.endswith("_response"))

    def address(self, number: str, **more: Any) -> str:
        body = {"out_trade_no": number, "total_amount": "46.60", "subject": "水费", "product_code": "QUICK_WAP_WAY"}
        body |= {"quit_url": "https://lianban.example/", **more}
        fields = self.signed("alipay.trade.wap.pay", body, notify_url=f"{self.product.url}/alipay")
        return f"{self.url}/gateway.do?{urlencode(fields)}"

    async def control(self, path: str, body: Any = None) -> Any:
        response = await self.http.post(f"{self.control_url}{path}", json=body or {})
        response.raise_for_status()
        return response.json() if response.content else None

    async def paid(self, number: str) -> None:
        person = await self.control("/people", {"nickname": "王小明"})
        assert await self.control(f"/people/{person['person_id']}/pay", {"url": self.address(number)}) == {
            "result": "ok"
        }


@pytest.fixture
async def alipay(tmp_path: Path) -> AsyncIterator[Alipay]:
    config = configuration(tmp_path)
    seller = {"seller_id": SELLER, "auth_app_id": "2021000000000101", "app_auth_token": TOKEN}
    certificate = MERCHANT_CERTIFICATE.public_bytes(Encoding.PEM).decode()
    config["alipay"] = {
        "platform": {
            "private_key": private_pem(PLATFORM_KEY),
            "certificate": PLATFORM_CERTIFICATE.public_bytes(Encoding.PEM).decode(),
            "root_certificates": PLATFORM_CERTIFICATE.public_bytes(Encoding.PEM).decode(),
        },
        "apps": [
            {"app_id": APP, "public_key": public_pem(MERCHANT_KEY), "sellers": [seller]},
            {"app_id": OWNED, "certificate": certificate, "sellers": [{"seller_id": "2088000000000109"}]},
        ],
    }
    async with (
        Product().serving() as product,
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
        Sandbox(config, port=0) as sandbox,
    ):
        base = f"http://127.0.0.1:{sandbox.ports[0]}/control"
        yield Alipay(f"http://127.0.0.1:{sandbox.ports[3]}", base, http, product, tmp_path)


BODY = {"out_trade_no": "T_0001"}


@pytest.mark.parametrize(
    ("changes", "code", "sub_code"),
    [
        ({"key": STRANGER_KEY}, "40002", "isv.invalid-signature"),
        ({"after": {"biz_content": '{"out_trade_no":"T_0002"}'}}, "40002", "isv.invalid-signature"),
        ({"after": {"sign": ""}}, "40001", "isv.missing-signature"),
        ({"app_id": "2021999999999999"}, "40002", "isv.invalid-app-id"),
        ({"sign_type": "RSA"}, "40002", "isv.invalid-signature-type"),
        ({"charset": "gbk"}, "40002", "isv.invalid-charset"),
        ({"version": "2.0"}, "40002", "isv.invalid-version"),
        ({"timestamp": "2026/11/23 10:00"}, "40002", "isv.invalid-timestamp"),
        ({"timestamp": "2020-01-01 10:00:00"}, "40002", "isv.invalid-timestamp"),
        ({"timestamp": None}, "40001", "isv.missing-timestamp"),
        ({"app_auth_token": "202611BBother"}, "20001", "aop.invalid-app-auth-token"),
        ({"app_auth_token": None}, "20001", "aop.invalid-app-auth-token"),
        ({"app_cert_sn": "0" * 32}, "40002", "isv.app-cert-sn-invalid"),
        ({"colour": "blue"}, "40002", "isv.invalid-parameter"),
        ({"biz_content": "{"}, "40004", "ACQ.INVALID_PARAMETER"),
        ({"biz_content": '{"out_trade_no": "T", "colour": "blue"}'}, "40004", "ACQ.INVALID_PARAMETER"),
        ({"biz_content": "{}"}, "40004", "ACQ.INVALID_PARAMETER"),
        ({}, "40004", "ACQ.TRADE_NOT_EXIST"),
    ],
    ids=lambda value: ",".join(value)[:30] if isinstance(value, dict) else str(value),
)
async def test_a_call_that_is_not_as_agreed_is_refused_by_its_name(
    alipay: Alipay, changes: dict[str, Any], code: str, sub_code: str
) -> None:
    found = await alipay.call("query", BODY, **changes)
    assert (found["code"], found["sub_code"]) == (code, sub_code)


async def test_in_certificate_mode_the_numbers_are_asked_for(alipay: Alipay) -> None:
    owned = {"app_id": OWNED, "app_auth_token": None}
    found = await alipay.call("query", BODY, **owned)
    assert found["sub_code"] == "isv.app-cert-sn-invalid"


async def test_a_parameter_given_twice_is_missed(alipay: Alipay) -> None:
    fields = alipay.signed("alipay.trade.query", BODY)
    answer = await alipay.http.post(f"{alipay.url}/gateway.do?app_id={APP}", data=fields)
    assert answer.json()["alipay_trade_query_response"]["sub_code"] == "isv.missing-app-id"


async def test_answers_are_signed_over_their_very_bytes_and_unknown_applications_get_no_signature(
    alipay: Alipay,
) -> None:
    answer = await alipay.http.post(f"{alipay.url}/gateway.do", data=alipay.signed("alipay.trade.query", BODY))
    member = answer.content.partition(b'"alipay_trade_query_response":')[2].partition(b',"sign":')[0]
    sign = base64.b64decode(answer.json()["sign"])
    PLATFORM_KEY.public_key().verify(sign, member, padding.PKCS1v15(), SHA256())
    stranger = alipay.signed("alipay.trade.query", BODY, app_id="2021999999999999")
    assert "sign" not in (await alipay.http.post(f"{alipay.url}/gateway.do", data=stranger)).json()


async def test_a_notice_is_repeated_under_its_id_until_the_answer_is_success(alipay: Alipay) -> None:
    await alipay.control("/wechat-pay/pace", {"factor": 600_000})
    alipay.product.answers = [
        (500, b"success"),
        (200, b"fail"),
        (200, b"SUCCESS"),
        (200, b"<p>success</p>"),
        (200, b"success"),
    ]
    await alipay.paid("REPEAT_1")
    received = [dict(parse_qsl((await alipay.product.next()).body.decode())) for _ in range(5)]
    assert len({fields["notify_id"] for fields in received}) == 1
    said = {name: value for name, value in received[0].items() if name not in ("sign", "sign_type")}
    text = "&".join(f"{name}={said[name]}" for name in sorted(said))
    sign = base64.b64decode(received[0]["sign"])
    PLATFORM_KEY.public_key().verify(sign, text.encode(), padding.PKCS1v15(), SHA256())
    assert (said["app_id"], said["seller_id"], said["total_amount"]) == (APP, SELLER, "46.60")


async def test_the_real_schedule_sends_eight_notices_in_about_25_hours() -> None:
    assert list(WAITS_S) == [4 * MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 15 * HOUR]
    assert 24 * HOUR < sum(WAITS_S) < 25 * HOUR


async def test_an_amount_cannot_change_between_two_visits(alipay: Alipay) -> None:
    await alipay.http.get(alipay.address("TWICE_1"))
    page = await alipay.http.get(alipay.address("TWICE_1", total_amount="0.01"))
    assert "交易信息被篡改" in page.text


async def test_a_reset_forgets_what_was_paid(alipay: Alipay) -> None:
    await alipay.paid("RESET_1")
    assert (await alipay.call("query", {"out_trade_no": "RESET_1"}))["trade_status"] == "TRADE_SUCCESS"
    await alipay.control("/reset")
    assert (await alipay.call("query", {"out_trade_no": "RESET_1"}))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
