"""After a calendar has come out: every open promise is counted again, in small commits, and whoever is stopped in between goes on."""

from datetime import UTC, datetime
from uuid import UUID

from core.database import fetch, transaction
from core.log import get_logger
from domain.deadlines.calendars import Calendars, touched
from domain.deadlines.clocks import Deadlines
from models.deadline import Deadline

log = get_logger(__name__)

AT_ONCE = 200
"""Promises of one commit."""
_NEXT = """
select id from deadline where closed_at is null and id > $1 and (provisional or (due_on >= $2 and accepted_at < $3))
order by id limit $4
"""


class Recounting:
    """Counts again what a new calendar may have changed."""

    def __init__(self, deadlines: Deadlines, calendars: Calendars) -> None:
        self._deadlines = deadlines
        self._calendars = calendars

    async def recount(self, year: int) -> None:
        """All open promises that the paper of `year` touches, and all provisional ones. Repeatable: what is counted right stays as it is."""
        schedule = await self._calendars.schedule(year)
        if schedule is None:
            return
        first, last = touched(schedule)
        after, changed = UUID(int=0), 0
        until = datetime(last.year, last.month, last.day, 16, tzinfo=UTC)
        while rows := await fetch(_NEXT, after, first, until, AT_ONCE):
            async with transaction():
                wanted = [row["id"] for row in rows]
                for row in await Deadline.filter(id__in=wanted, closed_at=None).order_by("id").select_for_update():
                    changed += await self._deadlines.recount(row)
            after = rows[-1]["id"]
        log.info("deadlines.recounted", year=year, changed=changed)
