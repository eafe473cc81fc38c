"""The shapes of ``fees.toml``: who bears what a connection costs outside the red line, and which charges are published at all."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from cities.shapes import Code, Rule, Service, Shape, Text, Title, in_force

Payer = Literal["company", "government", "by_rule"]
"""``by_rule``: the plan does not say; the company tells the applicant in writing, and nobody is told 0."""
Kilowatts = Annotated[str, Meta(pattern=r"\A[1-9][0-9]{0,5}(\.[0-9]{1,3})?\Z")]


class Bearing(Shape, frozen=True, kw_only=True):
    """Who bears the cost of one class of connections. `doubt`: how else the clause may be read, to be settled by the city."""

    code: Code
    bearer: Payer
    note: Text | None = None
    doubt: Text | None = None


class PowerBand(Bearing, frozen=True, kw_only=True):
    """Up to and including so many kilowatts applied for; never kVA."""

    up_to_kw: Kilowatts


class BearerRule(Rule, frozen=True, kw_only=True):
    """Who bears the cost outside the red line for one service: by the power applied for, smallest first, else `otherwise`."""

    service: Service
    bands: tuple[PowerBand, ...] = ()
    otherwise: Bearing


class PublishedCharge(Rule, frozen=True, kw_only=True):
    """One charge of the published list (收费目录清单): inside the red line, `price_fen` per `unit`. Nothing else may be charged."""

    code: Code
    company: Code
    name: Title
    unit: Title
    price_fen: Annotated[int, Meta(ge=1, le=100_000_000)]
    clause: Text


class Borne(NamedTuple):
    """Who bears the cost of a connection outside the red line, and the clause that says so."""

    bearing: Bearing
    clause: str

    @property
    def applicant_fen(self) -> int | None:
        """What the applicant pays for it: 0, or None where the plan does not say."""
        return None if self.bearing.bearer == "by_rule" else 0


class FeeWords(Shape, frozen=True, kw_only=True):
    """What people read about who pays; ``{company}`` stands for the company's name."""

    company: Text
    government: Text
    by_rule: Text


class FeesFile(Shape, frozen=True, kw_only=True):
    words: FeeWords
    bearer: tuple[BearerRule, ...]
    charges: tuple[PublishedCharge, ...] = ()

    def by_kw(self, service: Service, on: date) -> bool:
        """True when the power applied for decides who bears the cost."""
        return bool(self._rule(service, on).bands)

    def borne(self, service: Service, kw: Decimal | None, on: date) -> Borne:
        """Who bears it on that day; `kw` only where :meth:`by_kw`.

        Raises:
            ValueError: the power decides and is not given. NotInForce: a day before the first rule.
        """
        rule = self._rule(service, on)
        if rule.bands and kw is None:
            raise ValueError("the power applied for decides, in kW")
        for band in rule.bands:
            if kw is not None and kw <= Decimal(band.up_to_kw):
                return Borne(band, rule.source)
        return Borne(rule.otherwise, rule.source)

    def bands(self, service: Service, on: date) -> list[Borne]:
        """Every class of connections of a service with who bears its cost, smallest first."""
        rule = self._rule(service, on)
        return [Borne(each, rule.source) for each in (*rule.bands, rule.otherwise)]

    def published(self, on: date) -> list[PublishedCharge]:
        """What may be charged on that day."""
        return [charge for charge in self.charges if charge.in_force(on)]

    def _rule(self, service: Service, on: date) -> BearerRule:
        return in_force(_of(self.bearer, service), on, f"bearer of {service}")


def _of(rules: Iterable[BearerRule], service: str) -> tuple[BearerRule, ...]:
    return tuple(rule for rule in rules if rule.service == service)
