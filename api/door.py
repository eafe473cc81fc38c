"""Refusing at the door: what overload turns away is answered from its first line, before Sanic reads the request.

A refusal costs about a tenth of what reading and routing the request would, so that a process offered ten times what it can do still
does what it can. Only whole plain requests are looked at; whatever is unusual goes the ordinary way, where the same classes are refused
by the same :class:`api.shedding.Shedder` in the same words.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from sanic.http import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from api.calls import Route
from api.errors import problem
from api.shedding import CLASSES, Shed, Shedder, refusal
from core import ids

_PLACE = b"*"
_ID = "\0"
"""Stands for the request id in a prepared body."""
_TELLING = b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"connection", b" ", b"\t"
"""Beginnings of lines of a head that say where the request ends, or what is to become of the connection, or go on with the line before."""
_LENGTH = re.compile(rb"content-length:[ \t]*([0-9]{1,7})[ \t]*")
_KEPT = re.compile(rb"connection:[ \t]*keep-alive[ \t]*")
_PROCESS, _REFUSED = ids.new_reference().encode(), itertools.count()
"""The ids of what is refused here are counted: drawing one at random costs as much as the rest of a refusal."""
_REQUEST_ID = re.compile(rb"(?i)\r\nx-request-id:[ \t]*([0-9a-z-]{8,40})[ \t]*\r\n")


class Doorkeeper:
    """Knows which requests are refused now. `routes` of companies are left alone: their answers are signed."""

    def __init__(self, shedder: Shedder, routes: Iterable[Route], headers: Mapping[str, str]) -> None:
        self._shedder = shedder
        known = [route for route in routes if route.access.who != "company"]
        self._words = {
            word.encode() for route in known for word in route.path.split("/") if word and not word.startswith("{")
        }
        self._routes = {
            (route.method.encode(), _form(route.path)): _Shed(route.name, route.shed, CLASSES.index(route.shed))
            for route in known
            if route.shed is not None
        }
        self._refusals = {shed: _Refusal(shed, headers) for shed in CLASSES}
        self.refused: Counter[str] = Counter()
        """Requests refused here since they were last counted, by the route's name."""

    def refusal(self, data: bytes) -> bytes | None:
        """The answer to this request when it is refused, None when it shall go on."""
        shedder = self._shedder
        level = shedder.refused_on_arrival
        if level:
            route, head = self._whole_request(data)
            if route is not None and route.rank < level:
                shedder.refused()
                self.refused[route.name] += 1
                given = _REQUEST_ID.search(data) if b"\r\nx-request-id:" in head else None
                return self._refusals[route.shed].answer(given[1] if given else b"%b-%x" % (_PROCESS, next(_REFUSED)))
        shedder.arrived()
        return None

    def _whole_request(self, data: bytes) -> "tuple[_Shed | None, bytes]":
        """The route of what is exactly one request, None for anything else and for a route that is never refused; the head in lower case."""
        end = data.find(b"\r\n\r\n")
        head = data[: end + 2].lower()
        if end < 0:
            return None, head
        method, _, rest = data[: data.find(b"\r\n")].partition(b" ")
        target, _, version = rest.partition(b" ")
        if version != b"HTTP/1.1":
            return None, head
        words = [word if word in self._words else _PLACE for word in target.partition(b"?")[0].split(b"/")[1:]]
        route = self._routes.get((method, tuple(words)))
        if route is None:
            return None, head
        lines, length = head.split(b"\r\n"), None
        if head.count(b"\n") != len(lines) - 1:
            return None, head
        for line in lines[1:]:
            if not line.startswith(_TELLING):
                continue
            told = _LENGTH.fullmatch(line)
            if told is not None and length is None:
                length = int(told[1])
            elif not _KEPT.fullmatch(line):
                return None, head
        return (route if len(data) == end + 4 + (length or 0) else None), head


class Door(HttpProtocol):
    """A connection whose requests meet the doorkeeper first (``app.ctx.doorkeeper``)."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Answer at once, or hand on to Sanic."""
        if data and self._is_between_requests():
            answer = self.app.ctx.doorkeeper.refusal(data)
            if answer is not None and self.transport is not None:
                self._time = self.loop.time()
                self.transport.write(answer)
                return
        super().data_received(data)

    def _is_between_requests(self) -> bool:
        http: Any = self.http
        is_idle = http is None or http.stage is Stage.IDLE
        return is_idle and not self.recv_buffer and self._can_write.is_set() and self.app.config.KEEP_ALIVE


def _form(path: str) -> tuple[bytes, ...]:
    return tuple(_PLACE if word.startswith("{") else word.encode() for word in path.split("/")[1:])


class _Shed(NamedTuple):
    """A route that may be refused: its class, and the place of the class in the order of refusal."""

    name: str
    shed: Shed
    rank: int


class _Refusal:
    """The answer to one class, made ready but for the request's id."""

    def __init__(self, shed: Shed, headers: Mapping[str, str]) -> None:
        content, extra = problem(refusal(shed), _ID)
        lines = [f"HTTP/1.1 {content.status} Service Unavailable"]
        lines += [f"{name.lower()}: {value}" for name, value in {**headers, **extra}.items()]
        lines += ["content-type: application/problem+json", "connection: keep-alive", "content-length: "]
        self._head = "\r\n".join(lines).encode()
        self._before, self._after = msgspec.json.encode(content).split(msgspec.json.encode(_ID)[1:-1])

    def answer(self, request_id: bytes) -> bytes:
        length = len(self._before) + len(request_id) + len(self._after)
        return b"%b%d\r\nx-request-id: %b\r\n\r\n%b%b%b" % (
            self._head, length, request_id, self._before, request_id, self._after,
        )  # fmt: skip
