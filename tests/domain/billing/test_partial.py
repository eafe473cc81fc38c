"""Paying a bill in parts, where the company takes that; the oldest bills first."""

import pytest

from domain.billing.paying import QuoteStale
from domain.billing.quotes import OpenQuote, PartialNotAllowed
from models.bill import Bill
from models.payment import Claim, Payment
from models.posting import PostingBill
from tests.harness.spine import MINUTE, Citizen, Spine

POWER = "power"


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def quoted(
    spine: Spine, citizen: Citizen, number: str, fen: int | None = None, company: str = POWER
) -> OpenQuote:
    return await spine.services.quotes.for_scan(citizen.caller, await spine.qr(number, company), fen)


async def paid(spine: Spine, citizen: Citizen, quote: OpenQuote) -> Payment:
    payment = await spine.created(await spine.create(citizen, quote))
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    await payment.refresh_from_db()
    return payment


async def test_a_part_is_posted_and_the_rest_stays_open_until_it_is_paid(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(1000, company=POWER)
    for fen, left in ((300, 700), (200, 500), (None, 0)):
        quote = await quoted(spine, citizen, number, fen)
        assert quote.quote.total_fen == (fen or 500)
        assert (await paid(spine, citizen, quote)).status == "succeeded"
        said = await spine.control("GET", f"/companies/{POWER}/ledger")
        (theirs,) = [bill for bill in said["bills"] if bill["account_number"] == number]
        assert (theirs["payable_fen"], theirs["status"]) == ((left, "open") if left else (500, "paid"))
    assert await spine.balance("posted") == 1000
    (bill,) = await Bill.all()
    assert bill.status == "posted"
    assert await PostingBill.filter(whole=False).count() == 2
    assert await Claim.filter(freed_at=None).count() == 1, "of the payment that paid the rest"


async def test_the_amount_goes_to_the_oldest_bills_first(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(100, 200, 400, company=POWER)
    quote = await quoted(spine, citizen, number, 150)
    assert [quote.quote.lines[str(bill.id)] for bill in quote.bills] == [100, 50]
    await paid(spine, citizen, quote)
    assert [bill.status for bill in await Bill.all().order_by("period")] == ["posted", "open", "open"]
    rest = await quoted(spine, citizen, number)
    assert rest.quote.total_fen == 550


async def test_an_amount_of_whole_bills_is_no_part_and_more_than_everything_is_everything(
    spine: Spine, citizen: Citizen
) -> None:
    number = await spine.account(100, 200)
    assert (await quoted(spine, citizen, number, 100, "water")).quote.partial_bill_id is None
    assert (await quoted(spine, citizen, number, 9999, "water")).quote.total_fen == 300


async def test_a_company_that_takes_whole_bills_only_refuses_a_part(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(100, 200)
    for fen in (50, 150):
        with pytest.raises(PartialNotAllowed) as refused:
            await quoted(spine, citizen, number, fen, "water")
        assert refused.value.data == {"company": "water"}


async def test_a_part_that_has_become_the_whole_is_quoted_anew(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(1000, company=POWER)
    quote = await quoted(spine, citizen, number, 600)
    (bill,) = await Bill.all()
    await spine.bill(number, 600, period=bill.period, bill_no=bill.bill_no, company=POWER)
    await spine.services.refresher.refresh(await spine.row_of(number, POWER), "view")
    with pytest.raises(QuoteStale):
        await spine.create(citizen, quote)


async def test_a_refused_part_goes_back_and_may_be_paid_again(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(1000, company=POWER)
    quote = await quoted(spine, citizen, number, 300)
    await spine.control("POST", f"/companies/{POWER}/refuse", {"account_number": number, "code": "EP0002"})
    payment = await paid(spine, citizen, quote)
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    await spine.control("POST", f"/companies/{POWER}/refuse", {"account_number": number, "code": None})
    assert (await paid(spine, citizen, await quoted(spine, citizen, number))).total_fen == 1000
