"""The shapes of ``tariffs.toml``: what a company's lines are made from, per class of user, with the days it is in force.

Quantities and prices are decimal texts, exact as they were published; prices are yuan per unit. The company's bill stays the truth:
a tariff only lets the platform show how a line comes about, and say honestly when it does not.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from cities.shapes import Code, Rule, Shape, Text, Title

Price = Annotated[str, Meta(pattern=r"\A[0-9]{1,6}(\.[0-9]{1,6})?\Z")]
Amount = Annotated[str, Meta(pattern=r"\A[0-9]{1,9}(\.[0-9]{1,2})?\Z")]
Hours = Annotated[str, Meta(pattern=r"\A[0-9]{1,2}-[0-9]{1,2}\Z")]
Names = tuple[Title, ...]
Rounding = Literal["half_up", "half_even", "down", "up"]

_HOURS = re.compile(r"([0-9]{1,2})-([0-9]{1,2})")


class Household(Shape, frozen=True, kw_only=True):
    """How many people the limits are made for, and what each further one adds to each limit.

    Without `each` nobody has told us what more people add: for such a household the limits are unknown.
    """

    included: Annotated[int, Meta(ge=1, le=20)]
    each: tuple[Amount, ...] = ()


class Ladder(Shape, frozen=True, kw_only=True):
    """Tiers of a calendar year: `limits` are the last quantity of each tier but the last, which has none."""

    names: Annotated[Names, Meta(min_length=2, max_length=6)]
    limits: Annotated[tuple[Amount, ...], Meta(min_length=1, max_length=5)]
    household: Household | None = None


class _Line(Shape, frozen=True, kw_only=True):
    """`name` and `also` are what the company may call the line; `collected_for`: for whom it is only collected (taxes, fees)."""

    name: Title
    also: Names = ()
    clause: Text
    collected_for: Title | None = None


class FlatLine(_Line, frozen=True, kw_only=True, tag_field="kind", tag="flat"):
    """Every unit costs the same."""

    price: Price


class FixedLine(_Line, frozen=True, kw_only=True, tag_field="kind", tag="fixed"):
    """The same in every period, whatever was used: `price` in yuan."""

    price: Price


class TieredLine(_Line, frozen=True, kw_only=True, tag_field="kind", tag="tiered"):
    """A price per tier of the tariff's ladder. `parts`: the names when the company writes a line per tier."""

    prices: tuple[Price, ...]
    parts: tuple[Annotated[Names, Meta(min_length=1)], ...] = ()


class DayPart(Shape, frozen=True, kw_only=True):
    """Hours of the day with a price of their own (None: set elsewhere each month). ``23-7`` passes midnight.

    In the months of `other_months` the `other_hours` hold instead.
    """

    name: Title
    also: Names = ()
    price: Price | None = None
    hours: Annotated[tuple[Hours, ...], Meta(min_length=1)]
    other_months: tuple[Annotated[int, Meta(ge=1, le=12)], ...] = ()
    other_hours: tuple[Hours, ...] = ()

    def hours_in(self, month: int) -> tuple[str, ...]:
        """Its hours in a month of the year, as written."""
        return self.other_hours if month in self.other_months else self.hours


class TimeOfUseLine(_Line, frozen=True, kw_only=True, tag_field="kind", tag="time_of_use"):
    """A price per part of the day. The quantities are those of the company's lines, one for each part."""

    parts: Annotated[tuple[DayPart, ...], Meta(min_length=2, max_length=6)]


Line = FlatLine | FixedLine | TieredLine | TimeOfUseLine


class LateFeeRule(Shape, frozen=True, kw_only=True):
    """What being late costs: so many per mille of the principal a day, never of an earlier fee, for whole days.

    The day after the due day is the first late day. Up to `grace_days` late days cost nothing; after them the fee counts from the
    first late day, or from the first day after the grace (`counts_from`). Days in a later calendar year than the due day cost
    `later_year_per_mille` where it is given. What is less than `minimum_fen` is that much; the fee is never above `cap_percent` of
    the principal (None: no cap is known), not even because of the minimum.
    """

    per_mille: Price
    later_year_per_mille: Price | None = None
    grace_days: Annotated[int, Meta(ge=0, le=90)] = 0
    counts_from: Literal["due_day", "grace_end"] = "due_day"
    minimum_fen: Annotated[int, Meta(ge=0, le=100_000)] = 0
    cap_percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    clause: Text


class Tariff(Rule, frozen=True, kw_only=True):
    """What one class of users pays one company. `standard`: to be assumed when the company does not name the class.

    `demo`: invented prices, shown as such wherever they are shown. `rounding` is done once per line of the bill, to the fen.
    """

    company: Code
    user_class: Code
    name: Title
    standard: bool = False
    demo: bool
    unit: Annotated[str, Meta(min_length=1, max_length=16)]
    unit_name: Annotated[str, Meta(min_length=1, max_length=6)]
    rounding: Rounding
    ladder: Ladder | None = None
    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=20)]
    late_fee: LateFeeRule | None = None


class TariffsFile(Shape, frozen=True, kw_only=True):
    tariffs: tuple[Tariff, ...]


Tariffs = Mapping[tuple[str, str], tuple[Tariff, ...]]
"""(company, class) → its versions, oldest first."""


def hours_of(text: str) -> tuple[int, ...]:
    """The hours of the day that ``6-12`` or ``23-7`` covers, each by its beginning: 0 to 23.

    Raises:
        ValueError: no such hours, or none at all.
    """
    found = _HOURS.fullmatch(text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if first > 23 or last > 24 or first == last or (first, last) == (0, 0):
        raise ValueError(f"hours are written like 6-12 or 23-7, not {text}")
    return tuple(range(first, last)) if first < last else (*range(first, 24), *range(last))
