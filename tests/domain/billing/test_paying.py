"""Who may pay which bills, who pushes whom aside, and what the same request twice does."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from core.database import transaction
from core.errors import LianbanError, NotFound
from domain.billing.accounts import CompanyAway
from domain.billing.paying import (
    AlreadyPaid,
    PaymentClosing,
    PaymentInProgress,
    QuoteStale,
    TooManyPayments,
)
from domain.billing.quoted import BillNotInQuote
from domain.billing.quotes import AccountNotPayable, NothingOwed
from jobs import timetable
from models.idempotency import KeyInFlight, KeyReused
from models.lifecycle import Actor
from models.payment import Claim, Payment
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def number(spine: Spine) -> str:
    return await spine.account(FEN)


async def _live() -> list[Payment]:
    claims = await Claim.filter(freed_at=None).prefetch_related("payment")
    return [claim.payment for claim in claims]


# Quotes


async def test_what_a_company_that_is_away_is_owed_is_unknown_and_never_zero(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN)
    token = await spine.qr(number)
    await spine.fault(f"company:{WATER}", "query_bills", "error", status=500, times=2)
    seen = await spine.services.quotes.scan(token)
    assert (seen.total_fen, seen.bill_count, seen.checked_at) == (None, None, None)
    with pytest.raises(CompanyAway):
        await spine.services.quotes.for_scan(citizen.caller, token)
    seen = await spine.services.quotes.scan(token)
    assert (seen.total_fen, seen.bill_count) == (FEN, 1)


async def test_what_was_known_an_hour_ago_is_unknown_while_the_company_is_away(spine: Spine) -> None:
    token = await spine.qr(await spine.account(FEN))
    await spine.services.quotes.scan(token)
    await spine.travel(60 * MINUTE)
    await spine.fault(f"company:{WATER}", "query_bills", "drop")
    seen = await spine.services.quotes.scan(token)
    assert seen.total_fen is None
    assert seen.checked_at is not None


async def test_nothing_owed_is_said_and_gives_no_quote(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account()
    token = await spine.qr(number)
    assert (await spine.services.quotes.scan(token)).total_fen == 0
    with pytest.raises(NothingOwed):
        await spine.services.quotes.for_scan(citizen.caller, token)


@pytest.mark.parametrize("state", ["frozen", "closed"])
async def test_an_account_frozen_or_closed_at_the_company_cannot_be_paid(
    spine: Spine, citizen: Citizen, number: str, state: str
) -> None:
    await spine.control("POST", f"/companies/{WATER}/accounts", {"number": number, "status": state})
    with pytest.raises(AccountNotPayable) as refused:
        await spine.quote(citizen, number)
    assert refused.value.data == {"company": WATER, "state": state}


async def test_an_expired_quote_creates_nothing_and_says_what_is_owed_now(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    quote = await spine.quote(citizen, number)
    await spine.travel(quote.quote.expires_at - quote.quote.created_at + timedelta(seconds=1))
    with pytest.raises(QuoteStale) as stale:
        await spine.create(citizen, quote)
    assert stale.value.data == {
        "bills": [{"bill_id": str(quote.bills[0].id), "payable_fen": FEN}],
        "total_fen": FEN,
    }
    assert await Payment.all().count() == await Claim.all().count() == 0


async def test_a_stale_quote_of_a_company_that_is_away_says_unknown_not_zero(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    quote = await spine.quote(citizen, number)
    await spine.travel(31 * MINUTE)
    await spine.fault(f"company:{WATER}", "query_bills", "drop")
    with pytest.raises(QuoteStale) as stale:
        await spine.create(citizen, quote)
    assert stale.value.data == {"bills": None, "total_fen": None}


async def test_a_bill_that_has_changed_since_the_quote_creates_nothing(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account()
    bill_no = await spine.bill(number, FEN)
    quote = await spine.quote(citizen, number)
    await spine.bill(number, FEN + 101, bill_no=bill_no)
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    with pytest.raises(QuoteStale) as stale:
        await spine.create(citizen, quote)
    assert stale.value.data["total_fen"] == FEN + 101
    assert await Payment.all().count() == 0


async def test_a_bill_paid_at_the_counter_since_the_quote_creates_nothing(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account()
    bill_no = await spine.bill(number, FEN)
    quote = await spine.quote(citizen, number)
    await spine.bill(number, FEN, bill_no=bill_no, status="paid")
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    with pytest.raises(QuoteStale) as stale:
        await spine.create(citizen, quote)
    assert stale.value.data == {"bills": [], "total_fen": 0}


async def test_a_quote_is_its_askers_only(spine: Spine, citizen: Citizen, number: str) -> None:
    quote = await spine.quote(citizen, number)
    with pytest.raises(NotFound):
        await spine.create(await spine.citizen(), quote)


async def test_a_quote_of_a_binder_ends_with_his_binding(spine: Spine, citizen: Citizen, number: str) -> None:
    binding = await spine.bind(citizen, number)
    quote = await spine.quote(citizen, number)
    await spine.services.accounts.revoke(binding.id, citizen.principal)
    with pytest.raises(NotFound):
        await spine.create(citizen, quote)


async def test_a_bill_of_another_quote_is_refused(spine: Spine, citizen: Citizen, number: str) -> None:
    quote = await spine.quote(citizen, number)
    other = await spine.quote(citizen, await spine.account(1))
    with pytest.raises(BillNotInQuote) as refused:
        await spine.create(citizen, quote, bills=[other.bills[0].id])
    assert refused.value.data == {"bill_id": str(other.bills[0].id)}
    assert await Payment.all().count() == 0


async def test_some_of_the_bills_may_be_paid_and_the_others_later(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(100, 20, 3)
    quote = await spine.quote(citizen, number)
    first = await spine.created(await spine.create(citizen, quote, bills=[quote.bills[0].id]))
    assert first.total_fen == 100
    rest = await spine.created(await spine.create(citizen, quote, bills=[quote.bills[2].id, quote.bills[1].id]))
    assert rest.total_fen == 23
    for payment in (first, rest):
        await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    assert await spine.balance("posted") == 123


async def test_a_bill_named_twice_is_paid_once(spine: Spine, citizen: Citizen, number: str) -> None:
    quote = await spine.quote(citizen, number)
    payment = await spine.created(await spine.create(citizen, quote, bills=[quote.bills[0].id] * 2))
    assert payment.total_fen == FEN


# Who pushes whom aside


async def test_the_same_payer_replaces_his_own_payment_at_once(spine: Spine, citizen: Citizen, number: str) -> None:
    first = await spine.payment(citizen, number)
    await spine.order(citizen, first)
    second = await spine.payment(citizen, number)
    await first.refresh_from_db()
    assert first.status == "closed"
    assert [payment.id for payment in await _live()] == [second.id]
    order = await spine.order_at_provider(first)
    assert order is not None
    assert order["trade_state"] == "CLOSED"


async def test_one_who_has_just_paid_is_told_so_and_pays_no_second_time(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    first = await spine.payment(citizen, number)
    await spine.pay(citizen, first)  # and nobody has told us yet
    with pytest.raises(AlreadyPaid) as refused:
        await spine.payment(citizen, number)
    assert refused.value.data == {"payment_id": str(first.id)}
    assert await Payment.all().count() == 1
    await spine.jobs.run()


async def test_while_ones_own_payment_cannot_be_closed_no_second_one_is_made(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    first = await spine.payment(citizen, number)
    await spine.order(citizen, first)
    quote = await spine.quote(citizen, number)
    await spine.fault("wechat_pay", "close", "error", status=500)
    with pytest.raises(PaymentClosing):
        await spine.create(citizen, quote)
    assert [payment.id for payment in await _live()] == [first.id]
    second = await spine.created(await spine.create(citizen, quote))
    assert [payment.id for payment in await _live()] == [second.id]


async def test_another_payer_waits_and_learns_only_how_long(spine: Spine, citizen: Citizen, number: str) -> None:
    first = await spine.payment(citizen, number)
    await spine.travel(3 * MINUTE)
    with pytest.raises(PaymentInProgress) as refused:
        await spine.payment(await spine.citizen(), number)
    assert refused.value.data.keys() == {"retry_after_s"}
    assert 6 * 60 < refused.value.data["retry_after_s"] <= 7 * 60 + 1
    assert [payment.id for payment in await _live()] == [first.id]


async def test_another_payer_of_a_bill_just_paid_does_not_learn_by_which_payment(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    other = await spine.citizen()
    quote = await spine.quote(other, number)
    payment = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, payment))
    await spine.fault(f"company:{WATER}", "post_payment", "error", status=500)
    await spine.jobs.run()
    with pytest.raises(AlreadyPaid) as refused:
        await spine.create(other, quote)
    assert refused.value.data == {"payment_id": None}
    await spine.jobs.pass_time(MINUTE)


async def test_a_binder_displaces_who_only_scanned(spine: Spine, citizen: Citizen, number: str) -> None:
    scanner, binder = citizen, await spine.citizen()
    await spine.bind(binder, number)
    first = await spine.payment(scanner, number)
    params = await spine.order(scanner, first)
    second = await spine.payment(binder, number)
    await first.refresh_from_db()
    assert first.status == "closed"
    assert [payment.id for payment in await _live()] == [second.id]
    assert (await spine.control("POST", f"/people/{scanner.phone_id}/pay", params))["result"] == "fail"
    await spine.jobs.run()


async def test_nobody_gives_way_for_a_request_that_is_not_tried_again(
    spine: Spine, citizen: Citizen, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spine.bind(citizen, number)
    scanners = [await spine.citizen() for _ in range(4)]
    quotes = [(scanner, await spine.quote(scanner, number)) for scanner in scanners]
    payments = [await spine.created(await spine.create(*quotes.pop(0)))]
    close = spine.services.follower.close

    async def closed_and_at_once_another_begins(payment: Payment, actor: Actor) -> None:
        await close(payment, actor)
        payments.append(await spine.created(await spine.create(*quotes.pop(0))))

    monkeypatch.setattr(spine.services.follower, "close", closed_and_at_once_another_begins)
    with pytest.raises(PaymentInProgress):
        await spine.payment(citizen, number)
    assert [payment.id for payment in await _live()] == [payments[-1].id]
    assert len(payments) == 3


async def test_nobody_displaces_a_binder(spine: Spine, citizen: Citizen, number: str) -> None:
    binder = citizen
    await spine.bind(binder, number)
    first = await spine.payment(binder, number)
    with pytest.raises(PaymentInProgress):
        await spine.payment(await spine.citizen(), number)
    other_binder = await spine.citizen()
    await spine.bind(other_binder, number)
    with pytest.raises(PaymentInProgress):
        await spine.payment(other_binder, number)
    assert [payment.id for payment in await _live()] == [first.id]
    await spine.jobs.run()


async def test_a_scanner_who_has_paid_is_not_displaced(spine: Spine, citizen: Citizen, number: str) -> None:
    binder = await spine.citizen()
    await spine.bind(binder, number)
    first = await spine.payment(citizen, number)
    await spine.pay(citizen, first)
    with pytest.raises(AlreadyPaid):
        await spine.payment(binder, number)
    await first.refresh_from_db()
    assert first.status == "succeeded"
    await spine.jobs.run()


async def test_a_refused_quote_pushes_nobody_aside(spine: Spine, citizen: Citizen, number: str) -> None:
    binder = await spine.citizen()
    await spine.bind(binder, number)
    stale = await spine.quote(binder, number)
    await spine.travel(31 * MINUTE)
    first = await spine.payment(citizen, number)
    with pytest.raises(QuoteStale):
        await spine.create(binder, stale)
    assert [payment.id for payment in await _live()] == [first.id]
    await spine.jobs.run()


async def test_three_payments_per_bill_person_and_ten_minutes(spine: Spine, citizen: Citizen, number: str) -> None:
    for _ in range(2):
        await spine.payment(citizen, number)
    third = await spine.payment(citizen, number)
    await spine.order(citizen, third)
    with pytest.raises(TooManyPayments) as refused:
        await spine.payment(citizen, number)
    assert refused.value.data == {"retry_after_s": 600}
    await third.refresh_from_db()
    assert third.status == "awaiting_payer", "a refused request takes nothing away"
    # Another bill is another matter, and so are ten minutes.
    await spine.payment(citizen, await spine.account(5))
    await spine.jobs.pass_time(timedelta(minutes=10, seconds=30))
    await spine.payment(citizen, number)


# All at once


async def test_twenty_persons_at_once_make_exactly_one_payment_of_one_bill(spine: Spine, number: str) -> None:
    people = [await spine.citizen() for _ in range(20)]
    quotes = [await spine.quote(person, number) for person in people]
    answers = await asyncio.gather(
        *(spine.create(person, quote) for person, quote in zip(people, quotes, strict=True)), return_exceptions=True
    )
    created = [answer for answer in answers if isinstance(answer, bytes)]
    refused = [answer for answer in answers if not isinstance(answer, bytes)]
    assert len(created) == 1
    assert {type(answer) for answer in refused} == {PaymentInProgress}
    assert len(await _live()) == 1
    assert await Payment.all().count() == 1


async def test_twenty_requests_of_one_person_at_once_leave_one_live_claim(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    quote = await spine.quote(citizen, number)
    answers = await asyncio.gather(*(spine.create(citizen, quote) for _ in range(20)), return_exceptions=True)
    assert any(isinstance(answer, bytes) for answer in answers)
    assert all(isinstance(answer, bytes | LianbanError) for answer in answers), answers
    assert len(await _live()) == 1
    assert await Payment.all().count() <= 3


# The same request again


async def test_the_same_key_gives_the_same_bytes_and_one_payment(spine: Spine, citizen: Citizen, number: str) -> None:
    quote, key = await spine.quote(citizen, number), uuid4().hex
    first = await spine.create(citizen, quote, key=key)
    assert await spine.create(citizen, quote, key=key) == first
    # Also when the payment has gone on, or is over.
    payment = await spine.created(first)
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    assert await spine.create(citizen, quote, key=key) == first
    assert await Payment.all().count() == 1


async def test_fifty_requests_under_one_key_make_one_payment(spine: Spine, citizen: Citizen, number: str) -> None:
    quote, key = await spine.quote(citizen, number), uuid4().hex
    answers = await asyncio.gather(*(spine.create(citizen, quote, key=key) for _ in range(50)), return_exceptions=True)
    assert len({answer for answer in answers if isinstance(answer, bytes)}) == 1
    assert {type(answer) for answer in answers} <= {bytes, KeyInFlight}
    assert await Payment.all().count() == 1


async def test_the_same_key_with_another_body_is_refused(spine: Spine, citizen: Citizen, number: str) -> None:
    quote, key = await spine.quote(citizen, number), uuid4().hex
    await spine.create(citizen, quote, key=key)
    with pytest.raises(KeyReused):
        await spine.create(citizen, quote, bills=[quote.bills[0].id], key=key)
    assert await Payment.all().count() == 1


async def test_a_refused_request_keeps_no_answer(spine: Spine, citizen: Citizen, number: str) -> None:
    quote, key = await spine.quote(citizen, number), uuid4().hex
    await spine.travel(31 * MINUTE)
    with pytest.raises(QuoteStale):
        await spine.create(citizen, quote, key=key)
    fresh = await spine.quote(citizen, number)
    assert msgspec.json.decode(await spine.create(citizen, fresh, key=key))["total_fen"] == FEN


async def test_the_key_of_another_person_is_another_key(spine: Spine, citizen: Citizen) -> None:
    other, key = await spine.citizen(), uuid4().hex
    mine = await spine.create(citizen, await spine.quote(citizen, await spine.account(1)), key=key)
    theirs = await spine.create(other, await spine.quote(other, await spine.account(2)), key=key)
    assert mine != theirs
    assert await Payment.all().count() == 2


async def test_a_key_is_kept_for_72_hours_and_then_forgotten(spine: Spine, citizen: Citizen, number: str) -> None:
    quote, key = await spine.quote(citizen, number), uuid4().hex
    first = await spine.create(citizen, quote, key=key)
    await spine.jobs.pass_time(timedelta(hours=71, minutes=59))
    await timetable.tidy()
    assert await spine.create(citizen, quote, key=key) == first
    await spine.travel(2 * MINUTE)
    with pytest.raises(QuoteStale):
        await spine.create(citizen, quote, key=key)
    await timetable.tidy()
    async with transaction():
        assert await spine.once(citizen, quote.quote.id, key=key).begin() is None


async def test_the_kept_answer_lies_encrypted(spine: Spine, citizen: Citizen, number: str) -> None:
    from models.idempotency import IdempotentAnswer

    answer = await spine.create(citizen, await spine.quote(citizen, number))
    (row,) = await IdempotentAnswer.all()
    assert b"payment_id" not in bytes(row.body)
    assert b"payment_id" in answer
