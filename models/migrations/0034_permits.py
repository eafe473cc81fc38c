"""Permits of bureaus, asked all at once."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
create unique index permit_once_at_a_time on permit (order_id, kind) where ended_at is null;
alter table permit add constraint permit_has_evidence check (length(btrim(evidence)) >= 4);
alter table permit add constraint permit_end_has_time check ((status = 'asked') = (ended_at is null));
alter table permit add constraint permit_answer_says_what check (status not in ('granted', 'refused') or answer is not null);
"""
GRANTS = """
grant select, insert, update on permit to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0033_tolerances")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Permit",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="permits",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("kind", fields.CharField(max_length=40)),
                ("unit", fields.CharField(max_length=40)),
                ("evidence", fields.CharField(max_length=200)),
                ("asked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("answer", fields.CharField(null=True, max_length=200)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "permit",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("order_id", "kind"), name="permit_once_at_a_time", condition="ended_at is null"
                    ),
                    CheckConstraint(check="length(btrim(evidence)) >= 4", name="permit_has_evidence"),
                    CheckConstraint(check="(status = 'asked') = (ended_at is null)", name="permit_end_has_time"),
                    CheckConstraint(
                        check="status not in ('granted', 'refused') or answer is not null",
                        name="permit_answer_says_what",
                    ),
                ],
                "indexes": [
                    Index(fields=["order_id"]),
                    PartialIndex(fields=["unit", "asked_at"], name="permit_open", condition="ended_at is null"),
                ],
                "pk_attr": "id",
                "table_description": "One kind of permit for one order, asked of one bureau; its clock is the deadline of this subject.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + GRANTS),
    ]
