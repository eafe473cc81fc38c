"""Tortoise's asyncpg engine, repaired.

The stock engine acquires a pooled connection and then awaits BEGIN; when BEGIN fails or is cancelled the connection never goes
back. Sanic cancels a handler when its client hangs up, so anybody could drain the pool from outside, for ever. Here a BEGIN that
fails gives its connection back, and acquiring one takes at most `acquire_timeout_s`.

Tortoise finds :data:`client_class` by the name of this module (``"engine": "core.engine"``).
"""

from typing import Any, cast

import asyncpg
from asyncpg import connection as asyncpg_connection
from asyncpg import protocol as asyncpg_protocol
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections

ACQUIRE_TIMEOUT_S = 1.0


class TimedPool(asyncpg.Pool):
    """A pool whose every acquire has a time-out, also those inside Tortoise that pass none."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=timeout or ACQUIRE_TIMEOUT_S)


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

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        return await TimedPool(
            init=None,
            setup=None,
            reset=None,
            connect=None,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            record_class=asyncpg_protocol.Record,
            **{
                "connection_class": asyncpg_connection.Connection,
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
