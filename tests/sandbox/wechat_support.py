"""Keys made at run time, a merchant who signs by his own reading of the rules, a product that takes notices, a sandbox."""

import asyncio
import base64
import datetime
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from sandbox.server import Sandbox

APPID, OTHER_APPID, SECRET = "wx0123456789abcdef", "wxfedcba9876543210", "0123456789abcdef0123456789abcdef"
WEB_APPID, WEB_HOST = "wxaaaaaaaaaaaaaaaa", "lianban.example:8000"
SP_MCHID, SUB_MCHID = "1900000001", "1900000101"
API_V3_KEY = secrets.token_hex(16)
PUSH_TOKEN = "push-token"
AES_KEY = base64.b64encode(secrets.token_bytes(32)).decode()[:43]
ONE_OFF, OTHER_ONE_OFF, LONG_TERM = "template-bill", "template-paid", "template-arrears"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000001"
SCHEME = "WECHATPAY2-SHA256-RSA2048"


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def certificate_of(key: rsa.RSAPrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(int.from_bytes(b"\x5d" + secrets.token_bytes(18), "big"))
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    return builder.not_valid_after(now + datetime.timedelta(days=1800)).sign(key, SHA256())


MERCHANT_KEY, PLATFORM_KEY, PUBLIC_KEY_PAIR, STRANGER_KEY = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(4)
)
MERCHANT_CERTIFICATE = certificate_of(MERCHANT_KEY, SP_MCHID)
PLATFORM_CERTIFICATE = certificate_of(PLATFORM_KEY, "Tenpay.com sandbox")
SERIAL = f"{MERCHANT_CERTIFICATE.serial_number:X}"
PLATFORM_SERIAL = f"{PLATFORM_CERTIFICATE.serial_number:X}"


def configuration(folder: Path, product: str = "http://127.0.0.1:1", answer_with: str = "public_key") -> dict[str, Any]:
    """One mini-program with a push address, one without, an account with web pages; one service provider, two sub-merchants."""
    templates = [
        {"id": ONE_OFF, "keys": ["amount1", "thing2", "time3"]},
        {"id": OTHER_ONE_OFF, "keys": ["thing1"]},
        {"id": LONG_TERM, "keys": ["thing1"], "kind": "long_term"},
    ]
    push = {"url": f"{product}/push", "token": PUSH_TOKEN, "encoding_aes_key": AES_KEY}
    app = {"appid": APPID, "secret": SECRET, "kind": "mini_program", "push": push, "templates": templates}
    merchant = {"mchid": SP_MCHID, "appids": [APPID], "api_v3_key": API_V3_KEY, "serial": SERIAL}
    return {
        "clock_file": str(folder / "clock"),
        "state_file": str(folder / "sandbox.sqlite3"),
        "wechat": {
            "apps": [
                app,
                {"appid": OTHER_APPID, "secret": SECRET, "kind": "mini_program", "templates": []},
                {"appid": WEB_APPID, "secret": SECRET, "kind": "official_account", "web_host": WEB_HOST},
            ]
        },
        "wechat_pay": {
            "platform_private_key": private_pem(PLATFORM_KEY),
            "platform_certificate": PLATFORM_CERTIFICATE.public_bytes(Encoding.PEM).decode(),
            "public_key_id": PUBLIC_KEY_ID,
            "public_key": public_pem(PUBLIC_KEY_PAIR),
            "public_key_private": private_pem(PUBLIC_KEY_PAIR),
            "answer_with": answer_with,
            "merchants": [merchant | {"certificate": MERCHANT_CERTIFICATE.public_bytes(Encoding.PEM).decode()}],
            "sub_merchants": [SUB_MCHID, {"mchid": "1900000102", "appids": [OTHER_APPID]}],
        },
    }


def signature(key: rsa.RSAPrivateKey, *lines: str) -> str:
    """SHA256withRSA over the lines, each ended by a newline."""
    message = "".join(f"{line}\n" for line in lines).encode()
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), SHA256())).decode()


def is_signed(headers: Mapping[str, str], body: bytes, key: rsa.RSAPrivateKey = PUBLIC_KEY_PAIR) -> bool:
    """Whether an answer or a notice carries the signature of `key`'s owner over exactly these bytes."""
    message = f"{headers['wechatpay-timestamp']}\n{headers['wechatpay-nonce']}\n".encode() + body + b"\n"
    try:
        sealed = base64.b64decode(headers["wechatpay-signature"], validate=True)
        key.public_key().verify(sealed, message, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return headers["wechatpay-signature-type"] == SCHEME


def unsealed(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The plaintext of a notice's resource."""
    assert resource["algorithm"] == "AEAD_AES_256_GCM"
    cipher = AESGCM(API_V3_KEY.encode())
    sealed = base64.b64decode(resource["ciphertext"])
    return json.loads(cipher.decrypt(resource["nonce"].encode(), sealed, resource["associated_data"].encode()))


class Merchant:
    """Calls WeChat Pay as the service provider; each part of the signature can be replaced to spoil it."""

    def __init__(self, base_url: str, http: httpx.AsyncClient, offset_s: float = 0.0) -> None:
        self.base_url = base_url
        self.http = http
        self.offset_s = offset_s

    def authorization(self, method: str, target: str, body: str, **spoiled: Any) -> str:
        timestamp = spoiled.get("timestamp", str(int(time.time() + self.offset_s)))
        nonce = spoiled.get("nonce", secrets.token_hex(16))
        key = spoiled.get("key", MERCHANT_KEY)
        signed = signature(key, method, target, timestamp, nonce, spoiled.get("signed_body", body))
        mchid, serial = spoiled.get("mchid", SP_MCHID), spoiled.get("serial", SERIAL)
        fields = (
            f'mchid="{mchid}",nonce_str="{nonce}",signature="{signed}",timestamp="{timestamp}",serial_no="{serial}"'
        )
        return f"{spoiled.get('scheme', SCHEME)} {fields}"

    async def call(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None, **spoiled: Any
    ) -> httpx.Response:
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        sent = {"Accept": "application/json", "User-Agent": "test", "Content-Type": "application/json"}
        sent["Authorization"] = self.authorization(method, target, text, **spoiled)
        sent.update(headers or {})
        return await self.http.request(method, self.base_url + target, content=text.encode(), headers=sent)

    async def open(self, body: Mapping[str, Any], kind: str = "jsapi") -> httpx.Response:
        return await self.call("POST", f"/v3/pay/partner/transactions/{kind}", body)

    async def query(self, out_trade_no: str, sub_mchid: str = SUB_MCHID) -> httpx.Response:
        target = f"/v3/pay/partner/transactions/out-trade-no/{out_trade_no}?sp_mchid={SP_MCHID}&sub_mchid={sub_mchid}"
        return await self.call("GET", target)

    async def close(self, out_trade_no: str) -> httpx.Response:
        target = f"/v3/pay/partner/transactions/out-trade-no/{out_trade_no}/close"
        return await self.call("POST", target, {"sp_mchid": SP_MCHID, "sub_mchid": SUB_MCHID})

    async def refund(self, body: Mapping[str, Any]) -> httpx.Response:
        return await self.call("POST", "/v3/refund/domestic/refunds", body)

    async def query_refund(self, out_refund_no: str, sub_mchid: str = SUB_MCHID) -> httpx.Response:
        return await self.call("GET", f"/v3/refund/domestic/refunds/{out_refund_no}?sub_mchid={sub_mchid}")


@dataclass
class Received:
    """A request that reached the product."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_probe(self) -> bool:
        return self.headers.get("wechatpay-signature", "").startswith("WECHATPAY/SIGNTEST/")


@dataclass
class Product:
    """Our side as the outside world sees it: takes requests, answers what the test laid ready, else as it should."""

    received: asyncio.Queue[Received] = field(default_factory=asyncio.Queue)
    probes: list[Received] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    accepts_probes: bool = False
    url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def next(self, within_s: float = 8.0) -> Received:
        """The next request that is no probe."""
        async with asyncio.timeout(within_s):
            return await self.received.get()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                path, _, query = target.partition("?")
                status, answer = self._answer(Received(method, path, query, headers, body))
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, request: Received) -> tuple[int, bytes]:
        if request.is_probe:
            self.probes.append(request)
            return (204, b"") if self.accepts_probes else (401, b'{"code":"FAIL","message":"signature"}')
        self.received.put_nowait(request)
        if self.answers:
            return self.answers.pop(0)
        return (200, b"success") if request.path == "/push" else (204, b"")


@dataclass
class World:
    """A running sandbox with all who deal with it."""

    folder: Path
    base_url: str
    pay: Merchant
    http: httpx.AsyncClient
    product: Product

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        response = await self.http.request(method, f"{self.base_url}/control{path}", json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    async def person(self, nickname: str = "王小明", phone: str | None = "13800000001") -> dict[str, Any]:
        return await self.control("POST", "/people", {"nickname": nickname, "phone": phone})

    async def fault(self, counterpart: str, operation: str, fault: str, **more: Any) -> None:
        body = {"counterpart": counterpart, "operation": operation, "fault": fault, **more}
        await self.control("POST", "/faults", body)

    def travel(self, offset_s: float) -> None:
        """Both sides now live `offset_s` seconds from the real time."""
        (self.folder / "clock").write_text(str(offset_s))
        self.pay.offset_s = offset_s

    def order(self, out_trade_no: str, openid: str, total: int = 4660, **more: Any) -> dict[str, Any]:
        """The body of a JSAPI order."""
        return {
            "sp_appid": APPID, "sp_mchid": SP_MCHID, "sub_mchid": SUB_MCHID, "description": "2026-10 水费",
            "out_trade_no": out_trade_no, "notify_url": f"{self.product.url}/notify",
            "amount": {"total": total, "currency": "CNY"}, "payer": {"sp_openid": openid}, **more,
        }  # fmt: skip

    def pay_parameters(self, prepay_id: str, **spoiled: Any) -> dict[str, Any]:
        """What wx.requestPayment gets, signed by the merchant."""
        given = {"appId": APPID, "timeStamp": str(int(time.time())), "nonceStr": secrets.token_hex(16)}
        given |= {"package": f"prepay_id={prepay_id}", "signType": "RSA"}
        given |= {name: value for name, value in spoiled.items() if name != "key"}
        lines = (given["appId"], given["timeStamp"], given["nonceStr"], given["package"])
        return {"paySign": signature(spoiled.get("key", MERCHANT_KEY), *lines)} | given

    async def paid_order(self, out_trade_no: str, total: int = 4660, **more: Any) -> dict[str, Any]:
        """A person who has paid an order; answers the person."""
        person = await self.person()
        opened = await self.pay.open(self.order(out_trade_no, person["openid"], total))
        parameters = self.pay_parameters(opened.json()["prepay_id"])
        result = await self.control("POST", f"/people/{person['person_id']}/pay", parameters | more)
        assert result == {"result": "ok"}
        return person


@asynccontextmanager
async def world(folder: Path, answer_with: str = "public_key") -> AsyncIterator[World]:
    """A sandbox in this loop, on free ports, with a product that listens."""
    async with (
        Product().serving() as product,
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
        Sandbox(configuration(folder, product.url, answer_with), port=0) as sandbox,
    ):
        base_url, pay_url = (f"http://127.0.0.1:{port}" for port in sandbox.ports[:2])
        yield World(folder, base_url, Merchant(pay_url, http), http, product)
