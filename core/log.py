"""Structured logs: a fixed event name, identifiers, and nothing personal.

One JSON line per event on standard error (readable lines in dev). Context (request id, job id) is bound once with
:func:`bound` and appears on every line. A redactor drops values under sensitive names and masks what looks like an ID number, a
mobile number or a token in any value, so that one careless call does not put a person into the log.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

_SENSITIVE = re.compile(
    r"(?:^|_)(?:phone|mobile|name|address|id_number|openid|unionid|token|secret|key|code|proof|password|authorization|body|content)$"
)
_ALLOWED = frozenset({"error_code", "status_code", "company_code", "event_name", "task_name", "code_name", "key_id"})
_SHAPES = re.compile(
    r"(?<![0-9A-Za-z])(?:[1-9][0-9]{16}[0-9Xx]|(?:\+?86)?1[3-9][0-9]{9}|o[0-9A-Za-z_-]{27}|eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_.-]+)(?![0-9A-Za-z])"
)

Logger = structlog.stdlib.BoundLogger


def get_logger(name: str) -> Logger:
    """A logger for one module; the first argument of each call is the fixed event name, such as ``"outbound.call"``."""
    return structlog.get_logger(name, module=name)


def configure(*, level: str = "INFO", readable: bool = False, stream: TextIO | None = None) -> None:
    """Set up logging for the process, to `stream` or standard error; also takes in the standard library's loggers."""
    stream = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # A traceback may quote values, so it becomes text before the redactor looks.
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = (
        structlog.dev.ConsoleRenderer(colors=False)
        if readable
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    handler.addFilter(_abandoned_transaction)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level != "DEBUG" else logging.INFO)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: drop values under sensitive names, mask personal shapes in the rest."""
    for key, value in event.items():
        if key not in ("exc_info", "timestamp", "level"):
            event[key] = _redacted(key, value)
    return event


def _redacted(key: str, value: Any) -> Any:
    if key not in _ALLOWED and _SENSITIVE.search(key):
        return "[redacted]"
    if isinstance(value, int | float | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): _redacted(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", inner) for inner in value]
    return _SHAPES.sub("[masked]", str(value))


class bound:  # noqa: N801 -- reads as the verb it stands for
    """Bind context to every log line written inside, once per request or job: ``with bound(request_id=…):``."""

    __slots__ = ("_tokens", "_values")

    def __init__(self, **values: Any) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._tokens = structlog.contextvars.bind_contextvars(**self._values)

    def __exit__(self, *_error: object) -> None:
        structlog.contextvars.reset_contextvars(**self._tokens)


def _abandoned_transaction(record: logging.LogRecord) -> bool:
    """asyncpg reports each transaction whose client hung up as an error; the pool resets the connection, nothing is wrong."""
    return "Resetting connection with an active transaction" not in record.getMessage()
