"""How payments stand, for their payers: one query over the payments, their parts, postings and refunds."""

from typing import Any
from uuid import UUID

from core import clock
from core.database import fetch
from models.access import Principal
from models.refund import MOST_BY_ITSELF

_PROGRESS = """
select p.id, p.status, p.provider, p.method, p.total_fen, p.created_at, p.expires_at, p.paid_at,
  part.id as part_id, part.payee, part.amount_fen, s.ended_at as posted_at, s.serial as posting_serial, s.status as posting_status,
  r.statuses as refund_statuses, r.reason as refund_reason, coalesce(r.refunded_fen, 0)::bigint as refunded_fen,
  l.claim_keys, l.amounts_fen, case when l.claim_keys[1] like 'fund:%' then 'top_up' else 'bills' end as purpose
from payment p
join payment_part part on part.payment_id = p.id
join lateral (select array_agg(claim_key order by claim_key) as claim_keys, array_agg(amount_fen order by claim_key) as amounts_fen
              from payment_line where part_id = part.id) l on true
left join lateral (select * from posting where part_id = part.id order by created_at desc limit 1) s on true
left join lateral (select array_agg(status) as statuses, min(reason) as reason, sum(amount_fen) filter (where status = 'succeeded') as refunded_fen
                   from refund where part_id = part.id) r on true
where p.id = any($1::uuid[]) and exists (select 1 from payment_access($2, $3, $4) way where way.payment_id = p.id)
order by p.id desc, part.id
"""

_MOST_URGENT = ("refund_stuck", "posting", "refunding", "posted", "refunded")
"""The word of a payment whose parts stand apart: that of the part a payer must hear of first."""


async def progress(payment_ids: list[UUID], principal: Principal) -> list[dict[str, Any]]:
    """Those of the payments that this principal may see, newest first, each with ``progress`` in one word and with its ``parts``.

    A part has its own ``progress``: waiting, closed, failed, posting, posted, refunding, refunded, refund_stuck. A payment of which
    some is posted and the rest given back is ``posted_in_part``.
    """
    payments: dict[UUID, dict[str, Any]] = {}
    for row in await fetch(_PROGRESS, payment_ids, *principal, clock.now()):
        part = dict(row)
        part["progress"] = _word(part)
        if part["posting_status"] != "posted":
            part["posted_at"] = part["posting_serial"] = None
        payment = payments.setdefault(row["id"], {**part, "parts": [], "refunded_fen": 0})
        payment["parts"].append(part)
        payment["refunded_fen"] += part["refunded_fen"]
    for payment in payments.values():
        words = {part["progress"] for part in payment["parts"]}
        payment["progress"] = next(word for word in (*_MOST_URGENT, *words) if word in words)
        if words == {"posted", "refunded"}:
            payment["progress"] = "posted_in_part"
    return list(payments.values())


def _word(row: dict[str, Any]) -> str:
    refunds = row["refund_statuses"] or []
    if row["refunded_fen"] == row["amount_fen"]:
        return "refunded"
    if "abnormal" in refunds or refunds.count("closed") == len(refunds) >= MOST_BY_ITSELF:
        return "refund_stuck"
    if refunds or row["status"] == "received_late" or row["posting_status"] == "refused":
        return "refunding"
    if row["status"] == "succeeded":
        return "posted" if row["posting_status"] == "posted" else "posting"
    return row["status"] if row["status"] in ("closed", "failed") else "waiting"


_TO_LOOK_AT = """
select r.payment_id, r.refund_number, r.status, r.amount_fen, r.reason, r.created_at,
  (select count(*) from refund every where every.part_id = r.part_id) as times
from refund r
where r.status not in ('succeeded', 'closed')
  or (r.status = 'closed' and not exists (select 1 from refund later where later.part_id = r.part_id and later.created_at > r.created_at))
order by r.created_at
"""


async def refunds_to_look_at() -> list[dict[str, Any]]:
    """Refunds that have not succeeded, oldest first: those on their way, blocked ones, and closed ones that no other has followed.

    Each with `times`, the number of refunds its part has had.
    """
    return [dict(row) for row in await fetch(_TO_LOOK_AT)]
