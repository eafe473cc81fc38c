"""JSON from outside, taken strictly.

msgspec accepts a key given twice, and two readers of such a text may see two different values: a signed amount must have one
meaning. U+0000 cannot be stored in the database, half a surrogate pair in no text at all, NaN is no number.

>>> decode(b'{"a": 1, "a": 2}', dict)
Traceback (most recent call last):
core.strict_json.JsonRefused: duplicate_key
"""

import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec

T = TypeVar("T")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class JsonRefused(ValueError):
    """The text is not JSON as we take it, or not of the type asked for. `reason` is a fixed word; `where` a path without values."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{reason} {where}".strip())
        self.reason = reason
        self.where = where


def decode(content: bytes, type_: type[T]) -> T:
    """Parse and validate; unknown members are ignored.

    Raises:
        JsonRefused: ``not_json``, ``duplicate_key``, ``bad_text`` or ``wrong_shape``.
    """
    value = parse(content)
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        # msgspec's message names the expected type and the path, never the value.
        raise JsonRefused("wrong_shape", str(error)) from None


def parse(content: bytes) -> Any:
    """Parse without a type.

    Raises:
        JsonRefused: ``not_json``, ``duplicate_key`` or ``bad_text``.
    """
    try:
        text = content.decode("utf-8")
        value = _DECODER.decode(text)
    except JsonRefused:
        raise
    except (ValueError, RecursionError):
        raise JsonRefused("not_json") from None
    # Escapes are the only way in: raw NUL is no JSON, and UTF-8 has no surrogates.
    if "\\u" in text and not _is_clean(value):
        raise JsonRefused("bad_text")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise JsonRefused("duplicate_key")
    return result


def _no_constant(_name: str) -> NoReturn:
    raise JsonRefused("not_json")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


def _is_clean(value: Any) -> bool:
    """A loop, not a recursion: a text may be nested deeper than Python calls."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if _UNSTORABLE.search(item):
                return False
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return True
