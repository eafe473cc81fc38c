"""The limits of template values by the kind of their key: thing1, amount3, time2 …"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.wechat_apps import Template, WechatError

_KEY: Final = re.compile(r"([a-z_]+?)[0-9]+")
_CLOCK: Final = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
_DAY: Final = r"[0-9]{4}年(?:0?[1-9]|1[0-2])月(?:0?[1-9]|[12][0-9]|3[01])日"
_MOMENT: Final = rf"(?:{_DAY} ?{_CLOCK}|{_DAY}|{_CLOCK})"
_LETTER: Final = re.compile(r"[A-Za-z]")
_ASCII: Final = r"[\x21-\x7e]"

Rule = Callable[[str], bool]


def _matches(pattern: str) -> Rule:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def _is_han(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")) or (
        character == "〇"
    )


def _is_name(value: str) -> bool:
    if all(_LETTER.fullmatch(character) or character in " ." for character in value):
        return len(value) <= 20
    # Letters mixed with Chinese count as Chinese; the dot stands in names such as 古丽·买买提.
    allowed = (_is_han(character) or character.isascii() or character == "·" for character in value)
    return len(value) <= 10 and all(allowed)


_RULES: Final[dict[str, Rule]] = {
    "thing": lambda value: len(value) <= 20,
    "character_string": _matches(rf"{_ASCII}{{1,32}}"),
    "number": lambda value: len(value) <= 32 and _matches(r"-?[0-9]+(?:\.[0-9]+)?")(value),
    "letter": _matches(r"[A-Za-z]{1,32}"),
    "symbol": lambda value: len(value) <= 5 and not any(character.isalnum() for character in value),
    "phrase": lambda value: len(value) <= 5 and all(_is_han(character) for character in value),
    "name": _is_name,
    "phone_number": _matches(r"[0-9+\-() ]{1,17}"),
    "car_number": lambda value: len(value) <= 8 and all(_is_han(c) or (c.isascii() and c.isalnum()) for c in value),
    "amount": lambda value: (
        len(re.findall("[0-9]", value)) <= 10 and _matches(r"[¥￥$€£]?[0-9]+(?:\.[0-9]+)?元?")(value)
    ),
    "date": _matches(rf"{_DAY}(?: ?{_CLOCK})?"),
    "time": _matches(rf"{_MOMENT}(?:~{_MOMENT})?"),
    "const": lambda value: len(value) <= 20,
}


def check_values(template: Template, data: Any) -> dict[str, str]:
    """The values by key. Raises WechatError 47003, whose text names the key."""
    if not isinstance(data, Mapping):
        raise WechatError(47003, "argument invalid! data should be an object")
    for key in data:
        if key not in template.keys:
            raise _invalid(str(key), "is not a key of the template")
    values: dict[str, str] = {}
    for key in template.keys:
        entry = data.get(key)
        value = entry.get("value") if isinstance(entry, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            raise _invalid(key, "is empty")
        if not _fits(key, value):
            raise _invalid(key, "invalid")
        values[key] = value
    return values


def _fits(key: str, value: str) -> bool:
    match = _KEY.fullmatch(key)
    rule = _RULES.get(match[1]) if match else None
    return rule is not None and "\n" not in value and rule(value)


def _invalid(key: str, issue: str) -> WechatError:
    return WechatError(47003, f"argument invalid! data.{key}.value {issue}")
