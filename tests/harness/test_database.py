"""The fixtures of the harness do what they say."""

import psycopg
import pytest
from redis import Redis

from core.database import fetch


async def test_the_database_is_migrated_and_the_application_may_not_change_its_tables(database: None) -> None:
    assert await fetch("select 1 from tortoise_migrations")
    (row,) = await fetch("select current_user as name")
    assert row["name"] == "lianban_app"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_that_asks_finds_everything_empty(turn: str, clean: None, database_url: str, redis_url: str) -> None:
    with psycopg.connect(database_url) as connection, Redis.from_url(redis_url) as redis:
        assert connection.execute("select count(*) from procrastinate_jobs").fetchone() == (0,)
        assert redis.dbsize() == 0
        connection.execute(
            "select procrastinate_defer_jobs_v1(array[row('default', 'a.task', 0, null, null, '{}', null)"
            "::procrastinate_job_to_defer_v1])"
        )
        connection.commit()
        redis.set("key", turn)


def test_cleaning_keeps_the_ledger_of_migrations(clean: None, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(*) > 0 from tortoise_migrations").fetchone() == (True,)
