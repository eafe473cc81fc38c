"""What people do with differences: look at them, take one up, say what it was. Who says so needs another who agrees.

What somebody may look at and act on is his scope: the city's staff everything, a company's finance what its own company must explain.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError, NotFound
from core.log import get_logger
from models import audit
from models.lifecycle import Actor, IllegalMove, move
from models.reconciliation import RECONCILIATION_ITEM, ItemStatus, ReconciliationItem, ReconciliationRun, RunStatus
from payments.consent import is_agreed
from payments.reconciliation.comparing import COMPANY_FINANCE

log = get_logger(__name__)

_LIST = """
select id, status, day, source, party, company, kind, subject, number, ours_fen, theirs_fen, detail, owner, opened_at, part_id, refund_id,
  posting_id
from reconciliation_item
where status not in ('explained', 'resolved') and ($1::text is null or owner = $1) and ($2::text is null or company = $2)
  and ($3::uuid is null or (opened_at, id) > (select opened_at, id from reconciliation_item where id = $3))
order by opened_at, id limit $4
"""
_SEEN = """
select i.*, payment_id from reconciliation_item i left join payment_part part on part.id = i.part_id
where ($1::text is null or (i.company = $1 and i.owner = $2)) and i.status = any($3::text[]) and ($4::date is null or i.day = $4)
  and ($5::uuid is null or (i.opened_at, i.id) > (select opened_at, id from reconciliation_item where id = $5))
  and ($6::uuid is null or i.id = $6)
order by i.opened_at, i.id limit $7
"""
_OLD = """
select owner, company, count(*) as count, min(opened_at) as since from reconciliation_item
where status not in ('explained', 'resolved') and opened_at < $1 group by owner, company order by owner, company
"""
_STANDING = """
select owner, count(*) as count, min(opened_at) as since from reconciliation_item
where status not in ('explained', 'resolved') group by owner order by owner
"""


class ItemUnknown(LianbanError):
    """There is no such difference."""

    code = "reconciliation_item_unknown"


class ReasonMissing(LianbanError):
    """A difference ends with a reason of 1 to 200 characters, and with the consent of a second person, named in 1 to 60."""

    code = "reconciliation_reason_missing"


class AnotherMustAgree(LianbanError):
    """The one who has said what it was is the one who wants to close it."""

    code = "reconciliation_another_must_agree"


async def seen(
    company: str | None, states: Sequence[ItemStatus], day: date | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """A page of the items within a scope, oldest first, each with its ``age`` and the ``payment_id`` it is about.

    `company` None: the city's staff, who see all; else what this company's finance must explain.
    """
    return await _seen(company, states, day, after, None, limit)


async def one(item_id: UUID, company: str | None) -> dict[str, Any]:
    """One item as in :func:`seen`.

    Raises:
        NotFound: not within the scope.
    """
    found = await _seen(company, list(ItemStatus), None, None, item_id, 1)
    if not found:
        raise NotFound("difference")
    return found[0]


async def _seen(
    company: str | None,
    states: Sequence[ItemStatus],
    day: date | None,
    after: UUID | None,
    item_id: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    now = clock.now()
    rows = await fetch(_SEEN, company, COMPANY_FINANCE, list(states), day, after, item_id, limit)
    return [{**row, "age": (row["ended_at"] or now) - row["opened_at"]} for row in rows]


async def take_in_hand(item_id: UUID, company: str | None, staff_id: UUID) -> None:
    """A member of staff looks into it.

    Raises:
        NotFound: not within the scope. models.lifecycle.IllegalMove: somebody has it in hand, or it is over.
    """
    async with transaction():
        item = await _locked(item_id, company)
        actor = Actor("staff", str(staff_id))
        await move(RECONCILIATION_ITEM, item, "take_up", actor, columns={"taken_by": staff_id})


async def propose(item_id: UUID, company: str | None, staff_id: UUID, reason: str) -> None:
    """A member of staff says what it was; it ends once another agrees.

    Raises:
        NotFound: not within the scope. models.lifecycle.IllegalMove: nobody has it in hand, or it is over.
    """
    async with transaction():
        item = await _locked(item_id, company)
        columns = {"proposed_by": staff_id, "proposal": reason}
        await move(RECONCILIATION_ITEM, item, "propose", Actor("staff", str(staff_id)), reason=reason, columns=columns)


async def send_back(item_id: UUID, company: str | None, staff_id: UUID, reason: str) -> None:
    """What was said does not explain it, and why: whoever has it in hand looks again.

    Raises:
        NotFound: not within the scope. models.lifecycle.IllegalMove: nothing has been said, or it is over.
    """
    async with transaction():
        item = await _locked(item_id, company)
        columns = {"proposed_by": None, "proposal": None}
        await move(
            RECONCILIATION_ITEM, item, "send_back", Actor("staff", str(staff_id)), reason=reason, columns=columns
        )


async def agree(item_id: UUID, company: str | None, staff_id: UUID) -> None:
    """Another member of staff agrees with what was said, which ends it. Rows of money are not touched by it.

    Raises:
        NotFound: not within the scope. AnotherMustAgree. models.lifecycle.IllegalMove: nothing has been said, or it is over.
    """
    async with transaction():
        item = await _locked(item_id, company)
        if item.status != ItemStatus.PROPOSED:
            raise IllegalMove(
                "nobody has said what it was", subject="reconciliation_item", state=str(item.status), event="resolve"
            )
        if item.proposed_by == staff_id:
            raise AnotherMustAgree
        await move(
            RECONCILIATION_ITEM,
            item,
            "resolve",
            Actor("staff", str(item.proposed_by)),
            reason=item.proposal,
            approver=str(staff_id),
            columns={"ended_at": clock.now()},
        )
        await audit.record(
            Actor("staff", str(staff_id)), "reconciliation.resolved", "reconciliation_item", item.id, item.kind
        )


async def open_items(
    *, owner: str | None = None, company: str | None = None, after: UUID | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Items nobody has explained, oldest first, each with its ``age``; the next page begins `after` the last one's id."""
    now = clock.now()
    rows = await fetch(_LIST, owner, company, after, limit)
    return [{**row, "age": now - row["opened_at"]} for row in rows]


async def take_up(item_id: UUID, actor: Actor) -> None:
    """Somebody looks into it.

    Raises:
        ItemUnknown. models.lifecycle.IllegalMove: it is in hand or over.
    """
    async with transaction():
        await move(RECONCILIATION_ITEM, await _known(item_id), "take_up", actor)


async def resolve(item_id: UUID, actor: Actor, reason: str, approver: str) -> None:
    """A person says what it was, and another agrees. Rows of money are not touched by it.

    Raises:
        ItemUnknown, ReasonMissing. models.lifecycle.IllegalMove: it is over.
    """
    _check_consent(actor, reason, approver)
    async with transaction():
        item = await _known(item_id)
        await move(
            RECONCILIATION_ITEM,
            item,
            "resolve",
            actor,
            reason=reason,
            approver=approver,
            columns={"ended_at": clock.now()},
        )
        await audit.record(actor, "reconciliation.resolved", "reconciliation_item", item.id, item.kind)


async def reopen(item_id: UUID, actor: Actor, reason: str, approver: str) -> None:
    """What was said about it was wrong.

    Raises:
        ItemUnknown, ReasonMissing. models.lifecycle.IllegalMove: nobody has resolved it.
    """
    _check_consent(actor, reason, approver)
    async with transaction():
        item = await _known(item_id)
        await move(
            RECONCILIATION_ITEM,
            item,
            "correct_to_open",
            actor,
            reason=reason,
            approver=approver,
            columns={"ended_at": None, "taken_by": None, "proposed_by": None, "proposal": None},
        )
        await audit.record(actor, "reconciliation.reopened", "reconciliation_item", item.id, item.kind)


async def report_old(old_after: timedelta) -> int:
    """Say once a day, as an error for each owner, how many differences have waited too long; how many in all."""
    now = clock.now()
    rows = await fetch(_OLD, now - old_after)
    for row in rows:
        oldest_s = int((now - row["since"]).total_seconds())
        log.error(
            "reconciliation.items_old",
            owner=row["owner"],
            company=row["company"],
            count=row["count"],
            oldest_s=oldest_s,
        )
    return sum(row["count"] for row in rows)


async def standing() -> list[tuple[str, int, float]]:
    """Open items for the metrics: owner, how many, age of the oldest in seconds."""
    now = clock.now()
    return [(row["owner"], row["count"], (now - row["since"]).total_seconds()) for row in await fetch(_STANDING)]


async def late_files() -> int:
    """How many files have been reported late and have still not come."""
    return await ReconciliationRun.filter(status=RunStatus.WAITING, late_at__isnull=False).count()


async def _known(item_id: UUID) -> ReconciliationItem:
    item = await ReconciliationItem.filter(id=item_id).select_for_update().get_or_none()
    if item is None:
        raise ItemUnknown
    return item


async def _locked(item_id: UUID, company: str | None) -> ReconciliationItem:
    """The item, locked in the caller's transaction, if it is within the scope."""
    query = ReconciliationItem.filter(id=item_id)
    if company is not None:
        query = query.filter(company=company, owner=COMPANY_FINANCE)
    item = await query.select_for_update().get_or_none()
    if item is None:
        raise NotFound("difference")
    return item


def _check_consent(actor: Actor, reason: str, approver: str) -> None:
    if not is_agreed(actor, reason, approver):
        raise ReasonMissing
