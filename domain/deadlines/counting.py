"""How long a promise runs: one pure function, the only place in the house that counts its days.

Whoever wants a due date, an alarm or an explanation asks :func:`due`; the same days that decide are the days that are shown.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from cities.promises import CountingRule, WarningRule
from core.clock import SHANGHAI
from core.workdays import LONGEST_SEARCH, ONE_DAY, Calendar, DayKind, Hours


class NeverDue(ArithmeticError):
    """The promise is paused for longer than any date we would tell anybody: more than ten years."""


class Why(StrEnum):
    """Why a day counts, or does not."""

    WORKDAY = "workday"
    MAKE_UP = "make_up"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    ACCEPTED = "accepted"
    """The day of acceptance itself: counting begins after it."""
    OFF_ACCEPTED = "off_accepted"
    """Accepted on this day off: taken as accepted on the next working day."""
    AFTER_HOURS = "after_hours"
    """Accepted after this day's business, and promised for the same day: taken as accepted on the next working day."""
    PAUSED = "paused"


class Pause(NamedTuple):
    """A time during which the promise stands still. `ends_at` None: it still does. `cap`: it never does so for longer at once."""

    reason: str
    begins_at: datetime
    ends_at: datetime | None = None
    cap: timedelta | None = None

    def end(self, at: datetime) -> datetime:
        """Until when it stands still, seen from `at`: never before it began."""
        end = self.ends_at if self.ends_at is not None else at
        if self.cap is not None:
            end = min(end, self.begins_at + self.cap)
        return max(end, self.begins_at)


class Day(NamedTuple):
    """One day on the way. `name`: the feast, or the reason of the pause. `certain` False: a paper still to come may change it."""

    date: date
    counted: bool
    why: Why
    name: str | None
    certain: bool


class Due(NamedTuple):
    """When a promise ends and how that came about.

    `used_days`: of the promised days, how many have begun by `at` (the promised clock). `lived_days`: how many working days the
    applicant has been waiting by then, pauses or not (the lived one).
    """

    due_on: date
    due_at: datetime
    provisional: bool
    promised_days: int
    used_days: int
    lived_days: int
    days: tuple[Day, ...]

    @property
    def counted(self) -> list[date]:
        """The days that count, in order."""
        return [day.date for day in self.days if day.counted]


class Level(StrEnum):
    """How urgent a promise is."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


def hours_of(rule: CountingRule) -> Hours:
    """The city's working hours."""
    return Hours(rule.hours, SHANGHAI)


def due(
    rule: CountingRule, days: int, accepted_at: datetime, pauses: Sequence[Pause], calendar: Calendar, at: datetime
) -> Due:
    """When a promise of `days` working days, accepted at that moment, ends, as it looks at the moment `at`.

    0 days is the same day. A pause that is still open counts until `at`, or until its cap. Order and overlaps of pauses do not matter.

    Raises:
        ValueError: `days` is negative.
        NeverDue: the days do not come together within ten years.
    """
    if days < 0:
        raise ValueError("a promise has no negative days")
    hours = hours_of(rule)
    stops = _union((pause.begins_at, pause.end(at), pause.reason) for pause in pauses)
    shown, first = _acceptance(rule, days, accepted_at, calendar, hours)
    day, wanted = first, max(days, 1)
    for _ in range(LONGEST_SEARCH):
        found = _day(rule, day, stops, calendar, hours)
        shown.append(found)
        wanted -= found.counted
        if wanted == 0:
            break
        day += ONE_DAY
    else:
        raise NeverDue
    today = at.astimezone(SHANGHAI).date()
    return Due(
        due_on=day,
        due_at=hours.closes(day),
        provisional=not all(each.certain for each in shown),
        promised_days=days,
        used_days=sum(each.counted and each.date <= today for each in shown),
        lived_days=calendar.between(first - ONE_DAY, today),
        days=tuple(shown),
    )


def yellow_at(rule: WarningRule, counting: CountingRule, found: Due, accepted_at: datetime) -> datetime:
    """The moment from which so little working time is left that somebody must be told; never before acceptance."""
    hours = hours_of(counting)
    if found.promised_days <= rule.short_days:
        left = timedelta(hours=rule.short_hours)
    else:
        left = max(hours.of_a_day * found.promised_days * rule.share_percent / 100, hours.of_a_day * rule.days)
    return max(hours.backward(found.counted, left), accepted_at)


def level(yellow: datetime, red: datetime, at: datetime) -> Level:
    """How urgent a promise with these two moments is at `at`."""
    if at > red:
        return Level.RED
    return Level.YELLOW if at >= yellow else Level.GREEN


class _Stop(NamedTuple):
    begin: datetime
    end: datetime
    reason: str


def _union(stops: Iterable[tuple[datetime, datetime, str]]) -> list[_Stop]:
    """The same times without overlaps, in order; where two overlap the name is the earlier one's."""
    joined: list[_Stop] = []
    for begin, end, reason in sorted(stops):
        if joined and begin <= joined[-1].end:
            joined[-1] = joined[-1]._replace(end=max(joined[-1].end, end))
        else:
            joined.append(_Stop(begin, end, reason))
    return joined


def _acceptance(
    rule: CountingRule, days: int, accepted_at: datetime, calendar: Calendar, hours: Hours
) -> tuple[list[Day], date]:
    """The days up to and including that of acceptance, which do not count, and the first day that may."""
    day = accepted_at.astimezone(SHANGHAI).date()
    shown: list[Day] = []
    if not calendar.is_workday(day) and (rule.off_day == "next_workday" or days == 0):
        taken = calendar.on_or_after(day)
        while day < taken:
            shown.append(_uncounted(day, Why.OFF_ACCEPTED, calendar))
            day += ONE_DAY
    elif days == 0 and accepted_at > hours.closes(day):
        shown.append(_uncounted(day, Why.AFTER_HOURS, calendar))
        day += ONE_DAY
    if days == 0:
        return shown, day
    return [*shown, _uncounted(day, Why.ACCEPTED, calendar)], day + ONE_DAY


def _uncounted(day: date, why: Why, calendar: Calendar) -> Day:
    return Day(day, False, why, calendar.name(day), calendar.is_certain(day))


def _day(rule: CountingRule, day: date, stops: Sequence[_Stop], calendar: Calendar, hours: Hours) -> Day:
    kind, name = calendar.kind(day), calendar.name(day)
    if kind in (DayKind.WEEKEND, DayKind.HOLIDAY):
        return Day(day, False, Why(kind), name, calendar.is_certain(day))
    paused, reason = timedelta(), None
    for begin, end in hours.spans(day):
        for stop in stops:
            both = min(end, stop.end) - max(begin, stop.begin)
            if both > timedelta():
                paused += both
                reason = reason or stop.reason
    if paused * 100 >= hours.of_a_day * rule.paused_percent:
        return Day(day, False, Why.PAUSED, reason, calendar.is_certain(day))
    return Day(day, True, Why(kind), name, calendar.is_certain(day))
