"""Telling the company that its bills are paid: once, under one id, whatever it answers."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core.database import fetch, fetch_one
from domain.billing.telling import REFUND_REASONS
from models import inbox
from models.bill import Bill
from models.payment import Claim, Payment
from models.posting import Posting
from models.refund import Refund
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

FEN = 4199
SIDE = f"company:{WATER}"
_REASON = {
    "EQ0004": "company_refused",
    "EQ0006": "company_refused",
    "EQ0009": "company_refused",
    "EQ0012": "company_refused",
    "EQ0013": "company_refused",
    **REFUND_REASONS,
}


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def number(spine: Spine) -> str:
    return await spine.account(FEN)


async def _calls(spine: Spine) -> dict[str, int]:
    """What the company counted of our only posting."""
    (counted,) = (await spine.ledger())["posting_calls"].values()
    return counted


async def _posting_ends(spine: Spine, by: timedelta = 5 * MINUTE) -> Posting:
    await spine.jobs.pass_time(by)
    return await Posting.all().get()


async def _agreed(spine: Spine, payment: Payment) -> None:
    """One posting, one record at the company, the books closed."""
    posting = await Posting.all().get()
    assert posting.status == "posted"
    (record,) = (await spine.ledger())["postings"]
    assert (record["posting_id"], record["status"], record["serial"]) == (str(posting.id), "posted", posting.serial)
    assert record["content"]["total_fen"] == payment.total_fen
    assert [bill.status for bill in await Bill.all()] == ["posted"]
    assert (await spine.balance("posted"), await spine.balance("suspense")) == (payment.total_fen, 0)
    assert await spine.jobs.waiting("billing.post") == 0


async def _refunded(spine: Spine, payment: Payment) -> None:
    await spine.end_refunds()
    # An old refund is asked about once an hour only.
    await spine.jobs.pass_time(61 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    assert await spine.balance("posted") == await spine.balance("suspense") == await spine.balance("clearing") == 0


@pytest.mark.parametrize(
    ("code", "form"), [*((code, "error") for code in sorted(_REASON)), ("EP0001", "status"), ("EQ0009", "status")]
)
async def test_a_posting_refused_for_good_gives_the_money_back_and_the_bill_free(
    spine: Spine, citizen: Citizen, number: str, code: str, form: str
) -> None:
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": code, "form": form})
    payment = await spine.paid(citizen, number)
    posting = await Posting.all().get()
    assert (posting.status, posting.refusal_code) == ("refused", code)
    refund = await Refund.all().get()
    assert (refund.reason, refund.amount_fen) == (_REASON[code], FEN)
    assert await spine.told(citizen) == ["payment.succeeded", "payment.refund_started"]
    await _refunded(spine, payment)
    assert (await spine.told(citizen))[2:] == ["payment.refunded"]
    assert await Claim.filter(freed_at=None).count() == 0
    assert await spine.jobs.waiting("billing.post") == 0
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": None})
    again = await spine.paid(citizen, number)
    assert (again.status, [bill.status for bill in await Bill.all()]) == ("succeeded", ["posted"])
    assert await spine.balance("posted") == FEN


@pytest.mark.parametrize("code", ["EQ0007", "EQ0008", "EQ0014"])
async def test_a_posting_refused_for_now_is_made_later(spine: Spine, citizen: Citizen, number: str, code: str) -> None:
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": code})
    payment = await spine.paid(citizen, number)
    posting = await _posting_ends(spine, 2 * MINUTE)
    assert posting.status in ("pending", "sending")
    assert await Refund.all().count() == 0
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": None})
    await _posting_ends(spine, 20 * MINUTE)
    await _agreed(spine, payment)
    assert (await _calls(spine))["post_payment"] > 1, "each time under the same id"


@pytest.mark.parametrize(
    "fault",
    [{"fault": "drop", "after": True}, {"fault": "hang", "after": True}, {"fault": "forge"}],
    ids=["cut", "time-out", "answer signed by a stranger"],
)
async def test_a_posting_that_was_done_though_its_answer_was_lost_is_found_by_asking(
    spine: Spine, citizen: Citizen, number: str, fault: dict[str, Any]
) -> None:
    await spine.fault(SIDE, "post_payment", **fault)
    payment = await spine.paid(citizen, number)
    assert (await Posting.all().get()).status == "unknown"
    await _posting_ends(spine)
    await _agreed(spine, payment)
    assert await _calls(spine) == {"post_payment": 1, "query_posting": 1}


@pytest.mark.parametrize(
    "fault",
    [{"fault": "drop"}, {"fault": "error", "status": 500}, {"fault": "error", "status": 504}],
    ids=["cut", "500", "504"],
)
async def test_a_posting_that_never_arrived_is_made_again_under_the_same_id(
    spine: Spine, citizen: Citizen, number: str, fault: dict[str, Any]
) -> None:
    await spine.fault(SIDE, "post_payment", **fault)
    payment = await spine.paid(citizen, number)
    await _posting_ends(spine)
    await _agreed(spine, payment)
    assert await _calls(spine) == {"post_payment": 2, "query_posting": 1}


async def test_asking_that_fails_too_is_asked_again(spine: Spine, citizen: Citizen, number: str) -> None:
    await spine.fault(SIDE, "post_payment", "drop", after=True)
    await spine.fault(SIDE, "query_posting", "drop", times=2)
    await spine.fault(SIDE, "query_posting", "error", status=500)
    payment = await spine.paid(citizen, number)
    await _posting_ends(spine)
    await _agreed(spine, payment)
    assert (await _calls(spine))["post_payment"] == 1


async def test_a_processing_posting_is_ended_by_the_companys_event(spine: Spine, citizen: Citizen, number: str) -> None:
    body = {"account_number": number, "seconds": 2}
    await spine.control("POST", f"/companies/{WATER}/processing", body)
    payment = await spine.paid(citizen, number)
    assert (await Posting.all().get()).status == "processing"
    await spine.let_speak()
    await spine.travel(timedelta(seconds=3))
    await spine.until_inbox(1, SIDE)
    await spine.jobs.run()
    assert (await Posting.all().get()).status == "posted", "before anybody asked"
    await spine.jobs.pass_time(MINUTE)
    await _agreed(spine, payment)
    before = await spine.rows()
    posting = await Posting.all().get()
    answer = {
        "posting_id": str(posting.id),
        "status": "posted",
        "serial": posting.serial,
        "posted_at": "2026-11-23T10:02:13+08:00",
    }
    for event_id in ("again-1", "again-1", "again-2"):
        event = {"type": "posting.answered", "data": answer, "event_id": event_id}
        await spine.control("POST", f"/companies/{WATER}/events", event)
    await spine.until_inbox(3, SIDE)
    await spine.jobs.pass_time(5 * MINUTE)
    assert await spine.rows() == before


async def test_a_processing_posting_without_any_event_is_asked_about(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await spine.control("POST", f"/companies/{WATER}/processing", {"account_number": number, "seconds": 40})
    payment = await spine.paid(citizen, number)
    await spine.jobs.pass_time(timedelta(seconds=30))
    assert (await Posting.all().get()).status == "processing"
    await spine.until(lambda: _no_longer_processing(spine), "the company's own work")
    await spine.jobs.pass_time(2 * MINUTE)
    await _agreed(spine, payment)


async def test_a_processing_posting_refused_in_the_end_gives_the_money_back(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    body = {"account_number": number, "seconds": 2, "code": "EP0003"}
    await spine.control("POST", f"/companies/{WATER}/processing", body)
    payment = await spine.paid(citizen, number)
    await spine.travel(timedelta(seconds=3))
    await spine.until(lambda: _no_longer_processing(spine), "the company's own work")
    await spine.jobs.pass_time(MINUTE)
    assert (await Refund.all().get()).reason == "already_paid"
    await _refunded(spine, payment)


async def _no_longer_processing(spine: Spine) -> bool:
    if any(posting["status"] == "processing" for posting in (await spine.ledger())["postings"]):
        await spine.travel(timedelta(seconds=5))
        return False
    return True


@pytest.mark.parametrize("status", ["posted", "refused"])
async def test_a_company_speaks_of_no_other_companys_posting(
    spine: Spine, citizen: Citizen, number: str, status: str
) -> None:
    await spine.fault(SIDE, "post_payment", "drop", after=True)
    await spine.paid(citizen, number)
    posting = await Posting.all().get()
    before = await spine.rows()
    said = {
        "posted": {"serial": "X1", "posted_at": "2026-11-23T10:02:13+08:00"},
        "refused": {"code": "EP0001", "message": "x"},
    }
    data = {"posting_id": str(posting.id), "status": status, **said[status]}
    event = {"event_id": "of-gas", "type": "posting.answered", "at": "2026-11-23T10:02:13+08:00", "data": data}
    item = await inbox.store(spine.services.vault, "company:gas", "of-gas", event["type"], msgspec.json.encode(event))
    assert item is not None
    await spine.jobs.do("inbox.process", inbox_id=item)
    row = await fetch_one("select outcome from inbox where id = $1", item)
    assert row is not None
    assert row["outcome"] == "unknown_posting"
    assert await spine.rows() == before
    await _posting_ends(spine)


async def test_an_event_about_a_posting_nobody_made_changes_nothing(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await spine.paid(citizen, number)
    before = await spine.rows()
    await spine.let_speak()
    data = {"posting_id": "01a207e9-9923-7561-83d6-ef689c7157b2", "status": "refused", "code": "EP0001", "message": "x"}
    for number_of_event, posting_id in enumerate((data["posting_id"], "not-one-of-ours")):
        event = {
            "type": "posting.answered",
            "data": {**data, "posting_id": posting_id},
            "event_id": f"e{number_of_event}",
        }
        await spine.control("POST", f"/companies/{WATER}/events", event)
    await spine.until_inbox(2, SIDE)
    await spine.jobs.run()
    assert await spine.rows() == before


async def test_a_refusal_after_the_posting_changes_nothing(spine: Spine, citizen: Citizen, number: str) -> None:
    await spine.paid(citizen, number)
    posting = await Posting.all().get()
    before = await spine.rows()
    await spine.let_speak()
    data = {"posting_id": str(posting.id), "status": "refused", "code": "EP0003", "message": "x"}
    await spine.control("POST", f"/companies/{WATER}/events", {"type": "posting.answered", "data": data})
    await spine.until_inbox(1, SIDE)
    await spine.jobs.run()
    assert await spine.rows() == before


async def test_the_tasks_of_a_posting_may_run_any_number_of_times(spine: Spine, citizen: Citizen, number: str) -> None:
    payment = await spine.paid(citizen, number)
    posting = await Posting.all().get()
    before = await spine.rows()
    (event,) = await fetch("select id from event where kind = 'payment.succeeded'")
    for _ in range(3):
        await spine.jobs.do("events.dispatch", event_id=event["id"])
        await spine.jobs.do("billing.open_posting", event_id=event["id"])
        await spine.jobs.do("billing.post", posting_id=posting.id, step=0)
        await spine.jobs.do("payments.watch", payment_id=payment.id, step=0)
    await spine.jobs.run()
    assert await spine.rows() == before
    assert await _calls(spine) == {"post_payment": 1}


async def test_a_refused_posting_is_not_opened_anew_by_a_job_that_runs_again(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0002"})
    await spine.paid(citizen, number)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": None})
    (event,) = await fetch("select id from event where kind = 'payment.succeeded'")
    await spine.jobs.do("billing.open_posting", event_id=event["id"])
    await spine.jobs.run()
    assert [posting.status for posting in await Posting.all()] == ["refused"], "the money is on its way back"


async def test_a_company_that_cannot_be_reached_for_three_days_gets_no_money(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EQ0007"})
    payment = await spine.paid(citizen, number)
    await spine.jobs.pass_time(timedelta(days=2, hours=23))
    assert (await Posting.all().get()).status == "pending"
    await spine.jobs.pass_time(timedelta(hours=2, minutes=5))
    assert (await Posting.all().get()).status == "refused"
    assert (await Refund.all().get()).reason == "no_answer"
    await _refunded(spine, payment)


@pytest.mark.parametrize("change", ["paid at the counter", "void", "dearer"])
async def test_what_happens_to_a_bill_between_paying_and_posting(spine: Spine, citizen: Citizen, change: str) -> None:
    number = await spine.account()
    bill_no = await spine.bill(number, FEN)
    payment = await spine.payment(citizen, number)
    order_no = await spine.pay(citizen, payment)
    if change == "dearer":
        await spine.bill(number, FEN + 7, bill_no=bill_no)
    else:
        await spine.bill(number, FEN, bill_no=bill_no, status="void" if change == "void" else "paid")
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    await spine.notify(order_no)
    await spine.jobs.run()
    if change == "paid at the counter":
        assert (await Refund.all().get()).reason == "already_paid"
        await _refunded(spine, payment)
        assert [bill.status for bill in await Bill.all()] == ["paid_elsewhere"]
    else:
        await _agreed(spine, payment)


async def test_a_company_that_says_paid_before_it_answers_has_its_bill_posted_all_the_same(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await spine.fault(SIDE, "post_payment", "drop", after=True)
    payment = await spine.paid(citizen, number)
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    assert (await Bill.all().get()).status == "paid_elsewhere"
    await _posting_ends(spine)
    await _agreed(spine, payment)
