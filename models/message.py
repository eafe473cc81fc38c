"""Message intents: one row per event, recipient and channel; subscription credits; the person's own in-app inbox."""

from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg
from tortoise import fields
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model

from core.database import fetch
from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class MessageStatus(StrEnum):
    """Where a message stands on its channel."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


_S = MessageStatus

MESSAGE = Lifecycle(
    "message",
    MessageStatus,
    initial=_S.PENDING,
    terminal=(_S.DELIVERED, _S.FAILED, _S.SKIPPED, _S.UNKNOWN),
    edges=(
        Edge(_S.PENDING, "send", _S.SENDING, ("system",)),
        Edge(_S.PENDING, "skip", _S.SKIPPED, ("system",)),
        Edge(_S.SENDING, "not_sent", _S.PENDING, ("system",)),
        Edge(_S.SENDING, "repeat", _S.PENDING, ("system",)),
        Edge(_S.PENDING, "deliver", _S.DELIVERED, ("system",)),
        Edge(_S.SENDING, "accepted", _S.ACCEPTED, ("provider",)),
        Edge(_S.SENDING, "refused", _S.FAILED, ("provider",)),
        Edge(_S.SENDING, "lost", _S.UNKNOWN, ("system",)),
        Edge(_S.SENDING, "receipt_delivered", _S.DELIVERED, ("provider",)),
        Edge(_S.SENDING, "receipt_failed", _S.FAILED, ("provider",)),
        Edge(_S.PENDING, "give_up", _S.FAILED, ("system",)),
        Edge(_S.ACCEPTED, "receipt_delivered", _S.DELIVERED, ("provider",)),
        Edge(_S.ACCEPTED, "receipt_failed", _S.FAILED, ("provider",)),
        Edge(_S.ACCEPTED, "no_receipt", _S.UNKNOWN, ("system",)),
        Edge(_S.UNKNOWN, "receipt_delivered", _S.DELIVERED, ("provider",)),
        Edge(_S.UNKNOWN, "receipt_failed", _S.FAILED, ("provider",)),
    ),
)


class Message(Model):
    """One message intent. `text` is the rendered content, encrypted (title and body, or the template's data)."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    event_id = fields.UUIDField()
    kind = fields.CharField(max_length=60)
    person: Any = fields.ForeignKeyField("models.Person", related_name="messages", on_delete=fields.RESTRICT)
    person_id: Any
    channel = fields.CharField(max_length=20)
    text = fields.BinaryField()
    page = fields.CharField(max_length=200, null=True)
    provider_message = fields.CharField(max_length=64, null=True)
    failure = fields.CharField(max_length=30, null=True)
    created_at = fields.DatetimeField()
    sent_at = fields.DatetimeField(null=True)
    read_at = fields.DatetimeField(null=True)

    class Meta:
        table = "message"
        constraints = (UniqueConstraint(name="message_once", fields=("event_id", "person_id", "channel")),)
        indexes = (
            ("person_id", "created_at"),
            ("provider_message",),
            PartialIndex(name="message_waiting", fields=("created_at",), condition="status in ('pending', 'sending')"),
            PartialIndex(name="message_accepted", fields=("sent_at",), condition="status = 'accepted'"),
        )


_INBOX_PAGE = """
select counted.unread, page.* from (
  select count(*) as unread from message where person_id = $1 and channel = 'inbox' and read_at is null
) counted left join lateral (
  select id, kind, text, page, created_at, read_at from message where person_id = $1 and channel = 'inbox' and id < $2 and octet_length(text) > 0
  order by id desc limit $3
) page on true
"""
_AFTER_ALL = UUID(int=(1 << 128) - 1)


async def inbox_page(person_id: UUID, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """A page of somebody's inbox, newest first, each row with how many in all are `unread`; one row without an id when there is none.

    A hot path: one statement, no models.
    """
    return await fetch(_INBOX_PAGE, person_id, after or _AFTER_ALL, limit)


class SubscriptionCredit(Model):
    """One accepted one-off subscription buys one message. `spent_by` is the message it was spent on, once."""

    id = fields.UUIDField(primary_key=True)
    user: Any = fields.ForeignKeyField("models.User", related_name="credits", on_delete=fields.CASCADE)
    user_id: Any
    template_id = fields.CharField(max_length=64)
    grant_key = fields.CharField(max_length=120)
    granted_at = fields.DatetimeField()
    spent_by = fields.UUIDField(null=True)
    withdrawn_at = fields.DatetimeField(null=True)

    class Meta:
        table = "subscription_credit"
        constraints = (
            UniqueConstraint(name="subscription_credit_granted_once", fields=("grant_key",)),
            UniqueConstraint(name="subscription_credit_spent_once", fields=("spent_by",)),
        )
        indexes = (("user_id", "template_id"),)
