"""The deadline clock, and holidays that came out after the pack."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
create unique index deadline_live_once on deadline (subject_kind, subject_id, kind, node) where closed_at is null;
alter table deadline add constraint deadline_kind_known check (kind in ('promise', 'node', 'commitment'));
alter table deadline add constraint deadline_node_named check ((kind = 'node') = (node <> ''));
alter table deadline add constraint deadline_days_real check (days between 0 and 365 and extra_days between 0 and 365);
alter table deadline add constraint deadline_level_known check (level in ('green', 'yellow', 'red'));
alter table deadline add constraint deadline_alarms_whole check ((due_at is null) = (yellow_at is null) and (due_at is null or yellow_at <= due_at));
alter table deadline add constraint deadline_end_whole check (case when closed_at is null then outcome is null and used_days is null and lived_days is null else outcome in ('met', 'missed', 'void') and used_days is not null and lived_days is not null and closed_at >= opened_at end);
create unique index deadline_pause_open_once on deadline_pause (deadline_id) where ends_at is null;
alter table deadline_pause add constraint deadline_pause_reason_listed check (reason in ('correction', 'permit', 'applicant', 'force_majeure'));
alter table deadline_pause add constraint deadline_pause_has_evidence check (length(btrim(evidence)) >= 4);
alter table deadline_pause add constraint deadline_pause_runs_forward check (ends_at >= begins_at and cap_at > begins_at);
alter table deadline_pause add constraint deadline_pause_force_majeure_agreed check (reason <> 'force_majeure' or approver is not null);
alter table deadline_change add constraint deadline_change_kind_known check (kind in ('extension', 'revision', 'recount'));
alter table deadline_change add constraint deadline_change_longer_is_agreed check (to_days <= from_days or (approver is not null and approver <> actor_id));
alter table deadline_change add constraint deadline_change_recount_keeps_days check (kind <> 'recount' or to_days = from_days);
alter table holiday_schedule add constraint holiday_schedule_year_real check (year between 2000 and 2100);
"""
NO_OVERLAP = """
create function deadline_pauses_do_not_overlap() returns trigger language plpgsql as $$
begin
  perform from deadline where id = new.deadline_id for update;
  if exists (
    select from deadline_pause p where p.deadline_id = new.deadline_id and p.id <> new.id
      and p.begins_at < coalesce(new.ends_at, 'infinity') and new.begins_at < coalesce(p.ends_at, 'infinity'))
  then
    raise exception 'pauses of deadline % overlap', new.deadline_id
      using errcode = 'exclusion_violation', constraint = 'deadline_pause_no_overlap';
  end if;
  return new;
end $$;
create trigger deadline_pause_no_overlap before insert or update of begins_at, ends_at, deadline_id on deadline_pause
  for each row execute function deadline_pauses_do_not_overlap();
"""
GRANTS = """
grant select, insert, update on deadline, deadline_pause, holiday_schedule to lianban_app;
grant select, insert on deadline_change to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0023_acting_payments")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Deadline",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("subject_kind", fields.CharField(max_length=20)),
                ("subject_id", fields.UUIDField()),
                ("kind", fields.CharField(max_length=12)),
                ("node", fields.CharField(default="", max_length=12)),
                ("basis", fields.CharField(max_length=40)),
                ("company", fields.CharField(null=True, max_length=30)),
                ("area", fields.CharField(null=True, max_length=9)),
                ("days", fields.SmallIntField()),
                ("extra_days", fields.SmallIntField(default=0)),
                ("accepted_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("due_on", fields.DateField()),
                ("due_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("yellow_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("provisional", fields.BooleanField(default=False)),
                ("level", fields.CharField(default="green", max_length=6)),
                ("opened_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("closed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("outcome", fields.CharField(null=True, max_length=6)),
                ("used_days", fields.SmallIntField(null=True)),
                ("lived_days", fields.SmallIntField(null=True)),
            ],
            options={
                "table": "deadline",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("subject_kind", "subject_id", "kind", "node"),
                        name="deadline_live_once",
                        condition="closed_at is null",
                    ),
                    CheckConstraint(check="kind in ('promise', 'node', 'commitment')", name="deadline_kind_known"),
                    CheckConstraint(check="(kind = 'node') = (node <> '')", name="deadline_node_named"),
                    CheckConstraint(
                        check="days between 0 and 365 and extra_days between 0 and 365", name="deadline_days_real"
                    ),
                    CheckConstraint(check="level in ('green', 'yellow', 'red')", name="deadline_level_known"),
                    CheckConstraint(
                        check="(due_at is null) = (yellow_at is null) and (due_at is null or yellow_at <= due_at)",
                        name="deadline_alarms_whole",
                    ),
                    CheckConstraint(
                        check="case when closed_at is null then outcome is null and used_days is null and lived_days is null else outcome in ('met', 'missed', 'void') and used_days is not null and lived_days is not null and closed_at >= opened_at end",
                        name="deadline_end_whole",
                    ),
                ],
                "indexes": [
                    Index(fields=["subject_id"]),
                    PartialIndex(
                        fields=["yellow_at"],
                        name="deadline_turns_yellow",
                        condition="closed_at is null and level = 'green'",
                    ),
                    PartialIndex(
                        fields=["due_at"], name="deadline_turns_red", condition="closed_at is null and level <> 'red'"
                    ),
                    PartialIndex(
                        fields=["due_on"], name="deadline_provisional", condition="closed_at is null and provisional"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "One running promise about `subject_id`: the whole connection (``promise``), one step of it (``node``), or the company's duty to",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="DeadlineChange",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "deadline",
                    fields.ForeignKeyField(
                        "models.Deadline",
                        source_field="deadline_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="changes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("kind", fields.CharField(max_length=10)),
                ("from_days", fields.SmallIntField()),
                ("to_days", fields.SmallIntField()),
                ("from_due_on", fields.DateField()),
                ("to_due_on", fields.DateField()),
                ("reason", fields.CharField(max_length=200)),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("approver", fields.CharField(null=True, max_length=60)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "deadline_change",
                "app": "models",
                "constraints": [
                    CheckConstraint(
                        check="kind in ('extension', 'revision', 'recount')", name="deadline_change_kind_known"
                    ),
                    CheckConstraint(
                        check="to_days <= from_days or (approver is not null and approver <> actor_id)",
                        name="deadline_change_longer_is_agreed",
                    ),
                    CheckConstraint(
                        check="kind <> 'recount' or to_days = from_days", name="deadline_change_recount_keeps_days"
                    ),
                ],
                "indexes": [Index(fields=["deadline_id", "at"])],
                "pk_attr": "id",
                "table_description": "Why a promise is another than before, never changed: an ``extension``, a ``revision`` by what the survey found, or a ``recount``",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="DeadlinePause",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "deadline",
                    fields.ForeignKeyField(
                        "models.Deadline",
                        source_field="deadline_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="pauses",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("reason", fields.CharField(max_length=20)),
                ("evidence", fields.CharField(max_length=200)),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("approver", fields.CharField(null=True, max_length=60)),
                ("begins_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("cap_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "deadline_pause",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("deadline_id",), name="deadline_pause_open_once", condition="ends_at is null"
                    ),
                    CheckConstraint(
                        check="reason in ('correction', 'permit', 'applicant', 'force_majeure')",
                        name="deadline_pause_reason_listed",
                    ),
                    CheckConstraint(check="length(btrim(evidence)) >= 4", name="deadline_pause_has_evidence"),
                    CheckConstraint(
                        check="ends_at >= begins_at and cap_at > begins_at", name="deadline_pause_runs_forward"
                    ),
                    CheckConstraint(
                        check="reason <> 'force_majeure' or approver is not null",
                        name="deadline_pause_force_majeure_agreed",
                    ),
                ],
                "indexes": [Index(fields=["deadline_id", "begins_at"])],
                "pk_attr": "id",
                "table_description": "A time during which a promise stood still, and by what evidence. None of one deadline overlap: a trigger sees to it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="HolidaySchedule",
            fields=[
                ("year", fields.SmallIntField(generated=False, primary_key=True, unique=True, db_index=True)),
                ("content", fields.BinaryField()),
                ("sha256", fields.CharField(max_length=64)),
                ("imported_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("imported_by", fields.CharField(max_length=60)),
            ],
            options={
                "table": "holiday_schedule",
                "app": "models",
                "constraints": [CheckConstraint(check="year between 2000 and 2100", name="holiday_schedule_year_real")],
                "pk_attr": "year",
                "table_description": "A year's paper imported since the city pack was made; it takes the place of the pack's for that year.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + NO_OVERLAP + GRANTS),
    ]
