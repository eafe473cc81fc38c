"""One intent per event, recipient and channel: written once, delivered by a job, ended in a terminal state."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from cities.messages import Rendered, render
from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch_one, transaction
from core.failpoint import failpoint
from core.queue import enqueue
from models.lifecycle import SYSTEM, born, move
from models.message import MESSAGE, Message, MessageStatus

DELIVER_TASK = "notifications.deliver"
INBOX = "inbox"
MINI_PROGRAM = "mini_program"
_COLUMN = "message.text"


class Intents:
    """Renders messages from the city's catalogue and writes them down."""

    def __init__(self, city: City, vault: Vault) -> None:
        self._city = city
        self._vault = vault

    async def intend(self, kind: str, event_id: UUID, person_id: UUID, values: Mapping[str, Any]) -> None:
        """Tell one person of one event on every channel the catalogue has for this kind; may be repeated.

        The in-app inbox is delivered by being written; other channels get a job.
        """
        rendered = render(self._city, kind, values, on=clock.today())
        async with transaction():
            inbox = await self._write(
                kind, event_id, person_id, INBOX, {"title": rendered.inbox_title, "body": rendered.inbox_body}, rendered
            )
            if inbox is not None:
                await move(MESSAGE, inbox, "deliver", SYSTEM, columns={"sent_at": clock.now()})
            if rendered.mini_program is not None:
                content = {"template": rendered.mini_program.template, "data": rendered.mini_program.data}
                message = await self._write(kind, event_id, person_id, MINI_PROGRAM, content, rendered)
                if message is not None:
                    await enqueue(DELIVER_TASK, message_id=message.id)
        failpoint("message.intended_committed")

    def content(self, message: Message) -> dict[str, Any]:
        """What the message says: {title, body} of the inbox, {template, data} of the mini-program."""
        return msgspec.json.decode(self._vault.open_bytes(message.text, _COLUMN, message.id))

    async def _write(
        self, kind: str, event_id: UUID, person_id: UUID, channel: str, content: dict[str, Any], rendered: Rendered
    ) -> Message | None:
        """The new row, or None when this intent was written before."""
        message_id = ids.new_id()
        row = await fetch_one(
            "insert into message (id, status, event_id, kind, person_id, channel, text, page, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " on conflict (event_id, person_id, channel) do nothing returning id",
            message_id, MessageStatus.PENDING.value, event_id, kind, person_id, channel,
            self._vault.seal(msgspec.json.encode(content), _COLUMN, message_id), rendered.page, clock.now(),
        )  # fmt: skip
        if row is None:
            return None
        message = await Message.get(id=message_id)
        await born(MESSAGE, message, SYSTEM)
        return message
