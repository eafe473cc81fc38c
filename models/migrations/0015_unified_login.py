"""Logins by way of a browser: attempts, spent codes; who vouched for a real name; when a session proved what."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

GRANTS = "grant select, insert, update, delete on login_attempt, spent_code to lianban_app;"


class Migration(migrations.Migration):
    dependencies = [("models", "0014_account_extras")]

    operations = [
        ops.CreateModel(
            name="LoginAttempt",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("source", fields.CharField(max_length=30)),
                ("purpose", fields.CharField(max_length=10)),
                (
                    "session",
                    fields.ForeignKeyField(
                        "models.Session",
                        source_field="session_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="attempts",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("browser_hash", fields.BinaryField()),
                ("client_index", fields.BinaryField()),
                ("state_hash", fields.BinaryField()),
                ("nonce", fields.BinaryField()),
                ("verifier", fields.BinaryField()),
                ("acting_as", fields.CharField(max_length=12)),
                ("return_url", fields.CharField(max_length=500)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("returned_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("handover_hash", fields.BinaryField(null=True)),
                ("handover_expires_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("vouched", fields.BinaryField(null=True)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "login_attempt",
                "app": "models",
                "constraints": [],
                "indexes": [Index(fields=["created_at"]), Index(fields=["session_id"])],
                "pk_attr": "id",
                "table_description": "One trip to an identity source. State, handover code and browser are kept as hashes; each serves once.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SpentCode",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("source", fields.CharField(max_length=30)),
                ("code_index", fields.BinaryField()),
                ("spent_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "spent_code",
                "app": "models",
                "constraints": [],
                "indexes": [Index(fields=["spent_at"])],
                "pk_attr": "id",
                "table_description": "A code or ticket that a browser brought back: it is never taken a second time, from nobody.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="Organization",
            name="legal_representative",
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name="Person",
            name="real_name_source",
            field=fields.CharField(null=True, max_length=20),
        ),
        ops.AddConstraint(
            model_name="Person",
            constraint=CheckConstraint(
                check="level < 3 or real_name_source in ('unified_identity', 'id_card', 'clerk')",
                name="person_real_name_listed",
            ),
        ),
        ops.AddConstraint(
            model_name="Person",
            constraint=CheckConstraint(
                check="num_nulls(name, id_number, id_number_index, real_name_source) in (0, 4)",
                name="person_real_name_whole",
            ),
        ),
        ops.AddField(
            model_name="Session",
            name="organization",
            field=fields.ForeignKeyField(
                "models.Organization",
                source_field="organization_id",
                null=True,
                db_constraint=True,
                to_field="id",
                related_name="sessions",
                on_delete=OnDelete.RESTRICT,
            ),
        ),
        ops.AddField(
            model_name="Session",
            name="organization_proved_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Session",
            name="proved_at",
            field=fields.DatetimeField(null=True),
        ),
        ops.RunSQL("update session set proved_at = created_at"),
        ops.AlterField(model_name="Session", name="proved_at", field=fields.DatetimeField()),
        ops.AddConstraint(
            model_name="Session",
            constraint=CheckConstraint(
                check="(organization_id is null) = (organization_proved_at is null)", name="session_organization_proved"
            ),
        ),
        ops.AddField(
            model_name="User",
            name="id_number_index",
            field=fields.BinaryField(null=True),
        ),
        ops.AddIndex(
            model_name="User",
            index=Index(fields=["union_subject_index"]),
        ),
        ops.AddConstraint(
            model_name="LoginAttempt",
            constraint=UniqueConstraint(fields=("state_hash",), name="login_attempt_state_once"),
        ),
        ops.AddConstraint(
            model_name="LoginAttempt",
            constraint=UniqueConstraint(fields=("handover_hash",), name="login_attempt_handover_once"),
        ),
        ops.AddConstraint(
            model_name="LoginAttempt",
            constraint=CheckConstraint(
                check="purpose in ('login', 'prove', 'join')", name="login_attempt_purpose_known"
            ),
        ),
        ops.AddConstraint(
            model_name="LoginAttempt",
            constraint=CheckConstraint(
                check="(purpose = 'login') = (session_id is null)", name="login_attempt_session_named"
            ),
        ),
        ops.AddConstraint(
            model_name="LoginAttempt",
            constraint=CheckConstraint(
                check="(vouched is not null) = (handover_hash is not null and finished_at is null)",
                name="login_attempt_vouched_in_transit",
            ),
        ),
        ops.AddConstraint(
            model_name="SpentCode", constraint=UniqueConstraint(fields=("source", "code_index"), name="spent_code_once")
        ),
        ops.RunSQL(GRANTS),
    ]
