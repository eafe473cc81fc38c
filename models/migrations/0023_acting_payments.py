"""Payments that a clerk begins at a counter for the citizen he acts for."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint

ONCE = UniqueConstraint(name="acting_payment_once", fields=("payment_id",))
GRANTS = "grant select, insert on acting_payment to lianban_app;"


def _to(model: str, column: str, related_name: str) -> fields.Field:
    return fields.ForeignKeyField(
        model, source_field=column, db_constraint=True, to_field="id", related_name=related_name, on_delete=OnDelete.RESTRICT
    )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("models", "0022_top_ups")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ActingPayment",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("acting", _to("models.ActingSession", "acting_id", "payments")),
                ("payment", _to("models.Payment", "payment_id", "acting")),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "acting_payment",
                "app": "models",
                "constraints": [ONCE],
                "indexes": [Index(fields=["acting_id"])],
                "pk_attr": "id",
                "table_description": "A payment that a clerk began for the citizen he acts for, who pays it with his own phone. Never changed.",
            },
            bases=["Model"],
        ),
        ops.AddConstraint(model_name="ActingPayment", constraint=ONCE),
        ops.RunSQL(GRANTS),
    ]
