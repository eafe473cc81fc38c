"""HTTP message signatures as the company gateway protocol wants them: RFC 9421, Ed25519, SHA-256 digests (RFC 9530).

A company's own reading of ``docs/company-gateway.md`` §1, written apart from our client on purpose. It is narrower than
the RFC: one label, one list of covered components for each kind of message, and only the spelling a correct sender
produces. Whatever deviates is refused: a counterpart that is generous here would hide a mistake of ours until the first
real company.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

LABEL = "sig1"
MAX_AGE_S = 300
"""How far `created` may lie from the receiver's clock, in either direction."""

REQUEST_COMPONENTS = ('"@method"', '"@authority"', '"@path"', '"content-type"', '"content-digest"')
BODILESS_COMPONENTS = ('"@method"', '"@authority"', '"@path"')
RESPONSE_COMPONENTS = ('"@status"', '"content-type"', '"content-digest"', f'"signature";key="{LABEL}";req')

Fields = Sequence[tuple[str, str]]
"""Header fields as they came, one pair per line."""

_INPUT = re.compile(rf"{LABEL}=\((?P<covered>[^()]*)\)(?P<parameters>(?:;[^;]+)*)", re.ASCII)
_COMPONENT = re.compile(r'"[a-z@][a-z0-9@-]*"(?:;[a-z]+(?:="[^"\\]*")?)*', re.ASCII)
_PARAMETER = re.compile(r'(?P<name>[a-z]+)=(?:(?P<number>-?[0-9]{1,15})|"(?P<text>[ !#-\[\]-~]*)")', re.ASCII)
_SIGNATURE = re.compile(rf"{LABEL}=:(?P<bytes>[A-Za-z0-9+/]*={{0,2}}):", re.ASCII)
_DIGEST = re.compile(r"sha-256=:(?P<bytes>[A-Za-z0-9+/]*={0,2}):", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{22,128}", re.ASCII)
_BODILESS_METHODS = ("GET", "HEAD")
_PARAMETERS = {"created": int, "keyid": str, "alg": str, "nonce": str}


class SignatureError(Exception):
    """The message is not proven; the text says which rule it broke (for logs and answers, it names no secret)."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands on the wire: `target` with its query string if any, `authority` as in the Host field."""

    method: str
    authority: str
    target: str
    fields: Fields = ()
    body: bytes = b""
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it stands on the wire."""

    status: int
    fields: Fields = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """One of our signing keys with the name the other side knows it by."""

    keyid: str
    key: Ed25519PrivateKey

    @classmethod
    def load(cls, keyid: str, pem: str) -> "PrivateKey":
        """From PKCS #8 PEM. Raises ``ValueError`` when it is no Ed25519 key."""
        key = load_pem_private_key(pem.encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"private key {keyid} is not Ed25519")
        return cls(keyid, key)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a right signature says: who (`keyid`), when (`created`, epoch seconds), and the nonce of a request."""

    keyid: str
    created: int
    nonce: str | None


def load_public_key(keyid: str, pem: str) -> Ed25519PublicKey:
    """From SubjectPublicKeyInfo PEM. Raises ``ValueError`` when it is no Ed25519 key."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"public key {keyid} is not Ed25519")
    return key


def new_nonce() -> str:
    """24 base64url characters, 144 random bits."""
    return secrets.token_urlsafe(18)


def content_digest(body: bytes) -> str:
    """The value of ``Content-Digest``."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(request: Request, key: PrivateKey, created: int, nonce: str) -> list[tuple[str, str]]:
    """The fields to add to `request`. A request with a body must carry its ``Content-Type`` already."""
    has_body = request.method not in _BODILESS_METHODS
    added = [("Content-Digest", content_digest(request.body))] if has_body else []
    covered = REQUEST_COMPONENTS if has_body else BODILESS_COMPONENTS
    parameters = f'({" ".join(covered)});created={created};keyid="{key.keyid}";alg="ed25519";nonce="{nonce}"'
    base = signature_base(covered, parameters, request_values(request, (*request.fields, *added)))
    return [*added, *_signature_fields(parameters, key.key.sign(base))]


def sign_response(response: Response, request: Request, key: PrivateKey, created: int) -> list[tuple[str, str]]:
    """The fields to add to `response`, bound to the signature of the `request` it answers."""
    digest = ("Content-Digest", content_digest(response.body))
    parameters = f'({" ".join(RESPONSE_COMPONENTS)});created={created};keyid="{key.keyid}";alg="ed25519"'
    values = _of_response(response, (*response.fields, digest), request)
    return [
        digest,
        *_signature_fields(parameters, key.key.sign(signature_base(RESPONSE_COMPONENTS, parameters, values))),
    ]


def verify_request(request: Request, keys: Mapping[str, Ed25519PublicKey], now_s: float) -> Proof:
    """Prove that the owner of `keys` sent `request`. Raises :class:`SignatureError` with the first rule it breaks."""
    if "?" in request.target:
        raise SignatureError("no operation has a query string")
    has_body = request.method not in _BODILESS_METHODS
    if not has_body and (request.body or field(request.fields, "content-digest") is not None):
        raise SignatureError("a request without a body must not carry a digest")
    covered = REQUEST_COMPONENTS if has_body else BODILESS_COMPONENTS
    if has_body:
        _check_digest(request.fields, request.body)
    proof = _verify(request.fields, covered, request_values(request, request.fields), keys, now_s)
    if proof.nonce is None or _NONCE.fullmatch(proof.nonce) is None:
        raise SignatureError("a request needs a nonce of 22 to 128 base64url characters")
    return proof


def verify_response(response: Response, request: Request, keys: Mapping[str, Ed25519PublicKey], now_s: float) -> Proof:
    """Prove that `response` answers exactly `request`. Raises :class:`SignatureError` with the first rule it breaks."""
    _check_digest(response.fields, response.body)
    values = _of_response(response, response.fields, request)
    return _verify(response.fields, RESPONSE_COMPONENTS, values, keys, now_s)


def signature_base(covered: Iterable[str], parameters: str, values: Mapping[str, str]) -> bytes:
    """RFC 9421 §2.5: a line for each covered component (serialized identifiers), then the signature parameters.

    Raises :class:`SignatureError` when a component is missing, comes twice, holds a line break or is not ASCII.
    """
    lines: list[str] = []
    seen: set[str] = set()
    for component in covered:
        if component not in values:
            raise SignatureError(f"component {component} is missing")
        if component in seen:
            raise SignatureError(f"component {component} comes twice")
        seen.add(component)
        lines.append(f"{component}: {values[component]}")
    lines.append(f'"@signature-params": {parameters}')
    if any("\n" in line or "\r" in line or not line.isascii() for line in lines):
        raise SignatureError("a component holds a character that cannot be signed")
    return "\n".join(lines).encode("ascii")


def request_values(request: Request, fields: Fields) -> dict[str, str]:
    """Every component a signature of `request` may cover, by its serialized identifier; `fields` instead of its own."""
    values = {
        '"@method"': request.method,
        '"@authority"': authority(request.authority, request.scheme),
        '"@path"': request.target.partition("?")[0] or "/",
    }
    return values | _of_fields(fields)


def field(fields: Fields, name: str) -> str | None:
    """The combined value of a header field (RFC 9421 §2.1): lines trimmed, joined by ``", "``; None without one."""
    values = [value.strip(" \t") for key, value in fields if key.lower() == name]
    return ", ".join(values) if values else None


def authority(host: str, scheme: str) -> str:
    """RFC 9421 §2.2.3: lower case, without the default port of the scheme."""
    host = host.lower()
    return host.removesuffix(":443" if scheme == "https" else ":80")


def _of_response(response: Response, fields: Fields, request: Request) -> dict[str, str]:
    asked = field(request.fields, "signature")
    found = _SIGNATURE.fullmatch(asked) if asked is not None else None
    values = {'"@status"': str(response.status)} | _of_fields(fields)
    if found is not None:
        values[f'"signature";key="{LABEL}";req'] = f":{found['bytes']}:"
    return values


def _of_fields(fields: Fields) -> dict[str, str]:
    names = {name.lower() for name, _ in fields}
    return {f'"{name}"': value for name in names if (value := field(fields, name)) is not None}


def _signature_fields(parameters: str, signature: bytes) -> list[tuple[str, str]]:
    encoded = base64.b64encode(signature).decode()
    return [("Signature-Input", f"{LABEL}={parameters}"), ("Signature", f"{LABEL}=:{encoded}:")]


def _check_digest(fields: Fields, body: bytes) -> None:
    text = field(fields, "content-digest")
    if text is None:
        raise SignatureError("Content-Digest is missing")
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise SignatureError("Content-Digest is not one SHA-256 digest")
    if not hmac.compare_digest(_decoded(found["bytes"]), hashlib.sha256(body).digest()):
        raise SignatureError("Content-Digest differs from the body")


def _verify(
    fields: Fields,
    expected: Sequence[str],
    values: Mapping[str, str],
    keys: Mapping[str, Ed25519PublicKey],
    now_s: float,
) -> Proof:
    text = field(fields, "signature-input")
    signed = field(fields, "signature")
    if text is None or signed is None:
        raise SignatureError("Signature-Input or Signature is missing")
    found, carrier = _INPUT.fullmatch(text), _SIGNATURE.fullmatch(signed)
    if found is None or carrier is None:
        raise SignatureError(f"exactly one signature with the label {LABEL} is wanted")
    covered = tuple(found["covered"].split(" "))
    if any(_COMPONENT.fullmatch(component) is None for component in covered):
        raise SignatureError("the covered components cannot be read")
    if covered != tuple(expected):
        raise SignatureError(f"the covered components must be exactly ({' '.join(expected)})")
    proof = _proof(_parameters(found["parameters"]), now_s)
    key = keys.get(proof.keyid)
    if key is None:
        raise SignatureError("unknown keyid")
    base = signature_base(covered, text.removeprefix(f"{LABEL}="), values)
    try:
        key.verify(_decoded(carrier["bytes"]), base)
    except InvalidSignature:
        raise SignatureError("the signature is wrong") from None
    return proof


def _parameters(text: str) -> dict[str, int | str]:
    parameters: dict[str, int | str] = {}
    for part in text.split(";")[1:]:
        found = _PARAMETER.fullmatch(part)
        if found is None:
            raise SignatureError("a signature parameter cannot be read")
        name = found["name"]
        value: int | str = int(found["number"]) if found["number"] is not None else found["text"]
        if name not in _PARAMETERS or name in parameters or not isinstance(value, _PARAMETERS[name]):
            raise SignatureError(f"the signature parameter {name} is unknown, comes twice or has the wrong type")
        parameters[name] = value
    return parameters


def _proof(parameters: Mapping[str, int | str], now_s: float) -> Proof:
    created, keyid, nonce = parameters.get("created"), parameters.get("keyid"), parameters.get("nonce")
    if not isinstance(created, int) or not isinstance(keyid, str) or parameters.get("alg") != "ed25519":
        raise SignatureError('created, keyid and alg="ed25519" are required')
    if abs(now_s - created) > MAX_AGE_S:
        raise SignatureError(f"created lies more than {MAX_AGE_S} s from the clock")
    return Proof(keyid, created, nonce if isinstance(nonce, str) else None)


def _decoded(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SignatureError("base64 cannot be read") from None
    if base64.b64encode(decoded).decode() != text:
        raise SignatureError("base64 is not canonical")
    return decoded
