"""A company of the tests: its own reading of docs/company-gateway.md, sharing no code with ours.

It checks what we send as a strict counterpart would, and signs its answers; a :class:`Reply` can be bent in any way.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core import clock
from core.outbound import Counterpart
from gateways.companies import CompanyGateway, SigningKey

NUMBER = "0203001234"
AUTHORITY = "water.example"


def digest_of(body: bytes) -> str:
    return "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"


def sign(key: Ed25519PrivateKey, lines: list[str], parameters: str) -> str:
    text = "".join(line + "\n" for line in lines) + '"@signature-params": ' + parameters
    return "sig1=:" + base64.b64encode(key.sign(text.encode())).decode() + ":"


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    """Replaces headers after signing; an empty value removes one."""
    created: int | None = None
    keyid: str = "water-2026a"
    signed: bool = True
    other_request: bool = False


def json_reply(status: int, value: Any, **more: Any) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), **more)


class FakeCompany:
    def __init__(self) -> None:
        self.our_key = Ed25519PrivateKey.generate()
        self.keys = {keyid: Ed25519PrivateKey.generate() for keyid in ("water-2026a", "water-2026b", "stranger")}
        self.seen: list[tuple[str, str, Any]] = []
        self.answer: Callable[[str, Any], Reply] = lambda _path, _body: Reply(500, signed=False)

    def gateway(self, base_url: str = f"https://{AUTHORITY}/v1", *, errors_inside: bool = False) -> CompanyGateway:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        live = {keyid: key.public_key() for keyid, key in self.keys.items() if keyid != "stranger"}
        counterpart = Counterpart("company:water", base_url, client=client)
        return CompanyGateway(
            "water",
            counterpart,
            AUTHORITY,
            SigningKey("lianban-2026a", self.our_key),
            live,
            errors_inside=errors_inside,
        )

    def replies(self, reply: Reply) -> None:
        self.answer = lambda _path, _body: reply

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self._check(request)
        body = json.loads(request.content) if request.content else None
        self.seen.append((request.method, request.url.path, body))
        reply = self.answer(request.url.path, body)
        return httpx.Response(reply.status, headers=self._headers(reply, request), content=reply.body)

    def _headers(self, reply: Reply, request: httpx.Request) -> list[tuple[str, str]]:
        headers = {"Content-Type": reply.content_type}
        if reply.signed:
            created = reply.created if reply.created is not None else int(clock.timestamp())
            covered = '("@status" "content-type" "content-digest" "signature";key="sig1";req)'
            parameters = f'{covered};created={created};keyid="{reply.keyid}";alg="ed25519"'
            ours = request.headers["signature"].split("=", 1)[1]
            lines = [
                f'"@status": {reply.status}',
                f'"content-type": {reply.content_type}',
                f'"content-digest": {digest_of(reply.body)}',
                '"signature";key="sig1";req: ' + (":" + "A" * 86 + "==:" if reply.other_request else ours),
            ]
            headers["Content-Digest"] = digest_of(reply.body)
            headers["Signature-Input"] = "sig1=" + parameters
            headers["Signature"] = sign(self.keys[reply.keyid], lines, parameters)
        headers |= reply.headers
        return [(name, value) for name, value in headers.items() if value]

    def _check(self, request: httpx.Request) -> None:
        """What §1 says of a request, read once more and by other means: splitting, not patterns."""
        label, _, rest = request.headers["signature-input"].partition("=")
        assert label == "sig1"
        inner, _, tail = rest.partition(")")
        covered = [name.strip('"') for name in inner.lstrip("(").split(" ")]
        values = dict(item.split("=", 1) for item in tail.lstrip(";").split(";"))
        bare = ["@method", "@authority", "@path"]
        assert covered == (bare if request.method == "GET" else [*bare, "content-type", "content-digest"])
        assert abs(datetime.now(UTC).timestamp() - int(values["created"])) < 5
        assert (values["keyid"], values["alg"]) == ('"lianban-2026a"', '"ed25519"')
        assert len(values["nonce"].strip('"')) >= 22
        assert request.headers["host"] == AUTHORITY
        assert not request.url.query
        derived = {"@method": request.method, "@authority": AUTHORITY, "@path": request.url.path}
        lines = [f'"{name}": {derived[name] if name in derived else request.headers[name]}' for name in covered]
        if request.method != "GET":
            assert request.headers["content-digest"] == digest_of(request.content)
            assert request.headers["content-type"] == "application/json"
        else:
            assert not request.content
            assert "content-digest" not in request.headers
        text = "".join(line + "\n" for line in lines) + '"@signature-params": ' + rest
        signature = base64.b64decode(request.headers["signature"].removeprefix("sig1=:").removesuffix(":"))
        public: Ed25519PublicKey = self.our_key.public_key()
        public.verify(signature, text.encode())


def account(**more: Any) -> dict[str, Any]:
    return {
        "number": NUMBER,
        "service": "water",
        "status": "open",
        "holder_masked": "王*",
        "address_masked": "鄂城区凤凰街道***3栋1单元",
    } | more


def bill(**more: Any) -> dict[str, Any]:
    return {
        "bill_no": "W202610-0001",
        "period": "2026-10",
        "issued_on": "2026-11-01",
        "due_on": "2026-11-30",
        "status": "open",
        "principal_fen": 4660,
        "late_fee_fen": 0,
        "payable_fen": 4660,
        "usage": "17.00",
        "unit": "m3",
        "lines": [
            {"name": "基本水费", "quantity": "17.00", "unit_price": "1.52", "amount_fen": 2584},
            {"name": "污水处理费", "quantity": "17.00", "unit_price": "0.95", "amount_fen": 1615},
            {"name": "水资源费", "quantity": "17.00", "unit_price": "0.2711", "amount_fen": 461},
        ],
    } | more
