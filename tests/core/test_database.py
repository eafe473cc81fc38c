"""The database as our code uses it: pools that stay whole, errors told apart, a server that goes away and comes back."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from tortoise.exceptions import DBConnectionError, IntegrityError, OperationalError

from core import clock
from core.database import (
    DatabaseAway,
    chain,
    configuration,
    fetch,
    fetch_one,
    is_away,
    is_unstorable,
    opened,
    transaction,
    until_answered,
    violated_constraint,
)
from core.engine import transaction_is_open
from lianban.engines import EmbeddedPostgres
from models import MODULES
from models.person import Person

POOL = 4


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of one's own, to be stopped and started."""
    folder = Path(tempfile.mkdtemp(prefix="lianban-restart-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "postgres", folder / "run", durable=False)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


async def test_thousands_of_clients_that_hang_up_leave_the_pool_whole(clean: None, database_url: str) -> None:
    chance = random.Random(4)

    async def request() -> None:
        async with transaction():
            await fetch("insert into bill_file (id, company, day, bills, payable_fen, taken_at) values"
                        " (gen_random_uuid(), gen_random_uuid()::text::varchar(30), '2026-01-01', 0, 0, now())")  # fmt: skip
            await fetch("select pg_sleep(0.0005)")
            await Person.filter(level=1).first()

    async def hang_up() -> None:
        task = asyncio.ensure_future(request())
        await asyncio.sleep(chance.uniform(0, 0.006))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with opened(database_url, MODULES, pool_size=POOL):
        for _ in range(75):
            await asyncio.gather(*(hang_up() for _ in range(40)))
        assert not transaction_is_open()
        await _hold_all_at_once()


async def _hold_all_at_once() -> None:
    """As many transactions as the pool has connections, all open together: none is lost, none is left in a transaction."""
    together = asyncio.Barrier(POOL)

    async def hold() -> int:
        async with transaction():
            row = await fetch_one("select pg_backend_pid() as pid")
            assert row is not None
            async with asyncio.timeout(5):
                await together.wait()
            return row["pid"]

    assert len(set(await asyncio.gather(*(hold() for _ in range(POOL))))) == POOL


async def test_an_exhausted_pool_says_away_after_its_time(clean: None, database_url: str) -> None:
    async with opened(database_url, MODULES, pool_size=1, pool_wait_s=0.2):
        entered, leave = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with transaction():
                await fetch("select 1")
                entered.set()
                await leave.wait()

        holder = asyncio.ensure_future(hold())
        await entered.wait()
        for ask in (lambda: fetch("select 1"), lambda: Person.all().count()):
            started = clock.monotonic()
            with pytest.raises(Exception) as refused:  # noqa: PT011 -- what it is, is_away says
                await ask()
            assert is_away(refused.value)
            assert clock.monotonic() - started > 0.15, "it has waited"
        leave.set()
        await holder
        assert await fetch("select 1")


async def test_a_transaction_commits_whole_or_not_at_all_and_knows_that_it_is_open(database: None) -> None:
    assert not transaction_is_open()
    async with transaction():
        assert transaction_is_open()
        await Person.create(id="01a207e6-b266-74f1-9dec-eaf8ba1ad048", level=1, created_at=clock.now())
        assert len(await fetch("select 1 from person")) == 1, "SQL and models see the same transaction"
    assert not transaction_is_open()
    assert len(await fetch("select 1 from person")) == 1


async def _cut_off_inside(server: EmbeddedPostgres) -> None:
    async with transaction():
        await fetch("select 1")
        await asyncio.to_thread(server.stop)
        await fetch("select 1")


async def _ask() -> bool:
    """True when it answers; otherwise it must say that it is away."""
    try:
        return (await fetch("select 1 as one"))[0]["one"] == 1
    except Exception as error:
        if not is_away(error):
            raise
        return False


async def test_a_server_that_restarts_is_away_and_then_there_again(server: EmbeddedPostgres) -> None:
    async with opened(server.url(), MODULES, role=None, pool_size=POOL):
        assert await _ask()
        with pytest.raises(Exception) as cut:  # noqa: PT011
            await _cut_off_inside(server)
        assert is_away(cut.value), cut.value
        assert [await _ask() for _ in range(POOL + 2)] == [False] * (POOL + 2)
        await asyncio.to_thread(server.start)
        answers = [await _ask() for _ in range(2 * POOL)]
        assert answers[-POOL:] == [True] * POOL, "without a restart of ours"
        await _hold_all_at_once()


@pytest.mark.parametrize(
    "error",
    [
        OSError("x"), ConnectionRefusedError(), TimeoutError(), asyncpg.AdminShutdownError("x"), asyncpg.CannotConnectNowError("x"),
        asyncpg.TooManyConnectionsError("x"), asyncpg.QueryCanceledError("x"), asyncpg.LockNotAvailableError("x"), asyncpg.DeadlockDetectedError("x"),
        asyncpg.SerializationError("x"), asyncpg.DiskFullError("x"), asyncpg.ReadOnlySQLTransactionError("x"), DBConnectionError("x"),
        asyncpg.ConnectionDoesNotExistError("x"), asyncpg.InterfaceError("connection is closed"), asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("got result for unknown protocol state: cannot switch to state 12"),
    ],
    ids=lambda error: f"{type(error).__name__}",
)  # fmt: skip
def test_what_says_that_the_database_is_away(error: Exception) -> None:
    assert is_away(error)
    wrapped = OperationalError("wrapped")
    wrapped.__cause__ = error
    assert is_away(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("connection is closed"), asyncpg.UniqueViolationError("x"), asyncpg.UndefinedTableError("x"), asyncpg.InsufficientPrivilegeError("x"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), OperationalError("x"), IntegrityError("x"),
    ],
    ids=lambda error: f"{type(error).__name__}",
)  # fmt: skip
def test_what_says_that_we_are_wrong(error: Exception) -> None:
    assert not is_away(error)


async def test_the_violated_constraint_is_named_through_the_orm_too(database: None) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as raw:
        await fetch("insert into person (id, level, created_at) values (gen_random_uuid(), 9, now())")
    assert violated_constraint(raw.value) == "person_level_known"
    with pytest.raises(IntegrityError) as orm:
        await Person.create(id="01a207e6-b266-74f1-9dec-eaf8ba1ad048", level=9, created_at=clock.now())
    assert violated_constraint(orm.value) == "person_level_known"
    assert violated_constraint(ValueError()) is None


async def test_what_cannot_be_stored_is_told_apart(database: None) -> None:
    for query, value in (("select $1::text", "\x00"), ("select $1::int", 1 << 40)):
        with pytest.raises(Exception) as refused:  # noqa: PT011
            await fetch(query, value)
        assert is_unstorable(refused.value)
        assert not is_away(refused.value)


def test_a_chain_of_causes_ends_even_in_a_circle() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert chain(first) == [first, second]


def test_addresses_name_a_host_or_a_socket_and_their_tls_is_kept() -> None:
    found = configuration(f"postgresql://us%40er:p%2Fw@db.example:6432/{quote('lianban')}?sslmode=verify-full", MODULES)
    credentials = found["connections"]["default"]["credentials"]
    assert (credentials["host"], credentials["port"], credentials["database"]) == ("db.example", 6432, "lianban")
    assert (credentials["user"], credentials["password"], credentials["ssl"]) == ("us@er", "p/w", "verify-full")
    assert credentials["server_settings"]["role"] == "lianban_app"
    found = configuration("postgresql:///lianban?host=/run/a%20b&user=me", MODULES, role=None, pool_size=1)
    credentials = found["connections"]["default"]["credentials"]
    assert (credentials["host"], credentials["user"], credentials["minsize"], credentials["maxsize"]) == (
        "/run/a b",
        "me",
        1,
        1,
    )
    assert "role" not in credentials["server_settings"]
    assert "ssl" not in credentials


class _Door:
    """A server that gives these answers one after the other, and None for a connection."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)

    async def connect(self, _url: str) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        return self

    async def close(self) -> None: ...


STARTING = asyncpg.CannotConnectNowError("the database system is starting up")


async def test_who_starts_before_its_database_waits_for_it() -> None:
    door = _Door(ConnectionRefusedError(), STARTING, None)
    assert await until_answered("", 5.0, connect=door.connect)
    assert door.answers == [None]


async def test_who_is_told_to_stop_does_not_wait_for_the_database() -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(until_answered("", 600.0, stop, connect=_Door(STARTING).connect))
    await asyncio.sleep(0)
    stop.set()
    assert not await waiting


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        pytest.param(STARTING, DatabaseAway, id="away for too long"),
        pytest.param(asyncpg.InvalidPasswordError("x"), asyncpg.InvalidPasswordError, id="waiting cures nothing"),
    ],
)
async def test_waiting_for_the_database_ends(answer: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        await until_answered("", 0.0, connect=_Door(answer).connect)
