"""Alipay of the sandbox and our client of it, in both modes; the sandbox sends its notices to the test's own door."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx

from core import clock
from core.outbound import Counterpart
from core.settings import Settings
from lianban.sandbox import SandboxProcess
from payments.providers.alipay.client import GATEWAY_PATH, Alipay
from payments.providers.alipay.config import AlipayConfig
from payments.providers.alipay.notices import AlipayNotices
from payments.providers.port import Method, OrderPart, OrderRequest, RefundRequest
from tests.core.wire import answer, wire

WATER, POWER = "2088000000000101", "2088000000000102"
RETURN_URL = "https://lianban.example/paid"
MODES = ("certificate", "key")


def make_config(settings: Settings, sandbox: SandboxProcess, mode: str, **more: Any) -> AlipayConfig:
    """The application of this mode, as the sandbox's file describes it."""
    theirs = json.loads(sandbox.config.read_bytes())["alipay"]
    ours = settings.alipay
    assert ours is not None
    app = next(app for app in theirs["apps"] if ("certificate" in app) == (mode == "certificate"))
    values: dict[str, Any] = {
        "app_id": app["app_id"],
        "gateway": f"{settings.endpoints.alipay}{GATEWAY_PATH}",
        "private_key": ours.private_key,
        "tokens": {seller["seller_id"]: seller["app_auth_token"] for seller in app["sellers"]},
        "service_provider": ours.service_provider,
    }
    if mode == "certificate":
        values |= {"certificate": ours.certificate, "root_certificates": ours.root_certificates}
        values |= {"certificates": ours.alipay_certificates}
    else:
        values["public_key"] = public_key_of(ours.alipay_certificates[0])
    return AlipayConfig.load(**(values | more))


def public_key_of(certificate: str) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass
class AlipayWorld:
    config: AlipayConfig
    pay: Alipay
    notices: AlipayNotices
    control: httpx.AsyncClient
    notify_url: str = "http://127.0.0.1:1/callbacks/alipay"
    person_id: str = ""
    opened: list[str] = field(default_factory=list)

    async def tell(self, path: str, body: Any = None) -> Any:
        response = await self.control.post(f"/control{path}", json=body or {})
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    async def visit(self, url: str, **more: Any) -> dict[str, str]:
        """The payer opens an address and pays, or only opens it."""
        if not self.person_id:
            self.person_id = (await self.tell("/people", {"nickname": "小明"}))["person_id"]
        return await self.tell(f"/people/{self.person_id}/pay", {"url": url, **more})

    def order(self, *, fen: int = 4660, merchant: str = WATER, minutes: float = 10, number: str = "") -> OrderRequest:
        number = number or uuid4().hex
        part = OrderPart(number, merchant, fen, "市水务/2026-10=水费&附加")
        return OrderRequest(
            number,
            Method.WAP,
            (part,),
            clock.now() + timedelta(minutes=minutes),
            self.notify_url,
            return_url=RETURN_URL,
        )

    async def address(self, order: OrderRequest) -> str:
        return self.pay.client_params(Method.WAP, (await self.pay.create_order(order)).handle)["url"]

    async def paid(self, **more: Any) -> OrderRequest:
        order = self.order(**more)
        assert await self.visit(await self.address(order)) == {"result": "ok"}
        return order

    async def trade(self, order: OrderRequest) -> dict[str, Any]:
        found = (await self.control.get("/control/alipay/trades")).json()["trades"]
        return next(trade for trade in found if trade["out_trade_no"] == order.number)


def refund_of(order: OrderRequest, *, fen: int | None = None, number: str = "") -> RefundRequest:
    (part,) = order.parts
    return RefundRequest(
        number or uuid4().hex,
        part.order_no,
        part.merchant,
        fen or part.amount_fen,
        part.amount_fen,
        "多收退回",
        order.notify_url,
    )


def fields_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


async def enter(
    stack: AsyncExitStack, settings: Settings, sandbox: SandboxProcess, mode: str, **more: Any
) -> AlipayWorld:
    control = await stack.enter_async_context(httpx.AsyncClient(base_url=sandbox.url, trust_env=False))
    config = make_config(settings, sandbox, mode, **more)
    side = Counterpart("alipay", settings.endpoints.alipay)
    stack.push_async_callback(side.aclose)
    return AlipayWorld(config, Alipay(config, side), AlipayNotices(config), control)


async def caught(world: AlipayWorld, order: OrderRequest, **spoiled: object) -> bytes:
    """A notice about a trade, right or spoiled, caught at a door of the test."""
    async with wire(answer(200, b"success")) as door:
        await world.tell(f"/alipay/trades/{order.number}/notify", {"url": door.url, **spoiled})
        return door.requests[-1].partition(b"\r\n\r\n")[2]
