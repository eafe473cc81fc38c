"""Sessions of staff: short tokens of their own audience, and a row that every call looks at, so that an end is an end at once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from cities.schema import City
from cities.staff import StaffUnit
from core import clock, ids
from core.database import fetch_one, transaction
from core.errors import NotFound
from domain.identity.tokens import TokenKeys, TokenRefused
from models import audit
from models.lifecycle import Actor
from models.staff import StaffSession, StaffUser

AUDIENCE = "lianban:staff"
_MAX_TOKEN_CHARS = 2_000

_USE = """
update staff_session s set used_at = greatest(s.used_at, $3) from staff_user u
where s.id = $1 and s.staff_id = $2 and u.id = s.staff_id and s.ended_at is null and s.used_at > $4 and s.expires_at > $3
  and u.disabled_at is null and u.enrolled_at is not null
returning u.unit, u.roles, s.expires_at
"""


@dataclass(frozen=True, slots=True)
class StaffCaller:
    """A member of staff who is calling, with what his roles in his unit allow today."""

    staff_id: UUID
    session_id: UUID
    unit: StaffUnit
    roles: tuple[str, ...]
    permissions: frozenset[str]
    session_ends_at: datetime

    @property
    def actor(self) -> Actor:
        """Who acts, for journals and audits."""
        return Actor("staff", str(self.staff_id))


@dataclass(frozen=True, slots=True)
class StaffToken:
    """What a client of staff gets. It lives as long as an idle session; while he works the client renews it."""

    token: str = field(repr=False)
    expires_in_s: int
    session_id: UUID
    session_ends_at: datetime


class StaffSessions:
    """Opens, checks, lists and ends sessions of staff."""

    def __init__(self, keys: TokenKeys, issuer: str, city: City) -> None:
        self._keys = keys
        self._issuer = issuer
        self._city = city

    async def open(self, user: StaffUser, client_label: str) -> StaffToken:
        """A session for a login that has just been proved, in the caller's transaction."""
        now = clock.now()
        session = await StaffSession.create(
            id=ids.new_id(),
            staff_id=user.id,
            client_label=client_label[:80],
            created_at=now,
            used_at=now,
            expires_at=now + self._city.staff.limits.life,
        )
        await audit.record(Actor("staff", str(user.id)), "staff.session_opened", "staff_session", session.id)
        return self._token(user.id, session.id, session.expires_at)

    async def check(self, token: str) -> StaffCaller:
        """Who presents `token`. The look is a use: the idle time begins anew.

        Raises:
            TokenRefused: it proves nobody, or the session is idle for too long, over or ended, or the login disabled.
        """
        if not 0 < len(token) <= _MAX_TOKEN_CHARS or not token.isascii():
            raise TokenRefused("form")
        claims = self._keys.verify(token, AUDIENCE, self._issuer)
        now = clock.now()
        try:
            session_id, staff_id = UUID(claims["sid"]), UUID(claims["sub"])
        except (ValueError, TypeError, AttributeError):
            raise TokenRefused("claims") from None
        if type(claims["exp"]) is not int or claims["exp"] <= now.timestamp():
            raise TokenRefused("expired")
        row = await fetch_one(_USE, session_id, staff_id, now, now - self._city.staff.limits.idle)
        unit = self._city.staff.unit(row["unit"]) if row else None
        if row is None or unit is None:
            raise TokenRefused("session_ended")
        roles = tuple(msgspec.json.decode(row["roles"]) if isinstance(row["roles"], str) else row["roles"])
        permissions = {permission for role in self._city.staff.held(unit, roles) for permission in role.permissions}
        return StaffCaller(staff_id, session_id, unit, roles, frozenset(permissions), row["expires_at"])

    def renewed(self, caller: StaffCaller) -> StaffToken:
        """A fresh token of the caller's session, whose own end stays."""
        return self._token(caller.staff_id, caller.session_id, caller.session_ends_at)

    async def list(self, staff_id: UUID) -> list[StaffSession]:
        """The live sessions of a login, newest first."""
        now = clock.now()
        return (
            await StaffSession.filter(
                staff_id=staff_id, ended_at=None, expires_at__gt=now, used_at__gt=now - self._city.staff.limits.idle
            )
            .order_by("-used_at")
            .limit(100)
        )

    async def end(self, session_id: UUID, staff_id: UUID) -> None:
        """End one of one's own sessions; ending it again changes nothing.

        Raises:
            NotFound: not a session of this login.
        """
        async with transaction():
            session = await StaffSession.filter(id=session_id, staff_id=staff_id).select_for_update().get_or_none()
            if session is None:
                raise NotFound("staff_session")
            if session.ended_at is None:
                session.ended_at, session.end_reason = clock.now(), "ended_by_owner"
                await session.save(update_fields=["ended_at", "end_reason"])
                await audit.record(Actor("staff", str(staff_id)), "staff.session_ended", "staff_session", session.id)

    def _token(self, staff_id: UUID, session_id: UUID, session_ends_at: datetime) -> StaffToken:
        now = clock.now()
        life: timedelta = min(self._city.staff.limits.idle, session_ends_at - now)
        life_s = int(life.total_seconds())
        claims = {
            "iss": self._issuer, "aud": AUDIENCE, "sub": str(staff_id), "sid": str(session_id), "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + life_s, "jti": str(ids.new_id()),
        }  # fmt: skip
        return StaffToken(self._keys.sign(claims), life_s, session_id, session_ends_at)
