"""Valkey or Redis: rate limits and caches. Nothing that must not be lost lives here.

One try, short time-outs: a frozen server costs 0.3 s (`redis_wait_s`), not a queue of waiting requests. Limits of logins, codes and proofs fail
closed (503) when it is away, limits of reads fail open.
"""

from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.errors import LianbanError

_TAKE = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if used > tonumber(ARGV[1]) then return redis.call('PTTL', KEYS[1]) end
return -1
"""


class RateLimited(LianbanError):
    """Too many tries. data: ``retry_after_s``."""

    code = "rate_limited"


class LimiterAway(LianbanError):
    """The limiter cannot answer and this action must not go unlimited."""

    code = "limiter_away"


def connect(url: str, wait_s: float) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://`` without retries; connecting and each answer take `wait_s` at most."""
    return Redis.from_url(
        url,
        socket_timeout=wait_s,
        socket_connect_timeout=wait_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class Limiter:
    """Counts tries in fixed windows. Keys hold hashes or row ids, never personal values."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script: Any = redis.register_script(_TAKE)

    async def take(self, key: str, limit: int, window: timedelta, *, closed: bool = True) -> None:
        """Count one try under `key`.

        Raises:
            RateLimited: more than `limit` in `window`.
            LimiterAway: Valkey is away and `closed` (the default) forbids going on without it.
        """
        try:
            left_ms = int(await self._script(keys=[f"limit:{key}"], args=[limit, int(window.total_seconds() * 1000)]))
        except (RedisError, OSError, TimeoutError) as error:
            if closed:
                raise LimiterAway("limiter away") from error
            return
        if left_ms >= 0:
            raise RateLimited(retry_after_s=max(1, -(-left_ms // 1000)))
