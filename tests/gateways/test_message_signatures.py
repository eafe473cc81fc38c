"""A company's request is believed only when every word of its signature is as the contract says."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateways.message_signatures import (
    SignatureRefused,
    SigningKey,
    load_public_key,
    load_signing_key,
    sign_request,
    verify_answer,
    verify_company_request,
)
from tests.gateways.company import digest_of, sign

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
KEYS = {"water-2026a": KEY.public_key(), "water-2026b": OTHER.public_key()}
BODY = '{"account_number": "0203001234", "label": "2026-10 账单"}'.encode()
AUTHORITY, PATH = "www.lianban.example", "/company/v1/qr-codes"
COVERED = '("@method" "@authority" "@path" "content-type" "content-digest")'
NONCE = "abcdefghijklmnopqrstuv"


def company_request(
    body: bytes = BODY,
    method: str = "POST",
    authority: str = AUTHORITY,
    path: str = PATH,
    content_type: str = "application/json",
    covered: str = COVERED,
    tail: str = f';created={int(NOW.timestamp())};keyid="water-2026a";alg="ed25519";nonce="{NONCE}"',
    key: Ed25519PrivateKey = KEY,
) -> dict[str, str]:
    values = {
        '"@method"': method,
        '"@authority"': authority,
        '"@path"': path,
        '"content-type"': content_type,
        '"content-digest"': digest_of(body),
    }
    lines = [f"{name}: {values[name]}" for name in covered.strip("()").split(" ") if name in values]
    return {
        "Content-Type": content_type,
        "Content-Digest": digest_of(body),
        "Signature-Input": f"sig1={covered}{tail}",
        "Signature": sign(key, lines, covered + tail),
    }


def verified(
    headers: dict[str, str] | list[tuple[str, str]], body: bytes = BODY, path: str = PATH, now: datetime = NOW
) -> str:
    return verify_company_request("POST", AUTHORITY, path, headers, body, KEYS, now)


def test_a_request_as_the_contract_says_names_its_key() -> None:
    assert verified(company_request()) == "water-2026a"
    second = company_request(
        tail=f';keyid="water-2026b";created={int(NOW.timestamp())};nonce="{NONCE}";alg="ed25519"', key=OTHER
    )
    assert verified(second) == "water-2026b", "both live keys work, in any order of parameters"


def test_header_names_are_compared_without_case_and_the_host_too() -> None:
    headers = {name.upper(): value for name, value in company_request().items()}
    assert verify_company_request("POST", "WWW.lianban.example", PATH, headers, BODY, KEYS, NOW) == "water-2026a"


@pytest.mark.parametrize("age_s", [-300, 300])
def test_at_the_edge_of_five_minutes_it_is_still_fresh(age_s: int) -> None:
    assert verified(company_request(), now=NOW + timedelta(seconds=age_s))


@pytest.mark.parametrize("age_s", [-301, 301])
def test_beyond_five_minutes_either_way_it_is_stale(age_s: int) -> None:
    assert refusal(company_request(), now=NOW + timedelta(seconds=age_s)) == "created"


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (';created={now};keyid="water-2026a";alg="ed25519"', "nonce"),
        (';created={now};keyid="water-2026a";alg="ed25519";nonce="short"', "nonce"),
        (';created={now};keyid="gas-2026a";alg="ed25519";nonce="{nonce}"', "keyid"),
        (';created={now};keyid="water-2026b";alg="ed25519";nonce="{nonce}"', "signature"),
        (';created={now};keyid="water-2026a";alg="rsa-pss-sha512";nonce="{nonce}"', "parameters"),
        (';created={now};keyid="water-2026a";nonce="{nonce}"', "parameters"),
        (';keyid="water-2026a";alg="ed25519";nonce="{nonce}"', "parameters"),
        (';created="{now}";keyid="water-2026a";alg="ed25519";nonce="{nonce}"', "parameters"),
        (';created={now};created={now};keyid="water-2026a";alg="ed25519";nonce="{nonce}"', "parameters"),
        (';created={now};expires=9;keyid="water-2026a";alg="ed25519";nonce="{nonce}"', "parameters"),
        (';created={now}; keyid="water-2026a";alg="ed25519";nonce="{nonce}"', "signature_input"),
        ("", "signature_input"),
    ],
)
def test_parameters_that_are_missing_wrong_unknown_or_twice_are_refused(tail: str, reason: str) -> None:
    filled = tail.format(now=int(NOW.timestamp()), nonce=NONCE)
    assert refusal(company_request(tail=filled)) == reason


@pytest.mark.parametrize(
    "covered",
    [
        '("@method" "@authority" "@path" "content-type")',
        '("@method" "@authority" "@path")',
        '("@authority" "@method" "@path" "content-type" "content-digest")',
        '("@method" "@authority" "@path" "content-type" "content-digest" "@query")',
        '("@method"  "@authority" "@path" "content-type" "content-digest")',
    ],
)
def test_the_covered_components_are_exactly_those_in_that_order(covered: str) -> None:
    assert refusal(company_request(covered=covered)) in ("components", "signature_input")


@pytest.mark.parametrize("name", ["Content-Type", "Content-Digest", "Signature-Input", "Signature"])
def test_each_header_stands_exactly_once(name: str) -> None:
    headers = company_request()
    assert refusal([*headers.items(), (name.lower(), headers[name])]) == "header_twice"
    del headers[name]
    assert refusal(headers) == name.lower().replace("-", "_")


def test_what_is_covered_cannot_be_changed() -> None:
    headers = company_request()
    assert refusal(headers, body=BODY + b" ") == "digest"
    assert refusal(headers, path="/company/v1/qr-codes/revoke") == "signature"
    assert refusal(headers | {"Content-Type": "text/plain"}) == "signature"
    with pytest.raises(SignatureRefused, match="signature"):
        verify_company_request("PUT", AUTHORITY, PATH, headers, BODY, KEYS, NOW)
    with pytest.raises(SignatureRefused, match="signature"):
        verify_company_request("POST", "other.example", PATH, headers, BODY, KEYS, NOW)


def test_a_query_string_is_refused() -> None:
    path = PATH + "?a=1"
    assert refusal(company_request(path=path), path=path) == "query"


@pytest.mark.parametrize(
    "signature",
    ["sig2=:{s}:", "sig1={s}", "sig1=:{s}:, sig2=:{s}:", "sig1=:{short}:", "sig1=:{s}:;a=1", "sig1=:{odd}:"],
)
def test_a_signature_in_another_form_is_refused(signature: str) -> None:
    headers = company_request()
    s = headers["Signature"].removeprefix("sig1=:").removesuffix(":")
    # The last letter before the padding has four unused bits: with some of them set it decodes to the same bytes.
    odd = s[:-3] + chr(ord(s[-3]) + 1) + "=="
    changed = signature.format(s=s, short=base64.b64encode(b"x" * 63).decode(), odd=odd)
    assert refusal(headers | {"Signature": changed}) in ("signature", "base64")


def test_a_get_covers_no_body_and_may_not_have_one() -> None:
    lines = ['"@method": GET', f'"@authority": {AUTHORITY}', f'"@path": {PATH}']
    parameters = (
        '("@method" "@authority" "@path")'
        f';created={int(NOW.timestamp())};keyid="water-2026a";alg="ed25519";nonce="{NONCE}"'
    )
    headers = {"Signature-Input": f"sig1={parameters}", "Signature": sign(KEY, lines, parameters)}
    assert verify_company_request("GET", AUTHORITY, PATH, headers, b"", KEYS, NOW) == "water-2026a"
    with pytest.raises(SignatureRefused, match="body"):
        verify_company_request("GET", AUTHORITY, PATH, headers, b"{}", KEYS, NOW)
    with pytest.raises(SignatureRefused, match="components"):
        verify_company_request("POST", AUTHORITY, PATH, headers, b"", KEYS, NOW)


def test_our_own_requests_verify_and_never_repeat_a_nonce() -> None:
    key = SigningKey("water-2026a", KEY)
    first, second = (sign_request("POST", AUTHORITY, PATH, BODY, key, NOW) for _ in range(2))
    assert verified(first) == verified(second) == "water-2026a"
    assert first["Signature-Input"] != second["Signature-Input"]


def test_the_example_of_the_rfc_for_ed25519_verifies_with_our_way_of_writing_a_base() -> None:
    """RFC 9421, B.2.6, with its test key: the same key and text must give the same signature."""
    secret = base64.b64decode("MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF")[-32:]
    key = Ed25519PrivateKey.from_private_bytes(secret)
    lines = [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
    ]
    parameters = (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    assert sign(key, lines, parameters) == (
        "sig1=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"
    )


def test_an_answer_with_a_nonce_is_taken_and_a_request_is_no_answer() -> None:
    request = sign_request("POST", AUTHORITY, PATH, BODY, SigningKey("us", OTHER), NOW)
    ours = request["Signature"].removeprefix("sig1=")
    parameters = (
        '("@status" "content-type" "content-digest" "signature";key="sig1";req)'
        f';created={int(NOW.timestamp())};keyid="water-2026a";alg="ed25519";nonce="{NONCE}"'
    )
    lines = ['"@status": 200', '"content-type": application/json', f'"content-digest": {digest_of(b"{}")}']
    lines.append(f'"signature";key="sig1";req: {ours}')
    headers = {
        "Content-Type": "application/json",
        "Content-Digest": digest_of(b"{}"),
        "Signature-Input": f"sig1={parameters}",
        "Signature": sign(KEY, lines, parameters),
    }
    assert verify_answer(200, headers, b"{}", request, KEYS, NOW) == "water-2026a"
    with pytest.raises(SignatureRefused, match="signature"):
        verify_answer(404, headers, b"{}", request, KEYS, NOW)
    with pytest.raises(SignatureRefused, match="components"):
        verify_answer(200, company_request(b"{}"), b"{}", request, KEYS, NOW)


def test_keys_are_ed25519_in_pem() -> None:
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert load_signing_key("lianban-2026a", private).keyid == "lianban-2026a"
    assert isinstance(load_public_key(public), Ed25519PublicKey)
    with pytest.raises(ValueError, match="key id"):
        load_signing_key('quo"te', private)
    other = X25519PrivateKey.generate().public_key()
    with pytest.raises(ValueError, match="not an Ed25519"):
        load_public_key(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    assert "private" not in repr(load_signing_key("a", private)).lower()


def refusal(
    headers: dict[str, str] | list[tuple[str, str]], body: bytes = BODY, path: str = PATH, now: datetime = NOW
) -> str:
    with pytest.raises(SignatureRefused) as caught:
        verified(headers, body, path, now)
    return caught.value.reason
