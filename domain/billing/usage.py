"""What an account used, month by month, from the company's bills. A month we have no bill of is missing, never 0."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import clock
from core.database import fetch, fetch_one
from core.errors import NotFound
from models.access import Principal


@dataclass(frozen=True, slots=True)
class UsageMonth:
    """One month. `bill_count` 0: missing, all else unknown. `usage` None: a bill of it names none, or they differ in unit."""

    period: str
    bill_count: int
    usage: Decimal | None = None
    unit: str | None = None
    amount_fen: int | None = None


_BOUNDS = """
select min(b.period) as oldest, max(b.period) as newest, count(a.id) as seen
from utility_account a left join bill b on b.account_id = a.id and b.status <> 'void'
where a.id = $1 and exists (select 1 from account_access($2, $3, $4) way where way.account_id = a.id)
"""
_MONTHS = """
select period, count(*) as bills, sum(principal_fen)::bigint as amount_fen, min(unit) as unit,
       case when bool_and(usage is not null) and count(distinct coalesce(unit, '')) = 1 then sum(usage::numeric) end as usage
from bill where account_id = $1 and period >= $2 and period < $3 and status <> 'void' group by period
"""


async def usage_history(
    account_id: UUID, principal: Principal, last_month: str, before: str | None, months: int
) -> tuple[list[UsageMonth], str | None]:
    """At most `months` months before `before`, newest first, and where the next page begins (None: there is none).

    The first page begins with `last_month` (the last whole one) or with the newest bill, whichever is later; the history ends with the
    oldest bill. Amounts are those of the use alone, without late fees.

    Raises:
        NotFound: the account is not one he may see.
    """
    bounds = await fetch_one(_BOUNDS, account_id, *principal, clock.now())
    if bounds is None or not bounds["seen"]:
        raise NotFound("utility_account")
    if bounds["oldest"] is None:
        return [], None
    oldest, end = _count(bounds["oldest"]), _count(max(bounds["newest"], last_month)) + 1
    end = min(end, _count(before)) if before else end
    first = max(oldest, end - months)
    rows = {row["period"]: row for row in await fetch(_MONTHS, account_id, _period(first), _period(max(first, end)))}
    found = []
    for count in range(end - 1, first - 1, -1):
        row = rows.get(_period(count))
        if row is None:
            found.append(UsageMonth(_period(count), 0))
        else:
            unit = row["unit"] if row["usage"] is not None else None
            found.append(UsageMonth(row["period"], row["bills"], row["usage"], unit, row["amount_fen"]))
    return found, _period(first) if found and first > oldest else None


def month_before(period: str) -> str:
    """The month before one."""
    return _period(_count(period) - 1)


def _count(period: str) -> int:
    return int(period[:4]) * 12 + int(period[5:]) - 1


def _period(count: int) -> str:
    return f"{count // 12:04}-{count % 12 + 1:02}"
