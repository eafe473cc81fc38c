"""What every file of a city pack is made of: words, lengths of time, times of day, and rules with their days."""

import re
from collections.abc import Iterable
from datetime import date, time, timedelta
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from cities.errors import NotInForce

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Title = Annotated[str, Meta(min_length=1, max_length=40)]
Code = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]
Service = Literal["water", "power", "gas", "network"]

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(timedelta):
    """A length of time as people write it in a pack: ``15s``, ``10m``, ``2h``, ``30d``."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Raises `ValueError` for anything but a whole number above 0 and one unit."""
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValueError(f"a length of time is written like 15s, 10m, 2h or 30d, not {text!r}")
        return cls(seconds=int(found[1]) * _SECONDS[found[2]])


class TimeOfDay(time):
    """A time of the city's day as people write it in a pack: ``02:00``."""

    @classmethod
    def parse(cls, text: str) -> "TimeOfDay":
        """Raises `ValueError` for anything but hours and minutes."""
        if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is None:
            raise ValueError(f"a time of day is written like 02:00, not {text!r}")
        return cls(int(text[:2]), int(text[3:]))


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of everything read from a pack."""


class Rule(Shape, frozen=True, kw_only=True):
    """Something in force from `effective_from` up to and including `effective_to` (None: until further notice)."""

    effective_from: date
    effective_to: date | None = None
    source: Text

    def in_force(self, day: date) -> bool:
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


R = TypeVar("R", bound=Rule)


def in_force(rules: Iterable[R], day: date, name: str) -> R:
    """The version in force on `day`; raises :class:`NotInForce`."""
    for rule in rules:
        if rule.in_force(day):
            return rule
    raise NotInForce(f"{name} on {day}")
