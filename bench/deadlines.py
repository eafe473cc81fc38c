"""``python -m bench.deadlines``: the job that warns, over 100,000 open promises on an embedded PostgreSQL of its own.

Printed: a run in which nothing has turned, and one after which one promise in ten is over: a day's work at once.
"""

import argparse
import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from bench.world import ROOT
from cities.loader import load_city
from core import clock
from core.database import fetch, opened
from domain.deadlines.calendars import Calendars
from domain.deadlines.watching import Watch
from lianban import engines
from lianban.migrate import migrate
from models import MODULES

TABLES = ("supervision", "deadline_warning", "deadline_pause", "deadline_change", "deadline", "job_run")
_SEED = """
insert into deadline (id, subject_kind, subject_id, kind, node, basis, company, area, days, extra_days, accepted_at, due_on, due_at,
  yellow_at, provisional, level, opened_at)
select gen_random_uuid(), 'service_order', gen_random_uuid(), 'promise', '', 'within_500_m',
  (array['water', 'power', 'gas', 'telecom_ct'])[1 + n % 4], (array['420702', '420703', '420704'])[1 + n % 3], 3, 0,
  $2::timestamptz, $2::date, due, due - interval '6 hours', false, 'green', $2
from (select n, $2::timestamptz + case when n <= $3 then interval '-1 hour' else make_interval(hours => 24 + n % 48) end as due
      from generate_series(1, $1::int) n) promise
"""


def main() -> int:
    """Run it; 1 when a run takes longer than the limit."""
    parser = argparse.ArgumentParser(prog="bench.deadlines", description=__doc__)
    parser.add_argument("--open", type=int, default=100_000, help="open promises")
    parser.add_argument("--limit", type=float, default=5.0, help="seconds a run may take")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench-deadlines", help="folder of data")
    arguments = parser.parse_args()
    var_dir = Path(os.path.abspath(arguments.var))
    var_dir.mkdir(parents=True, exist_ok=True)
    with engines.locked(var_dir / "bench.lock"), engines.running(var_dir, {}) as addresses:
        return asyncio.run(_measure(addresses.database_url, arguments.open, arguments.limit))


async def _measure(database_url: str, count: int, limit_s: float) -> int:
    await migrate(database_url)
    city = load_city("ezhou")
    watch, slowest = Watch(city, Calendars(city.schedules)), 0.0
    async with opened(database_url, MODULES):
        for name, late in (
            ("nothing has turned", 0),
            ("a day's share has turned", count // 50),
            ("all are over", count),
        ):
            await _seed(database_url, count, late)
            started = time.monotonic()
            told = await watch.run()
            took_s = time.monotonic() - started
            slowest = max(slowest, took_s)
            print(
                f"{count:,} open, {name}: {took_s:.2f} s, {told.red:,} told as over, {told.yellow:,} as near, {told.ordered:,} orders",
                flush=True,
            )
            left = await fetch(
                "select count(*) as count from deadline where due_at < $1 and level <> 'red'", clock.now()
            )
            assert left[0]["count"] == 0
    return 1 if slowest > limit_s else 0


async def _seed(database_url: str, count: int, late: int) -> None:
    import asyncpg

    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("truncate " + ", ".join(TABLES))
        await connection.execute(_SEED, count, clock.now() - timedelta(seconds=1), late)
        await connection.execute("vacuum analyze deadline")
    finally:
        await connection.close()


if __name__ == "__main__":
    raise SystemExit(main())
