"""RFC 9421 HTTP Message Signatures with Ed25519, as narrow as docs/company-gateway.md §1 makes them.

One label (``sig1``), one algorithm, fixed covered components in a fixed order, canonical text only: what is not exactly that is
refused, so that no reading of the RFC can differ between the two sides. Pure: headers, bytes and the time come in, nothing goes out.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from core.errors import LianbanError
from core.outbound import Headers, header_values

MAX_AGE = timedelta(seconds=300)

_WITHOUT_BODY = ("@method", "@authority", "@path")
_REQUEST = (*_WITHOUT_BODY, "content-type", "content-digest")
_REQUEST_SIGNATURE = '"signature";key="sig1";req'

_INPUT = re.compile(r'sig1=(\(("[^\\]+)\)((?:;[a-z]+=(?:[0-9]{1,12}|"[!#-\[\]-~]{1,128}"))+))')
_PARAMETER = re.compile(r';([a-z]+)=([0-9]{1,12}|"[!#-\[\]-~]{1,128}")')
_SIGNATURE = re.compile(r"sig1=:([0-9A-Za-z+/]{86}==):")
_DIGEST = re.compile(r"sha-256=:([0-9A-Za-z+/]{43}=):")
_NONCE = re.compile(r"[0-9A-Za-z_-]{22,128}")


class SignatureRefused(LianbanError):
    """The message is not signed as it must be; `reason` is a fixed word. Nothing in it may be believed."""

    code = "signature_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Our private key and the id under which the other side knows it."""

    keyid: str
    key: Ed25519PrivateKey = field(repr=False)


def load_signing_key(keyid: str, pem: str) -> SigningKey:
    """Parse a private key once, at start-up.

    Raises:
        ValueError: not an Ed25519 private key in PEM, or a key id that needs escaping.
    """
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{keyid}: not an Ed25519 private key")
    if not re.fullmatch(r"[!#-\[\]-~]{1,128}", keyid):
        raise ValueError("a key id is 1 to 128 visible ASCII characters without quote and backslash")
    return SigningKey(keyid, key)


def load_public_key(pem: str) -> Ed25519PublicKey:
    """Parse a public key once, at start-up.

    Raises:
        ValueError: not an Ed25519 public key in PEM.
    """
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key")
    return key


def content_digest(body: bytes) -> str:
    """The value of Content-Digest (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(
    method: str,
    authority: str,
    path: str,
    body: bytes,
    key: SigningKey,
    now: datetime,
    *,
    content_type: str = "application/json",
) -> dict[str, str]:
    """The headers of a signed request; one without a body is a GET."""
    headers = {"Content-Type": content_type, "Content-Digest": content_digest(body)} if body else {}
    names = _REQUEST if body else _WITHOUT_BODY
    nonce = secrets.token_urlsafe(18)
    parameters = (
        _serialized(names) + f';created={int(now.timestamp())};keyid="{key.keyid}";alg="ed25519";nonce="{nonce}"'
    )
    base = _base(_request_lines(names, method, authority, path, headers), parameters)
    headers["Signature-Input"] = f"sig1={parameters}"
    headers["Signature"] = f"sig1=:{base64.b64encode(key.key.sign(base)).decode()}:"
    return headers


def stated_keyid(headers: Headers) -> str:
    """The key id that a request states, unproved yet: for finding the one key that has to prove it.

    Raises:
        SignatureRefused: it states none.
    """
    found = _INPUT.fullmatch(_one(headers, "signature-input"))
    keyid = dict(_PARAMETER.findall(found[3])).get("keyid") if found else None
    if keyid is None:
        raise SignatureRefused("signature_input")
    return keyid.strip('"')


def verify_company_request(
    method: str,
    authority: str,
    path: str,
    headers: Headers,
    body: bytes,
    keys: Mapping[str, Ed25519PublicKey],
    now: datetime,
) -> str:
    """Verify a request of a company and return the id of the key that signed it.

    `path` is the raw target as it arrived; with a query string it is refused. `keys` are the live keys of the company whose
    object is concerned, by key id: a key of another company is unknown here.

    Raises:
        SignatureRefused: the message must be answered 401.
    """
    if "?" in path:
        raise SignatureRefused("query")
    if method == "GET" and body:
        raise SignatureRefused("body")
    names = _WITHOUT_BODY if method == "GET" else _REQUEST
    stated = _stated(headers, _serialized(names), now)
    if not _NONCE.fullmatch(stated.nonce or ""):
        raise SignatureRefused("nonce")
    if method != "GET":
        _check_digest(headers, body)
    lines = _request_lines(names, method, authority, path, headers)
    _check_signature(stated, keys, _base(lines, stated.parameters))
    return stated.keyid


def request_nonce(headers: Headers) -> str:
    """The nonce of a request that :func:`verify_company_request` has verified."""
    found = _INPUT.fullmatch(_one(headers, "signature-input"))
    assert found is not None, "verified before"
    return dict(_PARAMETER.findall(found[3]))["nonce"].strip('"')


def verify_answer(
    status: int,
    headers: Headers,
    body: bytes,
    request_headers: Headers,
    keys: Mapping[str, Ed25519PublicKey],
    now: datetime,
) -> str:
    """Verify an answer and that it answers the request whose headers are given; returns the key id.

    Raises:
        SignatureRefused: the answer proves nothing.
    """
    request_signature = _one(request_headers, "signature").removeprefix("sig1=")
    names = f'("@status" "content-type" "content-digest" {_REQUEST_SIGNATURE})'
    stated = _stated(headers, names, now)
    _check_digest(headers, body)
    lines = [
        f'"@status": {status}',
        f'"content-type": {_one(headers, "content-type")}',
        f'"content-digest": {_one(headers, "content-digest")}',
        f"{_REQUEST_SIGNATURE}: {request_signature}",
    ]
    _check_signature(stated, keys, _base(lines, stated.parameters))
    return stated.keyid


def sign_answer(
    status: int, content_type: str, body: bytes, request_headers: Headers, key: SigningKey, now: datetime
) -> dict[str, str]:
    """The headers that sign our answer to a company's request and bind it to that request.

    Raises:
        SignatureRefused: the request carries no signature to bind to.
    """
    request_signature = _one(request_headers, "signature").removeprefix("sig1=")
    names = f'("@status" "content-type" "content-digest" {_REQUEST_SIGNATURE})'
    parameters = f'{names};created={int(now.timestamp())};keyid="{key.keyid}";alg="ed25519"'
    digest = content_digest(body)
    lines = [
        f'"@status": {status}',
        f'"content-type": {content_type}',
        f'"content-digest": {digest}',
        f"{_REQUEST_SIGNATURE}: {request_signature}",
    ]
    signature = base64.b64encode(key.key.sign(_base(lines, parameters))).decode()
    return {"Content-Digest": digest, "Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature}:"}


@dataclass(frozen=True, slots=True)
class _Stated:
    parameters: str
    keyid: str
    nonce: str | None
    signature: bytes


def _stated(headers: Headers, components: str, now: datetime) -> _Stated:
    found = _INPUT.fullmatch(_one(headers, "signature-input"))
    if not found:
        raise SignatureRefused("signature_input")
    if f"({found[2]})" != components:
        raise SignatureRefused("components")
    pairs = _PARAMETER.findall(found[3])
    values = dict(pairs)
    if len(values) != len(pairs) or not {"created", "keyid", "alg"} <= set(values) <= {
        "created",
        "keyid",
        "alg",
        "nonce",
    }:
        raise SignatureRefused("parameters")
    if values["alg"] != '"ed25519"' or values["created"].startswith('"') or not values["keyid"].startswith('"'):
        raise SignatureRefused("parameters")
    if abs(now.timestamp() - int(values["created"])) > MAX_AGE.total_seconds():
        raise SignatureRefused("created")
    signature = _SIGNATURE.fullmatch(_one(headers, "signature"))
    if not signature:
        raise SignatureRefused("signature")
    nonce = values.get("nonce")
    return _Stated(found[1], values["keyid"].strip('"'), nonce.strip('"') if nonce else None, _decoded(signature[1]))


def _check_digest(headers: Headers, body: bytes) -> None:
    found = _DIGEST.fullmatch(_one(headers, "content-digest"))
    if not found or not hmac.compare_digest(_decoded(found[1]), hashlib.sha256(body).digest()):
        raise SignatureRefused("digest")


def _check_signature(stated: _Stated, keys: Mapping[str, Ed25519PublicKey], base: bytes) -> None:
    key = keys.get(stated.keyid)
    if key is None:
        raise SignatureRefused("keyid")
    try:
        key.verify(stated.signature, base)
    except InvalidSignature:
        raise SignatureRefused("signature") from None


def _request_lines(names: tuple[str, ...], method: str, authority: str, path: str, headers: Headers) -> list[str]:
    derived = {"@method": method, "@authority": authority.lower(), "@path": path}
    return [f'"{name}": {derived[name] if name in derived else _one(headers, name)}' for name in names]


def _serialized(names: tuple[str, ...]) -> str:
    return "(" + " ".join(f'"{name}"' for name in names) + ")"


def _base(lines: list[str], parameters: str) -> bytes:
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()


def _one(headers: Headers, name: str) -> str:
    values = header_values(headers, name)
    if len(values) != 1:
        raise SignatureRefused(name.replace("-", "_") if not values else "header_twice")
    return values[0].strip(" \t")


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SignatureRefused("base64") from None
    if base64.b64encode(raw).decode() != text:
        raise SignatureRefused("base64")
    return raw
