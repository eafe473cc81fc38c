"""How a bill comes about, for its page: every line with its clause, its inputs and its result, and where in the year's tiers it stands."""

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from api.texts import Output
from domain.billing.explanation import ExplainedLine, Explanation, Note, Step, TierPicture
from domain.billing.reckoning import LateFee
from gateways.company_types import BillBasis, Readings

_WORDS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "bill_notes.zh-CN.toml").read_text(encoding="utf-8"))
ROUNDINGS: dict[str, str] = _WORDS.pop("roundings")
NOTES: dict[str, str] = _WORDS


class NoteView(Output, frozen=True):
    """Why something is assumed, or cannot be told."""

    code: str
    text: str


class StepView(Output, frozen=True):
    """A part of a line, `quantity` × `unit_price` = `yuan` exactly; a tier goes from `above` up to and including `up_to`."""

    name: str
    quantity: str | None
    unit_price: str | None
    yuan: str | None
    above: str | None
    up_to: str | None
    hours: list[str]


class LateSpan(Output, frozen=True):
    """So many days at so many per mille a day."""

    days: int
    per_mille: str


class LateFeeView(Output, frozen=True):
    """What being late comes to: of the principal only; then the minimum, then the cap."""

    principal_fen: int
    due_on: date
    through: date
    days_late: int
    spans: list[LateSpan]
    yuan: str
    minimum_fen: int
    cap_fen: int | None


class ExplainedLineView(Output, frozen=True):
    """One line. `amount_fen` is the company's and the truth (null: not on the bill); `result_fen` is what the tariff comes to."""

    kind: Literal["flat", "fixed", "tiered", "time_of_use", "late_fee", "other"]
    name: str
    amount_fen: int | None
    result_fen: int | None
    agrees: bool | None
    clause: str | None
    collected_for: str | None
    quantity: str | None
    unit_price: str | None
    steps: list[StepView]
    late_fee: LateFeeView | None
    note: NoteView | None


class TierView(Output, frozen=True):
    """One tier of the year, from `above` up to and including `up_to` (null: no end)."""

    name: str
    above: str
    up_to: str | None
    used_before: str
    used_now: str


class TierPictureView(Output, frozen=True):
    """Where in the year's tiers this bill stands. `until_next` null: this is the last one."""

    year: int
    tiers: list[TierView]
    used_before: str
    used_now: str
    current_tier: str
    until_next: str | None


class ReadingView(Output, frozen=True):
    """What the meter showed, as the company says."""

    last: str | None
    this: str | None
    read_on: date | None
    is_estimated: bool | None


class ExplanationView(Output, frozen=True):
    """How a bill comes about. The company's amounts stand; `agrees` false: they are not what the tariff comes to; null: cannot be told."""

    tariff_name: str | None
    tariff_source: str | None
    tariff_since: date | None
    is_demo: bool
    unit_name: str | None
    rounding: str | None
    agrees: bool | None
    lines: list[ExplainedLineView]
    tiers: TierPictureView | None
    reading: ReadingView | None
    household_size: int | None
    notes: list[NoteView]


def explanation_view(found: Explanation, basis: BillBasis) -> ExplanationView:
    """`found` in words and texts."""
    tariff = found.tariff
    return ExplanationView(
        tariff_name=tariff.name if tariff else None,
        tariff_source=tariff.source if tariff else None,
        tariff_since=tariff.effective_from if tariff else None,
        is_demo=tariff is not None and tariff.demo,
        unit_name=tariff.unit_name if tariff else None,
        rounding=ROUNDINGS[tariff.rounding] if tariff else None,
        agrees=found.agrees,
        lines=[_line(line) for line in found.lines],
        tiers=_tiers(found.tiers) if found.tiers else None,
        reading=_reading(basis.readings) if basis.readings else None,
        household_size=basis.household_size,
        notes=[_note(note) for note in found.notes],
    )


def plain(value: Decimal) -> str:
    """A quantity or price without needless zeros and without exponents."""
    return f"{value.normalize():f}" if value else "0"


def _line(line: ExplainedLine) -> ExplainedLineView:
    return ExplainedLineView(
        kind=line.kind,
        name=line.name,
        amount_fen=line.amount_fen,
        result_fen=line.result_fen,
        agrees=line.agrees,
        clause=line.clause,
        collected_for=line.collected_for,
        quantity=_text(line.quantity),
        unit_price=_text(line.unit_price),
        steps=[_step(step) for step in line.steps],
        late_fee=_late_fee(line.late) if line.late else None,
        note=_note(line.note) if line.note else None,
    )


def _step(step: Step) -> StepView:
    return StepView(
        name=step.name,
        quantity=_text(step.quantity),
        unit_price=_text(step.unit_price),
        yuan=_text(step.yuan),
        above=_text(step.above),
        up_to=_text(step.up_to),
        hours=list(step.hours),
    )


def _late_fee(late: LateFee) -> LateFeeView:
    spans = [LateSpan(days, plain(per_mille)) for days, per_mille in late.spans]
    return LateFeeView(
        late.principal_fen, late.due_on, late.through, late.days_late, spans, plain(late.accrued), late.minimum_fen, late.cap_fen
    )  # fmt: skip


def _tiers(picture: TierPicture) -> TierPictureView:
    tiers = [
        TierView(tier.name, plain(tier.above), _text(tier.up_to), plain(tier.used_before), plain(tier.used_now))
        for tier in picture.tiers
    ]
    return TierPictureView(
        picture.year, tiers, plain(picture.used_before), plain(picture.used_now), tiers[picture.current].name,
        _text(picture.until_next),
    )  # fmt: skip


def _reading(readings: Readings) -> ReadingView:
    return ReadingView(readings.last, readings.this, readings.read_on, readings.estimated)


def _note(note: Note) -> NoteView:
    return NoteView(note.value, NOTES[note.value])


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
