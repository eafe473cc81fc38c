"""Alipay's own Python package judges ours: what we sign it would sign alike, what we believe it believes, and neither a forgery.

It knows key mode only; in certificate mode its signature functions judge the same texts, the numbers of certificates included. It checks
no age, no application and no amount, so it may accept more than we do, never less.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qsl

import pytest

pytest.importorskip("alipay.aop")

from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.DefaultAlipayClient import DefaultAlipayClient
from alipay.aop.api.request.AlipayTradeWapPayRequest import AlipayTradeWapPayRequest
from alipay.aop.api.util import SignatureUtils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from rsa.pkcs1 import VerificationError

from core import clock
from core.settings import Settings
from lianban.sandbox import SandboxProcess
from payments.providers.alipay import signing
from payments.providers.port import NoticeRefused, OrderTrades
from tests.contracts.alipay_world import (
    MODES,
    WATER,
    AlipayWorld,
    caught,
    enter,
    fields_of,
    public_key_of,
)

pytestmark = pytest.mark.oracle


def bare(pem: str) -> str:
    """A PEM text as the package wants it: the base64 alone."""
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def pkcs1(pem: str) -> str:
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return bare(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode())


@pytest.fixture(params=MODES)
async def alipay(
    request: pytest.FixtureRequest, settings: Settings, sandbox: SandboxProcess
) -> AsyncIterator[AlipayWorld]:
    async with AsyncExitStack() as stack:
        world = await enter(stack, settings, sandbox, request.param)
        await world.tell("/reset")
        yield world


@pytest.fixture
def our_key(settings: Settings) -> str:
    assert settings.alipay is not None
    return pkcs1(settings.alipay.private_key)


@pytest.fixture
def their_key(settings: Settings) -> str:
    assert settings.alipay is not None
    return bare(public_key_of(settings.alipay.alipay_certificates[0]))


def foreign(alipay: AlipayWorld, our_key: str, their_key: str) -> Any:
    config = AlipayClientConfig()
    config.server_url = alipay.config.gateway
    config.app_id = alipay.config.app_id
    config.app_private_key = our_key
    config.alipay_public_key = their_key
    return DefaultAlipayClient(config)


class TestWhatWeSign:
    async def test_it_would_sign_the_address_alike(self, alipay: AlipayWorld, our_key: str) -> None:
        fields = fields_of(await alipay.address(alipay.order()))
        sign = fields.pop("sign")
        assert sign == SignatureUtils.sign_with_rsa2(our_key, SignatureUtils.get_sign_content(fields), "utf-8")

    async def test_it_would_sign_a_call_alike(self, alipay: AlipayWorld, our_key: str) -> None:
        body = {"out_trade_no": "1" * 32, "refund_reason": "多收退回 & 其他=1"}
        fields = signing.signed_parameters(alipay.config, "alipay.trade.refund", body, WATER, clock.now())
        sign = fields.pop("sign")
        assert sign == SignatureUtils.sign_with_rsa2(our_key, SignatureUtils.get_sign_content(fields), "utf-8")


class TestWhatWeBelieve:
    async def test_a_notice_that_we_believe_it_believes(self, alipay: AlipayWorld, their_key: str) -> None:
        body = await caught(alipay, await alipay.paid())
        assert isinstance(alipay.notices.verify_notice((), body, clock.now()).resource, OrderTrades)
        assert believes(their_key, body)

    @pytest.mark.parametrize("spoiling", [{"sign_with": "stranger"}], ids=["stranger"])
    async def test_a_forged_notice_neither_believes(
        self, alipay: AlipayWorld, their_key: str, spoiling: dict[str, Any]
    ) -> None:
        body = await caught(alipay, await alipay.paid(), **spoiling)
        with pytest.raises(NoticeRefused):
            alipay.notices.verify_notice((), body, clock.now())
        assert not believes(their_key, body)


def believes(key: str, body: bytes) -> bool:
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    sign = fields.pop("sign")
    for name in ("sign_type", "alipay_cert_sn"):
        fields.pop(name, None)
    try:
        return SignatureUtils.verify_with_rsa(key, SignatureUtils.get_sign_content(fields).encode(), sign)
    except VerificationError:
        return False


class TestTheSandbox:
    """Key mode: the package as a merchant's client of the sandbox. It has no certificate mode."""

    @pytest.fixture
    async def by_key(self, settings: Settings, sandbox: SandboxProcess) -> AsyncIterator[AlipayWorld]:
        async with AsyncExitStack() as stack:
            yield await enter(stack, settings, sandbox, "key")

    async def test_its_address_opens_the_cashier(self, by_key: AlipayWorld, our_key: str, their_key: str) -> None:
        request = AlipayTradeWapPayRequest()
        request.notify_url = by_key.notify_url
        request.udf_params = {"app_auth_token": by_key.config.tokens[WATER]}
        request.biz_content = {
            "out_trade_no": "ORACLE_0001", "total_amount": "46.60", "subject": "水费", "product_code": "QUICK_WAP_WAY",
            "quit_url": "https://lianban.example/",
        }  # fmt: skip
        url = foreign(by_key, our_key, their_key).page_execute(request, http_method="GET")
        assert await by_key.visit(url) == {"result": "ok"}

    async def test_it_believes_the_sandbox_s_answers(self, by_key: AlipayWorld, our_key: str, their_key: str) -> None:
        order = await by_key.paid()
        raw: list[bytes] = []
        verified = by_key.pay._verified

        def kept(operation: str, method: str, answer: Any) -> bytes:
            raw.append(answer.content)
            return verified(operation, method, answer)

        by_key.pay._verified = kept  # type: ignore[method-assign]
        assert await by_key.pay.query(order.name) is not None
        client = foreign(by_key, our_key, their_key)
        # Its own sender cannot use an address with a port, so it is handed the very bytes that we have got.
        parsed = json.loads(client._DefaultAlipayClient__parse_response(raw[0]))
        assert (parsed["out_trade_no"], parsed["trade_status"]) == (order.number, "TRADE_SUCCESS")
