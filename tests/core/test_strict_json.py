"""JSON from outside has one meaning or none."""

import msgspec
import pytest

from core.strict_json import JsonRefused, decode, parse


class Amount(msgspec.Struct):
    total_fen: int


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"total_fen": 1, "total_fen": 2}', "duplicate_key"),
        (b'{"a": [{"b": 1, "b": 1}]}', "duplicate_key"),
        (b'{"a": "x\\u0000y"}', "bad_text"),
        (b'{"\\u0000": 1}', "bad_text"),
        (b'{"a": ["\\ud83d"]}', "bad_text"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b"[" * 60_000, "not_json"),
        (b'{"a": 1', "not_json"),
        (b'\xff{"a": 1}', "not_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not_json"),
        (b"", "not_json"),
    ],
)
def test_a_text_with_no_meaning_or_two_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(JsonRefused) as caught:
        parse(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", [b"1.0", b'"1"', b"true", b"null", b"1e3"])
def test_an_amount_is_an_integer_and_nothing_that_looks_like_one(value: bytes) -> None:
    with pytest.raises(JsonRefused) as caught:
        decode(b'{"total_fen": ' + value + b"}", Amount)
    assert caught.value.reason == "wrong_shape"


def test_unknown_members_are_ignored_and_escaped_chinese_is_read() -> None:
    assert decode(b'{"total_fen": 4660, "new": {"x": 1}}', Amount) == Amount(4660)
    assert parse(b'{"a": "\\u738b\\ud83d\\ude00"}') == {"a": "王😀"}


@pytest.mark.parametrize("depth", [300, 600, 900, 5000])
def test_no_depth_breaks_the_search_for_bad_text(depth: int) -> None:
    for inner in (b'"\\u0041"', b'"\\u0000"'):
        reason = None
        try:
            parse(b"[" * depth + inner + b"]" * depth)
        except JsonRefused as refused:
            reason = refused.reason
        assert reason in (("not_json", None) if b"41" in inner else ("not_json", "bad_text"))


def test_the_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(JsonRefused) as caught:
        decode('{"total_fen": "王小明"}'.encode(), Amount)
    assert "王小明" not in str(caught.value)
