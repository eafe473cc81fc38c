"""``lianban calendar``: import the State Council's schedule of a year, so that open promises are counted by it; list what is known."""

import argparse
import sys
from pathlib import Path

from cities.errors import CityPackInvalid
from core.settings import Settings
from domain.services import Services
from lianban import console
from lianban.app import services_for

LARGEST = 64 * 1024
"""Bytes. A year's paper has some forty days."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file to import, or nothing, to list."""
    console.add_var(parser)
    parser.add_argument("what", choices=["list", "import"], help="list the known years, or import one")
    parser.add_argument("file", nargs="?", type=Path, help="the year's file, of the shape of cities/*/holidays/*.json")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 with a sentence when the file cannot be used."""
    if arguments.what == "import" and arguments.file is None:
        print("calendar_file_missing: name the file to import", file=sys.stderr)
        return 1
    return console.carried_out(arguments.var, lambda settings: _act(arguments, settings))


async def _act(arguments: argparse.Namespace, settings: Settings) -> int:
    async with services_for(settings) as services:
        return await perform(services, arguments)


async def perform(services: Services, arguments: argparse.Namespace) -> int:
    """Do it on the database that is open, print what came of it; the exit status."""
    if arguments.what == "import":
        try:
            content = arguments.file.read_bytes()[: LARGEST + 1]
            if len(content) > LARGEST:
                raise CityPackInvalid(arguments.file.name, "$", "is larger than any year's paper")
            schedule = await services.calendars.take(content, console.actor())
        except OSError as error:
            print(f"calendar_file_unreadable: {error.strerror}", file=sys.stderr)
            return 1
        except CityPackInvalid as error:
            print(f"{error.code}: {error}", file=sys.stderr)
            return 1
        print(
            f"已导入 {schedule.year} 年：放假 {len(schedule.off)} 天，调休上班 {len(schedule.worked)} 天；未办结的承诺由后台重算"
        )
    calendar = await services.calendars.current()
    print("已公布：" + "、".join(str(year) for year in calendar.years))
    return 0
