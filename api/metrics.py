"""What one process counts and measures for operators (Prometheus).

Works alone and, with ``PROMETHEUS_MULTIPROC_DIR`` set before the first import, as one of several processes: counters add up over all,
also over those that have died, gauges over those that live.
"""

from collections.abc import Mapping
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from api.shedding import Load
from core.database import PoolState

_REQUESTS = Counter("lianban_requests_total", "Answered requests", ["operation", "status"])
_SECONDS = Histogram(
    "lianban_request_seconds",
    "Time to answer",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
_WORKING = Gauge("lianban_requests_working", "Requests worked on now", multiprocess_mode="livesum")
_LAG = Gauge("lianban_loop_lag_seconds", "Lateness of the event loop, smoothed", multiprocess_mode="livemax")
_SHED = Gauge("lianban_shed_classes", "Classes of requests refused now", multiprocess_mode="livemax")
_POOL_SIZE = Gauge("lianban_pool_size", "Database connections there may be", multiprocess_mode="livesum")
_POOL_IN_USE = Gauge("lianban_pool_in_use", "Database connections in use", multiprocess_mode="livesum")
_POOL_WAITING = Gauge("lianban_pool_waiting", "Waiting for a database connection", multiprocess_mode="livesum")
_CIRCUIT = Gauge(
    "lianban_circuit_open", "1 while an API process calls this counterpart no more", ["counterpart"], multiprocess_mode="livemax"
)  # fmt: skip


def publish(load: Load, refused_classes: int, pool: PoolState, circuits: Mapping[str, bool]) -> None:
    """Set the gauges; `circuits`: counterpart → is it open."""
    _WORKING.set(load.working)
    _LAG.set(load.lag_s)
    _SHED.set(refused_classes)
    _POOL_SIZE.set(pool.size)
    _POOL_IN_USE.set(pool.in_use)
    _POOL_WAITING.set(pool.waiting)
    for counterpart, is_open in circuits.items():
        _CIRCUIT.labels(counterpart).set(is_open)


def observe(operation: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    requests, durations = _series(operation, status)
    requests.inc()
    durations.observe(seconds)


def count_refused(refused: Mapping[str, int]) -> None:
    """Count what was refused at the door, by operation; it took no time worth a histogram."""
    for operation, count in refused.items():
        _REQUESTS.labels(operation, "503").inc(count)


@cache
def _series(operation: str, status: int) -> tuple[Counter, Histogram]:
    """Looking a series up costs more than counting. Operations and statuses are few: they come from our tables."""
    return _REQUESTS.labels(operation, str(status)), _SECONDS.labels(operation)
