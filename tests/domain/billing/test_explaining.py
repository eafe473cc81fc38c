"""Bills of the company explained, and months of usage, from what it really said over the wire."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import structlog

from core import clock
from core.database import fetch_one
from core.errors import NotFound
from domain.billing.explaining import explained
from domain.billing.explanation import Note
from domain.billing.usage import UsageMonth, month_before, usage_history
from models.access import Principal
from models.bill import Bill
from tests.harness.spine import Citizen, Spine

BASIS = {
    "readings": {"last": "412.00", "this": "429.00", "read_on": "2026-10-30", "estimated": False},
    "class": "resident",
    "household_size": 3,
    "annual_usage_before": "186.00",
}


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


def water(usage: str = "17.00", base_fen: int = 2584, **more: Any) -> dict[str, Any]:
    fen = (base_fen, round(Decimal(usage) * 95), round(Decimal(usage) * Decimal("27.11")))
    names = ("基本水费", "污水处理费", "水资源费")
    lines = [{"name": name, "quantity": usage, "amount_fen": amount} for name, amount in zip(names, fen, strict=True)]
    return {"lines": lines, "usage": usage, "unit": "m3", "fen": sum(fen), **more}


async def issued(spine: Spine, number: str, period: str = "2026-10", **said: Any) -> None:
    said = water(**said) if "lines" not in said else said
    fen = said.pop("fen")
    await spine.bill(number, fen, period=period, due_on="2026-12-31", **said)


async def only(spine: Spine, citizen: Citizen, number: str) -> Bill:
    """The newest bill of an account, after the company has been asked."""
    binding = await spine.bind(citizen, number)
    await spine.services.quotes.owed(binding.account_id, citizen.principal)
    return (await Bill.filter(account_id=binding.account_id).order_by("-period").limit(1))[0]


async def test_what_the_company_says_of_a_bill_reaches_its_explanation(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account()
    await issued(spine, number, **BASIS)
    bill = await only(spine, citizen, number)
    assert bill.basis == BASIS
    found, basis = await explained(spine.services.city, bill)
    assert found.agrees is True
    assert found.notes == (Note.DEMO,)
    assert basis.readings is not None
    assert basis.readings.this == "429.00"
    assert found.tiers is not None
    assert found.tiers.until_next == 320 - 203


async def test_a_difference_is_logged_and_the_bill_is_left_alone(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account()
    await issued(spine, number, base_fen=2600, **BASIS)
    bill = await only(spine, citizen, number)
    before = await fetch_one("select * from bill where id = $1", bill.id)
    with structlog.testing.capture_logs() as logs:
        found, _ = await explained(spine.services.city, bill)
    assert found.agrees is False
    (said,) = [line for line in logs if line["event"] == "bills.line_disagrees"]
    assert (said["amount_fen"], said["result_fen"], said["bill_id"]) == (2600, 2584, str(bill.id))
    assert await fetch_one("select * from bill where id = $1", bill.id) == before


async def test_a_company_may_add_what_a_bill_was_made_from_later(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account()
    said = water()
    fen = said.pop("fen")
    bill_no = await spine.bill(number, fen, due_on="2026-12-31", **said)
    bill = await only(spine, citizen, number)
    assert bill.basis is None
    assert Note.CLASS_ASSUMED in (await explained(spine.services.city, bill))[0].notes
    await spine.bill(number, fen, bill_no=bill_no, due_on="2026-12-31", **said, **BASIS)
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    await bill.refresh_from_db()
    assert bill.basis == BASIS


@pytest.mark.parametrize(
    ("missing", "agrees"), [(None, True), ("2026-02", None)], ids=["every month is known", "a month is missing"]
)
async def test_our_own_bills_tell_what_the_year_had_used_only_when_they_hold_all_of_it(
    spine: Spine, citizen: Citizen, missing: str | None, agrees: bool | None
) -> None:
    number = await spine.account()
    for period in ("2026-01", "2026-02", "2026-03"):
        if period != missing:
            await issued(spine, number, period, usage="100.00", base_fen=15200, **{"class": "resident"})
    await issued(
        spine, number, "2026-04", usage="30.00", base_fen=20 * 152 + 10 * 228, household_size=4, **{"class": "resident"}
    )
    found, _ = await explained(spine.services.city, await only(spine, citizen, number))
    assert found.lines[0].agrees is agrees
    assert (Note.USED_BEFORE_OURS in found.notes) is (missing is None)
    assert found.lines[0].note is (None if missing is None else Note.USED_BEFORE_UNKNOWN)


async def test_an_open_bill_s_late_fee_is_reckoned_to_the_day_the_company_was_asked(
    spine: Spine, citizen: Citizen
) -> None:
    number = await spine.account()
    due = clock.today() - timedelta(days=10)
    said = water(**BASIS)
    fen = said.pop("fen")
    period = month_before(f"{due:%Y-%m}")
    await spine.bill(number, fen, period=period, due_on=due.isoformat(), late_fee_fen=round(fen / 100), **said)
    found, _ = await explained(spine.services.city, await only(spine, citizen, number))
    late = found.lines[-1]
    assert late.late is not None
    assert (late.kind, late.late.days_late, late.note) == ("late_fee", 10, Note.LATE_DAY_OURS)
    assert late.agrees is True


async def test_bills_from_before_say_nothing_and_are_shown_all_the_same(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(4199)
    found, _ = await explained(spine.services.city, await only(spine, citizen, number))
    assert [(line.name, line.amount_fen, line.agrees) for line in found.lines] == [("水费", 4199, None)]


class TestUsage:
    async def account(self, spine: Spine, citizen: Citizen, *periods: str, **said: Any) -> Any:
        number = await spine.account()
        for period in periods:
            await issued(spine, number, period, **said)
        return (await only(spine, citizen, number)).account_id

    async def test_a_month_without_a_bill_is_missing_and_not_0(self, spine: Spine, citizen: Citizen) -> None:
        account_id = await self.account(spine, citizen, "2026-06", "2026-08", "2026-09")
        months, next_before = await usage_history(account_id, citizen.principal, "2026-10", None, 12)
        fen = water()["fen"]
        billed = {
            period: UsageMonth(period, 1, Decimal("17.00"), "m3", fen) for period in ("2026-06", "2026-08", "2026-09")
        }
        assert months == [
            UsageMonth("2026-10", 0), billed["2026-09"], billed["2026-08"], UsageMonth("2026-07", 0), billed["2026-06"],
        ]  # fmt: skip
        assert next_before is None
        assert months[0].usage is None
        assert months[0].amount_fen is None

    async def test_pages_meet_without_gap_or_overlap(self, spine: Spine, citizen: Citizen) -> None:
        periods = ["2025-11", "2025-12", "2026-01", "2026-03", "2026-05"]
        account_id = await self.account(spine, citizen, *periods)
        found, before, pages = [], None, 0
        while pages == 0 or before is not None:
            months, before = await usage_history(account_id, citizen.principal, "2026-04", before, 3)
            found += [month.period for month in months]
            pages += 1
        assert found == ["2026-05", "2026-04", "2026-03", "2026-02", "2026-01", "2025-12", "2025-11"]
        assert pages == 3
        assert await usage_history(account_id, citizen.principal, "2026-04", "2025-11", 3) == ([], None)
        assert await usage_history(account_id, citizen.principal, "2026-04", "2020-01", 3) == ([], None)

    async def test_bills_of_one_month_are_one_and_a_void_one_is_none(self, spine: Spine, citizen: Citizen) -> None:
        number = await spine.account()
        for period, status in (("2026-09", "open"), ("2026-09", "open"), ("2026-10", "void")):
            await issued(spine, number, period, status=status)
        account_id = (await only(spine, citizen, number)).account_id
        assert await Bill.filter(account_id=account_id, status="void").count() == 1
        months, _ = await usage_history(account_id, citizen.principal, "2026-09", None, 12)
        assert months == [UsageMonth("2026-09", 2, Decimal("34.00"), "m3", 2 * water()["fen"])]

    async def test_a_bill_that_names_no_usage_leaves_it_unknown_but_not_its_amount(
        self, spine: Spine, citizen: Citizen
    ) -> None:
        number = await spine.account(4199)
        bill = await only(spine, citizen, number)
        months, _ = await usage_history(bill.account_id, citizen.principal, bill.period, None, 12)
        assert months == [UsageMonth(bill.period, 1, None, None, 4199)]

    async def test_units_that_differ_are_not_added(self, spine: Spine, citizen: Citizen) -> None:
        account_id = await self.account(spine, citizen, "2026-09", "2026-09")
        (first, _) = await Bill.filter(account_id=account_id)
        await Bill.filter(id=first.id).update(unit="t")
        months, _ = await usage_history(account_id, citizen.principal, "2026-09", None, 12)
        assert (months[0].usage, months[0].unit) == (None, None)

    async def test_an_account_without_bills_has_no_months_and_a_stranger_no_account(
        self, spine: Spine, citizen: Citizen
    ) -> None:
        binding = await spine.bind(citizen, await spine.account())
        assert await usage_history(binding.account_id, citizen.principal, "2026-10", None, 12) == ([], None)
        for account_id, person_id in ((binding.account_id, uuid4()), (uuid4(), citizen.id)):
            with pytest.raises(NotFound):
                await usage_history(account_id, Principal(person_id), "2026-10", None, 12)


def test_the_month_before_january_is_december() -> None:
    assert month_before("2026-01") == "2025-12"
