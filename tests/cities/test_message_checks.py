"""A fault in the catalogue of messages is refused when the pack is loaded, not when the message is sent."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load
from tests.cities.packs import Fault, again, change, drop, put

BEFORE = date(2025, 12, 31)


def _data(key: str, text: str) -> Fault:
    """Other text for a key of the first message's template (amount1, thing2, time3, thing4)."""
    return put(f"messages.0.mini_program.data.{key}", text)


def _template_key(old: str, new: str, text: str) -> Fault:
    """The first message's template has another key."""

    def apply(raw: Any) -> None:
        keys = raw["templates"]["payment_received"]["keys"]
        keys[keys.index(old)] = new
        data = raw["messages"][0]["mini_program"]["data"]
        del data[old]
        data[new] = text

    return apply


FAULTS: list[tuple[str, Fault, str, str]] = [
    # name, fault, path in the file, words
    (
        "unknown key",
        _template_key("time3", "moment3", "{at}"),
        "$.templates.payment_received.keys",
        "moment3 is no type of key",
    ),
    (
        "key without number",
        _template_key("time3", "time", "{at}"),
        "$.templates.payment_received.keys",
        "time is no type",
    ),
    (
        "key not filled",
        drop("messages.0.mini_program.data.time3"),
        "$.messages[0].mini_program.data",
        "time3",
    ),
    ("key of another template", _data("thing9", "x"), "$.messages[0].mini_program.data", "thing9"),
    (
        "no such template",
        put("messages.0.mini_program.template", "lost"),
        "$.messages[0].mini_program.template",
        "no template lost",
    ),
    (
        "unused template",
        put("templates.lost", {"title": "无", "keys": ["thing1"]}),
        "$.templates.lost",
        "nothing uses it",
    ),
    (
        "title twice",
        put("templates.security_notice.title", "退款通知"),
        "$.templates.security_notice.title",
        "twice",
    ),
    ("unused value", put("values.lost", {"type": "fen"}), "$.values.lost", "nothing uses it"),
    (
        "unknown type of value",
        put("values.at", {"type": "moment"}),
        "$.values[...].type",
        "Invalid value 'moment'",
    ),
    (
        "value not described",
        lambda raw: raw["messages"][0]["values"].append("lost"),
        "$.messages[0].values[6]",
        "lost is not described",
    ),
    (
        "value not given",
        put("messages.0.inbox.body", "{refund_reason}"),
        "$.messages[0].inbox.body",
        "{refund_reason} is not among",
    ),
    (
        "format of a value",
        put("messages.0.inbox.body", "{at:%Y}"),
        "$.messages[0].inbox.body",
        "only {name} is",
    ),
    (
        "attribute of a value",
        put("messages.0.inbox.body", "{at.year}"),
        "$.messages[0].inbox.body",
        "only {name} is",
    ),
    ("lonely brace", put("messages.0.inbox.body", "{at"), "$.messages[0].inbox.body", "expected '}'"),
    (
        "personal value in an address",
        put("messages.0.page", "pages/a/b?id={account_number}"),
        "$.messages[0].page",
        "only a reference",
    ),
    (
        "foreign address",
        put("messages.0.page", "https://example.com"),
        "$.messages[0].page",
        "written like pages/",
    ),
    (
        "thing of 21",
        _data("thing4", "一二三四五六七八九十一二三四五六七八九十一"),
        "$.messages[0].mini_program.data.thing4",
        "1 to 20",
    ),
    (
        "thing full of rare characters",
        _data("thing4", "𠮷" * 11),
        "$.messages[0].mini_program.data.thing4",
        "1 to 20",
    ),
    (
        "thing too long with a time",
        _data("thing4", "入账时间 {at}"),
        "$.messages[0].mini_program.data.thing4",
        "1 to 20",
    ),
    (
        "amount with words",
        _data("amount1", "共{amount_fen}"),
        "$.messages[0].mini_program.data.amount1",
        "an amount",
    ),
    (
        "time with words",
        _data("time3", "{at}左右"),
        "$.messages[0].mini_program.data.time3",
        "a time like",
    ),
    (
        "free text in a time",
        _data("time3", "{company}"),
        "$.messages[0].mini_program.data.time3",
        "only a thing takes",
    ),
    (
        "phrase of 6",
        _template_key("thing4", "phrase4", "已收款入账中"),
        "$.messages[0].mini_program.data.phrase4",
        "1 to 5 Chinese",
    ),
    (
        "phrase with a comma",
        _template_key("thing4", "phrase4", "已收，款"),
        "$.messages[0].mini_program.data.phrase4",
        "1 to 5 Chinese",
    ),
    (
        "Chinese in a string of characters",
        _template_key("thing4", "character_string4", "收款"),
        "$.messages[0].mini_program.data.character_string4",
        "ASCII",
    ),
    (
        "reference longer than 32",
        _template_key("thing4", "character_string4", "{payment_id}"),
        "$.messages[0].mini_program.data.character_string4",
        "1 to 32",
    ),
    (
        "option too long",
        put("values.refund_reason.options.no_answer", "公司一直没有回复，我们已经等了很久很久很久"),
        "$.messages[3].mini_program.data.thing3",
        "1 to 20",
    ),
    (
        "title too long",
        put("messages.0.inbox.title", "好" * 41),
        "$.messages[0].inbox.title",
        "41 characters",
    ),
    (
        "body too long with its values",
        put("messages.0.inbox.body", "好" * 290 + "{company}{bill_name}"),
        "$.messages[0].inbox.body",
        "306 characters",
    ),
    ("kind twice", again("messages"), "$.messages(payment.succeeded)", "overlap or are out of order"),
    (
        "other values in a later version",
        lambda raw: (
            raw["messages"][0].update(effective_to=BEFORE.replace(year=2026)),
            again("messages", effective_to=None, effective_from=date(2027, 1, 1))(raw),
            raw["messages"][-1].pop("effective_to"),
            raw["messages"][-1].update(values=raw["messages"][0]["values"] + ["refund_reason"]),
        ),
        "$.messages(payment.succeeded)",
        "the same values for every version",
    ),
    (
        "silent and spoken",
        put("silent.0.kind", "payment.posted"),
        "$.silent[0].kind",
        "payment.posted has a message",
    ),
    (
        "silence without a reason",
        drop("silent.0.reason"),
        "$.silent[0]",
        "missing required field `reason`",
    ),
    ("unknown audience", put("messages.0.audience", "everybody"), "$.messages[0].audience", "enum"),
    (
        "line break in a text",
        put("messages.0.inbox.title", "已收款\n入账中"),
        "$.messages[0].inbox.title",
        "control character",
    ),
    (
        "template key twice",
        put("templates.payment_received.keys", ["amount1", "thing2", "time3", "thing4", "thing4"]),
        "$.templates.payment_received.keys[4]",
        "thing4 appears twice",
    ),
    (
        "value twice",
        lambda raw: raw["messages"][0]["values"].append("at"),
        "$.messages[0].values[6]",
        "at appears twice",
    ),
    (
        "silent twice",
        lambda raw: raw["silent"].insert(1, raw["silent"][0]),
        "$.silent[1].kind",
        "appears twice",
    ),
    (
        "a silent edge twice",
        lambda raw: raw["silent"][-1]["edges"].append("message.born"),
        "$.silent.edges",
        "message.born appears twice",
    ),
    ("silence about nothing", put("silent.0", {"reason": "没有"}), "$.silent[0]", "one of the two"),
    (
        "told twice",
        lambda raw: raw["told"].insert(1, raw["told"][0]),
        "$.told[1].kind",
        "appears twice",
    ),
    ("told and silent", put("told.0.kind", "payment.closed"), "$.told[0].kind", "is among the silent"),
    (
        "told what there is no text for",
        put("told.0.messages.payer", ["payment.vanished"]),
        "$.told[0].messages.payer",
        "payment.vanished is no message to payer",
    ),
    (
        "another's message",
        put("told.0.messages.payer", ["binding.revoked"]),
        "$.told[0].messages.payer",
        "binding.revoked is no message to payer",
    ),
    ("an audience forgotten", drop("told.1.otherwise"), "$.told[1]", "; here stand "),
    (
        "an audience it does not concern",
        put("told.0.otherwise", {"holder": "无关"}),
        "$.told[0]",
        ", holder",
    ),
]


@pytest.mark.parametrize(("fault", "path", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_planted_fault_is_named(tmp_path: Path, fault: Fault, path: str, words: str) -> None:
    pack = change(tmp_path, "messages.toml", fault)

    with pytest.raises(CityPackInvalid) as caught:
        load(pack)

    assert (caught.value.file, caught.value.path) == ("messages.toml", path)
    assert words in caught.value.fault
    assert str(caught.value) == f"messages.toml: {path}: {caught.value.fault}"
