"""Working days: the State Council's yearly schedules, laid over weekends, and working hours within a day.

A year's schedule may speak about days of its neighbours: that of 2023 made 2022-12-31 a holiday, that of 2019 made 2018-12-29 a
working day. So the last days of a year are only certain once the next year's schedule is published too. Where nothing is published a
day is what its weekday says, and whoever computes with it is told that this is provisional.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

ONE_DAY = timedelta(days=1)
FROM_NEXT_YEAR = (12, 25)
"""From this day on the next year's schedule may still change a day: no New Year's holiday has ever reached further back."""
LONGEST_SEARCH = 3660
"""Days. Nothing here is counted over more than ten years; what asks for it counts nothing."""


class NoWorkday(ArithmeticError):
    """No working day was found within ten years: what was to be counted never ends. A fault of whoever asked."""


class DayKind(StrEnum):
    """What a day is, and why."""

    WORKDAY = "workday"
    MAKE_UP = "make_up"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


class Schedule(NamedTuple):
    """What one year's paper says: holidays and make-up working days by date, with the name of the feast."""

    year: int
    source: str
    off: Mapping[date, str]
    worked: Mapping[date, str]


class Calendar:
    """The published schedules as one calendar. Of two that speak about one day the later year's is right."""

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        self._published: dict[int, str] = {}
        self._off: dict[date, str] = {}
        self._worked: dict[date, str] = {}
        for schedule in sorted(schedules, key=lambda each: each.year):
            if schedule.year in self._published:
                raise ValueError(f"there are two schedules of {schedule.year}")
            self._published[schedule.year] = schedule.source
            for day, name in schedule.off.items():
                self._worked.pop(day, None)
                self._off[day] = name
            for day, name in schedule.worked.items():
                self._off.pop(day, None)
                self._worked[day] = name

    @property
    def years(self) -> tuple[int, ...]:
        """The published years, oldest first."""
        return tuple(self._published)

    def kind(self, day: date) -> DayKind:
        """What this day is, as far as is known."""
        if day in self._off:
            return DayKind.HOLIDAY
        if day in self._worked:
            return DayKind.MAKE_UP
        return DayKind.WORKDAY if day.weekday() < 5 else DayKind.WEEKEND

    def name(self, day: date) -> str | None:
        """The feast for which this day is off or worked; None for an ordinary day."""
        return self._off.get(day) or self._worked.get(day)

    def is_workday(self, day: date) -> bool:
        return self.kind(day) in (DayKind.WORKDAY, DayKind.MAKE_UP)

    def is_certain(self, day: date) -> bool:
        """True when no paper still to come can change this day."""
        if day in self._off or day in self._worked:
            return True
        return day.year in self._published and (
            (day.month, day.day) < FROM_NEXT_YEAR or day.year + 1 in self._published
        )

    def on_or_after(self, day: date) -> date:
        """The first working day from `day` on; raises :class:`NoWorkday`."""
        return next(self.workdays_from(day))

    def after(self, day: date, count: int) -> date:
        """The `count`-th working day after `day` (`count` ≥ 1); raises :class:`NoWorkday`."""
        if count < 1:
            raise ValueError("at least one day is counted")
        days = self.workdays_from(day + ONE_DAY)
        for _ in range(count - 1):
            next(days)
        return next(days)

    def workdays_from(self, day: date) -> Iterator[date]:
        """Working days from `day` on, in order; raises :class:`NoWorkday` where ten years have none left."""
        for offset in range(LONGEST_SEARCH):
            found = day + timedelta(days=offset)
            if self.is_workday(found):
                yield found
        raise NoWorkday(f"from {day}")

    def between(self, after: date, until: date) -> int:
        """How many working days lie after `after`, up to and including `until`; 0 when it is not later."""
        days = (until - after).days
        if days > LONGEST_SEARCH:
            raise NoWorkday(f"{days} days")
        return sum(self.is_workday(after + timedelta(days=offset)) for offset in range(1, days + 1))


class Hours:
    """The working hours of every working day: some spans, in order, in one time zone."""

    def __init__(self, spans: Sequence[tuple[time, time]], zone: tzinfo) -> None:
        edges = [edge for span in spans for edge in span]
        if not spans or edges != sorted(set(edges)):
            raise ValueError("working hours are spans, one after the other")
        self._spans, self._zone = tuple(spans), zone

    @property
    def of_a_day(self) -> timedelta:
        """How long one working day is."""
        return sum((_length(span) for span in self._spans), timedelta())

    def spans(self, day: date) -> list[tuple[datetime, datetime]]:
        """The spans of that day as instants."""
        return [
            (datetime.combine(day, begin, self._zone), datetime.combine(day, end, self._zone))
            for begin, end in self._spans
        ]

    def opens(self, day: date) -> datetime:
        return datetime.combine(day, self._spans[0][0], self._zone)

    def closes(self, day: date) -> datetime:
        return datetime.combine(day, self._spans[-1][1], self._zone)

    def forward(self, calendar: Calendar, moment: datetime, span: timedelta) -> datetime:
        """The moment at which `span` of working time has passed since `moment`; raises :class:`NoWorkday`."""
        left = span
        for day in calendar.workdays_from(moment.astimezone(self._zone).date()):
            for opening, end in self.spans(day):
                begin = max(opening, moment)
                if begin >= end:
                    continue
                if left <= end - begin:
                    return begin + left
                left -= end - begin
        raise AssertionError("workdays_from never ends without an error")

    def backward(self, days: Sequence[date], span: timedelta) -> datetime:
        """The moment from which `span` of working time is left until the last of `days` closes; at the earliest when the first opens.

        `days` are the days that count, in order, at least one.
        """
        left = span
        for day in reversed(days):
            for begin, end in reversed(self.spans(day)):
                if left <= end - begin:
                    return end - left
                left -= end - begin
        return self.opens(days[0])


def _length(span: tuple[time, time]) -> timedelta:
    begin, end = (timedelta(hours=edge.hour, minutes=edge.minute) for edge in span)
    return end - begin
