"""A job exists if and only if the data it is about does."""

from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from core import clock
from core.database import fetch, transaction
from core.queue import defer_sql, enqueue


class RollBack(Exception):
    """Ends a transaction."""


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    yield
    clock.follow(None)


async def _in_vain() -> None:
    async with transaction():
        await enqueue("a.task")
        assert len(await fetch("select 1 from procrastinate_jobs")) == 1
        raise RollBack


async def test_a_job_comes_and_goes_with_its_transaction(database: None) -> None:
    with pytest.raises(RollBack):
        await _in_vain()
    assert await fetch("select 1 from procrastinate_jobs") == []
    async with transaction():
        await enqueue("a.task", queue="slow", lock="one", payment_id="p", step=3)
    (job,) = await fetch(
        "select queue_name, task_name, lock, args::text, scheduled_at, status::text, attempts from procrastinate_jobs"
    )
    assert (job["queue_name"], job["task_name"], job["lock"]) == ("slow", "a.task", "one")
    assert msgspec.json.decode(job["args"]) == {"payment_id": "p", "step": 3}
    assert (job["scheduled_at"], job["status"], job["attempts"]) == (None, "todo", 0)


async def test_nobody_sees_it_before_the_commit(database: None, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    try:
        async with transaction():
            await enqueue("a.task")
            assert await other.fetchval("select count(*) from procrastinate_jobs") == 0
        assert await other.fetchval("select count(*) from procrastinate_jobs") == 1
    finally:
        await other.close()


async def test_the_queue_keeps_real_time_while_ours_travels(database: None) -> None:
    clock.travel(timedelta(days=10))
    await enqueue("a.task", at=clock.now() + timedelta(minutes=5))
    (job,) = await fetch("select scheduled_at from procrastinate_jobs")
    clock.follow(None)
    assert abs(job["scheduled_at"] - clock.now() - timedelta(minutes=5)) < timedelta(seconds=5)


async def test_data_and_jobs_can_be_written_by_one_statement(database: None) -> None:
    job = defer_sql("'a.task'", "jsonb_build_object('id', id)")
    await fetch(f"with row as (select gen_random_uuid() as id from generate_series(1, 3)) select {job} from row")
    jobs = await fetch("select task_name, queue_name, args->>'id' as id from procrastinate_jobs")
    assert len({job["id"] for job in jobs}) == 3
    assert {(job["task_name"], job["queue_name"]) for job in jobs} == {("a.task", "default")}
