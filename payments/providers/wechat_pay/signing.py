"""WECHATPAY2-SHA256-RSA2048 and AEAD_AES_256_GCM, pure: bytes and the time in, text or a refusal out."""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from core.outbound import Headers
from payments.providers.wechat_pay.config import PlatformKeys, WeChatPayConfig

SCHEME = "WECHATPAY2-SHA256-RSA2048"
MAX_AGE = timedelta(seconds=300)
_NONCE_BYTES = 12
_HEADERS = tuple(f"wechatpay-{name}" for name in ("timestamp", "nonce", "signature", "serial", "signature-type"))
_VISIBLE = re.compile(r"[!-~]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class SignatureWrong(Exception):
    """The message is not the platform's, or not fresh. `reason` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def authorization(config: WeChatPayConfig, method: str, path: str, body: bytes, now: datetime) -> str:
    """The Authorization header. `path` with its query and `body` must be the very bytes that are sent."""
    timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(16)
    head = f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode()
    signature = _sign(config.private_key, head + body + b"\n")
    return (
        f'{SCHEME} mchid="{config.sp_mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{config.serial}"'
    )


def client_params(config: WeChatPayConfig, prepay_id: str, now: datetime) -> dict[str, str]:
    """What wx.requestPayment takes, signed now."""
    timestamp, nonce, package = str(int(now.timestamp())), secrets.token_hex(16), f"prepay_id={prepay_id}"
    text = f"{config.sp_appid}\n{timestamp}\n{nonce}\n{package}\n"
    return {
        "appId": config.sp_appid,
        "timeStamp": timestamp,
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": _sign(config.private_key, text.encode()),
    }


def verify(headers: Headers, body: bytes, platform: PlatformKeys, now: datetime) -> str:
    """Verify an answer or a notice and return the serial of the key that signed it. Asks nobody for an unknown key.

    Raises:
        SignatureWrong: believe nothing of it.
    """
    found = _found(headers)
    timestamp, nonce, signature, serial = (_one(found[name]) for name in _HEADERS[:4])
    if signature.startswith("WECHATPAY/SIGNTEST/"):
        raise SignatureWrong("signtest")
    if found[_HEADERS[4]] not in ([], [SCHEME]):
        raise SignatureWrong("signature_type")
    if not _SECONDS.fullmatch(timestamp) or not _VISIBLE.fullmatch(nonce):
        raise SignatureWrong("header_malformed")
    if abs(now.timestamp() - int(timestamp)) > MAX_AGE.total_seconds():
        raise SignatureWrong("stale")
    key = platform.find(serial, now)
    if key is None:
        raise SignatureWrong("serial_unknown")
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        raise SignatureWrong("signature") from None
    return serial


def decrypt(api_v3_key: bytes, nonce: str, associated_data: str, ciphertext: str) -> bytes:
    """Open a resource of the platform.

    Raises:
        ValueError: made with another key, or changed.
    """
    raw_nonce = nonce.encode()
    if len(raw_nonce) != _NONCE_BYTES:
        raise ValueError("the nonce has 12 bytes")
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
        return AESGCM(api_v3_key).decrypt(raw_nonce, sealed, associated_data.encode())
    except (binascii.Error, InvalidTag):
        raise ValueError("the ciphertext does not open") from None


def _sign(key: RSAPrivateKey, text: bytes) -> str:
    return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()


def _found(headers: Headers) -> dict[str, list[str]]:
    """All values of the platform's headers, in one pass: of every notice all other headers are read too."""
    found: dict[str, list[str]] = {name: [] for name in _HEADERS}
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    for name, value in pairs:
        if (values := found.get(name.lower())) is not None:
            values.append(value)
    return found


def _one(values: list[str]) -> str:
    if len(values) != 1:
        raise SignatureWrong("header_twice" if values else "header_missing")
    return values[0]
