"""Acting for citizens at a counter, and a row for every look behind a mask."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = {
    "CounterCode": (
        UniqueConstraint(name="counter_code_live_once", fields=("code_index",), condition="ended_at is null"),
        UniqueConstraint(name="counter_code_live_once_per_person", fields=("person_id",), condition="ended_at is null"),
        CheckConstraint(name="counter_code_lives_forward", check="expires_at > created_at"),
    ),
    "ActingSession": (
        UniqueConstraint(name="acting_session_once_per_code", fields=("code_id",)),
        UniqueConstraint(name="acting_session_live_once_per_clerk", fields=("staff_id",), condition="ended_at is null"),
        CheckConstraint(
            name="acting_session_short",
            check="expires_at > created_at and expires_at <= created_at + interval '15 minutes'",
        ),
        CheckConstraint(
            name="acting_session_end_has_author",
            check="(ended_at is null) = (ended_by is null) and (ended_by is null or ended_by in ('clerk', 'citizen', 'time'))",
        ),
    ),
    "Disclosure": (CheckConstraint(name="disclosure_subject_known", check="subject in ('utility_account', 'person')"),),
}
GRANTS = """
grant select, insert, update on counter_code, acting_session to lianban_app;
grant select, insert on disclosure to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0011_partial_payment")]

    initial = False

    operations = [
        ops.CreateModel(
            name="CounterCode",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="counter_codes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("code_index", fields.BinaryField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "counter_code",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("code_index",), name="counter_code_live_once", condition="ended_at is null"
                    ),
                    UniqueConstraint(
                        fields=("person_id",), name="counter_code_live_once_per_person", condition="ended_at is null"
                    ),
                    CheckConstraint(check="expires_at > created_at", name="counter_code_lives_forward"),
                ],
                "pk_attr": "id",
                "table_description": "A one-time code on a citizen's phone. A new one ends the one before; opening a session uses it up.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ActingSession",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="acting_sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "staff",
                    fields.ForeignKeyField(
                        "models.StaffUser",
                        source_field="staff_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="acting_sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "code",
                    fields.ForeignKeyField(
                        "models.CounterCode",
                        source_field="code_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("unit", fields.CharField(max_length=40)),
                ("purpose", fields.CharField(max_length=20)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_by", fields.CharField(null=True, max_length=10)),
            ],
            options={
                "table": "acting_session",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("code_id",), name="acting_session_once_per_code"),
                    UniqueConstraint(
                        fields=("staff_id",), name="acting_session_live_once_per_clerk", condition="ended_at is null"
                    ),
                    CheckConstraint(
                        check="expires_at > created_at and expires_at <= created_at + interval '15 minutes'",
                        name="acting_session_short",
                    ),
                    CheckConstraint(
                        check="(ended_at is null) = (ended_by is null) and (ended_by is null or ended_by in ('clerk', 'citizen', 'time'))",
                        name="acting_session_end_has_author",
                    ),
                ],
                "indexes": [Index(fields=["person_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "One clerk acts for one citizen, for one purpose, a few minutes long. Ended by either of them, or by time.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Disclosure",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "staff",
                    fields.ForeignKeyField(
                        "models.StaffUser",
                        source_field="staff_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="disclosures",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("unit", fields.CharField(max_length=40)),
                ("subject", fields.CharField(max_length=20)),
                ("subject_id", fields.UUIDField()),
                ("field", fields.CharField(max_length=20)),
                ("purpose", fields.CharField(max_length=20)),
                ("note", fields.BinaryField()),
                ("request_id", fields.CharField(max_length=40)),
            ],
            options={
                "table": "disclosure",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="subject in ('utility_account', 'person')", name="disclosure_subject_known")
                ],
                "indexes": [Index(fields=["subject", "subject_id", "at"]), Index(fields=["unit", "id"])],
                "pk_attr": "id",
                "table_description": "A member of staff has seen a personal value unmasked: who, whose, which, why. Never changed.",
            },
            bases=["Model"],
        ),
        *(
            ops.AddConstraint(model_name=model, constraint=constraint)
            for model, constraints in CONSTRAINTS.items()
            for constraint in constraints
        ),
        ops.RunSQL(GRANTS),
    ]
