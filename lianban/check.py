"""``lianban check``: what must always hold, examined on the live database, with the application's rights and without changing a row.

All queries see one snapshot, so that work going on meanwhile is never mistaken for a violation.
"""

import argparse
import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg

from core import clock
from core import settings as settings_module
from core.database import configuration
from models.checks import CHECKS, NOT_EXAMINED, NOW
from models.checks.base import Check

_QUERY_TIMEOUT_S = 600
_LOOK_EVERY_S = 0.1
_SHOWN = 50


class Violation(NamedTuple):
    """`id` of the row, or the key, that breaks the rule, and `what` is wrong with it."""

    id: str
    what: str


class Finding(NamedTuple):
    """What one check found."""

    check: Check
    examined: int
    violations: list[Violation]


async def examine(database_url: str, now: datetime | None = None) -> list[Finding]:
    """Run every check on the database, as it stands at this moment; `now` judges what is overdue (default: the clock's)."""
    connection = await _connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await examine_on(connection, now)
    finally:
        await connection.close()


async def examine_on(connection: asyncpg.Connection, now: datetime | None = None) -> list[Finding]:
    """The same inside the transaction that is open on `connection`."""
    await connection.execute("select set_config($1, $2, true)", NOW, (now or clock.now()).isoformat())
    return [await _run(connection, check) for check in CHECKS]


async def _run(connection: asyncpg.Connection, check: Check) -> Finding:
    examined = await connection.fetchval(check.examined) or 0
    found = await connection.fetch(check.violations)
    return Finding(check, examined, [Violation(row["id"], row["what"]) for row in found])


_DUE = "select exists (select from procrastinate_jobs where status = 'doing' or (status = 'todo' and coalesce(scheduled_at, now()) <= now()))"


async def until_idle(database_url: str, within_s: float) -> bool:
    """Wait until no job is being worked or due; False when some still is after `within_s`."""
    connection, end = await _connect(database_url), clock.monotonic() + within_s
    try:
        while await connection.fetchval(_DUE):
            if clock.monotonic() > end:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True
    finally:
        await connection.close()


async def _connect(database_url: str) -> asyncpg.Connection:
    credentials = configuration(database_url, ())["connections"]["default"]["credentials"]
    wanted = {
        name: credentials[name]
        for name in ("host", "port", "user", "password", "database", "ssl")
        if credentials.get(name)
    }
    settings = credentials["server_settings"] | {
        "application_name": "lianban check",
        "statement_timeout": f"{_QUERY_TIMEOUT_S}s",
        "work_mem": "64MB",  # whole tables are joined: in memory where they fit
        "jit": "off",
    }
    return await asyncpg.connect(**wanted, server_settings=settings, command_timeout=_QUERY_TIMEOUT_S, timeout=10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the settings lie when the environment names neither a settings file nor a database."""
    parser.add_argument(
        "--var", type=Path, default=Path("var"), help="folder of the running `lianban dev` (default: var)"
    )
    parser.add_argument(
        "--all", action="store_true", help=f"print every violation, not the first {_SHOWN} of each check"
    )


def run(arguments: argparse.Namespace) -> int:
    """Examine and print; 1 when anything is violated."""
    findings = asyncio.run(examine(_database_url(arguments.var)))
    shown = sys.maxsize if arguments.all else _SHOWN
    rule = 0
    for check, examined, violations in findings:
        if check.rule != rule:
            _say_not_examined(rule, check.rule)
            rule = check.rule
        mark = "✗" if violations else "✓"
        print(f"{mark} {check.rule:>2}  {check.sentence}：查 {examined} 行，违反 {len(violations)} 处")
        for violation in violations[:shown]:
            print(f"        {violation.id}  {violation.what}")
        if len(violations) > shown:
            print(f"        …… 另有 {len(violations) - shown} 处，--all 全部列出")
    _say_not_examined(rule, 99)
    wrong = sum(len(finding.violations) for finding in findings)
    print(f"共 {len(findings)} 项，违反 {wrong} 处")
    return 1 if wrong else 0


def _say_not_examined(after: int, before: int) -> None:
    for rule, why in NOT_EXAMINED.items():
        if after <= rule < before:
            print(f"– {rule:>2}  {why}")


def _database_url(var: Path) -> str:
    """The database to examine; the clock is set to follow the one its processes follow."""
    environ = {"LIANBAN_SETTINGS": str(var / "keys" / "settings.json"), **os.environ}
    if environ.get("DATABASE_URL") and not Path(environ["LIANBAN_SETTINGS"]).exists():
        clock_file = environ.get("LIANBAN_CLOCK_FILE")
        url = environ["DATABASE_URL"]
    else:
        settings = settings_module.load(environ)
        clock_file, url = settings.clock_file, settings.database_url
    if clock_file:
        clock.follow(Path(clock_file))
    return url
