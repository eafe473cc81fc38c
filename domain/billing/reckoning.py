"""The arithmetic of bills: tiers of a year, late fees, rounding. Exact until the one rounding to fen at the end."""

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cities.tariffs import Ladder, LateFeeRule, Rounding

_ROUNDINGS: dict[Rounding, str] = {
    "half_up": decimal.ROUND_HALF_UP,
    "half_even": decimal.ROUND_HALF_EVEN,
    "down": decimal.ROUND_DOWN,
    "up": decimal.ROUND_UP,
}
EXACT = decimal.Context(prec=60)
"""Far more digits than twelve of a quantity, six of a price and the days of a century can fill: nothing is lost before rounding."""


@dataclass(frozen=True, slots=True)
class LateFee:
    """What being late comes to. `spans`: how many days at how many per mille of `principal_fen`; `fee_fen` after minimum and cap."""

    principal_fen: int
    due_on: date
    through: date
    days_late: int
    spans: tuple[tuple[int, Decimal], ...]
    accrued: Decimal
    minimum_fen: int
    cap_fen: int | None
    fee_fen: int


def limits_for(ladder: Ladder, household_size: int | None) -> tuple[Decimal, ...] | None:
    """The limits for a household (None: of the usual size); None when it is larger and nobody has said what more people add."""
    limits = tuple(Decimal(limit) for limit in ladder.limits)
    household = ladder.household
    if household is None or household_size is None or household_size <= household.included:
        return limits
    if not household.each:
        return None
    more = household_size - household.included
    return tuple(limit + more * Decimal(each) for limit, each in zip(limits, household.each, strict=True))


def split(limits: Sequence[Decimal], before: Decimal, quantity: Decimal) -> tuple[Decimal, ...]:
    """How much of `quantity`, used after `before`, falls into each tier. A limit belongs to the tier below it."""
    lower = (Decimal(0), *limits)
    upper = (*limits, before + quantity)
    return tuple(
        max(Decimal(0), min(before + quantity, high) - max(before, low)) for low, high in zip(lower, upper, strict=True)
    )


def to_fen(yuan: Decimal, rounding: Rounding) -> int:
    """Yuan, exact, to whole fen."""
    return int(yuan.scaleb(2, EXACT).quantize(Decimal(1), _ROUNDINGS[rounding], EXACT))


def late_fee(rule: LateFeeRule, principal_fen: int, due_on: date, through: date, rounding: Rounding) -> LateFee:
    """What being late comes to when the last day counted is `through`: of the principal only, in whole days."""
    days_late = max(0, (through - due_on).days)
    free = rule.grace_days if rule.counts_from == "grace_end" else 0
    charged = days_late - free if days_late > rule.grace_days else 0
    first = due_on + timedelta(days=1 + free)
    rate = Decimal(rule.per_mille)
    later_rate = Decimal(rule.later_year_per_mille) if rule.later_year_per_mille is not None else rate
    in_due_year = min(charged, max(0, (date(due_on.year, 12, 31) - first).days + 1))
    counted = ((in_due_year, rate), (charged - in_due_year, later_rate))
    spans = (
        tuple((days, per_mille) for days, per_mille in counted if days) if later_rate != rate else ((charged, rate),)
    )
    spans = spans if charged else ()
    with decimal.localcontext(EXACT):
        accrued = sum((Decimal(principal_fen) * days * per_mille for days, per_mille in spans), Decimal(0)) / 100_000
    fee_fen = to_fen(accrued, rounding)
    if charged and principal_fen:
        fee_fen = max(fee_fen, rule.minimum_fen)
    cap_fen = principal_fen * rule.cap_percent // 100 if rule.cap_percent is not None else None
    if cap_fen is not None:
        fee_fen = min(fee_fen, cap_fen)
    return LateFee(principal_fen, due_on, through, days_late, spans, accrued, rule.minimum_fen, cap_fen, fee_fen)
