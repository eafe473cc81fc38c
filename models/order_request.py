"""What a company may only do with a supervisor's agreement: asked for, and decided by somebody else."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class RequestStatus(StrEnum):
    """Where a request stands."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    LAPSED = "lapsed"


_S = RequestStatus

ORDER_REQUEST = Lifecycle(
    "order_request",
    RequestStatus,
    initial=_S.ASKED,
    terminal=(_S.APPROVED, _S.REFUSED, _S.LAPSED),
    edges=(
        Edge(_S.ASKED, "approve", _S.APPROVED, ("staff",), "order_request.approved"),
        Edge(_S.ASKED, "refuse", _S.REFUSED, ("staff",), "order_request.refused"),
        Edge(_S.ASKED, "lapse", _S.LAPSED, ("staff", "system", "company"), "order_request.lapsed"),
    ),
)


class OrderRequest(Model):
    """One thing asked. `content`: the report as it would be done, encrypted. `asked_by` is never who decides."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="requests", on_delete=fields.RESTRICT)
    order_id: Any
    company = fields.CharField(max_length=30)
    kind = fields.CharField(max_length=30)
    content = fields.BinaryField()
    asked_by_kind = fields.CharField(max_length=20)
    asked_by = fields.CharField(max_length=60)
    asked_at = fields.DatetimeField()
    decided_by = fields.CharField(max_length=60, null=True)
    decided_at = fields.DatetimeField(null=True)
    reason = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "order_request"
        constraints = (
            UniqueConstraint(name="order_request_live_once", fields=("order_id", "kind"), condition="status = 'asked'"),
            CheckConstraint(name="order_request_end_has_time", check="(status = 'asked') = (decided_at is null)"),
            CheckConstraint(
                name="order_request_two_people",
                check="status not in ('approved', 'refused') or (decided_by is not null and decided_by <> asked_by)",
            ),
        )
        indexes = (PartialIndex(name="order_request_waiting", fields=("asked_at",), condition="status = 'asked'"),)
