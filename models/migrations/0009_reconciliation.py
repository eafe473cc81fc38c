"""Reconciliation: runs, the rows of files, and what differs."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

GRANTS = """
grant select, insert on reconciliation_row to lianban_app;
grant select, insert, update on reconciliation_run, reconciliation_item to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0008_staff_logins")]

    operations = [
        ops.CreateModel(
            name="ReconciliationRun",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                ("day", fields.DateField()),
                ("source", fields.CharField(max_length=20)),
                ("party", fields.CharField(max_length=32)),
                ("company", fields.CharField(max_length=30)),
                ("file_sha256", fields.CharField(null=True, max_length=64)),
                ("rows_taken", fields.IntField(null=True)),
                ("paid_fen", fields.BigIntField(null=True)),
                ("refunded_fen", fields.BigIntField(null=True)),
                ("fee_millifen", fields.BigIntField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("taken_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("compared_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("late_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "reconciliation_run",
                "app": "models",
                "pk_attr": "id",
                "table_description": "One file of one day: of a provider for one merchant, or of a company. Counts, sums and hash are the file's.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ReconciliationItem",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "run",
                    fields.ForeignKeyField(
                        "models.ReconciliationRun",
                        source_field="run_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="items",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("day", fields.DateField()),
                ("source", fields.CharField(max_length=20)),
                ("party", fields.CharField(max_length=32)),
                ("company", fields.CharField(max_length=30)),
                ("kind", fields.CharField(max_length=30)),
                ("subject", fields.CharField(max_length=10)),
                ("number", fields.CharField(max_length=64)),
                ("part_id", fields.UUIDField(null=True)),
                ("refund_id", fields.UUIDField(null=True)),
                ("posting_id", fields.UUIDField(null=True)),
                ("ours_fen", fields.BigIntField(null=True)),
                ("theirs_fen", fields.BigIntField(null=True)),
                ("detail", fields.CharField(default="", max_length=80)),
                ("owner", fields.CharField(max_length=20)),
                ("opened_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "reconciliation_item",
                "app": "models",
                "indexes": [
                    Index(fields=["run_id"]),
                    Index(fields=["day"]),
                    PartialIndex(
                        fields=["opened_at"], name="reconciliation_item_open", condition="status in ('open', 'in_hand')"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "A difference, once for ever per source, party, kind and number. `owner` must act on it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ReconciliationRow",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                (
                    "run",
                    fields.ForeignKeyField(
                        "models.ReconciliationRun",
                        source_field="run_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="rows",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("kind", fields.CharField(max_length=10)),
                ("number", fields.CharField(max_length=64)),
                ("copy", fields.SmallIntField()),
                ("other_number", fields.CharField(max_length=64)),
                ("order_number", fields.CharField(null=True, max_length=64)),
                ("amount_fen", fields.BigIntField()),
                ("fee_millifen", fields.BigIntField()),
                ("state", fields.CharField(max_length=20)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "reconciliation_row",
                "app": "models",
                "indexes": [Index(fields=["kind", "number"])],
                "pk_attr": "id",
                "table_description": "One row of a file, without anything personal: `number` is ours, `other_number` the provider's or the company's.",
            },
            bases=["Model"],
        ),
        ops.AddConstraint(
            model_name="ReconciliationRun",
            constraint=UniqueConstraint(fields=("day", "source", "party"), name="reconciliation_run_once"),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRun",
            constraint=CheckConstraint(
                check="(status <> 'waiting') = (num_nulls(rows_taken, paid_fen, refunded_fen, fee_millifen, taken_at) = 0)",
                name="reconciliation_run_taken_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRun",
            constraint=CheckConstraint(
                check="status <> 'matched' or compared_at is not null", name="reconciliation_run_compared_has_time"
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationItem",
            constraint=UniqueConstraint(
                fields=("source", "party", "kind", "subject", "number"), name="reconciliation_item_once"
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationItem",
            constraint=CheckConstraint(
                check="owner in ('platform_operator', 'company_finance')", name="reconciliation_item_owner_known"
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationItem",
            constraint=CheckConstraint(
                check="(status in ('explained', 'resolved')) = (ended_at is not null)",
                name="reconciliation_item_end_has_time",
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRow",
            constraint=UniqueConstraint(fields=("run_id", "kind", "number", "copy"), name="reconciliation_row_once"),
        ),
        ops.AddConstraint(
            model_name="ReconciliationRow",
            constraint=CheckConstraint(
                check="kind in ('trade', 'refund', 'posting')", name="reconciliation_row_kind_known"
            ),
        ),
        ops.AddIndex(model_name="Payment", index=Index(fields=["paid_at"])),
        ops.AddIndex(model_name="Refund", index=Index(fields=["ended_at"])),
        ops.AddIndex(model_name="Posting", index=Index(fields=["ended_at"])),
        ops.RunSQL(GRANTS),
    ]
