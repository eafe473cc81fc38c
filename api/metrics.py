"""Counters for operators (Prometheus): requests by operation and status, and how long they took."""

from functools import cache

from prometheus_client import Counter, Histogram

_REQUESTS = Counter("lianban_requests_total", "Answered requests", ["operation", "status"])
_SECONDS = Histogram(
    "lianban_request_seconds",
    "Time to answer",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


def observe(operation: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    requests, durations = _series(operation, status)
    requests.inc()
    durations.observe(seconds)


@cache
def _series(operation: str, status: int) -> tuple[Counter, Histogram]:
    """Looking a series up costs more than counting. Operations and statuses are few: they come from our tables."""
    return _REQUESTS.labels(operation, str(status)), _SECONDS.labels(operation)
