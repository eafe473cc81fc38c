"""What WeChat accepts as the value of a typed template key (``thing2``, ``amount1`` …).

Source: the platform's page on sending subscription messages. A value outside these limits is answered with 47003 and
the message is lost, so texts are checked when the pack is loaded and again after rendering. Where the page leaves room,
the narrower reading is taken.
"""

import re

THING_MAX = 20

_LAST_OF_ONE_UNIT = 0xFFFF
_KEY = re.compile(r"([a-z_]+)[1-9][0-9]?")
_HAN = r"[㐀-䶿一-鿿\U00020000-\U000323AF]"
_DAY = r"[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日"
_CLOCK = r"[0-9]{2}:[0-9]{2}"
_MOMENT = rf"(?:{_DAY} )?{_CLOCK}"

_ALLOWED: dict[str, tuple[re.Pattern[str], str]] = {
    "thing": (re.compile(r"[^\x00-\x1f\x7f]+"), f"1 to {THING_MAX} characters"),
    "character_string": (re.compile(r"[!-~]{1,32}"), "1 to 32 ASCII letters, digits or symbols"),
    "number": (re.compile(r"(?=[-.0-9]{1,32}\Z)-?[0-9]+(?:\.[0-9]+)?"), "a number of at most 32 digits"),
    "letter": (re.compile(r"[A-Za-z]{1,32}"), "1 to 32 letters"),
    "symbol": (re.compile(r"[!-/:-@\[-`{-~]{1,5}"), "1 to 5 symbols"),
    "phrase": (re.compile(rf"{_HAN}{{1,5}}"), "1 to 5 Chinese characters and nothing else"),
    "name": (re.compile(rf"[A-Za-z ]{{1,20}}|(?:{_HAN}|[A-Za-z·]){{1,10}}"), "10 Chinese characters or 20 letters"),
    "phone_number": (re.compile(r"[0-9+() -]{1,17}"), "1 to 17 digits and symbols"),
    "car_number": (re.compile(rf"(?:{_HAN}|[0-9A-Z]){{1,8}}"), "1 to 8 characters of a number plate"),
    "amount": (
        re.compile(r"[¥$]?(?=(?:[0-9]\.?){1,10}元?\Z)[0-9]+(?:\.[0-9]{1,2})?元?"),
        "an amount of at most 10 digits, like 46.60元",
    ),
    "date": (re.compile(rf"{_DAY}(?: {_CLOCK})?"), "a date like 2026年11月23日"),
    "time": (re.compile(rf"{_MOMENT}(?:~{_MOMENT})?"), "a time like 2026年11月23日 10:02"),
}


def kind_of(key: str) -> str | None:
    """``thing`` of ``thing2``; None when WeChat knows no such type of key."""
    found = _KEY.fullmatch(key)
    return found[1] if found is not None and found[1] in _ALLOWED else None


def units(text: str) -> int:
    """Length in UTF-16 units: a rare character like 𠮷 counts 2, so that the text fits however the platform counts."""
    return len(text) + sum(1 for character in text if ord(character) > _LAST_OF_ONE_UNIT)


def fault_of(key: str, value: str) -> str | None:
    """What WeChat would refuse about `value` for `key`, in words; None when it fits. `key` must be of a known kind."""
    kind = kind_of(key)
    if kind is None:
        return f"{key} is no type of key WeChat knows"
    pattern, words = _ALLOWED[kind]
    fits = pattern.fullmatch(value) is not None and value.strip() != ""
    if kind == "thing":
        fits = fits and units(value) <= THING_MAX
    return None if fits else f"{key} takes {words}"
