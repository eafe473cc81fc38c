"""Promises are counted as the law and the city's rules say, and every day says why it counts or not."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cities.loader import load_city
from core.clock import SHANGHAI
from core.workdays import Calendar, DayKind
from domain.deadlines.counting import Due, Level, NeverDue, Pause, Why, due, hours_of, level, yellow_at

CITY = load_city("ezhou")
CALENDAR = Calendar(CITY.schedules)
RULE = CITY.promises.counting[0]
WARNING = CITY.promises.warning[0]
REASONS = ("correction", "permit", "applicant")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def counted(days: int, accepted: str, *pauses: Pause, seen: str | None = None, calendar: Calendar = CALENDAR) -> Due:
    return due(RULE, days, at(accepted), pauses, calendar, at(seen or accepted))


@pytest.mark.parametrize(
    ("accepted", "due_on"),
    [
        ("2023-09-28", date(2023, 10, 9)),
        ("2024-02-08", date(2024, 2, 19)),
        ("2025-01-24", date(2025, 2, 5)),
        ("2026-02-13", date(2026, 2, 25)),
        ("2026-09-24", date(2026, 9, 30)),
    ],
)
def test_three_days_across_the_feasts(accepted: str, due_on: date) -> None:
    found = counted(3, f"{accepted}T10:00")
    assert (found.due_on, found.provisional) == (due_on, False)
    assert found.due_at == at(f"{due_on}T17:30"), "with the end of the day's business"


def test_every_day_says_why_it_counts_or_not() -> None:
    found = counted(3, "2026-02-12T10:00", seen="2026-02-24T09:00")
    assert [(day.date.day, day.counted, day.why) for day in found.days] == [
        (12, False, Why.ACCEPTED),
        (13, True, Why.WORKDAY),
        (14, True, Why.MAKE_UP),
        *((day, False, Why.HOLIDAY) for day in range(15, 24)),
        (24, True, Why.WORKDAY),
    ]
    assert {day.name for day in found.days[2:-1]} == {"春节"}
    assert (found.promised_days, found.used_days, found.lived_days) == (3, 3, 3)


def test_what_is_accepted_on_a_day_off_counts_as_accepted_on_the_next_working_day() -> None:
    saturday = counted(1, "2026-11-21T10:00")
    assert [day.why for day in saturday.days] == [Why.OFF_ACCEPTED, Why.OFF_ACCEPTED, Why.ACCEPTED, Why.WORKDAY]
    assert saturday.due_on == date(2026, 11, 24)
    as_it_is = due(replace(RULE, off_day="as_it_is"), 1, at("2026-11-21T10:00"), (), CALENDAR, at("2026-11-21T10:00"))
    assert as_it_is.due_on == date(2026, 11, 23), "the city may say otherwise"


@pytest.mark.parametrize(
    ("accepted", "due_on"),
    [
        ("2026-11-23T09:00", date(2026, 11, 23)),
        ("2026-11-23T17:31", date(2026, 11, 24)),
        ("2026-11-21T09:00", date(2026, 11, 23)),
    ],
    ids=["the same day", "after hours", "on a Saturday"],
)
def test_nothing_at_all_is_the_same_day(accepted: str, due_on: date) -> None:
    found = counted(0, accepted)
    assert (found.due_on, found.promised_days) == (due_on, 0)
    assert found.lived_days == 0 or found.due_on == at(accepted).date()


def test_midnight_in_ezhou_is_what_counts() -> None:
    sunday = datetime(2026, 11, 22, 15, 59, tzinfo=UTC)
    assert due(RULE, 1, sunday, (), CALENDAR, sunday).days[0].why is Why.OFF_ACCEPTED
    monday = sunday + timedelta(minutes=1)
    assert due(RULE, 1, monday, (), CALENDAR, monday).days[0].why is Why.ACCEPTED


def test_a_day_of_which_half_is_paused_does_not_count() -> None:
    morning = Pause("correction", at("2026-11-24T08:00"), at("2026-11-24T12:00"))
    shorter = morning._replace(ends_at=at("2026-11-24T11:59"))
    assert counted(1, "2026-11-23T10:00", morning).due_on == date(2026, 11, 25)
    assert counted(1, "2026-11-23T10:00", morning).days[1].why is Why.PAUSED
    assert counted(1, "2026-11-23T10:00", shorter).due_on == date(2026, 11, 24)


def test_a_pause_never_lasts_longer_than_its_cap() -> None:
    open_pause = Pause("applicant", at("2026-11-23T11:00"), None, timedelta(days=7))
    found = counted(1, "2026-11-23T10:00", open_pause, seen="2027-06-01T10:00")
    assert found.due_on == date(2026, 11, 30), "the clock goes on by itself"


def test_both_clocks_are_told() -> None:
    stop = Pause("permit", at("2026-11-24T08:00"), at("2026-11-26T18:00"))
    found = counted(3, "2026-11-23T10:00", stop, seen="2026-11-27T10:00")
    assert (found.promised_days, found.used_days, found.lived_days) == (3, 1, 4)


def test_a_year_nobody_has_published_is_provisional_and_never_wrong_in_silence() -> None:
    assert counted(3, "2026-12-21T10:00").provisional is False
    assert counted(3, "2026-12-23T10:00").provisional is True, "the paper of 2027 may still change the 28th"
    assert counted(1, "2027-05-03T10:00").provisional is True


def test_what_never_ends_says_so() -> None:
    with pytest.raises(NeverDue):
        counted(1, "2026-11-23T10:00", Pause("force_majeure", at("2026-11-23T11:00"), at("2046-11-23T11:00")))
    with pytest.raises(ValueError, match="negative"):
        counted(-1, "2026-11-23T10:00")


@pytest.mark.parametrize(
    ("days", "yellow"),
    [(3, "2026-11-26T11:30"), (5, "2026-11-27T14:00"), (20, "2026-12-14T08:30"), (0, "2026-11-23T11:30")],
)
def test_yellow_comes_while_something_can_still_be_done(days: int, yellow: str) -> None:
    found = yellow_at(WARNING, RULE, counted(days, "2026-11-23T10:00"), at("2026-11-23T10:00"))
    assert found == at(yellow)


def test_levels_change_at_their_moments() -> None:
    yellow, red = at("2026-11-26T10:00"), at("2026-11-26T17:30")
    moments = (yellow - timedelta(seconds=1), yellow, red, red + timedelta(seconds=1))
    assert [level(yellow, red, moment) for moment in moments] == [Level.GREEN, Level.YELLOW, Level.YELLOW, Level.RED]


MOMENTS = st.integers(0, 1295 * 1440).map(lambda minutes: at("2023-03-15T00:00") + timedelta(minutes=minutes))


@st.composite
def stops(draw: st.DrawFn, accepted: datetime) -> Pause:
    begin = accepted + timedelta(hours=draw(st.integers(-50, 700)))
    end = draw(st.none() | st.integers(0, 400).map(lambda hours: begin + timedelta(hours=hours)))
    cap = draw(st.none() | st.integers(1, 300).map(lambda hours: timedelta(hours=hours)))
    return Pause(draw(st.sampled_from(REASONS)), begin, end, cap)


@given(st.data(), MOMENTS, st.integers(0, 20))
def test_what_must_always_hold(data: st.DataObject, accepted: datetime, days: int) -> None:
    pauses = data.draw(st.lists(stops(accepted), max_size=5))
    seen = accepted + timedelta(hours=data.draw(st.integers(0, 900)))
    found = due(RULE, days, accepted, pauses, CALENDAR, seen)

    assert len(found.counted) == max(days, 1)
    assert found.counted[-1] == found.due_on == found.days[-1].date
    assert [day.date for day in found.days] == [
        found.days[0].date + timedelta(days=number) for number in range(len(found.days))
    ], "no day is left out"
    for day in found.days:
        kind = CALENDAR.kind(day.date)
        assert not (day.counted and kind in (DayKind.HOLIDAY, DayKind.WEEKEND))
        if kind is DayKind.MAKE_UP and not day.counted:
            assert day.why in (Why.PAUSED, Why.ACCEPTED, Why.AFTER_HOURS)
    assert found.used_days <= max(found.lived_days, 0)
    assert hours_of(RULE).closes(found.due_on) == found.due_at

    shuffled = data.draw(st.permutations(pauses))
    again = due(RULE, days, accepted, shuffled, CALENDAR, seen)
    assert (again.due_on, again.counted) == (found.due_on, found.counted), "the order of pauses does not matter"
    more = due(RULE, days, accepted, [*pauses, data.draw(stops(accepted))], CALENDAR, seen)
    assert more.due_on >= found.due_on, "no pause brings the end nearer"
    assert due(RULE, days + 1, accepted, pauses, CALENDAR, seen).due_on >= found.due_on
    assert due(RULE, days, accepted, pauses, CALENDAR, seen + timedelta(hours=9)).due_on >= found.due_on


@given(MOMENTS, st.integers(1, 15))
def test_without_pauses_it_is_the_calendars_own_count(accepted: datetime, days: int) -> None:
    taken = CALENDAR.on_or_after(accepted.date())
    found = due(RULE, days, accepted, (), CALENDAR, accepted)
    assert found.due_on == CALENDAR.after(taken, days)
    assert found.due_at.timetz() == time(17, 30, tzinfo=SHANGHAI)
