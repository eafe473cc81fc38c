"""Passwords of staff: argon2id, hashed in a thread and few at a time; what a good one is."""

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import LianbanError

MIN_CHARS, MAX_CHARS, MIN_DIFFERENT = 12, 128, 6
_AT_ONCE = 2
"""Each takes 64 MiB and a core for a twentieth of a second."""
_WELL_KNOWN = (
    "password",
    "passw0rd",
    "qwerty",
    "123456",
    "654321",
    "111111",
    "000000",
    "888888",
    "admin",
    "lianban",
    "ezhou",
    "woaini",
    "5201314",
)


class PasswordWeak(LianbanError):
    """Shorter than 12 characters, fewer than 6 different ones, or made of the login or of something everybody tries."""

    code = "staff_password_weak"


class Passwords:
    """Makes and checks hashes. Nobody can tell by the time it takes whether there is a hash to check."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobodys: str | None = None

    async def hashed(self, password: str) -> str:
        """A new hash; not inside a transaction."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, _plain(password))

    async def is_right(self, known: str | None, password: str) -> bool:
        """True when `password` is what `known` is the hash of. Without one, as much work is done for nothing."""
        if self._nobodys is None:
            self._nobodys = await self.hashed("nobody's password")
        async with self._slots:
            right = await asyncio.to_thread(self._verify, known or self._nobodys, _plain(password))
        return right and known is not None

    def is_outdated(self, known: str) -> bool:
        """True when hashes are made with other parameters today."""
        return self._hasher.check_needs_rehash(known)

    def _verify(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False


def check_strength(password: str, login: str) -> None:
    """Refuse what others will try.

    Raises:
        PasswordWeak: it is too short, too uniform, or guessable.
    """
    plain = _plain(password)
    folded = plain.casefold()
    if not MIN_CHARS <= len(plain) <= MAX_CHARS or len(set(plain)) < MIN_DIFFERENT:
        raise PasswordWeak
    if login.casefold() in folded or any(word in folded for word in _WELL_KNOWN):
        raise PasswordWeak


def _plain(password: str) -> str:
    """One spelling of what can be typed in several ways (RFC 8265)."""
    return unicodedata.normalize("NFC", password)
