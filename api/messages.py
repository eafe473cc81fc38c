"""The caller's in-app inbox."""

from datetime import datetime
from uuid import UUID

from api.calls import Answer, Call
from api.texts import Output, Page
from core import clock
from core.database import fetch
from core.errors import NotFound
from models.message import Message
from notifications.channels import INBOX


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
    person_id = call.caller.person_id
    rows = Message.filter(person_id=person_id, channel=INBOX)
    if query.after is not None:
        rows = rows.filter(id__lt=query.after)
    found = await rows.order_by("-id").limit(query.limit)
    unread = await Message.filter(person_id=person_id, channel=INBOX, read_at=None).count()
    return Answer(
        MessageList([_view(call, row) for row in found], unread, found[-1].id if len(found) == query.limit else None)
    )


async def mark_read(call: Call) -> Answer:
    rows = await fetch(
        "update message set read_at = coalesce(read_at, $3) where id = $1 and person_id = $2 and channel = 'inbox' returning id",
        call.path["message_id"], call.caller.person_id, clock.now(),
    )  # fmt: skip
    if not rows:
        raise NotFound("message")
    return Answer(None, 204)


def _view(call: Call, message: Message) -> MessageView:
    content = call.services.intents.content(message)
    return MessageView(
        message.id, message.kind, content["title"], content["body"], message.page, message.created_at, message.read_at
    )
