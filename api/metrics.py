"""Counters for operators (Prometheus): requests by operation and status, and how long they took."""

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
    _REQUESTS.labels(operation, str(status)).inc()
    _SECONDS.labels(operation).observe(seconds)
