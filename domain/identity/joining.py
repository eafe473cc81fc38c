"""Joining two identities of one human, and taking it back within a day.

Both are proved in one session within five minutes: the session's own identity, and the other by a trip to its source that this session
began. Subject ids are the keys; a differing ID number refuses. The person who has the ID number survives, else the one whose session it
is. What the other owned becomes the survivor's, each row written down, so that taking it back restores what went over and nothing else.
All sessions of the absorbed person end; the session that joined is followed by one of the survivor.
"""

from datetime import timedelta
from uuid import UUID

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.queue import enqueue
from domain.identity.login import IdentityProofRefused
from domain.identity.sessions import Opened, Sessions
from domain.identity.sso import Sso
from domain.identity.tokens import Caller
from models import audit, joining
from models.joining import PersonJoin
from models.lifecycle import Actor, Event, announce
from models.person import Person, User
from models.session import Session
from notifications.intents import Intents

FRESH = timedelta(minutes=5)
SETTLE_TASK = "identity.settle"
_SETTLED_AFTER = timedelta(seconds=40)
"""Longer than an ended session's token is still taken, and a request lasts."""
_JOINING_LOCK = 742_031
UNDO_WITHIN = timedelta(hours=24)


class IdentityAlreadyYours(LianbanError):
    """Both identities belong to one person already."""

    code = "identity_already_yours"


class IdentitiesDiffer(LianbanError):
    """Two different ID numbers stand behind the two: they are two people, and never joined."""

    code = "identities_differ"


class IdentityOfThisKindTaken(LianbanError):
    """Each has an identity of the same source; one person has at most one there."""

    code = "identity_of_this_kind_taken"


class UndoTooLate(LianbanError):
    """More than a day has passed, or what was joined has been joined further: that is taken back first, or at a counter."""

    code = "undo_too_late"


class Joining:
    """Joins and parts identities."""

    def __init__(self, sessions: Sessions, sso: Sso, intents: Intents, vault: Vault) -> None:
        self._sessions = sessions
        self._sso = sso
        self._intents = intents
        self._vault = vault

    async def identities(self, person_id: UUID) -> list[User]:
        """The login identities of a person, oldest first."""
        return await User.filter(person_id=person_id).order_by("created_at", "id")

    async def joins(self, person_id: UUID) -> list[PersonJoin]:
        """The joinings that this person can still take back."""
        return await PersonJoin.filter(survivor_id=person_id, undone_at=None, undo_until__gt=clock.now()).order_by("id")

    async def join(self, caller: Caller, handover: str, client_id: str, client_label: str) -> tuple[Opened, UUID]:
        """Join the caller's person with the one whom the source has just vouched for; the session that follows, and the joining's id.

        Raises:
            IdentityProofRefused: not a proof that this session began, or used, or too old.
            IdentityAlreadyYours, IdentitiesDiffer, IdentityOfThisKindTaken, RealNameContradicts.
        """
        async with transaction():
            await self._one_at_a_time()
            session = await Session.filter(id=caller.session_id, person_id=caller.person_id).select_for_update().get()
            if session.ended_at is not None:
                raise IdentityProofRefused
            if clock.now() - session.proved_at > FRESH:
                raise IdentityProofRefused
            other_user, other = await self._sso.proved_second(handover, session.id, client_id)
            join = await self._join(session, caller, other_user, other)
            opened = await self._follow(session, join, client_id, client_label)
        failpoint("identity.joined_committed")
        return opened, join.id

    async def undo(self, caller: Caller, join_id: UUID) -> None:
        """Part what was joined; undoing again changes nothing.

        Raises:
            NotFound: no joining of this person. UndoTooLate.
        """
        async with transaction():
            await self._one_at_a_time()
            join = await PersonJoin.filter(id=join_id, survivor_id=caller.person_id).select_for_update().get_or_none()
            if join is None:
                raise NotFound("join")
            if join.undone_at is not None:
                return
            people = await self._locked(join.survivor_id, join.absorbed_id)
            if join.undo_until <= clock.now() or await joining.present(join.survivor_id) != join.survivor_id:
                raise UndoTooLate
            await joining.hand_over(join)
            await joining.hand_back(join)
            await self._give_back(people[join.survivor_id], people[join.absorbed_id], join)
            join.undone_at = clock.now()
            await join.save(update_fields=["undone_at"])
            await self._end_sessions_of_users(join.absorbed_id, "identity_parted")
            await announce("identity.parted", "person_join", join.id, _by(caller))
        failpoint("identity.parted_committed")

    async def settle(self, join_id: UUID) -> None:
        """What the absorbed person's last requests have still made goes over too: a token lives seconds longer than its session."""
        async with transaction():
            await self._one_at_a_time()
            join = await PersonJoin.get(id=join_id)
            if join.undone_at is None:
                await joining.hand_over(join)
        failpoint("identity.settled_committed")

    async def tell(self, event: Event) -> None:
        """Both identities hear of it on every channel they have: joined they are one person's, parted two."""
        join = await PersonJoin.get(id=event.subject_id)
        people = {join.survivor_id} if event.kind == "identity.joined" else {join.survivor_id, join.absorbed_id}
        for person_id in sorted(people):
            await self._intents.intend(event.kind, event.id, person_id, {"at": event.at})

    async def _one_at_a_time(self) -> None:
        """Joining is rare; one after the other there is no order in which two of them could lock each other out."""
        await fetch("select pg_advisory_xact_lock($1)", _JOINING_LOCK)

    async def _join(self, session: Session, caller: Caller, other_user: User, other: Person) -> PersonJoin:
        if other.id == caller.person_id:
            raise IdentityAlreadyYours
        people = await self._locked(caller.person_id, other.id)
        mine, other = people[caller.person_id], people[other.id]
        users = await User.filter(person_id__in=[mine.id, other.id])
        numbers = {
            bytes(index)
            for index in (*(user.id_number_index for user in users), mine.id_number_index, other.id_number_index)
            if index
        }
        if len(numbers) > 1:
            raise IdentitiesDiffer
        kinds = [(user.source, user.realm) for user in users]
        if len(set(kinds)) != len(kinds):
            raise IdentityOfThisKindTaken
        survivor, absorbed = (other, mine) if other.id_number_index and not mine.id_number_index else (mine, other)
        now = clock.now()
        join = await PersonJoin.create(
            id=ids.new_id(), survivor_id=survivor.id, absorbed_id=absorbed.id, session_id=session.id,
            took_phone=survivor.phone is None and absorbed.phone is not None, joined_at=now, undo_until=now + UNDO_WITHIN,
        )  # fmt: skip
        if join.took_phone:
            await self._take_phone(survivor, absorbed)
        await joining.hand_over(join)
        await audit.record(_by(caller), "identity.joined", "person_join", join.id)
        await announce("identity.joined", "person_join", join.id, _by(caller))
        await enqueue(SETTLE_TASK, at=now + _SETTLED_AFTER, join_id=join.id)
        return join

    async def _follow(self, session: Session, join: PersonJoin, client_id: str, client_label: str) -> Opened:
        """End the absorbed person's sessions and this one, and open one of the survivor for the client that joined."""
        for row in await Session.filter(person_id=join.absorbed_id, ended_at=None).select_for_update():
            await self._sessions.end_for(row, "identity_joined")
        if session.person_id == join.survivor_id:
            await self._sessions.end_for(session, "identity_joined")
        user = await User.get(id=session.user_id)
        survivor = await Person.get(id=join.survivor_id)
        return await self._sessions.open(user, survivor, session.access_point, client_id, client_label)

    async def _locked(self, *person_ids: UUID) -> dict[UUID, Person]:
        """These people, locked in one order for everybody; still themselves.

        Raises:
            IdentityAlreadyYours: another joining came first.
        """
        rows = await Person.filter(id__in=person_ids).order_by("id").select_for_update()
        return {person.id: person for person in rows}

    async def _take_phone(self, survivor: Person, absorbed: Person) -> None:
        assert absorbed.phone is not None
        phone = self._vault.open(absorbed.phone, "person.phone", absorbed.id)
        survivor.phone = self._vault.seal(phone, "person.phone", survivor.id)
        survivor.phone_index, survivor.phone_proved_at = absorbed.phone_index, absorbed.phone_proved_at
        survivor.level = survivor.proved_level
        await survivor.save(update_fields=["phone", "phone_index", "phone_proved_at", "level"])

    async def _give_back(self, survivor: Person, absorbed: Person, join: PersonJoin) -> None:
        """The phone that was the other's, and a real name that only the other's identities have been vouched with since."""
        if join.took_phone and survivor.phone_proved_at == absorbed.phone_proved_at:
            survivor.phone = survivor.phone_index = survivor.phone_proved_at = None
        if survivor.id_number_index is not None and absorbed.id_number_index is None:
            left = await User.filter(person_id=survivor.id, id_number_index=survivor.id_number_index).exists()
            gone = await User.filter(person_id=absorbed.id, id_number_index=survivor.id_number_index).exists()
            if gone and not left:
                await self._give_back_name(survivor, absorbed)
        for person in (survivor, absorbed):
            person.level = person.proved_level
            await person.save()

    async def _give_back_name(self, survivor: Person, absorbed: Person) -> None:
        assert survivor.name is not None
        assert survivor.id_number is not None
        name = self._vault.open(survivor.name, "person.name", survivor.id)
        number = self._vault.open(survivor.id_number, "person.id_number", survivor.id)
        index, source = survivor.id_number_index, survivor.real_name_source
        survivor.name = survivor.id_number = survivor.id_number_index = survivor.real_name_source = None
        survivor.level = survivor.proved_level
        await survivor.save()
        absorbed.name = self._vault.seal(name, "person.name", absorbed.id)
        absorbed.id_number = self._vault.seal(number, "person.id_number", absorbed.id)
        absorbed.id_number_index, absorbed.real_name_source = index, source

    async def _end_sessions_of_users(self, person_id: UUID, reason: str) -> None:
        users = [user.id for user in await User.filter(person_id=person_id)]
        for row in await Session.filter(user_id__in=users, ended_at=None).select_for_update():
            await self._sessions.end_for(row, reason)


def _by(caller: Caller) -> Actor:
    return Actor("person", str(caller.person_id))
