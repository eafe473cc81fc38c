"""The operations port: is it alive, can it work, what do its processes measure. For operators and their tools only, never for people.

==========  ==============================================================================================
/livez      200 while this process answers
/readyz     what the service needs, part by part; 503 when it can serve nobody, 200 with ``degraded`` else
/metrics    Prometheus: the counters of all children, and what the database knows
==========  ==============================================================================================
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from sanic import HTTPResponse, Request, Sanic, text

from core import clock
from core.database import fetch_one
from core.log import get_logger
from domain.deadlines.watching import open_by_level, watched
from jobs.backlog import Backlog, backlog
from lianban.app import listen, serving
from models.inbox import unprocessed
from payments import ledger
from payments.reconciliation import items

log = get_logger(__name__)

PART_TIMEOUT_S = 2.0
LAG_S = 60.0
"""Jobs that are due for longer than this mean that workers are missing or overwhelmed."""
SUSPENSE_EVERY_S = 60.0
WATCH = timedelta(minutes=30)
_SUSPENSE_TIMEOUT_S = 8.0
_SETTLED = timedelta(minutes=10)
_INBOX_FROM = timedelta(days=7)


class Children(NamedTuple):
    """Processes that serve, those there should be, and how many were lost so far."""

    serving: int
    wanted: int
    lost: int


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing the service needs."""

    ok: bool
    error: str | None = None
    """The class of the error, when it does not answer."""
    serving: int | None = None
    wanted: int | None = None
    due: int | None = None
    oldest_due_s: float | None = None


class Readiness(msgspec.Struct, frozen=True):
    """`status`: ``ok``; ``degraded``, serves but something is missing; ``down``, serves nobody."""

    status: str
    parts: dict[str, Part]


class Operations:
    """What the operations port answers.

    `children` says which processes serve, `render` gives their metrics as Prometheus text (default: this process's own). `watch` is how
    long the job that warns of promises may be silent while there are any.
    """

    def __init__(
        self,
        redis: Redis,
        children: Callable[[], Children] = lambda: Children(1, 1, 0),
        render: Callable[[], bytes] = lambda: generate_latest(REGISTRY),
        watch: timedelta = WATCH,
    ) -> None:
        self._redis = redis
        self._children = children
        self._render = render
        self._watch = watch
        self._inbox_from: datetime | None = None
        self._suspense: dict[str, int] | None = None
        self._suspense_at: float | None = None

    async def readiness(self) -> Readiness:
        """Ask every part. Only children and database are needed to serve; the queue and Redis are missed, no more."""
        children = self._children()
        parts = {
            "children": Part(children.serving > 0, serving=children.serving, wanted=children.wanted),
            "database": await _asked(self._database),
            "queue": await _asked(self._queue),
            "redis": await _asked(self._ping),
            "warnings": await _asked(self._warnings),
        }
        if not (parts["children"].ok and parts["database"].ok):
            return Readiness("down", parts)
        whole = all(part.ok for part in parts.values()) and children.serving >= children.wanted
        return Readiness("ok" if whole else "degraded", parts)

    async def metrics(self) -> bytes:
        """Prometheus text. What cannot be read now is left out, and ``lianban_up`` says of which part."""
        gauges = _Gauges()
        children = self._children()
        gauges.add("lianban_children", "Processes that serve", children.serving)
        gauges.add("lianban_children_wanted", "Processes that should serve", children.wanted)
        gauges.count("lianban_children_lost", "Processes that died or hung", children.lost)
        parts: dict[str, Callable[[], Awaitable[object]]] = {
            "queue": lambda: self._queue_gauges(gauges),
            "inbox": lambda: self._inbox_gauges(gauges),
            "ledger": lambda: self._ledger_gauges(gauges),
            "reconciliation": lambda: self._reconciliation_gauges(gauges),
            "warnings": lambda: self._warning_gauges(gauges),
            "redis": self._ping,
        }
        for name, read in parts.items():
            part = await _asked(read, _SUSPENSE_TIMEOUT_S if name == "ledger" else PART_TIMEOUT_S)
            gauges.add("lianban_up", "1 when the part answers", float(part.ok), part=name)
        registry = CollectorRegistry()
        registry.register(gauges)
        return self._render() + generate_latest(registry)

    async def _database(self) -> None:
        await fetch_one("select 1")

    async def _ping(self) -> None:
        await self._redis.ping()

    async def _queue(self) -> Part:
        queue = await backlog()
        return Part(queue.oldest_due_s <= LAG_S, due=queue.due, oldest_due_s=round(queue.oldest_due_s, 3))

    async def _warnings(self) -> Part:
        """The alarm about alarms: promises run, and the job that warns of them has not come to its end for too long."""
        watch = await watched()
        return Part(watch.open == 0 or (watch.age_s is not None and watch.age_s <= self._watch.total_seconds()))

    async def _warning_gauges(self, gauges: "_Gauges") -> None:
        watch = await watched()
        if watch.age_s is not None:
            gauges.add("lianban_warnings_age_seconds", "Since the job that warns last came to its end", watch.age_s)
        for level, count in await open_by_level():
            gauges.add("lianban_deadlines_open", "Promises that run, by their level", count, level=level)

    async def _queue_gauges(self, gauges: "_Gauges") -> None:
        queue: Backlog = await backlog()
        for state in ("due", "later", "doing", "failed"):
            gauges.add("lianban_jobs", "Jobs by state", getattr(queue, state), state=state)
        gauges.add("lianban_jobs_oldest_due_seconds", "How long the oldest due job has waited", queue.oldest_due_s)

    async def _inbox_gauges(self, gauges: "_Gauges") -> None:
        now = clock.now()
        left = await unprocessed(self._inbox_from or now - _INBOX_FROM)
        # All received before this has been processed: the next look need not read it again. Some minutes are left for late commits.
        self._inbox_from = min(left.since or now, now) - _SETTLED
        age_s = (now - left.since).total_seconds() if left.since else 0.0
        gauges.add("lianban_inbox_unprocessed", "Deliveries not processed yet", left.waiting)
        gauges.add("lianban_inbox_oldest_unprocessed_seconds", "Age of the oldest of them", max(0.0, age_s))

    async def _ledger_gauges(self, gauges: "_Gauges") -> None:
        if self._suspense_at is None or clock.monotonic() - self._suspense_at > SUSPENSE_EVERY_S:
            self._suspense, self._suspense_at = None, clock.monotonic()
            self._suspense = await ledger.suspense()
        if self._suspense is None:
            raise TimeoutError("not read; the next try is when it is due")
        for provider, fen in self._suspense.items():
            gauges.add("lianban_suspense_fen", "Received, neither posted nor refunded yet", fen, provider=provider)

    async def _reconciliation_gauges(self, gauges: "_Gauges") -> None:
        for owner, count, age_s in await items.standing():
            gauges.add("lianban_reconciliation_items", "Differences nobody has explained", count, owner=owner)
            gauges.add("lianban_reconciliation_oldest_item_seconds", "Age of the oldest of them", age_s, owner=owner)
        gauges.add(
            "lianban_reconciliation_late_files", "Files of past days that have not come", await items.late_files()
        )


class _Gauges(Collector):
    """Values of one moment, as a collector."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def add(self, name: str, words: str, value: float, **labels: str) -> None:
        family = self._families.setdefault(name, GaugeMetricFamily(name, words, labels=[*labels]))
        family.add_sample(name, labels, value)

    def count(self, name: str, words: str, value: float) -> None:
        self._families[name] = CounterMetricFamily(name, words, value=value)

    def collect(self) -> Iterable[Metric]:
        return self._families.values()


@asynccontextmanager
async def running(operations: Operations, host: str, port: int) -> AsyncIterator[None]:
    """Serve `operations` on this port until the end of the block."""
    app = Sanic("lianban-operations", configure_logging=False, strict_slashes=True)
    app.config.update(ACCESS_LOG=False, REQUEST_MAX_SIZE=1024, REQUEST_TIMEOUT=5, KEEP_ALIVE_TIMEOUT=15)

    async def livez(_request: Request) -> HTTPResponse:
        return text("ok\n")

    async def readyz(_request: Request) -> HTTPResponse:
        readiness = await operations.readiness()
        status = 503 if readiness.status == "down" else 200
        return HTTPResponse(msgspec.json.encode(readiness), status, content_type="application/json")

    async def metrics(_request: Request) -> HTTPResponse:
        return HTTPResponse(await operations.metrics(), content_type=CONTENT_TYPE_LATEST)

    for handler in (livez, readyz, metrics):
        app.add_route(handler, f"/{handler.__name__}", name=handler.__name__)
    try:
        async with serving(app, listen(host, port)):
            yield
    finally:
        Sanic.unregister_app(app)


async def _asked(ask: Callable[[], Awaitable[object]], timeout_s: float = PART_TIMEOUT_S) -> Part:
    """What `ask` says of its part; whatever goes wrong with it says that the part is not well."""
    try:
        async with asyncio.timeout(timeout_s):
            answer = await ask()
    except Exception as error:
        log.warning("operations.part_away", error_type=type(error).__name__)
        return Part(False, error=type(error).__name__)
    return answer if isinstance(answer, Part) else Part(True)
