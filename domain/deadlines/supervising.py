"""What staff see and do about promises: warnings answered, supervision orders replied to and closed, figures by company and district."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from cities.schema import City
from cities.staff import StaffUnit
from core import clock
from core.clock import SHANGHAI
from core.database import fetch, transaction
from core.errors import NotFound
from domain.deadlines.watching import Watch
from models.lifecycle import Actor, move
from models.supervision import SUPERVISION, DeadlineWarning, Supervision


class Scope(NamedTuple):
    """Whose promises somebody may see: of one company, of one district, or (both None) the whole city's."""

    company: str | None
    area: str | None


_WITHIN = "($1::text is null or {t}.company = $1) and ($2::text is null or left({t}.area, 6) = $2)"
_WARNINGS = f"""
select w.id, w.level, w.raised_at, w.leader_at, w.answered_at, w.answer, d.id as deadline_id, d.subject_kind, d.subject_id, d.kind,
  d.node, d.company, d.area, d.due_on, d.due_at, d.provisional, d.closed_at
from deadline_warning w join deadline d on d.id = w.deadline_id
where {_WITHIN.format(t="d")} and ($3 or (w.answered_at is null and d.closed_at is null)) and (not $4 or w.leader_at is not null)
  and ($5::uuid is null or (w.raised_at, w.id) > (select raised_at, id from deadline_warning where id = $5))
  and ($7::uuid is null or w.id = $7)
order by w.raised_at, w.id limit $6
"""
_ORDERS = f"""
select s.id, s.status, s.company, s.area, s.unit, s.issued_at, s.reply_due_at, s.reply, s.replied_at, s.ended_at,
  d.id as deadline_id, d.subject_kind, d.subject_id, d.due_on, d.due_at, d.closed_at, d.outcome
from supervision s join deadline d on d.id = s.deadline_id
where {_WITHIN.format(t="s")} and s.status = any($3::text[]) and ($6::uuid is null or s.id = $6)
  and ($4::uuid is null or (s.issued_at, s.id) > (select issued_at, id from supervision where id = $4))
order by s.issued_at, s.id limit $5
"""
_FIGURES = f"""
select d.company, left(d.area, 6) as area, d.kind, d.node,
  count(*) filter (where d.outcome = 'met') as met, count(*) filter (where d.outcome = 'missed') as missed,
  count(*) filter (where d.closed_at is null) as open,
  count(*) filter (where d.closed_at is null and d.due_at < $5) as overdue,
  coalesce(round(avg(d.used_days) filter (where d.outcome in ('met', 'missed')), 2), 0)::float8 as used_days,
  coalesce(round(avg(d.lived_days) filter (where d.outcome in ('met', 'missed')), 2), 0)::float8 as lived_days,
  coalesce(max(d.lived_days) filter (where d.outcome in ('met', 'missed')), 0) as longest_days
from deadline d
where {_WITHIN.format(t="d")} and (d.closed_at is null or (d.closed_at >= $3 and d.closed_at < $4))
group by 1, 2, 3, 4 order by 1 nulls last, 2 nulls last, 3, 4
"""


class Figures(NamedTuple):
    """How one company keeps its promises in one district: those that ended in a span of days, and those that run now.

    `used_days`, `lived_days`: working days of the promised and of the lived clock, on average; `longest_days` of the lived one.
    """

    company: str | None
    area: str | None
    kind: str
    node: str
    met: int
    missed: int
    open: int
    overdue: int
    used_days: float
    lived_days: float
    longest_days: int


class Supervising:
    """What staff of companies and bureaus do about promises."""

    def __init__(self, city: City, watch: Watch) -> None:
        self._city = city
        self._watch = watch

    def scope(self, unit: StaffUnit) -> Scope:
        """What this unit may see; raises :class:`NotFound` for one that has nothing to do with promises."""
        if unit.kind == "company":
            return Scope(unit.company, None)
        if unit.kind == "bureau":
            if unit.area != self._city.area_code:
                return Scope(None, unit.area)
            # Of the city's own bureaus one co-ordinates; the others see the permits that are theirs to give.
            return Scope(None if unit.code == self._watch.rule().city_unit else unit.code, None)
        if unit.kind == "city":
            return Scope(None, None)
        raise NotFound("deadline")

    async def warnings(
        self,
        scope: Scope,
        after: UUID | None,
        limit: int,
        *,
        over: bool = False,
        leader: bool = False,
        only: UUID | None = None,
    ) -> Sequence[Any]:
        """Those that wait for an answer (`over`: all), oldest first; `leader`: those that have reached a leader."""
        return await fetch(_WARNINGS, *scope, over, leader, after, limit, only)

    async def answer(self, warning_id: UUID, scope: Scope, actor: Actor, note: str) -> Any:
        """Say what is done about a promise that runs out: then it climbs no further. Whoever comes second finds the first's answer.

        Raises:
            NotFound: no such warning of theirs.
        """
        async with transaction():
            if not await self.warnings(scope, None, 1, over=True, only=warning_id):
                raise NotFound("warning")
            unanswered = DeadlineWarning.filter(id=warning_id, answered_at=None)
            await unanswered.update(answered_at=clock.now(), answered_by=actor.id, answer=note)
        return (await self.warnings(scope, None, 1, over=True, only=warning_id))[0]

    async def orders(
        self, scope: Scope, states: Sequence[str], after: UUID | None, limit: int, only: UUID | None = None
    ) -> Sequence[Any]:
        """Supervision orders in these states, oldest first."""
        return await fetch(_ORDERS, *scope, list(states), after, limit, only)

    async def reply(self, order_id: UUID, scope: Scope, actor: Actor, text: str) -> Any:
        """The company says why and until when.

        Raises:
            NotFound. IllegalMove: it has replied, or the order is closed. StaleState.
        """
        columns = {"reply": text, "replied_at": clock.now(), "replied_by": actor.id}
        return await self._move(order_id, scope, actor, "reply", None, columns)

    async def send_back(self, order_id: UUID, scope: Scope, actor: Actor, reason: str) -> Any:
        """The bureau is not satisfied: the company replies anew, with a new time for it.

        Raises:
            NotFound. IllegalMove: there is no reply. StaleState.
        """
        columns = {"reply_due_at": await self._watch.reply_due(clock.now())}
        return await self._move(order_id, scope, actor, "send_back", reason, columns)

    async def close(self, order_id: UUID, scope: Scope, actor: Actor) -> Any:
        """The bureau is satisfied.

        Raises:
            NotFound. IllegalMove: there is no reply. StaleState.
        """
        return await self._move(order_id, scope, actor, "close", None, {"ended_at": clock.now()})

    async def figures(self, scope: Scope, first: date, last: date) -> list[Figures]:
        """How promises were kept that ended from `first` to `last`, both included, by company, district, kind and step."""
        begin = datetime(first.year, first.month, first.day, tzinfo=SHANGHAI)
        end = datetime(last.year, last.month, last.day, tzinfo=SHANGHAI) + timedelta(days=1)
        return [Figures(*row.values()) for row in await fetch(_FIGURES, *scope, begin, end, clock.now())]

    async def _move(
        self, order_id: UUID, scope: Scope, actor: Actor, event: str, reason: str | None, columns: dict[str, Any]
    ) -> Any:
        async with transaction():
            if not await self.orders(scope, tuple(SUPERVISION.states), None, 1, order_id):
                raise NotFound("supervision")
            await move(SUPERVISION, await Supervision.get(id=order_id), event, actor, reason=reason, columns=columns)
        return (await self.orders(scope, tuple(SUPERVISION.states), None, 1, order_id))[0]
