"""Joined identities: who absorbed whom, and which rows went over."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

GRANTS = """
grant select, insert, update on person_join to lianban_app;
grant select, insert on person_join_row to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0015_unified_login")]

    operations = [
        ops.CreateModel(
            name="PersonJoin",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "survivor",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="survivor_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="joins",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "absorbed",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="absorbed_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="joined_by",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("session_id", fields.UUIDField()),
                ("took_phone", fields.BooleanField()),
                ("joined_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("undo_until", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("undone_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "person_join",
                "app": "models",
                "constraints": [],
                "indexes": [Index(fields=["survivor_id"]), Index(fields=["absorbed_id"])],
                "pk_attr": "id",
                "table_description": "One joining. Live while `undone_at` is empty; a person is absorbed by at most one other at a time.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PersonJoinRow",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "join",
                    fields.ForeignKeyField(
                        "models.PersonJoin",
                        source_field="join_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="rows",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("table_name", fields.CharField(max_length=40)),
                ("row_id", fields.UUIDField()),
            ],
            options={
                "table": "person_join_row",
                "app": "models",
                "constraints": [],
                "pk_attr": "id",
                "table_description": "One row that went over.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="LoginAttempt",
            name="opened_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddConstraint(
            model_name="PersonJoin",
            constraint=CheckConstraint(name="person_join_of_two", check="survivor_id <> absorbed_id"),
        ),
        ops.AddConstraint(
            model_name="PersonJoin",
            constraint=UniqueConstraint(
                name="person_join_absorbed_once", fields=("absorbed_id",), condition="undone_at is null"
            ),
        ),
        ops.AddConstraint(
            model_name="PersonJoinRow",
            constraint=UniqueConstraint(name="person_join_row_once", fields=("join_id", "table_name", "row_id")),
        ),
        ops.RunSQL(GRANTS),
    ]
