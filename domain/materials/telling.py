"""Telling people of their papers: the scanner found something, a promised paper is due, came, or did not come."""

from typing import Any
from uuid import UUID

from cities.schema import City
from models.lifecycle import Event
from models.mandate import agents_of
from models.material import Material
from models.tolerance import Tolerance
from notifications.intents import Intents


class MaterialTelling:
    """Turns what happens to papers into message intents."""

    def __init__(self, city: City, intents: Intents) -> None:
        self._city = city
        self._intents = intents

    async def quarantined(self, event: Event) -> None:
        """Whose material it is: he hands in another."""
        material = await Material.get(id=event.subject_id)
        values = {"papers": self.name(material.kind), "at": event.at}
        for person_id in await concerned(material.person_id, material.organization_id, material.actor_user_id):
            await self._intents.intend("material.quarantined", event.id, person_id, values)

    async def due_soon(self, event: Event) -> None:
        """A promised paper is due within days."""
        await self._of_promise("tolerance.due_soon", event)

    async def overdue(self, event: Event) -> None:
        """It did not come."""
        await self._of_promise("tolerance.overdue", event)

    async def fulfilled_late(self, event: Event) -> None:
        """It came after its day."""
        await self._of_promise("tolerance.fulfilled_late", event)

    async def released(self, event: Event) -> None:
        """It is no longer asked for."""
        await self._of_promise("tolerance.released", event, with_day=False)

    async def _of_promise(self, kind: str, event: Event, *, with_day: bool = True) -> None:
        row = await Tolerance.get(id=event.subject_id)
        rule = next((one for one in self._city.materials.requirements if one.code == row.requirement), None)
        values: dict[str, Any] = {"papers": self.name(rule.paper) if rule else "材料", "at": event.at}
        if with_day:
            values["due_on"] = row.due_on
        for person_id in await concerned(row.person_id, row.organization_id, row.actor_user_id):
            await self._intents.intend(kind, event.id, person_id, values)

    def name(self, paper: str) -> str:
        """What people call a kind of paper; its code when the pack no longer has it."""
        found = self._city.materials.paper(paper)
        return found.name if found else paper


async def concerned(person_id: UUID | None, organization_id: UUID | None, actor_user_id: UUID) -> list[UUID]:
    """Who hears of something of a person's or an organization's: himself, or its agents."""
    if organization_id is None:
        assert person_id is not None
        return [person_id]
    return await agents_of(organization_id, actor_user_id)
