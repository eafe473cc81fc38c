"""The deadline clock: a promise in working days, the times it stood still, what was changed about it, and the published holidays."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex


class Deadline(Model):
    """One running promise about `subject_id`: the whole connection (``promise``), one step of it (``node``), or the company's duty to
    commit itself to days (``commitment``).

    `basis` is the code of the rule in the city pack that gave the days. `due_at` and `yellow_at` are the instants that alarms go by;
    both None: it stands still for an unknown time. While it stands still for a limited time they are those of the longest pause.
    `level` is the last one that was told. `used_days` and `lived_days` are written when it ends.
    """

    id = fields.UUIDField(primary_key=True)
    subject_kind = fields.CharField(max_length=20)
    subject_id = fields.UUIDField()
    kind = fields.CharField(max_length=12)
    node = fields.CharField(max_length=12, default="")
    basis = fields.CharField(max_length=40)
    company = fields.CharField(max_length=30, null=True)
    area = fields.CharField(max_length=9, null=True)
    days = fields.SmallIntField()
    extra_days = fields.SmallIntField(default=0)
    accepted_at = fields.DatetimeField()
    due_on = fields.DateField()
    due_at = fields.DatetimeField(null=True)
    yellow_at = fields.DatetimeField(null=True)
    provisional = fields.BooleanField(default=False)
    level = fields.CharField(max_length=6, default="green")
    opened_at = fields.DatetimeField()
    closed_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=6, null=True)
    used_days = fields.SmallIntField(null=True)
    lived_days = fields.SmallIntField(null=True)

    class Meta:
        table = "deadline"
        constraints = (
            UniqueConstraint(
                name="deadline_live_once",
                fields=("subject_kind", "subject_id", "kind", "node"),
                condition="closed_at is null",
            ),
            CheckConstraint(name="deadline_kind_known", check="kind in ('promise', 'node', 'commitment')"),
            CheckConstraint(name="deadline_node_named", check="(kind = 'node') = (node <> '')"),
            CheckConstraint(name="deadline_days_real", check="days between 0 and 365 and extra_days between 0 and 365"),
            CheckConstraint(name="deadline_level_known", check="level in ('green', 'yellow', 'red')"),
            CheckConstraint(
                name="deadline_alarms_whole",
                check="(due_at is null) = (yellow_at is null) and (due_at is null or yellow_at <= due_at)",
            ),
            CheckConstraint(
                name="deadline_end_whole",
                check="case when closed_at is null then outcome is null and used_days is null and lived_days is null"
                " else outcome in ('met', 'missed', 'void') and used_days is not null and lived_days is not null"
                " and closed_at >= opened_at end",
            ),
        )
        indexes = (
            ("subject_id",),
            PartialIndex(
                name="deadline_turns_yellow", fields=("yellow_at",), condition="closed_at is null and level = 'green'"
            ),
            PartialIndex(
                name="deadline_turns_red", fields=("due_at",), condition="closed_at is null and level <> 'red'"
            ),
            PartialIndex(
                name="deadline_provisional", fields=("due_on",), condition="closed_at is null and provisional"
            ),
        )


class DeadlinePause(Model):
    """A time during which a promise stood still, and by what evidence. None of one deadline overlap: a trigger sees to it.

    `cap_at`: it runs on by itself from then; None: no limit. `approver`: the supervisor who agreed, where one was needed.
    """

    id = fields.UUIDField(primary_key=True)
    deadline: Any = fields.ForeignKeyField("models.Deadline", related_name="pauses", on_delete=fields.RESTRICT)
    deadline_id: Any
    reason = fields.CharField(max_length=20)
    evidence = fields.CharField(max_length=200)
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    approver = fields.CharField(max_length=60, null=True)
    begins_at = fields.DatetimeField()
    cap_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)

    class Meta:
        table = "deadline_pause"
        constraints = (
            UniqueConstraint(name="deadline_pause_open_once", fields=("deadline_id",), condition="ends_at is null"),
            CheckConstraint(
                name="deadline_pause_reason_listed",
                check="reason in ('correction', 'permit', 'applicant', 'force_majeure')",
            ),
            CheckConstraint(name="deadline_pause_has_evidence", check="length(btrim(evidence)) >= 4"),
            CheckConstraint(name="deadline_pause_runs_forward", check="ends_at >= begins_at and cap_at > begins_at"),
            CheckConstraint(
                name="deadline_pause_force_majeure_agreed", check="reason <> 'force_majeure' or approver is not null"
            ),
        )
        indexes = (("deadline_id", "begins_at"),)


class DeadlineChange(Model):
    """Why a promise is another than before, never changed: an ``extension``, a ``revision`` by what the survey found, or a ``recount``
    because a calendar came out. Nobody makes it longer alone."""

    id = fields.UUIDField(primary_key=True)
    deadline: Any = fields.ForeignKeyField("models.Deadline", related_name="changes", on_delete=fields.RESTRICT)
    deadline_id: Any
    kind = fields.CharField(max_length=10)
    from_days = fields.SmallIntField()
    to_days = fields.SmallIntField()
    from_due_on = fields.DateField()
    to_due_on = fields.DateField()
    reason = fields.CharField(max_length=200)
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    approver = fields.CharField(max_length=60, null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "deadline_change"
        constraints = (
            CheckConstraint(name="deadline_change_kind_known", check="kind in ('extension', 'revision', 'recount')"),
            CheckConstraint(
                name="deadline_change_longer_is_agreed",
                check="to_days <= from_days or (approver is not null and approver <> actor_id)",
            ),
            CheckConstraint(
                name="deadline_change_recount_keeps_days", check="kind <> 'recount' or to_days = from_days"
            ),
        )
        indexes = (("deadline_id", "at"),)


class HolidaySchedule(Model):
    """A year's paper imported since the city pack was made; it takes the place of the pack's for that year."""

    year = fields.SmallIntField(primary_key=True, generated=False)
    content = fields.BinaryField()
    sha256 = fields.CharField(max_length=64)
    imported_at = fields.DatetimeField()
    imported_by = fields.CharField(max_length=60)

    class Meta:
        table = "holiday_schedule"
        constraints = (CheckConstraint(name="holiday_schedule_year_real", check="year between 2000 and 2100"),)
