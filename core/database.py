"""PostgreSQL through Tortoise on our own engine.

:func:`opened` is used once per process by the composition root, which also passes the model modules in, since core knows none.
Hot paths run SQL through :func:`fetch`; everything else uses models. Both see the same transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from tortoise import Tortoise
from tortoise.connection import get_connections
from tortoise.exceptions import DBConnectionError, IntegrityError
from tortoise.transactions import in_transaction

from core import clock
from core.errors import LianbanError
from core.log import get_logger

log = get_logger(__name__)

APP_ROLE = "lianban_app"
OWNER_ROLE = "lianban_owner"

_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between two tries at a database that is away when a process starts."""
_AWAY_TEXTS = (
    "released back to the pool",
    "connection is closed",
    "connection was closed",
    "cannot switch to state",
    "pool is closing",
    "is closed",
)
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
    DBConnectionError,
)


class DatabaseAway(LianbanError):
    """The database cannot answer now. On a write the outcome is unknown to the client; the idempotency key finds it."""

    code = "database_away"


def configuration(
    url: str, modules: Sequence[str], *, role: str | None = APP_ROLE, pool_size: int = 10, pool_wait_s: float = 1.0
) -> dict[str, Any]:
    """Tortoise's configuration for `url` (``postgresql://`` with ``host``, ``user`` in the query or in the usual places)."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    settings = {
        "application_name": "lianban",
        "lock_timeout": "3s",
        "statement_timeout": "10s",
        "idle_in_transaction_session_timeout": "10s",
        "timezone": "UTC",
    }
    if role:
        settings["role"] = role
    credentials = {
        "host": query.get("host") or unquote(parts.hostname or "") or None,
        "port": parts.port or int(query.get("port", 5432)),
        "user": unquote(parts.username or "") or query.get("user"),
        "password": unquote(parts.password or "") or query.get("password"),
        "database": parts.path.lstrip("/"),
        "minsize": min(2, pool_size),
        "maxsize": pool_size,
        "acquire_timeout_s": pool_wait_s,
        "command_timeout": 10,
        "timeout": 3,
        "server_settings": settings,
    }
    if query.get("sslmode") in ("require", "verify-full"):
        credentials["ssl"] = query["sslmode"]
    return {
        "connections": {"default": {"engine": "core.engine", "credentials": credentials}},
        "apps": {
            "models": {"models": list(modules), "default_connection": "default", "migrations": "models.migrations"}
        },
        "use_tz": True,
        "timezone": "UTC",
    }


@asynccontextmanager
async def opened(
    url: str, modules: Sequence[str], *, role: str | None = APP_ROLE, pool_size: int = 10, pool_wait_s: float = 1.0
) -> AsyncIterator[None]:
    """Open the database for this process, once, around everything that uses it."""
    await Tortoise.init(
        config=configuration(url, modules, role=role, pool_size=pool_size, pool_wait_s=pool_wait_s),
        _enable_global_fallback=True,
    )
    try:
        yield
    finally:
        await Tortoise.close_connections()


async def connect(url: str) -> asyncpg.Connection:
    """A connection of its own to `url`, with that user's own role, outside any pool."""
    credentials = configuration(url, ())["connections"]["default"]["credentials"]
    wanted = {
        name: credentials.get(name) for name in ("host", "port", "user", "password", "database", "ssl", "timeout")
    }
    return await asyncpg.connect(**{name: value for name, value in wanted.items() if value is not None})


async def until_answered(
    url: str,
    wait_s: float,
    stop: asyncio.Event | None = None,
    *,
    connect: Callable[[str], Awaitable[asyncpg.Connection]] = connect,
) -> bool:
    """Return once the database takes a connection, which it does not while it starts or recovers; False when `stop` is set first.

    Raises:
        DatabaseAway: not within `wait_s`. What waiting cannot cure, a wrong password for one, is raised at once.
    """
    began, attempt, stop = clock.monotonic(), 0, stop or asyncio.Event()
    while not stop.is_set():
        try:
            await (await connect(url)).close()
        except Exception as error:
            waited_s, attempt = round(clock.monotonic() - began, 1), attempt + 1
            if not is_away(error):
                raise
            if waited_s >= wait_s:
                log.error("database.given_up", error_type=type(error).__name__, attempt=attempt, waited_s=waited_s)
                raise DatabaseAway("the database does not answer") from error
            log.warning("database.awaited", error_type=type(error).__name__, attempt=attempt, waited_s=waited_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSES_S[min(attempt, len(_PAUSES_S)) - 1]):
                    await stop.wait()
        else:
            if attempt:
                log.info("database.answered", attempt=attempt + 1, waited_s=round(clock.monotonic() - began, 1))
            return True
    return False


class PoolState(NamedTuple):
    """The connections of this process: at most `size`, `in_use` now, `waiting` for one."""

    size: int
    in_use: int
    waiting: int


def pool_state() -> PoolState:
    """How busy the pool is; all 0 before its first use."""
    pool: Any = getattr(get_connections().get("default"), "_pool", None)
    if pool is None:
        return PoolState(0, 0, 0)
    return PoolState(pool.get_max_size(), pool.get_size() - pool.get_idle_size(), pool.waiting)


def waiting_for_connection() -> int:
    """How many stand in line for a connection now; asked on every request."""
    pool: Any = getattr(get_connections().get("default"), "_pool", None)
    return 0 if pool is None else pool.waiting


def transaction() -> Any:
    """``async with transaction():`` — one transaction for this task. Never start another task inside."""
    return in_transaction("default")


async def fetch(query: str, *values: Any) -> list[asyncpg.Record]:
    """Run one statement on the current transaction or on a pooled connection; rows as asyncpg records."""
    client: Any = get_connections().get("default")
    async with client.acquire_connection() as connection:
        return await connection.fetch(query, *values)


async def fetch_one(query: str, *values: Any) -> asyncpg.Record | None:
    """The first row of :func:`fetch`, or None."""
    client: Any = get_connections().get("default")
    async with client.acquire_connection() as connection:
        return await connection.fetchrow(query, *values)


def chain(error: BaseException) -> list[BaseException]:
    """`error` and what caused it, outermost first."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def is_away(error: BaseException) -> bool:
    """True when `error` says that the database is away, overloaded or cut off, rather than that we are wrong."""
    for link in chain(error):
        if isinstance(link, _AWAY):
            return True
        if isinstance(link, asyncpg.InterfaceError | asyncpg.InternalClientError) and any(
            text in str(link) for text in _AWAY_TEXTS
        ):
            return True
    return False


def is_unstorable(error: BaseException) -> bool:
    """True when a value of the request cannot be stored at all (out of range, a character the database refuses)."""
    return any(isinstance(link, asyncpg.DataError | asyncpg.CharacterNotInRepertoireError) for link in chain(error))


def violated_constraint(error: BaseException) -> str | None:
    """The name of the constraint that `error` reports as violated, or None."""
    for link in chain(error):
        if isinstance(link, asyncpg.IntegrityConstraintViolationError):
            return getattr(link, "constraint_name", None) or ""
        if (
            isinstance(link, IntegrityError)
            and link.args
            and isinstance(link.args[0], asyncpg.IntegrityConstraintViolationError)
        ):
            return getattr(link.args[0], "constraint_name", None) or ""
    return None
