"""Answers without Sanic's empty ``alt-svc`` header, which no real counterpart sends."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sanic import HTTPResponse


class Reply(HTTPResponse):
    """An HTTP answer whose body bytes are final, so that they can be signed."""

    @property
    def processed_headers(self) -> Iterator[tuple[bytes, bytes]]:
        return ((name, value) for name, value in super().processed_headers if name.lower() != b"alt-svc")


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply(encode(value), status, dict(headers or {}), content_type="application/json; charset=utf-8")


def empty_reply(status: int = 204, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer without a body."""
    return Reply(b"", status=status, headers=dict(headers or {}))
