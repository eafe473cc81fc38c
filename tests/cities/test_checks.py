"""A fault in the areas, companies or rules of a pack is refused, and the error says where and what."""

from datetime import date
from pathlib import Path

import pytest

from cities.checks import pattern_fault
from cities.errors import CityPackInvalid
from cities.loader import load
from tests.cities.packs import Fault, again, change, drop, put, versions

BEFORE = date(2023, 3, 14)
FAULTS: list[tuple[str, str, Fault, str, str]] = [
    # name, file, fault, path in the file, words
    ("unknown field", "city.toml", put("population", 1), "$", "unknown field `population`"),
    ("missing field", "city.toml", drop("name"), "$", "missing required field `name`"),
    ("another city", "city.toml", put("code", "wuhan"), "$.code", "wuhan is not the name of the folder"),
    ("another time zone", "city.toml", put("time_zone", "UTC"), "$.time_zone", "Invalid enum value"),
    ("NUL", "city.toml", put("name", "鄂州\0市"), "$.name", "control character"),
    ("space at the edge", "city.toml", put("name", "鄂州市 "), "$.name", "space at its edge"),
    ("area twice", "areas.toml", again("areas", name="又一区"), "$.areas[31].code", "420702 appears twice"),
    ("area name twice", "areas.toml", again("areas", code="420709"), "$.areas[31].name", "梁子湖区 appears twice"),
    ("no such district", "areas.toml", put("areas.5.parent", "420709"), "$.areas[5].parent", "no district 420709"),
    ("area elsewhere", "areas.toml", put("areas.5.parent", "420704"), "$.areas[5].code", "does not lie in 420704"),
    ("town called street", "areas.toml", put("areas.5.kind", "street"), "$.areas[5].kind", "no code of a street"),
    ("district elsewhere", "areas.toml", put("areas.0.parent", "420100"), "$.areas[0].parent", "city 420700"),
    ("district of Wuhan", "areas.toml", put("areas.0.code", "420102"), "$.areas[0].code", "no district code"),
    ("wide area code", "areas.toml", put("areas.0.code", "４２０７０２"), "$.areas[0].code", "matching regex"),
    (
        "company twice",
        "companies.toml",
        put("companies.1.code", "water"),
        "$.companies[1].code",
        "water appears twice",
    ),
    (
        "merchant twice",
        "companies.toml",
        put("companies.1.sub_mchid", "1900000101"),
        "$.companies[1].sub_mchid",
        "twice",
    ),
    ("empty hotline", "companies.toml", put("companies.0.hotline", ""), "$.companies[0].hotline", "matching regex"),
    ("unknown service", "companies.toml", put("companies.0.service", "heat"), "$.companies[0].service", "enum"),
    ("unknown proof", "companies.toml", put("companies.0.proof.kind", "trust"), "$.companies[0].proof.kind", "enum"),
    (
        "files without their mode",
        "companies.toml",
        put("companies.5.gateway.mode", "api"),
        "$.companies[5].gateway.files",
        "mode file only",
    ),
    (
        "a quote in a file",
        "companies.toml",
        put("companies.5.gateway.quotes", True),
        "$.companies[5].gateway.mode",
        "fixes no quote",
    ),
    (
        "overdue too early",
        "companies.toml",
        put("companies.5.gateway.files.late_at", "02:00"),
        "$.companies[5].gateway.files.late_at",
        "overdue",
    ),
    (
        "cutoffs out of order",
        "companies.toml",
        put("companies.5.gateway.files.cutoffs", ["18:00", "12:00"]),
        "$.companies[5].gateway.files.cutoffs",
        "in the order of the day",
    ),
    (
        "no answer for days",
        "companies.toml",
        put("companies.5.gateway.files.answered_within", "4d"),
        "$.companies[5].gateway.files.answered_within",
        "3d",
    ),
    ("joined as text", "companies.toml", put("companies.0.joined", "yes"), "$.companies[0].joined", "Expected `bool`"),
    (
        "open pattern",
        "companies.toml",
        put("companies.0.account.pattern", "[0-9]{10}"),
        "$.companies[0].account.pattern",
        "begins with ^",
    ),
    (
        "proof pattern",
        "companies.toml",
        put("companies.0.proof.pattern", "^\\d{3}[0-9X]$"),
        "$.companies[0].proof.pattern",
        "[0-9], never \\d",
    ),
    (
        "no timeout",
        "companies.toml",
        put("companies.0.gateway.timeout", "5"),
        "$.companies[0].gateway.timeout",
        "15s, 10m",
    ),
    (
        "timeout as number",
        "companies.toml",
        put("companies.0.gateway.timeout", 5),
        "$.companies[0].gateway.timeout",
        "15s, 10m",
    ),
    (
        "endless timeout",
        "companies.toml",
        put("companies.0.gateway.timeout", "1m"),
        "$.companies[0].gateway.timeout",
        "30s",
    ),
    (
        "share above 1",
        "companies.toml",
        put("companies.0.gateway.circuit.failure_share", 50.0),
        "$.companies[0].gateway.circuit.failure_share",
        "<= 1",
    ),
    ("no version", "payments.toml", put("view", []), "$.view", "no version"),
    ("rule left out", "payments.toml", drop("view"), "$", "missing required field `view`"),
    ("no source", "payments.toml", drop("order.0.source"), "$.order[0]", "missing required field `source`"),
    ("date as text", "payments.toml", put("view.0.effective_from", "2026年"), "$.view[0].effective_from", "date"),
    ("ends before it begins", "payments.toml", put("view.0.effective_to", BEFORE), "$.view", "before it begins"),
    (
        "ends for good",
        "payments.toml",
        put("view.0.effective_to", date(2026, 12, 31)),
        "$.view",
        "nothing is in force after 2026-12-31",
    ),
    (
        "open version followed",
        "payments.toml",
        versions("view", {}, {"effective_from": date(2027, 1, 1)}),
        "$.view",
        "overlap from 2027-01-01",
    ),
    (
        "overlap of a day",
        "payments.toml",
        versions("view", {"effective_to": date(2027, 1, 1)}, {"effective_from": date(2027, 1, 1)}),
        "$.view",
        "overlap from 2027-01-01",
    ),
    (
        "gap",
        "payments.toml",
        versions("view", {"effective_to": date(2026, 12, 30)}, {"effective_from": date(2027, 1, 1)}),
        "$.view",
        "nothing is in force between 2026-12-30 and 2027-01-01",
    ),
    ("same day twice", "payments.toml", versions("view", {}, {}), "$.view", "overlap or are out of order"),
    ("no time of day", "payments.toml", put("bill_file.0.ready_at", "2:00"), "$.bill_file[0].ready_at", "like 02:00"),
    (
        "overdue at once",
        "payments.toml",
        put("bill_file.0.late_at", "02:00"),
        "$.bill_file[0].late_at",
        "overdue after",
    ),
    (
        "looks back too far",
        "payments.toml",
        put("bill_file.0.look_back", "32d"),
        "$.bill_file[0].look_back",
        "at most 31d",
    ),
    ("surcharge", "payments.toml", put("surcharge.0.allowed", True), "$.surcharge[0].allowed", "国办函"),
    (
        "order too short",
        "payments.toml",
        put("order.0.shortest_life", "30s"),
        "$.order[0].shortest_life",
        "within a minute",
    ),
    ("order too long", "payments.toml", put("order.0.life", "3h"), "$.order[0].life", "at most 2h"),
    (
        "no quote fits",
        "payments.toml",
        put("order.0.quote_margin", "90s"),
        "$.order[0].quote_margin",
        "shortest quote",
    ),
    (
        "queries speed up",
        "payments.toml",
        put("order.0.query_after", ["30s", "15s"]),
        "$.order[0].query_after",
        "never become shorter",
    ),
    (
        "told after the money went back",
        "payments.toml",
        put("posting.0.delayed_after", "3d"),
        "$.posting[0].delayed_after",
        "before the money goes back",
    ),
    (
        "company asked ever more often",
        "payments.toml",
        put("posting.0.retry_after", ["1h", "5s"]),
        "$.posting[0].retry_after",
        "never become shorter",
    ),
    (
        "refund asked about ever more often",
        "payments.toml",
        put("refund.0.retry_after", ["1h", "5s"]),
        "$.refund[0].retry_after",
        "never become shorter",
    ),
    ("no pause", "payments.toml", put("refund.0.retry_after", []), "$.refund[0].retry_after", "length >= 1"),
    (
        "a receipt after more than a day",
        "payments.toml",
        put("message.0.receipt_within", "25h"),
        "$.message[0].receipt_within",
        "at most 24h",
    ),
    (
        "tried for longer than the receipt takes",
        "payments.toml",
        put("message.0.retry_for", "24h"),
        "$.message[0].receipt_within",
        "longer than retry_for",
    ),
    ("posting left out", "payments.toml", drop("posting"), "$", "missing required field `posting`"),
    ("no tries", "payments.toml", put("binding_limit.0.per_account", 0), "$.binding_limit[0].per_account", ">= 1"),
    (
        "company name twice",
        "companies.toml",
        put("companies.1.name", "鄂州市水务集团公司"),
        "$.companies[1].name",
        "appears twice",
    ),
    (
        "short name twice",
        "companies.toml",
        put("companies.1.short_name", "市水务集团"),
        "$.companies[1].short_name",
        "appears twice",
    ),
]


@pytest.mark.parametrize(
    ("file", "fault", "path", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_a_planted_fault_is_named(tmp_path: Path, file: str, fault: Fault, path: str, words: str) -> None:
    pack = change(tmp_path, file, fault)

    with pytest.raises(CityPackInvalid) as caught:
        load(pack)

    assert (caught.value.file, caught.value.path) == (file, path)
    assert words in caught.value.fault
    assert str(caught.value) == f"{file}: {path}: {caught.value.fault}"


def test_two_versions_on_adjoining_days_are_accepted(tmp_path: Path) -> None:
    two = versions(
        "view", {"effective_to": date(2026, 12, 31)}, {"effective_from": date(2027, 1, 1), "fresh_for": "1m"}
    )
    city = load(change(tmp_path, "payments.toml", two))

    assert city.payment_rules(date(2026, 12, 31)).view.fresh_for.total_seconds() == 300
    assert city.payment_rules(date(2027, 1, 1)).view.fresh_for.total_seconds() == 60


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("[0-9]{10}", "begins with ^"),
        ("^[0-9]{10}", "begins with ^"),
        ("^$", "begins with ^"),
        (r"^\d{10}$", "never \\d"),
        (r"^[\w]{10}$", "never \\d"),
        ("^[0-9]+$", "'+' is not allowed"),
        ("^[0-9]*$", "'*' is not allowed"),
        ("^.{10}$", "'.' is not allowed"),
        ("^[^a]{10}$", "'^' is not allowed"),
        ("^[0-9]{6,}$", "',}' is not allowed"),
        ("^[0-9]{,10}$", "'{,' is not allowed"),
        ("^(?=0)[0-9]{10}$", "'(?' is not allowed"),
        ("^[0-9]{10}|[0-9]{13}$", "alternatives stand in brackets"),
        ("^([0-9]{10}|x)|x$", "alternatives stand in brackets"),
        ("^([0-9]{10}$", "does not compile"),
        ("^[0-9]{9}$", "does not fit its own example"),
        ("^[0-9０-９]{10}$", "full-width"),
    ],
)
def test_a_pattern_that_could_mislead_is_refused(pattern: str, words: str) -> None:
    assert words in (pattern_fault(pattern, "0203001234") or "accepted")


@pytest.mark.parametrize("pattern", ["^[0-9]{10}$", "^([0-9]{13}|[0-9]{10})$", "^(?:0|1)[0-9]{9}$", "^[0-9|]{10}$"])
def test_a_plain_pattern_is_accepted(pattern: str) -> None:
    assert pattern_fault(pattern, "0203001234") is None
