"""Projects pushed by the construction-approval platform (工改平台推送): what it said, what staff amended, what it was told back."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class PushStatus(StrEnum):
    """Where a push stands. Expected: the platform lists it, and it has not come. Stuck: somebody has to look at it."""

    EXPECTED = "expected"
    RECEIVED = "received"
    STUCK = "stuck"
    FILED = "filed"
    DISMISSED = "dismissed"


_S = PushStatus

PLATFORM_PUSH = Lifecycle(
    "platform_push",
    PushStatus,
    initial=_S.EXPECTED,
    terminal=(_S.FILED, _S.DISMISSED),
    edges=(
        # Also what was dismissed because it had never come.
        *(Edge(state, "arrive", _S.RECEIVED, ("platform",)) for state in (_S.EXPECTED, _S.DISMISSED)),
        Edge(_S.RECEIVED, "file", _S.FILED, ("platform",), "platform_push.filed"),
        Edge(_S.RECEIVED, "stick", _S.STUCK, ("system",), "platform_push.stuck"),
        Edge(_S.STUCK, "replay", _S.RECEIVED, ("staff",)),
        *(Edge(state, "dismiss", _S.DISMISSED, ("staff",), "platform_push.dismissed") for state in (_S.EXPECTED, _S.STUCK)),
    ),
)  # fmt: skip


class PlatformPush(Model):
    """One push under the platform's own id. The original is never changed: what staff amend are :class:`PushAmendment`.

    `problem`: why it is stuck, a word of a closed list; `difference`: what the nightly comparison with the platform's list has found.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    number = fields.CharField(max_length=80)
    """The platform's id of the push; ``sha256:…`` of its bytes where none can be read."""
    sha256 = fields.CharField(max_length=64, null=True)
    content = fields.BinaryField(null=True)
    project_code = fields.CharField(max_length=30, null=True)
    pushed_on = fields.DateField()
    received_at = fields.DatetimeField(null=True)
    problem = fields.CharField(max_length=40, null=True)
    difference = fields.CharField(max_length=20, null=True)
    application: Any = fields.ForeignKeyField(
        "models.Application", related_name="pushes", on_delete=fields.RESTRICT, null=True
    )
    application_id: Any
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "platform_push"
        constraints = (
            UniqueConstraint(name="platform_push_number_once", fields=("number",)),
            UniqueConstraint(name="platform_push_application_once", fields=("application_id",)),
            CheckConstraint(
                name="platform_push_has_come_whole",
                check="num_nulls(sha256, content, received_at) = 0 or status in ('expected', 'dismissed') and num_nonnulls(sha256, content, received_at) = 0",
            ),
            CheckConstraint(name="platform_push_stuck_says_why", check="(status = 'stuck') <= (problem is not null)"),
            CheckConstraint(
                name="platform_push_filed_is_a_case", check="(status = 'filed') = (application_id is not null)"
            ),
            CheckConstraint(
                name="platform_push_end_has_time", check="(status in ('filed', 'dismissed')) = (ended_at is not null)"
            ),
            CheckConstraint(
                name="platform_push_difference_known", check="difference in ('unlisted', 'content')"
            ),
        )  # fmt: skip
        indexes = (
            ("pushed_on",),
            PartialIndex(
                name="platform_push_open",
                fields=("received_at",),
                condition="status not in ('filed', 'dismissed') or difference is not null",
            ),
            PartialIndex(
                name="platform_push_project", fields=("project_code",), condition="application_id is not null"
            ),
        )


class PushAmendment(Model):
    """What a member of staff has put in the place of a push's content, and why; later ones are later versions."""

    id = fields.UUIDField(primary_key=True)
    push: Any = fields.ForeignKeyField("models.PlatformPush", related_name="amendments", on_delete=fields.RESTRICT)
    push_id: Any
    version = fields.SmallIntField()
    content = fields.BinaryField()
    staff_id = fields.UUIDField()
    reason = fields.CharField(max_length=200)
    at = fields.DatetimeField()

    class Meta:
        table = "push_amendment"
        constraints = (
            UniqueConstraint(name="push_amendment_version_once", fields=("push_id", "version")),
            CheckConstraint(name="push_amendment_version_counts", check="version >= 1"),
            CheckConstraint(name="push_amendment_says_why", check="length(btrim(reason)) >= 4"),
        )


class ReportStatus(StrEnum):
    """Where a report to the platform stands."""

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    TOLD = "told"
    REFUSED = "refused"


_R = ReportStatus
_OPEN = (_R.SENDING, _R.UNKNOWN)

PLATFORM_REPORT = Lifecycle(
    "platform_report",
    ReportStatus,
    initial=_R.PENDING,
    terminal=(_R.TOLD, _R.REFUSED),
    edges=(
        Edge(_R.PENDING, "send", _R.SENDING, ("system",)),
        Edge(_R.SENDING, "lost", _R.UNKNOWN, ("system",)),
        Edge(_R.UNKNOWN, "send", _R.SENDING, ("system",)),
        *(Edge(state, "absent", _R.PENDING, ("platform", "system")) for state in _OPEN),
        *(Edge(state, "told", _R.TOLD, ("platform",)) for state in _OPEN),
        *(Edge(state, "refused", _R.REFUSED, ("platform",)) for state in _OPEN),
    ),
)


class PlatformReport(Model):
    """One status returned to the platform, under its own id for ever; those of a push leave one after the other, by `number`.

    `code` is the official one, 1 to 15. Without an order it speaks of the push itself.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    push: Any = fields.ForeignKeyField("models.PlatformPush", related_name="reports", on_delete=fields.RESTRICT)
    push_id: Any
    number = fields.SmallIntField()
    order: Any = fields.ForeignKeyField(
        "models.ServiceOrder", related_name="platform_reports", on_delete=fields.RESTRICT, null=True
    )
    order_id: Any
    code = fields.SmallIntField()
    node = fields.CharField(max_length=30)
    cause_id = fields.UUIDField()
    """The row of the journal it returns: seen twice, it is told once."""
    happened_at = fields.DatetimeField()
    refusal = fields.CharField(max_length=40, null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "platform_report"
        constraints = (
            UniqueConstraint(name="platform_report_number_once", fields=("push_id", "number")),
            UniqueConstraint(name="platform_report_cause_once", fields=("cause_id",)),
            CheckConstraint(name="platform_report_code_official", check="code between 1 and 15"),
            CheckConstraint(
                name="platform_report_end_has_time", check="(status in ('told', 'refused')) = (ended_at is not null)"
            ),
        )
        indexes = (
            PartialIndex(
                name="platform_report_open", fields=("created_at",), condition="status not in ('told', 'refused')"
            ),
        )
