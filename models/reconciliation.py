"""Reconciliation: a run per day and file, the file's rows as they were, and each difference as an item somebody must explain."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle

COMPANY = "company"
"""The `source` of a company's posting file; every other source is a payment provider."""


class RunStatus(StrEnum):
    """Where a run stands: it waits for its file, has its rows, or has compared them."""

    WAITING = "waiting"
    TAKEN = "taken"
    MATCHED = "matched"


RECONCILIATION_RUN = Lifecycle(
    "reconciliation_run",
    RunStatus,
    initial=RunStatus.WAITING,
    terminal=(RunStatus.MATCHED,),
    edges=(
        Edge(RunStatus.WAITING, "file_taken", RunStatus.TAKEN, ("system",)),
        Edge(RunStatus.TAKEN, "compared", RunStatus.MATCHED, ("system",)),
    ),
)


class ItemStatus(StrEnum):
    """Where a difference stands: nobody has it, somebody has, a person says what it was, a later record explains it, two people agree."""

    OPEN = "open"
    IN_HAND = "in_hand"
    PROPOSED = "proposed"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


_S = ItemStatus

RECONCILIATION_ITEM = Lifecycle(
    "reconciliation_item",
    ItemStatus,
    initial=_S.OPEN,
    terminal=(_S.EXPLAINED, _S.RESOLVED),
    edges=(
        Edge(_S.OPEN, "take_up", _S.IN_HAND, ("staff",)),
        Edge(_S.IN_HAND, "propose", _S.PROPOSED, ("staff",)),
        Edge(_S.PROPOSED, "send_back", _S.IN_HAND, ("staff",)),
        *(Edge(state, "explain", _S.EXPLAINED, ("system",)) for state in (_S.OPEN, _S.IN_HAND, _S.PROPOSED)),
        *(Edge(state, "resolve", _S.RESOLVED, ("staff",)) for state in (_S.OPEN, _S.IN_HAND, _S.PROPOSED)),
        Edge(_S.RESOLVED, "correct_to_open", _S.OPEN, ("staff",)),
    ),
)


class ItemKind(StrEnum):
    """What differs. The list is closed."""

    MISSING_AT_PROVIDER = "missing_at_provider"
    MISSING_HERE = "missing_here"
    REFUND_MISSING_AT_PROVIDER = "refund_missing_at_provider"
    REFUND_MISSING_HERE = "refund_missing_here"
    AMOUNT_DIFFERS = "amount_differs"
    STATE_DIFFERS = "state_differs"
    NUMBER_DIFFERS = "number_differs"
    TWICE = "twice"
    FEE_TOO_HIGH = "fee_too_high"
    POSTED_NOT_PAID = "posted_not_paid"
    PAID_NOT_POSTED = "paid_not_posted"


class ReconciliationRun(Model):
    """One file of one day: of a provider for one merchant, or of a company. Counts, sums and hash are the file's.

    `fee_millifen`: a provider states its fees in thousandths of a fen. `late_at`: when the missing file was reported.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    day = fields.DateField()
    source = fields.CharField(max_length=20)
    party = fields.CharField(max_length=32)
    """The merchant's number at the provider, or the company's code."""
    company = fields.CharField(max_length=30)
    file_sha256 = fields.CharField(max_length=64, null=True)
    """Null until taken, and when the provider says that there was nothing to write down that day."""
    rows_taken = fields.IntField(null=True)
    paid_fen = fields.BigIntField(null=True)
    refunded_fen = fields.BigIntField(null=True)
    fee_millifen = fields.BigIntField(null=True)
    created_at = fields.DatetimeField()
    taken_at = fields.DatetimeField(null=True)
    compared_at = fields.DatetimeField(null=True)
    late_at = fields.DatetimeField(null=True)

    class Meta:
        table = "reconciliation_run"
        constraints = (
            UniqueConstraint(name="reconciliation_run_once", fields=("day", "source", "party")),
            CheckConstraint(
                name="reconciliation_run_taken_whole",
                check="(status <> 'waiting') = (num_nulls(rows_taken, paid_fen, refunded_fen, fee_millifen, taken_at) = 0)",
            ),
            CheckConstraint(
                name="reconciliation_run_compared_has_time", check="status <> 'matched' or compared_at is not null"
            ),
        )


class ReconciliationRow(Model):
    """One row of a file, without anything personal: `number` is ours, `other_number` the provider's or the company's.

    `copy` counts rows of one kind and number within a file, from 0.
    """

    id = fields.UUIDField(primary_key=True)
    run: Any = fields.ForeignKeyField("models.ReconciliationRun", related_name="rows", on_delete=fields.RESTRICT)
    run_id: Any
    kind = fields.CharField(max_length=10)
    number = fields.CharField(max_length=64)
    copy = fields.SmallIntField()
    other_number = fields.CharField(max_length=64)
    order_number = fields.CharField(max_length=64, null=True)
    """Of a refund: the order it belongs to."""
    amount_fen = fields.BigIntField()
    fee_millifen = fields.BigIntField()
    state = fields.CharField(max_length=20)
    at = fields.DatetimeField()

    class Meta:
        table = "reconciliation_row"
        constraints = (
            UniqueConstraint(name="reconciliation_row_once", fields=("run_id", "kind", "number", "copy")),
            CheckConstraint(name="reconciliation_row_kind_known", check="kind in ('trade', 'refund', 'posting')"),
        )
        indexes = (("kind", "number"),)


class ReconciliationItem(Model):
    """A difference, once for ever per source, party, kind and number. `owner` must act on it.

    `ours_fen` and `theirs_fen` are null where that side has nothing; `detail` is a fixed word or two states. `proposal` is what
    `proposed_by` says it was, which another member of staff has yet to agree with.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    run: Any = fields.ForeignKeyField("models.ReconciliationRun", related_name="items", on_delete=fields.RESTRICT)
    run_id: Any
    day = fields.DateField()
    source = fields.CharField(max_length=20)
    party = fields.CharField(max_length=32)
    company = fields.CharField(max_length=30)
    kind = fields.CharField(max_length=30)
    subject = fields.CharField(max_length=10)
    number = fields.CharField(max_length=64)
    part_id = fields.UUIDField(null=True)
    refund_id = fields.UUIDField(null=True)
    posting_id = fields.UUIDField(null=True)
    ours_fen = fields.BigIntField(null=True)
    theirs_fen = fields.BigIntField(null=True)
    detail = fields.CharField(max_length=80, default="")
    owner = fields.CharField(max_length=20)
    taken_by = fields.UUIDField(null=True)
    proposed_by = fields.UUIDField(null=True)
    proposal = fields.CharField(max_length=200, null=True)
    opened_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "reconciliation_item"
        constraints = (
            CheckConstraint(
                name="reconciliation_item_proposal_has_author", check="(proposal is null) = (proposed_by is null)"
            ),
            CheckConstraint(
                name="reconciliation_item_proposed_says_what", check="status <> 'proposed' or proposal is not null"
            ),
            UniqueConstraint(name="reconciliation_item_once", fields=("source", "party", "kind", "subject", "number")),
            CheckConstraint(
                name="reconciliation_item_owner_known", check="owner in ('platform_operator', 'company_finance')"
            ),
            CheckConstraint(
                name="reconciliation_item_end_has_time",
                check="(status in ('explained', 'resolved')) = (ended_at is not null)",
            ),
        )
        indexes = (
            ("run_id",),
            ("day",),
            PartialIndex(
                name="reconciliation_item_open",
                fields=("opened_at",),
                condition="status not in ('explained', 'resolved')",
            ),
        )
