"""Dev time travels: what hangs on the clock is done when the clock leaps, not at the next stroke of real time."""

import asyncio
from datetime import timedelta

from core import clock
from core.database import fetch
from core.log import get_logger
from core.queue import enqueue

log = get_logger(__name__)

AFTER_A_LEAP = (
    "orders.lapse",
    "delegation.lapse",
    "tolerances.watch",
    "credit.confirm",
    "deadlines.watch",
    "notifications.expire",
)
"""Of the timetable, what looks at the day and the hour of people's affairs."""
_LOOK_EVERY_S = 0.2
_LEAP_S = 1.0
_MOVE = "update procrastinate_jobs set scheduled_at = scheduled_at - $1::interval where status = 'todo' and scheduled_at is not null"
"""What is planned comes nearer by what the clock has gone ahead, and farther by what it has gone back."""


async def follow() -> None:
    """Until cancelled. For processes whose clock follows a file only: production has none."""
    before_s = _offset_s()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        offset_s = _offset_s()
        if abs(offset_s - before_s) < _LEAP_S:
            continue
        leap, before_s = timedelta(seconds=offset_s - before_s), offset_s
        try:
            await leapt(leap)
        except Exception as error:  # the timetable itself comes round in any case
            log.warning("clock.leap_not_followed", error_type=type(error).__name__)


async def leapt(leap: timedelta) -> None:
    """The clock has gone on by `leap` at once, or back: move what is planned, begin what looks at the clock."""
    await fetch(_MOVE, leap)
    for task in AFTER_A_LEAP:
        await enqueue(task, timestamp=int(clock.timestamp()))


def _offset_s() -> float:
    now = clock.now()
    return (now - clock.to_real(now)).total_seconds()
