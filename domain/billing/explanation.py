"""What is said of a bill and its lines: the inputs, the parts, the results, and what could not be told."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from cities.tariffs import Tariff
from domain.billing.reckoning import LateFee


class Note(StrEnum):
    """Why something is assumed or cannot be told; the words for people stand at the edge."""

    DEMO = "demo"
    NO_TARIFF = "no_tariff"
    TARIFF_CHANGED = "tariff_changed"
    CLASS_ASSUMED = "class_assumed"
    HOUSEHOLD_ASSUMED = "household_assumed"
    USED_BEFORE_OURS = "used_before_ours"
    NOT_IN_TARIFF = "not_in_tariff"
    NOT_ON_BILL = "not_on_bill"
    SEVERAL_LINES = "several_lines"
    USAGE_UNKNOWN = "usage_unknown"
    UNIT_DIFFERS = "unit_differs"
    USED_BEFORE_UNKNOWN = "used_before_unknown"
    HOUSEHOLD_UNKNOWN = "household_unknown"
    PRICE_UNKNOWN = "price_unknown"
    LATE_RULE_UNKNOWN = "late_rule_unknown"
    LATE_DAY_UNKNOWN = "late_day_unknown"
    LATE_DAY_OURS = "late_day_ours"


@dataclass(frozen=True, slots=True)
class SaidLine:
    """One line as the company wrote it."""

    name: str
    amount_fen: int
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of a bill. None: unknown.

    `used_before`: what the year had used up before this period. `late_through`: the last day that `late_fee_fen` counts. `ours`: the
    inputs among ``used_before`` and ``late_through`` that the company did not name but we know from elsewhere.
    """

    period: str
    lines: tuple[SaidLine, ...]
    principal_fen: int
    late_fee_fen: int = 0
    usage: Decimal | None = None
    unit: str | None = None
    due_on: date | None = None
    late_through: date | None = None
    household_size: int | None = None
    used_before: Decimal | None = None
    ours: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a line: `quantity` at `unit_price` is `yuan`, exactly. Of a tier: from `above` up to and including `up_to`."""

    name: str
    quantity: Decimal | None
    unit_price: Decimal | None
    yuan: Decimal | None
    above: Decimal | None = None
    up_to: Decimal | None = None
    hours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """A line and how it comes about. `amount_fen`: the company's, None when the bill has no such line; `result_fen`: the tariff's."""

    kind: Literal["flat", "fixed", "tiered", "time_of_use", "late_fee", "other"]
    name: str
    amount_fen: int | None
    result_fen: int | None = None
    agrees: bool | None = None
    clause: str | None = None
    collected_for: str | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    steps: tuple[Step, ...] = ()
    late: LateFee | None = None
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of the year: how much of it was used before this period, and how much in it."""

    name: str
    above: Decimal
    up_to: Decimal | None
    used_before: Decimal
    used_now: Decimal


@dataclass(frozen=True, slots=True)
class TierPicture:
    """Where in the year's tiers this bill stands. `until_next`: what is left of the `current` tier; None: it is the last."""

    year: int
    tiers: tuple[Tier, ...]
    used_before: Decimal
    used_now: Decimal
    current: int
    until_next: Decimal | None
    household_size: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A whole bill explained. `agrees`: true when every line does, false when one does not, None when that cannot be told."""

    tariff: Tariff | None
    lines: tuple[ExplainedLine, ...]
    tiers: TierPicture | None = None
    notes: tuple[Note, ...] = ()

    @property
    def agrees(self) -> bool | None:
        said = {line.agrees for line in self.lines}
        return False if False in said else None if None in said else True
