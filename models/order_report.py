"""What companies have reported of their orders through the gateway: kept as it came, worked by number."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex


class OrderReport(Model):
    """One report. The same number again is the same report, whatever it says; one that came early waits for those before it.

    `outcome`: ``done``, ``asked`` (a supervisor has to agree), or the code of what was wrong with it.
    """

    id = fields.UUIDField(primary_key=True)
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="reports", on_delete=fields.RESTRICT)
    order_id: Any
    sequence = fields.SmallIntField()
    kind = fields.CharField(max_length=30)
    content = fields.BinaryField()
    came_at = fields.DatetimeField()
    worked_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=40, null=True)

    class Meta:
        table = "order_report"
        constraints = (
            UniqueConstraint(name="order_report_sequence_once", fields=("order_id", "sequence")),
            CheckConstraint(name="order_report_sequence_counts", check="sequence >= 1"),
            CheckConstraint(name="order_report_worked_whole", check="(worked_at is null) = (outcome is null)"),
        )
        indexes = (PartialIndex(name="order_report_waiting", fields=("came_at",), condition="worked_at is null"),)
