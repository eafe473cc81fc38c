"""Logins that go by way of a browser: begun here, carried on at an identity source, finished here in the same browser."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model


class LoginAttempt(Model):
    """One trip to an identity source. State, handover code and browser are kept as hashes; each serves once.

    `vouched` holds what the source said, encrypted, from the return of the browser until the end of the attempt.
    """

    id = fields.UUIDField(primary_key=True)
    source = fields.CharField(max_length=30)
    purpose = fields.CharField(max_length=10)
    """login; prove: the session proves again who it is; join: the session proves a second identity."""
    session: Any = fields.ForeignKeyField(
        "models.Session", related_name="attempts", on_delete=fields.CASCADE, null=True
    )
    session_id: Any
    browser_hash = fields.BinaryField()
    client_index = fields.BinaryField()
    state_hash = fields.BinaryField()
    nonce = fields.BinaryField()
    verifier = fields.BinaryField()
    acting_as = fields.CharField(max_length=12)
    return_url = fields.CharField(max_length=500)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    opened_at = fields.DatetimeField(null=True)
    """When the link of an attempt that a session began was opened; until then its token stands in place of the state."""
    returned_at = fields.DatetimeField(null=True)
    handover_hash = fields.BinaryField(null=True)
    handover_expires_at = fields.DatetimeField(null=True)
    vouched = fields.BinaryField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "login_attempt"
        constraints = (
            UniqueConstraint(name="login_attempt_state_once", fields=("state_hash",)),
            UniqueConstraint(name="login_attempt_handover_once", fields=("handover_hash",)),
            CheckConstraint(name="login_attempt_purpose_known", check="purpose in ('login', 'prove', 'join')"),
            CheckConstraint(name="login_attempt_session_named", check="(purpose = 'login') = (session_id is null)"),
            CheckConstraint(
                name="login_attempt_vouched_in_transit",
                check="(vouched is not null) = (handover_hash is not null and finished_at is null)",
            ),
        )
        indexes = (("created_at",), ("session_id",))


class SpentCode(Model):
    """A code or ticket that a browser brought back: it is never taken a second time, from nobody."""

    id = fields.UUIDField(primary_key=True)
    source = fields.CharField(max_length=30)
    code_index = fields.BinaryField()
    spent_at = fields.DatetimeField()

    class Meta:
        table = "spent_code"
        constraints = (UniqueConstraint(name="spent_code_once", fields=("source", "code_index")),)
        indexes = (("spent_at",),)
