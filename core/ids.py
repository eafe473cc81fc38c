"""Identifiers: time-ordered UUIDs (RFC 9562 version 7) for rows, random strings for tokens and human references."""

import base64
import secrets
from datetime import datetime
from uuid import UUID

from core import clock

_HUMAN = "23456789ABCDEFGHJKMNPQRTUVWXYZ"


def new_id() -> UUID:
    """A version 7 UUID: 48 bits of milliseconds, 74 random bits. Rows created together lie together in the index."""
    milliseconds = int(clock.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    random = secrets.randbits(74)
    return UUID(
        int=milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | (random & 0x3FFF_FFFF_FFFF_FFFF)
    )


def first_of(moment: datetime) -> UUID:
    """The lowest id that a row made at `moment`, or later, can have.

    >>> str(first_of(datetime.fromisoformat("2023-11-14T22:13:20+00:00")))
    '018bcfe5-6800-7000-8000-000000000000'
    """
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)


def new_secret() -> str:
    """256 random bits, base64url without padding (43 characters)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def new_code() -> str:
    """A one-time code people can read aloud and type, such as ``B7K2-M9QD-4TXH`` (58 bits)."""
    text = "".join(secrets.choice(_HUMAN) for _ in range(12))
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def new_state() -> str:
    """256 random bits in hexadecimal (64 characters): WeChat's ``state`` holds letters and digits only."""
    return secrets.token_hex(32)


def new_reference() -> str:
    """A reference people can read aloud, such as ``B7K2-M9QD`` (39 bits)."""
    text = "".join(secrets.choice(_HUMAN) for _ in range(8))
    return f"{text[:4]}-{text[4:]}"
