"""Who stands behind a login: persons and organizations found or made by what an identity source vouches for.

Subject ids are the keys. An ID number belongs to one person: when another identity vouches for a number that is somebody's already,
the two stay apart, the second below level 3, until one session has proved both (joining). Level 3 comes only from a source of
`REAL_NAME_SOURCES`; what people type raises nobody.
"""

from uuid import UUID

from core import clock, ids
from core.crypto import Vault
from core.database import fetch_one
from core.errors import LianbanError
from core.numbers import is_credit_code, is_id_number
from gateways.unified_identity import LegalPerson, NaturalPerson
from models import audit, joining
from models.joining import PersonJoin
from models.lifecycle import Actor
from models.person import REAL_NAME_SOURCES, Organization, Person, User


class RealNameContradicts(LianbanError):
    """A source vouches for another ID number than was vouched for before, or for one that cannot be: a person must look at it."""

    code = "real_name_contradicts"


class People:
    """Finds and makes persons, login identities and organizations; every method runs in the caller's transaction."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def recognise(self, source: str, realm: str, subject: str, union: str | None = None) -> tuple[User, Person]:
        """The login identity of a subject and its person; both are made at the first login, once even when two arrive together.

        `union` is the subject in WeChat's wider space (unionid): one human in two apps of ours, by WeChat's own word, is one person.
        """
        index = self._vault.index(f"login_user.subject.{source}", subject)
        union_index = self._vault.index("login_user.union", union) if union else None
        await self._lock(index)
        if union_index is not None:
            await self._lock(union_index)
        user = await User.get_or_none(source=source, realm=realm, subject_index=index)
        if user is None:
            person = await self._person_of_union(union_index) or await Person.create(
                id=ids.new_id(), level=1, created_at=clock.now()
            )
            user_id: UUID = ids.new_id()
            user = await User.create(
                id=user_id,
                person_id=person.id,
                source=source,
                realm=realm,
                subject=self._vault.seal(subject, "login_user.subject", user_id),
                subject_index=index,
                union_subject_index=union_index,
                created_at=clock.now(),
            )
        elif union_index is not None and user.union_subject_index is None:
            user.union_subject_index = union_index
            await user.save(update_fields=["union_subject_index"])
        return user, await Person.filter(id=user.person_id).select_for_update().get()

    async def believe(self, user: User, person: Person, facts: NaturalPerson, real_name: str | None) -> None:
        """Take over what the source of `user` vouches for; `real_name` is its entry of `REAL_NAME_SOURCES`, if it has one.

        Raises:
            RealNameContradicts: the ID number is not the one of before, or none.
        """
        if real_name is not None and facts.is_real_name:
            if facts.name is None or facts.id_number is None:
                raise RealNameContradicts("no number")
            await self._believe_name(user, person, facts.name, facts.id_number, real_name, _by(user))
        if facts.phone is not None and person.phone is None:
            person.phone = self._vault.seal(facts.phone, "person.phone", person.id)
            person.phone_index = self._vault.index("person.phone", facts.phone)
            person.phone_proved_at = clock.now()
            person.level = max(person.level, 2)
            await person.save(update_fields=["phone", "phone_index", "phone_proved_at", "level"])
            await audit.record(_by(user), "person.phone_proved", "person", person.id, user.source)

    async def believe_card(self, user: User | None, person: Person, name: str, id_number: str, by: Actor) -> bool:
        """Take over what an ID card says that was read at an enrolled device while the person took part; True when it is his now.

        `user`: with which login he took part; None: he stands at a counter. False: another person, whom he logs in as elsewhere, has
        the number, and keeps it until one session has proved both.

        Raises:
            RealNameContradicts: he is known to have another number.
        """
        return await self._believe_name(user, person, name, id_number, "id_card", by)

    async def of_card(self, name: str, id_number: str, by: Actor) -> Person:
        """The person with this number, made when it is new: somebody who has never logged in, before a clerk with his card.

        When he logs in later and proves the number, what was done for him at counters becomes his.
        """
        index = self._vault.index("person.id_number", id_number)
        await self._lock(index)
        known = await Person.get_or_none(id_number_index=index)
        if known is not None:
            return known
        id_ = ids.new_id()
        person = await Person.create(
            id=id_,
            level=3,
            name=self._vault.seal(name, "person.name", id_),
            id_number=self._vault.seal(id_number, "person.id_number", id_),
            id_number_index=index,
            real_name_source="id_card",
            created_at=clock.now(),
        )
        await audit.record(by, "person.real_name_proved", "person", id_, "id_card")
        return person

    async def organization(self, facts: LegalPerson) -> Organization:
        """The organization with this credit code, made when it is new; its name is the source's latest.

        Raises:
            RealNameContradicts: there can be no such credit code.
        """
        if not is_credit_code(facts.credit_code):
            raise RealNameContradicts("credit code")
        index = self._vault.index("organization.credit_code", facts.credit_code)
        await self._lock(index)
        known = await Organization.get_or_none(credit_code_index=index)
        id_ = known.id if known else ids.new_id()
        words = {
            "name": self._vault.seal(facts.name, "organization.name", id_),
            "legal_representative": self._vault.seal(
                facts.legal_representative, "organization.legal_representative", id_
            )
            if facts.legal_representative
            else None,
        }
        if known is not None:
            await known.update_from_dict(words).save(update_fields=list(words))
            return known
        return await Organization.create(
            id=id_,
            credit_code=self._vault.seal(facts.credit_code, "organization.credit_code", id_),
            credit_code_index=index,
            created_at=clock.now(),
            **words,
        )

    async def _believe_name(
        self, user: User | None, person: Person, name: str, id_number: str, real_name: str, by: Actor
    ) -> bool:
        assert real_name in REAL_NAME_SOURCES
        if not is_id_number(id_number):
            raise RealNameContradicts("no such number")
        index = self._vault.index("person.id_number", id_number)
        await self._lock(index)
        users = [user] if user is not None else await User.filter(person_id=person.id)
        before = {bytes(one.id_number_index) for one in (*users, person) if one.id_number_index is not None}
        if before - {index}:
            raise RealNameContradicts("another number")
        if user is not None and user.id_number_index is None:
            user.id_number_index = index
            await user.save(update_fields=["id_number_index"])
        holder = await Person.get_or_none(id_number_index=index)
        if holder is not None and holder.id != person.id:
            if await User.filter(person_id=holder.id).exists():
                return False
            await self._take_in(holder, person, by)
            holder = None
        if person.name is not None and self._vault.open(person.name, "person.name", person.id) == name:
            return True
        person.name = self._vault.seal(name, "person.name", person.id)
        if holder is None:
            person.id_number = self._vault.seal(id_number, "person.id_number", person.id)
            person.id_number_index = index
            person.real_name_source = real_name
            person.level = 3
            await audit.record(by, "person.real_name_proved", "person", person.id, real_name)
        await person.save(update_fields=["name", "id_number", "id_number_index", "real_name_source", "level"])
        return True

    async def _take_in(self, holder: Person, person: Person, by: Actor) -> None:
        """What was done at counters for somebody who had only his card becomes his whose login has just proved the same number.

        Nobody can log in as `holder`, so there is nobody to ask, no session to end and nothing to take back.
        """
        holder = await Person.filter(id=holder.id).select_for_update().get()
        holder.name = holder.id_number = holder.id_number_index = holder.real_name_source = None
        holder.level = holder.proved_level
        await holder.save(update_fields=["name", "id_number", "id_number_index", "real_name_source", "level"])
        now = clock.now()
        join = await PersonJoin.create(
            id=ids.new_id(), survivor_id=person.id, absorbed_id=holder.id, took_phone=False, joined_at=now, undo_until=now
        )  # fmt: skip
        await joining.hand_over(join)
        await audit.record(by, "person.counter_taken_in", "person_join", join.id)

    async def _person_of_union(self, union_index: bytes | None) -> Person | None:
        if union_index is None:
            return None
        user = await User.filter(union_subject_index=union_index, source__startswith="wechat_").first()
        return await Person.get(id=user.person_id) if user else None

    async def _lock(self, index: bytes) -> None:
        """Until the end of the transaction, one at a time for this value."""
        await fetch_one("select pg_advisory_xact_lock($1)", int.from_bytes(index[:8], "big", signed=True))


def _by(user: User) -> Actor:
    return Actor("person", str(user.person_id))
