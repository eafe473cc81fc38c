"""What must always hold (money, bills, moves, messages), read from the rows alone.

Written from the rules, apart from ``lianban check``: one misreading must not hide in both.
"""

from typing import Any

from core.database import fetch
from models.lifecycle import LIFECYCLES

_UNBALANCED = "select transaction_id from ledger_entry group by 1 having sum(amount_fen) <> 0"

_BOOKS = """
with said as (
  select part.provider, part.merchant,
    coalesce(sum(part.received_fen), 0) as received,
    coalesce(sum((select sum(total_fen) from posting s where s.part_id = part.id and s.status = 'posted')), 0) as posted,
    coalesce(sum((select sum(amount_fen) from refund r where r.part_id = part.id and r.status = 'succeeded')), 0) as refunded
  from payment_part part group by 1, 2
), booked as (
  select a.provider, a.merchant,
    coalesce(sum(e.amount_fen) filter (where a.kind = 'clearing'), 0) as clearing,
    coalesce(-sum(e.amount_fen) filter (where a.kind = 'suspense'), 0) as suspense,
    coalesce(-sum(e.amount_fen) filter (where a.kind = 'posted'), 0) as posted
  from ledger_account a left join ledger_entry e on e.account_id = a.id group by 1, 2
)
select said.*, booked.clearing, booked.suspense, booked.posted as booked_posted
from said join booked using (provider, merchant)
where booked.suspense <> said.received - said.posted - said.refunded or booked.suspense < 0
  or booked.clearing <> said.received - said.refunded or booked.posted <> said.posted
"""

_MANY_POSTINGS = """
select pb.bill_id from posting_bill pb join posting s on s.id = pb.posting_id where s.status = 'posted' and pb.whole group by 1 having count(*) > 1
"""
_MANY_CLAIMS = "select claim_key from claim where freed_at is null group by 1 having count(*) > 1"
_CLAIM_OF_THE_DEAD = """
select c.id from claim c join payment p on p.id = c.payment_id join payment_line l on l.id = c.id join payment_part part on part.id = l.part_id
where (c.freed_at is null) = (p.status in ('closed', 'failed', 'refunded', 'received_late')
  or (part.received_fen = (select sum(amount_fen) from refund r where r.part_id = part.id and r.status = 'succeeded')) is true
  or exists (select 1 from posting s join posting_bill pb on pb.posting_id = s.id
             where s.part_id = part.id and s.status = 'posted' and not pb.whole and 'bill:' || pb.bill_id = c.claim_key))
"""
_REFUNDED_TOO_MUCH = """
select part.id from payment_part part join refund r on r.part_id = part.id and r.status <> 'closed'
group by part.id having sum(r.amount_fen) > coalesce(part.received_fen, 0)
"""
_PAID_WITHOUT_MONEY = """
select p.id from payment p join payment_part part on part.payment_id = p.id
where (p.status in ('succeeded', 'received_late', 'refunded')) <> (part.received_fen is not null and part.provider_transaction is not null)
   or part.received_fen <> part.amount_fen
"""
_TOTALS = """
select p.id from payment p
where p.total_fen <> (select sum(amount_fen) from payment_part where payment_id = p.id)
   or p.total_fen <> (select sum(amount_fen) from payment_line where payment_id = p.id)
"""
_POSTED_AND_REFUNDED = """
select s.id from posting s join refund r on r.part_id = s.part_id where s.status = 'posted' and r.status = 'succeeded'
"""
_CREDIT_TWICE = "select spent_by from subscription_credit where spent_by is not null group by 1 having count(*) > 1"
_MESSAGE_TWICE = "select event_id from message group by event_id, person_id, channel having count(*) > 1"

_QUERIES = {
    "1 a booking does not sum to 0": _UNBALANCED,
    "1 received is not posted + refunded + suspense": _BOOKS,
    "2 a bill was posted twice": _MANY_POSTINGS,
    "2 a bill has two live claims": _MANY_CLAIMS,
    "2 a claim outlives its payment, or died before it": _CLAIM_OF_THE_DEAD,
    "3 refunds exceed what came in": _REFUNDED_TOO_MUCH,
    "3 money was posted and given back": _POSTED_AND_REFUNDED,
    "4 paid without money, or money without being paid": _PAID_WITHOUT_MONEY,
    "4 a payment's parts or lines do not add up": _TOTALS,
    "8 a credit was spent twice": _CREDIT_TWICE,
    "8 a message was written twice": _MESSAGE_TWICE,
}


async def violations() -> list[str]:
    """Every rule that the rows break; empty when all is well."""
    found = [f"{name}: {[dict(row) for row in rows]}" for name, sql in _QUERIES.items() if (rows := await fetch(sql))]
    return found + await _odd_moves()


async def _odd_moves() -> list[str]:
    """6: each journal is a path of the table from the initial state to the row's state."""
    found: list[str] = []
    for lifecycle in LIFECYCLES.values():
        law = {(edge.state, edge.event): edge.next_state for edge in lifecycle.edges}
        rows = await fetch(
            f"select j.subject_id, j.from_state, j.to_state, j.event, t.status from journal j join {lifecycle.subject} t on t.id = j.subject_id"
            " where j.subject = $1 order by j.subject_id, j.at, j.id",
            lifecycle.subject,
        )
        paths: dict[Any, list[Any]] = {}
        for row in rows:
            paths.setdefault(row["subject_id"], []).append(row)
        for subject_id, path in paths.items():
            state: Any = None
            for step in path:
                fits = step["from_state"] == state and (
                    step["to_state"] == lifecycle.initial
                    if state is None
                    else law.get((state, step["event"])) == step["to_state"]
                )
                if not fits:
                    found.append(f"6 {lifecycle.subject} {subject_id}: {state} -{step['event']}-> {step['to_state']}")
                state = step["to_state"]
            if state != path[-1]["status"]:
                found.append(f"6 {lifecycle.subject} {subject_id}: {path[-1]['status']} without a move")
    return found
