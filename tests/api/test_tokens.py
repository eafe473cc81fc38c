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
from domain.identity.sessions import ended_lately
from tests.harness import staff
from tests.harness.edge import Edge, Person
from tests.harness.staff import Member

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


def _with_texts(change: Callable[[str, str], tuple[str, str]]) -> Forge:
    """Header and claims as JSON texts, so that they may say what no dictionary can."""

    def forge(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
        texts = change(json.dumps(header), json.dumps(claims))
        text = ".".join(_b64(part.encode()) for part in texts)
        return f"{text}.{_b64(key.sign(text.encode()))}"

    return forge


def _hmac_with_jwk(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """The secret is the very text under which we publish the key."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    secret = json.dumps({"kty": "OKP", "crv": "Ed25519", "kid": header["kid"], "x": _b64(raw)}).encode()
    return _raw({**header, "alg": "HS256"}, claims, lambda text: hmac.digest(secret, text, hashlib.sha256))


def _encrypted(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """Five parts, as an encrypted token (RFC 7516) has them."""
    return _raw({**header, "alg": "dir", "enc": "A256GCM"}, claims, key.sign) + ".x.x"


_OURS = (None, "", " ", "lianban", "lianban:people ", "LIANBAN:PEOPLE", "lianban:company", [], {}, 1)

CORPUS: dict[str, Forge] = {
    **{f"alg {alg!r}": _unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "", " none", "none\n", "n\u043ene")},
    **{
        f"alg {alg!r} though it is signed": _with_header(alg=alg)
        for alg in ("none", "NONE", "eddsa", "EDDSA", "Ed25519", "ES256", "RS256", "PS256", "HS256", ["EdDSA"], {"a": 1}, 1, True)
    },
    "alg missing": _with_header(alg=None),
    "HS256 with our public key as PEM": _hmac_with((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with our public key as DER": _hmac_with((Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with our public key raw": _hmac_with((Encoding.Raw, PublicFormat.Raw)),
    "HS256 with our public key as OpenSSH": _hmac_with((Encoding.OpenSSH, PublicFormat.OpenSSH)),
    "HS256 with our published JWK": _hmac_with_jwk,
    **{
        f"kid {kid!r}": _with_header(kid=kid)
        for kid in (
            "../../../../dev/null", "/dev/null", "http://127.0.0.1:9/key.pem", "file:///etc/hostname", "' or 1=1 --", "|id", "", "\0", 1, ["a"],
            {"a": 1}, True,
        )
    },
    "kid missing": _with_header(kid=None),
    **{f"typ {typ!r}": _with_header(typ=typ) for typ in ("JWT", "at+JWT", "application/at+jwt", "rt+jwt", "logout+jwt", "dpop+jwt", ["at+jwt"])},
    "typ missing": _with_header(typ=None),
    **{f"{name} a URL": _with_header(**{name: "http://127.0.0.1:9/keys.json"}) for name in ("jku", "x5u")},
    "x5c": _with_header(x5c=["MIIB"]),
    "crit": _with_header(crit=["exp"]),
    "b64 false": _with_header(b64=False, crit=["b64"]),
    "zip": _with_header(zip="DEF"),
    "cty": _with_header(cty="JWT"),
    "encrypted": _encrypted,
    "its own key inside": _own_key_inside,
    "another's key under our name": _of_a_stranger,
    "last character altered": _altered,
    **{f"audience {aud!r}": _with_claims(aud=aud) for aud in _OURS},
    "issuer of another": _with_claims(iss="https://elsewhere.example"),
    "issuer missing": _with_claims(iss=None),
    "issuer a list": _with_claims(iss=["https://elsewhere.example"]),
    "expired": _with_claims(exp=1_600_000_000),
    "expiry missing": _with_claims(exp=None),
    **{f"expiry {value!r}": _with_claims(exp=value) for value in ("tomorrow", "9999999999", float("inf"), 9999999999.5, True, [9999999999], {})},
    **{f"{name} missing": _with_claims(**{name: None}) for name in ("sid", "sub", "iat", "jti")},
    **{f"{name} {value!r}": _with_claims(**{name: value}) for name in ("sid", "sub") for value in ("1", "", 7, 0.5, True, ["a"], {"a": 1})},
    "two subjects": _with_texts(lambda header, claims: (header, f'{{"sub": "00000000-0000-0000-0000-000000000000", {claims[1:]}')),
    "two expiries": _with_texts(lambda header, claims: (header, f'{claims[:-1]}, "exp": 9999999999}}')),
    "two algorithms": _with_texts(lambda header, claims: (f'{{"alg": "none", {header[1:]}', claims)),
    "two key names": _with_texts(lambda header, claims: (f'{header[:-1]}, "kid": "x", "kid": {json.dumps(json.loads(header)["kid"])}}}', claims)),
    "claims a list": lambda header, _claims, key: _raw(header, [], key.sign),
    "claims null": lambda header, _claims, key: _raw(header, None, key.sign),
    "header a list": lambda _header, claims, key: _raw([], claims, key.sign),  # type: ignore[arg-type]
    "deep": lambda header, claims, key: f"{_b64(b'[' * 1_400)}.x.x",
    "deep inside": lambda header, claims, key: f"{_b64(json.dumps(header).encode())}.{_b64(b'[' * 1_200)}.x",
    "huge": _with_claims(x="x" * 3_000),
    "one part": lambda *_: "eyJ",
    "empty parts": lambda *_: "..",
    "four parts": lambda header, claims, key: _raw(header, claims, key.sign) + ".x",
    "not ASCII": lambda header, claims, key: _raw(header, claims, key.sign) + "\u00e9",
    "a space inside": lambda header, claims, key: _raw(header, claims, key.sign).replace(".", " .", 1),
    "plus and slash for their URL forms": lambda header, claims, key: (
        _raw(header, {**claims, "jti": "???>>>"}, key.sign).replace("-", "+").replace("_", "/") + "="
    ),
}  # fmt: skip
"""What opens no door, of citizens or of staff, whatever else is right about it."""

OF_CITIZENS: dict[str, Forge] = {
    "audience of staff": _with_claims(aud="lianban:staff"),
    "audience a list that holds ours": _with_claims(aud=["lianban:people", "other"]),
    "audience a list of ours alone": _with_claims(aud=["lianban:people"]),
    **{f"level {level!r}": _with_claims(lvl=level) for level in (9, 0, -1, "3", True, 3.0, [3], None)},
    **{f"login {value!r}": _with_claims(uid=value) for value in (None, "1", 7, ["a"])},
    **{f"proved {value!r}": _with_claims(auth_time=value) for value in (None, "now", "9999999999", float("nan"), 9999999999.5, True)},
}  # fmt: skip
OF_STAFF: dict[str, Forge] = {
    "audience of citizens": _with_claims(aud="lianban:people"),
    "audience a list that holds ours": _with_claims(aud=["lianban:staff", "other"]),
    "a session that never was": _with_claims(sid="018f0000-0000-7000-8000-000000000000"),
    "another's session": _with_claims(sub="018f0000-0000-7000-8000-000000000000"),
}

Parts = tuple[dict[str, Any], dict[str, Any], Ed25519PrivateKey]
DOORS = {
    "citizens": ("/v1/sessions/current", CORPUS | OF_CITIZENS, ("session", "refresh_token")),
    "staff": ("/staff/v1/sessions/current", CORPUS | OF_STAFF, ("staff_session",)),
}
"""What is asked of each door is to end the session, so that a token that is believed leaves its mark."""


@pytest.fixture(scope="module")
async def person(edge: Edge) -> Person:
    return await edge.person()


@pytest.fixture(scope="module")
async def clerk(edge: Edge) -> Member:
    return await staff.member(edge.spine.services, "water", "administrator")


@pytest.fixture
def parts(person: Person, settings: Settings) -> Parts:
    return _parts(person.token, settings)


def _parts(token: str, settings: Settings) -> Parts:
    """Header and claims of a token that is right, and the key that signed it."""
    key = load_pem_private_key(settings.token_keys[0].key.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return dict(jwt.get_unverified_header(token)), jwt.decode(token, options={"verify_signature": False}), key


async def _refusal(edge: Edge, path: str, token: str | bytes) -> dict[str, Any]:
    """The whole of a refused answer, but for its number."""
    shown = token if isinstance(token, bytes) else token.encode()
    response = await edge.call("DELETE", path, headers={"Authorization": b"Bearer " + shown})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="lianban"'
    content = response.json()
    assert content.pop("request_id") == response.headers["x-request-id"]
    return content


@pytest.mark.parametrize(("door", "name"), [(door, name) for door, (_, corpus, _) in DOORS.items() for name in corpus])
async def test_a_token_that_is_not_ours_is_refused_like_any_nonsense(
    edge: Edge, person: Person, clerk: Member, settings: Settings, door: str, name: str
) -> None:
    path, corpus, tables = DOORS[door]
    token = corpus[name](*_parts(person.token if door == "citizens" else clerk.token, settings))
    before = await edge.spine.rows(tables)
    refusal = await _refusal(edge, path, token)
    assert refusal == await _refusal(edge, path, "nonsense")
    assert refusal["code"] == "token_refused"
    assert await edge.spine.rows(tables) == before


async def test_the_claims_of_one_door_are_worth_nothing_at_the_other(
    edge: Edge, person: Person, clerk: Member, settings: Settings
) -> None:
    for token, door, audience in (
        (person.token, "staff", "lianban:staff"),
        (clerk.token, "citizens", "lianban:people"),
    ):
        path, _, _ = DOORS[door]
        crossed = _with_claims(aud=audience)(*_parts(token, settings))
        assert await _refusal(edge, path, crossed) == await _refusal(edge, path, token)


async def test_the_token_of_an_ended_session_is_refused_like_any_nonsense(edge: Edge) -> None:
    person, member = await edge.person(), await staff.member(edge.spine.services, "water", "administrator")
    for one, door in ((person, "citizens"), (member, "staff")):
        path, _, _ = DOORS[door]
        await edge.told("DELETE", path, by=one)
        edge.spine.services.access_tokens.ended(await ended_lately())
        assert await _refusal(edge, path, one.token) == await _refusal(edge, path, "nonsense")


async def test_the_same_parts_unchanged_are_accepted(edge: Edge, parts: Parts) -> None:
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
