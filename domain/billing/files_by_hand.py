"""Files of companies without an interface that need a person: refused, overdue, or sent and never answered; and the way out of the last.

Whoever has asked the company, and heard that it has not recorded the postings of a file, says so, and another agrees: the money goes
back to those who paid. What the company records after all, the files of its books bring to light the morning after.
"""

from typing import Any
from uuid import UUID

from core import clock
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError
from core.log import get_logger
from core.queue import enqueue
from domain.billing.posting import POST_TASK
from domain.billing.returning import ApproverMissing
from gateways.company_codes import NO_SUCH_POSTING
from models import audit
from payments.consent import is_agreed
from payments.refunding import ByHand

log = get_logger(__name__)

_AT_FAULT = """
select f.id, f.company, f.kind, f.name, f.day, f.number, f.made_at, f.settled_at, f.refusal, f.refused_at, f.late_at,
  coalesce(held.unanswered, 0) as unanswered, coalesce(held.fen, 0)::bigint as unanswered_fen
from company_file f left join lateral (
  select count(*) as unanswered, sum(p.total_fen) as fen from company_file ours join filed_posting p on p.file_id = ours.id and p.answer is null
  where f.kind = 'answers' and ours.company = f.company and ours.kind = 'postings' and (ours.day, ours.number) = (f.day, f.number)
) held on true
where f.settled_at is null and (f.refusal is not null or f.late_at is not null) and ($1::text is null or f.company = $1)
  and ($2::uuid is null or f.id > $2) and (f.kind <> 'answers' or held.unanswered > 0)
order by f.id limit $3
"""
_SENT = """
select ours.id from company_file ours join company_file answers
  on answers.company = ours.company and answers.kind = 'answers' and (answers.day, answers.number) = (ours.day, ours.number)
where ours.company = $1 and ours.name = $2 and ours.kind = 'postings' and ours.settled_at is not null
  and answers.settled_at is null and answers.late_at is not null
"""
_GIVE_BACK = """
update filed_posting set answer = 'refused', refusal_code = $2, answered_at = $3 where file_id = $1 and answer is null returning id
"""


class FileNotOverdue(LianbanError):
    """There is no such file of postings, it has not been delivered, its answer is not overdue yet, or all of it has been answered."""

    code = "company_file_not_overdue"


async def at_fault(company: str | None, after: UUID | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Files that were refused or are overdue and have not come since, the oldest first; None: of all companies.

    Of the answer to a file of ours, `unanswered` and `unanswered_fen` say what waits for it.
    """
    return [dict(row) for row in await fetch(_AT_FAULT, company, after, limit)]


async def give_back(company: str, name: str, by_hand: ByHand) -> int:
    """Take what a delivered file of postings left unanswered as not recorded: the money goes back. How many postings.

    Raises:
        ApproverMissing: nobody else has agreed, or no reason is given. FileNotOverdue: see there.
    """
    why, approver = by_hand.why.strip(), by_hand.approver.strip()
    if not is_agreed(by_hand.actor, why, approver):
        raise ApproverMissing
    async with transaction():
        sent = await fetch_one(_SENT, company, name)
        given = await fetch(_GIVE_BACK, sent["id"], NO_SUCH_POSTING, clock.now()) if sent else []
        if sent is None or not given:
            raise FileNotOverdue
        await audit.record(
            by_hand.actor, "company_file.given_back", "company_file", sent["id"], f"with {approver}: {why}"[:200]
        )
        for row in given:
            await enqueue(POST_TASK, posting_id=row["id"], step=0)
    log.warning("company_file.given_back", company=company, name=name, count=len(given))
    return len(given)
