"""The caller's in-app inbox."""

from datetime import datetime
from uuid import UUID

import asyncpg

from api.calls import Answer, Call
from api.texts import Output, Page
from core import clock
from core.database import fetch
from core.errors import NotFound
from models.message import inbox_page


class MessageView(Output, frozen=True):
    """One message; `page` is where it leads in the mini-program."""

    message_id: UUID
    kind: str
    title: str
    body: str
    page: str | None
    created_at: datetime
    read_at: datetime | None


class MessageList(Output, frozen=True):
    """Newest first."""

    messages: list[MessageView]
    unread: int
    next_after: UUID | None


async def list_messages(call: Call) -> Answer:
    query: Page = call.query
    rows = await inbox_page(call.caller.person_id, query.after, query.limit)
    found = [_view(call, row) for row in rows if row["id"] is not None]
    return Answer(MessageList(found, rows[0]["unread"], found[-1].message_id if len(found) == query.limit else None))


async def mark_read(call: Call) -> Answer:
    rows = await fetch(
        "update message set read_at = coalesce(read_at, $3) where id = $1 and person_id = $2 and channel = 'inbox' returning id",
        call.path["message_id"], call.caller.person_id, clock.now(),
    )  # fmt: skip
    if not rows:
        raise NotFound("message")
    return Answer(None, 204)


def _view(call: Call, row: asyncpg.Record) -> MessageView:
    content = call.services.intents.opened(row["id"], row["text"])
    return MessageView(
        row["id"], row["kind"], content["title"], content["body"], row["page"], row["created_at"], row["read_at"]
    )
