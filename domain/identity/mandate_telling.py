"""Telling agents and those who appointed them: a mandate was taken, taken back, is over soon, or is over."""

from typing import Any
from uuid import UUID

from core.crypto import Vault
from core.database import fetch, fetch_one
from models.lifecycle import Event
from models.mandate import Mandate, MandateStatus
from models.person import Organization
from notifications.intents import Intents

_OTHER_FIRST_AGENTS = """
select distinct person_id from mandate
where organization_id = $1 and parent_id is null and status = 'active' and accepted_at < $2 and ends_at > $2 and person_id <> $3
"""
_ENDED_BY = "select actor_id from journal where subject = 'mandate' and subject_id = $1 and event = 'revoke'"


class MandateTelling:
    """Turns what happens to mandates into message intents."""

    def __init__(self, vault: Vault, intents: Intents) -> None:
        self._vault = vault
        self._intents = intents

    async def accepted(self, event: Event) -> None:
        """Who appointed; of a first agent, who stands before the page, the other first agents of the organization."""
        mandate, values = await self._told(event)
        more = {"agent_name": self._name(mandate), "at": mandate.accepted_at}
        if mandate.parent_id is None:
            for row in await fetch(_OTHER_FIRST_AGENTS, mandate.organization_id, event.at, mandate.person_id):
                await self._intents.intend("mandate.first_joined", event.id, row["person_id"], values | more)
        else:
            appointer = await self._appointer(mandate)
            more["ends_at"] = mandate.ends_at
            await self._intents.intend("mandate.accepted", event.id, appointer.person_id, values | more)

    async def revoked(self, event: Event) -> None:
        """The agent, unless he has given it back himself; and who appointed him, unless it was he, or his own has ended too."""
        mandate, values = await self._told(event)
        values["at"] = mandate.ended_at
        ended_by = await fetch_one(_ENDED_BY, mandate.id)
        assert ended_by is not None
        if mandate.ended_by != "agent":
            await self._intents.intend("mandate.revoked", event.id, mandate.person_id, values)
        if mandate.parent_id is not None and mandate.ended_by != "above":
            appointer = await self._appointer(mandate)
            if UUID(ended_by["actor_id"]) != appointer.person_id:
                more = {"agent_name": self._name(mandate)}
                await self._intents.intend("mandate.resigned", event.id, appointer.person_id, values | more)

    async def ending(self, event: Event) -> None:
        """The agent; and who appointed him, while he may appoint anew: it is over soon."""
        mandate, values = await self._told(event)
        values["at"] = mandate.ends_at
        await self._intents.intend("mandate.ending", event.id, mandate.person_id, values)
        if mandate.parent_id is not None:
            appointer = await self._appointer(mandate)
            if appointer.status == MandateStatus.ACTIVE and appointer.ends_at > event.at:
                more = {"agent_name": self._name(mandate)}
                await self._intents.intend("mandate.agent_ending", event.id, appointer.person_id, values | more)

    async def expired(self, event: Event) -> None:
        """The agent; and who appointed him, while he may appoint anew."""
        mandate, values = await self._told(event)
        values["at"] = mandate.ends_at
        await self._intents.intend("mandate.expired", event.id, mandate.person_id, values)
        if mandate.parent_id is not None:
            appointer = await self._appointer(mandate)
            if appointer.status == MandateStatus.ACTIVE and appointer.ends_at > event.at:
                more = {"agent_name": self._name(mandate)}
                await self._intents.intend("mandate.agent_expired", event.id, appointer.person_id, values | more)

    async def _told(self, event: Event) -> tuple[Mandate, dict[str, Any]]:
        mandate = await Mandate.get(id=event.subject_id)
        organization = await Organization.get(id=mandate.organization_id)
        return mandate, {"organization": self._vault.open(organization.name, "organization.name", organization.id)}

    async def _appointer(self, mandate: Mandate) -> Mandate:
        return await Mandate.get(id=mandate.parent_id)

    def _name(self, mandate: Mandate) -> str:
        return self._vault.open(mandate.agent_name, "mandate.agent_name", mandate.id)
