"""Tortoise's asyncpg engine, repaired.

The stock engine acquires a pooled connection and then awaits BEGIN; when BEGIN fails or is cancelled the connection never goes
back. Sanic cancels a handler when its client hangs up, so anybody could drain the pool from outside, for ever. Here a BEGIN that
fails gives its connection back, and acquiring one takes at most `acquire_timeout_s`.

Tortoise finds :data:`client_class` by the name of this module (``"engine": "core.engine"``).
"""

import asyncio
from typing import Any, cast

import asyncpg
from asyncpg import protocol as asyncpg_protocol
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections

MOST_QUERIES = 50_000
"""After so many a connection is closed and a new one opened."""


class PlainConnection(asyncpg.Connection):
    """A connection that goes back to the pool without asyncpg's reset query, a round trip after every statement.

    An open transaction is still rolled back. The rule it needs: nothing of ours leaves state on a pooled connection, no SET without
    LOCAL, no LISTEN, no session advisory lock, no cursor WITH HOLD; a test looks for them.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        return ""

    def has_nothing_to_clear(self) -> bool:
        """True when giving it back sends nothing and waits for nothing."""
        protocol: Any = self._protocol
        is_busy = self.is_closed() or self.is_in_transaction() or protocol._is_cancelling()
        return not is_busy and protocol.queries_count < MOST_QUERIES


class TimedPool(asyncpg.Pool):
    """A pool whose every acquire has a time-out, `acquire_timeout_s`, also those inside Tortoise that pass none, and whose turns are fair.

    asyncpg's own queue lets whoever comes at the right moment overtake those who wait, again and again; the busier the pool, the
    longer the unlucky wait. A semaphore hands out the turns in the order of asking.
    """

    _turns: asyncio.Semaphore
    waiting: int
    """How many stand in line for a connection now."""

    def __init__(self, *arguments: Any, max_size: int, acquire_timeout_s: float, **options: Any) -> None:
        super().__init__(*arguments, max_size=max_size, **options)
        self._timeout_s = acquire_timeout_s
        self._turns = asyncio.Semaphore(max_size)
        self._held: dict[int, Any] = {}
        self.waiting = 0

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=timeout or self._timeout_s)

    async def _acquire(self, timeout: float | None) -> Any:
        if not self._turns.locked() and self._has_connection_at_hand():
            return (
                await self._take_turn()
            )  # waits for nothing, so it needs no timer: two thirds of what acquiring costs
        async with asyncio.timeout(timeout):
            self.waiting += 1
            try:
                return await self._take_turn()
            finally:
                self.waiting -= 1

    async def _take_turn(self) -> Any:
        await self._turns.acquire()
        try:
            connection = await super()._acquire(None)
        except BaseException:
            self._turns.release()
            raise
        self._held[id(connection)] = connection
        return connection

    def _has_connection_at_hand(self) -> bool:
        """True when the pool's next connection is open; the pool keeps its free ones as a stack."""
        free: Any = getattr(self._queue, "_queue", None)
        return bool(free) and free[-1].is_connected()

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        # Giving back twice is allowed, but gives one turn; a connection that the server has cut gives its turn back too.
        is_held = self._held.pop(id(connection), None) is not None
        bare: Any = getattr(connection, "_con", None)
        try:
            if is_held and bare is not None and bare.has_nothing_to_clear():
                bare._on_release()
                await connection._holder.release(None)  # nothing in it can be cancelled, so it needs no task of its own
            else:
                await super().release(connection, timeout=timeout or self._timeout_s)
        finally:
            if is_held:
                self._turns.release()


class SafeTransactionContext(TransactionContextPooled):
    """A transaction whose BEGIN cannot lose the connection."""

    async def __aenter__(self) -> Any:
        await self.ensure_connection()
        client = cast(TransactionWrapper, self.client)
        pool = cast(asyncpg.Pool, client._parent._pool)
        client._connection = cast(asyncpg.Connection, await pool.acquire())
        self.token = get_connections().set(self.connection_name, client)
        try:
            await client.begin()
        except BaseException:
            get_connections().reset(self.token)
            await pool.release(client._connection)
            raise
        return client


class Client(AsyncpgDBClient):
    """The asyncpg client with the safe pool and the safe transaction."""

    connection_class = PlainConnection

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        return await TimedPool(
            init=None,
            setup=None,
            reset=None,
            connect=None,
            max_queries=MOST_QUERIES,
            max_inactive_connection_lifetime=300.0,
            record_class=asyncpg_protocol.Record,
            **{
                "min_size": 1,
                "max_size": 10,
                "loop": None,
                **kwargs,
            },
        )

    def _in_transaction(self) -> TransactionContext:
        return SafeTransactionContext(TransactionWrapper(self), self._pool_init_lock)


client_class = Client


def transaction_is_open() -> bool:
    """True while the current task stands inside a database transaction: no call to the outside world may be made then."""
    try:
        return isinstance(get_connections().get("default"), TransactionWrapper)
    except (RuntimeError, KeyError):
        return False
    except Exception as error:
        if type(error).__name__ == "ConfigurationError":
            return False
        raise
