"""Bookings. Every fen is in suspense from its first second, then posted to the company or refunded to the payer.

=========  ==========  =========
booking    debit       credit
=========  ==========  =========
received   clearing    suspense
posted     suspense    posted
refunded   suspense    clearing
=========  ==========  =========

Accounts are per provider and merchant. The legs of a booking sum to 0 (deferred constraint trigger); a booking of the same kind
about the same row is impossible (unique).
"""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from core import clock, ids
from core.database import fetch
from core.errors import LianbanError

Booking = Literal["received", "posted", "refunded"]
_LEGS: dict[Booking, tuple[str, str]] = {
    "received": ("clearing", "suspense"),
    "posted": ("suspense", "posted"),
    "refunded": ("suspense", "clearing"),
}

_BOOK = """
with booking as (
  insert into ledger_transaction (id, kind, subject, subject_id, at) values ($1, $2, $3, $4, $5) returning id
), legs as (
  select gen_random_uuid() as id, a.id as account_id, case a.kind when $9 then $8::bigint else -$8::bigint end as amount_fen
  from ledger_account a where a.provider = $6 and a.merchant = $7 and a.kind in ($9, $10)
)
insert into ledger_entry (id, transaction_id, account_id, amount_fen)
select legs.id, booking.id, legs.account_id, legs.amount_fen from booking, legs returning id
"""


class LedgerAccountMissing(LianbanError):
    """A merchant whose accounts were not opened at start-up."""

    code = "internal"


async def open_accounts(provider: str, merchants: Iterable[str]) -> None:
    """Make sure that each merchant has its three accounts; done at start-up, may be repeated."""
    for merchant in merchants:
        await fetch(
            "insert into ledger_account (kind, provider, merchant) select kind, $1, $2 from unnest(array['clearing', 'suspense', 'posted']) kind"
            " on conflict do nothing",
            provider, merchant,
        )  # fmt: skip


async def book(kind: Booking, subject: str, subject_id: UUID, *, provider: str, merchant: str, amount_fen: int) -> None:
    """Book `amount_fen` about one row, in the caller's transaction.

    Raises:
        LedgerAccountMissing: the merchant is unknown to the ledger.
        IntegrityConstraintViolationError: booked before (``ledger_transaction_once``).
    """
    debit, credit = _LEGS[kind]
    legs = await fetch(
        _BOOK, ids.new_id(), kind, subject, subject_id, clock.now(), provider, merchant, amount_fen, debit, credit
    )
    if len(legs) != 2:
        raise LedgerAccountMissing(f"{provider} {merchant}")


async def suspense() -> dict[str, int]:
    """Fen in suspense by provider: received, neither posted nor refunded yet. Reads every leg of the suspense accounts."""
    rows = await fetch(
        "select a.provider, coalesce(-sum(e.amount_fen), 0)::bigint as fen from ledger_account a"
        " left join ledger_entry e on e.account_id = a.id where a.kind = 'suspense' group by a.provider"
    )
    return {row["provider"]: row["fen"] for row in rows}
