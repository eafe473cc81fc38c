"""Refusing in time what can wait, so that what cannot is answered: 503 before any work is done, most dispensable first.

Three things are measured: requests this process works on itself (those that wait for an outside system cost it nothing), requests that
stand in line for a database connection, and how late the event loop comes to what is due. The most pressing of them decides how many
classes of :data:`CLASSES` are refused. It rises at once, on every arrival; it falls by one class each :data:`HOLD_S`, once the
pressure is clearly below what raised it, so from everything refused to normal takes three seconds.

How much one caller may ask is another matter: :class:`core.redis.RateLimited`, 429.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self, get_args

from core import clock
from core.errors import LianbanError
from core.log import get_logger

log = get_logger(__name__)

Shed = Literal["report", "search", "refresh", "filing", "login", "payment"]
CLASSES: tuple[Shed, ...] = get_args(Shed)
"""In the order in which they are refused. A route of no class is never refused: notices, and reading one's own payment."""

FULL_WORKING = 160
FULL_WAITING = 100
FULL_LAG_S = 0.5
"""What counts as full, per process. At 350 requests a second 160 at once means that each takes half a second."""
FIRST = 0.5
"""The pressure from which the first class is refused; the last one is from 1."""
CALM = 0.8
"""The share of its own threshold below which the pressure must stay before a class is let in again."""
HOLD_S = 0.5
TICK_S = 0.1
_LAG_CAP_S = 1.0
_LAG_WEIGHT = 0.2
_RETRY_AFTER_S: dict[Shed, int] = {"report": 30, "search": 10, "refresh": 10, "filing": 10, "login": 5, "payment": 3}


class Overloaded(LianbanError):
    """Too much at once; nothing of this request was done. data: ``retry_after_s``."""

    code = "overloaded"


@dataclass(frozen=True, slots=True)
class Load:
    """A reading: requests worked on here, requests waiting for a connection, lateness of the event loop (smoothed)."""

    working: int = 0
    waiting: int = 0
    lag_s: float = 0.0

    @property
    def pressure(self) -> float:
        """How full the process is: 1 is full."""
        return max(self.working / FULL_WORKING, self.waiting / FULL_WAITING, self.lag_s / FULL_LAG_S)


class Shedder:
    """Decides for one process. `outside` counts calls to other systems under way, `waiting` those in line for a connection."""

    def __init__(
        self,
        outside: Callable[[], int] = lambda: 0,
        waiting: Callable[[], int] = lambda: 0,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._outside = outside
        self._waiting = waiting
        self._monotonic = monotonic
        self._lag_s = 0.0
        self._pressed_at = 0.0
        self.in_flight = 0
        self.level = 0
        """How many classes are refused now."""

    def load(self) -> Load:
        """The reading of this moment."""
        return Load(max(0, self.in_flight - self._outside()), self._waiting(), self._lag_s)

    def admitted(self, shed: Shed | None) -> Self:
        """For the time of one request: ``with shedder.admitted(route.shed):``.

        Raises:
            Overloaded: the class is refused now.
        """
        self._rise(self.load().pressure)
        if shed is not None and CLASSES.index(shed) < self.level:
            raise Overloaded(retry_after_s=_RETRY_AFTER_S[shed])
        return self

    def look(self, late_s: float) -> None:
        """Called every :data:`TICK_S` by whoever runs the process, `late_s` after it was due."""
        # One long stall is no overload: it counts for at most a second, and only with its neighbours.
        self._lag_s += _LAG_WEIGHT * (min(max(0.0, late_s), _LAG_CAP_S) - self._lag_s)
        pressure = self.load().pressure
        self._rise(pressure)
        if not self.level or pressure >= CALM * _threshold(self.level):
            self._pressed_at = self._monotonic()
        elif self._monotonic() - self._pressed_at >= HOLD_S:
            self._pressed_at = self._monotonic()
            self._move(self.level - 1)

    def __enter__(self) -> None:
        self.in_flight += 1

    def __exit__(self, *_error: object) -> None:
        self.in_flight -= 1

    def _rise(self, pressure: float) -> None:
        level = self.level
        while level < len(CLASSES) and pressure >= _threshold(level + 1):
            level += 1
        if level > self.level:
            self._pressed_at = self._monotonic()
            self._move(level)

    def _move(self, level: int) -> None:
        load = self.load()
        log.warning(
            "shedding.level",
            level=level, before=self.level, working=load.working, waiting=load.waiting, lag_ms=round(load.lag_s * 1000),
        )  # fmt: skip
        self.level = level


def _threshold(level: int) -> float:
    """The pressure from which `level` classes are refused."""
    return FIRST + (1 - FIRST) * (level - 1) / (len(CLASSES) - 1)
