"""The pool gives every connection back, in the order of asking, whatever happens to those who hold or await one."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from core import engine
from core.database import configuration, fetch, fetch_one, transaction

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "core", "domain", "gateways", "jobs", "models", "notifications", "payments", "wechat")
SIZE = 2


@pytest.fixture
async def pool(clean: None, database_url: str):
    """A pool of two connections, apart from the ORM."""
    credentials = configuration(database_url, ())["connections"]["default"]["credentials"]
    wanted = {name: credentials[name] for name in ("host", "port", "user", "password", "database")}
    options = {"init": None, "setup": None, "reset": None, "connect": None, "loop": None}
    options |= {"max_queries": 50_000, "max_inactive_connection_lifetime": 300.0, "record_class": asyncpg.Record}
    async with engine.TimedPool(
        connection_class=engine.PlainConnection,
        min_size=SIZE,
        max_size=SIZE,
        acquire_timeout_s=30.0,
        **options,
        **wanted,
    ) as pool:
        yield pool


async def test_those_who_wait_are_served_in_the_order_of_asking(pool: engine.TimedPool) -> None:
    order: list[int] = []

    async def work(number: int) -> None:
        for _ in range(3):  # whoever has just given back asks again at once, and must not overtake
            async with pool.acquire() as connection:
                order.append(number)
                await connection.fetch("select 1")

    async with pool.acquire():  # of two one is left, so that nothing but the order of asking decides
        await asyncio.gather(*(work(number) for number in range(8)))
    assert order == [*range(8)] * 3


async def test_a_cancelled_wait_and_a_cancelled_use_lose_no_connection(pool: engine.TimedPool) -> None:
    async def work(number: int) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetch("select pg_sleep(0.002)")

    for delay in range(60):
        tasks = [asyncio.ensure_future(work(number)) for number in range(8)]
        for _ in range(delay):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    held = [await pool.acquire() for _ in range(SIZE)]
    assert [await connection.fetchval("select 1") for connection in held] == [1] * SIZE
    for connection in held:
        await pool.release(connection)


async def test_an_exhausted_pool_refuses_in_time_and_recovers(pool: engine.TimedPool) -> None:
    pool._timeout_s = 0.05
    held = [await pool.acquire() for _ in range(SIZE)]
    with pytest.raises(TimeoutError):
        await pool.acquire()
    for connection in held:
        await pool.release(connection)
        await pool.release(connection)
    pool._timeout_s = 30.0
    again = [await pool.acquire() for _ in range(SIZE)]
    pool._timeout_s = 0.05
    with pytest.raises(TimeoutError):
        await pool.acquire()
    for connection in again:
        await pool.release(connection)


async def test_it_knows_how_many_wait(pool: engine.TimedPool) -> None:
    held = [await pool.acquire() for _ in range(SIZE)]
    waiting = [asyncio.ensure_future(pool._acquire(5)) for _ in range(3)]
    await asyncio.sleep(0)
    assert pool.waiting == 3
    waiting.pop().cancel()
    for connection in held:
        await pool.release(connection)
    for connection in await asyncio.gather(*waiting):
        await pool.release(connection)
    assert pool.waiting == 0


async def test_an_open_transaction_ends_when_its_connection_goes_back(pool: engine.TimedPool) -> None:
    connection = await pool.acquire()
    await connection.transaction().start()
    server = connection.get_server_pid()
    await connection.fetch("select pg_advisory_xact_lock(4711)")
    await pool.release(connection)
    async with pool.acquire() as connection:
        rows = await connection.fetch("select pid from pg_locks where locktype = 'advisory' and pid = $1", server)
    assert rows == []


async def test_the_orm_s_pool_is_this_one(database: None) -> None:
    async with transaction():
        row = await fetch_one("select current_user::text as who, pg_backend_pid() as pid")
        assert row is not None
        assert row["who"] == "lianban_app"
    assert await fetch("select pid from pg_locks where locktype = 'advisory'") == []


def test_nothing_leaves_state_on_a_pooled_connection() -> None:
    """No reset query clears it away. What is allowed ends with the transaction: SET LOCAL, xact locks, set_config(…, true)."""
    lasting = re.compile(
        r"""["'\s(](?:set\s+(?:session\s+)?(?:role|search_path|timezone|plan_cache_mode|\w+_timeout)\b|listen\s+\w+["']"""
        r"""|pg_(?:try_)?advisory_lock|create\s+temp|with\s+hold|set_config\([^)]*false)""",
        re.IGNORECASE,
    )
    assert lasting.search('execute("set role x")')
    assert lasting.search("select pg_advisory_lock(1)")
    for room in ROOMS:
        for path in {*(ROOT / room).rglob("*.py")} - {
            Path(engine.__file__),
            *(ROOT / "models" / "migrations").iterdir(),
        }:
            found = [line for line in path.read_text().splitlines() if lasting.search(line)]
            assert not found, f"{path.relative_to(ROOT)}: {found}"
