"""What a day comes to, per provider and merchant: the provider's total, ours, the company's, and what is unexplained to the fen."""

from datetime import date
from typing import NamedTuple

from core.database import fetch
from payments.reconciliation.books import bounds

_REPORT = """
with ours as (
  select part.provider::text as source, part.merchant::text as party, min(part.payee)::text as company,
    sum(part.received_fen) filter (where p.paid_at >= $2 and p.paid_at < $3) as received
  from payment p join payment_part part on part.payment_id = p.id
  where p.paid_at >= $2 and p.paid_at < $3 and part.received_fen is not null group by 1, 2
), back as (
  select part.provider::text as source, part.merchant::text as party, sum(r.amount_fen) as fen
  from refund r join payment_part part on part.id = r.part_id
  where r.status = 'succeeded' and r.ended_at >= $2 and r.ended_at < $3 group by 1, 2
), posted as (
  select part.provider::text as source, part.merchant::text as party, sum(s.total_fen) as fen
  from posting s join payment_part part on part.id = s.part_id
  where s.status = 'posted' and s.ended_at >= $2 and s.ended_at < $3 group by 1, 2
), at_company as (
  select part.provider::text as source, part.merchant::text as party, sum(row.amount_fen) as fen
  from reconciliation_run run join reconciliation_row row on row.run_id = run.id and row.kind = 'posting'
  join posting s on s.id::text = row.number join payment_part part on part.id = s.part_id
  where run.day = $1 and run.source = 'company' group by 1, 2
), open_item as (
  select case when i.source = 'company' then part.provider else i.source end::text as source,
    case when i.source = 'company' then part.merchant else i.party end::text as party, i.company,
    count(*) as items, sum(abs(coalesce(i.theirs_fen, 0) - coalesce(i.ours_fen, 0))) as apart,
    sum(greatest(coalesce(i.theirs_fen, 0), coalesce(i.ours_fen, 0))) filter (where i.theirs_fen = i.ours_fen) as doubtful
  from reconciliation_item i left join payment_part part on part.id = i.part_id
  where i.day = $1 and i.status not in ('explained', 'resolved') group by 1, 2, 3
), wanted as (
  select source::text, party::text, company::text from reconciliation_run where day = $1 and source <> 'company'
  union select source, party, company from ours
  union select coalesce(source, 'company'), coalesce(party, company), company from open_item
)
select wanted.source, wanted.party, wanted.company, run.status as state, run.paid_fen, run.refunded_fen, run.fee_millifen,
  coalesce(ours.received, 0)::bigint as received_fen, coalesce(back.fen, 0)::bigint as returned_fen,
  coalesce(posted.fen, 0)::bigint as posted_fen, company_run.status as company_state,
  case when company_run.status = 'waiting' or company_run.id is null then null else coalesce(at_company.fen, 0) end::bigint as company_fen,
  coalesce(open_item.items, 0)::int as items, (coalesce(open_item.apart, 0) + coalesce(open_item.doubtful, 0))::bigint as unexplained_fen
from wanted
left join reconciliation_run run on run.day = $1 and run.source = wanted.source and run.party = wanted.party
left join reconciliation_run company_run on company_run.day = $1 and company_run.source = 'company' and company_run.party = wanted.company
left join ours on (ours.source, ours.party) = (wanted.source, wanted.party)
left join back on (back.source, back.party) = (wanted.source, wanted.party)
left join posted on (posted.source, posted.party) = (wanted.source, wanted.party)
left join at_company on (at_company.source, at_company.party) = (wanted.source, wanted.party)
left join open_item on (coalesce(open_item.source, 'company'), coalesce(open_item.party, open_item.company)) = (wanted.source, wanted.party)
order by wanted.company, wanted.source, wanted.party
"""


class DayRow(NamedTuple):
    """One merchant's day at one provider, in fen. None: the file has not been taken.

    `paid_fen`, `refunded_fen`, `fee_millifen`: of the provider's file. `received_fen`, `returned_fen`, `posted_fen`: of our books, by the
    day of the money. `company_fen`: of the company's file, as far as it was paid through this merchant. `unexplained_fen`: the sum of
    the `items` still open; the aim is 0.
    """

    source: str
    party: str
    company: str
    state: str | None
    paid_fen: int | None
    refunded_fen: int | None
    fee_millifen: int | None
    received_fen: int
    returned_fen: int
    posted_fen: int
    company_state: str | None
    company_fen: int | None
    items: int
    unexplained_fen: int


async def report(day: date) -> list[DayRow]:
    """The day of every merchant that has a file, or money of ours, or a difference."""
    return [DayRow(**row) for row in await fetch(_REPORT, day, *bounds(day))]
