"""A worker that does nothing by itself: jobs run when a test says so, in order, by the clock of the test.

Fixture-free: :class:`Jobs` is made with the services of a test. Nothing sleeps: waiting is :meth:`Jobs.pass_time`, which travels
from one scheduled job to the next.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from procrastinate.jobs import Job

from core import clock
from core.database import fetch, fetch_one
from domain.services import Services
from jobs import tasks

_MOST_AT_ONCE = 2_000
_DUE = """
update procrastinate_jobs set status = 'doing' where id = (
  select id from procrastinate_jobs where status = 'todo' and (scheduled_at is null or scheduled_at <= $1)
  order by priority desc, id limit 1
) returning id, task_name, args::text, attempts
"""


class Failure(NamedTuple):
    """A job that raised; it was planned again as the worker would have done."""

    task: str
    error: Exception


class Travel:
    """Moves the clock of this process and of the sandbox; what is scheduled comes nearer by as much."""

    def __init__(self, clock_file: Path) -> None:
        self._file = clock_file
        self._offset = timedelta()

    async def forward(self, by: timedelta) -> None:
        """Let `by` pass at once."""
        self._offset += by
        self._set()
        # The queue keeps real time: a job due at a moment of the travelled clock is now due that much earlier.
        await fetch(
            "update procrastinate_jobs set scheduled_at = scheduled_at - $1::interval where status = 'todo'", by
        )

    def begin(self) -> None:
        """The next nine in the morning in Shanghai: nothing depends on the hour at which the test happens to run."""
        self.home()
        now = clock.now().astimezone(clock.SHANGHAI)
        nine = datetime.combine(now.date(), time(9), clock.SHANGHAI)
        self._offset = nine - now + (timedelta() if nine > now else timedelta(days=1))
        self._set()

    def home(self) -> None:
        """Back to the real time."""
        self._offset = timedelta()
        clock.follow(None)
        self._set()

    def _set(self) -> None:
        self._file.write_text(str(self._offset.total_seconds()))
        clock.travel(self._offset)


class Jobs:
    """Runs the jobs of the queue in this process, one after another, marking them as a worker does."""

    def __init__(self, services: Services, travel: Travel) -> None:
        self._tasks: dict[str, Callable[..., Awaitable[None]]] = tasks.tasks(services)
        self._travel = travel
        self._patience = tasks.Patience()
        self.failures: list[Failure] = []
        """What raised so far. A test that expects failures clears it; others find it empty at their end."""

    async def run(self) -> list[str]:
        """Run everything that is due, and what that makes due, until nothing is; the names in order."""
        ran: list[str] = []
        while (row := await fetch_one(_DUE, clock.to_real(clock.now()))) is not None:
            ran.append(row["task_name"])
            assert len(ran) < _MOST_AT_ONCE, f"jobs without end: {ran[-5:]}"
            await self._work(row)
        return ran

    async def pass_time(self, by: timedelta) -> list[str]:
        """Let `by` pass, stopping at each moment for which a job is scheduled; the names of the jobs that ran."""
        ran, left = await self.run(), by
        while (wait := await self._next_in()) is not None and wait <= left:
            await self._travel.forward(wait)
            left -= wait
            ran += await self.run()
        await self._travel.forward(left)
        return ran + await self.run()

    async def do(self, task: str, **arguments: Any) -> None:
        """Run one task now, as if a worker had picked up such a job (again)."""
        await self._tasks[task](**{name: _plain(value) for name, value in arguments.items()})

    async def waiting(self, task: str) -> int:
        """How many jobs of this task are still to run."""
        row = await fetch_one("select count(*) from procrastinate_jobs where status = 'todo' and task_name = $1", task)
        assert row is not None
        return row["count"]

    async def _next_in(self) -> timedelta | None:
        row = await fetch_one("select min(scheduled_at) as next from procrastinate_jobs where status = 'todo'")
        if row is None or row["next"] is None:
            return None
        return max(timedelta(), row["next"] - clock.to_real(clock.now())) + timedelta(milliseconds=1)

    async def _work(self, row: Any) -> None:
        arguments = msgspec.json.decode(row["args"])
        try:
            await self._tasks[row["task_name"]](**arguments)
        except Exception as error:
            self.failures.append(Failure(row["task_name"], error))
            job = Job(
                id=row["id"], queue="default", lock=None, queueing_lock=None, task_name=row["task_name"],
                task_kwargs=arguments, attempts=row["attempts"],
            )  # fmt: skip
            decision = self._patience.get_retry_decision(exception=error, job=job)
            if decision is None:
                await fetch("update procrastinate_jobs set status = 'failed' where id = $1", row["id"])
                return
            await fetch(
                "update procrastinate_jobs set status = 'todo', attempts = attempts + 1, scheduled_at = $2 where id = $1",
                row["id"],
                decision.retry_at,
            )
            return
        await fetch("update procrastinate_jobs set status = 'succeeded' where id = $1", row["id"])


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int) else str(value)
