"""Running the worker: again and again until we are told to stop, since it may return as if all were well when the database restarts."""

import asyncio
from urllib.parse import parse_qs, unquote, urlsplit

import procrastinate

from core import clock
from core.database import APP_ROLE
from core.log import get_logger
from domain.services import Services
from jobs import tasks

log = get_logger(__name__)

_BACKOFF_S = (0.2, 0.5, 1.0)
HEARTBEAT_S = 2.0
DRAIN_S = 5.0
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


async def run(services: Services) -> None:
    """Work until cancelled. A return or an error of the worker is a loss, not an end: it is started again."""
    attempt = 0
    while True:
        started = clock.monotonic()
        try:
            app = tasks.build(services, connector(services.settings.database_url, services.settings.worker_concurrency))
            async with app.open_async():
                await app.run_worker_async(
                    concurrency=services.settings.worker_concurrency,
                    install_signal_handlers=False,
                    update_heartbeat_interval=HEARTBEAT_S,
                    stalled_worker_timeout=tasks.timetable.STALLED_AFTER_S,
                    shutdown_graceful_timeout=DRAIN_S,
                    fetch_job_polling_interval=2.0,
                )
            log.warning("worker.returned")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("worker.failed", error_type=type(error).__name__)
        attempt = 0 if clock.monotonic() - started > _STEADY_S else attempt + 1
        await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
