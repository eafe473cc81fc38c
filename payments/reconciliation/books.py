"""Our side of a comparison, read from the rows: the facts about the numbers of a file and about its day."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from core import clock
from core.database import fetch
from models.reconciliation import COMPANY, ReconciliationRun
from payments.providers.bills import BillRow
from payments.reconciliation.comparing import Books, OurPosting, OurRefund, OurTrade, Told, Waiting

_ROWS = """
select kind, number, other_number, order_number, amount_fen, fee_millifen, state, at from reconciliation_row
where run_id = $1 order by kind, number, copy
"""

_TOLD = """
with asked (kind, number) as (select * from unnest($2::text[], $3::text[]))
select distinct asked.kind, asked.number, run.day < $4 as before from asked
join reconciliation_row row on row.kind = asked.kind and row.number = asked.number
join reconciliation_run run on run.id = row.run_id and run.source = $5 and run.id <> $1
"""

_TRADES = """
with asked as (
  select id from payment_part where order_number = any($3::text[])
  union select part.id from payment p join payment_part part on part.payment_id = p.id where p.paid_at >= $4 and p.paid_at < $5
)
select part.order_number as number, part.id as part_id, part.received_fen, part.provider_transaction as transaction,
  coalesce(p.paid_at >= $4 and p.paid_at < $5, false) as of_day
from asked join payment_part part using (id) join payment p on p.id = part.payment_id
where part.provider = $1 and part.merchant = $2
"""

_REFUNDS = """
with asked as (
  select id from refund where refund_number = any($3::text[])
  union select id from refund where ended_at >= $4 and ended_at < $5
)
select r.refund_number as number, r.id as refund_id, r.part_id, part.order_number, r.amount_fen, r.status, r.provider_refund as other_number,
  coalesce(r.ended_at >= $4 and r.ended_at < $5, false) as of_day
from asked join refund r using (id) join payment_part part on part.id = r.part_id
where part.provider = $1 and part.merchant = $2
"""

_POSTINGS = """
with asked as (
  select id from posting where id = any($2::uuid[]) union select id from posting where ended_at >= $3 and ended_at < $4
)
select s.id as posting_id, s.part_id, s.total_fen, s.status, s.serial, coalesce(s.ended_at >= $3 and s.ended_at < $4, false) as of_day
from asked join posting s using (id) where s.company = $1
"""

_WAITING = """
select part.order_number as number, part.id as part_id, part.received_fen as fen,
  exists (select 1 from refund r where r.part_id = part.id and r.status <> 'closed') as going_back
from payment_part part join payment p on p.id = part.payment_id
where part.payee = $1 and part.received_fen is not null and p.paid_at >= $2 and p.paid_at < $3
  and not exists (select 1 from posting s where s.part_id = part.id and s.status = 'posted')
  and not exists (select 1 from refund r where r.part_id = part.id and r.status = 'succeeded')
"""


def bounds(day: date) -> tuple[datetime, datetime]:
    """The first moment of a day in Shanghai, and that of the next."""
    begin = datetime.combine(day, time(), clock.SHANGHAI)
    return begin, begin + timedelta(days=1)


async def rows_of(run_id: UUID) -> list[BillRow]:
    """The rows of a run's file."""
    return [
        BillRow(
            kind=row["kind"], number=row["number"], other_number=row["other_number"], amount_fen=row["amount_fen"], at=row["at"],
            state=row["state"], order_number=row["order_number"], fee_millifen=row["fee_millifen"],
        )
        for row in await fetch(_ROWS, run_id)
    ]  # fmt: skip


async def books_for(run: ReconciliationRun, rows: list[BillRow]) -> Books:
    """What we know about the numbers of `rows` and about the run's day."""
    begin, end = bounds(run.day)
    if run.source == COMPANY:
        found = await fetch(_POSTINGS, run.party, _posting_ids(rows), begin, end)
        postings = [OurPosting(number=str(row["posting_id"]), **row) for row in found]
        waiting = [Waiting(**row) for row in await fetch(_WAITING, run.party, begin, end)]
        before, elsewhere = await _told(run, [*_numbers(rows), *(Told("posting", one.number) for one in postings)])
        return Books(postings=postings, waiting=waiting, told_before=before, told_elsewhere=elsewhere)
    trades = [OurTrade(**row) for row in await _at_provider(_TRADES, run, rows, "trade")]
    refunds = [OurRefund(**row) for row in await _at_provider(_REFUNDS, run, rows, "refund")]
    asked = [*_numbers(rows), *(Told("trade", t.number) for t in trades), *(Told("refund", r.number) for r in refunds)]
    before, elsewhere = await _told(run, asked)
    return Books(trades, refunds, told_before=before, told_elsewhere=elsewhere)


def _numbers(rows: list[BillRow]) -> list[Told]:
    return [Told(row.kind, row.number) for row in rows]


def _posting_ids(rows: list[BillRow]) -> list[UUID]:
    """The ids among the numbers of a company's file; what is no id of ours is none of our postings."""
    ids: list[UUID] = []
    for row in rows:
        try:
            ids.append(UUID(row.number))
        except ValueError:
            continue
    return ids


async def _at_provider(sql: str, run: ReconciliationRun, rows: list[BillRow], kind: str) -> list[dict[str, Any]]:
    numbers = [row.number for row in rows if row.kind == kind]
    return [dict(row) for row in await fetch(sql, run.source, run.party, numbers, *bounds(run.day))]


async def _told(run: ReconciliationRun, asked: list[Told]) -> tuple[frozenset[Told], frozenset[Told]]:
    """Those of the numbers that files of earlier days tell, and those that any other file tells."""
    kinds, numbers = [one.kind for one in asked], [one.number for one in asked]
    found = await fetch(_TOLD, run.id, kinds, numbers, run.day, run.source)
    elsewhere = frozenset(Told(row["kind"], row["number"]) for row in found)
    return frozenset(Told(row["kind"], row["number"]) for row in found if row["before"]), elsewhere
