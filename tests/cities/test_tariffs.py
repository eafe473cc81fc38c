"""Tariffs: what the pack of Ezhou knows and what it does not, and every fault that is refused when a pack is loaded."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from cities.tariffs import TieredLine, TimeOfUseLine, hours_of
from tests.cities import packs

CITY = load_city("ezhou")
WATER, POWER, EV, BUSINESS = 0, 2, 3, 4


def tariff(number: int, path: str, value: object) -> packs.Fault:
    return packs.put(f"tariffs.{number}.{path}", value)


def test_prices_nobody_has_told_us_are_marked_as_invented() -> None:
    demo = {key for key, versions in CITY.tariffs.items() if any(each.demo for each in versions)}
    assert demo == {("water", "resident"), ("water", "non_resident"), ("gas", "resident")}
    for key in demo:
        assert all("演示价格" in each.source for each in CITY.tariffs[key])


def test_the_residents_of_hubei_pay_for_power_by_the_year() -> None:
    (found,) = CITY.tariffs["power", "resident"]
    assert found.ladder is not None
    assert found.ladder.limits == ("2160", "4800")
    assert found.ladder.household is not None
    assert found.ladder.household.each == (), "what a fifth person adds is not known"
    (line,) = found.lines
    assert isinstance(line, TieredLine)
    assert line.prices == ("0.558", "0.608", "0.858")


@pytest.mark.parametrize(
    ("month", "hour", "part"),
    [
        (1, 19, "尖峰"),
        (7, 19, "高峰"),
        (8, 21, "尖峰"),
        (9, 21, "高峰"),
        (1, 3, "低谷"),
        (7, 13, "低谷"),
        (7, 15, "平段"),
    ],
)
def test_business_hours_differ_in_july_and_august(month: int, hour: int, part: str) -> None:
    (line,) = CITY.tariffs["power", "business"][0].lines
    assert isinstance(line, TimeOfUseLine)
    found = [each.name for each in line.parts for text in each.hours_in(month) if hour in hours_of(text)]
    assert found == [part]
    assert [each.price for each in line.parts] == [None] * 4, "they change every month"


def test_hours_may_pass_midnight() -> None:
    assert hours_of("23-7") == (23, 0, 1, 2, 3, 4, 5, 6)
    assert hours_of("20-24") == (20, 21, 22, 23)
    assert hours_of("23-0") == (23,)


@pytest.mark.parametrize("text", ["7-7", "0-0", "24-3", "6-25", "６-7", "6-7\n", "x"])
def test_other_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours are written"):
        hours_of(text)


LATE = {"per_mille": "1", "clause": "某条"}
FAULTS: dict[str, tuple[packs.Fault, str]] = {
    "an unknown company": (tariff(WATER, "company", "heating"), "$.tariffs[0].company"),
    "invented prices that are not called so": (tariff(WATER, "demo", False), "$.tariffs[0].demo"),
    "real prices that are called invented": (tariff(POWER, "source", "演示"), "$.tariffs[2].demo"),
    "the same class twice from one day": (packs.again("tariffs"), "$.tariffs (water, resident)"),
    "a gap between versions": (
        packs.versions(
            "tariffs", {"effective_to": date(2025, 6, 30)}, {"effective_from": date(2025, 7, 2)}
        ),
        "$.tariffs (water, resident)",
    ),
    "two standard classes": (tariff(1, "standard", True), "$.tariffs"),
    "the same name on two lines": (tariff(WATER, "lines.2.also", ["污水处理费"]), "$.tariffs[0].lines"),
    "tiers without a ladder": (packs.drop("tariffs.2.ladder"), "$.tariffs[2].ladder"),
    "a tier without a name": (tariff(POWER, "ladder.names", ["第一档", "第二档"]), "$.tariffs[2].ladder.names"),
    "limits that fall": (tariff(POWER, "ladder.limits", ["4800", "2160"]), "$.tariffs[2].ladder.limits"),
    "limits that stand still": (tariff(POWER, "ladder.limits", ["2160", "2160.00"]), "$.tariffs[2].ladder.limits"),
    "a first limit of nothing": (tariff(POWER, "ladder.limits", ["0", "4800"]), "$.tariffs[2].ladder.limits"),
    "a limit in exponents": (tariff(POWER, "ladder.limits", ["1e3", "4800"]), "$.tariffs[2].ladder.limits[0]"),
    "people who add less to a higher tier": (
        tariff(WATER, "ladder.household.each", ["80", "70"]), "$.tariffs[0].ladder.household.each",
    ),
    "people who add to one limit only": (
        tariff(WATER, "ladder.household.each", ["80"]), "$.tariffs[0].ladder.household.each",
    ),
    "a higher tier that is cheaper": (
        tariff(POWER, "lines.0.prices", ["0.608", "0.558", "0.858"]), "$.tariffs[2].lines[0].prices",
    ),
    "a tier without a price": (tariff(POWER, "lines.0.prices", ["0.558", "0.608"]), "$.tariffs[2].lines[0].prices"),
    "a price as a number": (tariff(POWER, "lines.0.prices", [0.558, 0.608, 0.858]), "$.tariffs[2].lines[0].prices[0]"),
    "a price below nothing": (tariff(WATER, "lines.1.price", "-0.95"), "$.tariffs[0].lines[1].price"),
    "names for some tiers": (tariff(POWER, "lines.0.parts", [["第一档电费"]]), "$.tariffs[2].lines[0].parts"),
    "an hour with two prices": (tariff(EV, "lines.0.parts.0.hours", ["19-22"]), "$.tariffs[3].lines[0].parts"),
    "an hour without a price": (tariff(EV, "lines.0.parts.0.hours", ["21-22"]), "$.tariffs[3].lines[0].parts"),
    "an hour without a price in July": (
        tariff(BUSINESS, "lines.0.parts.0.other_hours", ["21-22"]), "$.tariffs[4].lines[0].parts",
    ),
    "months without hours": (tariff(EV, "lines.0.parts.0.other_months", [7]), "$.tariffs[3].lines[0].parts[0]"),
    "hours that are none": (tariff(EV, "lines.0.parts.0.hours", ["22-22"]), "$.tariffs[3].lines[0].parts"),
    "a late fee of nothing": (tariff(WATER, "late_fee.per_mille", "0"), "$.tariffs[0].late_fee.per_mille"),
    "a late fee above one per cent": (tariff(WATER, "late_fee.per_mille", "10.01"), "$.tariffs[0].late_fee.per_mille"),
    "a late fee that falls with time": (
        tariff(BUSINESS, "late_fee.later_year_per_mille", "1"), "$.tariffs[4].late_fee.per_mille",
    ),
    "a cap of more than is owed": (tariff(WATER, "late_fee.cap_percent", 101), "$.tariffs[0].late_fee.cap_percent"),
    "an unknown way to round": (tariff(WATER, "rounding", "floor"), "$.tariffs[0].rounding"),
    "no clause": (packs.drop("tariffs.0.lines.0.clause"), "$.tariffs[0].lines[0]"),
    "no source": (packs.drop("tariffs.0.source"), "$.tariffs[0]"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_refused(tmp_path: Path, name: str) -> None:
    how, path = FAULTS[name]
    with pytest.raises(CityPackInvalid) as refused:
        load(packs.change(tmp_path, "tariffs.toml", how))
    assert (refused.value.file, refused.value.path) == ("tariffs.toml", path), refused.value.fault


def test_a_new_version_follows_the_old_one_the_next_day(tmp_path: Path) -> None:
    def dearer(raw: Any) -> None:
        old = raw["tariffs"][POWER]
        raw["tariffs"].append({**old, "effective_from": date(2027, 1, 1)})
        old["effective_to"] = date(2026, 12, 31)

    versions = load(packs.change(tmp_path, "tariffs.toml", dearer)).tariffs["power", "resident"]
    assert [each.effective_from for each in versions] == [date(2025, 1, 1), date(2027, 1, 1)]
