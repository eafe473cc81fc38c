"""How postings end when the company contradicts itself or has not been heard for days: no fen is both posted and refunded unseen."""

from datetime import timedelta

import pytest

from core.database import fetch
from core.outbound import FailureKind
from gateways.companies import Posted, Refused
from models.payment import Payment
from models.posting import Posting
from models.refund import Refund
from tests.harness.spine import WATER, Citizen, Spine

FEN = 4199
DAYS = timedelta(days=4)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _postponed(spine: Spine, citizen: Citizen, *, recorded: bool) -> Posting:
    """A posting that the company says it has put off; with `recorded` it stands in its books all the same."""
    await spine.fault(f"company:{WATER}", "post_payment", "drop", after=recorded)
    await spine.paid(citizen, await spine.account(FEN))
    posting = await Posting.get()
    assert posting.status == "unknown"
    answer = Refused(str(posting.id), "EQ0007", FailureKind.TEMPORARY, "")
    assert await spine.services.posting.apply(posting.id, answer) == "postponed"
    return posting


async def test_nobody_refunds_what_the_company_has_recorded_however_late_it_is_found(
    spine: Spine, citizen: Citizen
) -> None:
    posting = await _postponed(spine, citizen, recorded=True)
    await spine.travel(DAYS)
    await spine.jobs.run()
    await posting.refresh_from_db()
    assert posting.status == "posted"
    assert await Refund.all().count() == 0
    assert await spine.balance("posted") == FEN


@pytest.mark.parametrize("fault", [None, "drop"], ids=["never arrived", "company away"])
async def test_what_the_company_never_recorded_goes_back_after_days(
    spine: Spine, citizen: Citizen, fault: str | None
) -> None:
    posting = await _postponed(spine, citizen, recorded=False)
    await spine.travel(DAYS)
    if fault:
        await spine.fault(f"company:{WATER}", "query_posting", fault)
    await spine.jobs.run()
    await posting.refresh_from_db()
    assert posting.status == "refused"
    assert (await Refund.get()).reason == "no_answer"


async def test_a_company_that_records_what_it_had_refused_is_loud_and_books_nothing_twice(
    spine: Spine, citizen: Citizen
) -> None:
    number = await spine.account()
    bill_no = await spine.bill(number, FEN)
    payment = await spine.payment(citizen, number)
    order_no = await spine.pay(citizen, payment)
    await spine.bill(number, FEN, bill_no=bill_no, status="paid")
    await spine.notify(order_no)
    await spine.jobs.run()
    posting = await Posting.get()
    assert posting.status == "refused"
    answer = Posted(str(posting.id), "WS1", posting.created_at)
    assert await spine.services.posting.apply(posting.id, answer) == "contradicted"
    assert await spine.balance("posted") == 0
    assert (await Payment.get()).status == "succeeded"
    rows = await fetch("select detail from audit where action = 'posting.posted_after_refusal'")
    assert [row["detail"] for row in rows] == ["EP0003"]
