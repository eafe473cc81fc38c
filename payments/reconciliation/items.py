"""What people do with differences: look at them, take one up, say what it was. Who says so needs another who agrees."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError
from core.log import get_logger
from models import audit
from models.lifecycle import Actor, move
from models.reconciliation import RECONCILIATION_ITEM, ReconciliationItem, ReconciliationRun, RunStatus
from payments.consent import is_agreed

log = get_logger(__name__)

_LIST = """
select id, status, day, source, party, company, kind, subject, number, ours_fen, theirs_fen, detail, owner, opened_at, part_id, refund_id,
  posting_id
from reconciliation_item
where status in ('open', 'in_hand') and ($1::text is null or owner = $1) and ($2::text is null or company = $2)
  and ($3::uuid is null or (opened_at, id) > (select opened_at, id from reconciliation_item where id = $3))
order by opened_at, id limit $4
"""
_OLD = """
select owner, company, count(*) as count, min(opened_at) as since from reconciliation_item
where status in ('open', 'in_hand') and opened_at < $1 group by owner, company order by owner, company
"""
_STANDING = """
select owner, count(*) as count, min(opened_at) as since from reconciliation_item
where status in ('open', 'in_hand') group by owner order by owner
"""


class ItemUnknown(LianbanError):
    """There is no such difference."""

    code = "reconciliation_item_unknown"


class ReasonMissing(LianbanError):
    """A difference ends with a reason of 1 to 200 characters, and with the consent of a second person, named in 1 to 60."""

    code = "reconciliation_reason_missing"


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
        await move(RECONCILIATION_ITEM, await _locked(item_id), "take_up", actor)


async def resolve(item_id: UUID, actor: Actor, reason: str, approver: str) -> None:
    """A person says what it was, and another agrees. Rows of money are not touched by it.

    Raises:
        ItemUnknown, ReasonMissing. models.lifecycle.IllegalMove: it is over.
    """
    _check_consent(actor, reason, approver)
    async with transaction():
        item = await _locked(item_id)
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
        item = await _locked(item_id)
        await move(
            RECONCILIATION_ITEM,
            item,
            "correct_to_open",
            actor,
            reason=reason,
            approver=approver,
            columns={"ended_at": None},
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


async def _locked(item_id: UUID) -> ReconciliationItem:
    item = await ReconciliationItem.filter(id=item_id).select_for_update().get_or_none()
    if item is None:
        raise ItemUnknown
    return item


def _check_consent(actor: Actor, reason: str, approver: str) -> None:
    if not is_agreed(actor, reason, approver):
        raise ReasonMissing
