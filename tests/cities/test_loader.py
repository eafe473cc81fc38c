"""A pack with a fault does not load, and the error says in which file, where and what."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cities.checks import pattern_fault
from cities.demo import load_demo
from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from tests.cities.packs import change, copy

Fault = Callable[[dict[str, Any]], object]
BEFORE = date(2025, 12, 31)


def test_a_copy_of_the_pack_loads_and_equals_the_original(tmp_path: Path) -> None:
    assert load(copy(tmp_path)) == load_city("ezhou")


@pytest.mark.parametrize("file", ["city.toml", "areas.toml", "companies.toml", "payments.toml", "messages.toml"])
def test_a_pack_written_anew_is_the_same_pack(tmp_path: Path, file: str) -> None:
    assert load(change(tmp_path, file, lambda raw: None)) == load_city("ezhou")


@pytest.mark.parametrize("code", ["", "Ezhou", "../cities", "ezhou\n", "wuhan"])
def test_a_city_without_a_pack_is_refused(code: str) -> None:
    with pytest.raises(CityPackInvalid):
        load_city(code)


def _set(path: str, value: object) -> Fault:
    """Sets what ``a.0.b`` leads to."""

    def apply(raw: Any) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in way:
            raw = raw[step]
        raw[last] = value

    return apply


def _drop(path: str) -> Fault:
    def apply(raw: Any) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in way:
            raw = raw[step]
        del raw[last]

    return apply


def _again(name: str, /, **changes: object) -> Fault:
    """Appends the first entry of a list once more, changed."""
    return lambda raw: raw[name].append({**raw[name][0], **changes})


def _versions(name: str, first: dict[str, object], second: dict[str, object]) -> Fault:
    """Two versions of a rule in place of one."""

    def apply(raw: Any) -> None:
        rule = raw[name][0]
        raw[name] = [{**rule, **first}, {**rule, **second}]

    return apply


def _data(key: str, text: str) -> Fault:
    """Other text for a key of the first message's template (amount1, thing2, time3, thing4)."""
    return _set(f"messages.0.mini_program.data.{key}", text)


def _template_key(old: str, new: str, text: str) -> Fault:
    """The first message's template has another key."""

    def apply(raw: Any) -> None:
        keys = raw["templates"]["payment_received"]["keys"]
        keys[keys.index(old)] = new
        data = raw["messages"][0]["mini_program"]["data"]
        del data[old]
        data[new] = text

    return apply


FAULTS: list[tuple[str, str, Fault, str, str]] = [
    # name, file, fault, path in the file, words
    ("unknown field", "city.toml", _set("population", 1), "$", "unknown field `population`"),
    ("missing field", "city.toml", _drop("name"), "$", "missing required field `name`"),
    ("another city", "city.toml", _set("code", "wuhan"), "$.code", "wuhan is not the name of the folder"),
    ("another time zone", "city.toml", _set("time_zone", "UTC"), "$.time_zone", "Invalid enum value"),
    ("NUL", "city.toml", _set("name", "鄂州\0市"), "$.name", "control character"),
    ("space at the edge", "city.toml", _set("name", "鄂州市 "), "$.name", "space at its edge"),
    ("area twice", "areas.toml", _again("areas", name="又一区"), "$.areas[31].code", "420702 appears twice"),
    ("area name twice", "areas.toml", _again("areas", code="420709"), "$.areas[31].name", "梁子湖区 appears twice"),
    ("no such district", "areas.toml", _set("areas.5.parent", "420709"), "$.areas[5].parent", "no district 420709"),
    ("area elsewhere", "areas.toml", _set("areas.5.parent", "420704"), "$.areas[5].code", "does not lie in 420704"),
    ("town called street", "areas.toml", _set("areas.5.kind", "street"), "$.areas[5].kind", "no code of a street"),
    ("district elsewhere", "areas.toml", _set("areas.0.parent", "420100"), "$.areas[0].parent", "city 420700"),
    ("district of Wuhan", "areas.toml", _set("areas.0.code", "420102"), "$.areas[0].code", "no district code"),
    ("wide area code", "areas.toml", _set("areas.0.code", "４２０７０２"), "$.areas[0].code", "matching regex"),
    (
        "company twice",
        "companies.toml",
        _set("companies.1.code", "water"),
        "$.companies[1].code",
        "water appears twice",
    ),
    (
        "merchant twice",
        "companies.toml",
        _set("companies.1.sub_mchid", "1900000101"),
        "$.companies[1].sub_mchid",
        "twice",
    ),
    ("empty hotline", "companies.toml", _set("companies.0.hotline", ""), "$.companies[0].hotline", "matching regex"),
    ("unknown service", "companies.toml", _set("companies.0.service", "heat"), "$.companies[0].service", "enum"),
    ("unknown proof", "companies.toml", _set("companies.0.proof.kind", "trust"), "$.companies[0].proof.kind", "enum"),
    ("joined as text", "companies.toml", _set("companies.0.joined", "yes"), "$.companies[0].joined", "Expected `bool`"),
    (
        "open pattern",
        "companies.toml",
        _set("companies.0.account.pattern", "[0-9]{10}"),
        "$.companies[0].account.pattern",
        "begins with ^",
    ),
    (
        "proof pattern",
        "companies.toml",
        _set("companies.0.proof.pattern", "^\\d{3}[0-9X]$"),
        "$.companies[0].proof.pattern",
        "[0-9], never \\d",
    ),
    (
        "no timeout",
        "companies.toml",
        _set("companies.0.gateway.timeout", "5"),
        "$.companies[0].gateway.timeout",
        "15s, 10m",
    ),
    (
        "timeout as number",
        "companies.toml",
        _set("companies.0.gateway.timeout", 5),
        "$.companies[0].gateway.timeout",
        "15s, 10m",
    ),
    (
        "endless timeout",
        "companies.toml",
        _set("companies.0.gateway.timeout", "1m"),
        "$.companies[0].gateway.timeout",
        "30s",
    ),
    (
        "share above 1",
        "companies.toml",
        _set("companies.0.gateway.circuit.failure_share", 50.0),
        "$.companies[0].gateway.circuit.failure_share",
        "<= 1",
    ),
    ("no version", "payments.toml", _set("view", []), "$.view", "no version"),
    ("rule left out", "payments.toml", _drop("view"), "$", "missing required field `view`"),
    ("no source", "payments.toml", _drop("order.0.source"), "$.order[0]", "missing required field `source`"),
    ("date as text", "payments.toml", _set("view.0.effective_from", "2026年"), "$.view[0].effective_from", "date"),
    ("ends before it begins", "payments.toml", _set("view.0.effective_to", BEFORE), "$.view", "before it begins"),
    (
        "ends for good",
        "payments.toml",
        _set("view.0.effective_to", date(2026, 12, 31)),
        "$.view",
        "nothing is in force after 2026-12-31",
    ),
    (
        "open version followed",
        "payments.toml",
        _versions("view", {}, {"effective_from": date(2027, 1, 1)}),
        "$.view",
        "overlap from 2027-01-01",
    ),
    (
        "overlap of a day",
        "payments.toml",
        _versions("view", {"effective_to": date(2027, 1, 1)}, {"effective_from": date(2027, 1, 1)}),
        "$.view",
        "overlap from 2027-01-01",
    ),
    (
        "gap",
        "payments.toml",
        _versions("view", {"effective_to": date(2026, 12, 30)}, {"effective_from": date(2027, 1, 1)}),
        "$.view",
        "nothing is in force between 2026-12-30 and 2027-01-01",
    ),
    ("same day twice", "payments.toml", _versions("view", {}, {}), "$.view", "overlap or are out of order"),
    ("surcharge", "payments.toml", _set("surcharge.0.allowed", True), "$.surcharge[0].allowed", "国办函"),
    (
        "order too short",
        "payments.toml",
        _set("order.0.shortest_life", "30s"),
        "$.order[0].shortest_life",
        "within a minute",
    ),
    ("order too long", "payments.toml", _set("order.0.life", "3h"), "$.order[0].life", "at most 2h"),
    (
        "no quote fits",
        "payments.toml",
        _set("order.0.quote_margin", "90s"),
        "$.order[0].quote_margin",
        "shortest quote",
    ),
    (
        "queries speed up",
        "payments.toml",
        _set("order.0.query_after", ["30s", "15s"]),
        "$.order[0].query_after",
        "never become shorter",
    ),
    ("no tries", "payments.toml", _set("binding_limit.0.per_account", 0), "$.binding_limit[0].per_account", ">= 1"),
    (
        "unknown key",
        "messages.toml",
        _template_key("time3", "moment3", "{at}"),
        "$.templates.payment_received.keys",
        "moment3 is no type of key",
    ),
    (
        "key without number",
        "messages.toml",
        _template_key("time3", "time", "{at}"),
        "$.templates.payment_received.keys",
        "time is no type",
    ),
    (
        "key not filled",
        "messages.toml",
        _drop("messages.0.mini_program.data.time3"),
        "$.messages[0].mini_program.data",
        "time3",
    ),
    ("key of another template", "messages.toml", _data("thing9", "x"), "$.messages[0].mini_program.data", "thing9"),
    (
        "no such template",
        "messages.toml",
        _set("messages.0.mini_program.template", "lost"),
        "$.messages[0].mini_program.template",
        "no template lost",
    ),
    (
        "unused template",
        "messages.toml",
        _set("templates.lost", {"title": "无", "keys": ["thing1"]}),
        "$.templates.lost",
        "nothing uses it",
    ),
    (
        "title twice",
        "messages.toml",
        _set("templates.security_notice.title", "退款通知"),
        "$.templates.security_notice.title",
        "twice",
    ),
    ("unused value", "messages.toml", _set("values.lost", {"type": "fen"}), "$.values.lost", "nothing uses it"),
    (
        "unknown type of value",
        "messages.toml",
        _set("values.at", {"type": "moment"}),
        "$.values[...].type",
        "Invalid value 'moment'",
    ),
    (
        "value not described",
        "messages.toml",
        lambda raw: raw["messages"][0]["values"].append("lost"),
        "$.messages[0].values[6]",
        "lost is not described",
    ),
    (
        "value not given",
        "messages.toml",
        _set("messages.0.inbox.body", "{refund_reason}"),
        "$.messages[0].inbox.body",
        "{refund_reason} is not among",
    ),
    (
        "format of a value",
        "messages.toml",
        _set("messages.0.inbox.body", "{at:%Y}"),
        "$.messages[0].inbox.body",
        "only {name} is",
    ),
    (
        "attribute of a value",
        "messages.toml",
        _set("messages.0.inbox.body", "{at.year}"),
        "$.messages[0].inbox.body",
        "only {name} is",
    ),
    ("lonely brace", "messages.toml", _set("messages.0.inbox.body", "{at"), "$.messages[0].inbox.body", "expected '}'"),
    (
        "personal value in an address",
        "messages.toml",
        _set("messages.0.page", "pages/a/b?id={account_number}"),
        "$.messages[0].page",
        "only a reference",
    ),
    (
        "foreign address",
        "messages.toml",
        _set("messages.0.page", "https://example.com"),
        "$.messages[0].page",
        "written like pages/",
    ),
    (
        "thing of 21",
        "messages.toml",
        _data("thing4", "一二三四五六七八九十一二三四五六七八九十一"),
        "$.messages[0].mini_program.data.thing4",
        "1 to 20",
    ),
    (
        "thing full of rare characters",
        "messages.toml",
        _data("thing4", "𠮷" * 11),
        "$.messages[0].mini_program.data.thing4",
        "1 to 20",
    ),
    (
        "thing too long with a time",
        "messages.toml",
        _data("thing4", "入账时间 {at}"),
        "$.messages[0].mini_program.data.thing4",
        "1 to 20",
    ),
    (
        "amount with words",
        "messages.toml",
        _data("amount1", "共{amount_fen}"),
        "$.messages[0].mini_program.data.amount1",
        "an amount",
    ),
    (
        "time with words",
        "messages.toml",
        _data("time3", "{at}左右"),
        "$.messages[0].mini_program.data.time3",
        "a time like",
    ),
    (
        "free text in a time",
        "messages.toml",
        _data("time3", "{company}"),
        "$.messages[0].mini_program.data.time3",
        "only a thing takes",
    ),
    (
        "phrase of 6",
        "messages.toml",
        _template_key("thing4", "phrase4", "已收款入账中"),
        "$.messages[0].mini_program.data.phrase4",
        "1 to 5 Chinese",
    ),
    (
        "phrase with a comma",
        "messages.toml",
        _template_key("thing4", "phrase4", "已收，款"),
        "$.messages[0].mini_program.data.phrase4",
        "1 to 5 Chinese",
    ),
    (
        "Chinese in a string of characters",
        "messages.toml",
        _template_key("thing4", "character_string4", "收款"),
        "$.messages[0].mini_program.data.character_string4",
        "ASCII",
    ),
    (
        "reference longer than 32",
        "messages.toml",
        _template_key("thing4", "character_string4", "{payment_id}"),
        "$.messages[0].mini_program.data.character_string4",
        "1 to 32",
    ),
    (
        "option too long",
        "messages.toml",
        _set("values.refund_reason.options.no_answer", "公司一直没有回复，我们已经等了很久很久很久"),
        "$.messages[3].mini_program.data.thing3",
        "1 to 20",
    ),
    (
        "title too long",
        "messages.toml",
        _set("messages.0.inbox.title", "好" * 41),
        "$.messages[0].inbox.title",
        "41 characters",
    ),
    (
        "body too long with its values",
        "messages.toml",
        _set("messages.0.inbox.body", "好" * 290 + "{company}{bill_name}"),
        "$.messages[0].inbox.body",
        "306 characters",
    ),
    ("kind twice", "messages.toml", _again("messages"), "$.messages(payment.succeeded)", "overlap or are out of order"),
    (
        "other values in a later version",
        "messages.toml",
        lambda raw: (
            raw["messages"][0].update(effective_to=BEFORE.replace(year=2026)),
            _again("messages", effective_to=None, effective_from=date(2027, 1, 1))(raw),
            raw["messages"][-1].pop("effective_to"),
            raw["messages"][-1].update(values=raw["messages"][0]["values"] + ["refund_reason"]),
        ),
        "$.messages(payment.succeeded)",
        "the same values for every version",
    ),
    (
        "silent and spoken",
        "messages.toml",
        _set("silent.0.kind", "payment.posted"),
        "$.silent[0].kind",
        "payment.posted has a message",
    ),
    (
        "silence without a reason",
        "messages.toml",
        _drop("silent.0.reason"),
        "$.silent[0]",
        "missing required field `reason`",
    ),
    ("unknown audience", "messages.toml", _set("messages.0.audience", "everybody"), "$.messages[0].audience", "enum"),
    (
        "line break in a text",
        "messages.toml",
        _set("messages.0.inbox.title", "已收款\n入账中"),
        "$.messages[0].inbox.title",
        "control character",
    ),
]


@pytest.mark.parametrize(
    ("file", "fault", "path", "words"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_planted_fault_is_named(tmp_path: Path, file: str, fault: Fault, path: str, words: str) -> None:
    pack = change(tmp_path, file, fault)

    with pytest.raises(CityPackInvalid) as caught:
        load(pack)

    assert (caught.value.file, caught.value.path) == (file, path)
    assert words in caught.value.fault
    assert str(caught.value) == f"{file}: {path}: {caught.value.fault}"


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    path = pack / "city.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'name = "黄石市"\n', encoding="utf-8")

    with pytest.raises(CityPackInvalid, match=r"city.toml: \$: cannot be read: Cannot overwrite a value"):
        load(pack)


@pytest.mark.parametrize("name", ["holiday.toml", "payment.toml", "messages.json"])
def test_a_file_nobody_reads_is_refused(tmp_path: Path, name: str) -> None:
    pack = copy(tmp_path)
    (pack / name).write_text("", encoding="utf-8")

    with pytest.raises(CityPackInvalid, match="no file of this name is known"):
        load(pack)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    (pack / "payments.toml").unlink()

    with pytest.raises(CityPackInvalid, match="payments.toml: .* the file is missing"):
        load(pack)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    (pack / "city.toml").write_bytes('name = "鄂州市"'.encode("gb18030"))

    with pytest.raises(CityPackInvalid, match="city.toml: .* cannot be read"):
        load(pack)


def test_two_versions_on_adjoining_days_are_accepted(tmp_path: Path) -> None:
    two = _versions(
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


BILL = "companies.0.accounts.0.bills.0"
AT_BILL = "$.companies[0].accounts[0].bills[0]"


@pytest.mark.parametrize(
    ("fault", "path", "words"),
    [
        (_set("invented", False), "$.invented", "demo data is invented"),
        (_set("companies.0.code", "heating"), "$.companies[0].code", "no company heating"),
        (_again("companies"), "$.companies[1].code", "water appears twice"),
        (
            _set("companies.0.accounts.0.number", "123"),
            "$.companies[0].accounts[0].number",
            "no account number of water",
        ),
        (_set("companies.0.accounts.1.number", "0203001234"), "$.companies[0].accounts[1].number", "appears twice"),
        (_set("companies.0.accounts.0.holder_id_last4", "00X2"), "$.companies[0].accounts[0].holder_id_last4", "regex"),
        (_set("companies.0.accounts.0.holder_mobile", "12345"), "$.companies[0].accounts[0].holder_mobile", "regex"),
        (_set("companies.0.accounts.0.status", "asleep"), "$.companies[0].accounts[0].status", "enum"),
        (_set(f"{BILL}.bill_no", "W202609-0203001234"), "$.companies[0].accounts", "W202609-0203001234 appears twice"),
        (_set(f"{BILL}.period", "2026-09"), "$.companies[0].accounts[0].bills[1].period", "2026-09 appears twice"),
        (_set(f"{BILL}.period", "2026-13"), f"{AT_BILL}.period", "YYYY-MM"),
        (_set(f"{BILL}.issued_on", "2026-02-30"), f"{AT_BILL}.issued_on", "day is out of range"),
        (_set(f"{BILL}.issued_on", "2026-10-31"), f"{AT_BILL}.issued_on", "after its period"),
        (_set(f"{BILL}.due_on", "2026-10-31"), f"{AT_BILL}.due_on", "after it is issued"),
        (_set(f"{BILL}.lines.0.amount_fen", 2585), f"{AT_BILL}.lines[0].amount_fen", "is 2584 fen"),
        (_set(f"{BILL}.principal_fen", 4661), f"{AT_BILL}.principal_fen", "add up to 4660"),
        (_set(f"{BILL}.late_fee_fen", 1), f"{AT_BILL}.payable_fen", "are 4661 fen"),
        (_set(f"{BILL}.payable_fen", 46.6), f"{AT_BILL}.payable_fen", "Expected `int`"),
        (_set(f"{BILL}.owner", "x"), AT_BILL, "unknown field `owner`"),
    ],
)
def test_a_fault_in_the_demo_data_is_named(tmp_path: Path, fault: Fault, path: str, words: str) -> None:
    pack = change(tmp_path, "demo.json", fault)

    with pytest.raises(CityPackInvalid) as caught:
        load_demo(load(pack), pack)

    assert (caught.value.file, caught.value.path) == ("demo.json", path)
    assert words in caught.value.fault


def test_a_json_key_given_twice_is_refused(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    path = pack / "demo.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"invented": true', '"invented": true, "invented": true'),
        encoding="utf-8",
    )

    with pytest.raises(CityPackInvalid, match="invented is given twice"):
        load_demo(load(pack), pack)
