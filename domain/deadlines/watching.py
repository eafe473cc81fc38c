"""The job that warns: set-based, by the instants that stand in the rows, so that a hundred thousand open promises take seconds.

What turns yellow is told to who handles it, then to his leader; what turns red to both and, for a promise as a whole, to the
district's bureau as a supervision order; what nobody answers climbs by itself. Nothing is told twice, however often the job runs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from cities.promises import EscalationRule
from cities.schema import City, in_force
from core import clock
from core.clock import SHANGHAI
from core.database import fetch, fetch_one, transaction
from core.log import get_logger
from domain.deadlines.calendars import Calendars
from domain.deadlines.counting import hours_of
from models.lifecycle import SYSTEM, StaleState, born_all, move
from models.supervision import SUPERVISION, Supervision

log = get_logger(__name__)

NAME = "deadlines.watch"
AT_ONCE = 10_000
"""Promises of one commit: a few hundred milliseconds."""
MOST_CLIMBS = 500
"""Supervision orders that climb in one run; the next takes the rest."""

_TURN = """
with due as (
  select id from deadline where closed_at is null and {late} order by {by} limit $2 for update skip locked
), turned as (
  update deadline d set level = $3 from due where d.id = due.id
  returning d.id, d.kind, d.company, d.area
), warned as (
  insert into deadline_warning (id, deadline_id, level, raised_at, climbs_at, leader_at)
  select gen_random_uuid(), id, $3, $1, $4, $5 from turned on conflict (deadline_id, level) do nothing
)
select id, kind, company, area from turned
"""
_YELLOW = _TURN.format(late="level = 'green' and yellow_at <= $1 and due_at >= $1", by="yellow_at")
_RED = _TURN.format(late="level <> 'red' and due_at < $1", by="due_at")
_ISSUE = """
insert into supervision (id, status, deadline_id, company, area, unit, issued_at, reply_due_at)
select gen_random_uuid(), 'issued', t.id, t.company, t.area, coalesce(b.unit, $6), $7, $8
from unnest($1::uuid[], $2::text[], $3::text[]) as t (id, company, area)
left join unnest($4::text[], $5::text[]) as b (area, unit) on b.area = left(t.area, 6)
on conflict (deadline_id) do nothing returning id
"""
_CLIMB = """
update deadline_warning w set leader_at = $1 from deadline d
where d.id = w.deadline_id and d.closed_at is null and w.answered_at is null and w.leader_at is null and w.climbs_at <= $1
returning w.id
"""
_RAN = """
insert into job_run (name, ran_at, took_ms) values ($1, $2, $3)
on conflict (name) do update set ran_at = greatest(job_run.ran_at, $2), took_ms = $3
"""


class Told(NamedTuple):
    """What one run has told."""

    yellow: int
    red: int
    ordered: int
    climbed: int


class _Issued(NamedTuple):
    """An order that has just been written."""

    id: UUID
    status: str = "issued"


class Watch:
    """Raises warnings by the rules of one city."""

    def __init__(self, city: City, calendars: Calendars) -> None:
        self._city = city
        self._calendars = calendars
        units = city.staff.units
        self._bureaus = {unit.area: unit.code for unit in units if unit.kind == "bureau" and unit.area}

    async def run(self) -> Told:
        """Warn about everything that has turned since, let silence climb, and write down that it ran."""
        began, now = clock.monotonic(), clock.now()
        rule = self.rule()
        climbs_at, reply_due_at = await self._clocks(rule, now)
        yellow = red = ordered = 0
        while turned := await self._turn(_RED, now, "red", climbs_at, now, rule, reply_due_at):
            red, ordered = red + turned[0], ordered + turned[1]
        while turned := await self._turn(_YELLOW, now, "yellow", climbs_at, None, rule, reply_due_at):
            yellow += turned[0]
        climbed = len(await fetch(_CLIMB, now)) + await self._climb_orders(rule, now)
        await fetch(_RAN, NAME, now, int((clock.monotonic() - began) * 1000))
        told = Told(yellow, red, ordered, climbed)
        if any(told):
            log.info("deadlines.warned", yellow=yellow, red=red, ordered=ordered, climbed=climbed)
        return told

    def rule(self) -> EscalationRule:
        """How silence climbs today."""
        return in_force(self._city.promises.escalation, clock.today(), "escalation")

    async def reply_due(self, now: datetime) -> datetime:
        """Until when a company has to reply to an order that is issued now."""
        return (await self._clocks(self.rule(), now))[1]

    async def _clocks(self, rule: EscalationRule, now: datetime) -> tuple[datetime, datetime]:
        counting = in_force(self._city.promises.counting, now.astimezone(SHANGHAI).date(), "counting")
        calendar, hours = await self._calendars.current(), hours_of(counting)
        day = calendar.after(calendar.on_or_after(now.astimezone(SHANGHAI).date()), rule.reply_days)
        return hours.forward(calendar, now, rule.leader_after), hours.closes(day)

    async def _turn(
        self, query: str, now: datetime, level: str, climbs_at: datetime, leader_at: datetime | None, rule: EscalationRule,
        reply_due_at: datetime,
    ) -> tuple[int, int] | None:  # fmt: skip
        """One batch: how many turned, how many orders were issued; None when there are none left."""
        async with transaction():
            rows = await fetch(query, now, AT_ONCE, level, climbs_at, leader_at)
            if not rows:
                return None
            issued = await self._issue(rows, rule, now, reply_due_at) if level == "red" else []
            if issued:
                await born_all(SUPERVISION, [_Issued(order_id) for order_id in issued], SYSTEM)
        return len(rows), len(issued)

    async def _issue(
        self, rows: Sequence[Any], rule: EscalationRule, now: datetime, reply_due_at: datetime
    ) -> list[UUID]:
        late = [row for row in rows if row["kind"] == "promise"]
        if not late:
            return []
        found = await fetch(
            _ISSUE, [row["id"] for row in late], [row["company"] for row in late], [row["area"] for row in late],
            list(self._bureaus), list(self._bureaus.values()), rule.city_unit, now, reply_due_at,
        )  # fmt: skip
        return [row["id"] for row in found]

    async def _climb_orders(self, rule: EscalationRule, now: datetime) -> int:
        """Orders nobody has replied to go to the city's office."""
        silent = Supervision.filter(status="issued", reply_due_at__lt=now).order_by("reply_due_at").limit(MOST_CLIMBS)
        climbed = 0
        for order in await silent:
            try:
                await move(
                    SUPERVISION, order, "climb", SYSTEM, reason="逾期未回复", columns={"unit": rule.city_unit}
                )  # fmt: skip
                climbed += 1
            except StaleState:
                continue  # replied to in this moment
        return climbed


class Watched(NamedTuple):
    """Of the job that warns: how many seconds ago it came to its end (None: never), and how many promises it has to look after."""

    age_s: float | None
    open: int


async def watched() -> Watched:
    """Whether the alarm itself is alive; who asks compares the age with :attr:`EscalationRule.watch`."""
    row = await fetch_one(
        "select (select ran_at from job_run where name = $1) as ran_at,"
        " (select count(*) from (select from deadline where closed_at is null limit 1000) few) as open",
        NAME,
    )
    assert row is not None
    age_s = (clock.now() - row["ran_at"]).total_seconds() if row["ran_at"] else None
    return Watched(age_s, row["open"])


async def open_by_level() -> list[tuple[str, int]]:
    """How many promises run, by the level that was told."""
    rows = await fetch("select level, count(*) as count from deadline where closed_at is null group by 1 order by 1")
    return [(row["level"], row["count"]) for row in rows]
