"""A difference of reconciliation, without the day and the files it takes to find one."""

from datetime import date
from uuid import uuid4

from core import clock, ids
from core.database import transaction
from models.lifecycle import SYSTEM, born
from models.reconciliation import (
    RECONCILIATION_ITEM,
    RECONCILIATION_RUN,
    ItemKind,
    ItemStatus,
    ReconciliationItem,
    ReconciliationRun,
    RunStatus,
)


async def differing(company: str, *, owner: str = "company_finance", day: date | None = None) -> ReconciliationItem:
    """A posting of 4199 fen that the company's file of a day (today) does not tell, which `owner` must explain."""
    day, number = day or clock.today(), uuid4().hex
    run = ReconciliationRun(
        id=ids.new_id(), status=RunStatus.WAITING, day=day, source="company", party=number[:30], company=company, created_at=clock.now()
    )  # fmt: skip
    item = ReconciliationItem(
        id=ids.new_id(), status=ItemStatus.OPEN, run_id=run.id, day=day, source="company", party=run.party, company=company,
        kind=ItemKind.PAID_NOT_POSTED, subject="posting", number=number, ours_fen=4199, owner=owner, opened_at=clock.now(),
    )  # fmt: skip
    async with transaction():
        await run.save(force_create=True)
        await born(RECONCILIATION_RUN, run, SYSTEM)
        await item.save(force_create=True)
        await born(RECONCILIATION_ITEM, item, SYSTEM, reason=item.kind)
    return item
