"""Bills: what a company says is owed for a utility account and a period, and quotes that fix their amounts for a payment."""

from enum import StrEnum
from typing import Any, NamedTuple, Self

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from models.lifecycle import Edge, Lifecycle

BILLS, TOP_UP = "bills", "top_up"
"""What a quote is for: bills that are owed, or money paid in advance."""


class BillStatus(StrEnum):
    """Where a bill stands."""

    OPEN = "open"
    POSTED = "posted"
    PAID_ELSEWHERE = "paid_elsewhere"
    VOID = "void"


BILL = Lifecycle(
    "bill",
    BillStatus,
    initial=BillStatus.OPEN,
    terminal=(BillStatus.POSTED, BillStatus.PAID_ELSEWHERE, BillStatus.VOID),
    edges=(
        Edge(BillStatus.OPEN, "post", BillStatus.POSTED, ("company",)),
        Edge(BillStatus.OPEN, "pay_elsewhere", BillStatus.PAID_ELSEWHERE, ("company",)),
        Edge(BillStatus.OPEN, "void", BillStatus.VOID, ("company",)),
        # The company's answer to our posting may come after a bill list in which it no longer stands as open.
        Edge(BillStatus.PAID_ELSEWHERE, "post", BillStatus.POSTED, ("company",)),
        Edge(BillStatus.VOID, "post", BillStatus.POSTED, ("company",)),
        Edge(BillStatus.PAID_ELSEWHERE, "correct_to_open", BillStatus.OPEN, ("company",)),
        Edge(BillStatus.VOID, "correct_to_open", BillStatus.OPEN, ("company",)),
    ),
)


class Bill(Model):
    """One bill. `payable_fen` = `principal_fen` + `late_fee_fen`; `lines` are the company's, they add up to the principal.

    Where the company takes a bill in parts, `paid_fen` has been paid of it and is no longer payable.
    """

    id = fields.UUIDField(primary_key=True)
    account: Any = fields.ForeignKeyField("models.UtilityAccount", related_name="bills", on_delete=fields.RESTRICT)
    account_id: Any
    company = fields.CharField(max_length=30)
    bill_no = fields.CharField(max_length=64)
    period = fields.CharField(max_length=7)
    status = fields.CharField(max_length=20)
    issued_on = fields.DateField()
    due_on = fields.DateField(null=True)
    principal_fen = fields.BigIntField()
    late_fee_fen = fields.BigIntField()
    paid_fen = fields.BigIntField(default=0)
    """What the company says has been paid of it so far."""
    payable_fen = fields.BigIntField()
    usage = fields.CharField(max_length=20, null=True)
    unit = fields.CharField(max_length=16, null=True)
    lines = fields.JSONField(default=list)
    basis: Any = fields.JSONField(null=True)
    """What the company says its lines were made from (docs/company-gateway.md §4); None: it does not say."""
    checked_at = fields.DatetimeField()
    paid_at = fields.DatetimeField(null=True)

    class Meta:
        table = "bill"
        constraints = (
            UniqueConstraint(name="bill_number_once", fields=("company", "bill_no")),
            CheckConstraint(
                name="bill_amounts_add_up",
                check="payable_fen = principal_fen + late_fee_fen - paid_fen and principal_fen >= 0 and late_fee_fen >= 0 and paid_fen >= 0",
            ),
            CheckConstraint(name="bill_period_shape", check="period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'"),
            CheckConstraint(
                name="bill_paid_has_time", check="status not in ('posted', 'paid_elsewhere') or paid_at is not null"
            ),
        )
        indexes = (("account_id", "period"),)


_OPEN = str(BillStatus.OPEN)
_PAID = (str(BillStatus.POSTED), str(BillStatus.PAID_ELSEWHERE))


class Standing(NamedTuple):
    """What has been paid of a bill and what is left of it, in fen, for those who only look."""

    paid_fen: int
    left_fen: int

    @classmethod
    def of(cls, status: str, principal_fen: int, late_fee_fen: int, paid_fen: int, payable_fen: int) -> Self:
        """A bill that is over has nothing left, whatever it said last while it was open."""
        if status == _OPEN:
            return cls(paid_fen, payable_fen)
        return cls(principal_fen + late_fee_fen if status in _PAID else paid_fen, 0)


class Quote(Model):
    """Amounts a company has fixed until `expires_at`; `lines` is {bill id: fen}. It must accompany a payment.

    With the `purpose` ``top_up`` it is about money in advance: no bill, and its one line is under its own id.
    """

    id = fields.UUIDField(primary_key=True)
    account: Any = fields.ForeignKeyField("models.UtilityAccount", related_name="quotes", on_delete=fields.RESTRICT)
    account_id: Any
    person: Any = fields.ForeignKeyField("models.Person", related_name="quotes", on_delete=fields.RESTRICT)
    person_id: Any
    """Who asked, for himself or for `organization`; nobody else can use it."""
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="quotes", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    basis = fields.CharField(max_length=10)
    """How the asker came to the account: binding, family or agent (see :mod:`models.access`), or scan."""
    company_quote_id = fields.CharField(max_length=64)
    lines = fields.JSONField()
    purpose = fields.CharField(max_length=10, default=BILLS)
    partial_bill_id = fields.UUIDField(null=True)
    """The bill of which less than the whole is to be paid, where the company takes that: the newest of the quote."""
    total_fen = fields.BigIntField()
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "quote"
        constraints = (
            CheckConstraint(name="quote_total_positive", check="total_fen > 0"),
            CheckConstraint(name="quote_purpose_known", check="purpose in ('bills', 'top_up')"),
            CheckConstraint(name="quote_basis_known", check="basis in ('binding', 'family', 'agent', 'scan')"),
            CheckConstraint(name="quote_lives_forward", check="expires_at > created_at"),
        )
        indexes = (("account_id",),)


class BillFile(Model):
    """A company's daily file that was taken whole; its trailer's count and sum."""

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    day = fields.DateField()
    bills = fields.IntField()
    payable_fen = fields.BigIntField()
    taken_at = fields.DatetimeField()

    class Meta:
        table = "bill_file"
        constraints = (UniqueConstraint(name="bill_file_once", fields=("company", "day")),)
