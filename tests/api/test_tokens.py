"""Only our own tokens open a door: of the right key, type, audience, issuer and age, unaltered."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from core import clock
from core.settings import Settings
from tests.harness.edge import Edge, Person

Forge = Callable[[dict[str, Any], dict[str, Any], Ed25519PrivateKey], str]


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _raw(header: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes]) -> str:
    text = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
    return f"{text}.{_b64(sign(text.encode()))}"


def _with_header(**changes: Any) -> Forge:
    def forge(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
        changed = {name: value for name, value in {**header, **changes}.items() if value is not None}
        return _raw(changed, claims, key.sign)

    return forge


def _with_claims(**changes: Any) -> Forge:
    def forge(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
        changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return _raw(header, changed, key.sign)

    return forge


def _unsigned(alg: str) -> Forge:
    return lambda header, claims, _key: _raw({**header, "alg": alg}, claims, lambda _text: b"")


def _hmac_with(encoding: tuple[Encoding, PublicFormat]) -> Forge:
    def forge(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
        secret = key.public_key().public_bytes(*encoding)
        return _raw({**header, "alg": "HS256"}, claims, lambda text: hmac.digest(secret, text, hashlib.sha256))

    return forge


def _of_a_stranger(header: dict[str, Any], claims: dict[str, Any], _key: Ed25519PrivateKey) -> str:
    return _raw(header, claims, Ed25519PrivateKey.generate().sign)


def _altered(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
    token = _raw(header, claims, key.sign)
    # Of the last of 86 characters only the two upper bits count: change those.
    return token[:-1] + ("A" if token[-1] not in "ABCDEFGHIJKLMNOP" else "w")


def _own_key_inside(header: dict[str, Any], claims: dict[str, Any], _key: Ed25519PrivateKey) -> str:
    own = Ed25519PrivateKey.generate()
    raw = own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _raw({**header, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": _b64(raw)}}, claims, own.sign)


CORPUS: dict[str, Forge] = {
    **{f"alg {alg!r}": _unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "")},
    "alg missing": _with_header(alg=None),
    "alg a list": _with_header(alg=["EdDSA"]),
    "HS256 with our public key as PEM": _hmac_with((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with our public key as DER": _hmac_with((Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with our public key raw": _hmac_with((Encoding.Raw, PublicFormat.Raw)),
    "RS256 in name only": _with_header(alg="RS256"),
    "kid a path": _with_header(kid="../../../../dev/null"),
    "kid a URL": _with_header(kid="http://127.0.0.1:9/key.pem"),
    "kid SQL": _with_header(kid="' or 1=1 --"),
    "kid missing": _with_header(kid=None),
    "kid a number": _with_header(kid=1),
    "kid a list": _with_header(kid=["a"]),
    "typ missing": _with_header(typ=None),
    "typ JWT": _with_header(typ="JWT"),
    "jku": _with_header(jku="http://127.0.0.1:9/jwks.json"),
    "crit": _with_header(crit=["exp"]),
    "its own key inside": _own_key_inside,
    "another's key under our name": _of_a_stranger,
    "last character altered": _altered,
    "audience of staff": _with_claims(aud="lianban:staff"),
    "audience a list that holds ours": _with_claims(aud=["lianban:people", "other"]),
    "audience missing": _with_claims(aud=None),
    "issuer of another": _with_claims(iss="https://elsewhere.example"),
    "issuer missing": _with_claims(iss=None),
    "expired": _with_claims(exp=1_600_000_000),
    "expiry missing": _with_claims(exp=None),
    "expiry a text": _with_claims(exp="tomorrow"),
    "expiry without end": _with_claims(exp=float("inf")),
    "no session": _with_claims(sid=None),
    "session no id": _with_claims(sid="1"),
    "no person": _with_claims(sub=None),
    "level 9": _with_claims(lvl=9),
    "level a text": _with_claims(lvl="3"),
    "level true": _with_claims(lvl=True),
    "level missing": _with_claims(lvl=None),
    "claims a list": lambda header, _claims, key: _raw(header, [], key.sign),
    "header a list": lambda _header, claims, key: _raw([], claims, key.sign),  # type: ignore[arg-type]
    "deep": lambda header, claims, key: f"{_b64(b'[' * 1_400)}.x.x",
    "deep inside": lambda header, claims, key: f"{_b64(json.dumps(header).encode())}.{_b64(b'[' * 1_200)}.x",
    "huge": _with_claims(x="x" * 3_000),
    "one part": lambda *_: "eyJ",
    "empty parts": lambda *_: "..",
    "four parts": lambda header, claims, key: _raw(header, claims, key.sign) + ".x",
    "not ASCII": lambda header, claims, key: _raw(header, claims, key.sign) + "é",
    "a space inside": lambda header, claims, key: _raw(header, claims, key.sign).replace(".", " .", 1),
    "plus and slash for their URL forms": lambda header, claims, key: (
        _raw(header, {**claims, "jti": "???>>>"}, key.sign).replace("-", "+").replace("_", "/") + "="
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
async def person(edge: Edge) -> Person:
    return await edge.person()


@pytest.fixture
def parts(person: Person, settings: Settings) -> tuple[dict[str, Any], dict[str, Any], Ed25519PrivateKey]:
    """Header and claims of a token that is right, and the key that signed it."""
    key = load_pem_private_key(settings.token_keys[0].key.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    header = dict(jwt.get_unverified_header(person.token))
    return header, jwt.decode(person.token, options={"verify_signature": False}), key


@pytest.mark.parametrize("name", CORPUS)
async def test_a_token_that_is_not_ours_is_refused(edge: Edge, parts: Any, name: str) -> None:
    token = CORPUS[name](*parts)
    response = await edge.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}".encode()})
    assert (response.status_code, response.json()["code"]) == (401, "token_refused")
    assert response.headers["www-authenticate"] == 'Bearer realm="lianban"'


async def test_the_same_parts_unchanged_are_accepted(edge: Edge, parts: Any) -> None:
    for forge in (_with_header(), _with_claims()):
        assert (
            await edge.call("GET", "/v1/me", headers={"Authorization": f"bearer {forge(*parts)}"})
        ).status_code == 200


@pytest.mark.parametrize("scheme", ["", "Basic", "Bearer:", "Token", "BearerX"])
async def test_another_scheme_is_refused(edge: Edge, person: Person, scheme: str) -> None:
    response = await edge.call("GET", "/v1/me", headers={"Authorization": f"{scheme} {person.token}".strip()})
    assert response.status_code == 401


async def test_a_token_in_the_address_or_a_cookie_is_none(edge: Edge, person: Person) -> None:
    assert (await edge.call("GET", f"/v1/me?access_token={person.token}")).status_code == 401
    assert (await edge.call("GET", "/v1/me", headers={"Cookie": f"access_token={person.token}"})).status_code == 401


async def test_a_token_is_refused_from_the_second_its_life_ends_on_though_it_was_seen_before(edge: Edge) -> None:
    person = await edge.person()
    assert (await edge.call("GET", "/v1/me", by=person)).status_code == 200
    try:
        clock.travel(timedelta(minutes=10, seconds=1))
        assert (await edge.call("GET", "/v1/me", by=person)).status_code == 401
    finally:
        clock.travel(timedelta())
    assert (await edge.call("GET", "/v1/me", by=await edge.person())).status_code == 200


async def test_the_published_keys_verify_our_tokens_and_hold_no_secret(edge: Edge, person: Person) -> None:
    keys = (await edge.told("GET", "/.well-known/jwks.json"))["keys"]
    assert all(set(key) == {"kty", "crv", "kid", "use", "alg", "x"} for key in keys)
    kid = jwt.get_unverified_header(person.token)["kid"]
    (key,) = [jwt.PyJWK(key) for key in keys if key["kid"] == kid]
    assert jwt.decode(person.token, key, ["EdDSA"], audience="lianban:people")["sub"]
