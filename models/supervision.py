"""Warnings about promises that run out, and supervision orders (督办单) about those that did."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class DeadlineWarning(Model):
    """One warning about one promise, at most one for each level. `leader_at`: since when the leader has it too.

    Unanswered it goes to him at `climbs_at`; a red one is his at once.
    """

    id = fields.UUIDField(primary_key=True)
    deadline: Any = fields.ForeignKeyField("models.Deadline", related_name="warnings", on_delete=fields.RESTRICT)
    deadline_id: Any
    level = fields.CharField(max_length=6)
    raised_at = fields.DatetimeField()
    climbs_at = fields.DatetimeField()
    leader_at = fields.DatetimeField(null=True)
    answered_at = fields.DatetimeField(null=True)
    answered_by = fields.CharField(max_length=60, null=True)
    answer = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "deadline_warning"
        constraints = (
            UniqueConstraint(name="deadline_warning_once", fields=("deadline_id", "level")),
            CheckConstraint(name="deadline_warning_level_known", check="level in ('yellow', 'red')"),
            CheckConstraint(
                name="deadline_warning_answer_whole", check="num_nulls(answered_at, answered_by, answer) in (0, 3)"
            ),
        )
        indexes = (
            PartialIndex(
                name="deadline_warning_silent",
                fields=("climbs_at",),
                condition="answered_at is null and leader_at is null",
            ),
        )


class SupervisionStatus(StrEnum):
    """Where a supervision order stands: its district's bureau waits, the city waits, the company has replied, it is over."""

    ISSUED = "issued"
    CLIMBED = "climbed"
    REPLIED = "replied"
    CLOSED = "closed"


_S = SupervisionStatus

SUPERVISION = Lifecycle(
    "supervision",
    SupervisionStatus,
    initial=_S.ISSUED,
    terminal=(_S.CLOSED,),
    edges=(
        Edge(_S.ISSUED, "climb", _S.CLIMBED, ("system",)),
        *(Edge(state, "reply", _S.REPLIED, ("staff",)) for state in (_S.ISSUED, _S.CLIMBED)),
        Edge(_S.REPLIED, "send_back", _S.ISSUED, ("staff",)),
        Edge(_S.REPLIED, "close", _S.CLOSED, ("staff",)),
    ),
)


class Supervision(Model):
    """A bureau's order to a company to say why a promise was not kept and when it will be. One for each promise.

    `unit` is whose order it is now: the district's bureau, and the city's office once it has climbed.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    deadline: Any = fields.ForeignKeyField("models.Deadline", related_name="supervisions", on_delete=fields.RESTRICT)
    deadline_id: Any
    company = fields.CharField(max_length=30, null=True)
    area = fields.CharField(max_length=9, null=True)
    unit = fields.CharField(max_length=40)
    issued_at = fields.DatetimeField()
    reply_due_at = fields.DatetimeField()
    reply = fields.CharField(max_length=500, null=True)
    replied_at = fields.DatetimeField(null=True)
    replied_by = fields.CharField(max_length=60, null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "supervision"
        constraints = (
            UniqueConstraint(name="supervision_once", fields=("deadline_id",)),
            CheckConstraint(name="supervision_reply_whole", check="num_nulls(reply, replied_at, replied_by) in (0, 3)"),
            CheckConstraint(name="supervision_replied_says_what", check="status <> 'replied' or reply is not null"),
            CheckConstraint(name="supervision_end_has_time", check="(status = 'closed') = (ended_at is not null)"),
        )
        indexes = (
            PartialIndex(name="supervision_waiting", fields=("reply_due_at",), condition="status = 'issued'"),
            ("company", "issued_at"),
            ("unit", "issued_at"),
        )


class JobRun(Model):
    """When a job that others rely on last came to its end: whoever watches over it looks here."""

    name = fields.CharField(max_length=40, primary_key=True)
    ran_at = fields.DatetimeField()
    took_ms = fields.IntField()

    class Meta:
        table = "job_run"
