"""容缺受理: a paper that is promised for a day instead of handed in, what was signed for it, and what became of the promise."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class ToleranceStatus(StrEnum):
    """Where a promise stands. Overdue is no end: the paper is still owed, and frees what waits for it when it comes."""

    PROMISED = "promised"
    OVERDUE = "overdue"
    FULFILLED = "fulfilled"
    LATE = "late"
    RELEASED = "released"


_S = ToleranceStatus

TOLERANCE = Lifecycle(
    "tolerance",
    ToleranceStatus,
    initial=_S.PROMISED,
    terminal=(_S.FULFILLED, _S.LATE, _S.RELEASED),
    edges=(
        Edge(_S.PROMISED, "fulfil", _S.FULFILLED, ("person", "system"), "tolerance.fulfilled"),
        Edge(_S.PROMISED, "pass_due", _S.OVERDUE, ("system",), "tolerance.overdue"),
        Edge(_S.OVERDUE, "fulfil", _S.LATE, ("person", "system"), "tolerance.fulfilled_late"),
        Edge(_S.PROMISED, "release", _S.RELEASED, ("system", "staff"), "tolerance.released"),
        Edge(_S.OVERDUE, "release", _S.RELEASED, ("system", "staff"), "tolerance.released"),
    ),
)
"""``release``: the paper is no longer asked for (the application was withdrawn, or a source has it after all)."""


class Tolerance(Model):
    """One promised paper of one application. `statement_sha256` is the hash of the exact text that was signed, which can be made again
    from the pack's version of `signed_at` and the columns here; `proved_at` is when the signer had last proved who he is.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    application_id = fields.UUIDField()
    requirement = fields.CharField(max_length=40)
    services: Any = ArrayField("text")
    """For which services the paper is asked: gas is not turned on while one of these is open."""
    person: Any = fields.ForeignKeyField(
        "models.Person", related_name="tolerances", on_delete=fields.RESTRICT, null=True
    )
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="tolerances", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    signer_id = fields.UUIDField()
    """The person who signed: himself, or the organization's agent."""
    actor_user_id = fields.UUIDField()
    due_on = fields.DateField()
    statement = fields.BinaryField()
    statement_sha256 = fields.BinaryField()
    proved_at = fields.DatetimeField()
    signed_at = fields.DatetimeField()
    reminded_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)
    material: Any = fields.ForeignKeyField(
        "models.Material", related_name="fulfilled", on_delete=fields.RESTRICT, null=True
    )
    material_id: Any

    class Meta:
        table = "tolerance"
        constraints = (
            CheckConstraint(name="tolerance_one_principal", check="num_nonnulls(person_id, organization_id) = 1"),
            CheckConstraint(
                name="tolerance_end_has_time",
                check="(status in ('fulfilled', 'late', 'released')) = (ended_at is not null)",
            ),
            CheckConstraint(
                name="tolerance_signed_whole", check="length(statement_sha256) = 32 and proved_at <= signed_at"
            ),
            UniqueConstraint(
                name="tolerance_open_once",
                fields=("application_id", "requirement"),
                condition="status in ('promised', 'overdue')",
            ),
        )
        indexes = (
            ("application_id",),
            ("person_id",),
            ("organization_id",),
            PartialIndex(name="tolerance_open", fields=("due_on",), condition="status in ('promised', 'overdue')"),
        )
