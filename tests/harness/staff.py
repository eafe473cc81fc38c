"""Members of staff, made without the toil of setting each of them up over HTTP."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from api.calls import Access
from cities.staff import StaffRole
from core import clock
from core.database import transaction
from domain.identity import totp
from domain.identity.passwords import Passwords
from domain.identity.staff import NewStaff
from domain.identity.staff_sessions import StaffCaller
from domain.services import Services
from models.lifecycle import Actor
from models.staff import StaffUser

PASSWORD = "Wu-Chang-Yu-2026"
CONSOLE = Actor("staff", "console:test")
_hashes: list[str] = []


@dataclass
class Member:
    """A member of staff with what he keeps: his authenticator's secret and his client's token."""

    staff_id: UUID
    login: str
    unit: str
    secret: bytes = field(repr=False)
    token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What his client sends with each call."""
        return {"Authorization": f"Bearer {self.token}"}

    def code(self, steps: int = 0) -> str:
        """What his authenticator shows, now or so many steps from now."""
        return totp.code(self.secret, totp.step(clock.now()) + steps)


def role_with(services: Services, permission: str | None) -> StaffRole:
    """The first role of the city pack that has a permission."""
    roles = services.city.staff.roles
    return next(role for role in roles if permission is None or permission in role.permissions)


def unit_of(services: Services, role: StaffRole, place: int = 0) -> str:
    """A unit in which a role exists; another `place` is another one, where there are several."""
    units = [unit.code for unit in services.city.staff.units if unit.kind in role.units]
    return units[place % len(units)]


async def waiting(services: Services, unit: str, *roles: str) -> NewStaff:
    """A login that waits for its owner."""
    found = services.city.staff.unit(unit)
    assert found is not None
    return await services.staff._insert(CONSOLE, f"s{uuid4().hex[:12]}", "李秀英", found, roles)


async def member(services: Services, unit: str, *roles: str) -> Member:
    """Somebody who has set up his login and is logged in."""
    if not _hashes:
        _hashes.append(await Passwords().hashed(PASSWORD))
    user, secret = (await waiting(services, unit, *roles)).user, totp.new_secret()
    user.password_hash, user.enrolled_at = _hashes[0], clock.now()
    user.totp_secret = services.vault.seal(secret, "staff_user.totp_secret", user.id)
    user.setup_hash = user.setup_expires_at = None
    async with transaction():
        await user.save()
        opened = await services.staff_sessions.open(user, "柜台电脑")
    return Member(user.id, user.login, unit, secret, opened.token)


async def caller(services: Services, unit: str, *roles: str) -> StaffCaller:
    """Somebody of this unit as services know him."""
    return await services.staff_sessions.check((await member(services, unit, *roles)).token)


async def member_for(services: Services, access: Access, place: int = 0) -> Member:
    """Somebody whom this row of the access table lets in; another `place` is a stranger from another unit, if there is one."""
    role = role_with(services, access.permission)
    if access.permission in ("staff.manage", "devices.manage") and place:
        role = services.city.staff.roles[1]
    return await member(services, unit_of(services, role, place), role.code)


async def user_of(one: Member) -> StaffUser:
    """His row."""
    return await StaffUser.get(id=one.staff_id)


STEP = timedelta(seconds=totp.STEP_S)
