"""What a company is told of a service order, in order, each until it has answered: the order, a corrected one, what became of it on our side."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class TellingStatus(StrEnum):
    """Where a telling stands."""

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    TOLD = "told"
    REFUSED = "refused"
    AT_DESK = "at_desk"
    """The company has no interface for orders: its staff see it in the staff pages."""


_S = TellingStatus
_OPEN = (_S.SENDING, _S.UNKNOWN)

ORDER_TELLING = Lifecycle(
    "order_telling",
    TellingStatus,
    initial=_S.PENDING,
    terminal=(_S.TOLD, _S.REFUSED, _S.AT_DESK),
    edges=(
        Edge(_S.PENDING, "send", _S.SENDING, ("system",)),
        Edge(_S.PENDING, "lay_down", _S.AT_DESK, ("system",)),
        Edge(_S.SENDING, "lost", _S.UNKNOWN, ("system",)),
        *(Edge(state, "absent", _S.PENDING, ("company", "system")) for state in _OPEN),
        *(Edge(state, "told", _S.TOLD, ("company",)) for state in _OPEN),
        *(Edge(state, "refused", _S.REFUSED, ("company",)) for state in _OPEN),
    ),
)


class OrderTelling(Model):
    """One thing to tell, under its own id for ever; of an order they leave one after the other, by `number`.

    `revision`: of the order's content, from 1. `notice` and `data`: codes, numbers and times only.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="tellings", on_delete=fields.RESTRICT)
    order_id: Any
    company = fields.CharField(max_length=30)
    number = fields.SmallIntField()
    kind = fields.CharField(max_length=12)
    revision = fields.SmallIntField(null=True)
    notice = fields.CharField(max_length=30, null=True)
    data = fields.JSONField(default=dict)
    cause_id = fields.UUIDField()
    """The event that made it necessary: heard twice, it is told once."""
    company_number = fields.CharField(max_length=64, null=True)
    refusal_code = fields.CharField(max_length=20, null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "order_telling"
        constraints = (
            UniqueConstraint(name="order_telling_number_once", fields=("order_id", "number")),
            UniqueConstraint(name="order_telling_cause_once", fields=("order_id", "cause_id")),
            UniqueConstraint(name="order_telling_revision_once", fields=("order_id", "revision")),
            CheckConstraint(
                name="order_telling_kind_whole",
                check="kind in ('order', 'withdrawal', 'notice') and (kind = 'order') = (revision is not null)"
                " and (kind <> 'order') = (notice is not null)",
            ),
            CheckConstraint(
                name="order_telling_end_has_time",
                check="(status in ('told', 'refused', 'at_desk')) = (ended_at is not null)",
            ),
        )
        indexes = (
            PartialIndex(
                name="order_telling_open",
                fields=("created_at",),
                condition="status not in ('told', 'refused', 'at_desk')",
            ),
        )
