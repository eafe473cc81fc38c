"""First agents: whoever an organization's own login at an identity source has brought acts for it, in everything.

Only that login makes one, only in the session it has opened, and only while it is fresh; nothing a page says, and no mandate, does.
Who has been sent away as first agent comes back by a new login alone, which the source refuses to those the organization has
struck from its account there.
"""

from datetime import datetime, timedelta
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch_one, transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from domain.identity.mandates import end_mandate, lock_organization
from domain.identity.sessions import Sessions
from domain.identity.tokens import Caller
from models.lifecycle import SYSTEM, Actor, born, move
from models.mandate import MANDATE, Mandate, MandateStatus
from models.person import Person

FRESH = timedelta(minutes=5)

_SENT_AWAY = """
select max(ended_at) as at from mandate where organization_id = $1 and person_id = $2 and parent_id is null and status = 'revoked'
"""


class OrganizationNotProved(LianbanError):
    """This session was not opened by an organization's own login, or that was too long ago: log in as the organization."""

    code = "organization_not_proved"


class FirstAgents:
    """Makes first agents."""

    def __init__(self, city: City, vault: Vault, sessions: Sessions) -> None:
        self._city = city
        self._vault = vault
        self._sessions = sessions

    async def claim(self, caller: Caller) -> Mandate:
        """Become the first agent of the organization whose login has just opened the caller's session; again: carry it on.

        Raises:
            OrganizationNotProved: it was not such a login, it is older than five minutes, or he has been sent away since.
        """
        proved = await self._sessions.organization_proved(caller.session_id)
        if proved is None or clock.now() - proved.proved_at > FRESH:
            raise OrganizationNotProved
        return await self.make(caller, proved.organization_id, proved.proved_at)

    async def make(self, caller: Caller, organization_id: UUID, proved_at: datetime) -> Mandate:
        """The mandate of a person whom the organization's login at `proved_at` has brought; a live one is carried on to the full time.

        Raises:
            OrganizationNotProved: he has been sent away since.
        """
        now = clock.now()
        ends_at = now + self._city.payment_rules(clock.today()).mandate.first_life
        async with transaction():
            await lock_organization(organization_id)
            sent_away = await fetch_one(_SENT_AWAY, organization_id, caller.person_id)
            if sent_away is not None and sent_away["at"] is not None and sent_away["at"] >= proved_at:
                raise OrganizationNotProved
            known = await Mandate.get_or_none(
                organization_id=organization_id, person_id=caller.person_id, parent_id=None, status=MandateStatus.ACTIVE
            )
            if known is not None and known.ends_at > now:
                known.ends_at = ends_at
                await known.save(update_fields=["ends_at"])
            else:
                if known is not None:
                    await end_mandate(known, "expire", SYSTEM)
                known = await self._insert(caller, organization_id, ends_at)
        failpoint("mandate.first_committed")
        return known

    async def _insert(self, caller: Caller, organization_id: UUID, ends_at: datetime) -> Mandate:
        now, mandate_id = clock.now(), ids.new_id()
        person = await Person.get(id=caller.person_id)
        name = self._vault.open(person.name, "person.name", person.id) if person.name is not None else ""
        mandate = await Mandate.create(
            id=mandate_id,
            status=MandateStatus.OFFERED,
            organization_id=organization_id,
            chain=[mandate_id],
            may_pay=True,
            may_file=True,
            may_sign=True,
            may_appoint=True,
            agent_name=self._vault.seal(name, "mandate.agent_name", mandate_id),
            actor_user_id=caller.user_id,
            created_at=now,
            ends_at=ends_at,
        )
        actor = Actor("person", str(caller.person_id))
        await born(MANDATE, mandate, actor)
        await move(MANDATE, mandate, "accept", actor, columns={"person_id": caller.person_id, "accepted_at": now})
        return mandate
