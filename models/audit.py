"""Who did what to whose object, apart from moves (which have the journal): logins, reads with a purpose, refusals that matter."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from core import clock, ids
from core.database import fetch
from models.lifecycle import Actor


class AuditEntry(Model):
    """One row, never changed. `detail` holds codes and ids, never personal values."""

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    action = fields.CharField(max_length=60)
    subject = fields.CharField(max_length=40)
    subject_id = fields.CharField(max_length=60)
    detail = fields.CharField(max_length=200, null=True)
    request_id = fields.CharField(max_length=40, null=True)

    class Meta:
        table = "audit"
        indexes = (("subject", "subject_id"), ("at",))


async def record(
    actor: Actor,
    action: str,
    subject: str,
    subject_id: UUID | str,
    detail: str | None = None,
    request_id: str | None = None,
) -> None:
    """Write one audit row in the current transaction."""
    await fetch(
        "insert into audit (id, at, actor_kind, actor_id, action, subject, subject_id, detail, request_id) values ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
        ids.new_id(), clock.now(), actor.kind, actor.id, action, subject, str(subject_id), detail, request_id,
    )  # fmt: skip
