"""Telling agents and those who appointed them: a mandate was taken, taken back, or is over."""

from typing import Any

from core.crypto import Vault
from models.lifecycle import Event
from models.mandate import Mandate
from models.person import Organization
from notifications.intents import Intents


class MandateTelling:
    """Turns what happens to mandates into message intents."""

    def __init__(self, vault: Vault, intents: Intents) -> None:
        self._vault = vault
        self._intents = intents

    async def accepted(self, event: Event) -> None:
        """Who appointed; the first agent has nobody above him and stands before the page."""
        mandate, values = await self._told(event)
        if mandate.parent_id is not None:
            above = await Mandate.get(id=mandate.parent_id)
            name = self._vault.open(mandate.agent_name, "mandate.agent_name", mandate.id)
            more = {"agent_name": name, "at": mandate.accepted_at, "ends_at": mandate.ends_at}
            await self._intents.intend("mandate.accepted", event.id, above.person_id, values | more)

    async def revoked(self, event: Event) -> None:
        """The agent, unless he has given it back himself; then who appointed him."""
        mandate, values = await self._told(event)
        if mandate.ended_by != "agent":
            more = {"at": mandate.ended_at}
            await self._intents.intend("mandate.revoked", event.id, mandate.person_id, values | more)
        elif mandate.parent_id is not None:
            above = await Mandate.get(id=mandate.parent_id)
            name = self._vault.open(mandate.agent_name, "mandate.agent_name", mandate.id)
            more = {"agent_name": name, "at": mandate.ended_at}
            await self._intents.intend("mandate.resigned", event.id, above.person_id, values | more)

    async def expired(self, event: Event) -> None:
        """The agent."""
        mandate, values = await self._told(event)
        await self._intents.intend("mandate.expired", event.id, mandate.person_id, values | {"at": mandate.ends_at})

    async def _told(self, event: Event) -> tuple[Mandate, dict[str, Any]]:
        mandate = await Mandate.get(id=event.subject_id)
        organization = await Organization.get(id=mandate.organization_id)
        return mandate, {"organization": self._vault.open(organization.name, "organization.name", organization.id)}
