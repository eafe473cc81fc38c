"""A database of its own for every worker, made from the template; emptied for each test that asks.

Fixtures: ``database_url``, ``redis_url``, ``clean``, ``database``.
"""

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import LiteralString, cast

import psycopg
import pytest
from psycopg import sql
from redis import Redis

from core.database import opened
from models import MODULES
from tests.harness.engines import TEMPLATE, Engines

_LEDGER_OF_MIGRATIONS = "tortoise_migrations"
_TABLES = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = 'public' order by 1
"""


_TRUNCATE_EVERY = 50
"""A table that is only ever deleted from grows, and every look at it takes longer."""


@dataclass
class _Cleaner:
    connection: psycopg.Connection
    redis: Redis
    filled: sql.Composed
    """A query for the names of the tables that hold rows."""
    times: int = 0

    def clean(self) -> None:
        names = [sql.Identifier(name) for (name,) in self.connection.execute(self.filled)]
        self.times += 1
        if names and self.times % _TRUNCATE_EVERY == 0:
            self.connection.execute(sql.SQL("truncate {} restart identity cascade").format(sql.SQL(", ").join(names)))
        elif names:
            # A hundred times faster than truncating where there are few rows. A replica has no triggers: none forbids it, none is asked.
            deletes = [sql.SQL("delete from {}").format(name) for name in names]
            with self.connection.transaction():
                self.connection.execute("set local session_replication_role = replica")
                self.connection.execute(sql.SQL("; ").join(deletes))
        self.redis.flushdb()


@pytest.fixture(scope="session")
def database_url(engines: Engines, worker_id: str) -> str:
    """This worker's own migrated database. Its user may do all; ``core.database`` takes the application's role."""
    name = f"t_{worker_id}"
    with psycopg.connect(engines.url("postgres"), autocommit=True) as connection:
        # PostgreSQL refuses to copy a template that somebody else is just copying.
        connection.execute("select pg_advisory_lock(742002)")
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        create = sql.SQL("create database {} template {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        connection.execute("select pg_advisory_unlock(742002)")
    return engines.url(name)


@pytest.fixture(scope="session")
def redis_url(engines: Engines, worker_id: str) -> str:
    """This worker's own database in Valkey."""
    number = int(worker_id.removeprefix("gw")) % 15 + 1 if worker_id.startswith("gw") else 0
    return f"{engines.redis_url}?db={number}"


@pytest.fixture(scope="session")
def _cleaner(database_url: str, redis_url: str) -> Generator[_Cleaner]:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        Redis.from_url(redis_url) as redis,
    ):
        connection.execute("set lock_timeout = '5s'")
        # What the migrations themselves filled is static and stays, their ledger included.
        tables = [name for (name,) in connection.execute(_TABLES)]
        static = {name for (name,) in connection.execute(_filled(tables))} | {_LEDGER_OF_MIGRATIONS}
        yield _Cleaner(connection, redis, _filled([name for name in tables if name not in static]))


@pytest.fixture
def clean(_cleaner: _Cleaner) -> None:
    """Empties every table but the static ones, and Valkey, before the test: what a failed one left can be looked at."""
    _cleaner.clean()


@pytest.fixture
async def database(clean: None, database_url: str) -> AsyncGenerator[None]:
    """The empty database, opened in this process with the application's role: models and ``core.database`` work.

    Not together with a running application of this process, which opens it itself.
    """
    async with opened(database_url, MODULES):
        yield


def _filled(tables: list[str]) -> sql.Composed:
    one = sql.SQL(cast(LiteralString, "select {} where exists (select from {})"))
    return sql.SQL(" union all ").join(one.format(sql.Literal(name), sql.Identifier(name)) for name in tables)
