"""Sessions: opened by a login, carried on by refresh tokens that rotate, ended by their owner or by a token used twice."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import NotFound
from core.failpoint import failpoint
from domain.identity.tokens import AccessTokens, Caller, RefreshTokens, TokenRefused
from models import audit
from models.lifecycle import Actor, announce
from models.person import Person, User
from models.session import RefreshToken, Session

SESSION_LIFE = timedelta(days=30)
REPEAT_GRACE = timedelta(seconds=10)
"""Within this time the same client that lost an answer gets the same successor again (design, invariant 13)."""


class RefreshRefused(TokenRefused):
    """The refresh token is unknown, expired, of an ended session, or was used before: log in again."""

    code = "refresh_refused"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a client gets: a short access token and the refresh token that follows."""

    access_token: str
    expires_in_s: int
    refresh_token: str = field(repr=False)
    session_id: UUID
    person_id: UUID
    level: int


@dataclass(frozen=True, slots=True)
class ProvedOrganization:
    """An organization that has shown up itself, and when."""

    organization_id: UUID
    proved_at: datetime


class Sessions:
    """Opens, refreshes, lists and ends sessions."""

    def __init__(self, vault: Vault, access: AccessTokens, refresh: RefreshTokens) -> None:
        self._vault = vault
        self._access = access
        self._refresh = refresh

    async def open(
        self,
        user: User,
        person: Person,
        access_point: str,
        client_id: str,
        client_label: str,
        *,
        organization_id: UUID | None = None,
    ) -> Opened:
        """A new session for a login that has just been proved, in the caller's transaction.

        `organization_id`: the organization for which the identity source vouched in this very login.
        """
        now = clock.now()
        session = await Session.create(
            id=ids.new_id(),
            user_id=user.id,
            person_id=person.id,
            access_point=access_point,
            client_index=self._client_index(client_id),
            client_label=client_label[:80],
            created_at=now,
            proved_at=now,
            organization_id=organization_id,
            organization_proved_at=now if organization_id else None,
            used_at=now,
            expires_at=now + SESSION_LIFE,
        )
        await audit.record(Actor("person", str(person.id)), "session.opened", "session", session.id, access_point)
        return await self._hand_out(session, person, ids.new_secret())

    async def refresh(self, token: str, client_id: str) -> Opened:
        """The successor of `token`, once; within ten seconds the same client gets the same successor again.

        A token used twice outside that grace is a stolen one: the session ends and its owner is told.

        Raises:
            RefreshRefused: in all other cases.
        """
        async with transaction():
            opened = await self._rotate(token, client_id)
        failpoint("session.refreshed_committed")
        if opened is None:
            raise RefreshRefused("refused")
        return opened

    async def renewed(self, caller: Caller, proved: bool) -> tuple[str, int, int]:
        """A fresh access token for the caller's session after his level has changed: (token, life in s, level)."""
        person = await Person.get(id=caller.person_id)
        proved_at = caller.proved_at
        if proved:
            now = clock.now()
            proved_at = now.timestamp()
            await Session.filter(id=caller.session_id).update(proved_at=now)
        token, life_s = self._access.issue(
            Caller(person.id, caller.user_id, caller.session_id, person.level, proved_at), str(ids.new_id())
        )
        return token, life_s, person.level

    async def organization_proved(self, session_id: UUID) -> "ProvedOrganization | None":
        """The organization whose own login at its identity source opened this session, and when; None for everybody else."""
        session = await Session.get(id=session_id)
        if session.organization_id is None or session.organization_proved_at is None:
            return None
        return ProvedOrganization(session.organization_id, session.organization_proved_at)

    async def list(self, person_id: UUID) -> list[Session]:
        """The live sessions of a person, newest first."""
        return (
            await Session.filter(person_id=person_id, ended_at=None, expires_at__gt=clock.now())
            .order_by("-used_at")
            .limit(100)
        )

    async def end(self, session_id: UUID, person_id: UUID) -> None:
        """End one of one's own sessions; ending it again changes nothing.

        Raises:
            NotFound: not a session of this person.
        """
        async with transaction():
            session = await Session.filter(id=session_id, person_id=person_id).select_for_update().get_or_none()
            if session is None:
                raise NotFound("session")
            if session.ended_at is None:
                await self._end(session, "ended_by_owner")
        failpoint("session.ended_committed")

    async def end_for(self, session: Session, reason: str) -> None:
        """End a session that the caller has locked, in his transaction."""
        if session.ended_at is None:
            await self._end(session, reason)

    async def _rotate(self, token: str, client_id: str) -> Opened | None:
        row = await RefreshToken.filter(token_hash=self._refresh.hashed(token)).select_for_update().get_or_none()
        if row is None:
            return None
        session = await Session.filter(id=row.session_id).select_for_update().get()
        now = clock.now()
        if session.ended_at is not None or session.expires_at <= now:
            return None
        same_client = bytes(session.client_index) == self._client_index(client_id)
        if row.used_at is None and same_client:
            row.used_at = now
            session.used_at = now
            await row.save(update_fields=["used_at"])
            await session.save(update_fields=["used_at"])
            return await self._hand_out(session, await Person.get(id=session.person_id), self._refresh.successor(token))
        if same_client and row.used_at is not None and now - row.used_at <= REPEAT_GRACE:
            return await self._hand_out(
                session, await Person.get(id=session.person_id), self._refresh.successor(token), stored=True
            )
        await self._end(session, "refresh_token_reused" if row.used_at else "refresh_from_other_client")
        await announce(
            "session.reuse_detected", "session", session.id, Actor("system"), {"person_id": str(session.person_id)}
        )
        return None

    async def _end(self, session: Session, reason: str) -> None:
        session.ended_at, session.end_reason = clock.now(), reason
        await session.save(update_fields=["ended_at", "end_reason"])
        await audit.record(Actor("person", str(session.person_id)), "session.ended", "session", session.id, reason)

    async def _hand_out(self, session: Session, person: Person, refresh_token: str, *, stored: bool = False) -> Opened:
        if not stored:
            await fetch(
                "insert into refresh_token (id, session_id, token_hash, issued_at) values ($1, $2, $3, $4)",
                ids.new_id(), session.id, self._refresh.hashed(refresh_token), clock.now(),
            )  # fmt: skip
        caller = Caller(person.id, session.user_id, session.id, person.level, session.proved_at.timestamp())
        access, life_s = self._access.issue(caller, str(ids.new_id()))
        return Opened(access, life_s, refresh_token, session.id, person.id, person.level)

    def _client_index(self, client_id: str) -> bytes:
        return self._vault.index("session.client", client_id)


async def ended_lately() -> list[UUID]:
    """Sessions whose access tokens may still be alive though they have ended."""
    since: datetime = clock.now() - timedelta(minutes=15)
    return await Session.ended_since(since)
