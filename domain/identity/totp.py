"""One-time codes by time: RFC 6238 over RFC 4226, SHA-1, six digits, 30 s. What every authenticator app makes."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote

STEP_S = 30
DRIFT_STEPS = 1
"""Clocks of phones may be one step off, either way."""
_SECRET_BYTES = 20
_DIGITS = 6


def new_secret() -> bytes:
    """A secret as long as the hash (RFC 4226 §4)."""
    return secrets.token_bytes(_SECRET_BYTES)


def step(at: datetime) -> int:
    """The time step of a moment."""
    return int(at.timestamp()) // STEP_S


def code(secret: bytes, counter: int) -> str:
    """The code of one time step.

    >>> code(b"12345678901234567890", 1)
    '287082'
    """
    digest = hmac.digest(secret, counter.to_bytes(8, "big"), hashlib.sha1)
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def matched(secret: bytes, given: str, at: datetime, *, after: int) -> int | None:
    """The time step `given` is the code of, near `at` and later than the step `after`; None when it is none's."""
    now = step(at)
    found = None
    for counter in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(code(secret, counter).encode(), given.encode()) and counter > after and found is None:
            found = counter
    return found


def uri(login: str, secret: bytes, issuer: str) -> str:
    """The key URI that authenticators read from a QR code."""
    text = base64.b32encode(secret).decode().rstrip("=")
    name = quote(issuer)
    return f"otpauth://totp/{name}:{login}?secret={text}&issuer={name}&algorithm=SHA1&digits={_DIGITS}&period={STEP_S}"
