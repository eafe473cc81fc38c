"""Logins of staff belong to a unit of the city pack, are set up by their owners with a one-time code, and work in sessions of their own."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


# Logins made before had one role in one scope; all that is known of them is who administers the city.
CARRIED_OVER = """
update staff_user set unit = 'city', enrolled_at = created_at,
  roles = case when roles @> '[{"role": "administrator", "scope": "city"}]' then '["platform_administrator"]'::jsonb else '[]'::jsonb end
"""
CONSTRAINTS = (
    CheckConstraint(check="(ended_at is null) = (end_reason is null)", name="staff_session_end_has_reason"),
    CheckConstraint(check="expires_at > created_at", name="staff_session_lives_forward"),
)
GRANTS = """
grant select, insert, update on staff_session to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0007_order_handle")]

    initial = False

    operations = [
        ops.CreateModel(
            name="StaffSession",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "staff",
                    fields.ForeignKeyField(
                        "models.StaffUser",
                        source_field="staff_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("client_label", fields.CharField(max_length=80)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("used_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("end_reason", fields.CharField(null=True, max_length=30)),
            ],
            options={
                "table": "staff_session",
                "app": "models",
                "constraints": [
                    CheckConstraint(
                        check="(ended_at is null) = (end_reason is null)", name="staff_session_end_has_reason"
                    ),
                    CheckConstraint(check="expires_at > created_at", name="staff_session_lives_forward"),
                ],
                "indexes": [Index(fields=["staff_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "One login of a member of staff. It ends by itself, by its owner, or with its login; `used_at` is every call's.",
            },
            bases=["Model"],
        ),
        ops.AlterModelOptions(
            name="StaffUser",
            options={
                "table": "staff_user",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("login",), name="staff_user_login_once"),
                    CheckConstraint(check="login ~ '^[a-z][a-z0-9._-]{2,39}$'", name="staff_user_login_plain"),
                    CheckConstraint(
                        check="enrolled_at is null or (password_hash is not null and totp_secret is not null and setup_hash is null)",
                        name="staff_user_enrolled_whole",
                    ),
                    CheckConstraint(
                        check="(setup_hash is null) = (setup_expires_at is null)", name="staff_user_setup_ends"
                    ),
                ],
                "indexes": [Index(fields=["unit"])],
                "pk_attr": "id",
                "table_description": "A member of staff of one unit; `roles` are codes of the city pack's. Until he is enrolled, only his setup code opens anything.",
            },
        ),
        ops.AlterField(
            model_name="StaffUser",
            name="password_hash",
            field=fields.CharField(null=True, max_length=200),
        ),
        ops.AlterField(
            model_name="StaffUser",
            name="totp_secret",
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name="StaffUser",
            name="enrolled_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="StaffUser",
            name="setup_expires_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="StaffUser",
            name="setup_hash",
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name="StaffUser",
            name="totp_counter",
            field=fields.BigIntField(default=0),
        ),
        ops.AddField(
            model_name="StaffUser",
            name="unit",
            field=fields.CharField(max_length=40, null=True),
        ),
        ops.RunSQL(CARRIED_OVER),
        ops.AlterField(model_name="StaffUser", name="unit", field=fields.CharField(max_length=40)),
        ops.AddIndex(
            model_name="StaffUser",
            index=Index(fields=["unit"]),
        ),
        ops.AddConstraint(
            model_name="StaffUser",
            constraint=CheckConstraint(
                check="enrolled_at is null or (password_hash is not null and totp_secret is not null and setup_hash is null)",
                name="staff_user_enrolled_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="StaffUser",
            constraint=CheckConstraint(
                check="(setup_hash is null) = (setup_expires_at is null)", name="staff_user_setup_ends"
            ),
        ),
        *(ops.AddConstraint(model_name="StaffSession", constraint=constraint) for constraint in CONSTRAINTS),
        ops.RunSQL(GRANTS),
    ]
