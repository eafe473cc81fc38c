"""Two companies, the platform's keys, a client that signs as the platform, and a platform that takes events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox import http_signatures as signatures
from sandbox.http_signatures import PrivateKey, Request, Response

NUMBER = "0203001234"
LIANBAN = ("lianban-2026a", "lianban-2026b")
KEYS = {
    name: PrivateKey(name, Ed25519PrivateKey.generate())
    for name in (*LIANBAN, "water-2026a", "water-2026b", "gas-2026a")
}


def pem(name: str) -> str:
    return KEYS[name].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(name: str) -> str:
    return KEYS[name].key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def bill(bill_no: str, period: str, principal_fen: int, **more: Any) -> dict[str, Any]:
    lines = [{"name": "基本水费", "quantity": "17.00", "unit_price": "1.52", "amount_fen": principal_fen - 461},
             {"name": "水资源费", "quantity": "17.00", "unit_price": "0.2711", "amount_fen": 461}]  # fmt: skip
    return {
        "bill_no": bill_no, "period": period, "issued_on": f"{period}-28", "due_on": "2026-12-31", "status": "open",
        "principal_fen": principal_fen, "late_fee_fen": 0, "usage": "17.00", "unit": "m3", "lines": lines, **more,
    }  # fmt: skip


def configuration(folder: Path, platform: str = "http://127.0.0.1:1") -> dict[str, Any]:
    """Water has an account with two open bills and a paid one of long ago; gas has an account of the same number."""
    account = {"number": NUMBER, "holder_name": "王小明", "holder_id_last4": "002X", "holder_mobile": "13800000001",
               "address": "鄂城区凤凰街道滨湖路8号", "address_masked": "鄂城区凤凰街道***", "status": "open",
               "balance_fen": 0}  # fmt: skip
    bills = [bill("W202610-1", "2026-10", 4660), bill("W202609-1", "2026-09", 3000, late_fee_fen=15),
             bill("W202401-1", "2024-01", 1000, status="paid")]  # fmt: skip

    def company(code: str, keyids: list[str], proof_kind: str, account: dict[str, Any]) -> dict[str, Any]:
        return {
            "code": code, "service": code, "callback_url": f"{platform}/callbacks/companies/{code}",
            "platform_url": platform, "proof_kind": proof_kind, "accounts": [account],
            "private_keys": [{"keyid": keyid, "key": pem(keyid)} for keyid in keyids],
            "lianban_public_keys": [{"keyid": keyid, "key": public_pem(keyid)} for keyid in LIANBAN],
        }  # fmt: skip

    return {
        "clock_file": str(folder / "clock"),
        "state_file": str(folder / "sandbox.sqlite3"),
        "companies": [
            company("water", ["water-2026a", "water-2026b"], "holder_id_last4", {**account, "bills": bills}),
            company("gas", ["gas-2026a"], "last_bill_fen", {**account, "bills": [bill("G1", "2026-10", 7700)]}),
        ],
    }


@dataclass
class Told:
    """What a company answered, already proven to be its answer to our request unless `proven` is False."""

    status: int
    body: Any
    keyid: str | None
    raw: httpx.Response


@dataclass
class Client:
    """Signs as the platform."""

    base: str
    http: httpx.AsyncClient
    company: str = "water"
    keyid: str = "lianban-2026a"
    clock: Callable[[], float] = time.time
    last: Request = field(default_factory=lambda: Request("GET", "", "/"))

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> Request:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = [] if method == "GET" else [("Content-Type", "application/json")]
        target = f"/{self.company}/v1/{path}"
        request = Request(method, self.base.removeprefix("http://"), target, fields, content)
        created = more.get("created", int(self.clock()))
        nonce = more.get("nonce", signatures.new_nonce())
        added = signatures.sign_request(request, more.get("key", KEYS[self.keyid]), created, nonce)
        return Request(method, request.authority, target, [*fields, *added], content)

    async def send(self, request: Request) -> Told:
        """Send as it is; a signed answer is proven with the keys of the company."""
        self.last = request
        headers = [*request.fields, ("Host", request.authority)]
        url = f"{self.base}{request.target}"
        raw = await self.http.request(request.method, url, content=request.body or None, headers=headers)
        keyid = None
        if "signature" in raw.headers:
            response = Response(raw.status_code, raw.headers.multi_items(), raw.content)
            keys = {name: key.key.public_key() for name, key in KEYS.items() if name.startswith(self.company)}
            keyid = signatures.verify_response(response, request, keys, self.clock()).keyid
        body = raw.json() if raw.headers["content-type"] == "application/json" else raw.text
        return Told(raw.status_code, body, keyid, raw)

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Told:
        return await self.send(self.request(method, path, body, **more))

    async def quote(self, number: str = NUMBER) -> dict[str, Any]:
        told = await self.call("POST", "bills/query", {"account_number": number, "purpose": "quote"})
        assert told.status == 200, told
        return told.body["quote"]

    async def post(self, posting: dict[str, Any]) -> Told:
        return await self.call("POST", "postings", posting)


def posting(quote_id: str, posting_id: str = "p-1", /, **more: Any) -> dict[str, Any]:
    """A payment of the bill of October; `paid_at` is long ago, so any quote still covers it."""
    return {
        "posting_id": posting_id, "account_number": NUMBER, "quote_id": quote_id, "total_fen": 4660,
        "bills": [{"bill_no": "W202610-1", "amount_fen": 4660}], "paid_at": "2026-01-01T10:02:11+08:00",
        "provider": "wechat_pay", "merchant": "1900000101", "provider_transaction": "4200002026", **more,
    }  # fmt: skip


class Platform:
    """Our side in its barest form: keeps what arrives, answers what it is told to, 204 by default."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Request] = asyncio.Queue()
        self.answers: list[Callable[[Request], bytes]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def next(self) -> tuple[Request, dict[str, Any]]:
        request = await asyncio.wait_for(self.arrived.get(), 10)
        return request, json.loads(request.body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
        length = int(signatures.field(fields, "content-length") or 0)
        host = signatures.field(fields, "host") or ""
        request = Request(method, host, target, fields, await reader.readexactly(length))
        answer = self.answers.pop(0)(request) if self.answers else http_answer(204)
        self.arrived.put_nowait(request)
        writer.write(answer)
        await writer.drain()
        writer.close()


def http_answer(status: int, fields: list[tuple[str, str]] | None = None, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in fields or []), "Connection: close"]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def http_client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as http:
        yield http
