"""Tiers and late fees: held against loops that walk day by day and unit by unit, and against what must always be true."""

import itertools
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cities.loader import load_city
from cities.tariffs import Household, Ladder, LateFeeRule, Rounding
from domain.billing.reckoning import late_fee, limits_for, split, to_fen

CITY = load_city("ezhou")
DUE = date(2026, 10, 31)


def amounts(top: int, places: int = 2) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, top, places=places, allow_nan=False)


LIMITS = st.lists(amounts(5_000).filter(bool), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
ROUNDINGS: st.SearchStrategy[Rounding] = st.sampled_from(["half_up", "half_even", "down", "up"])
PRINCIPALS = st.integers(0, 5_000_000)
DAYS = st.dates(date(2024, 1, 1), date(2028, 12, 31))


@st.composite
def rules(draw: st.DrawFn) -> LateFeeRule:
    rate = draw(st.sampled_from(["0.5", "1", "2", "3", "5", "10"]))
    later = draw(st.none() | st.sampled_from(["10", rate]))
    return LateFeeRule(
        per_mille=rate, later_year_per_mille=later, grace_days=draw(st.integers(0, 20)),
        counts_from=draw(st.sampled_from(["due_day", "grace_end"])), minimum_fen=draw(st.sampled_from([0, 1, 100])),
        cap_percent=draw(st.none() | st.integers(1, 100)), clause="某条",
    )  # fmt: skip


def naive_fee(rule: LateFeeRule, principal_fen: int, due_on: date, through: date, rounding: Rounding) -> int:
    """One day after the other, in fractions; the same rules read anew."""
    late: list[date] = []
    day = due_on
    while day < through:
        day += timedelta(days=1)
        late.append(day)
    if len(late) <= rule.grace_days:
        return 0
    total = Fraction(0)
    for number, day in enumerate(late, 1):
        if rule.counts_from == "grace_end" and number <= rule.grace_days:
            continue
        dearer = day.year > due_on.year and rule.later_year_per_mille is not None
        rate = rule.later_year_per_mille if dearer else rule.per_mille
        assert rate is not None
        total += principal_fen * Fraction(rate) / 1000
    fee = _rounded(total, rounding)
    if principal_fen:
        fee = max(fee, rule.minimum_fen)
    return fee if rule.cap_percent is None else min(fee, principal_fen * rule.cap_percent // 100)


def _rounded(value: Fraction, rounding: Rounding) -> int:
    whole, rest = divmod(value, 1)
    match rounding:
        case "down":
            return whole
        case "up":
            return whole + (rest > 0)
        case "half_up":
            return whole + (rest >= Fraction(1, 2))
        case "half_even":
            return round(value)


class TestLateFees:
    @settings(deadline=None)
    @given(rules(), PRINCIPALS, DAYS, st.integers(-40, 800), ROUNDINGS)
    def test_walking_day_by_day_comes_to_the_same(
        self, rule: LateFeeRule, principal_fen: int, due_on: date, days: int, rounding: Rounding
    ) -> None:
        through = due_on + timedelta(days=days)
        found = late_fee(rule, principal_fen, due_on, through, rounding)
        assert found.fee_fen == naive_fee(rule, principal_fen, due_on, through, rounding)
        assert found.days_late == max(0, days)

    @settings(deadline=None)
    @given(rules(), PRINCIPALS, DAYS, st.integers(0, 400), st.integers(0, 400), ROUNDINGS)
    def test_it_never_falls_with_time_and_never_passes_its_cap(
        self, rule: LateFeeRule, principal_fen: int, due_on: date, days: int, more: int, rounding: Rounding
    ) -> None:
        first, later = (
            late_fee(rule, principal_fen, due_on, due_on + timedelta(days=n), rounding) for n in (days, days + more)
        )
        assert 0 <= first.fee_fen <= later.fee_fen
        if rule.cap_percent is not None:
            assert later.fee_fen <= principal_fen

    @settings(deadline=None)
    @given(PRINCIPALS, DAYS, st.integers(0, 300), st.integers(0, 300))
    def test_it_is_of_the_principal_only_so_that_days_add_up_exactly(
        self, principal_fen: int, due_on: date, days: int, more: int
    ) -> None:
        rule = LateFeeRule(per_mille="1", later_year_per_mille="3", clause="某条")
        middle, end = due_on + timedelta(days=days), due_on + timedelta(days=days + more)
        whole = late_fee(rule, principal_fen, due_on, end, "half_up").accrued
        per_day = [
            late_fee(rule, principal_fen, due_on, middle + timedelta(days=n), "half_up").accrued
            for n in range(more + 1)
        ]
        assert whole == per_day[0] + sum((b - a for a, b in itertools.pairwise(per_day)), Decimal(0))
        assert {b - a for a, b in itertools.pairwise(per_day)} <= {
            Decimal(principal_fen) / 100_000, 3 * Decimal(principal_fen) / 100_000,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("through", "fee_fen"),
        [
            (date(2026, 10, 31), 0),  # the due day is not late
            (date(2026, 11, 1), 100),  # the minimum
            (date(2026, 11, 20), 200),
            (date(2026, 12, 31), 610),
            (date(2027, 1, 1), 610 + 30 // 2),  # the later year's rate
        ],
    )
    def test_the_rule_of_the_power_company(self, through: date, fee_fen: int) -> None:
        rule = LateFeeRule(per_mille="1", later_year_per_mille="1.5", minimum_fen=100, clause="某条")
        assert late_fee(rule, 10_000, DUE, through, "half_up").fee_fen == fee_fen

    @pytest.mark.parametrize(
        ("counts_from", "days", "fee_fen"),
        [("due_day", 5, 0), ("due_day", 6, 60), ("grace_end", 5, 0), ("grace_end", 6, 10), ("grace_end", 7, 20)],
    )
    def test_days_of_grace_cost_nothing(self, counts_from: str, days: int, fee_fen: int) -> None:
        rule = LateFeeRule(per_mille="1", grace_days=5, counts_from=counts_from, clause="某条")  # pyright: ignore[reportArgumentType]
        assert late_fee(rule, 10_000, DUE, DUE + timedelta(days=days), "half_up").fee_fen == fee_fen

    def test_the_cap_is_above_the_minimum_and_nothing_owed_is_nothing_late(self) -> None:
        rule = LateFeeRule(per_mille="1", minimum_fen=100, cap_percent=100, clause="某条")
        assert late_fee(rule, 60, DUE, DUE + timedelta(days=1), "half_up").fee_fen == 60
        assert late_fee(rule, 0, DUE, DUE + timedelta(days=99), "half_up").fee_fen == 0
        assert late_fee(rule, 10_000, DUE, DUE + timedelta(days=5_000), "half_up").fee_fen == 10_000

    def test_the_demo_bill_of_september_is_late_by_23_days(self) -> None:
        rule = CITY.tariffs["water", "resident"][0].late_fee
        assert rule is not None
        found = late_fee(rule, 5756, DUE, date(2026, 11, 23), "half_up")
        assert (found.days_late, found.spans, found.accrued, found.fee_fen) == (
            23, ((23, Decimal(1)),), Decimal("1.32388"), 132,
        )  # fmt: skip


class TestTiers:
    @settings(deadline=None)
    @given(LIMITS, amounts(10_000), amounts(10_000))
    def test_the_shares_add_up_and_none_is_below_nothing(
        self, limits: tuple[Decimal, ...], before: Decimal, quantity: Decimal
    ) -> None:
        shares = split(limits, before, quantity)
        assert len(shares) == len(limits) + 1
        assert sum(shares) == quantity
        assert min(shares) >= 0

    @settings(deadline=None)
    @given(LIMITS, amounts(10_000), st.lists(amounts(3_000), max_size=6))
    def test_reading_the_meter_more_often_changes_nothing(
        self, limits: tuple[Decimal, ...], before: Decimal, quantities: list[Decimal]
    ) -> None:
        together = split(limits, before, sum(quantities, Decimal(0)))
        apart = [Decimal(0)] * len(together)
        for quantity in quantities:
            apart = [a + b for a, b in zip(apart, split(limits, before, quantity), strict=True)]
            before += quantity
        assert tuple(apart) == together

    @settings(deadline=None)
    @given(LIMITS, st.integers(0, 400), st.integers(0, 400))
    def test_walking_unit_by_unit_comes_to_the_same(
        self, limits: tuple[Decimal, ...], before: int, quantity: int
    ) -> None:
        whole = tuple(Decimal(int(limit)) for limit in limits)
        walked = [0] * (len(whole) + 1)
        for unit in range(before + 1, before + quantity + 1):
            walked[sum(1 for limit in whole if unit > limit)] += 1
        assert split(whole, Decimal(before), Decimal(quantity)) == tuple(walked)

    @pytest.mark.parametrize(
        ("before", "quantity", "shares"),
        [
            ("0", "2160", "2160 0 0"),
            ("0", "2160.01", "2160 0.01 0"),
            ("2160", "1", "0 1 0"),
            ("2159", "2", "1 1 0"),
            ("4800", "0", "0 0 0"),
            ("4799.5", "1", "0 0.5 0.5"),
            ("0", "5000", "2160 2640 200"),
            ("9000", "1", "0 0 1"),
        ],
    )
    def test_a_limit_belongs_to_the_tier_below_it(self, before: str, quantity: str, shares: str) -> None:
        found = split((Decimal(2160), Decimal(4800)), Decimal(before), Decimal(quantity))
        assert found == tuple(map(Decimal, shares.split()))

    @pytest.mark.parametrize(
        ("kwh", "yuan"), [(2160, "1205.28"), (3000, "1716.00"), (4800, "2810.40"), (5000, "2982.00")]
    )
    def test_a_year_of_power_in_hubei(self, kwh: int, yuan: str) -> None:
        prices = [Decimal(price) for price in ("0.558", "0.608", "0.858")]
        shares = split((Decimal(2160), Decimal(4800)), Decimal(0), Decimal(kwh))
        assert sum(a * b for a, b in zip(shares, prices, strict=True)) == Decimal(yuan)

    @settings(deadline=None)
    @given(st.integers(1, 30), amounts(500), amounts(500))
    def test_more_people_never_have_less_and_limits_stay_in_order(
        self, size: int, first: Decimal, more: Decimal
    ) -> None:
        each = (str(first), str(first + more))
        ladder = Ladder(names=("一", "二", "三"), limits=("100", "200"), household=Household(included=4, each=each))
        found, larger = limits_for(ladder, size), limits_for(ladder, size + 1)
        assert found is not None
        assert larger is not None
        assert found[0] < found[1]
        assert all(a <= b for a, b in zip(found, larger, strict=True))
        assert (found == (100, 200)) if size <= 4 else (found[0] == 100 + (size - 4) * first)

    def test_what_a_fifth_person_adds_is_unknown_where_nobody_said_it(self) -> None:
        ladder = Ladder(names=("一", "二"), limits=("100",), household=Household(included=4))
        assert limits_for(ladder, None) == limits_for(ladder, 4) == (Decimal(100),)
        assert limits_for(ladder, 5) is None
        assert limits_for(Ladder(names=("一", "二"), limits=("100",)), 9) == (Decimal(100),)


@settings(deadline=None)
@given(st.integers(0, 10**24), ROUNDINGS)
def test_rounding_is_to_the_nearest_fen_by_the_rule(millionths: int, rounding: Rounding) -> None:
    exact = Fraction(millionths, 10**10)
    assert to_fen(Decimal(millionths).scaleb(-12), rounding) == _rounded(exact, rounding)


@pytest.mark.parametrize(
    ("yuan", "up", "even", "down", "ceiling"),
    [("0.005", 1, 0, 0, 1), ("0.015", 2, 2, 1, 2), ("0.0149", 1, 1, 1, 2), ("1.00", 100, 100, 100, 100)],
)
def test_half_a_fen(yuan: str, up: int, even: int, down: int, ceiling: int) -> None:
    found = [to_fen(Decimal(yuan), rule) for rule in ("half_up", "half_even", "down", "up")]
    assert found == [up, even, down, ceiling]
