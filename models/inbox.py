"""Everything that comes from outside: verified, stored raw under a unique key, acknowledged, then processed by a job."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model

from core import clock, ids
from core.crypto import Vault
from core.database import fetch_one
from core.indexes import PartialIndex
from core.queue import defer_sql

PROCESS_TASK = "inbox.process"


class InboxItem(Model):
    """One delivery. `source` names the counterpart, `key` its own id of the delivery; the pair is unique."""

    id = fields.UUIDField(primary_key=True)
    source = fields.CharField(max_length=40)
    key = fields.CharField(max_length=120)
    kind = fields.CharField(max_length=60)
    content = fields.BinaryField()
    received_at = fields.DatetimeField()
    processed_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=40, null=True)

    class Meta:
        table = "inbox"
        constraints = (UniqueConstraint(name="inbox_once", fields=("source", "key")),)
        indexes = (PartialIndex(name="inbox_unprocessed", fields=("received_at",), condition="processed_at is null"),)


_STORE = """
with stored as (
  insert into inbox (id, source, key, kind, content, received_at) values ($1, $2, $3, $4, $5, $6)
  on conflict (source, key) do nothing returning id
)
select id, {defer} as job
from stored
""".format(defer=defer_sql("$7::text", "jsonb_build_object('inbox_id', id)"))


async def store(vault: Vault, source: str, key: str, kind: str, content: bytes) -> UUID | None:
    """Store a verified delivery with the job that will process it; None when it was stored before.

    A hot path (300 notices a second): one statement instead of the ORM's insert, savepoint and enqueue. The content is
    encrypted, its row id is part of the seal.
    """
    item_id = ids.new_id()
    row = await fetch_one(
        _STORE, item_id, source, key, kind, vault.seal(content, "inbox.content", item_id), clock.now(), PROCESS_TASK
    )
    return row["id"] if row else None


class Unprocessed(NamedTuple):
    """How many items wait, and since when the oldest of them."""

    waiting: int
    since: datetime | None


async def unprocessed(received_after: datetime) -> Unprocessed:
    """What has not been processed of all that was received after this moment; the later it is, the less is read."""
    row = await fetch_one(
        "select count(*), min(received_at) from inbox where processed_at is null and received_at > $1", received_after
    )
    assert row is not None
    return Unprocessed(*row)
