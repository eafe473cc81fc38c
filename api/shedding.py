"""Refusing in time what can wait, so that what cannot is answered: 503 before any work is done, most dispensable first.

Three things are measured: requests this process works on itself (those that wait for an outside system cost it nothing), requests that
stand in line for a database connection, and how late the event loop comes to what is due. The first two are limits of each class of
:data:`CLASSES`, looked at on every arrival: a class is let in up to its share of what is full, so that the process stays busy with
what it can do. Lateness has a memory: it is smoothed, what it has closed opens again class by class, one each :data:`HOLD_S`, and
only once it is clearly below what closed it. From everything refused to normal takes about five seconds.

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

FULL_WORKING = 200
FULL_WAITING = 160
FULL_LAG_S = 0.5
"""What counts as full, per process. At 500 requests a second 200 at once means that each takes 400 ms."""
FIRST = 0.5
"""How full it is when the first class is refused; the last one is at 1."""
CALM = 0.8
"""The share of its own threshold below which the lateness must stay before a class is let in again."""
HOLD_S = 0.5
TICK_S = 0.1
_QUIET_S = 5.0
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
    def crowd(self) -> float:
        """How full the process is of requests: 1 is full."""
        return _crowd(self.working, self.waiting)


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
        self._late_level = 0
        self._late_at = 0.0
        self._refused = 0
        self._refused_at: float | None = None
        self._arriving = 0
        self.in_flight = 0

    def load(self) -> Load:
        """The reading of this moment."""
        return Load(max(0, self.in_flight - self._outside()), self._waiting(), self._lag_s)

    @property
    def refused_classes(self) -> int:
        """How many classes are refused now."""
        return max(self._late_level, _level(self.load().crowd))

    @property
    def refused_on_arrival(self) -> int:
        """The same for who comes through the door now: those let in a moment ago, whose work has not begun, count too."""
        working = max(0, self.in_flight - self._outside()) + self._arriving
        return max(self._late_level, _level(_crowd(working, self._waiting())))

    def arrived(self) -> None:
        """The door lets a request in; :meth:`admitted` follows once it has been read."""
        self._arriving += 1

    def refused(self) -> None:
        """The door has refused a request."""
        self._refused += 1

    def admitted(self, shed: Shed | None) -> Self:
        """For the time of one request: ``with shedder.admitted(route.shed):``.

        Raises:
            Overloaded: the class is refused now.
        """
        self._arriving = max(0, self._arriving - 1)
        if shed is not None and CLASSES.index(shed) < self.refused_classes:
            self.refused()
            raise refusal(shed)
        return self

    def look(self, late_s: float) -> None:
        """Called every :data:`TICK_S` by whoever runs the process, `late_s` after it was due."""
        now_s = self._monotonic()
        # Some never get as far as a route, so what is still counted as arriving is forgotten.
        self._arriving = 0
        # One long stall is no overload: it counts for at most a second, and only with its neighbours.
        self._lag_s += _LAG_WEIGHT * (min(max(0.0, late_s), _LAG_CAP_S) - self._lag_s)
        fullness = self._lag_s / FULL_LAG_S
        level = _level(fullness)
        if level >= self._late_level:
            self._late_level, self._late_at = level, now_s
        elif fullness >= CALM * _threshold(self._late_level):
            self._late_at = now_s
        elif now_s - self._late_at >= HOLD_S:
            self._late_level, self._late_at = self._late_level - 1, now_s
        self._tell(now_s)

    def __enter__(self) -> None:
        self.in_flight += 1

    def __exit__(self, *_error: object) -> None:
        self.in_flight -= 1

    def _tell(self, now_s: float) -> None:
        """Log the beginning and the end of a time of refusals, not each of them."""
        if self._refused:
            if self._refused_at is None:
                load = self.load()
                lag_ms = round(load.lag_s * 1000)
                log.warning("shedding.began", working=load.working, waiting=load.waiting, lag_ms=lag_ms)
            self._refused, self._refused_at = 0, now_s
        elif self._refused_at is not None and now_s - self._refused_at >= _QUIET_S:
            log.warning("shedding.ended")
            self._refused_at = None


def refusal(shed: Shed) -> Overloaded:
    """What a refused request of this class is told."""
    return Overloaded(retry_after_s=_RETRY_AFTER_S[shed])


def _crowd(working: int, waiting: int) -> float:
    return max(working / FULL_WORKING, waiting / FULL_WAITING)


def _level(fullness: float) -> int:
    """How many classes are refused when something is this full."""
    if fullness < FIRST:
        return 0
    return min(len(CLASSES), 1 + int((fullness - FIRST) / (1 - FIRST) * (len(CLASSES) - 1) + 1e-9))


def _threshold(level: int) -> float:
    """How full it is when `level` classes are refused."""
    return FIRST + (1 - FIRST) * (level - 1) / (len(CLASSES) - 1)
