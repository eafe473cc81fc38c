"""From a kind of message and its values to the texts a person reads. Pure: the same arguments give the same texts.

A text that would be too long for WeChat is shortened in its free parts only (names, never amounts or times), at the
boundary of a character as it is seen, with ``…`` at the cut.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from string import Formatter
from typing import NamedTuple, Self
from urllib.parse import quote

import msgspec

from cities.errors import MessageValuesInvalid, UnknownMessageKind
from cities.message_texts import (
    AccountNumberValue,
    ChoiceValue,
    DateTimeValue,
    DateValue,
    FenValue,
    Message,
    Placeholder,
    ReferenceValue,
    TemplateData,
    TextValue,
)
from cities.schema import City
from cities.shapes import in_force
from cities.wechat_keys import THING_MAX, fault_of, kind_of, units
from core.clock import SHANGHAI

LARGEST_FEN = 9_999_999_999
"""WeChat shows amounts of at most ten digits."""

SMS_PARAM_MAX = 35

_NOT_IN_SMS = re.compile(r"[【】]|https?:|www\.", re.IGNORECASE)
_ELLIPSIS = "…"
_FORMATTER = Formatter()
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_REFERENCE = re.compile(r"[0-9A-Za-z_-]{1,36}")
_ACCOUNT_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,30}")


class MiniProgramMessage(msgspec.Struct, frozen=True):
    """A subscription message: `template` is the pack's name (settings know the id), `data` the text of each key."""

    template: str
    page: str | None
    data: dict[str, str]


class OfficialMessage(msgspec.Struct, frozen=True):
    """A template message of the official account."""

    template: str
    data: dict[str, str]


class SmsMessage(msgspec.Struct, frozen=True):
    """A text message: the variables of its reviewed template, in their order."""

    template: str
    params: list[str]


class Rendered(msgspec.Struct, frozen=True):
    """A message ready for delivery. `page` is where it leads; a channel is None when no template of it carries the message."""

    inbox_title: str
    inbox_body: str
    page: str | None
    mini_program: MiniProgramMessage | None
    official_account: OfficialMessage | None = None
    sms: SmsMessage | None = None


class Piece(NamedTuple):
    """A literal text followed by a placeholder (None at the end)."""

    literal: str
    name: str | None


class Shown(NamedTuple):
    """A value as it is shown, and whether it may be shortened."""

    text: str
    may_shrink: bool

    def cut(self, limit: int) -> Self:
        return self._replace(text=cut(self.text, limit)) if self.may_shrink else self


def message_of(city: City, kind: str, on: date) -> Message:
    """The version of a message in force on that day; raises :class:`UnknownMessageKind` or :class:`NotInForce`."""
    versions = city.messages.get(kind)
    if versions is None:
        raise UnknownMessageKind(kind)
    return in_force(versions, on, kind)


def render(city: City, kind: str, values: Mapping[str, object], *, on: date) -> Rendered:
    """The texts of a message. `values` are exactly those the pack declares for this kind.

    Raises :class:`UnknownMessageKind`, :class:`NotInForce`, or :class:`MessageValuesInvalid` for a value that is
    missing, not declared, of the wrong type or empty.
    """
    message = message_of(city, kind, on)
    _check_names(message, values)
    return assemble(message, {name: show(kind, name, city.values[name], values[name]) for name in message.values})


def assemble(message: Message, shown: Mapping[str, Shown]) -> Rendered:
    """Put shown values into the texts, and check the result against WeChat's limits."""
    page = (
        None
        if message.page is None
        else "".join(
            piece.literal + ("" if piece.name is None else quote(shown[piece.name].text, safe=""))
            for piece in pieces(message.page)
        )
    )
    mini_program = official = sms = None
    if message.mini_program is not None:
        mini_program = MiniProgramMessage(
            template=message.mini_program.template, page=page, data=_data(message.kind, message.mini_program, shown)
        )
    if message.official_account is not None:
        official = OfficialMessage(
            template=message.official_account.template, data=_data(message.kind, message.official_account, shown)
        )
    if message.sms is not None:
        sms = SmsMessage(template=message.sms.template, params=[fill_whole(text, shown) for text in message.sms.params])
        for text in sms.params:
            check_sms(message.kind, text)
    return Rendered(
        inbox_title=fill_whole(message.inbox.title, shown),
        inbox_body=fill_whole(message.inbox.body, shown),
        page=page,
        mini_program=mini_program,
        official_account=official,
        sms=sms,
    )


def pieces(text: str) -> list[Piece]:
    """Take a text apart at its ``{placeholders}``; raises `ValueError` when it is not one."""
    found: list[Piece] = []
    for literal, name, spec, conversion in _FORMATTER.parse(text):
        if name is not None and (_NAME.fullmatch(name) is None or spec or conversion):
            raise ValueError(f"{{{name}}} is no placeholder: only {{name}} is")
        found.append(Piece(literal, name))
    return found


def fill(key: str, text: str, shown: Mapping[str, Shown]) -> str:
    """The value of a template key. A ``thing`` that is too long loses the end of its longest free parts first."""
    parts = pieces(text)
    if kind_of(key) != "thing" or units(_join(parts, shown)) <= THING_MAX:
        return _join(parts, shown)
    used = [shown[part.name] for part in parts if part.name is not None]
    fixed = sum(units(part.literal) for part in parts) + sum(
        units(value.text) for value in used if not value.may_shrink
    )
    free = [units(value.text) for value in used if value.may_shrink]
    limit = THING_MAX
    while limit > 1 and fixed + sum(min(length, limit) for length in free) > THING_MAX:
        limit -= 1
    return _join(parts, {name: value.cut(limit) for name, value in shown.items()})


def fill_whole(text: str, shown: Mapping[str, Shown]) -> str:
    """A text with its values, not shortened."""
    return _join(pieces(text), shown)


def check_key(kind: str, key: str, text: str) -> None:
    """Raises :class:`MessageValuesInvalid` when WeChat would refuse the text for the key."""
    fault = fault_of(key, text)
    if fault is not None:
        raise MessageValuesInvalid(f"{kind}: {fault}")


def check_sms(kind: str, text: str) -> None:
    """Raises :class:`MessageValuesInvalid` when the supplier would refuse the text as a variable.

    1 to 35 characters, no brackets of a signature, no address (the supplier's rules for variables).
    """
    if not 1 <= units(text) <= SMS_PARAM_MAX or _NOT_IN_SMS.search(text):
        raise MessageValuesInvalid(f"{kind}: a variable takes 1 to {SMS_PARAM_MAX} characters, no brackets, no address")


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units of `text`, ``…`` included; a character keeps the marks that belong to it."""
    if units(text) <= limit:
        return text
    kept, left = "", limit - units(_ELLIPSIS)
    for cluster in _clusters(text):
        left -= units(cluster)
        if left < 0:
            break
        kept += cluster
    return kept.rstrip() + _ELLIPSIS


def yuan(amount_fen: int) -> str:
    """``46.60元`` of 4660, without floating point."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}元"


def day_text(day: date) -> str:
    """``2026年11月23日``."""
    return f"{day.year}年{day.month}月{day.day}日"


def time_text(at: datetime) -> str:
    """``2026年11月23日 10:02`` in Ezhou's time."""
    local = at.astimezone(SHANGHAI)
    return f"{day_text(local.date())} {local:%H:%M}"


def show(kind: str, name: str, placeholder: Placeholder, value: object) -> Shown:
    """A value as its placeholder shows it; raises :class:`MessageValuesInvalid`."""
    text = _text_of(placeholder, value)
    if text is None:
        raise MessageValuesInvalid(f"{kind}: {name} is not a {type(placeholder).__struct_config__.tag}")
    return Shown(text, isinstance(placeholder, TextValue))


def _text_of(placeholder: Placeholder, value: object) -> str | None:
    match placeholder, value:
        case FenValue(), int() if not isinstance(value, bool) and 0 <= value <= LARGEST_FEN:
            return yuan(value)
        case DateTimeValue(), datetime() if value.tzinfo is not None and 2000 <= value.year < 9000:
            return time_text(value)
        case DateValue(), date() if not isinstance(value, datetime) and 2000 <= value.year < 9000:
            return day_text(value)
        case TextValue(), str():
            return cut(clean(value), placeholder.max) or None
        case AccountNumberValue(), str() if _ACCOUNT_NUMBER.fullmatch(value):
            return "****" + value[-4:] if len(value) >= 8 else "****" + value[-2:] if len(value) >= 4 else "****"
        case ReferenceValue(), str() if _REFERENCE.fullmatch(value) and len(value) <= placeholder.max:
            return value
        case ChoiceValue(), str():
            return placeholder.options.get(value)
        case _:
            return None


def clean(text: str) -> str:
    """One line without control, invisible or direction-changing characters; empty when nothing visible remains."""
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zs", "Zl", "Zp"):
            kept.append(" ")
        elif category not in ("Cf", "Cs"):
            kept.append(character)
    line = " ".join("".join(kept).split())
    return line if any(unicodedata.category(character)[0] not in "MZ" for character in line) else ""


def _data(kind: str, template: TemplateData, shown: Mapping[str, Shown]) -> dict[str, str]:
    data = {key: fill(key, text, shown) for key, text in template.data.items()}
    for key, text in data.items():
        check_key(kind, key, text)
    return data


def _check_names(message: Message, values: Mapping[str, object]) -> None:
    missing = sorted(set(message.values) - set(values))
    surplus = sorted(set(values) - set(message.values))
    if missing:
        raise MessageValuesInvalid(f"{message.kind}: {', '.join(missing)} is missing")
    if surplus:
        raise MessageValuesInvalid(f"{message.kind}: {', '.join(surplus)} is not declared")


def _join(parts: list[Piece], shown: Mapping[str, Shown]) -> str:
    return "".join(part.literal + ("" if part.name is None else shown[part.name].text) for part in parts)


def _clusters(text: str) -> list[str]:
    found: list[str] = []
    for character in text:
        if found and unicodedata.category(character)[0] == "M":
            found[-1] += character
        else:
            found.append(character)
    return found
