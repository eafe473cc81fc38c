"""A company without an interface: what its files say is shown with their age, what is paid leaves at a cutoff and is answered by file."""

import argparse
from datetime import date, time, timedelta
from typing import Any

import pytest

from core import clock
from core.database import fetch, fetch_one
from domain.billing.accounts import AccountOrProofWrong, CompanyAway
from domain.billing.files_by_hand import FileNotOverdue, at_fault, give_back
from domain.billing.overview import Part
from domain.billing.returning import ApproverMissing
from lianban import files as command
from models.lifecycle import Actor
from models.payment import Payment
from payments.refunding import ByHand
from payments.views import progress
from tests.harness.spine import MINUTE, Citizen, Spine
from tests.payments.reconciliation.days import begin_day, items, morning_after, travel_to

CU = "telecom_cu"
FEN, WATER_FEN = 6900, 4199
SHELF = ("filed_account", "filed_posting", "bill", "posting", "ledger_entry", "refund")


@pytest.fixture
async def day(spine: Spine) -> date:
    """A morning after the account files have come."""
    return await begin_day(spine)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def number(spine: Spine, day: date) -> str:
    return await spine.account(FEN, company=CU)


async def exchange(spine: Spine) -> None:
    await spine.services.exchange.tick()
    await spine.jobs.run()


async def seen(spine: Spine, citizen: Citizen) -> Part:
    look = await spine.services.overview.look(citizen.caller.principal)
    return next(part for place in look.places for part in place.parts if part.account.company == CU)


async def bound(spine: Spine, citizen: Citizen, number: str) -> None:
    await exchange(spine)
    await spine.bind(citizen, number, company=CU)


async def paid(spine: Spine, citizen: Citizen, number: str) -> Payment:
    """One payment to the company and to one with an interface."""
    payment = await spine.combined(citizen, (CU, number), ("water", await spine.account(WATER_FEN)))
    assert await spine.notify(await spine.pay(citizen, payment)) == [204]
    await spine.jobs.run()
    return payment


async def words(payment: Payment, citizen: Citizen) -> dict[str, str]:
    (view,) = await progress([payment.id], citizen.caller.principal)
    return {part["payee"]: part["progress"] for part in view["parts"]}


async def files(kind: str) -> list[tuple[str, bool, str | None]]:
    rows = await fetch("select name, settled_at, refusal from company_file where kind = $1 order by name", kind)
    return [(row["name"], row["settled_at"] is not None, row["refusal"]) for row in rows]


async def spoil(spine: Spine, name: str, fault: str | None) -> None:
    await spine.control("POST", f"/companies/{CU}/files", {"name": name, "fault": fault})


async def test_what_its_file_says_is_shown_with_the_age_of_the_file(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    with pytest.raises(CompanyAway):
        await spine.bind(citizen, number, company=CU)
    await exchange(spine)
    with pytest.raises(AccountOrProofWrong):
        await spine.bind(citizen, number, "0000", company=CU)
    await spine.bind(citizen, number, company=CU)
    part = await seen(spine, citizen)
    assert (part.state, part.total_fen, part.bill_count) == ("fresh", FEN, 1)
    assert part.checked_at is not None
    assert clock.now() - part.checked_at >= timedelta(hours=9), "as old as the end of the file's day"
    row = await fetch_one("select content::text as text, number_index::text as found from filed_account limit 1")
    assert row is not None
    assert number not in row["text"] + row["found"]


async def test_what_is_paid_leaves_at_the_cutoff_is_answered_by_file_and_reconciled(
    spine: Spine, citizen: Citizen, number: str, day: date
) -> None:
    await bound(spine, citizen, number)
    payment = await paid(spine, citizen, number)
    assert await words(payment, citizen) == {CU: "posting", "water": "posted"}
    part = await seen(spine, citizen)
    assert (part.total_fen, part.bill_count) == (0, 0), "nobody is asked to pay what he has paid"
    await exchange(spine)
    assert await files("postings") == []
    await travel_to(spine, day, time(12, 1))
    await exchange(spine)
    assert await files("postings") == [(f"postings-{day:%Y%m%d}-1.ndjson", True, None)]
    before = await spine.rows(("company_file", "filed_posting"))
    await exchange(spine)
    assert await spine.rows(("company_file", "filed_posting")) == before
    await spine.travel(40 * MINUTE)
    await exchange(spine)
    assert await words(payment, citizen) == {CU: "posted", "water": "posted"}
    assert await spine.balance("suspense") == 0
    told = await spine.told(citizen)
    assert (told.count("payment.posted"), told.count("payment.posting_delayed")) == (2, 0)
    await morning_after(spine, day)
    outcomes = await spine.services.reconciling.day(day)
    assert {one.state for one in outcomes if one.party.company == CU} == {"matched"}
    assert await items() == []
    await exchange(spine)
    assert (await seen(spine, citizen)).total_fen == 0


async def test_a_part_it_refuses_by_file_goes_back_alone(
    spine: Spine, citizen: Citizen, number: str, day: date
) -> None:
    await bound(spine, citizen, number)
    payment = await paid(spine, citizen, number)
    await spine.control("POST", f"/companies/{CU}/refuse", {"account_number": number, "code": "EP0004"})
    await travel_to(spine, day, time(12, 1))
    await exchange(spine)
    await spine.travel(40 * MINUTE)
    await exchange(spine)
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    assert await words(payment, citizen) == {CU: "refunded", "water": "posted"}
    (refund,) = await fetch("select amount_fen, status, reason from refund")
    assert tuple(refund) == (FEN, "succeeded", "account_closed")
    assert await spine.balance("suspense") == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("truncated", "trailer"), ("wrong_hash", "hash"), ("stranger", "signature"), ("other_day", "header"), ("wrong_count", "count"),
        ("wrong_total", "total"), ("malformed", "line"), ("twice", "twice"),
    ],
    ids=["cut short", "changed on its way", "signed by a stranger", "another day", "count", "total", "a line", "a line twice"],
)  # fmt: skip
async def test_a_file_that_proves_nothing_changes_nothing_and_is_taken_once_it_is_right(
    spine: Spine, citizen: Citizen, number: str, day: date, fault: str, reason: str
) -> None:
    answers, accounts = f"answers-{day:%Y%m%d}-1.ndjson", f"accounts-{day:%Y%m%d}.ndjson"
    await bound(spine, citizen, number)
    payment = await paid(spine, citizen, number)
    await travel_to(spine, day, time(12, 1))
    await exchange(spine)
    await spine.travel(40 * MINUTE)
    await spoil(spine, answers, fault)
    before = await spine.rows(SHELF)
    await exchange(spine)
    assert await spine.rows(SHELF) == before
    assert await files("answers") == [(answers, False, reason.replace("twice", "posting_twice"))]
    await spoil(spine, answers, None)
    await exchange(spine)
    assert await words(payment, citizen) == {CU: "posted", "water": "posted"}
    await morning_after(spine, day, time(9))
    await spoil(spine, accounts, fault)
    before = await spine.rows(SHELF)
    await exchange(spine)
    assert await spine.rows(SHELF) == before
    assert (await files("accounts"))[-1] == (accounts, False, reason.replace("twice", "account_twice"))
    assert (await seen(spine, citizen)).state == "stale"
    await spoil(spine, accounts, None)
    await exchange(spine)
    assert (await files("accounts"))[-1] == (accounts, True, None)


async def test_without_todays_file_nothing_is_known_and_nothing_can_be_paid(
    spine: Spine, citizen: Citizen, number: str, day: date, capsys: pytest.CaptureFixture[str]
) -> None:
    await bound(spine, citizen, number)
    next_day = day + timedelta(days=1)
    await spoil(spine, f"accounts-{day:%Y%m%d}.ndjson", "missing")
    await travel_to(spine, next_day, time(1, 59))
    assert (await seen(spine, citizen)).state == "fresh", "the file of yesterday cannot be here yet"
    await travel_to(spine, next_day, time(12, 1))
    for _ in range(2):
        await exchange(spine)
    assert capsys.readouterr().out.count("company_file.late") == 1
    part = await seen(spine, citizen)
    assert (part.state, part.total_fen, part.last_known_fen) == ("stale", None, FEN)
    with pytest.raises(CompanyAway):
        await spine.quote(citizen, number, CU)
    await spoil(spine, f"accounts-{day:%Y%m%d}.ndjson", None)
    await exchange(spine)
    assert (await seen(spine, citizen)).state == "fresh"


async def test_an_answer_that_does_not_come_is_a_delay_the_payer_hears_of_once_and_no_money_moves(
    spine: Spine, citizen: Citizen, number: str, day: date, capsys: pytest.CaptureFixture[str]
) -> None:
    await bound(spine, citizen, number)
    payment = await paid(spine, citizen, number)
    await spoil(spine, f"answers-{day:%Y%m%d}-1.ndjson", "missing")
    await travel_to(spine, day, time(12, 1))
    await exchange(spine)
    await spine.jobs.pass_time(timedelta(hours=11))
    assert "payment.posting_delayed" not in await spine.told(citizen)
    await spine.jobs.pass_time(timedelta(days=4))
    for _ in range(2):
        await exchange(spine)
    assert capsys.readouterr().out.count("company_file.late") >= 1
    assert (await spine.told(citizen)).count("payment.posting_delayed") == 1
    assert await words(payment, citizen) == {CU: "posting", "water": "posted"}, (
        "it may have been recorded: nobody guesses"
    )
    await spoil(spine, f"answers-{day:%Y%m%d}-1.ndjson", None)
    await exchange(spine)
    assert (await words(payment, citizen))[CU] == "posted"


async def test_a_file_that_is_never_answered_is_seen_and_given_back_by_two(
    spine: Spine, citizen: Citizen, number: str, day: date, capsys: pytest.CaptureFixture[str]
) -> None:
    await bound(spine, citizen, number)
    payment = await paid(spine, citizen, number)
    name = f"postings-{day:%Y%m%d}-1.ndjson"
    await spoil(spine, name.replace("postings", "answers"), "missing")
    await travel_to(spine, day, time(12, 1))
    await exchange(spine)
    assert await at_fault(CU) == []
    with pytest.raises(FileNotOverdue):
        await give_back(CU, name, ByHand(Actor("staff", "console:wang"), "li", "企业没有"))
    await spine.jobs.pass_time(timedelta(days=1))
    await exchange(spine)
    (seen_file,) = [row for row in await at_fault(CU) if row["kind"] == "answers"]
    assert (seen_file["unanswered"], seen_file["unanswered_fen"], await at_fault("water")) == (1, FEN, [])
    with pytest.raises(ApproverMissing):
        await give_back(CU, name, ByHand(Actor("staff", "console:wang"), "wang", "企业没有"))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    await command.perform(parser.parse_args(["give-back", CU, name, "--reason", "企业查无", "--approver", "the-other"]))
    await command.perform(parser.parse_args(["list"]))
    assert "1 笔按企业没有入账处理" in capsys.readouterr().out
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    assert await words(payment, citizen) == {CU: "refunded", "water": "posted"}
    assert await spine.balance("suspense") == 0
    assert "answers" not in [row["kind"] for row in await at_fault(CU)]


@pytest.mark.parametrize("fault", ["drop", "error"])
async def test_a_file_whose_delivery_is_in_doubt_lies_there_once(
    spine: Spine, citizen: Citizen, number: str, day: date, fault: str
) -> None:
    await bound(spine, citizen, number)
    payment = await paid(spine, citizen, number)
    await travel_to(spine, day, time(12, 1))
    more: dict[str, Any] = {"after": True} if fault == "drop" else {"status": 503}
    await spine.fault(f"company:{CU}", "file_put", fault, **more)
    await exchange(spine)
    assert await files("postings") == [(f"postings-{day:%Y%m%d}-1.ndjson", False, None)]
    await exchange(spine)
    assert await files("postings") == [(f"postings-{day:%Y%m%d}-1.ndjson", True, None)]
    await spine.travel(40 * MINUTE)
    await exchange(spine)
    assert (await words(payment, citizen))[CU] == "posted"
    assert len((await spine.control("GET", f"/companies/{CU}/ledger"))["postings"]) == 1


async def test_what_is_paid_after_a_cutoff_goes_with_the_next(
    spine: Spine, citizen: Citizen, number: str, day: date
) -> None:
    await bound(spine, citizen, number)
    await travel_to(spine, day, time(12, 1))
    await exchange(spine)
    payment = await paid(spine, citizen, number)
    await exchange(spine)
    assert await files("postings") == []
    await travel_to(spine, day, time(18, 1))
    await exchange(spine)
    assert await files("postings") == [(f"postings-{day:%Y%m%d}-2.ndjson", True, None)]
    await spine.travel(40 * MINUTE)
    await exchange(spine)
    assert (await words(payment, citizen))[CU] == "posted"


async def test_the_holder_is_told_of_a_binding_by_a_file_of_its_own(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await bound(spine, citizen, number)
    await spine.jobs.run()
    (notice,) = (await spine.control("GET", f"/companies/{CU}/ledger"))["holder_notices"]
    assert (notice["account_number"], notice["kind"], notice["sent_to"]) == (number, "binding_created", "13800000009")
