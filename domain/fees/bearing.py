"""Who bears the cost of a connection, recorded per case and reported per month; charges of the published list.

鄂州工改办〔2023〕11号 二、1: the applicant pays nothing outside the red line. Every verb works inside the caller's transaction.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from cities.fees import Borne
from cities.schema import City, Service
from core import clock, ids
from core.database import fetch, violated_constraint
from core.errors import LianbanError, NotFound
from domain.fees.units import Kilowatts
from models.fee import Charge, FeeClaim, PublishedCharge
from models.lifecycle import Actor


class PowerNotStated(LianbanError):
    """Who bears the cost depends on the power applied for, in kW, and it is not stated."""

    code = "power_not_stated"


class ChargeNotPublished(LianbanError):
    """The published list has no such charge of this company today."""

    code = "charge_not_published"


class MonthRow(NamedTuple):
    """What one bearer bears at one company in one district in a month. `amount_fen`: of the `known` ones among `cases`."""

    company: str
    service: str
    area: str | None
    bearer: str
    cases: int
    doubtful: int
    known: int
    amount_fen: int


_MONTH = """
select company, service, area, bearer, count(*) as cases, count(*) filter (where doubtful) as doubtful,
  count(amount_fen) as known, coalesce(sum(amount_fen), 0)::bigint as amount_fen
from fee_claim where superseded_at is null and recorded_at >= $1 and recorded_at < $2 and ($3::text is null or company = $3)
  and ($4::text is null or left(area, 6) = $4)
group by 1, 2, 3, 4 order by 1, 2, 3 nulls last, 4
"""
_EZHOU = timedelta(hours=8)


class Fees:
    """The verbs of fees, by the rules of one city."""

    def __init__(self, city: City) -> None:
        self._city = city

    def bearer(self, service: Service, kw: Kilowatts | None, on: date) -> Borne:
        """Who bears the cost outside the red line on that day.

        Raises:
            PowerNotStated: the power decides and is not given. TypeError: it is given in something else than kW.
        """
        if kw is not None and not isinstance(kw, Kilowatts):
            raise TypeError("the rule is in kW: say at which power factor")
        try:
            return self._city.fees.borne(service, kw.kw if kw else None, on)
        except ValueError as error:
            raise PowerNotStated from error

    async def claim(
        self, subject_kind: str, subject_id: UUID, company: str, area: str | None, kw: Kilowatts | None, actor: Actor
    ) -> FeeClaim:
        """Record who bears what this case costs outside the red line, by today's rule, in place of what was recorded before.

        What is recorded just so already stays, with the cost the company has stated.

        Raises:
            PowerNotStated.
        """
        service, now = self._city.company(company).service, clock.now()
        applied = kw if self._city.fees.by_kw(service, clock.today()) else None
        borne = self.bearer(service, applied, clock.today())
        standing = await FeeClaim.get_or_none(subject_kind=subject_kind, subject_id=subject_id, superseded_at=None)
        if standing is not None:
            same = (borne.bearing.code, company, applied.kw if applied else None)
            if (standing.basis, standing.company, standing.kw) == same:
                return standing
            await self.drop(subject_kind, subject_id)
        return await FeeClaim.create(
            id=ids.new_id(), subject_kind=subject_kind, subject_id=subject_id, company=company, service=service, area=area,
            bearer=borne.bearing.bearer, basis=borne.bearing.code, clause=borne.clause, kw=applied.kw if applied else None,
            doubtful=borne.bearing.doubt is not None, actor_kind=actor.kind, actor_id=actor.id, recorded_at=now,
        )  # fmt: skip

    async def drop(self, subject_kind: str, subject_id: UUID) -> None:
        """Nobody bears anything of this case any more; what was recorded stays readable."""
        standing = FeeClaim.filter(subject_kind=subject_kind, subject_id=subject_id, superseded_at=None)
        await standing.update(superseded_at=clock.now())

    async def state_cost(self, subject_kind: str, subject_id: UUID, amount_fen: int) -> None:
        """The company says what it came to.

        Raises:
            NotFound: nothing is recorded of this case.
        """
        if amount_fen < 0:
            raise ValueError("a cost is not negative")
        standing = FeeClaim.filter(subject_kind=subject_kind, subject_id=subject_id, superseded_at=None)
        if not await standing.update(amount_fen=amount_fen):
            raise NotFound("fee_claim")

    async def charge(
        self, subject_kind: str, subject_id: UUID, code: str, quantity: int, company: str, actor: Actor
    ) -> Charge:
        """Charge something of the published list, at its price of today.

        Raises:
            ChargeNotPublished: the list has no such charge of this company.
        """
        today = clock.today()
        found = PublishedCharge.filter(code=code, company=company, effective_from__lte=today)
        listed = await found.order_by("-effective_from").first()
        if listed is None:
            raise ChargeNotPublished
        try:
            return await Charge.create(
                id=ids.new_id(), published_id=listed.id, company=company, subject_kind=subject_kind, subject_id=subject_id,
                price_fen=listed.price_fen, quantity=quantity, amount_fen=listed.price_fen * quantity, charged_on=today,
                actor_kind=actor.kind, actor_id=actor.id, created_at=clock.now(),
            )  # fmt: skip
        except Exception as error:
            if violated_constraint(error) == "charge_published_only":
                raise ChargeNotPublished from error
            raise

    async def month(self, first: date, company: str | None = None, area: str | None = None) -> Sequence[MonthRow]:
        """Who bears what of the cases recorded in the month that begins with `first`, by company, service and district."""
        begin = datetime(first.year, first.month, 1, tzinfo=UTC) - _EZHOU
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        end = datetime(after.year, after.month, 1, tzinfo=UTC) - _EZHOU
        return [MonthRow(*row.values()) for row in await fetch(_MONTH, begin, end, company, area)]
