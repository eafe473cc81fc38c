"""Telling a subject of what is on record about him, before it counts and after."""

from typing import Any

from models.credit import CreditRecord
from models.lifecycle import Event
from models.mandate import agents_of
from notifications.intents import Intents


class CreditTelling:
    """Turns what happens to credit records into message intents."""

    def __init__(self, intents: Intents) -> None:
        self._intents = intents

    async def noticed(self, event: Event) -> None:
        """What is held against him, and until when he can object."""
        record = await CreditRecord.get(id=event.subject_id)
        await self._tell("credit_record.noticed", event, record, {"due_on": record.objection_until})

    async def confirmed(self, event: Event) -> None:
        """It counts now, and what to do about it."""
        await self._tell("credit_record.confirmed", event, await CreditRecord.get(id=event.subject_id))

    async def revoked(self, event: Event) -> None:
        """It was wrong and is gone."""
        await self._tell("credit_record.revoked", event, await CreditRecord.get(id=event.subject_id))

    async def repaired(self, event: Event) -> None:
        """It no longer counts."""
        await self._tell("credit_record.repaired", event, await CreditRecord.get(id=event.subject_id))

    async def _tell(self, kind: str, event: Event, record: CreditRecord, more: dict[str, Any] | None = None) -> None:
        values = {"credit_event": record.event, "at": event.at, **(more or {})}
        if record.organization_id is None:
            people = [record.person_id]
        else:
            people = await agents_of(record.organization_id)
        for person_id in people:
            await self._intents.intend(kind, event.id, person_id, values)
