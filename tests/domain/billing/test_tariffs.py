"""Bills explained: every line with its clause, its inputs and its result; the company's amounts stand, disagreements are said."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cities.demo import load_demo
from cities.loader import load_city
from cities.tariffs import FixedLine, Household, Tariff
from domain.billing.explanation import Explanation, Inputs, Note, SaidLine
from domain.billing.tariffs import explain, tariff_for

CITY = load_city("ezhou")
WATER, POWER = CITY.tariffs["water", "resident"][0], CITY.tariffs["power", "resident"][0]
EV, BUSINESS = CITY.tariffs["power", "ev_charging"][0], CITY.tariffs["power", "business"][0]


def said(name: str, amount_fen: int, quantity: str | None = None) -> SaidLine:
    return SaidLine(name, amount_fen, None if quantity is None else Decimal(quantity))


def water(usage: str = "17.00", before: str | None = "186.00", **more: object) -> Inputs:
    lines = (said("基本水费", 2584, usage), said("污水处理费", 1615, usage), said("水资源费", 461, usage))
    used = None if before is None else Decimal(before)
    found = Inputs("2026-10", lines, 4660, usage=Decimal(usage), unit="m3", household_size=3, used_before=used)
    return replace(found, **more)  # pyright: ignore[reportArgumentType]


def power(fen: int, used_now: str, before: str | None, name: str = "电费", **more: object) -> Inputs:
    used = None if before is None else Decimal(before)
    found = Inputs("2026-10", (said(name, fen),), fen, usage=Decimal(used_now), household_size=3, used_before=used)
    return replace(found, **more)  # pyright: ignore[reportArgumentType]


def outcome(found: Explanation) -> list[tuple[str, int | None, int | None, bool | None]]:
    return [(line.name, line.amount_fen, line.result_fen, line.agrees) for line in found.lines]


class TestABillThatAgrees:
    def test_every_line_has_its_clause_its_inputs_and_its_result(self) -> None:
        found = explain(WATER, water())
        assert outcome(found) == [
            ("基本水费", 2584, 2584, True), ("污水处理费", 1615, 1615, True), ("水资源费", 461, 461, True),
        ]  # fmt: skip
        assert found.agrees is True
        base, sewage, _ = found.lines
        assert (base.kind, base.quantity, base.clause) == ("tiered", Decimal("17.00"), "演示：居民阶梯水价")
        (step,) = base.steps
        assert (step.name, step.quantity, step.unit_price, step.yuan) == (
            "第一档", Decimal("17.00"), Decimal("1.52"), Decimal("25.84"),
        )  # fmt: skip
        assert (sewage.unit_price, sewage.collected_for) == (Decimal("0.95"), "替政府代收")

    def test_invented_prices_are_said_to_be(self) -> None:
        assert Note.DEMO in explain(WATER, water()).notes
        assert Note.DEMO not in explain(POWER, power(558, "10", "0")).notes

    @pytest.mark.parametrize(
        ("usage", "before", "fen", "tiers"),
        [
            ("186", "2124", 11129, ["第一档", "第二档"]),  # 36 × 0.558 + 150 × 0.608
            ("36", "2124", 2009, ["第一档"]),
            ("1", "2160", 61, ["第二档"]),
            ("5000", "0", 298_200, ["第一档", "第二档", "第三档"]),
        ],
    )
    def test_a_bill_that_passes_into_another_tier(self, usage: str, before: str, fen: int, tiers: list[str]) -> None:
        found = explain(POWER, power(fen, usage, before))
        assert outcome(found) == [("电费", fen, fen, True)]
        assert [step.name for step in found.lines[0].steps] == tiers

    def test_the_company_may_write_a_line_for_each_tier(self) -> None:
        lines = (said("第一档电费", 2009), said("第二档电费", 9120))
        found = explain(POWER, power(11129, "186", "2124", lines=lines))
        assert outcome(found) == [("第一档电费", 2009, 2009, True), ("第二档电费", 9120, 9120, True)]
        assert [line.quantity for line in found.lines] == [Decimal(36), Decimal(150)]

    def test_the_picture_of_the_year(self) -> None:
        picture = explain(POWER, power(11129, "186", "2124")).tiers
        assert picture is not None
        assert [(tier.up_to, tier.used_before, tier.used_now) for tier in picture.tiers] == [
            (Decimal(2160), 2124, 36), (Decimal(4800), 0, 150), (None, 0, 0),
        ]  # fmt: skip
        assert (picture.year, picture.current, picture.until_next) == (2026, 1, 4800 - 2310)
        top = explain(POWER, power(858, "10", "4800")).tiers
        assert top is not None
        assert (top.current, top.until_next) == (2, None)
        edge = explain(POWER, power(20088, "360", "1800")).tiers
        assert edge is not None
        assert (edge.current, edge.until_next) == (0, 0), "a limit belongs to the tier below it"

    def test_more_people_have_more_of_the_cheap_tier(self) -> None:
        lines = (said("基本水费", 15200),)
        crowd = water("100", "300", lines=lines, principal_fen=15200, household_size=5)
        assert explain(WATER, crowd).lines[0].agrees is True
        assert explain(WATER, replace(crowd, household_size=4)).lines[0].agrees is False


class TestABillThatDoesNot:
    def test_the_company_s_amount_stands_and_the_difference_is_said(self) -> None:
        lines = (said("基本水费", 2600), said("污水处理费", 1615), said("水资源费", 461))
        found = explain(WATER, water(lines=lines))
        assert outcome(found)[0] == ("基本水费", 2600, 2584, False)
        assert found.agrees is False

    def test_what_the_tariff_has_and_the_bill_has_not_is_said(self) -> None:
        found = explain(WATER, water(lines=water().lines[:2]))
        assert outcome(found)[2] == ("水资源费", None, 461, False)
        assert found.lines[2].note is Note.NOT_ON_BILL

    def test_a_tier_that_was_reached_and_has_no_line_is_said(self) -> None:
        found = explain(POWER, power(2009, "186", "2124", name="第一档电费"))
        assert outcome(found) == [("第一档电费", 2009, 2009, True), ("第二档电费", None, 9120, False)]

    def test_a_line_of_its_own_may_hold_what_seems_to_be_missing(self) -> None:
        found = explain(WATER, water(lines=(said("水费", 4660),)))
        assert outcome(found) == [("水费", 4660, None, None)]
        assert found.lines[0].note is Note.NOT_IN_TARIFF


class TestWhatCannotBeTold:
    @pytest.mark.parametrize(
        ("inputs", "note"),
        [
            (power(9999, "186", None), Note.USED_BEFORE_UNKNOWN),
            (power(9999, "186", "0", usage=None), Note.USAGE_UNKNOWN),
            (power(9999, "186", "0", household_size=5), Note.HOUSEHOLD_UNKNOWN),
            (power(9999, "186", "0", unit="MWh"), Note.UNIT_DIFFERS),
            (power(9999, "186", "0", lines=(said("电费", 5000), said("电费", 4999))), Note.SEVERAL_LINES),
            (power(9999, "186", "0", lines=(said("电费", 5000), said("第一档电费", 4999))), Note.SEVERAL_LINES),
            (power(9999, "186", None, name="第一档电费"), Note.USED_BEFORE_UNKNOWN),
        ],
    )
    def test_is_neither_true_nor_false(self, inputs: Inputs, note: Note) -> None:
        found = explain(POWER, inputs)
        assert {(line.result_fen, line.agrees, line.note) for line in found.lines} == {(None, None, note)}
        assert found.agrees is None

    @pytest.mark.parametrize(
        ("more", "notes"),
        [
            ({"household_size": None}, ()),
            ({"ours": frozenset({"used_before"})}, ()),
            ({}, (Note.CLASS_ASSUMED,)),
            ({"usage": None, "lines": (said("电费", 9999, "186"),)}, ()),
        ],
    )
    def test_under_an_assumption_a_line_may_agree_but_never_disagrees(
        self, more: dict[str, Any], notes: tuple[Note, ...]
    ) -> None:
        wrong = power(9999, "186", "0", **more)
        assert explain(POWER, wrong, notes).lines[0].agrees is None
        lines = tuple(replace(line, amount_fen=10379) for line in wrong.lines)
        assert explain(POWER, replace(wrong, lines=lines), notes).lines[0].agrees is True

    def test_without_a_tariff_every_line_stands_as_the_company_wrote_it(self) -> None:
        found = explain(None, water(late_fee_fen=10))
        assert outcome(found) == [
            ("基本水费", 2584, None, None), ("污水处理费", 1615, None, None), ("水资源费", 461, None, None),
            ("违约金", 10, None, None),
        ]  # fmt: skip
        assert found.notes == (Note.NO_TARIFF,)


class TestTimeOfUse:
    def test_each_part_of_the_day_has_its_price_and_the_company_s_quantity(self) -> None:
        lines = (said("尖", 780, "10.00"), said("高峰", 680, "10"), said("平段", 580, "10"), said("低谷", 431, "10"))
        found = explain(EV, Inputs("2026-10", lines, 2471, usage=Decimal(40), unit="kWh"))
        assert [line.agrees for line in found.lines] == [True, True, True, False]
        assert found.lines[3].result_fen == 430
        assert found.lines[3].steps[0].hours == ("23-7",)

    def test_a_price_set_elsewhere_each_month_is_unknown_but_its_hours_are_not(self) -> None:
        lines = (said("尖", 780, "10"),)
        for period, hours in (("2026-08", ("20-22",)), ("2026-09", ("18-20",))):
            (line,) = explain(BUSINESS, Inputs(period, lines, 780)).lines
            assert (line.agrees, line.note, line.steps[0].hours) == (None, Note.PRICE_UNKNOWN, hours)

    def test_one_line_for_the_whole_day_cannot_be_taken_apart(self) -> None:
        (line,) = explain(EV, Inputs("2026-10", (said("充电电费", 780, "10"),), 780, usage=Decimal(10))).lines
        assert (line.agrees, line.note, len(line.steps)) == (None, Note.USAGE_UNKNOWN, 4)


class TestLateFees:
    LATE = water(principal_fen=5756, due_on=date(2026, 10, 31))

    def test_it_is_a_line_with_its_days_its_rate_and_its_cap(self) -> None:
        found = explain(WATER, replace(self.LATE, late_fee_fen=132, late_through=date(2026, 11, 23))).lines[-1]
        assert (found.kind, found.amount_fen, found.result_fen, found.agrees) == ("late_fee", 132, 132, True)
        assert found.late is not None
        assert (found.late.days_late, found.late.cap_fen) == (23, 5756)

    def test_it_disagrees_only_when_the_company_names_the_day(self) -> None:
        wrong = replace(self.LATE, late_fee_fen=131, late_through=date(2026, 11, 23))
        assert explain(WATER, wrong).lines[-1].agrees is False
        ours = replace(wrong, ours=frozenset({"late_through"}))
        assert (explain(WATER, ours).lines[-1].agrees, explain(WATER, ours).lines[-1].note) == (
            None,
            Note.LATE_DAY_OURS,
        )

    def test_a_late_fee_that_should_be_there_is_said(self) -> None:
        found = explain(WATER, replace(self.LATE, late_through=date(2026, 11, 23))).lines[-1]
        assert (found.amount_fen, found.result_fen, found.agrees) == (0, 132, False)

    def test_without_a_day_or_a_rule_it_is_unknown_and_without_a_fee_it_is_no_line(self) -> None:
        assert explain(WATER, replace(self.LATE, late_fee_fen=5)).lines[-1].note is Note.LATE_DAY_UNKNOWN
        bare = msgspec.structs.replace(WATER, late_fee=None)
        assert explain(bare, replace(self.LATE, late_fee_fen=5)).lines[-1].note is Note.LATE_RULE_UNKNOWN
        assert explain(WATER, self.LATE).lines[-1].kind != "late_fee"
        assert explain(WATER, replace(self.LATE, late_through=date(2026, 10, 31))).lines[-1].kind != "late_fee"


class TestChoosingATariff:
    def test_the_class_the_company_names_or_the_standard_one_assumed(self) -> None:
        assert tariff_for(CITY.tariffs, "power", "ev_charging", "2026-10") == (EV, ())
        assert tariff_for(CITY.tariffs, "power", None, "2026-10") == (POWER, (Note.CLASS_ASSUMED,))

    @pytest.mark.parametrize(
        ("company", "user_class", "period"),
        [("power", "居民", "2026-10"), ("power", "resident", "2024-12"), ("telecom_ct", None, "2026-10")],
    )
    def test_none_is_known(self, company: str, user_class: str | None, period: str) -> None:
        assert tariff_for(CITY.tariffs, company, user_class, period) == (None, (Note.NO_TARIFF,))

    def test_a_month_in_which_it_changed_is_not_recomputed(self) -> None:
        old = msgspec.structs.replace(POWER, effective_to=date(2026, 10, 15))
        new = msgspec.structs.replace(POWER, effective_from=date(2026, 10, 16))
        tariffs = {("power", "resident"): (old, new)}
        assert tariff_for(tariffs, "power", "resident", "2026-10") == (None, (Note.TARIFF_CHANGED,))
        assert tariff_for(tariffs, "power", "resident", "2026-09")[0] is old
        assert tariff_for(tariffs, "power", "resident", "2026-11")[0] is new


@settings(deadline=None)
@given(
    st.sampled_from([WATER, POWER]),
    st.decimals(0, 9_000, places=2),
    st.decimals(0, 9_000, places=2),
    st.integers(1, 4),
)
def test_a_bill_made_from_the_tariff_agrees_and_its_lines_add_up(
    tariff: Tariff, before: Decimal, usage: Decimal, size: int
) -> None:
    blank = Inputs("2026-10", (), 0, usage=usage, used_before=before, household_size=size)
    wanted = explain(tariff, blank).lines
    lines = tuple(SaidLine(line.name, line.result_fen or 0) for line in wanted)
    total = sum(line.amount_fen for line in lines)
    found = explain(tariff, replace(blank, lines=lines, principal_fen=total))
    assert found.agrees is True
    assert sum(line.result_fen or 0 for line in found.lines) == total
    for line in found.lines:
        if line.steps:
            assert sum((step.quantity or 0) for step in line.steps) == usage
    if found.tiers is not None:
        assert sum(tier.used_now for tier in found.tiers.tiers) == usage
        assert sum(tier.used_before for tier in found.tiers.tiers) == before
    one_more = replace(lines[0], amount_fen=lines[0].amount_fen + 1) if lines else None
    if one_more:
        assert explain(tariff, replace(blank, lines=(one_more, *lines[1:]))).agrees is False


def test_a_fixed_line_is_the_same_whatever_was_used() -> None:
    fixed = FixedLine(name="月租费", price="19.90", clause="某条")
    tariff = msgspec.structs.replace(POWER, lines=(fixed,), ladder=None)
    assert explain(tariff, Inputs("2026-10", (said("月租费", 1990),), 1990)).agrees is True
    assert explain(tariff, Inputs("2026-10", (said("月租费", 2000),), 2000)).agrees is False


def test_a_ladder_for_everybody_needs_no_household() -> None:
    assert POWER.ladder is not None
    ladder = msgspec.structs.replace(POWER.ladder, household=None)
    tariff = msgspec.structs.replace(POWER, ladder=ladder)
    assert explain(tariff, power(9999, "186", "0", household_size=None)).lines[0].agrees is False
    assert Household(included=4).each == ()


def test_the_demo_bills_that_say_what_they_were_made_from_are_what_their_tariffs_come_to() -> None:
    explained: set[tuple[str, str]] = set()
    for company in load_demo(CITY).companies:
        for bill in (bill for account in company.accounts for bill in account.bills if bill.user_class):
            assert bill.readings is not None
            assert bill.usage is not None
            assert bill.user_class is not None
            assert Decimal(bill.readings.this or 0) - Decimal(bill.readings.last or 0) == Decimal(bill.usage)
            tariff, notes = tariff_for(CITY.tariffs, company.code, bill.user_class, bill.period)
            through = date.fromisoformat(bill.late_fee_through) if bill.late_fee_through else None
            before = Decimal(bill.annual_usage_before) if bill.annual_usage_before else None
            inputs = Inputs(
                bill.period, tuple(said(line.name, line.amount_fen, line.quantity) for line in bill.lines), bill.principal_fen,
                bill.late_fee_fen, Decimal(bill.usage), bill.unit, date.fromisoformat(bill.due_on), through, bill.household_size, before,
            )  # fmt: skip
            found = explain(tariff, inputs, notes)
            if bill.user_class == "business" or (before is None and tariff is not None and tariff.ladder is not None):
                assert found.agrees is None, "the prices of a month, or what was used before, nobody has told"
            else:
                assert found.agrees is True, bill.bill_no
                explained.add((company.code, bill.user_class))
    assert explained == {
        ("water", "resident"), ("water", "non_resident"), ("power", "resident"), ("power", "ev_charging"), ("gas", "resident"),
    }  # fmt: skip
