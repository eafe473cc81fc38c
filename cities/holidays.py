"""The State Council's schedules of holidays and make-up working days: one file a year, as the public data sets write them.

The shape is that of the public collections of these papers, so that a file taken from one of them can be imported as it is.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from cities.errors import CityPackInvalid
from core.workdays import Schedule

FOLDER = "holidays"
NEIGHBOUR = timedelta(days=31)
"""How far a year's paper may reach into the years beside it."""
Reader = Callable[[Path, type["YearFile"]], "YearFile"]


class HolidayDay(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One day of which the paper says that it is off, or that it is worked though it is a weekend."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    date: date
    is_off_day: bool


class YearFile(msgspec.Struct, frozen=True):
    """One year's paper. Collections add members of their own (``$schema``), which say nothing to us."""

    year: Annotated[int, Meta(ge=2000, le=2100)]
    papers: Annotated[tuple[Annotated[str, Meta(min_length=8, max_length=300)], ...], Meta(min_length=1)]
    days: Annotated[tuple[HolidayDay, ...], Meta(min_length=1, max_length=80)]


def read_schedule(text: bytes, file: str) -> Schedule:
    """A year's schedule from the bytes of its file; raises :class:`CityPackInvalid`."""
    try:
        found = msgspec.json.decode(text, type=YearFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CityPackInvalid(file, "$", str(error)) from error
    return schedule_of(found, file)


def read_schedules(folder: Path, read: Reader) -> tuple[Schedule, ...]:
    """All schedules of a pack, one file a year named by it; raises :class:`CityPackInvalid`."""
    found = []
    for path in sorted((folder / FOLDER).iterdir()) if (folder / FOLDER).is_dir() else []:
        if re.fullmatch(r"20[0-9]{2}\.json", path.name) is None:
            raise CityPackInvalid(f"{FOLDER}/{path.name}", "$", "a schedule is named by its year, like 2026.json")
        file = read(path, YearFile)
        if str(file.year) != path.stem:
            raise CityPackInvalid(f"{FOLDER}/{path.name}", "$.year", f"{file.year} is not the file's")
        found.append(schedule_of(file, f"{FOLDER}/{path.name}"))
    if not found:
        raise CityPackInvalid(FOLDER, "$", "there is no schedule of any year")
    years = [schedule.year for schedule in found]
    if years != list(range(years[0], years[0] + len(years))):
        raise CityPackInvalid(FOLDER, "$", "a year between two others is missing")
    return tuple(found)


def schedule_of(file: YearFile, name: str) -> Schedule:
    """The schedule a file holds, checked.

    Raises:
        CityPackInvalid: a day twice, far from its year, a working Monday "made up", New Year's Day missing, or a longer year than
            any there has been.
    """
    off: dict[date, str] = {}
    worked: dict[date, str] = {}
    first, last = date(file.year, 1, 1) - NEIGHBOUR, date(file.year, 12, 31) + NEIGHBOUR
    for index, day in enumerate(file.days):
        path = f"$.days[{index}].date"
        if not first <= day.date <= last:
            raise CityPackInvalid(name, path, f"{day.date} does not belong to {file.year}")
        if day.date in off or day.date in worked:
            raise CityPackInvalid(name, path, f"{day.date} is given twice")
        if not day.is_off_day and day.date.weekday() < 5:
            raise CityPackInvalid(name, path, f"{day.date} is a weekday: it is worked anyway")
        (off if day.is_off_day else worked)[day.date] = day.name
    if date(file.year, 1, 1) not in off or date(file.year, 10, 1) not in off:
        raise CityPackInvalid(name, "$.days", "New Year's Day and National Day are holidays of every year")
    if len(worked) > len(off):
        raise CityPackInvalid(name, "$.days", "more days are made up than are off")
    return Schedule(file.year, " ".join(file.papers), off, worked)
