"""RSA2 (SHA256withRSA) over sorted parameters, over the raw member of an answer, and over the form of a notice. Pure."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from core import clock
from payments.providers.alipay.config import AlipayConfig, AlipayKeys

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
"""Times of day in Beijing."""
_NOT_SIGNED = ("sign", "sign_type", "alipay_cert_sn")


class SignatureWrong(Exception):
    """The message is not Alipay's. `reason` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def signed_parameters(
    config: AlipayConfig, method: str, body: object, merchant: str, now: datetime, **addresses: str | None
) -> dict[str, str]:
    """All parameters of a call, ``sign`` included. `merchant` is the one in whose name we act; `addresses` are notify_url, return_url.

    Raises:
        KeyError: that merchant has not authorised us.
    """
    parameters = {
        "app_id": config.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": now.astimezone(clock.SHANGHAI).strftime(TIME_FORMAT),
        "version": "1.0",
        "app_auth_token": config.tokens[merchant],
        "app_cert_sn": config.certificate_number,
        "alipay_root_cert_sn": config.root_number,
        "biz_content": msgspec.json.encode(body).decode(),
        **addresses,
    }
    given = {name: value for name, value in parameters.items() if value}
    text = "&".join(f"{name}={given[name]}" for name in sorted(given))
    signature = config.private_key.sign(text.encode(), PKCS1v15(), SHA256())
    return {**given, "sign": base64.b64encode(signature).decode()}


def encoded(parameters: Mapping[str, str]) -> str:
    """Parameters as they stand in an address or a form: UTF-8, every reserved character escaped."""
    return urlencode(parameters, quote_via=quote, safe="")


def verify_answer(keys: AlipayKeys, raw: bytes, signature: str, number: str | None, now: datetime) -> None:
    """Check the signature over the very bytes of an answer's member. `number`: the certificate it names, if it does.

    Raises:
        SignatureWrong: believe nothing of it.
    """
    _verify(keys, raw, signature, number, now)


def verify_form(keys: AlipayKeys, form: Mapping[str, str], now: datetime) -> None:
    """Check the signature of a notice: over all its fields but ``sign``, ``sign_type`` and the number of the certificate.

    Raises:
        SignatureWrong: believe nothing of it.
    """
    if form.get("sign_type") != "RSA2":
        raise SignatureWrong("sign_type")
    if not form.get("sign"):
        raise SignatureWrong("unsigned")
    said = sorted((name, value) for name, value in form.items() if name not in _NOT_SIGNED)
    text = "&".join(f"{name}={value}" for name, value in said)
    _verify(keys, text.encode(), form["sign"], form.get("alipay_cert_sn") or None, now)


def _verify(keys: AlipayKeys, message: bytes, signature: str, number: str | None, now: datetime) -> None:
    believed = keys.find(number, now)
    if not believed:
        raise SignatureWrong("certificate_unknown")
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureWrong("signature") from None
    for key in believed:
        try:
            key.verify(raw, message, PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return
    raise SignatureWrong("signature")
