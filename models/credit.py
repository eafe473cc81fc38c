"""Credit records: a promise broken, or a paper that was not true; with notice, objection, decision and repair."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class CreditStatus(StrEnum):
    """Where a record stands. Only a confirmed one bars its subject from promising papers."""

    NOTICED = "noticed"
    OBJECTED = "objected"
    CONFIRMED = "confirmed"
    REVOKED = "revoked"
    REPAIRED = "repaired"


_S = CreditStatus

CREDIT_RECORD = Lifecycle(
    "credit_record",
    CreditStatus,
    initial=_S.NOTICED,
    terminal=(_S.REVOKED, _S.REPAIRED),
    edges=(
        Edge(_S.NOTICED, "object", _S.OBJECTED, ("person",), "credit_record.objected"),
        Edge(_S.NOTICED, "confirm", _S.CONFIRMED, ("system",), "credit_record.confirmed"),
        Edge(_S.OBJECTED, "dismiss_objection", _S.CONFIRMED, ("staff",), "credit_record.confirmed"),
        Edge(_S.OBJECTED, "uphold_objection", _S.REVOKED, ("staff",), "credit_record.revoked"),
        Edge(_S.NOTICED, "revoke", _S.REVOKED, ("staff",), "credit_record.revoked"),
        Edge(_S.CONFIRMED, "repair", _S.REPAIRED, ("staff",), "credit_record.repaired"),
    ),
)


class CreditRecord(Model):
    """What a subject is held to have done. `evidence_kind` and `evidence_id` name the row that shows it."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    person: Any = fields.ForeignKeyField(
        "models.Person", related_name="credit_records", on_delete=fields.RESTRICT, null=True
    )
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="credit_records", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    event = fields.CharField(max_length=30)
    evidence_kind = fields.CharField(max_length=40)
    evidence_id = fields.UUIDField()
    noticed_at = fields.DatetimeField()
    objection_until = fields.DateField()
    objection = fields.BinaryField(null=True)
    decided_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "credit_record"
        constraints = (
            CheckConstraint(name="credit_record_one_subject", check="num_nonnulls(person_id, organization_id) = 1"),
            CheckConstraint(name="credit_record_event_known", check="event in ('promise_overdue', 'false_material')"),
            CheckConstraint(
                name="credit_record_end_has_time", check="(status in ('revoked', 'repaired')) = (ended_at is not null)"
            ),
            CheckConstraint(name="credit_record_objection_said", check="status <> 'objected' or objection is not null"),
            UniqueConstraint(name="credit_record_once", fields=("event", "evidence_kind", "evidence_id")),
        )
        indexes = (
            ("person_id",),
            ("organization_id",),
            PartialIndex(name="credit_record_waiting", fields=("objection_until",), condition="status = 'noticed'"),
        )
