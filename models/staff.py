"""Staff logins: people of companies, halls and bureaus. Password and one-time code, roles within a company or an area."""

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model


class StaffUser(Model):
    """A member of staff. `roles` is a list of {role, scope}; `scope` a company code, an area code or ``city``."""

    id = fields.UUIDField(primary_key=True)
    login = fields.CharField(max_length=40)
    name = fields.BinaryField()
    password_hash = fields.CharField(max_length=200)
    totp_secret = fields.BinaryField()
    roles = fields.JSONField()
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
        )
