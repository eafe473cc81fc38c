"""The company's reading of RFC 9421, against the RFC's own example and against a foreign implementation."""

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from http_message_signatures.algorithms import ED25519  # pyright: ignore[reportPrivateImportUsage]
from http_message_signatures.resolvers import MappingKeyResolver
from http_message_signatures.signatures import HTTPMessageSigner, HTTPMessageVerifier

from sandbox import http_signatures as signatures
from sandbox.http_signatures import PrivateKey, Request, Response, SignatureError

NOW = 1_795_400_000
NONCE = "AAAAAAAAAAAAAAAAAAAAAAAA"
OURS = PrivateKey("lianban-2026a", Ed25519PrivateKey.generate())
THEIRS = PrivateKey("water-2026a", Ed25519PrivateKey.generate())
OUR_KEYS = {OURS.keyid: OURS.key.public_key()}
THEIR_KEYS = {THEIRS.keyid: THEIRS.key.public_key()}


def post(body: bytes = b'{"account_number": "0203001234"}') -> Request:
    fields = [("Content-Type", "application/json")]
    return Request("POST", "company.example", "/water/v1/bills/query", fields, body, "https")


def signed(request: Request, *, created: int = NOW, nonce: str = NONCE) -> Request:
    return replace(request, fields=[*request.fields, *signatures.sign_request(request, OURS, created, nonce)])


def answered(request: Request, status: int = 200, body: bytes = b'{"bills": []}') -> Response:
    response = Response(status, [("Content-Type", "application/json")], body)
    return replace(response, fields=[*response.fields, *signatures.sign_response(response, request, THEIRS, NOW)])


def with_field(request: Request, name: str, change: tuple[str, str]) -> Request:
    fields = [(key, value.replace(*change) if key == name else value) for key, value in request.fields]
    assert fields != list(request.fields), "the change must change something"
    return replace(request, fields=fields)


def resigned(request: Request, covered: tuple[str, ...], parameters: str) -> Request:
    """A request whose signature is right for `covered` and `parameters`, whatever the protocol says about them."""
    text = f"({' '.join(covered)}){parameters}"
    base = signatures.signature_base(covered, text, signatures.request_values(request, request.fields))
    sign = base64.b64encode(OURS.key.sign(base)).decode()
    return replace(
        request, fields=[*request.fields, ("Signature-Input", f"sig1={text}"), ("Signature", f"sig1=:{sign}:")]
    )


def test_the_example_of_rfc_9421_b_2_6_comes_out_byte_for_byte() -> None:
    seed = base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert base64.urlsafe_b64encode(public) == b"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs="
    request = Request(
        "POST",
        "example.com",
        "/foo?param=Value&Pet=dog",
        [("Date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("Content-Type", "application/json"), ("Content-Length", "18")],
        b'{"hello": "world"}',
        "https",
    )
    covered = ('"date"', '"@method"', '"@path"', '"@authority"', '"content-type"', '"content-length"')
    parameters = f'({" ".join(covered)});created=1618884473;keyid="test-key-ed25519"'
    base = signatures.signature_base(covered, parameters, signatures.request_values(request, request.fields))
    assert base.decode().split("\n") == [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        f'"@signature-params": {parameters}',
    ]
    assert base64.b64encode(key.sign(base)) == (
        b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_a_signed_request_is_proven_with_its_key_time_and_nonce() -> None:
    proof = signatures.verify_request(signed(post()), OUR_KEYS, NOW + 300)
    assert (proof.keyid, proof.created, proof.nonce) == ("lianban-2026a", NOW, NONCE)


def test_a_request_without_body_covers_three_components() -> None:
    request = signed(Request("GET", "company.example", "/water/v1/postings/p-1", (), b"", "https"))
    assert dict(request.fields)["Signature-Input"].startswith('sig1=("@method" "@authority" "@path");created=')
    assert signatures.verify_request(request, OUR_KEYS, NOW).keyid == "lianban-2026a"


def test_a_response_is_bound_to_the_request_it_answers() -> None:
    request = signed(post())
    response = answered(request)
    assert signatures.verify_response(response, request, THEIR_KEYS, NOW).keyid == "water-2026a"
    other = signed(post(), nonce="B" * 24)
    with pytest.raises(SignatureError, match="wrong"):
        signatures.verify_response(response, other, THEIR_KEYS, NOW)
    with pytest.raises(SignatureError, match="req is missing"):
        signatures.verify_response(response, post(), THEIR_KEYS, NOW)


@pytest.mark.parametrize("change", [{"status": 404}, {"body": b'{"bills": [1]}'}, {"fields": []}])
def test_a_changed_response_is_refused(change: dict[str, object]) -> None:
    request = signed(post())
    with pytest.raises(SignatureError):
        signatures.verify_response(replace(answered(request), **change), request, THEIR_KEYS, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"authority": "other.example"},
        {"target": "/gas/v1/bills/query"},
        {"target": "/water/v1/bills/query?"},
        {"body": b"{}"},
        {"body": b""},
        {"fields": []},
    ],
)
def test_a_changed_request_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SignatureError):
        signatures.verify_request(replace(signed(post()), **change), OUR_KEYS, NOW)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Content-Type", ("application/json", "text/plain")),
        ("Content-Digest", ("sha-256=", "sha-512=")),
        ("Content-Digest", ("sha-256=:", "sha-256=:A")),
        ("Signature-Input", ("sig1=", "sig2=")),
        ("Signature-Input", (NONCE, "B" * 24)),
        ("Signature-Input", (str(NOW), str(NOW + 1))),
        ("Signature-Input", ('"ed25519"', '"hmac-sha256"')),
        ("Signature-Input", ("lianban-2026a", "lianban-2026b")),
        ("Signature-Input", (";created", "; created")),
        ("Signature", ("sig1=", "sig2=")),
        ("Signature", ("==:", ":")),
    ],
)
def test_a_changed_field_is_refused(name: str, change: tuple[str, str]) -> None:
    with pytest.raises(SignatureError):
        signatures.verify_request(with_field(signed(post()), name, change), OUR_KEYS, NOW)


@pytest.mark.parametrize("name", ["Content-Type", "Content-Digest", "Signature-Input", "Signature"])
def test_a_field_that_is_missing_or_comes_twice_is_refused(name: str) -> None:
    request = signed(post())
    missing = replace(request, fields=[pair for pair in request.fields if pair[0] != name])
    twice = replace(request, fields=[*request.fields, (name, dict(request.fields)[name])])
    for bad in (missing, twice):
        with pytest.raises(SignatureError):
            signatures.verify_request(bad, OUR_KEYS, NOW)


@pytest.mark.parametrize("age_s", [-301, 301])
def test_a_created_far_from_the_clock_is_refused(age_s: int) -> None:
    with pytest.raises(SignatureError, match="from the clock"):
        signatures.verify_request(signed(post()), OUR_KEYS, NOW + age_s)


def test_a_key_of_somebody_else_is_refused_under_any_name() -> None:
    with pytest.raises(SignatureError, match="unknown keyid"):
        signatures.verify_request(signed(post()), THEIR_KEYS, NOW)
    with pytest.raises(SignatureError, match="signature is wrong"):
        signatures.verify_request(signed(post()), {OURS.keyid: THEIRS.key.public_key()}, NOW)


FULL = f';created={NOW};keyid="lianban-2026a";alg="ed25519";nonce="{NONCE}"'


def digested() -> Request:
    request = post()
    return replace(request, fields=[*request.fields, ("Content-Digest", signatures.content_digest(request.body))])


def test_the_helper_that_signs_anything_signs_the_right_thing_too() -> None:
    request = resigned(digested(), signatures.REQUEST_COMPONENTS, FULL)
    assert request == signed(post())
    assert signatures.verify_request(request, OUR_KEYS, NOW).nonce == NONCE


@pytest.mark.parametrize("missing", signatures.REQUEST_COMPONENTS)
def test_a_right_signature_over_too_little_is_refused(missing: str) -> None:
    covered = tuple(component for component in signatures.REQUEST_COMPONENTS if component != missing)
    with pytest.raises(SignatureError, match="exactly"):
        signatures.verify_request(resigned(digested(), covered, FULL), OUR_KEYS, NOW)


def test_a_right_signature_in_another_order_is_refused() -> None:
    covered = tuple(reversed(signatures.REQUEST_COMPONENTS))
    with pytest.raises(SignatureError, match="exactly"):
        signatures.verify_request(resigned(digested(), covered, FULL), OUR_KEYS, NOW)


@pytest.mark.parametrize(
    "parameters",
    [
        FULL.replace(f";created={NOW}", ""),
        FULL.replace(str(NOW), f'"{NOW}"'),
        FULL.replace(';keyid="lianban-2026a"', ""),
        FULL.replace(';alg="ed25519"', ""),
        FULL.replace(f';nonce="{NONCE}"', ""),
        FULL.replace(NONCE, "short"),
        FULL.replace(NONCE, "!" * 24),
        FULL + f";created={NOW}",
        FULL + ';colour="red"',
        FULL + f";expires={NOW + 300}",
        FULL + ';tag="lianban"',
    ],
)
def test_a_right_signature_with_wrong_parameters_is_refused(parameters: str) -> None:
    with pytest.raises(SignatureError):
        signatures.verify_request(resigned(digested(), signatures.REQUEST_COMPONENTS, parameters), OUR_KEYS, NOW)


def test_the_order_of_the_parameters_is_the_senders() -> None:
    parameters = f';nonce="{NONCE}";alg="ed25519";keyid="lianban-2026a";created={NOW}'
    request = resigned(digested(), signatures.REQUEST_COMPONENTS, parameters)
    assert signatures.verify_request(request, OUR_KEYS, NOW).created == NOW


def test_a_body_or_digest_on_a_get_is_refused() -> None:
    request = signed(Request("GET", "company.example", "/water/v1/postings/p-1", (), b"", "https"))
    with pytest.raises(SignatureError):
        signatures.verify_request(replace(request, body=b"x"), OUR_KEYS, NOW)
    extra = [*request.fields, ("Content-Digest", signatures.content_digest(b""))]
    with pytest.raises(SignatureError):
        signatures.verify_request(replace(request, fields=extra), OUR_KEYS, NOW)


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("Company.Example:443", "https", "company.example"),
        ("company.example:80", "http", "company.example"),
        ("company.example:443", "http", "company.example:443"),
        ("127.0.0.1:9102", "http", "127.0.0.1:9102"),
    ],
)
def test_the_authority_is_lower_case_without_the_default_port(host: str, scheme: str, expected: str) -> None:
    assert signatures.authority(host, scheme) == expected


def test_only_ed25519_keys_are_loaded() -> None:
    pem = OURS.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = OURS.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert PrivateKey.load("k", pem).key.public_key() == signatures.load_public_key("k", public)
    with pytest.raises(ValueError, match=r"PEM"):
        PrivateKey.load("k", "no key")


# The foreign implementation: http-message-signatures signs what we verify and verifies what we sign.


@dataclass
class Message:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Answer:
    status_code: int
    headers: dict[str, str]
    request: Message


def resolver() -> MappingKeyResolver:
    return MappingKeyResolver(
        private_keys={OURS.keyid: OURS.key, THEIRS.keyid: THEIRS.key},
        public_keys={OURS.keyid: OURS.key.public_key(), THEIRS.keyid: THEIRS.key.public_key()},
    )


def foreign_request(request: Request) -> Message:
    return Message(request.method, f"https://{request.authority}{request.target}", dict(request.fields), request.body)


COVERED = ("@method", "@authority", "@path", "content-type", "content-digest")


def test_what_we_sign_a_foreign_implementation_verifies() -> None:
    created = int(datetime.now(UTC).timestamp())
    request = signed(post(), created=created)
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=resolver())
    (result,) = verifier.verify(foreign_request(request), body=request.body, require_components=COVERED)
    assert result.parameters["nonce"] == NONCE
    response = Response(200, [("Content-Type", "application/json")], b"{}")
    fields = [*response.fields, *signatures.sign_response(response, request, THEIRS, created)]
    answer = Answer(200, dict(fields), foreign_request(request))
    (result,) = verifier.verify(answer, body=response.body)
    assert '"signature";key="sig1";req' in result.covered_components


def test_what_a_foreign_implementation_signs_we_verify() -> None:
    now = datetime.now(UTC)
    body = json.dumps({"account_number": "0203001234"}).encode()
    message = Message(
        "POST", "https://company.example/water/v1/bills/query", {"Content-Type": "application/json"}, body
    )
    signer = HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=resolver())
    signer.sign(
        message, key_id=OURS.keyid, created=now, nonce=NONCE, label="sig1", covered_component_ids=COVERED, body=body
    )
    request = Request("POST", "company.example", "/water/v1/bills/query", list(message.headers.items()), body, "https")
    assert signatures.verify_request(request, OUR_KEYS, now.timestamp()).keyid == OURS.keyid
    answer = Answer(422, {"Content-Type": "application/json"}, message)
    covered = ("@status", "content-type", "content-digest", '"signature";key="sig1";req')
    signer.sign(answer, key_id=THEIRS.keyid, created=now, label="sig1", covered_component_ids=covered, body=b"{}")
    response = Response(422, list(answer.headers.items()), b"{}")
    assert signatures.verify_response(response, request, THEIR_KEYS, now.timestamp()).keyid == THEIRS.keyid
