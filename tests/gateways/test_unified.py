"""Sources of the unified identity: an answer counts when it is signed, fresh, for us, and about this very login."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core import clock
from core.outbound import Counterpart, MalformedAnswer
from gateways.unified_code import CodeSource
from gateways.unified_identity import Trip, VouchingRefused
from gateways.unified_ticket import TicketSource

ISSUER, CLIENT, SECRET = "https://portal.sandbox", "lianban", "shared-secret-of-32-characters--"
KEY, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
TRIP = Trip("s" * 64, "n" * 43, "v" * 43, "https://lb.example/back", "person")

Claims = dict[str, Any]


def _side(serve: Callable[[httpx.Request], httpx.Response]) -> Counterpart:
    return Counterpart(
        "identity:x", "https://x.example", client=httpx.AsyncClient(transport=httpx.MockTransport(serve))
    )


def _claims(**changes: Any) -> Claims:
    now = int(clock.timestamp())
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "u1", "nonce": TRIP.nonce, "iat": now, "exp": now + 300, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _handmade(header: Any, claims: Claims, sign: Callable[[bytes], bytes]) -> str:
    text = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
    return f"{text}.{_b64(sign(text.encode()))}"


async def _vouch(id_token: str, info: dict[str, Any] | None = None) -> Any:
    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "a", "token_type": "Bearer", "id_token": id_token})
        return httpx.Response(200, json={"sub": "u1", "name": "王小明"} | (info or {}))

    source = CodeSource("portal", ISSUER, "https://x.example/login", CLIENT, SECRET, PUBLIC.decode(), _side(serve))
    return await source.vouch("code-12345678", TRIP)


NOW = int(clock.timestamp())
TOKENS: dict[str, Callable[[], str]] = {
    "the nonce of another login": lambda: jwt.encode(_claims(nonce="m" * 43), KEY, "EdDSA"),
    "no nonce": lambda: jwt.encode(_claims(nonce=None), KEY, "EdDSA"),
    "an empty nonce": lambda: jwt.encode(_claims(nonce=""), KEY, "EdDSA"),
    "a list of nonces with ours": lambda: jwt.encode(_claims(nonce=[TRIP.nonce]), KEY, "EdDSA"),
    "for another relying party": lambda: jwt.encode(_claims(aud="another"), KEY, "EdDSA"),
    "for several": lambda: jwt.encode(_claims(aud=[CLIENT, "another"]), KEY, "EdDSA"),
    "of another issuer": lambda: jwt.encode(_claims(iss="https://ehuiban.sandbox"), KEY, "EdDSA"),
    "of nobody": lambda: jwt.encode(_claims(sub=None), KEY, "EdDSA"),
    "old": lambda: jwt.encode(_claims(iat=NOW - 900, exp=NOW - 600), KEY, "EdDSA"),
    "of tomorrow": lambda: jwt.encode(_claims(iat=NOW + 86_400, exp=NOW + 90_000), KEY, "EdDSA"),
    "without end": lambda: jwt.encode(_claims(exp=None), KEY, "EdDSA"),
    "signed by a stranger": lambda: jwt.encode(_claims(), STRANGER, "EdDSA"),
    "signed by a stranger who sends his key along": lambda: jwt.encode(
        _claims(), STRANGER, "EdDSA", {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": _b64(STRANGER.public_key().public_bytes_raw())}}
    ),
    "unsigned": lambda: _handmade({"alg": "none", "typ": "JWT"}, _claims(), lambda _: b""),
    "HS256 with the source's public key": lambda: _handmade(
        {"alg": "HS256", "typ": "JWT"}, _claims(), lambda text: hmac.digest(PUBLIC, text, hashlib.sha256)
    ),
    "no token": lambda: "x",
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
async def test_an_identity_token_that_is_not_of_this_login_proves_nobody(name: str) -> None:
    with pytest.raises(MalformedAnswer):
        await _vouch(TOKENS[name]())
    assert (await _vouch(jwt.encode(_claims(), KEY, "EdDSA"))).person.subject == "u1"


@pytest.mark.parametrize(
    "info",
    [
        {"sub": "u2"},
        {"sub": ""},
        {"organization": {"name": "公司", "credit_code": "91420704MA49236618"}},
        {"id_number": "1"},
        {"phone": "13800000001"},
        {"real_name": "yes"},
    ],
    ids=lambda info: next(iter(info)) + "=" + str(next(iter(info.values())))[:9],
)
async def test_what_is_said_of_another_subject_or_in_another_shape_is_not_believed(info: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        await _vouch(jwt.encode(_claims(), KEY, "EdDSA"), info)


def _sign(secret: str, *parts: str) -> str:
    return hmac.new(secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


async def _validate(change: dict[str, Any], secret: str = SECRET, signed: dict[str, Any] | None = None) -> Any:
    """A ticket's answer: `change` before it is signed, `signed` after."""

    def serve(request: httpx.Request) -> httpx.Response:
        user = {"user_id": "u1", "user_type": "1", "auth_level": "1"}
        told = {
            "code": "0", "nonce": json.loads(request.content)["nonce"], "timestamp": int(clock.timestamp() * 1000),
            "data": json.dumps(user | change.get("user", {})),
        }  # fmt: skip
        told |= {name: value for name, value in change.items() if name != "user"}
        told["sign"] = _sign(secret, told["code"], told["nonce"], str(told["timestamp"]), told["data"])
        return httpx.Response(200, json=told | (signed or {}))

    source = TicketSource("ehuiban", ISSUER, "https://x.example/login", CLIENT, SECRET, _side(serve))
    return await source.vouch("ST-12345678", TRIP)


@pytest.mark.parametrize(
    ("change", "secret", "signed"),
    [
        ({"nonce": "n" * 43}, SECRET, {}),
        ({"timestamp": (NOW - 600) * 1000}, SECRET, {}),
        ({"timestamp": (NOW + 86_400) * 1000}, SECRET, {}),
        ({}, "another secret", {}),
        ({}, "", {}),
        ({}, SECRET, {"sign": ""}),
        ({}, SECRET, {"data": json.dumps({"user_id": "u2", "user_type": "1"})}),
        ({"code": "TICKET_USED"}, SECRET, {"code": "0"}),
        ({"user": {"user_type": "2", "corp_name": "公司", "credit_code": "91420704MA49236618"}}, SECRET, {}),
        ({"user": {"user_id": ""}}, SECRET, {}),
        ({"code": "MAYBE"}, SECRET, {}),
    ],
    ids=["the answer to another question", "old", "of the future", "another secret", "no secret", "unsigned", "data changed", "a refusal turned",
         "an organization instead", "nobody", "unknown code"],
)  # fmt: skip
async def test_an_answer_about_a_ticket_that_is_not_to_this_question_proves_nobody(
    change: dict[str, Any], secret: str, signed: dict[str, Any]
) -> None:
    with pytest.raises(MalformedAnswer):
        await _validate(change, secret, signed)
    assert (await _validate({})).person.subject == "u1"


@pytest.mark.parametrize("code", ["TICKET_INVALID", "TICKET_USED", "TICKET_EXPIRED"])
async def test_a_ticket_that_the_source_refuses_is_refused(code: str) -> None:
    with pytest.raises(VouchingRefused):
        await _validate({"code": code})
