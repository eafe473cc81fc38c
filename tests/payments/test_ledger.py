"""Bookings sum to 0, happen once, and never put back more than came in."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from core import clock, ids
from core.database import fetch, fetch_one, transaction, violated_constraint
from models.bill import Bill, BillStatus, Quote
from models.payment import Payment, PaymentLine, PaymentPart, PaymentStatus
from models.person import Person
from models.refund import Refund, RefundStatus
from models.utility_account import UtilityAccount
from payments import ledger
from payments.ledger import Booking, LedgerAccountMissing

PROVIDER, WATER, POWER = "wechat_pay", "1900000101", "1900000102"


@pytest.fixture
async def accounts(database: None) -> None:
    """The accounts of two merchants, opened twice."""
    for _ in range(2):
        await ledger.open_accounts(PROVIDER, [WATER, POWER])


@pytest.fixture
async def part(accounts: None) -> PaymentPart:
    """A paid part of 1000 fen."""
    now = clock.now()
    person = await Person.create(id=ids.new_id(), level=1, created_at=now)
    account = await UtilityAccount.create(
        id=ids.new_id(), company="water", service="water", number=b"n", number_index=b"n", holder_masked=b"h", address_masked=b"a",
        company_state="open", created_at=now,
    )  # fmt: skip
    bill = await Bill.create(
        id=ids.new_id(), account_id=account.id, company="water", bill_no="B1", period="2026-10", status=BillStatus.OPEN, issued_on=now.date(),
        principal_fen=1000, late_fee_fen=0, payable_fen=1000, checked_at=now,
    )  # fmt: skip
    quote = await Quote.create(
        id=ids.new_id(), account_id=account.id, person_id=person.id, basis="scan", company_quote_id="Q1", lines={str(bill.id): 1000},
        total_fen=1000, created_at=now, expires_at=now + timedelta(minutes=10),
    )  # fmt: skip
    async with transaction():
        payment = await Payment.create(
            id=ids.new_id(), status=PaymentStatus.SUCCEEDED, person_id=person.id, actor_user_id=ids.new_id(), provider=PROVIDER,
            method="jsapi", total_fen=1000, description="-", created_at=now, expires_at=now, paid_at=now,
        )  # fmt: skip
        part = await PaymentPart.create(
            id=ids.new_id(), payment_id=payment.id, provider=PROVIDER, payee="water", merchant=WATER, order_number="o1", description="-",
            basis="scan", quote_id=quote.id, amount_fen=1000, provider_transaction="t1", received_fen=1000,
        )  # fmt: skip
        await PaymentLine.create(
            id=ids.new_id(), part_id=part.id, payment_id=payment.id, claim_key=f"bill:{bill.id}", amount_fen=1000
        )
    return part


async def _balances(merchant: str = WATER) -> dict[str, int]:
    rows = await fetch(
        "select a.kind, coalesce(sum(e.amount_fen), 0)::bigint as fen from ledger_account a left join ledger_entry e on e.account_id = a.id"
        " where a.merchant = $1 group by a.kind",
        merchant,
    )
    return {row["kind"]: row["fen"] for row in rows}


async def _book(kind: Booking, subject_id: UUID, fen: int, merchant: str = WATER) -> None:
    async with transaction():
        await ledger.book(kind, "test", subject_id, provider=PROVIDER, merchant=merchant, amount_fen=fen)


async def test_each_merchant_has_three_accounts_once(accounts: None) -> None:
    rows = await fetch("select kind, merchant from ledger_account")
    assert len(rows) == 6
    assert {row["kind"] for row in rows} == {"clearing", "suspense", "posted"}


async def test_money_goes_from_suspense_to_the_company_or_back(accounts: None) -> None:
    one, two = ids.new_id(), ids.new_id()
    await _book("received", one, 700)
    await _book("received", two, 300)
    assert await _balances() == {"clearing": 1000, "suspense": -1000, "posted": 0}
    await _book("posted", one, 700)
    assert await _balances() == {"clearing": 1000, "suspense": -300, "posted": -700}
    await _book("refunded", two, 300)
    assert await _balances() == {"clearing": 700, "suspense": 0, "posted": -700}
    assert await _balances(POWER) == {"clearing": 0, "suspense": 0, "posted": 0}
    row = await fetch_one("select count(*) as legs, sum(amount_fen) as sum from ledger_entry")
    assert row is not None
    assert (row["legs"], row["sum"]) == (8, 0)


async def test_nothing_is_booked_twice_even_at_once(accounts: None) -> None:
    subject = ids.new_id()
    done = await asyncio.gather(*(_book("received", subject, 700) for _ in range(5)), return_exceptions=True)
    failed = [error for error in done if isinstance(error, BaseException)]
    assert [violated_constraint(error) for error in failed] == ["ledger_transaction_once"] * 4
    assert await _balances() == {"clearing": 700, "suspense": -700, "posted": 0}


async def test_an_unknown_merchant_books_nothing(accounts: None) -> None:
    with pytest.raises(LedgerAccountMissing):
        await _book("received", ids.new_id(), 700, "nobody")
    assert await fetch("select 1 from ledger_transaction") == []


async def test_nothing_is_no_booking(accounts: None) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await _book("received", ids.new_id(), 0)
    assert violated_constraint(refused.value) == "ledger_entry_not_zero"


async def _unbalanced(reached: list[str], *legs: int) -> None:
    async with transaction():
        booking = ids.new_id()
        await fetch(
            "insert into ledger_transaction (id, kind, subject, subject_id, at) values ($1, 'received', 'test', $1, $2)",
            booking,
            clock.now(),
        )
        for fen in legs:
            await fetch(
                "insert into ledger_entry (id, transaction_id, account_id, amount_fen) select $1, $2, id, $3 from ledger_account limit 1",
                ids.new_id(), booking, fen,
            )  # fmt: skip
        reached.append("commit")


@pytest.mark.parametrize("legs", [(5,), (5, -4), (5, -5, 1)])
async def test_an_unbalanced_booking_is_refused_when_it_is_committed(accounts: None, legs: tuple[int, ...]) -> None:
    reached: list[str] = []
    with pytest.raises(Exception, match="does not sum to 0") as refused:
        await _unbalanced(reached, *legs)
    assert reached == ["commit"], "its legs may come one after another"
    assert violated_constraint(refused.value) == "ledger_transaction_balanced"
    assert await fetch("select 1 from ledger_entry union all select 1 from ledger_transaction") == []
    await _unbalanced(reached, 5, -5)


async def _refund(part: PaymentPart, fen: int, status: RefundStatus = RefundStatus.REQUESTED) -> Refund:
    refund_id = ids.new_id()
    return await Refund.create(
        id=refund_id, status=status, payment_id=part.payment_id, part_id=part.id, refund_number=refund_id.hex, amount_fen=fen,
        reason="paid_late", created_at=clock.now(),
    )  # fmt: skip


async def test_a_refund_never_exceeds_its_part(part: PaymentPart) -> None:
    with pytest.raises(Exception, match="exceed") as refused:
        await _refund(part, 1001)
    assert violated_constraint(refused.value) == "refund_within_part"
    refund = await _refund(part, 1000)
    with pytest.raises(Exception, match="exceed"):
        await fetch("update refund set amount_fen = 1001 where id = $1", refund.id)


async def test_one_refund_lives_and_a_closed_one_makes_room(part: PaymentPart) -> None:
    first = await _refund(part, 600)
    with pytest.raises(Exception, match="refund_live_once_per_part"):
        await _refund(part, 400)
    with pytest.raises(Exception, match="exceed"):
        await _refund(part, 401)
    await fetch("update refund set status = 'closed' where id = $1", first.id)
    await _refund(part, 1000)
    with pytest.raises(Exception, match="exceed"):
        await fetch("update refund set status = 'requested' where id = $1", first.id)


async def test_two_refunds_at_once_do_not_slip_through_together(part: PaymentPart) -> None:
    done = await asyncio.gather(*(_refund(part, 600) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, Refund) for one in done) == 1
    row = await fetch_one("select sum(amount_fen) as fen from refund")
    assert row is not None
    assert row["fen"] == 600
