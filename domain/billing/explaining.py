"""Explaining a bill of ours: its rows, what the company said of them, and the city's tariffs brought together."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from cities.schema import City
from core import clock
from core.database import fetch_one
from core.log import get_logger
from domain.billing.explanation import Explanation, Inputs, SaidLine
from domain.billing.tariffs import explain, tariff_for
from gateways.company_types import BillBasis
from models.bill import Bill, BillStatus

log = get_logger(__name__)

# A month without a bill of ours, or one without usage or in another unit, leaves the sum unknown: better none than a wrong tier.
_USED_BEFORE = """
select sum(usage::numeric) as used from (
  select period, sum(case when coalesce(unit, '') = coalesce($4::text, '') then usage::numeric end) as usage,
         bool_and(usage is not null and coalesce(unit, '') = coalesce($4::text, '')) as is_whole
  from bill where account_id = $1 and period >= $2 and period < $3 and status <> 'void' group by period
) month having count(*) = $5 and bool_and(is_whole)
"""


async def explained(city: City, bill: Bill) -> tuple[Explanation, BillBasis]:
    """How `bill` comes about, and what the company said of it. A line that disagrees is logged; nothing is altered."""
    basis = msgspec.convert(bill.basis or {}, BillBasis)
    tariff, notes = tariff_for(city.tariffs, bill.company, basis.class_, bill.period)
    used_before, used_is_ours = _decimal(basis.annual_usage_before), False
    if used_before is None and tariff is not None and tariff.ladder is not None:
        used_before, used_is_ours = await _used_before(bill), True
    through, through_is_ours = basis.late_fee_through, False
    if through is None:
        through, through_is_ours = await _late_through(bill), True
    ours = {"used_before": used_is_ours, "late_through": through_is_ours}
    found = explain(
        tariff,
        Inputs(
            period=bill.period,
            lines=tuple(_said(line) for line in bill.lines),
            principal_fen=bill.principal_fen,
            late_fee_fen=bill.late_fee_fen,
            usage=_decimal(bill.usage),
            unit=bill.unit,
            due_on=bill.due_on,
            late_through=through,
            household_size=basis.household_size,
            used_before=used_before,
            ours=frozenset(name for name, is_ours in ours.items() if is_ours),
        ),
        notes,
    )
    for line in found.lines:
        if line.agrees is False:
            log.warning(
                "bills.line_disagrees", company=bill.company, bill_id=str(bill.id), kind=line.kind,
                amount_fen=line.amount_fen, result_fen=line.result_fen,
            )  # fmt: skip
    return found, basis


async def _used_before(bill: Bill) -> Decimal | None:
    """What our own bills say the year had used up before this one; None unless they hold every month of it."""
    months = int(bill.period[5:]) - 1
    if months == 0:
        return Decimal(0)
    first = f"{bill.period[:4]}-01"
    row = await fetch_one(_USED_BEFORE, bill.account_id, first, bill.period, bill.unit, months)
    return row["used"] if row else None


async def _late_through(bill: Bill) -> date | None:
    """The last day a late fee counts: when the company last told us of an open bill, when we paid one."""
    if bill.status == BillStatus.POSTED:
        moment = bill.paid_at
    elif bill.status == BillStatus.OPEN:
        row = await fetch_one("select bills_checked_at from utility_account where id = $1", bill.account_id)
        moment = (row["bills_checked_at"] if row else None) or bill.checked_at
    else:
        return None
    return moment.astimezone(clock.SHANGHAI).date() if moment else None


def _said(line: dict[str, Any]) -> SaidLine:
    return SaidLine(line["name"], line["amount_fen"], _decimal(line.get("quantity")))


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
