"""`lianban migrate`: once however many run it, whole or not at all."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from lianban.migrate import migrate
from tests.harness.engines import Engines


@pytest.fixture
def empty(engines: Engines, worker_id: str) -> Generator[str]:
    """An empty database of its own."""
    name = f"to_migrate_{worker_id}"
    drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    with psycopg.connect(engines.url("postgres"), autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        yield engines.url(name)
        connection.execute(drop)


def _migrate(url: str) -> list[str]:
    return asyncio.run(migrate(url))


def _relations(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {
            name
            for (name,) in connection.execute(
                "select relname from pg_class where relnamespace = 'public'::regnamespace"
                " union all select proname from pg_proc where pronamespace = 'public'::regnamespace"
                " union all select typname from pg_type where typnamespace = 'public'::regnamespace"
            )
        }


def _ledger(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("select name from tortoise_migrations order by name")]


def test_four_at_once_apply_everything_exactly_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as executor:
        applied = list(executor.map(_migrate, [empty] * 4))
    whole, *nothing = sorted(applied, key=len, reverse=True)
    assert nothing == [[], [], []]
    assert whole == _ledger(empty)
    assert whole[0] == "0001_tables"


def test_a_migration_that_fails_leaves_nothing_and_can_be_run_again(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute("create function refund_stays_within_part() returns trigger language plpgsql as 'begin end'")
    before = _relations(empty)
    with pytest.raises(Exception, match="refund_stays_within_part"):
        _migrate(empty)
    assert _relations(empty) == before
    with psycopg.connect(empty) as connection:
        connection.execute("drop function refund_stays_within_part()")
    applied = _migrate(empty)
    assert applied == _ledger(empty) != []
    assert _migrate(empty) == []
