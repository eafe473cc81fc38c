"""Staff logins: people of companies, halls and bureaus, and the sessions they work in."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model


class StaffUser(Model):
    """A member of staff of one unit; `roles` are codes of the city pack's. Until he is enrolled, only his setup code opens anything."""

    id = fields.UUIDField(primary_key=True)
    login = fields.CharField(max_length=40)
    name = fields.BinaryField()
    unit = fields.CharField(max_length=40)
    roles = fields.JSONField()
    password_hash = fields.CharField(max_length=200, null=True)
    totp_secret = fields.BinaryField(null=True)
    totp_counter = fields.BigIntField(default=0)
    """The time step of the last code that was used: neither it nor an earlier one is taken again."""
    setup_hash = fields.BinaryField(null=True)
    setup_expires_at = fields.DatetimeField(null=True)
    enrolled_at = fields.DatetimeField(null=True)
    failed_tries = fields.SmallIntField(default=0)
    locked_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    created_by = fields.CharField(max_length=60)
    disabled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "staff_user"
        constraints = (
            UniqueConstraint(name="staff_user_login_once", fields=("login",)),
            CheckConstraint(name="staff_user_login_plain", check="login ~ '^[a-z][a-z0-9._-]{2,39}$'"),
            CheckConstraint(
                name="staff_user_enrolled_whole",
                check="enrolled_at is null or (password_hash is not null and totp_secret is not null and setup_hash is null)",
            ),
            CheckConstraint(name="staff_user_setup_ends", check="(setup_hash is null) = (setup_expires_at is null)"),
        )
        indexes = (("unit",),)


class StaffSession(Model):
    """One login of a member of staff. It ends by itself, by its owner, or with its login; `used_at` is every call's."""

    id = fields.UUIDField(primary_key=True)
    staff: Any = fields.ForeignKeyField("models.StaffUser", related_name="sessions", on_delete=fields.RESTRICT)
    staff_id: Any
    client_label = fields.CharField(max_length=80)
    created_at = fields.DatetimeField()
    used_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=30, null=True)

    class Meta:
        table = "staff_session"
        constraints = (
            CheckConstraint(name="staff_session_end_has_reason", check="(ended_at is null) = (end_reason is null)"),
            CheckConstraint(name="staff_session_lives_forward", check="expires_at > created_at"),
        )
        indexes = (("staff_id", "created_at"),)
