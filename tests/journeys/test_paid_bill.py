"""The journey of the paid bill: from the printed code to the company's own books, through real notices, pushes and events."""

from models.bill import Bill
from payments.views import progress
from tests.harness.spine import Spine


async def test_a_paid_bill_ends_posted_with_all_books_agreeing_and_one_posting_call(spine: Spine) -> None:
    await spine.let_speak()
    citizen = await spine.citizen()
    number = await spine.account(4199)
    payment = await spine.payment(citizen, number)
    await spine.pay(citizen, payment)
    await spine.until_inbox(1)
    await spine.jobs.run()
    (view,) = await progress([payment.id], citizen.principal)
    assert (view["progress"], view["status"]) == ("posted", "succeeded")
    assert [bill.status for bill in await Bill.all()] == ["posted"]
    assert (await spine.balance("clearing"), await spine.balance("suspense"), await spine.balance("posted")) == (
        4199,
        0,
        4199,
    )
    ledger = await spine.ledger()
    (posting,) = ledger["postings"]
    assert (posting["serial"], posting["content"]["total_fen"], posting["status"]) == (
        view["parts"][0]["posting_serial"],
        4199,
        "posted",
    )
    assert [bill["status"] for bill in ledger["bills"] if bill["account_number"] == number] == ["paid"]
    assert ledger["posting_calls"] == {posting["posting_id"]: {"post_payment": 1}}
    assert await spine.told(citizen) == ["payment.succeeded", "payment.posted"]
