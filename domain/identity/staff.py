"""Who works here: logins of staff made, listed, disabled and set up anew by those who may give all their roles."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cities.schema import City
from cities.staff import StaffUnit
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from domain.identity.staff_sessions import StaffCaller
from models import audit
from models.lifecycle import Actor
from models.staff import StaffUser

_SETUP_ALPHABET = "23456789ABCDEFGHJKMNPQRTUVWXYZ"
_SETUP_GROUPS = 4


class LoginTaken(LianbanError):
    """There is a login of this name, perhaps a disabled one: names are not used again."""

    code = "staff_login_taken"


class GrantRefused(LianbanError):
    """The caller may not give these roles in this unit, or they do not go together: nobody gives more than he has."""

    code = "staff_grant_refused"


class AdministratorExists(LianbanError):
    """This unit has an administrator already: further logins are made by him, over the API."""

    code = "staff_administrator_exists"


@dataclass(frozen=True, slots=True)
class NewStaff:
    """A login that waits for its owner. `setup_code` is shown once; with it he sets his password and his authenticator."""

    user: StaffUser
    setup_code: str = field(repr=False)
    expires_at: datetime


class Staff:
    """Makes, lists, disables and renews staff logins."""

    def __init__(self, vault: Vault, city: City) -> None:
        self._vault = vault
        self._city = city

    async def create(self, by: StaffCaller, login: str, name: str, unit: str, roles: Sequence[str]) -> NewStaff:
        """Make a login with roles that `by` may give.

        Raises:
            GrantRefused, LoginTaken.
        """
        if not self._may_manage(by, unit, roles):
            raise GrantRefused
        return await self._insert(by.actor, login, name, self._unit(unit), roles)

    async def create_first(self, by: Actor, login: str, name: str, unit: str) -> NewStaff:
        """Make the first administrator of a unit, from the server's own console.

        Raises:
            AdministratorExists, LoginTaken, GrantRefused: no such unit.
        """
        found = self._unit(unit)
        (role,) = [role for role in self._city.staff.roles if role.duty == "manage" and found.kind in role.units]
        if any(role.code in user.roles for user in await StaffUser.filter(unit=unit, disabled_at=None)):
            raise AdministratorExists
        return await self._insert(by, login, name, found, [role.code])

    async def listed(self, by: StaffCaller, after: UUID | None, limit: int) -> list[tuple[StaffUser, str]]:
        """The logins of the units `by` manages with their names, in the order of their making."""
        everywhere = any(role.reach == "all" for role in self._city.staff.held(by.unit, by.roles))
        query = StaffUser.all() if everywhere else StaffUser.filter(unit=by.unit.code)
        if after is not None:
            query = query.filter(id__gt=after)
        return [(user, self.name(user)) for user in await query.order_by("id").limit(limit)]

    async def every(self) -> list[tuple[StaffUser, str]]:
        """All logins with their names, for the console."""
        return [(user, self.name(user)) for user in await StaffUser.all().order_by("id").limit(1000)]

    async def disable(self, by: StaffCaller, staff_id: UUID) -> None:
        """Disable a login and end its sessions; disabling it again changes nothing.

        Raises:
            NotFound: no login within the caller's reach.
        """
        async with transaction():
            await self._disable(await self._reached(by, staff_id), by.actor)

    async def disable_login(self, by: Actor, login: str) -> None:
        """The same from the console.

        Raises:
            NotFound: no such login.
        """
        async with transaction():
            await self._disable(await _locked(login), by)

    async def renew_setup(self, by: StaffCaller, staff_id: UUID) -> NewStaff:
        """A new setup code for somebody who lost his authenticator or password; the old ones and his sessions end.

        Raises:
            NotFound: no live login within the caller's reach.
        """
        async with transaction():
            user = await self._reached(by, staff_id)
            return await self._renewed(user, by.actor)

    async def renew_setup_of(self, by: Actor, login: str) -> NewStaff:
        """The same from the console, for an administrator whom nobody else can help.

        Raises:
            NotFound: no such live login.
        """
        async with transaction():
            return await self._renewed(await _locked(login), by)

    def name(self, user: StaffUser) -> str:
        """The name in clear."""
        return self._vault.open(user.name, "staff_user.name", user.id)

    def _unit(self, code: str) -> StaffUnit:
        unit = self._city.staff.unit(code)
        if unit is None:
            raise GrantRefused
        return unit

    def _may_manage(self, by: StaffCaller, unit: str, roles: Sequence[str]) -> bool:
        """True when `by` may give every one of these roles there, and one person may have all of them."""
        found = self._city.staff.unit(unit)
        if found is None or not roles or len(set(roles)) != len(roles):
            return False
        held = self._city.staff.held(found, roles)
        return len({role.duty for role in held}) == 1 and all(
            self._city.staff.may_grant(by.unit, by.roles, found, role) for role in roles
        )

    async def _reached(self, by: StaffCaller, staff_id: UUID) -> StaffUser:
        """The login, locked, if `by` may manage it; his own he may not."""
        user = await StaffUser.filter(id=staff_id).select_for_update().get_or_none()
        if user is None or user.id == by.staff_id or not self._may_manage(by, user.unit, user.roles):
            raise NotFound("staff_user")
        return user

    async def _insert(self, by: Actor, login: str, name: str, unit: StaffUnit, roles: Sequence[str]) -> NewStaff:
        user_id, now, code = ids.new_id(), clock.now(), new_setup_code()
        user = StaffUser(
            id=user_id,
            login=login.lower(),
            name=self._vault.seal(name, "staff_user.name", user_id),
            unit=unit.code,
            roles=list(roles),
            setup_hash=setup_hash(code),
            setup_expires_at=now + self._city.staff.limits.setup,
            created_at=now,
            created_by=f"{by.kind}:{by.id}",
        )
        try:
            async with transaction():
                await user.save(force_create=True)
                await audit.record(by, "staff.created", "staff_user", user_id, f"{','.join(roles)}@{unit.code}"[:200])
        except Exception as error:
            if violated_constraint(error) == "staff_user_login_once":
                raise LoginTaken from error
            raise
        return NewStaff(user, code, now + self._city.staff.limits.setup)

    async def _disable(self, user: StaffUser, by: Actor) -> None:
        if user.disabled_at is not None:
            return
        user.disabled_at = clock.now()
        await user.save(update_fields=["disabled_at"])
        await end_sessions(user.id, "login_disabled")
        await audit.record(by, "staff.disabled", "staff_user", user.id)

    async def _renewed(self, user: StaffUser, by: Actor) -> NewStaff:
        if user.disabled_at is not None:
            raise NotFound("staff_user")
        code, expires_at = new_setup_code(), clock.now() + self._city.staff.limits.setup
        user.setup_hash, user.setup_expires_at = setup_hash(code), expires_at
        user.enrolled_at = user.password_hash = user.totp_secret = user.locked_until = None
        user.failed_tries = 0
        await user.save()
        await end_sessions(user.id, "setup_renewed")
        await audit.record(by, "staff.setup_renewed", "staff_user", user.id)
        return NewStaff(user, code, expires_at)


async def end_sessions(staff_id: UUID, reason: str, *, but: UUID | None = None) -> None:
    """End the live sessions of a login in the caller's transaction."""
    await fetch(
        "update staff_session set ended_at = $2, end_reason = $3 where staff_id = $1 and ended_at is null and id is distinct from $4",
        staff_id, clock.now(), reason, but,
    )  # fmt: skip


def new_setup_code() -> str:
    """Sixteen characters people can copy (78 bits), such as ``B7K2-M9QD-…``."""
    groups = ("".join(secrets.choice(_SETUP_ALPHABET) for _ in range(4)) for _ in range(_SETUP_GROUPS))
    return "-".join(groups)


def setup_hash(code: str) -> bytes:
    """What the database knows of a setup code."""
    return hashlib.sha256(b"staff setup\0" + code.upper().replace("-", "").encode()).digest()


async def _locked(login: str) -> StaffUser:
    user = await StaffUser.filter(login=login.lower()).select_for_update().get_or_none()
    if user is None:
        raise NotFound("staff_user")
    return user
