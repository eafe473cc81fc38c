"""Working days as the State Council's papers have them: known examples, and what is not yet certain."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from cities.loader import load_city
from core.clock import SHANGHAI
from core.workdays import Calendar, DayKind, Hours, NoWorkday, Schedule

CALENDAR = Calendar(load_city("ezhou").schedules)
HOURS = Hours([(time(8, 30), time(12)), (time(14), time(17, 30))], SHANGHAI)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("day", "after"),
    [
        ("2023-09-28", "2023-10-09"),
        ("2024-02-08", "2024-02-19"),
        ("2025-01-24", "2025-02-05"),
        ("2026-02-13", "2026-02-25"),
        ("2026-09-24", "2026-09-30"),
    ],
)
def test_three_working_days_across_the_feasts(day: str, after: str) -> None:
    assert CALENDAR.after(date.fromisoformat(day), 3) == date.fromisoformat(after)


def test_a_year_has_as_many_working_days_as_its_paper_leaves() -> None:
    found = {year: CALENDAR.between(date(year - 1, 12, 31), date(year, 12, 31)) for year in CALENDAR.years}
    assert found == {2022: 249, 2023: 249, 2024: 251, 2025: 248, 2026: 248}


def test_a_paper_may_speak_about_the_year_before() -> None:
    assert CALENDAR.kind(date(2022, 12, 31)) is DayKind.HOLIDAY
    assert CALENDAR.name(date(2022, 12, 31)) == "元旦"


def test_days_are_certain_once_no_paper_to_come_can_change_them() -> None:
    certain = {day: CALENDAR.is_certain(day) for day in (date(2026, 12, 24), date(2026, 12, 25), date(2027, 1, 4))}
    assert certain == {date(2026, 12, 24): True, date(2026, 12, 25): False, date(2027, 1, 4): False}
    assert CALENDAR.is_certain(date(2025, 12, 31)), "the paper of 2026 is out"


def test_of_two_papers_the_later_years_is_right() -> None:
    day = date(2018, 12, 29)
    earlier = Schedule(2018, "one", {date(2018, 1, 1): "元旦", day: "某日"}, {})
    found = Calendar([Schedule(2019, "two", {date(2019, 1, 1): "元旦"}, {day: "元旦"}), earlier])
    assert found.kind(day) is DayKind.MAKE_UP
    with pytest.raises(ValueError, match="two schedules"):
        Calendar([earlier, earlier])


def test_a_calendar_without_working_days_says_so() -> None:
    every = {date(2026, 1, 1) + timedelta(days=number): "放假" for number in range(3700)}
    with pytest.raises(NoWorkday):
        Calendar([Schedule(2026, "one", every, {})]).after(date(2026, 1, 1), 1)


def test_working_hours_are_walked_in_both_directions() -> None:
    friday, monday = date(2026, 11, 20), date(2026, 11, 23)
    assert HOURS.of_a_day == timedelta(hours=7)
    assert HOURS.forward(CALENDAR, at("2026-11-20T16:30"), timedelta(hours=2)) == at("2026-11-23T09:30")
    assert HOURS.forward(CALENDAR, at("2026-11-21T03:00"), timedelta(hours=4)) == at("2026-11-23T14:30")
    assert HOURS.backward([friday, monday], timedelta(hours=8)) == at("2026-11-20T16:30")
    assert HOURS.backward([monday], timedelta(hours=80)) == at("2026-11-23T08:30")
    assert HOURS.closes(monday).astimezone(UTC) == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("spans", [[], [(time(9), time(8))], [(time(8), time(12)), (time(11), time(17))]], ids=repr)
def test_hours_that_overlap_are_refused(spans: list[tuple[time, time]]) -> None:
    with pytest.raises(ValueError, match="one after the other"):
        Hours(spans, SHANGHAI)
