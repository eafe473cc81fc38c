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
from models.joining import present
from models.lifecycle import SYSTEM, born, move
from models.message import MESSAGE, Message, MessageStatus
from notifications.channels import INBOX, MINI_PROGRAM, OFFICIAL_ACCOUNT, SMS

DELIVER_TASK = "notifications.deliver"
_COLUMN = "message.text"


class Intents:
    """Renders messages from the city's catalogue and writes them down."""

    def __init__(self, city: City, vault: Vault) -> None:
        self._city = city
        self._vault = vault

    async def intend(self, kind: str, event_id: UUID, person_id: UUID, values: Mapping[str, Any]) -> None:
        """Tell one person of one event: in the app, and on the first channel of the catalogue that reaches him; may be repeated.

        The in-app inbox is delivered by being written; the first other channel gets a job. Its row carries what the next ones
        would say, so that the chain goes on when it does not reach him (:meth:`go_on`).
        """
        person_id = await present(person_id)
        rendered = render(self._city, kind, values, on=clock.today())
        chain = _chain(rendered)
        async with transaction():
            text = {"title": rendered.inbox_title, "body": rendered.inbox_body}
            inbox = await self._write(kind, event_id, person_id, INBOX, text, rendered.page)
            if inbox is not None:
                await move(MESSAGE, inbox, "deliver", SYSTEM, columns={"sent_at": clock.now()})
            if chain:
                (channel, first), then = chain[0], chain[1:]
                message = await self._write(kind, event_id, person_id, channel, {**first, "then": then}, rendered.page)
                if message is not None:
                    await enqueue(DELIVER_TASK, message_id=message.id)
        failpoint("message.intended_committed")

    async def go_on(self, message: Message, channel: str, content: dict[str, Any], then: list[Any]) -> None:
        """Tell the same person of the same event on `channel` instead, in the caller's transaction."""
        following = await self._write(
            message.kind, message.event_id, message.person_id, channel, {**content, "then": then}, message.page
        )
        if following is not None:
            await enqueue(DELIVER_TASK, message_id=following.id)

    def content(self, message: Message) -> dict[str, Any]:
        """What the message says: {title, body} of the inbox, {template, data} of WeChat, {template, params} of a text message.

        `then` are the (channel, content) that follow when this one does not reach the person.
        """
        return self.opened(message.id, message.text)

    def opened(self, message_id: UUID, text: bytes) -> dict[str, Any]:
        """The content of a message whose row was read without its model."""
        return msgspec.json.decode(self._vault.open_bytes(text, _COLUMN, message_id))

    async def _write(
        self, kind: str, event_id: UUID, person_id: UUID, channel: str, content: dict[str, Any], page: str | None
    ) -> Message | None:
        """The new row, or None when this intent was written before."""
        message_id = ids.new_id()
        row = await fetch_one(
            "insert into message (id, status, event_id, kind, person_id, channel, text, page, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " on conflict (event_id, person_id, channel) do nothing returning id",
            message_id, MessageStatus.PENDING.value, event_id, kind, person_id, channel,
            self._vault.seal(msgspec.json.encode(content), _COLUMN, message_id), page, clock.now(),
        )  # fmt: skip
        if row is None:
            return None
        message = await Message.get(id=message_id)
        await born(MESSAGE, message, SYSTEM)
        return message


def _chain(rendered: Rendered) -> list[tuple[str, dict[str, Any]]]:
    """The channels outside the app in the order in which they are tried."""
    found: list[tuple[str, dict[str, Any]]] = []
    for channel, template in (
        (MINI_PROGRAM, rendered.mini_program),
        (OFFICIAL_ACCOUNT, rendered.official_account),
    ):
        if template is not None:
            found.append((channel, {"template": template.template, "data": template.data}))
    if rendered.sms is not None:
        found.append((SMS, {"template": rendered.sms.template, "params": rendered.sms.params}))
    return found
