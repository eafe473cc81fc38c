"""Running the worker: again and again until we are told to stop, since it may return as if all were well when the database restarts."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

import procrastinate
from procrastinate.worker import Worker

from core import clock
from core.database import APP_ROLE, until_answered
from core.log import get_logger
from domain.services import Services
from jobs import tasks

log = get_logger(__name__)

_BACKOFF_S = (0.2, 0.5, 1.0)
HEARTBEAT_S = 2.0
DRAIN_S = 5.0
"""What jobs in flight get when we are told to stop."""
_LOST_DRAIN_S = 0.5
"""What they get when the worker is lost: its successor waits for them, and all other jobs for it. They are tried again."""
STOP_WITHIN_S = 20.0
"""Longer than stopping takes: the jobs, the queue's own tasks, connections that a database which is away does not take."""
_STEADY_S = 30.0


def connector(database_url: str, concurrency: int) -> procrastinate.PsycopgConnector:
    """A connector of the application role for the queue's own connections."""
    parts = urlsplit(database_url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    wanted = {
        "host": query.get("host") or unquote(parts.hostname or ""),
        "port": parts.port or query.get("port"),
        "user": unquote(parts.username or "") or query.get("user"),
        "password": unquote(parts.password or "") or query.get("password"),
        "dbname": parts.path.lstrip("/"),
        "sslmode": query.get("sslmode"),
        "options": f"-c role={APP_ROLE} -c timezone=UTC",
        "application_name": "lianban-worker",
        "connect_timeout": 3,
    }
    return procrastinate.PsycopgConnector(
        kwargs={name: value for name, value in wanted.items() if value},
        min_size=1,
        max_size=max(2, min(4, concurrency)),
        timeout=5,
    )


async def run(services: Services, stop: asyncio.Event) -> None:
    """Work until `stop`. A return or an error of the worker is a loss, not an end: it is started again."""
    settings, attempt = services.settings, 0
    while not stop.is_set():
        started = clock.monotonic()
        try:
            # The queue's own pool tries ever more seldom while the database is away, and would see its return late.
            if await until_answered(settings.database_url, settings.database_wait_s, stop):
                app = tasks.build(services, connector(settings.database_url, settings.worker_concurrency))
                async with app.open_async():
                    await _work(app, settings.worker_concurrency, stop)
            if not stop.is_set():
                log.warning("worker.returned")
        except Exception as error:
            log.warning("worker.failed", error_type=type(error).__name__)
        attempt = 0 if clock.monotonic() - started > _STEADY_S else attempt + 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]):
                await stop.wait()


async def _work(app: procrastinate.App, concurrency: int, stop: asyncio.Event) -> None:
    """Until `stop`, or until the worker is lost.

    It is asked to stop rather than cancelled: a cancellation that comes together with the answer it waits for may be lost.
    """
    worker = Worker(
        app,
        concurrency=concurrency,
        install_signal_handlers=False,
        update_heartbeat_interval=HEARTBEAT_S,
        stalled_worker_timeout=tasks.timetable.STALLED_AFTER_S,
        shutdown_graceful_timeout=_LOST_DRAIN_S,
        fetch_job_polling_interval=2.0,
    )
    working, stopping = asyncio.create_task(worker.run()), asyncio.create_task(stop.wait())  # noqa: TID251 -- outside any transaction
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            worker.shutdown_graceful_timeout = DRAIN_S
            worker.stop()
        await working
    finally:
        stopping.cancel()
        working.cancel()
