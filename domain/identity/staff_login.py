"""How staff come in: a setup code once, then name, password and one-time code each time. Every refusal is the same one.

A name locks itself after a few wrong tries, for a while; counted under the row's lock, so that tries at once count one by one. Names
nobody has are counted as well, in Valkey, where every name and address is: without Valkey nobody comes in.
"""

import base64
import hmac
from dataclasses import dataclass, field
from datetime import timedelta

from cities.schema import City
from core import clock
from core.crypto import Vault
from core.database import transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.redis import Limiter
from domain.identity import totp
from domain.identity.passwords import Passwords, check_strength
from domain.identity.staff import end_sessions, setup_hash
from domain.identity.staff_sessions import StaffCaller, StaffSessions, StaffToken
from models import audit
from models.lifecycle import Actor
from models.staff import StaffUser

TRIES_PER_NAME = 20
_NAME_WINDOW = timedelta(minutes=15)


class StaffLoginRefused(LianbanError):
    """Name, password or code are wrong, the code was used before, or the login is locked, disabled or not set up: one answer for all."""

    code = "staff_login_refused"


class SetupRefused(LianbanError):
    """Name and setup code do not fit, the setup code has expired or was used, or the authenticator's code is wrong."""

    code = "staff_setup_refused"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator needs, shown once: the address for a QR code, and the secret in base32 for typing."""

    totp_uri: str = field(repr=False)
    totp_secret: str = field(repr=False)


class StaffLogin:
    """Sets logins up, and lets their owners in."""

    def __init__(
        self, vault: Vault, city: City, limiter: Limiter, sessions: StaffSessions, passwords: Passwords
    ) -> None:
        self._vault = vault
        self._city = city
        self._limiter = limiter
        self._sessions = sessions
        self._passwords = passwords

    async def enrol(self, login: str, setup_code: str, password: str) -> Enrolment:
        """Take the owner's own password and give him a secret for his authenticator; nothing counts until he confirms it.

        Raises:
            SetupRefused, PasswordWeak, RateLimited, LimiterAway.
        """
        await self._count_try(login)
        await self._waiting(login, setup_code)
        check_strength(password, login)
        hashed, secret = await self._passwords.hashed(password), totp.new_secret()
        async with transaction():
            user = await self._waiting(login, setup_code, lock=True)
            user.password_hash = hashed
            user.totp_secret = self._vault.seal(secret, "staff_user.totp_secret", user.id)
            await user.save(update_fields=["password_hash", "totp_secret"])
        text = base64.b32encode(secret).decode().rstrip("=")
        return Enrolment(totp.uri(user.login, secret, self._city.short_name + "联办"), text)

    async def confirm(self, login: str, setup_code: str, code: str) -> None:
        """The first code of the authenticator ends the setup; the setup code is used up.

        Raises:
            SetupRefused, RateLimited, LimiterAway.
        """
        await self._count_try(login)
        async with transaction():
            user = await self._waiting(login, setup_code, lock=True)
            counter = self._counter(user, code)
            if counter is None or user.password_hash is None:
                raise SetupRefused
            user.totp_counter, user.enrolled_at, user.setup_hash, user.setup_expires_at = (
                counter,
                clock.now(),
                None,
                None,
            )
            await user.save(update_fields=["totp_counter", "enrolled_at", "setup_hash", "setup_expires_at"])
            await audit.record(Actor("staff", str(user.id)), "staff.enrolled", "staff_user", user.id)
        failpoint("staff.enrolled_committed")

    async def log_in(self, login: str, password: str, code: str, client_label: str) -> StaffToken:
        """A session for name, password and a one-time code that was not used before.

        Raises:
            StaffLoginRefused, RateLimited, LimiterAway.
        """
        await self._count_try(login)
        known = await StaffUser.get_or_none(login=login.lower())
        known_hash = known.password_hash if known else None
        right = await self._passwords.is_right(known_hash, password)
        newer = None
        if right and known_hash is not None and self._passwords.is_outdated(known_hash):
            newer = await self._passwords.hashed(password)
        opened = None
        async with transaction():
            user = await StaffUser.filter(login=login.lower()).select_for_update().get_or_none()
            if user is not None and await self._judge(user, right and user.password_hash == known_hash, code, newer):
                opened = await self._sessions.open(user, client_label)
        failpoint("staff.logged_in_committed")
        if opened is None:
            raise StaffLoginRefused
        return opened

    async def change_password(self, caller: StaffCaller, old: str, new: str, code: str) -> None:
        """Another password, for the old one and a one-time code; the login's other sessions end. Wrong tries count as at the login.

        Raises:
            StaffLoginRefused, PasswordWeak.
        """
        known = await StaffUser.get(id=caller.staff_id)
        check_strength(new, known.login)
        right = await self._passwords.is_right(known.password_hash, old)
        newer = await self._passwords.hashed(new)
        async with transaction():
            user = await StaffUser.filter(id=caller.staff_id).select_for_update().get()
            changed = await self._judge(user, right and user.password_hash == known.password_hash, code, newer)
            if changed:
                await end_sessions(user.id, "password_changed", but=caller.session_id)
                await audit.record(caller.actor, "staff.password_changed", "staff_user", user.id)
        if not changed:
            raise StaffLoginRefused

    async def _judge(self, user: StaffUser, password_right: bool, code: str, newer: str | None) -> bool:
        """Count the try on the locked row: a right one clears the count and uses the code up, the last wrong one locks."""
        now, limits = clock.now(), self._city.staff.limits
        if user.locked_until is not None and now < user.locked_until:
            return False
        if user.disabled_at is not None or user.enrolled_at is None:
            return False
        counter = self._counter(user, code)
        if password_right and counter is not None:
            user.totp_counter, user.failed_tries, user.locked_until = counter, 0, None
            user.password_hash = newer or user.password_hash
        else:
            user.failed_tries += 1
            if user.failed_tries >= limits.tries:
                user.failed_tries, user.locked_until = 0, now + limits.locked_for
                await audit.record(Actor("staff", str(user.id)), "staff.locked", "staff_user", user.id)
        await user.save(update_fields=["totp_counter", "failed_tries", "locked_until", "password_hash"])
        return password_right and counter is not None

    def _counter(self, user: StaffUser, code: str) -> int | None:
        if user.totp_secret is None:
            return None
        secret = self._vault.open_bytes(user.totp_secret, "staff_user.totp_secret", user.id)
        return totp.matched(secret, code, clock.now(), after=user.totp_counter)

    async def _waiting(self, login: str, setup_code: str, *, lock: bool = False) -> StaffUser:
        """The login that waits for this setup code."""
        query = StaffUser.filter(login=login.lower(), disabled_at=None)
        user = await (query.select_for_update() if lock else query).get_or_none()
        known = user.setup_hash if user is not None and user.setup_hash is not None else b""
        right = hmac.compare_digest(bytes(known), setup_hash(setup_code))
        if user is None or not right or user.setup_expires_at is None or user.setup_expires_at <= clock.now():
            raise SetupRefused
        return user

    async def _count_try(self, login: str) -> None:
        """Names that nobody has are counted like all others."""
        index = self._vault.index("staff.login", login.lower()).hex()[:32]
        await self._limiter.take(f"staff:name:{index}", TRIES_PER_NAME, _NAME_WINDOW, closed=True)
