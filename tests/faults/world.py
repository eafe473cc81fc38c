"""API and worker as processes of their own, as in production, with somebody who starts again what dies and tells nobody."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import psycopg

from core.settings import Settings
from lianban.sandbox import SandboxProcess
from tests.harness.world import DevFiles

ROOT = Path(__file__).parents[2]
_LOOK_EVERY_S = 0.02
_START_WITHIN_S = 60.0


class Death(NamedTuple):
    """A process that ended untold: which, its exit status and when (monotonic)."""

    program: str
    status: int
    at: float


class World:
    """The running product beside the sandbox. Use as an async context manager."""

    def __init__(self, settings: Settings, files: DevFiles, sandbox: SandboxProcess, *, pool_size: int = 10) -> None:
        self.settings = settings
        self.sandbox = sandbox
        self._port = int(settings.public_url.rpartition(":")[2])
        self._folder = files.settings.parent.parent
        self._points, self._hit = self._folder / "failpoints", self._folder / "failpoints.hit"
        self._sandbox_state = files.sandbox.parent.parent / "sandbox.sqlite3"
        self._environ = {
            **os.environ,
            "LIANBAN_SETTINGS": str(files.settings),
            "DATABASE_URL": settings.database_url,
            "DATABASE_OWNER_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "LIANBAN_FAILPOINTS": f"@{self._points}",
            "LIANBAN_FAILPOINT_LOG": str(self._hit),
        }
        self._commands = {
            "api": ("serve", "--workers", "0", "--ops-port", "0", "--port", str(self._port)),
            "worker": ("worker",),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self.deaths: list[Death] = []

    async def __aenter__(self) -> Self:
        self.disarm()
        for program in self._commands:
            self._start(program)
        self._keeper = asyncio.create_task(self._keep_alive())
        await self.until_served()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeper
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                await asyncio.to_thread(process.wait, 20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def arm(self, point: str) -> None:
        """From now on the first process that passes `point` dies."""
        self._points.write_text(point)

    def disarm(self) -> None:
        """Nothing kills any more, and nothing was hit."""
        self._points.write_text("")
        self._hit.write_text("")
        self.deaths = []

    def hit(self) -> list[str]:
        """The points at which a process has died since :meth:`disarm`."""
        return self._hit.read_text().split()

    async def until_served(self) -> None:
        """Return once the API answers."""
        end = time.monotonic() + _START_WITHIN_S
        async with httpx.AsyncClient(trust_env=False) as client:
            while time.monotonic() < end:
                with suppress(httpx.HTTPError):
                    if (await client.get(f"{self.settings.public_url}/livez")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError(f"the API does not start:\n{self.log_end('api')}")

    def log_end(self, program: str) -> str:
        """The last lines that `program` wrote."""
        path = self._folder / f"{program}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def pid(self, program: str) -> int:
        """The process that runs now."""
        return self._running[program].pid

    def travel(self, seconds: float) -> None:
        """Set the clock of API, worker and sandbox forward; what is scheduled comes nearer by as much. 0 goes home."""
        clock_file = Path(self.settings.clock_file or "")
        before = float(clock_file.read_text() or 0) if clock_file.exists() else 0.0
        clock_file.write_text(str(seconds))
        if seconds > before:
            # The queue keeps real time: a job due at a moment of the travelled clock is now due that much earlier.
            self.sql(
                "update procrastinate_jobs set scheduled_at = scheduled_at - make_interval(secs => %s) where status = 'todo'",
                seconds - before,
            )

    def sql(self, statement: str, *values: object) -> None:
        """One statement as the owner of the database: what only time or another could have done."""
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def scalar(self, query: str, *values: object) -> Any:
        """The first value of a query's first row."""
        with psycopg.connect(self.settings.database_url) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def unsent(self) -> int:
        """How many notices, events and pushes the outside world still means to send."""
        with sqlite3.connect(f"file:{self._sandbox_state}?mode=ro", uri=True, timeout=10) as state:
            (notices,) = state.execute("select count(*) from outbox where status = 'pending'").fetchone()
            (events,) = state.execute("select count(*) from company_event where status = 'pending'").fetchone()
        state.close()
        return notices + events

    async def hurry_others(self, factor: float = 1000) -> None:
        """Let the others try again at once: how long they wait after we were away is not ours to prove. 1 is real."""
        async with httpx.AsyncClient(base_url=self.sandbox.url, trust_env=False) as client:
            for path in ("/control/wechat-pay/pace", "/control/companies/water/pace"):
                (await client.post(path, json={"factor": factor})).raise_for_status()

    async def _keep_alive(self) -> None:
        while True:
            for program, process in list(self._running.items()):
                status = process.poll()
                if status is not None:
                    self.deaths.append(Death(program, status, time.monotonic()))
                    self._start(program)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _start(self, program: str) -> None:
        with (self._folder / f"{program}.log").open("ab") as output:
            self._running[program] = subprocess.Popen(
                [sys.executable, "-m", "lianban", *self._commands[program]],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )


def is_free(port: int) -> bool:
    """True when nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


KILLED = -signal.SIGKILL
