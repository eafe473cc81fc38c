"""Permits (并联审批): what bureaus have to allow before a company may dig, asked of all of them at once."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class PermitStatus(StrEnum):
    """Where a permit stands: its bureau has it, has said yes or no, or it is no longer needed."""

    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"
    DROPPED = "dropped"


_S = PermitStatus

PERMIT = Lifecycle(
    "permit",
    PermitStatus,
    initial=_S.ASKED,
    terminal=(_S.GRANTED, _S.REFUSED, _S.DROPPED),
    edges=(
        Edge(_S.ASKED, "grant", _S.GRANTED, ("staff",)),
        Edge(_S.ASKED, "refuse", _S.REFUSED, ("staff",)),
        Edge(_S.ASKED, "drop", _S.DROPPED, ("company", "staff", "system")),
    ),
)


class Permit(Model):
    """One kind of permit for one order, asked of one bureau; its clock is the deadline of this subject.

    `evidence`: the application's number at the bureau, or what was handed in. `answer`: the permit's number, or why not.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="permits", on_delete=fields.RESTRICT)
    order_id: Any
    company = fields.CharField(max_length=30)
    kind = fields.CharField(max_length=40)
    unit = fields.CharField(max_length=40)
    evidence = fields.CharField(max_length=200)
    asked_at = fields.DatetimeField()
    answer = fields.CharField(max_length=200, null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "permit"
        constraints = (
            UniqueConstraint(name="permit_once_at_a_time", fields=("order_id", "kind"), condition="ended_at is null"),
            CheckConstraint(name="permit_has_evidence", check="length(btrim(evidence)) >= 4"),
            CheckConstraint(name="permit_end_has_time", check="(status = 'asked') = (ended_at is null)"),
            CheckConstraint(
                name="permit_answer_says_what", check="status not in ('granted', 'refused') or answer is not null"
            ),
        )
        indexes = (
            ("order_id",),
            PartialIndex(name="permit_open", fields=("unit", "asked_at"), condition="ended_at is null"),
        )
