"""The calendar that promises are counted by: the pack's years, and over them the papers imported since."""

import hashlib
from collections.abc import Iterable
from datetime import date

from cities import holidays
from core import clock
from core.database import fetch, transaction
from core.queue import enqueue
from core.workdays import Calendar, Schedule
from models import audit
from models.deadline import HolidaySchedule
from models.lifecycle import Actor

RECOUNT_TASK = "deadlines.recount"


class Calendars:
    """Reads the calendar, and takes a new year's paper in."""

    def __init__(self, pack: Iterable[Schedule]) -> None:
        self._pack = {schedule.year: schedule for schedule in pack}
        self._known: tuple[tuple[int, str], ...] | None = None
        self._calendar = Calendar(self._pack.values())

    async def current(self) -> Calendar:
        """The calendar as it is now; one small query, so that no process goes by an old paper."""
        rows = await fetch("select year, sha256 from holiday_schedule order by year")
        known = tuple((row["year"], row["sha256"]) for row in rows)
        if known != self._known:
            imported = {
                row.year: holidays.read_schedule(bytes(row.content), f"{row.year}.json")
                for row in await HolidaySchedule.all()
            }
            self._calendar = Calendar({**self._pack, **imported}.values())
            self._known = known
        return self._calendar

    async def schedule(self, year: int) -> Schedule | None:
        """What is known of a year: the imported paper, else the pack's."""
        row = await HolidaySchedule.get_or_none(year=year)
        return holidays.read_schedule(bytes(row.content), f"{year}.json") if row else self._pack.get(year)

    async def take(self, content: bytes, actor: Actor) -> Schedule:
        """Take a year's paper, in place of what was known of that year; a job then counts the open promises again.

        Raises:
            CityPackInvalid: the file is not such a paper.
        """
        schedule = holidays.read_schedule(content, "calendar")
        sha256 = hashlib.sha256(content).hexdigest()
        async with transaction():
            await fetch(
                "insert into holiday_schedule (year, content, sha256, imported_at, imported_by) values ($1, $2, $3, $4, $5)"
                " on conflict (year) do update set content = $2, sha256 = $3, imported_at = $4, imported_by = $5",
                schedule.year, content, sha256, clock.now(), actor.id,
            )  # fmt: skip
            await audit.record(actor, "calendar.imported", "holiday_schedule", str(schedule.year), sha256)
            await enqueue(RECOUNT_TASK, year=schedule.year)
        return schedule


def touched(schedule: Schedule) -> tuple[date, date]:
    """The first and the last day that a year's paper can change."""
    days = [*schedule.off, *schedule.worked, date(schedule.year, 1, 1), date(schedule.year, 12, 31)]
    return min(days), max(days)
