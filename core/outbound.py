"""The one way to the outside world.

Every call to a counterpart (a company, WeChat, WeChat Pay …) goes through one :class:`Counterpart`. It gives each call a deadline
for the whole of it, a cap on the answer, a place in the counterpart's bulkhead, and a circuit that stops knocking at a door nobody
opens. A failure says what the caller may conclude::

    OutboundError
    ├── NotSent          surely nothing happened there: no connection, circuit open, no free place
    └── OutcomeUnknown   the request may have been carried out: ask under the same id, never guess
        └── MalformedAnswer   an answer came that proves nothing: not signed as it must be, or not of its shape

An answer of any status is an :class:`Answer`; what it means is the caller's business. Redirects are not followed, proxies of the
environment are not used, cookies are not kept. Bodies, headers and query strings are never logged.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import httpx

from core import clock
from core.engine import transaction_is_open
from core.errors import LianbanError
from core.log import get_logger

log = get_logger(__name__)

# httpx logs each address with its query string, where WeChat wants its secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

MAX_ANSWER_BYTES = 64 * 1024
RETRY_PAUSES_S = (0.1, 0.3)

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Header fields as pairs; a mapping counts when its ``items()`` repeats a repeated name."""


class OutboundError(LianbanError):
    """A call to `counterpart` gave no answer; `reason` is a fixed word for the log."""

    code = "counterpart_failed"

    def __init__(self, counterpart: str, operation: str, reason: str) -> None:
        super().__init__(f"{counterpart} {operation}: {reason}")
        self.counterpart = counterpart
        self.operation = operation
        self.reason = reason


class NotSent(OutboundError):
    """The request surely did nothing at the counterpart; it may be sent again later."""

    code = "counterpart_unreachable"


class OutcomeUnknown(OutboundError):
    """The request may have been carried out; only asking under the same id tells."""

    code = "counterpart_outcome_unknown"


class MalformedAnswer(OutcomeUnknown):
    """An answer came, but it proves nothing: not signed as it must be, or not of the shape agreed. `reason` says which."""

    code = "counterpart_answer_malformed"


class FailureKind(StrEnum):
    """Whose fault a counterpart's error code is; each client has a table from codes to these."""

    PERMANENT = "permanent"
    """The same request will be refused again; the person must do something else."""
    TEMPORARY = "temporary"
    """Later the same request may pass."""
    TECHNICAL = "technical"
    """Ours or theirs to repair: keys, permissions, malformed requests."""
    UNKNOWN = "unknown"
    """It may have been carried out all the same: ask."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the counterpart answered. `headers` keeps repeated names; `content` is the body as it was on the wire."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The value of a header that must stand alone: ``None`` when it is missing or repeated."""
        values = header_values(self.headers, name)
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """The circuit opens when `failure_share` of the last `window` calls failed, and lets one probe through each `pause`."""

    window: int = 20
    failure_share: float = 0.5
    pause: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the circuit handed to a call it let through."""

    is_probe: bool


class Circuit:
    """Counts the last calls of one counterpart. Pure: the time comes in as an argument, in seconds of the monotonic clock."""

    def __init__(self, settings: CircuitSettings) -> None:
        self._settings = settings
        self._failures_to_open = max(1, round(settings.window * settings.failure_share))
        self._failed: deque[bool] = deque(maxlen=settings.window)
        self._open_until: float | None = None
        self._probe_is_out = False

    @property
    def is_open(self) -> bool:
        """True while calls are refused but for a probe."""
        return self._open_until is not None

    def admit(self, now_s: float) -> Ticket | None:
        """A ticket for a call that may leave; in an open circuit only the first one after the pause may, as the probe."""
        if self._open_until is None:
            return Ticket(is_probe=False)
        if self._probe_is_out or now_s < self._open_until:
            return None
        self._probe_is_out = True
        return Ticket(is_probe=True)

    def succeeded(self, ticket: Ticket) -> None:
        """The call was answered below 500. Of an open circuit only the probe's answer counts: others left before it opened."""
        if ticket.is_probe:
            self._failed.clear()
            self._open_until, self._probe_is_out = None, False
        elif not self.is_open:
            self._failed.append(False)

    def failed(self, ticket: Ticket, now_s: float) -> None:
        """The call ended in an exception or an answer of 5xx."""
        if ticket.is_probe:
            self._open_until, self._probe_is_out = now_s + self._settings.pause.total_seconds(), False
        elif not self.is_open:
            self._failed.append(True)
            if sum(self._failed) >= self._failures_to_open:
                self._open_until = now_s + self._settings.pause.total_seconds()

    def abandoned(self, ticket: Ticket) -> None:
        """The caller cancelled the call: it says nothing about the counterpart, but a probe gives its place back."""
        if ticket.is_probe:
            self._probe_is_out = False


class Counterpart:
    """One outside system.

    `name` is for logs and errors, such as ``"company:water"``. `base_url` is scheme, host and an optional path; operations' paths
    are appended to it. `timeout` is the deadline of the whole call, waiting for a free place and retries included. `client` is for
    tests and for counterparts with their own TLS settings; it must not follow redirects or trust the environment.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        timeout: timedelta = timedelta(seconds=5),
        connect_timeout: timedelta = timedelta(seconds=2),
        circuit: CircuitSettings | None = None,
        max_concurrent: int = 20,
        place_timeout: timedelta = timedelta(seconds=1),
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        client: httpx.AsyncClient | None = None,
        monotonic: Callable[[], float] = clock.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        address = httpx.URL(base_url)
        if address.scheme not in ("http", "https") or not address.host or address.query or address.userinfo:
            raise ValueError(f"{name}: base_url must be http(s)://host[:port][/path] without query or user")
        self.name = name
        self.authority = address.netloc.decode("ascii")
        """Host, and the port unless it is the default one: what stands in the Host header."""
        self.base_path = address.path.rstrip("/")
        self.calls = 0
        """How many calls are under way now, those that wait for a free place included."""
        self.circuit = Circuit(circuit or CircuitSettings())
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout.total_seconds()
        self._place_timeout_s = place_timeout.total_seconds()
        self._max_answer_bytes = max_answer_bytes
        self._places = asyncio.Semaphore(max_concurrent)
        self._monotonic = monotonic
        self._sleep = sleep
        self._client = client or _make_client(connect_timeout, max_concurrent)

    async def aclose(self) -> None:
        """Close the connections; the process is going down."""
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        headers: Headers = (),
        content: bytes = b"",
        idempotent: bool = False,
        timeout: timedelta | None = None,
        max_answer_bytes: int | None = None,
        is_failure: Callable[[Answer], bool] = lambda answer: answer.status >= 500,
    ) -> Answer:
        """Send one request and return its answer, whatever its status.

        `path` begins with ``/`` and is sent exactly so: encoded, with its query string if it has one. `idempotent` is the caller's
        word that sending twice is as good as once; only then a request that was surely not sent is tried again, within the deadline.
        `is_failure` says which answers count against the circuit, for systems that write their failures under a status of success.

        Raises:
            NotSent: nothing happened there.
            OutcomeUnknown: it may have happened.
            RuntimeError: a database transaction is open: the database is never held while waiting for the world.
        """
        if transaction_is_open():
            raise RuntimeError(f"{self.name} {operation}: called while a database transaction is open")
        if not path.startswith("/"):
            raise ValueError("path must begin with /")
        url = httpx.URL(self._base_url + path)
        if url.raw_path != (self.base_path + path).encode():
            raise ValueError("path must be given as it is sent: encoded, without dot segments")
        call = _Call(
            operation=operation,
            method=method,
            url=url,
            headers=list(_pairs(headers)),
            content=content,
            max_answer_bytes=max_answer_bytes or self._max_answer_bytes,
            is_failure=is_failure,
        )
        deadline_s = self._monotonic() + (timeout.total_seconds() if timeout else self._timeout_s)
        pauses = list(RETRY_PAUSES_S) if idempotent else []
        while True:
            try:
                return await self._attempt(call, deadline_s)
            except NotSent as error:
                pause_s = pauses.pop(0) if pauses and error.reason in _WORTH_A_RETRY else None
                if pause_s is None or self._monotonic() + pause_s >= deadline_s:
                    raise
                await self._sleep(pause_s)

    async def _attempt(self, call: "_Call", deadline_s: float) -> Answer:
        self.calls += 1
        try:
            return await self._placed(call, deadline_s)
        finally:
            self.calls -= 1

    async def _placed(self, call: "_Call", deadline_s: float) -> Answer:
        began_s = self._monotonic()
        try:
            async with asyncio.timeout(min(self._place_timeout_s, max(0.0, deadline_s - began_s))):
                await self._places.acquire()
        except TimeoutError:
            raise self._ended(call, _Failed(NotSent, "no_free_place"), began_s) from None
        try:
            return await self._watched(call, deadline_s, began_s)
        finally:
            self._places.release()

    async def _watched(self, call: "_Call", deadline_s: float, began_s: float) -> Answer:
        ticket = self.circuit.admit(self._monotonic())
        if ticket is None:
            raise self._ended(call, _Failed(NotSent, "circuit_open"), began_s)
        try:
            answer = await self._send(call, deadline_s)
        except asyncio.CancelledError:
            self.circuit.abandoned(ticket)
            self._log(call, "cancelled", began_s)
            raise
        except _Failed as failure:
            self.circuit.failed(ticket, self._monotonic())
            raise self._ended(call, failure, began_s) from failure.__cause__
        except Exception:
            self.circuit.failed(ticket, self._monotonic())
            raise
        if call.is_failure(answer):
            self.circuit.failed(ticket, self._monotonic())
        else:
            self.circuit.succeeded(ticket)
        self._log(call, "answered", began_s, status=answer.status)
        return answer

    async def _send(self, call: "_Call", deadline_s: float) -> Answer:
        connection = _ConnectionWatch()
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._monotonic())):
                request = self._client.build_request(
                    call.method, call.url, headers=call.headers, content=call.content, extensions={"trace": connection}
                )
                # A compressed body would hide its size, and signatures cover the bytes on the wire.
                request.headers["Accept-Encoding"] = "identity"
                response = await self._client.send(request, stream=True)
                try:
                    return await _read(response, call.max_answer_bytes)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise _Failed(NotSent if connection.surely_not_sent else OutcomeUnknown, "deadline") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _Failed(NotSent, "no_connection") from error
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise _Failed(OutcomeUnknown, "protocol") from error
        except httpx.TimeoutException as error:
            raise _Failed(OutcomeUnknown, "deadline") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _Failed(OutcomeUnknown, "connection_broken") from error

    def _ended(self, call: "_Call", failure: "_Failed", began_s: float) -> OutboundError:
        outcome = "not_sent" if failure.kind is NotSent else "unknown"
        self._log(call, outcome, began_s, reason=failure.reason, cause=_root_cause(failure))
        return failure.kind(self.name, call.operation, failure.reason)

    def _log(
        self,
        call: "_Call",
        outcome: str,
        began_s: float,
        *,
        status: int | None = None,
        reason: str | None = None,
        cause: str | None = None,
    ) -> None:
        write = log.info if outcome in ("answered", "cancelled") and (status or 0) < 500 else log.warning
        write(
            "outbound.call",
            counterpart=self.name,
            operation=call.operation,
            outcome=outcome,
            status=status,
            reason=reason,
            cause=cause,
            duration_ms=round((self._monotonic() - began_s) * 1000),
        )


def header_values(headers: Headers, name: str) -> list[str]:
    """All values of one header, name compared without case: the caller decides what a repeated one means."""
    wanted = name.lower()
    return [value for key, value in _pairs(headers) if key.lower() == wanted]


def _pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    return cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers


_WORTH_A_RETRY = frozenset({"no_connection"})


@dataclass(frozen=True, slots=True)
class _Call:
    operation: str
    method: str
    url: httpx.URL
    headers: list[tuple[str, str]] = field(repr=False)
    content: bytes = field(repr=False)
    max_answer_bytes: int
    is_failure: Callable[[Answer], bool]


class _Failed(Exception):
    def __init__(self, kind: type[OutboundError], reason: str) -> None:
        self.kind = kind
        self.reason = reason


class _ConnectionWatch:
    """Knows from the transport's trace whether the first byte of the request may have left.

    Without any trace event (a fake transport) it knows nothing and assumes that it may have.
    """

    def __init__(self) -> None:
        self._connecting = False
        self._sending = False

    @property
    def surely_not_sent(self) -> bool:
        return self._connecting and not self._sending

    async def __call__(self, event: str, _info: object) -> None:
        if event.endswith("connect_tcp.started"):
            self._connecting = True
        elif event.endswith("send_request_headers.started"):
            self._sending = True


def _root_cause(error: BaseException) -> str | None:
    """The class of the first error in the chain (``gaierror``, ``ConnectionRefusedError`` …); its text may hold an address."""
    cause = error.__cause__
    while cause is not None and (cause.__cause__ or cause.__context__) is not None:
        cause = cause.__cause__ or cause.__context__
    return type(cause).__name__ if cause is not None else None


async def _read(response: httpx.Response, max_bytes: int) -> Answer:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Failed(OutcomeUnknown, "answer_encoded")
    announced = response.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise _Failed(OutcomeUnknown, "answer_too_large")
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > max_bytes:
            raise _Failed(OutcomeUnknown, "answer_too_large")
    return Answer(response.status_code, tuple(response.headers.multi_items()), bytes(content))


@cache
def _tls() -> ssl.SSLContext:
    """One for all counterparts: reading the roots of trust costs 40 ms each time."""
    return httpx.create_ssl_context(trust_env=False)


def _make_client(connect_timeout: timedelta, max_concurrent: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=_tls(),
        # The deadline of the whole call is ours; httpx's own clocks only bound the connecting.
        timeout=httpx.Timeout(None, connect=connect_timeout.total_seconds()),
        limits=httpx.Limits(
            max_connections=max_concurrent, max_keepalive_connections=max_concurrent, keepalive_expiry=5
        ),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "lianban"},
    )
