"""What pushed projects will need, by area and month, for those who plan mains: sums and counts, of nobody by name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from cities.forms import at
from cities.schema import City
from core import clock
from core.database import fetch
from core.errors import LianbanError
from domain.applications.drafts import Drafts
from domain.applications.order_desk import Scope
from models.application import Application

LONGEST = timedelta(days=366)
_ORDERS = """
select o.application_id, o.company, o.service, o.main_laid, o.status, a.area from service_order o join application a on a.id = o.application_id
where o.pushed and a.filed_at >= $1 and a.filed_at < $2 and ($3::text is null or o.company = $3) and ($4::text is null or starts_with(a.area, $4))
  and o.status not in ('withdrawn', 'refused', 'failed', 'reassigned')
"""
QUANTITIES: Mapping[str, str] = {
    "applied_kw": "/power/applied_kw", "daily_m3": "/water/daily_m3", "peak_hour_m3": "/gas/peak_hour_m3",
    "bandwidth_mbps": "/network/bandwidth_mbps",
}  # fmt: skip
"""Column → where the answers have it; each of one service."""
_SITE = {"floor_area_m2": "/project/floor_area_m2", "households": "/project/households"}
COLUMNS = ("area", "area_name", "service", "month", "projects", "mains_laid", "connected", *QUANTITIES, *_SITE)


class PeriodTooLong(LianbanError):
    """A year at most, and not backwards. data: ``days``."""

    code = "period_too_long"


class Wanted(NamedTuple):
    """One order of one pushed project, as far as planners are concerned. `month`: in which it is to be connected; empty when not said."""

    area: str
    service: str
    month: str
    is_laid: bool
    is_connected: bool
    quantities: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Demand:
    """Reads pushed projects; the scope stands in the query."""

    city: City
    drafts: Drafts

    async def csv(self, scope: Scope, first: date, last: date) -> str:
        """The projects pushed from `first` to `last`, both counted, of the scope's company or district.

        Raises:
            PeriodTooLong.
        """
        if not timedelta() <= last - first <= LONGEST:
            raise PeriodTooLong(days=LONGEST.days)
        begin, end = (datetime.combine(day, time(), clock.SHANGHAI) for day in (first, last + timedelta(days=1)))
        area = None if scope.area == self.city.area_code else scope.area
        rows = await fetch(_ORDERS, begin, end, scope.company, area)
        cases = {one.id: one for one in await Application.filter(id__in={row["application_id"] for row in rows})}
        answers = {id_: self.drafts.answers_of(case) for id_, case in cases.items()}
        return table(self.city, [wanted(dict(row), answers[row["application_id"]]) for row in rows])


def wanted(row: Mapping[str, Any], answers: Mapping[str, Any]) -> Wanted:
    """What one order asks for."""
    service = row["service"]
    asked = {name: pointer for name, pointer in QUANTITIES.items() if pointer.startswith(f"/{service}/")} | _SITE
    found = {name: at(answers, pointer) for name, pointer in asked.items()}
    planned = at(answers, "/site/planned_on")
    return Wanted(
        row["area"], service, planned[:7] if isinstance(planned, str) else "", row["main_laid"],
        row["status"] in ("connected", "archived"),
        {name: Decimal(str(value)) for name, value in found.items() if isinstance(value, int | float)},
    )  # fmt: skip


def table(city: City, orders: Iterable[Wanted]) -> str:
    """As CSV with a byte-order mark: a line for each area, service and month. Codes, names of areas and numbers: no cell is a formula."""
    groups: dict[tuple[str, str, str], list[Wanted]] = {}
    for order in orders:
        groups.setdefault((order.area, order.service, order.month), []).append(order)
    lines = [",".join(COLUMNS)]
    for (area, service, month), members in sorted(groups.items()):
        counts = (len(members), sum(one.is_laid for one in members), sum(one.is_connected for one in members))
        cells = [area, city.areas[area].name, service, month, *map(str, counts)]
        for name in (*QUANTITIES, *_SITE):
            stated = [one.quantities[name] for one in members if name in one.quantities]
            cells.append(f"{sum(stated, Decimal()):f}" if stated else "")
        lines.append(",".join(cells))
    return "\ufeff" + "\r\n".join(lines) + "\r\n"
