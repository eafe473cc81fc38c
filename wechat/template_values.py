"""Values of message templates: the platform refuses the whole message (47003) for one that does not fit its key's type.

>>> check_value("thing1", "10月水费已缴纳")
>>> check_value("amount2", "46.60元")
>>> check_value("time3", "2026-11-23 10:02:11")
Traceback (most recent call last):
wechat.template_values.TemplateValueWrong: time3: form
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date

from core.errors import LianbanError

_KEY = re.compile(r"([a-z_]+)[0-9]{1,3}")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_AMOUNT = re.compile(r"[¥￥$€£]?[0-9]+(?:\.[0-9]+)?元?")
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
_DAY = r"[0-9]{4}年(?:0?[1-9]|1[0-2])月(?:0?[1-9]|[12][0-9]|3[01])日"
_DATE = re.compile(rf"{_DAY}(?: {_CLOCK})?")
_MOMENT = rf"(?:{_DAY} )?{_CLOCK}"
_TIME = re.compile(rf"{_MOMENT}(?:~{_MOMENT})?")
_DAY_PARTS = re.compile(r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日")


class TemplateValueWrong(LianbanError):
    """The value does not fit its key. `reason`: ``key``, ``empty``, ``long``, ``form`` or ``control``. The value itself is not told."""

    code = "internal"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


def check_value(key: str, text: str) -> None:
    """Check one value against the limits of its key's type.

    Raises:
        TemplateValueWrong: it would be refused by the platform.
    """
    found = _KEY.fullmatch(key)
    rule = _RULES.get(found[1]) if found else None
    if rule is None:
        raise TemplateValueWrong(key, "key")
    if not text.strip():
        raise TemplateValueWrong(key, "empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise TemplateValueWrong(key, "control")
    max_characters, fits = rule
    if len(text) > max_characters:
        raise TemplateValueWrong(key, "long")
    if not fits(text):
        raise TemplateValueWrong(key, "form")


def _anything(_text: str) -> bool:
    return True


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def _is_letters(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _is_symbols(text: str) -> bool:
    return all(unicodedata.category(character)[0] in "PS" for character in text)


def _is_chinese(text: str) -> bool:
    return all(unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH") for character in text)


def _is_name(text: str) -> bool:
    """20 letters, or 10 characters as soon as one of them is Chinese. Symbols such as the dot of a foreign name are allowed."""
    return len(text) <= (20 if text.isascii() else 10) and not any(character.isdigit() for character in text)


def _is_phone(text: str) -> bool:
    return all(character in "0123456789+-() *" for character in text)


def _is_amount(text: str) -> bool:
    return bool(_AMOUNT.fullmatch(text)) and sum("0" <= character <= "9" for character in text) <= 10


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and _days_exist(text)


def _is_time(text: str) -> bool:
    return bool(_TIME.fullmatch(text)) and _days_exist(text)


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def _days_exist(text: str) -> bool:
    try:
        for year, month, day in _DAY_PARTS.findall(text):
            date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


_RULES: dict[str, tuple[int, Callable[[str], bool]]] = {
    "thing": (20, _anything),
    "character_string": (32, _is_visible_ascii),
    "number": (32, _is_number),
    "letter": (32, _is_letters),
    "symbol": (5, _is_symbols),
    "phrase": (5, _is_chinese),
    "name": (20, _is_name),
    "phone_number": (17, _is_phone),
    "car_number": (8, _anything),
    "amount": (14, _is_amount),
    "date": (32, _is_date),
    "time": (64, _is_time),
}
