"""Staff logins: argon2id passwords and RFC 6238 one-time codes; who made whom is on record."""

import base64
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from argon2 import PasswordHasher

from core import clock, ids
from core.crypto import Vault
from core.database import transaction, violated_constraint
from core.errors import LianbanError, NotFound
from models import audit
from models.lifecycle import Actor
from models.staff import StaffUser

ROLES = ("administrator", "clerk", "auditor")
"""administrator makes logins, clerk works, auditor reads the records: three duties, never one person's (GB/T 22239 level 3)."""

MIN_PASSWORD_CHARS = 12
_TOTP_BYTES = 20


class LoginTaken(LianbanError):
    """There is a login of this name, perhaps a disabled one: names are not used again."""

    code = "staff_login_taken"


class PasswordWeak(LianbanError):
    """Fewer than 12 characters, fewer than 6 different ones, or containing the login."""

    code = "staff_password_weak"


class RoleUnknown(LianbanError):
    """No such role."""

    code = "staff_role_unknown"


@dataclass(frozen=True, slots=True)
class NewStaff:
    """A login just made. `totp_uri` is shown once, to be taken by an authenticator; it cannot be shown again."""

    user: StaffUser
    totp_uri: str = field(repr=False)


class Staff:
    """Makes, lists and disables staff logins."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._hasher = PasswordHasher()

    async def create(self, login: str, name: str, password: str, role: str, scope: str, by: Actor) -> NewStaff:
        """Make a login with one role in one scope (a company code, an area code or ``city``).

        Raises:
            LoginTaken, PasswordWeak, RoleUnknown.
        """
        if role not in ROLES:
            raise RoleUnknown(role)
        if len(password) < MIN_PASSWORD_CHARS or len(set(password)) < 6 or login.lower() in password.lower():
            raise PasswordWeak
        user_id = ids.new_id()
        secret = secrets.token_bytes(_TOTP_BYTES)
        user = StaffUser(
            id=user_id,
            login=login.lower(),
            name=self._vault.seal(name, "staff_user.name", user_id),
            password_hash=self._hasher.hash(password),
            totp_secret=self._vault.seal(secret, "staff_user.totp_secret", user_id),
            roles=[{"role": role, "scope": scope}],
            created_at=clock.now(),
            created_by=f"{by.kind}:{by.id}",
        )
        try:
            async with transaction():
                await user.save(force_create=True)
                await audit.record(by, "staff.created", "staff_user", user_id, f"{role}@{scope}")
        except Exception as error:
            if violated_constraint(error) == "staff_user_login_once":
                raise LoginTaken from error
            raise
        return NewStaff(user, totp_uri(user.login, secret))

    async def list(self) -> list[tuple[StaffUser, str]]:
        """All logins with their names, oldest first."""
        users = await StaffUser.all().order_by("created_at").limit(1000)
        return [(user, self._vault.open(user.name, "staff_user.name", user.id)) for user in users]

    async def disable(self, login: str, by: Actor) -> UUID:
        """Disable a login; disabling it again changes nothing.

        Raises:
            NotFound: no such login.
        """
        async with transaction():
            user = await StaffUser.filter(login=login.lower()).select_for_update().get_or_none()
            if user is None:
                raise NotFound("staff_user")
            if user.disabled_at is None:
                user.disabled_at = clock.now()
                await user.save(update_fields=["disabled_at"])
                await audit.record(by, "staff.disabled", "staff_user", user.id)
        return user.id


def totp_uri(login: str, secret: bytes) -> str:
    """The key URI that authenticators read from a QR code: SHA-1, six digits, 30 s."""
    return f"otpauth://totp/lianban:{login}?secret={base64.b32encode(secret).decode()}&issuer=lianban&algorithm=SHA1&digits=6&period=30"
