"""Postings to the company (销账): telling a company that its bills are paid, all bills of a part or none."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class PostingStatus(StrEnum):
    """Where a posting stands."""

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    PROCESSING = "processing"
    POSTED = "posted"
    REFUSED = "refused"


_S = PostingStatus
_OPEN = (_S.SENDING, _S.UNKNOWN, _S.PROCESSING)

POSTING = Lifecycle(
    "posting",
    PostingStatus,
    initial=_S.PENDING,
    terminal=(_S.POSTED, _S.REFUSED),
    edges=(
        Edge(_S.PENDING, "send", _S.SENDING, ("system",)),
        Edge(_S.SENDING, "lost", _S.UNKNOWN, ("system",)),
        *(Edge(state, "postponed", _S.PENDING, ("company",)) for state in _OPEN),
        *(Edge(state, "absent", _S.PENDING, ("company",)) for state in _OPEN),
        *(Edge(state, "processing", _S.PROCESSING, ("company",)) for state in (_S.SENDING, _S.UNKNOWN)),
        *(Edge(state, "posted", _S.POSTED, ("company",), "posting.posted") for state in (*_OPEN, _S.PENDING)),
        *(Edge(state, "refused", _S.REFUSED, ("company",), "posting.refused") for state in _OPEN),
        Edge(_S.PENDING, "give_up", _S.REFUSED, ("system",), "posting.refused"),
    ),
)


class Posting(Model):
    """One telling, under one id for ever. The company keeps the id, so asking again cannot post twice."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    payment_id = fields.UUIDField()
    part_id = fields.UUIDField()
    company = fields.CharField(max_length=30)
    account: Any = fields.ForeignKeyField("models.UtilityAccount", related_name="postings", on_delete=fields.RESTRICT)
    account_id: Any
    company_quote_id = fields.CharField(max_length=64)
    total_fen = fields.BigIntField()
    serial = fields.CharField(max_length=64, null=True)
    refusal_code = fields.CharField(max_length=20, null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "posting"
        constraints = (
            UniqueConstraint(name="posting_live_once_per_part", fields=("part_id",), condition="status <> 'refused'"),
            CheckConstraint(name="posting_total_positive", check="total_fen > 0"),
            CheckConstraint(
                name="posting_end_has_time", check="(status in ('posted', 'refused')) = (ended_at is not null)"
            ),
        )
        indexes = (
            ("payment_id",),
            ("account_id",),
            ("ended_at",),
            PartialIndex(name="posting_open", fields=("created_at",), condition="status not in ('posted', 'refused')"),
        )


class PostingBill(Model):
    """A bill of a posting; `live` until the posting is refused, so a bill has at most one live posting.

    Of a bill that is paid in part, until the company has recorded that part.
    """

    id = fields.UUIDField(primary_key=True)
    posting: Any = fields.ForeignKeyField("models.Posting", related_name="bills", on_delete=fields.RESTRICT)
    posting_id: Any
    bill: Any = fields.ForeignKeyField("models.Bill", related_name="postings", on_delete=fields.RESTRICT)
    bill_id: Any
    amount_fen = fields.BigIntField()
    live = fields.BooleanField(default=True)
    whole = fields.BooleanField(default=True)
    """False when the bill stays open with its rest."""

    class Meta:
        table = "posting_bill"
        constraints = (
            UniqueConstraint(name="posting_bill_live_once", fields=("bill_id",), condition="live"),
            CheckConstraint(name="posting_bill_amount_positive", check="amount_fen > 0"),
        )
        indexes = (("posting_id",),)
