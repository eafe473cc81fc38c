"""Dev time travels: what hangs on the clock is done when the clock leaps, not at the next stroke of real time."""

import asyncio

from core import clock
from core.log import get_logger
from core.queue import enqueue

log = get_logger(__name__)

AFTER_A_LEAP = ("orders.lapse", "delegation.lapse", "tolerances.watch", "credit.confirm", "deadlines.watch")
"""Of the timetable, what looks at the day and the hour of people's affairs."""
_LOOK_EVERY_S = 0.2
_LEAP_S = 1.0


async def follow() -> None:
    """Until cancelled. For processes whose clock follows a file only: production has none."""
    before_s = _offset_s()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        offset_s = _offset_s()
        if abs(offset_s - before_s) < _LEAP_S:
            continue
        before_s = offset_s
        try:
            for task in AFTER_A_LEAP:
                await enqueue(task, timestamp=int(clock.timestamp()))
        except Exception as error:  # the timetable itself comes round in any case
            log.warning("clock.leap_not_followed", error_type=type(error).__name__)


def _offset_s() -> float:
    now = clock.now()
    return (now - clock.to_real(now)).total_seconds()
