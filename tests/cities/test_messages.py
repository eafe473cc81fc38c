"""A message is rendered to plain Chinese, always within WeChat's limits, whatever names people have."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cities.errors import MessageValuesInvalid, NotInForce, UnknownMessageKind
from cities.loader import load, load_city
from cities.messages import LARGEST_FEN, Shown, assemble, clean, cut, day_text, render, time_text, yuan
from cities.schema import (
    AccountNumberValue,
    ChoiceValue,
    DateTimeValue,
    DateValue,
    FenValue,
    Placeholder,
    ReferenceValue,
    TextValue,
)
from cities.wechat_keys import fault_of, kind_of, units
from tests.cities.packs import change

CITY = load_city("ezhou")
TODAY = date(2026, 11, 23)
POSTED: dict[str, object] = {
    "company": "市水务集团",
    "bill_name": "水费",
    "account_number": "0203001234",
    "amount_fen": 4660,
    "at": datetime(2026, 11, 23, 2, 2, tzinfo=UTC),
    "payment_id": "019ab0c2-77aa",
}
ANY_TEXT = st.text(min_size=1, max_size=60).filter(lambda text: clean(text) != "")


def test_a_posted_payment_reads_as_people_write_it() -> None:
    rendered = render(CITY, "payment.posted", POSTED, on=TODAY)

    assert rendered.inbox_title == "缴费成功，已入账"
    assert rendered.inbox_body == (
        "水费 46.60元 已在 2026年11月23日 10:02 入账（市水务集团，户号 ****1234）。点开可以看凭证。"
    )
    assert rendered.page == "pages/result/index?payment=019ab0c2-77aa"
    assert rendered.mini_program is not None
    assert rendered.mini_program.template == "payment_posted"
    assert rendered.mini_program.page == rendered.page
    assert rendered.mini_program.data == {
        "amount1": "46.60元",
        "thing2": "市水务集团 水费已入账",
        "character_string3": "****1234",
        "time4": "2026年11月23日 10:02",
    }


def test_a_reason_is_a_code_that_becomes_words() -> None:
    why = POSTED | {"refund_reason": "no_answer", "refund_next": "bills"}
    rendered = render(CITY, "payment.refund_started", why, on=TODAY)

    assert "原因：公司一直没有回复" in rendered.inbox_body
    assert "账单仍是待缴" in rendered.inbox_body
    of_top_up = render(CITY, "payment.refund_started", why | {"refund_next": "top_up"}, on=TODAY)
    assert "账单" not in of_top_up.inbox_body


def test_a_message_without_a_template_goes_to_the_inbox_only() -> None:
    assert render(CITY, "payment.posting_delayed", POSTED, on=TODAY).mini_program is None


def test_a_kind_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(UnknownMessageKind):
        render(CITY, "payment.lost", POSTED, on=TODAY)


def test_a_silent_edge_has_no_text() -> None:
    with pytest.raises(UnknownMessageKind):
        render(CITY, "payment.closed", POSTED, on=TODAY)


def test_no_text_before_the_first_version() -> None:
    with pytest.raises(NotInForce):
        render(CITY, "payment.posted", POSTED, on=date(2023, 3, 14))


def test_the_version_of_the_day_is_used(tmp_path: Path) -> None:
    def reword(raw: dict) -> None:
        old = next(message for message in raw["messages"] if message["kind"] == "payment.posted")
        new = {**old, "effective_from": date(2027, 1, 1), "inbox": {"title": "缴好了", "body": old["inbox"]["body"]}}
        old["effective_to"] = date(2026, 12, 31)
        raw["messages"].append(new)

    city = load(change(tmp_path, "messages.toml", reword))

    assert render(city, "payment.posted", POSTED, on=date(2026, 12, 31)).inbox_title == "缴费成功，已入账"
    assert render(city, "payment.posted", POSTED, on=date(2027, 1, 1)).inbox_title == "缴好了"


@pytest.mark.parametrize(
    ("change_", "named"),
    [
        ({"amount_fen": None}, "amount_fen"),
        ({"amount_fen": "4660"}, "amount_fen"),
        ({"amount_fen": 46.6}, "amount_fen"),
        ({"amount_fen": True}, "amount_fen"),
        ({"amount_fen": -1}, "amount_fen"),
        ({"amount_fen": LARGEST_FEN + 1}, "amount_fen"),
        ({"at": datetime(2026, 11, 23, 10, 2, tzinfo=UTC).replace(tzinfo=None)}, "at"),
        ({"at": date(2026, 11, 23)}, "at"),
        ({"company": ""}, "company"),
        ({"company": " \u200b\n"}, "company"),
        ({"company": 7}, "company"),
        ({"account_number": "０２０３"}, "account_number"),
        ({"account_number": "0203001234\n"}, "account_number"),
        ({"payment_id": "a/b"}, "payment_id"),
        ({"payment_id": "x" * 37}, "payment_id"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(change_: dict[str, object], named: str) -> None:
    with pytest.raises(MessageValuesInvalid, match=f"payment.posted: {named} "):
        render(CITY, "payment.posted", POSTED | change_, on=TODAY)


def test_the_error_does_not_repeat_the_value() -> None:
    with pytest.raises(MessageValuesInvalid) as caught:
        render(CITY, "payment.posted", POSTED | {"account_number": "王小明 0203001234"}, on=TODAY)

    assert "王小明" not in str(caught.value)
    assert "0203001234" not in str(caught.value)


def test_a_missing_value_is_named() -> None:
    values = {name: value for name, value in POSTED.items() if name != "at"}

    with pytest.raises(MessageValuesInvalid, match="at is missing"):
        render(CITY, "payment.posted", values, on=TODAY)


def test_a_value_nobody_declared_is_named() -> None:
    with pytest.raises(MessageValuesInvalid, match="holder_name is not declared"):
        render(CITY, "payment.posted", POSTED | {"holder_name": "王小明"}, on=TODAY)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(MessageValuesInvalid, match="refund_reason"):
        render(CITY, "payment.refund_started", POSTED | {"refund_reason": "whim", "refund_next": "bills"}, on=TODAY)


def test_a_long_name_is_shortened_and_what_happened_to_it_is_not() -> None:
    rendered = render(
        CITY,
        "payment.refunded",
        POSTED | {"company": "鄂州市安泰天然气有限责任公司", "bill_name": "燃气费用合计数"},
        on=TODAY,
    )

    assert rendered.mini_program is not None
    thing = rendered.mini_program.data["thing2"]
    assert units(thing) <= 20
    assert thing.endswith("已退回")
    assert "…" in thing


def test_a_text_wechat_would_refuse_never_leaves_even_if_the_pack_was_not_checked() -> None:
    message = CITY.messages["payment.posted"][0]
    assert message.mini_program is not None
    too_long = msgspec.structs.replace(message.mini_program, data={"thing2": "一" * 21})
    unchecked = msgspec.structs.replace(message, mini_program=too_long)

    with pytest.raises(MessageValuesInvalid, match="thing2 takes 1 to 20 characters"):
        assemble(unchecked, {name: Shown("0", may_shrink=False) for name in message.values})


@pytest.mark.parametrize(
    ("amount_fen", "text"),
    [
        (0, "0.00元"),
        (1, "0.01元"),
        (10, "0.10元"),
        (100, "1.00元"),
        (4660, "46.60元"),
        (1998, "19.98元"),
        (123456, "1234.56元"),
    ],
)
def test_money_is_exact(amount_fen: int, text: str) -> None:
    assert yuan(amount_fen) == text


def test_times_are_those_of_ezhou_wherever_they_come_from() -> None:
    assert time_text(datetime(2026, 12, 31, 16, 0, tzinfo=UTC)) == "2027年1月1日 00:00"
    assert time_text(datetime(2026, 11, 22, 21, 2, tzinfo=timezone(timedelta(hours=-5)))) == "2026年11月23日 10:02"
    assert day_text(date(2026, 1, 5)) == "2026年1月5日"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("市水务集团", 5, "市水务集团"),
        ("市水务集团", 4, "市水务…"),
        ("𠮷𠮷𠮷", 6, "𠮷𠮷𠮷"),
        ("𠮷𠮷𠮷", 5, "𠮷𠮷…"),
        ("𠮷𠮷𠮷", 4, "𠮷…"),
        ("e\u0301e\u0301e\u0301", 4, "e\u0301…"),
        ("ab cd", 4, "ab…"),
        ("市", 1, "市"),
    ],
)
def test_a_cut_falls_between_characters_as_they_are_seen(text: str, limit: int, expected: str) -> None:
    assert cut(text, limit) == expected


def test_cleaning_keeps_rare_names_and_drops_what_cannot_be_seen() -> None:
    assert clean("阿依古丽·买买提") == "阿依古丽·买买提"
    assert clean("𠮷文远") == "𠮷文远"
    assert clean("\u202e水务\u200b集团\r\n分公司\t") == "水务集团 分公司"
    assert clean("\ufe0f\u0301") == ""


@given(text=st.text(max_size=60), limit=st.integers(1, 40))
def test_a_cut_text_is_never_too_long_and_only_loses_its_end(text: str, limit: int) -> None:
    shortened = cut(text, limit)

    assert units(shortened) <= limit
    assert shortened == text or text.startswith(shortened.removesuffix("…"))


@given(amount_fen=st.integers(0, LARGEST_FEN))
def test_every_amount_is_accepted_by_wechat_and_read_back_exactly(amount_fen: int) -> None:
    text = yuan(amount_fen)

    assert fault_of("amount1", text) is None
    whole, cents = text.removesuffix("元").split(".")
    assert int(whole) * 100 + int(cents) == amount_fen


def _values(placeholder: Placeholder) -> st.SearchStrategy[object]:
    match placeholder:
        case FenValue():
            return st.integers(0, LARGEST_FEN)
        case DateTimeValue():
            seconds = st.integers(1_600_000_000, 4_000_000_000)
            return seconds.map(lambda at: datetime.fromtimestamp(at, UTC))
        case DateValue():
            return st.dates(date(2020, 1, 1), date(2099, 1, 1))
        case AccountNumberValue():
            return st.from_regex(re.compile(r"\A[0-9A-Za-z_-]{1,30}\Z", re.ASCII))
        case ReferenceValue():
            return st.from_regex(re.compile(rf"\A[0-9A-Za-z_-]{{1,{placeholder.max}}}\Z", re.ASCII))
        case ChoiceValue():
            return st.sampled_from(sorted(placeholder.options))
        case TextValue():
            return ANY_TEXT


@pytest.mark.parametrize("kind", sorted(CITY.messages))
@given(data=st.data())
def test_whatever_the_values_wechat_takes_the_message(kind: str, data: st.DataObject) -> None:
    message = CITY.messages[kind][-1]
    values = {name: data.draw(_values(CITY.values[name]), label=name) for name in message.values}

    rendered = render(CITY, kind, values, on=TODAY)

    assert rendered == render(CITY, kind, values, on=TODAY)
    for text in (rendered.inbox_title, rendered.inbox_body):
        assert "\n" not in text
        assert "\x00" not in text
    if rendered.mini_program is not None:
        assert set(rendered.mini_program.data) == set(CITY.templates[rendered.mini_program.template].keys)
        for key, text in rendered.mini_program.data.items():
            assert fault_of(key, text) is None
            if kind_of(key) == "thing":
                assert len(text.encode("utf-16-le")) <= 40
    if "account_number" in values:
        number = str(values["account_number"])
        assert len(number) < 8 or number not in rendered.inbox_body
