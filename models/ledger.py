"""Double entry in integer fen. Rows are never changed; a reversal is a new transaction that names the old one."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model


class LedgerAccount(Model):
    """A bookkeeping account: `kind` clearing (what the provider holds for the merchant), suspense, or posted (with the company)."""

    id = fields.IntField(primary_key=True)
    kind = fields.CharField(max_length=20)
    provider = fields.CharField(max_length=20)
    merchant = fields.CharField(max_length=32)

    class Meta:
        table = "ledger_account"
        constraints = (
            UniqueConstraint(name="ledger_account_once", fields=("kind", "provider", "merchant")),
            CheckConstraint(name="ledger_account_kind_known", check="kind in ('clearing', 'suspense', 'posted')"),
        )


class LedgerTransaction(Model):
    """One booking of `kind` (received, posted, refunded) about one row; the pair is unique, so nothing is booked twice."""

    id = fields.UUIDField(primary_key=True)
    kind = fields.CharField(max_length=20)
    subject = fields.CharField(max_length=40)
    subject_id = fields.UUIDField()
    reverses_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "ledger_transaction"
        constraints = (
            UniqueConstraint(name="ledger_transaction_once", fields=("kind", "subject", "subject_id")),
            CheckConstraint(name="ledger_transaction_kind_known", check="kind in ('received', 'posted', 'refunded')"),
        )


class LedgerEntry(Model):
    """One leg. Positive is debit; the legs of a transaction sum to 0 (deferred constraint trigger)."""

    id = fields.UUIDField(primary_key=True)
    transaction: Any = fields.ForeignKeyField(
        "models.LedgerTransaction", related_name="entries", on_delete=fields.RESTRICT
    )
    transaction_id: Any
    account: Any = fields.ForeignKeyField("models.LedgerAccount", related_name="entries", on_delete=fields.RESTRICT)
    account_id: Any
    amount_fen = fields.BigIntField()

    class Meta:
        table = "ledger_entry"
        constraints = (CheckConstraint(name="ledger_entry_not_zero", check="amount_fen <> 0"),)
        indexes = (("transaction_id",), ("account_id",))
