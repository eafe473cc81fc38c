"""A clerk acts for a citizen only with the code or the card the citizen shows him: bound to both, one purpose, minutes long, seen by him."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.redis import Limiter
from domain.identity.cards import Cards
from domain.identity.people import People
from domain.identity.staff_sessions import StaffCaller
from domain.identity.tokens import Caller
from models import audit, joining
from models.acting import ActingSession, AtCounter, CounterCode
from models.lifecycle import Actor, announce
from models.person import Person

_DIGITS = 8
_TRIES, _WINDOW = 10, timedelta(minutes=15)
_LOOKS = frozenset({"accounts_listed", "owed_shown"})
_PAYS = frozenset({"quoted", "payment_created", "payment_code_shown", "payment_seen", "payment_closed"})
_DEEDS = {
    "look_up": _LOOKS,
    "bind": _LOOKS | {"bound"},
    "pay": _LOOKS | _PAYS,
    "real_name": frozenset({"real_name_proved"}),
}
"""Purpose → what may be done for it."""
_UNWRITTEN = frozenset({"payment_seen"})
"""How a payment stands that the clerk has begun himself, which is written down, he asks every few seconds."""


class CounterCodeRefused(LianbanError):
    """Nobody shows this code now: mistyped, used, expired or replaced. The citizen makes a new one."""

    code = "counter_code_refused"


class PurposeExceeded(LianbanError):
    """The citizen has shown his code for something less than this. data: ``purpose``."""

    code = "acting_purpose_exceeded"


class RealNameElsewhere(LianbanError):
    """Another login of this citizen has the card's real name; he joins the two himself, in one session that proves both."""

    code = "real_name_elsewhere"


class Acting:
    """Codes of citizens, and what clerks do with them."""

    def __init__(self, vault: Vault, city: City, limiter: Limiter, cards: Cards, people: People) -> None:
        self._vault = vault
        self._city = city
        self._limiter = limiter
        self._cards = cards
        self._people = people

    async def new_code(self, caller: Caller) -> tuple[str, datetime]:
        """A code for the caller's screen and when it ends; the one before ends now."""
        now = clock.now()
        expires_at = now + self._city.staff.acting.code_life
        for _ in range(5):
            code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
            try:
                async with transaction():
                    # Codes whose time is up make room for others of the same digits.
                    await fetch(
                        "update counter_code set ended_at = $2 where ended_at is null and (person_id = $1 or expires_at <= $2)",
                        caller.person_id, now,
                    )  # fmt: skip
                    await CounterCode.create(
                        id=ids.new_id(), person_id=caller.person_id, code_index=self._index(code), created_at=now, expires_at=expires_at
                    )  # fmt: skip
            except Exception as error:
                if violated_constraint(error) not in ("counter_code_live_once", "counter_code_live_once_per_person"):
                    raise
                continue
            return code, expires_at
        raise RuntimeError("no free counter code")

    async def open(self, staff: StaffCaller, code: str, purpose: str) -> ActingSession:
        """Use a code up and act for who showed it; what the clerk did for somebody else ends. The citizen is told.

        Raises:
            CounterCodeRefused, RateLimited, LimiterAway.
        """
        await self._begin(staff)
        async with transaction():
            await _lock_clerk(staff)
            used = await fetch_one(
                "update counter_code set ended_at = $2 where code_index = $1 and ended_at is null and expires_at > $2 returning id, person_id",
                self._index(code), clock.now(),
            )  # fmt: skip
            if used is None:
                raise CounterCodeRefused
            session = await self._open(staff, used["person_id"], purpose, code_id=used["id"])
        return _committed(session)

    async def open_by_card(self, staff: StaffCaller, card_code: str, purpose: str) -> ActingSession:
        """The same for whose ID card lies on a reader of the clerk's hall: also for somebody who has never logged in.

        Raises:
            CardCodeRefused, RateLimited, LimiterAway.
        """
        await self._begin(staff)
        async with transaction():
            await _lock_clerk(staff)
            read, facts, by = await self._cards.spend_at_counter(staff.unit.code, card_code)
            person = await self._people.of_card(facts.name, facts.id_number, by)
            session = await self._open(staff, person.id, purpose, card_read_id=read.id)
        return _committed(session)

    async def prove_real_name(self, staff: StaffCaller, acting_id: UUID, card_code: str, request_id: str) -> None:
        """Raise the citizen who has shown his code for this to level 3, by his ID card on a reader of the clerk's hall.

        Raises:
            NotFound, PurposeExceeded, CardCodeRefused. RealNameContradicts: he is known to have another number. RealNameElsewhere.
        """
        caller = await self.principal(staff, acting_id, "real_name_proved", request_id)
        async with transaction():
            read, facts, by = await self._cards.spend_at_counter(staff.unit.code, card_code)
            person = await Person.filter(id=caller.person_id).select_for_update().get()
            was_his = person.id_number_index is not None
            if not await self._people.believe_card(None, person, facts.name, facts.id_number, by):
                raise RealNameElsewhere
            if not was_his:
                await announce("identity.proved_by_card", "card_read", read.id, by, {"person_id": str(person.id)})
        failpoint("acting.real_name_committed")

    async def principal(self, staff: StaffCaller, acting_id: UUID, deed: str, request_id: str) -> Caller:
        """The citizen a clerk acts for, as the caller of `deed`; that it is about to be done stands in the audit first.

        The rows that come of it have the citizen as principal and the member of staff as actor.

        Raises:
            NotFound: not a live session of this clerk, or of somebody who has become another meanwhile. PurposeExceeded: it was opened for something less.
        """
        session = await ActingSession.get_or_none(
            id=acting_id, staff_id=staff.staff_id, ended_at=None, expires_at__gt=clock.now()
        )
        if session is None or await joining.present(session.person_id) != session.person_id:
            raise NotFound("acting_session")
        if deed not in _DEEDS[session.purpose]:
            raise PurposeExceeded(purpose=session.purpose)
        if deed not in _UNWRITTEN:
            await audit.record(
                staff.actor, f"acting.{deed}", "acting_session", acting_id, f"person:{session.person_id}", request_id
            )
        counter = AtCounter(session.id, staff.actor, session.expires_at)
        level = 3 if session.card_read_id is not None else 2
        return Caller(
            session.person_id, staff.staff_id, staff.session_id, level, session.created_at.timestamp(), counter=counter
        )

    async def end(self, staff: StaffCaller, acting_id: UUID) -> None:
        """The clerk is done; ending it again changes nothing.

        Raises:
            NotFound: not a session of this clerk.
        """
        await self._end(acting_id, "staff_id", staff.staff_id, "clerk", staff.actor)

    async def end_by_citizen(self, person_id: UUID, acting_id: UUID) -> None:
        """The citizen ends what is done in his name; ending it again changes nothing.

        Raises:
            NotFound: not a session about this person.
        """
        await self._end(acting_id, "person_id", person_id, "citizen", Actor("person", str(person_id)))

    async def of_person(self, person_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """Who acted for a person, newest first, each with its `deeds`."""
        rows = await fetch(_OF_PERSON, person_id, after, limit)
        return [dict(row) for row in rows]

    def unit_name(self, code: str) -> str:
        """A unit's name for people; its code when the pack no longer has it."""
        unit = self._city.staff.unit(code)
        return unit.name if unit else code

    async def _begin(self, staff: StaffCaller) -> None:
        await self._limiter.take(f"acting:{staff.staff_id}", _TRIES, _WINDOW, closed=True)

    async def _open(
        self,
        staff: StaffCaller,
        person_id: UUID,
        purpose: str,
        *,
        code_id: UUID | None = None,
        card_read_id: UUID | None = None,
    ) -> ActingSession:
        now = clock.now()
        before = await fetch(
            "update acting_session set ended_at = $2, ended_by = case when expires_at <= $2 then 'time' else 'clerk' end"
            " where staff_id = $1 and ended_at is null returning id",
            staff.staff_id, now,
        )  # fmt: skip
        for row in before:
            await announce("acting.ended", "acting_session", row["id"], staff.actor)
        session = await ActingSession.create(
            id=ids.new_id(),
            person_id=person_id,
            staff_id=staff.staff_id,
            code_id=code_id,
            card_read_id=card_read_id,
            unit=staff.unit.code,
            purpose=purpose,
            created_at=now,
            expires_at=now + self._city.staff.acting.life,
        )
        await audit.record(staff.actor, "acting.opened", "acting_session", session.id, f"{purpose} person:{person_id}")
        await announce("acting.opened", "acting_session", session.id, staff.actor)
        return session

    async def _end(self, acting_id: UUID, column: str, owner: UUID, by: str, actor: Actor) -> None:
        async with transaction():
            session = await ActingSession.filter(id=acting_id, **{column: owner}).select_for_update().get_or_none()
            if session is None:
                raise NotFound("acting_session")
            if session.ended_at is None:
                session.ended_at, session.ended_by = clock.now(), by
                await session.save(update_fields=["ended_at", "ended_by"])
                await audit.record(actor, "acting.ended", "acting_session", acting_id, by)
                await announce("acting.ended", "acting_session", acting_id, actor)
        failpoint("acting.ended_committed")

    def _index(self, code: str) -> bytes:
        return self._vault.index("counter_code", code)


def _committed(session: ActingSession) -> ActingSession:
    failpoint("acting.opened_committed")
    return session


async def _lock_clerk(staff: StaffCaller) -> None:
    """The clerk's row first, so that two of his tries at once come one after the other."""
    await fetch("select 1 from staff_user where id = $1 for update", staff.staff_id)


_OF_PERSON = """
select s.id, s.unit, s.purpose, s.created_at, s.expires_at, s.ended_at, s.ended_by,
  array(select substr(a.action, 8) from audit a where a.subject = 'acting_session' and a.subject_id = s.id::text
        and a.action not in ('acting.opened', 'acting.ended') order by a.at, a.id) as deeds
from acting_session s where s.person_id = $1 and ($2::uuid is null or s.id < $2) order by s.id desc limit $3
"""
