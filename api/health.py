"""Is this process alive, and can it work."""

from typing import Literal

from api.calls import Answer, Call
from api.texts import Output
from core.database import fetch_one, is_away


class Health(Output, frozen=True):
    """The state of what this process needs. Redis away is not fatal: reads, requests with a token and payments go on."""

    status: Literal["ok", "degraded", "down"]
    database: bool
    redis: bool


async def alive(_call: Call) -> Answer:
    """This process answers; nothing else is asked."""
    return Answer(b"ok\n", 200, "text/plain; charset=utf-8")


async def ready(call: Call) -> Answer:
    """200 when the database answers, 503 when not."""
    database = redis = True
    try:
        await fetch_one("select 1")
    except Exception as error:
        if not is_away(error):
            raise
        database = False
    try:
        await call.services.redis.ping()
    except Exception:
        redis = False
    status = "down" if not database else "ok" if redis else "degraded"
    return Answer(Health(status, database, redis), 200 if database else 503)
