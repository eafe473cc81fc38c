"""No surcharge is possible (国办函〔2020〕129号): the database refuses a payment that is not the sum of what was quoted."""

from datetime import timedelta

import pytest

from core import clock, ids
from core.database import fetch, transaction, violated_constraint
from models.bill import Bill, BillStatus, Quote
from models.payment import Payment, PaymentLine, PaymentPart, PaymentStatus
from models.person import Person
from models.utility_account import UtilityAccount

FEN = 4199


@pytest.fixture
async def quote(database: None) -> Quote:
    now = clock.now()
    person = await Person.create(id=ids.new_id(), level=1, created_at=now)
    account = await UtilityAccount.create(
        id=ids.new_id(), company="water", service="water", number=b"n", number_index=b"n", holder_masked=b"h", address_masked=b"a",
        company_state="open", created_at=now,
    )  # fmt: skip
    bill = await Bill.create(
        id=ids.new_id(), account_id=account.id, company="water", bill_no="B1", period="2026-10", status=BillStatus.OPEN, issued_on=now.date(),
        principal_fen=FEN, late_fee_fen=0, payable_fen=FEN, checked_at=now,
    )  # fmt: skip
    return await _quote(account, person, {str(bill.id): FEN}, FEN)


async def _quote(account: UtilityAccount, person: Person, lines: dict[str, int], total_fen: int) -> Quote:
    now = clock.now()
    return await Quote.create(
        id=ids.new_id(), account_id=account.id, person_id=person.id, basis="scan", company_quote_id="Q1", lines=lines, total_fen=total_fen,
        created_at=now, expires_at=now + timedelta(minutes=10),
    )  # fmt: skip


async def pay(quote: Quote, *, total: int = FEN, part: int = FEN, line: int = FEN, key: str | None = None) -> Payment:
    now = clock.now()
    (bill_id,) = quote.lines
    async with transaction():
        payment = await Payment.create(
            id=ids.new_id(), status=PaymentStatus.CREATED, person_id=quote.person_id, actor_user_id=ids.new_id(), provider="wechat_pay",
            method="jsapi", total_fen=total, description="-", created_at=now, expires_at=now,
        )  # fmt: skip
        row = await PaymentPart.create(
            id=ids.new_id(), payment_id=payment.id, provider="wechat_pay", payee="water", merchant="1", order_number=payment.id.hex,
            description="-", basis="scan", quote_id=quote.id, amount_fen=part,
        )  # fmt: skip
        await PaymentLine.create(
            id=ids.new_id(), part_id=row.id, payment_id=payment.id, claim_key=key or f"bill:{bill_id}", amount_fen=line
        )
    return payment


async def test_what_was_quoted_may_be_paid(quote: Quote) -> None:
    assert (await pay(quote)).total_fen == FEN


@pytest.mark.parametrize(
    "more",
    [
        {"total": FEN + 1},
        {"total": FEN - 1},
        {"total": FEN + 100, "part": FEN + 100},
        {"total": FEN + 100, "part": FEN + 100, "line": FEN + 100},
        {"part": FEN - 1},
        {"line": FEN - 1},
        {"key": f"bill:{ids.new_id()}"},
        {"key": "fee:service"},
    ],
    ids=["total", "total below", "part", "line", "part below", "line below", "bill that was not quoted", "a fee"],
)
async def test_anything_beside_what_was_quoted_is_refused(quote: Quote, more: dict[str, int]) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 -- judged by the constraint it names
        await pay(quote, **more)  # type: ignore[arg-type]
    assert violated_constraint(refused.value) == "payment_no_surcharge"
    assert await Payment.all().count() == 0


@pytest.mark.parametrize(
    "change",
    [
        "update payment set total_fen = total_fen + 1",
        "update payment_part set amount_fen = amount_fen + 1",
        "update payment_line set amount_fen = amount_fen + 1",
        "update payment_line set claim_key = 'fee:service'",
    ],
)
async def test_nothing_is_added_afterwards(quote: Quote, change: str) -> None:
    await pay(quote)
    with pytest.raises(Exception) as refused:  # noqa: PT011 -- judged by the constraint it names
        async with transaction():
            await fetch(change)
    assert violated_constraint(refused.value) == "payment_no_surcharge"


async def test_a_quote_is_no_more_than_its_bills(quote: Quote) -> None:
    person = await Person.get(id=quote.person_id)
    account = await UtilityAccount.get(id=quote.account_id)
    (bill_id,) = quote.lines
    for lines, total_fen in (
        ({bill_id: FEN + 1}, FEN + 1),
        ({bill_id: FEN}, FEN + 1),
        ({str(ids.new_id()): FEN}, FEN),
        ({bill_id: FEN, str(ids.new_id()): 1}, FEN + 1),
    ):
        with pytest.raises(Exception) as refused:  # noqa: PT011 -- judged by the constraint it names
            await _quote(account, person, lines, total_fen)
        assert violated_constraint(refused.value) == "quote_no_surcharge"
