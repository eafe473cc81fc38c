"""A day reconciled with the outside world: nothing differs when all is well, and each thing that is wrong is one item."""

from datetime import date, time, timedelta
from typing import Any

import pytest

from core import clock
from core.database import fetch, fetch_one
from models.lifecycle import Actor, IllegalMove
from payments.providers.alipay import bills as alipay_bills
from payments.reconciliation import items as desk
from payments.reconciliation.reporting import report
from payments.reconciliation.running import DayNotOver
from tests.harness.spine import WATER, Citizen, Spine, Way
from tests.payments.reconciliation.days import (
    TABLES,
    begin_day,
    items,
    morning_after,
    of_companies,
    reconcile,
    spoil_bill,
    spoil_postings,
)


async def _refunded(spine: Spine, citizen: Citizen, fen: int = 1000) -> None:
    """A payment that the company refuses, and that goes back to its payer."""
    number = await spine.account()
    bill_no = await spine.bill(number, fen)
    payment = await spine.payment(citizen, number)
    order_no = await spine.pay(citizen, payment)
    await spine.bill(number, fen, bill_no=bill_no, status="paid")
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(timedelta(minutes=1))


async def _numbers(spine: Spine) -> dict[str, Any]:
    """Our numbers of the one payment that was posted."""
    row = await fetch_one(
        "select part.order_number, part.id as part_id, s.id::text as posting_id from payment_part part join posting s on s.part_id = part.id"
        " where s.status = 'posted'"
    )
    assert row is not None
    return dict(row)


async def test_a_day_on_which_all_went_well_has_no_difference_and_a_second_run_changes_nothing(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    await spine.paid(citizen, await spine.account(1999, 1))
    await _refunded(spine, citizen)
    await morning_after(spine, day)
    outcomes = await reconcile(spine, day)
    assert {one.state for one in outcomes.values()} == {"matched"}
    assert await items() == []
    row = next(row for row in await report(day) if (row.company, row.source) == (WATER, "wechat_pay"))
    assert (row.paid_fen, row.refunded_fen, row.received_fen, row.returned_fen) == (7199, 1000, 7199, 1000)
    assert (row.posted_fen, row.company_fen, row.items, row.unexplained_fen) == (6199, 6199, 0, 0)
    assert row.state == row.company_state == "matched"
    before = await spine.rows(TABLES[1:])
    await reconcile(spine, day)
    await spine.travel(timedelta(hours=2))
    await of_companies(spine).tick()
    assert await spine.rows(TABLES[1:]) == before
    merchant = spine.services.companies.get(WATER).merchants["wechat_pay"]
    assert (await spine.calls("wechat_pay", "trade_bill"))[f"{day} {merchant}"] == 1, (
        "a file that was taken is not asked for"
    )


async def _paid_by_alipay(spine: Spine, citizen: Citizen, fen: int, *, refused: bool = False) -> None:
    number = await spine.account(fen)
    if refused:
        await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0004"})
    payment = await spine.payment(citizen, number, Way("alipay", "wap"))
    await spine.control("POST", f"/people/{citizen.phone_id}/pay", await spine.order(citizen, payment))
    await spine.services.follower.query(payment)
    await spine.jobs.run()


async def _day_at_alipay(spine: Spine) -> tuple[date, str]:
    """A day with two payments by Alipay, one of which its company refuses; and the company's number there."""
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await _paid_by_alipay(spine, citizen, 4199)
    await _paid_by_alipay(spine, citizen, 1001, refused=True)
    await spine.jobs.pass_time(timedelta(minutes=1))
    await morning_after(spine, day)
    return day, spine.services.companies.get(WATER).merchants["alipay"]


async def test_a_day_with_payments_by_alipay_comes_to_nothing_unexplained(spine: Spine) -> None:
    day, seller = await _day_at_alipay(spine)
    (outcome,) = [one for one in await spine.services.reconciling.day(day) if one.party.party == seller]
    assert outcome.state == "matched"
    assert await items() == []
    row = next(row for row in await report(day) if row.source == "alipay" and row.company == WATER)
    assert (row.paid_fen, row.refunded_fen, row.received_fen, row.returned_fen) == (5200, 1001, 5200, 1001)
    assert (row.posted_fen, row.company_fen, row.items, row.unexplained_fen) == (4199, 4199, 0, 0)
    kept = await fetch("select row::text as text from reconciliation_row row where kind <> 'posting'")
    assert len(kept) == 3
    assert not any("小明" in row["text"] or "159" in row["text"] for row in kept)
    before = await spine.rows(TABLES[1:])
    await spine.services.reconciling.day(day)
    assert await spine.rows(TABLES[1:]) == before


async def test_a_bill_of_alipay_that_proves_nothing_changes_nothing(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alipay_bills, "UNPACKED_BYTES", 1024 * 1024)
    day, seller = await _day_at_alipay(spine)
    wanted = {
        "none": "bill_not_ready", "truncated": "zip", "cut_short": "cut_short", "other_day": "other_day", "other_seller": "other_merchant",
        "encoding": "encoding cut_short", "columns": "column_missing", "swollen": "too_large",
    }  # fmt: skip
    for fault, reason in wanted.items():
        await spine.control("POST", f"/alipay/bills/{day}/{seller}", {"fault": fault})
        (outcome,) = [one for one in await spine.services.reconciling.day(day) if one.party.party == seller]
        assert outcome.state in reason.split(), fault
        assert await fetch("select 1 from reconciliation_row where kind <> 'posting'") == []
    for fault in ("forge", "error", "drop"):
        await spine.control("POST", f"/alipay/bills/{day}/{seller}", {})
        await spine.fault("alipay", "bill_link" if fault == "forge" else "bill_download", fault, times=1)
        (outcome,) = [one for one in await spine.services.reconciling.day(day) if one.party.party == seller]
        assert outcome.state != "matched", fault
    assert await items() == []
    (outcome,) = [one for one in await spine.services.reconciling.day(day) if one.party.party == seller]
    assert outcome.state == "matched"
    assert await items() == []


async def test_what_alipay_tells_otherwise_is_an_item_each(spine: Spine) -> None:
    day, seller = await _day_at_alipay(spine)
    refund = await fetch_one("select refund_number from refund")
    posted = await fetch_one(
        "select order_number from payment_part part join posting s on s.part_id = part.id where s.status = 'posted'"
    )
    assert refund is not None
    assert posted is not None
    spoiling = {
        "drop": [refund["refund_number"]],
        "change": [{"number": posted["order_number"], "订单金额（元）": "41.98", "商家实收（元）": "41.98"}],
    }
    await spine.control("POST", f"/alipay/bills/{day}/{seller}", spoiling)
    await spine.services.reconciling.day(day)
    assert await items() == [
        ("amount_differs", "trade", "open", 4199, 4198),
        ("refund_missing_at_provider", "refund", "open", 1001, None),
    ]


async def test_nothing_of_the_payer_is_kept(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    await morning_after(spine, day)
    await reconcile(spine, day)
    kept = await fetch("select row::text as text from reconciliation_row row")
    assert len(kept) == 2
    assert not any(citizen.openid in row["text"] or "缴费" in row["text"] for row in kept)


async def test_a_day_that_is_not_over_has_no_files(spine: Spine) -> None:
    with pytest.raises(DayNotOver):
        await spine.services.reconciling.day(clock.today())


CASES: dict[str, tuple[str, dict[str, Any], list[tuple[str, str, int | None, int | None]]]] = {
    "a payment the provider does not tell": (
        "bill", {"drop": ["order_number"]}, [("missing_at_provider", "trade", 4199, None)]),
    "a payment told twice": ("bill", {"duplicate": ["order_number"]}, [("twice", "trade", 4199, 8398)]),
    "another amount": (
        "bill", {"change": [{"number": "order_number", "订单金额": "41.98"}]}, [("amount_differs", "trade", 4199, 4198)]),
    "another transaction": (
        "bill", {"change": [{"number": "order_number", "微信订单号": "4200000000000000000000000001"}]},
        [("number_differs", "trade", 4199, 4199)]),
    "a reversal": (
        "bill", {"change": [{"number": "order_number", "交易状态": "REVOKED"}]}, [("state_differs", "trade", 4199, 4199)]),
    "a fee beyond what is agreed": (
        "bill", {"change": [{"number": "order_number", "手续费": "0.42000"}]}, [("fee_too_high", "trade", 0, 42)]),
    "a posting the company does not tell": (
        "postings", {"drop": ["posting_id"]}, [("paid_not_posted", "posting", 4199, None)]),
    "a posting told twice": ("postings", {"duplicate": ["posting_id"]}, [("twice", "posting", 4199, 8398)]),
    "a posting of another amount": (
        "postings", {"change": [{"number": "posting_id", "total_fen": 4200}]}, [("amount_differs", "posting", 4199, 4200)]),
    "a posting with another serial": (
        "postings", {"change": [{"number": "posting_id", "serial": "WS1"}]}, [("number_differs", "posting", 4199, 4199)]),
    "a posting nobody knows": (
        "postings",
        {"add": [{"posting_id": "unheard", "serial": "WS9", "total_fen": 5, "posted_at": "2026-11-23T10:00:00+08:00"}]},
        [("posted_not_paid", "posting", None, 5)]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
async def test_what_is_wrong_with_a_file_is_exactly_one_item(spine: Spine, case: str) -> None:
    file, spoiling, wanted = CASES[case]
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    await _refunded(spine, citizen)
    numbers = await _numbers(spine)
    named = {
        name: [
            numbers.get(one, one) if isinstance(one, str) else {**one, "number": numbers[one["number"]]}
            if "number" in one else one for one in values
        ]
        for name, values in spoiling.items()
    }  # fmt: skip
    await morning_after(spine, day)
    await (spoil_bill if file == "bill" else spoil_postings)(spine, day, **named)
    await reconcile(spine, day)
    assert await items() == [(kind, subject, "open", ours, theirs) for kind, subject, ours, theirs in wanted]
    before = await spine.rows(TABLES[2:])
    await reconcile(spine, day)
    assert await spine.rows(TABLES[2:]) == before


async def test_a_payment_nobody_told_us_of_is_found_by_its_bill_and_healed_by_asking(spine: Spine) -> None:
    day = await begin_day(spine, time(23, 50))
    citizen = await spine.citizen()
    payment = await spine.payment(citizen, await spine.account(4199))
    await spine.pay(citizen, payment)
    await morning_after(spine, day)
    outcomes = await reconcile(spine, day)
    assert outcomes["wechat_pay"].opened == outcomes["wechat_pay"].explained == 1
    states = [("missing_here", "trade", "explained"), ("paid_not_posted", "trade", "open")]
    assert [item[:3] for item in await items()] == states
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    await reconcile(spine, day)
    assert [item[2] for item in await items()] == ["explained", "explained"]


async def test_money_that_waits_is_an_item_until_the_company_takes_it(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    number = await spine.account(4199)
    await spine.fault("company:water", "post_payment", "error", status=500, times=None)
    await spine.fault("company:water", "query_posting", "error", status=500, times=None)
    await spine.paid(citizen, number)
    await morning_after(spine, day)
    await reconcile(spine, day)
    assert await items() == [("paid_not_posted", "trade", "open", 4199, None)]
    row = next(row for row in await report(day) if (row.company, row.source) == (WATER, "wechat_pay"))
    assert (row.items, row.unexplained_fen) == (1, 4199)
    await spine.all_well()
    await spine.jobs.pass_time(timedelta(hours=2))
    await of_companies(spine).tick()
    assert await items() == [("paid_not_posted", "trade", "explained", 4199, None)]
    assert sum(row.unexplained_fen for row in await report(day)) == 0
    await morning_after(spine, day + timedelta(days=1))
    assert (await reconcile(spine, day + timedelta(days=1)))["company"].opened == 0


async def test_what_a_later_file_tells_is_explained(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    numbers = await _numbers(spine)
    await morning_after(spine, day)
    await spoil_postings(spine, day, drop=[numbers["posting_id"]])
    await reconcile(spine, day)
    assert [item[:3] for item in await items()] == [("paid_not_posted", "posting", "open")]
    next_day = day + timedelta(days=1)
    serial = (await spine.ledger())["postings"][0]["serial"]
    told = {
        "posting_id": numbers["posting_id"],
        "serial": serial,
        "total_fen": 4199,
        "posted_at": f"{next_day}T00:00:10+08:00",
    }
    await spoil_postings(spine, next_day, add=[told])
    await morning_after(spine, next_day)
    await reconcile(spine, next_day)
    await of_companies(spine).tick()
    assert [item[:3] for item in await items()] == [("paid_not_posted", "posting", "explained")]


@pytest.mark.parametrize("fault", ["wrong_hash", "truncated", "cut_short", "creating"])
async def test_a_file_that_proves_nothing_is_not_taken_and_asked_for_again(spine: Spine, fault: str) -> None:
    day = await begin_day(spine)
    await spine.paid(await spine.citizen(), await spine.account(4199))
    await morning_after(spine, day)
    await spoil_bill(spine, day, fault=fault)
    outcome = (await reconcile(spine, day))["wechat_pay"]
    assert outcome.state in ("hash", "cut_short", "bill_not_ready"), outcome
    assert await fetch("select 1 from reconciliation_row where kind <> 'posting'") == []
    await spoil_bill(spine, day)
    assert (await reconcile(spine, day))["wechat_pay"].state == "matched"
    assert await items() == []


@pytest.mark.parametrize("fault", ["not_ready", "wrong_trailer", "truncated"])
async def test_a_posting_file_that_proves_nothing_is_not_taken(spine: Spine, fault: str) -> None:
    day = await begin_day(spine)
    await spine.paid(await spine.citizen(), await spine.account(4199))
    await morning_after(spine, day)
    await spoil_postings(spine, day, fault=fault)
    assert (await reconcile(spine, day))["company"].state != "matched"
    await spoil_postings(spine, day)
    assert (await reconcile(spine, day))["company"].state == "matched"
    assert await items() == []


async def test_no_bill_is_believed_only_when_it_is_late(spine: Spine) -> None:
    day = await begin_day(spine)
    await spine.paid(await spine.citizen(), await spine.account(4199))
    await morning_after(spine, day)
    await spoil_bill(spine, day, fault="none")
    assert (await reconcile(spine, day))["wechat_pay"].state == "bill_not_ready"
    await spine.travel(timedelta(hours=2))
    assert (await reconcile(spine, day))["wechat_pay"].state == "matched"
    assert await items() == [("missing_at_provider", "trade", "open", 4199, None)]


async def test_a_file_that_is_late_is_reported_once(spine: Spine, caplog: pytest.LogCaptureFixture) -> None:
    day = await begin_day(spine)
    await spine.paid(await spine.citizen(), await spine.account(4199))
    await spoil_bill(spine, day, fault="creating")
    await morning_after(spine, day, time(12, 30))
    await reconcile(spine, day)
    first = await fetch_one(
        "select late_at from reconciliation_run where source = 'wechat_pay' and late_at is not null"
    )
    assert first is not None
    await spine.travel(timedelta(hours=1))
    await reconcile(spine, day)
    again = await fetch_one(
        "select late_at from reconciliation_run where source = 'wechat_pay' and late_at is not null"
    )
    assert again == first


async def test_a_person_ends_a_difference_with_a_reason_and_another_who_agrees(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    numbers = await _numbers(spine)
    await spine.paid(citizen, await spine.account(500))
    await morning_after(spine, day)
    await spoil_bill(spine, day, drop=[numbers["order_number"]])
    await reconcile(spine, day)
    (found,) = await desk.open_items(owner="platform_operator")
    clerk = Actor("staff", "li")
    await desk.take_up(found["id"], clerk)
    for reason, approver in (("", "wang"), ("已核实", ""), ("已核实", "li")):
        with pytest.raises(desk.ReasonMissing):
            await desk.resolve(found["id"], clerk, reason, approver)
    await desk.resolve(found["id"], clerk, "支付机构确认漏记，已补", "wang")
    assert await desk.open_items() == []
    with pytest.raises(IllegalMove):
        await desk.resolve(found["id"], clerk, "again", "wang")
    await reconcile(spine, day)
    assert [item[2] for item in await items()] == ["resolved"]
    await desk.reopen(found["id"], clerk, "确认有误", "wang")
    assert [item["status"] for item in await desk.open_items()] == ["open"]


async def test_differences_that_wait_too_long_are_reported(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    numbers = await _numbers(spine)
    await spine.paid(citizen, await spine.account(500))
    await morning_after(spine, day)
    await spoil_bill(spine, day, drop=[numbers["order_number"]])
    await reconcile(spine, day)
    old_after = spine.services.city.payment_rules(day).reconciliation.old_after
    assert await desk.report_old(old_after) == 0
    assert [(owner, count) for owner, count, _ in await desk.standing()] == [("platform_operator", 1)]
    await spine.travel(old_after + timedelta(minutes=1))
    assert await desk.report_old(old_after) == 1


async def test_a_combined_payment_is_found_part_by_part_at_each_company(spine: Spine) -> None:
    day = await begin_day(spine)
    citizen = await spine.citizen()
    fens = {"water": 4199, "gas": 8820, "power": 12345}
    numbers = {company: await spine.account(fen, company=company) for company, fen in fens.items()}
    payment = await spine.combined(citizen, *numbers.items())
    refusal = {"account_number": numbers["gas"], "code": "EP0004"}
    await spine.control("POST", "/companies/gas/refuse", refusal)
    assert await spine.notify(await spine.pay(citizen, payment)) == [204]
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(timedelta(minutes=1))
    await morning_after(spine, day)
    await reconcile(spine, day, *fens)
    assert await items() == []
    rows = {row.company: (row.paid_fen, row.returned_fen, row.company_fen) for row in await report(day)}
    assert {company: rows[company] for company in fens} == {
        "water": (4199, 0, 4199), "gas": (8820, 8820, 0), "power": (12345, 0, 12345),
    }  # fmt: skip
