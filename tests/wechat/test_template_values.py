"""A value that the platform would refuse never leaves."""

import pytest

from wechat.template_values import TemplateValueWrong, check_value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("thing1", "水" * 20),
        ("thing12", "10月水费 ¥46.60 已缴"),
        ("character_string2", "WS20261123-000017/#" + "x" * 13),
        ("number3", "17.00"),
        ("letter4", "ABCdef"),
        ("symbol5", "+-%&~"),
        ("phrase6", "缴费成功"),
        ("name7", "阿卜杜拉·买买提"),
        ("name7", "John Smith-Brown Jr"),
        ("phone_number8", "+86-0711-3812345"),
        ("car_number9", "鄂G12345"),
        ("amount10", "¥46.60"),
        ("amount10", "46.60元"),
        ("amount10", "99999999.99"),
        ("date1", "2026年10月1日"),
        ("date1", "2026年10月01日 15:01"),
        ("time2", "15:01"),
        ("time2", "2026年10月1日 15:01:59"),
        ("time2", "2026年10月1日 09:00~2026年10月1日 11:00"),
        ("time2", "09:00~11:00"),
    ],
)
def test_values_within_the_limits_pass(key: str, text: str) -> None:
    check_value(key, text)


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("thing1", "水" * 21, "long"),
        ("thing1", "", "empty"),
        ("thing1", " 　\n", "empty"),
        ("thing1", "a\nb", "control"),
        ("character_string2", "x" * 33, "long"),
        ("character_string2", "中文", "form"),
        ("number3", "1,000", "form"),
        ("number3", "１７", "form"),
        ("number3", "1\n", "control"),
        ("letter4", "ab1", "form"),
        ("letter4", "ñandu", "form"),
        ("symbol5", "++++++", "long"),
        ("symbol5", "a", "form"),
        ("phrase6", "缴费成功了啊", "long"),
        ("phrase6", "OK", "form"),
        ("name7", "王" * 11, "form"),
        ("name7", "a" * 21, "long"),
        ("name7", "Abdul 买买提 Rahman", "form"),
        ("phone_number8", "电话0711", "form"),
        ("phone_number8", "1" * 18, "long"),
        ("car_number9", "鄂G1234567", "long"),
        ("amount10", "12345678901", "form"),
        ("amount10", "¥¥1", "form"),
        ("amount10", "46.60 元", "form"),
        ("amount10", "-1", "form"),
        ("date1", "2026-10-01", "form"),
        ("date1", "2026年2月30日", "form"),
        ("date1", "2026年10月1日15:01", "form"),
        ("time2", "2026-08-17 20:33:09", "form"),
        ("time2", "24:00", "form"),
        ("time2", "2026年10月1日", "form"),
        ("thing", "x", "key"),
        ("const1", "x", "key"),
        ("1", "x", "key"),
    ],
)
def test_values_beyond_the_limits_are_refused(key: str, text: str, reason: str) -> None:
    with pytest.raises(TemplateValueWrong) as caught:
        check_value(key, text)
    assert caught.value.reason == reason
    assert not text.strip() or text not in str(caught.value)
