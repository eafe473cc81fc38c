"""Quotes for several accounts at once, and what they may be paid for."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog

from core.errors import NotFound
from domain.billing.accounts import CompanyAway
from domain.billing.paying import OlderBillOpen
from domain.billing.quotes import AccountNotPayable, NothingOwed, OpenQuote
from models.bill import Quote
from models.payment import Payment
from tests.harness.spine import WATER, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def bound(spine: Spine, citizen: Citizen, *fens: int) -> tuple[str, Any]:
    number = await spine.account(*fens)
    return number, (await spine.bind(citizen, number)).account_id


async def test_several_accounts_are_quoted_at_once_in_their_order(spine: Spine, citizen: Citizen) -> None:
    ids = [(await bound(spine, citizen, FEN + number))[1] for number in range(4)]
    found = await spine.services.quotes.for_accounts(citizen.caller, ids)
    totals = [one.quote.total_fen for one in found if isinstance(one, OpenQuote)]
    assert totals == [FEN, FEN + 1, FEN + 2, FEN + 3]
    payment = await spine.created(await spine.create_of(citizen, [one for one in found if isinstance(one, OpenQuote)]))
    assert payment.total_fen == sum(totals)


async def test_an_account_that_cannot_be_quoted_holds_up_no_other(spine: Spine, citizen: Citizen) -> None:
    _, well = await bound(spine, citizen, FEN)
    _, nothing = await bound(spine, citizen)
    frozen_number, frozen = await bound(spine, citizen, FEN)
    account = next(one for one in (await spine.ledger())["accounts"] if one["number"] == frozen_number)
    await spine.control("POST", f"/companies/{WATER}/accounts", {**account, "status": "frozen"})
    found = await spine.services.quotes.for_accounts(citizen.caller, [nothing, frozen, uuid4(), well])
    assert [type(one) for one in found] == [NothingOwed, AccountNotPayable, NotFound, OpenQuote]
    assert await Quote.all().count() == 1


async def test_a_company_that_does_not_answer_is_left_behind_within_the_city_s_limit(
    spine: Spine, citizen: Citizen
) -> None:
    _, slow = await bound(spine, citizen, FEN)
    await spine.fault(f"company:{WATER}", "query_bills", "hang")
    with structlog.testing.capture_logs() as logs:
        (found,) = await spine.services.quotes.for_accounts(citizen.caller, [slow])
    assert isinstance(found, CompanyAway)
    assert "quote.late" in [line["event"] for line in logs], "left behind, not waited for until its own time was up"
    assert await Quote.all().count() == 0


async def test_the_oldest_bills_are_paid_first(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(100, 20, 3)
    quote = await spine.quote(citizen, number)
    for chosen in ([1], [2], [0, 2], [1, 2]):
        with pytest.raises(OlderBillOpen) as refused:
            await spine.create(citizen, quote, bills=[quote.bills[place].id for place in chosen])
        assert refused.value.data["company"] == WATER
    assert await Payment.all().count() == 0
    payment = await spine.created(await spine.create(citizen, quote, bills=[bill.id for bill in quote.bills[:2]]))
    assert payment.total_fen == 120
    await spine.travel(timedelta(minutes=1))
    rest = await spine.created(await spine.create(citizen, quote, bills=[quote.bills[2].id]))
    assert rest.total_fen == 3, "the older ones are being paid"


async def test_of_two_accounts_some_bills_each(spine: Spine, citizen: Citizen) -> None:
    first, second = [await spine.quote(citizen, await spine.account(100, 20)) for _ in range(2)]
    named = [first.bills[0].id, second.bills[0].id, second.bills[1].id]
    payment = await spine.created(await spine.create_of(citizen, [first, second], bills=named))
    assert payment.total_fen == 220
    only = await spine.created(await spine.create_of(citizen, [first, second], bills=[second.bills[0].id]))
    assert only.total_fen == 100, "a quote of which nothing is named has no part"
