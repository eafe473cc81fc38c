"""Sessions and their refresh tokens. A session is the family of all refresh tokens that descend from one login."""

from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.database import fetch


class Session(Model):
    """One login at one client. `client_index` is a keyed hash of the id that the client made for itself."""

    id = fields.UUIDField(primary_key=True)
    user: Any = fields.ForeignKeyField("models.User", related_name="sessions", on_delete=fields.RESTRICT)
    user_id: Any
    person: Any = fields.ForeignKeyField("models.Person", related_name="sessions", on_delete=fields.RESTRICT)
    person_id: Any
    access_point = fields.CharField(max_length=30)
    client_index = fields.BinaryField()
    client_label = fields.CharField(max_length=80)
    created_at = fields.DatetimeField()
    proved_at = fields.DatetimeField()
    """When this session last proved who it is."""
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="sessions", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    """The organization for which its identity source vouched in this very login."""
    organization_proved_at = fields.DatetimeField(null=True)
    used_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=30, null=True)

    class Meta:
        table = "session"
        constraints = (
            CheckConstraint(name="session_end_has_reason", check="(ended_at is null) = (end_reason is null)"),
            CheckConstraint(
                name="session_organization_proved", check="(organization_id is null) = (organization_proved_at is null)"
            ),
        )
        indexes = (("person_id", "created_at"), ("ended_at",))

    @classmethod
    async def ended_since(cls, moment: datetime) -> list[UUID]:
        """Sessions that ended after `moment`."""
        return [row["id"] for row in await fetch("select id from session where ended_at > $1", moment)]


class RefreshToken(Model):
    """Only a hash is kept. `used_at` is set once; presenting a used token again ends the session."""

    id = fields.UUIDField(primary_key=True)
    session: Any = fields.ForeignKeyField("models.Session", related_name="refresh_tokens", on_delete=fields.CASCADE)
    session_id: Any
    token_hash = fields.BinaryField()
    issued_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "refresh_token"
        constraints = (UniqueConstraint(name="refresh_token_once", fields=("token_hash",)),)
        indexes = (("session_id",),)
