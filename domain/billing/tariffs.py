"""How the lines of a bill come about: quantities, prices, tiers, parts of the day, days late, from a tariff of the city pack.

Pure. The company's amounts are the truth and are never altered; beside each stands what the tariff comes to, and whether that is the
same. *True* and *false* are said only of what can be known: a line whose inputs the company does not name, or only part of them, may
agree, but never disagrees, since then the assumption may be what is wrong.

Everything is reckoned exactly (:class:`~decimal.Decimal`, yuan) and rounded once per line, to the fen, by the tariff's own rule.
"""

import decimal
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from cities.tariffs import (
    FixedLine,
    FlatLine,
    Line,
    Tariff,
    Tariffs,
    TieredLine,
    TimeOfUseLine,
)
from domain.billing.explanation import ExplainedLine, Explanation, Inputs, Note, Step, Tier, TierPicture
from domain.billing.reckoning import EXACT, late_fee, limits_for, split, to_fen


def tariff_for(
    tariffs: Tariffs, company: str, user_class: str | None, period: str
) -> tuple[Tariff | None, tuple[Note, ...]]:
    """The tariff of a company's bill for a period (``2026-10``), and what has to be said about the choice.

    None when no tariff is known for the class or the whole of the month, or when it changed within the month.
    """
    first = date.fromisoformat(f"{period}-01")
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if user_class is not None:
        versions, notes = tariffs.get((company, user_class), ()), ()
    else:
        standard = (found for (code, _), found in tariffs.items() if code == company and any(t.standard for t in found))
        versions, notes = next(standard, ()), (Note.CLASS_ASSUMED,)
    begins = next((tariff for tariff in versions if tariff.in_force(first)), None)
    ends = next((tariff for tariff in versions if tariff.in_force(last)), None)
    if ends is None or begins is None:
        return None, (Note.NO_TARIFF,)
    if begins is not ends:
        return None, (Note.TARIFF_CHANGED,)
    return ends, notes


def explain(tariff: Tariff | None, inputs: Inputs, notes: tuple[Note, ...] = ()) -> Explanation:
    """How each line of a bill comes about; `notes` are those of :func:`tariff_for`."""
    if tariff is None:
        lines = [ExplainedLine("other", line.name, line.amount_fen, note=Note.NOT_IN_TARIFF) for line in inputs.lines]
        late = _late_line(None, inputs, is_sure=False)
        return Explanation(None, (*lines, *late), notes=notes or (Note.NO_TARIFF,))
    with decimal.localcontext(EXACT):
        found = _Explainer(tariff, inputs, Note.CLASS_ASSUMED not in notes)
        lines = tuple(found.lines())
        said = (Note.DEMO,) if tariff.demo else ()
        return Explanation(tariff, lines, found.picture(), (*said, *notes, *found.notes))


class _Explainer:
    """One bill under one tariff."""

    def __init__(self, tariff: Tariff, inputs: Inputs, class_is_said: bool) -> None:
        self._tariff = tariff
        self._inputs = inputs
        self._class_is_said = class_is_said
        self._unit_fits = inputs.unit is None or inputs.unit in (tariff.unit, tariff.unit_name)
        self._limits: tuple[Decimal, ...] | None = None
        self.notes: list[Note] = []
        if tariff.ladder is not None:
            self._limits = limits_for(tariff.ladder, inputs.household_size)
            if tariff.ladder.household is not None and inputs.household_size is None:
                self.notes.append(Note.HOUSEHOLD_ASSUMED)
            if "used_before" in inputs.ours and inputs.used_before is not None:
                self.notes.append(Note.USED_BEFORE_OURS)

    def lines(self) -> Iterator[ExplainedLine]:
        """The company's lines in its order, then what the tariff has beside them, then the late fee."""
        taken: set[int] = set()
        explained: dict[int, ExplainedLine] = {}
        absent: list[ExplainedLine] = []
        for line in self._tariff.lines:
            whole = self._named({line.name, *line.also})
            parts = [self._named(names) for names in _part_names(line)]
            mine = [*whole, *(index for part in parts for index in part)]
            taken.update(mine)
            if not mine:
                absent += self._absent(line)
            elif len(whole) > 1 or (whole and len(mine) > 1) or any(len(part) > 1 for part in parts):
                explained |= {index: self._unknown(line, index, Note.SEVERAL_LINES) for index in mine}
            elif whole:
                explained[whole[0]] = self._judged(self._whole(line, whole[0]), whole[0], self._is_sure(line))
            else:
                explained |= self._in_parts(line, parts)
                absent += self._absent_tiers(line, parts)
        for index, said in enumerate(self._inputs.lines):
            yield explained.get(index) or ExplainedLine("other", said.name, said.amount_fen, note=Note.NOT_IN_TARIFF)
        if len(taken) == len(self._inputs.lines):
            # Otherwise one of the company's own lines may hold what seems to be absent.
            yield from absent
        yield from _late_line(self._tariff, self._inputs, is_sure=self._class_is_said)

    def picture(self) -> TierPicture | None:
        """Where in the year's tiers this bill stands; None when there are none, or that is unknown."""
        ladder, before, now = self._tariff.ladder, self._inputs.used_before, self._inputs.usage
        if ladder is None or self._limits is None or before is None or now is None or not self._unit_fits:
            return None
        lower, upper = (Decimal(0), *self._limits), (*self._limits, None)
        shares = zip(split(self._limits, Decimal(0), before), split(self._limits, before, now), strict=True)
        tiers = tuple(
            Tier(name, low, high, then, here)
            for name, low, high, (then, here) in zip(ladder.names, lower, upper, shares, strict=True)
        )
        current = sum(1 for limit in self._limits if before + now > limit)
        left = self._limits[current] - before - now if current < len(self._limits) else None
        year = int(self._inputs.period[:4])
        return TierPicture(year, tiers, before, now, current, left, self._inputs.household_size)

    def _named(self, names: set[str]) -> list[int]:
        return [index for index, line in enumerate(self._inputs.lines) if line.name in names]

    def _is_sure(self, line: Line) -> bool:
        """True when every input of the line is the company's own word: only then can it disagree."""
        if not self._class_is_said:
            return False
        if isinstance(line, (FlatLine, TieredLine)) and self._inputs.usage is None:
            return False
        return not isinstance(line, TieredLine) or not (
            Note.HOUSEHOLD_ASSUMED in self.notes or Note.USED_BEFORE_OURS in self.notes
        )

    def _whole(self, line: Line, index: int | None) -> ExplainedLine:
        """The line as the tariff has it. `index`: the company's line, whose quantity serves where the bill has no usage."""
        blank = ExplainedLine(_kind(line), line.name, None, clause=line.clause, collected_for=line.collected_for)
        if isinstance(line, FixedLine):
            price = Decimal(line.price)
            return replace(blank, unit_price=price, result_fen=self._fen(price))
        if isinstance(line, TimeOfUseLine):
            return replace(blank, steps=_day_steps(line, self._inputs.period), note=Note.USAGE_UNKNOWN)
        quantity = self._inputs.usage
        if quantity is None and index is not None:
            quantity = self._inputs.lines[index].quantity
        blank = replace(blank, quantity=quantity)
        if isinstance(line, FlatLine):
            blank = replace(blank, unit_price=Decimal(line.price))
        if quantity is None:
            return replace(blank, note=Note.USAGE_UNKNOWN)
        if not self._unit_fits:
            return replace(blank, note=Note.UNIT_DIFFERS)
        if isinstance(line, FlatLine):
            return replace(blank, result_fen=self._fen(quantity * Decimal(line.price)))
        if self._limits is None:
            return replace(blank, note=Note.HOUSEHOLD_UNKNOWN)
        if self._inputs.used_before is None:
            return replace(blank, note=Note.USED_BEFORE_UNKNOWN)
        steps = self._tier_steps(line, self._limits, self._inputs.used_before, quantity)
        yuan = sum((step.yuan for step in steps if step.yuan is not None), Decimal(0))
        used = tuple(step for step in steps if step.quantity)
        return replace(blank, steps=used, result_fen=self._fen(yuan))

    def _tier_steps(
        self, line: TieredLine, limits: tuple[Decimal, ...], before: Decimal, quantity: Decimal
    ) -> tuple[Step, ...]:
        assert self._tariff.ladder is not None
        shares = split(limits, before, quantity)
        prices = [Decimal(price) for price in line.prices]
        return tuple(
            Step(name, share, price, share * price, low, high)
            for name, share, price, low, high in zip(
                self._tariff.ladder.names, shares, prices, (Decimal(0), *limits), (*limits, None), strict=True
            )
        )

    def _in_parts(self, line: Line, parts: list[list[int]]) -> dict[int, ExplainedLine]:
        """The company's lines when it writes one for each tier or part of the day."""
        if isinstance(line, TimeOfUseLine):
            return {
                part[0]: self._judged(self._day_part(line, number, part[0]), part[0], self._class_is_said)
                for number, part in enumerate(parts)
                if part
            }
        assert isinstance(line, TieredLine)
        whole = self._whole(line, None)
        if whole.result_fen is None:
            assert whole.note is not None
            return {part[0]: self._unknown(line, part[0], whole.note) for part in parts if part}
        assert self._limits is not None
        assert self._inputs.used_before is not None
        assert whole.quantity is not None
        steps = self._tier_steps(line, self._limits, self._inputs.used_before, whole.quantity)
        return {
            part[0]: self._judged(
                replace(
                    whole,
                    quantity=step.quantity,
                    unit_price=step.unit_price,
                    steps=(step,),
                    result_fen=self._fen(step.yuan),
                ),
                part[0],
                self._is_sure(line),
            )
            for part, step in zip(parts, steps, strict=True)
            if part
        }

    def _day_part(self, line: TimeOfUseLine, number: int, index: int) -> ExplainedLine:
        step = _day_steps(line, self._inputs.period)[number]
        quantity = self._inputs.lines[index].quantity
        blank = ExplainedLine(
            _kind(line), step.name, None, clause=line.clause, collected_for=line.collected_for, quantity=quantity,
            unit_price=step.unit_price, steps=(replace(step, quantity=quantity),),
        )  # fmt: skip
        if quantity is None:
            return replace(blank, note=Note.USAGE_UNKNOWN)
        if step.unit_price is None:
            return replace(blank, note=Note.PRICE_UNKNOWN)
        yuan = quantity * step.unit_price
        return replace(blank, steps=(replace(step, quantity=quantity, yuan=yuan),), result_fen=self._fen(yuan))

    def _absent(self, line: Line) -> list[ExplainedLine]:
        """What the tariff has and the bill has not, if it comes to anything."""
        found = self._whole(line, None)
        if not found.result_fen:
            return []
        return [replace(found, agrees=False if self._is_sure(line) else None, note=Note.NOT_ON_BILL)]

    def _absent_tiers(self, line: Line, parts: list[list[int]]) -> list[ExplainedLine]:
        """Tiers that were reached and have no line, on a bill that has a line for each."""
        whole = self._whole(line, None)
        if not isinstance(line, TieredLine) or not whole.result_fen:
            return []
        by_name = {step.name: step for step in whole.steps}
        assert self._tariff.ladder is not None
        missing = [
            (names[0], by_name[tier])
            for tier, names, part in zip(self._tariff.ladder.names, line.parts, parts, strict=True)
            if not part and tier in by_name
        ]
        agrees = False if self._is_sure(line) else None
        return [
            replace(
                whole, name=name, quantity=step.quantity, unit_price=step.unit_price, steps=(step,), agrees=agrees,
                result_fen=self._fen(step.yuan), note=Note.NOT_ON_BILL,
            )
            for name, step in missing
        ]  # fmt: skip

    def _judged(self, found: ExplainedLine, index: int, is_sure: bool) -> ExplainedLine:
        said = self._inputs.lines[index]
        return replace(
            found,
            name=said.name,
            amount_fen=said.amount_fen,
            agrees=_agrees(said.amount_fen, found.result_fen, is_sure),
        )

    def _unknown(self, line: Line, index: int, note: Note) -> ExplainedLine:
        said = self._inputs.lines[index]
        return ExplainedLine(
            _kind(line), said.name, said.amount_fen, clause=line.clause, collected_for=line.collected_for,
            quantity=said.quantity, note=note,
        )  # fmt: skip

    def _fen(self, yuan: Decimal | None) -> int | None:
        return None if yuan is None else to_fen(yuan, self._tariff.rounding)


def _kind(line: Line) -> Literal["flat", "fixed", "tiered", "time_of_use"]:
    match line:
        case FlatLine():
            return "flat"
        case FixedLine():
            return "fixed"
        case TieredLine():
            return "tiered"
        case TimeOfUseLine():
            return "time_of_use"


def _part_names(line: Line) -> list[set[str]]:
    if isinstance(line, TieredLine):
        return [set(names) for names in line.parts]
    if isinstance(line, TimeOfUseLine):
        return [{part.name, *part.also} for part in line.parts]
    return []


def _day_steps(line: TimeOfUseLine, period: str) -> tuple[Step, ...]:
    month = int(period[5:])
    return tuple(
        Step(part.name, None, None if part.price is None else Decimal(part.price), None, hours=part.hours_in(month))
        for part in line.parts
    )


def _late_line(tariff: Tariff | None, inputs: Inputs, is_sure: bool) -> list[ExplainedLine]:
    """The late fee, when there is one or there should be."""
    rule = tariff.late_fee if tariff is not None else None
    said = inputs.late_fee_fen
    blank = ExplainedLine("late_fee", "违约金", said, clause=rule.clause if rule else None)
    if tariff is None or rule is None:
        return [replace(blank, note=Note.LATE_RULE_UNKNOWN)] if said else []
    if inputs.due_on is None or inputs.late_through is None:
        return [replace(blank, note=Note.LATE_DAY_UNKNOWN)] if said else []
    late = late_fee(rule, inputs.principal_fen, inputs.due_on, inputs.late_through, tariff.rounding)
    if not said and not late.fee_fen:
        return []
    is_said = "late_through" not in inputs.ours
    agrees = _agrees(said, late.fee_fen, is_sure and is_said)
    note = None if is_said else Note.LATE_DAY_OURS
    return [replace(blank, result_fen=late.fee_fen, agrees=agrees, late=late, note=note)]


def _agrees(said_fen: int, result_fen: int | None, is_sure: bool) -> bool | None:
    if result_fen is None:
        return None
    if said_fen == result_fen:
        return True
    return False if is_sure else None
