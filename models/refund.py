"""Refunds of a payment part, each with its own lifecycle and one number for ever."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class RefundStatus(StrEnum):
    """Where a refund stands."""

    REQUESTED = "requested"
    SUBMITTING = "submitting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"
    CLOSED = "closed"


_S = RefundStatus
_ENDS = ((_S.SUBMITTING, "refund"), (_S.PROCESSING, "refund"), (_S.ABNORMAL, "refund"))

MOST_BY_ITSELF = 3
"""How many refunds a part may have before a person must act: one that the provider has closed is followed by a new one until then."""

REFUND = Lifecycle(
    "refund",
    RefundStatus,
    initial=_S.REQUESTED,
    terminal=(_S.SUCCEEDED, _S.CLOSED),
    edges=(
        Edge(_S.REQUESTED, "submit", _S.SUBMITTING, ("system",)),
        Edge(_S.SUBMITTING, "accepted", _S.PROCESSING, ("provider",)),
        *(Edge(state, "succeeded", _S.SUCCEEDED, ("provider",), "refund.succeeded") for state, _ in _ENDS),
        *(Edge(state, "abnormal", _S.ABNORMAL, ("provider",), "refund.abnormal") for state, _ in _ENDS[:2]),
        *(Edge(state, "closed", _S.CLOSED, ("provider",), "refund.closed") for state, _ in _ENDS),
    ),
)


class Refund(Model):
    """Money on its way back. A retry reuses `refund_number`; a new number would be a second refund.

    Only one that the provider has closed is over, with its number: the next one of its part is a row of its own.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    payment: Any = fields.ForeignKeyField("models.Payment", related_name="refunds", on_delete=fields.RESTRICT)
    payment_id: Any
    part: Any = fields.ForeignKeyField("models.PaymentPart", related_name="refunds", on_delete=fields.RESTRICT)
    part_id: Any
    refund_number = fields.CharField(max_length=64)
    amount_fen = fields.BigIntField()
    reason = fields.CharField(max_length=30)
    provider_refund = fields.CharField(max_length=64, null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "refund"
        constraints = (
            UniqueConstraint(name="refund_number_once", fields=("refund_number",)),
            UniqueConstraint(name="refund_live_once_per_part", fields=("part_id",), condition="status <> 'closed'"),
            CheckConstraint(name="refund_amount_positive", check="amount_fen > 0"),
        )
        indexes = (
            ("payment_id",),
            ("ended_at",),
            PartialIndex(name="refund_open", fields=("created_at",), condition="status not in ('succeeded', 'closed')"),
        )

    async def place(self) -> int:
        """Which refund of its part this is: 1 for the first."""
        return await Refund.filter(part_id=self.part_id, created_at__lte=self.created_at).count()
