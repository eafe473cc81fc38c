"""Warnings before a promise runs out, supervision orders after it, and who watches the job that raises them."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table deadline_warning add constraint deadline_warning_once unique (deadline_id, level);
alter table deadline_warning add constraint deadline_warning_level_known check (level in ('yellow', 'red'));
alter table deadline_warning add constraint deadline_warning_answer_whole check (num_nulls(answered_at, answered_by, answer) in (0, 3));
alter table supervision add constraint supervision_once unique (deadline_id);
alter table supervision add constraint supervision_reply_whole check (num_nulls(reply, replied_at, replied_by) in (0, 3));
alter table supervision add constraint supervision_replied_says_what check (status <> 'replied' or reply is not null);
alter table supervision add constraint supervision_end_has_time check ((status = 'closed') = (ended_at is not null));
"""
GRANTS = """
grant select, insert, update on deadline_warning, supervision, job_run to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0030_commitments")]

    initial = False

    operations = [
        ops.CreateModel(
            name="DeadlineWarning",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "deadline",
                    fields.ForeignKeyField(
                        "models.Deadline",
                        source_field="deadline_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="warnings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("level", fields.CharField(max_length=6)),
                ("raised_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("climbs_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("leader_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("answered_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("answered_by", fields.CharField(null=True, max_length=60)),
                ("answer", fields.CharField(null=True, max_length=200)),
            ],
            options={
                "table": "deadline_warning",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("deadline_id", "level"), name="deadline_warning_once"),
                    CheckConstraint(check="level in ('yellow', 'red')", name="deadline_warning_level_known"),
                    CheckConstraint(
                        check="num_nulls(answered_at, answered_by, answer) in (0, 3)",
                        name="deadline_warning_answer_whole",
                    ),
                ],
                "indexes": [
                    PartialIndex(
                        fields=["climbs_at"],
                        name="deadline_warning_silent",
                        condition="answered_at is null and leader_at is null",
                    )
                ],
                "pk_attr": "id",
                "table_description": "One warning about one promise, at most one for each level. `leader_at`: since when the leader has it too.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="JobRun",
            fields=[
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                ("ran_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("took_ms", fields.IntField()),
            ],
            options={
                "table": "job_run",
                "app": "models",
                "pk_attr": "name",
                "table_description": "When a job that others rely on last came to its end: whoever watches over it looks here.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Supervision",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "deadline",
                    fields.ForeignKeyField(
                        "models.Deadline",
                        source_field="deadline_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="supervisions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(null=True, max_length=30)),
                ("area", fields.CharField(null=True, max_length=9)),
                ("unit", fields.CharField(max_length=40)),
                ("issued_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("reply_due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("reply", fields.CharField(null=True, max_length=500)),
                ("replied_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("replied_by", fields.CharField(null=True, max_length=60)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "supervision",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("deadline_id",), name="supervision_once"),
                    CheckConstraint(
                        check="num_nulls(reply, replied_at, replied_by) in (0, 3)", name="supervision_reply_whole"
                    ),
                    CheckConstraint(
                        check="status <> 'replied' or reply is not null", name="supervision_replied_says_what"
                    ),
                    CheckConstraint(
                        check="(status = 'closed') = (ended_at is not null)", name="supervision_end_has_time"
                    ),
                ],
                "indexes": [
                    PartialIndex(fields=["reply_due_at"], name="supervision_waiting", condition="status = 'issued'"),
                    Index(fields=["company", "issued_at"]),
                    Index(fields=["unit", "issued_at"]),
                ],
                "pk_attr": "id",
                "table_description": "A bureau's order to a company to say why a promise was not kept and when it will be. One for each promise.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + GRANTS),
    ]
