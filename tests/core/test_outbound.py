"""A call to the outside ends in an answer, in `NotSent`, or in `OutcomeUnknown`, and the three are never confused."""

import asyncio
import io
import logging
from collections.abc import Callable
from contextlib import aclosing, nullcontext
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog

from core.database import transaction
from core.outbound import (
    Answer,
    Circuit,
    CircuitSettings,
    Counterpart,
    NotSent,
    OutboundError,
    OutcomeUnknown,
    header_values,
)
from tests.core.wire import answer, cut_short, drop, hang, nobody_listens, wire

SHORT = timedelta(milliseconds=150)


class Time:
    """A monotonic clock that moves when told, and a sleep that moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


def faked(handler: Callable[[httpx.Request], Any], **settings: Any) -> Counterpart:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return Counterpart("company:water", "https://water.example/v1", client=client, **settings)


async def test_an_answer_of_any_status_comes_back_as_it_was_on_the_wire() -> None:
    async with wire(answer(422, b'{"code": "EB0001"}', X_One="a")) as there, aclosing(Counterpart("x", there.url)) as x:
        got = await x.request("POST", "/accounts/find", operation="find", headers={"X-Two": "b"}, content=b"{}")
    assert (got.status, got.content, got.header("x-one")) == (422, b'{"code": "EB0001"}', "a")
    head = there.requests[0].lower()
    assert head.startswith(b"post /accounts/find http/1.1\r\n")
    assert b"\r\nx-two: b\r\n" in head
    assert b"\r\naccept-encoding: identity\r\n" in head


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(drop, "connection_broken"), (cut_short, "connection_broken"), (hang, "deadline")],
)
async def test_after_the_request_has_left_a_failure_is_unknown(behaviour: Any, reason: str) -> None:
    async with wire(behaviour) as there, aclosing(Counterpart("x", there.url, timeout=SHORT)) as x:
        with pytest.raises(OutcomeUnknown) as caught:
            await x.request("POST", "/postings", operation="post_payment", content=b"{}", idempotent=True)
    assert (caught.value.counterpart, caught.value.operation, caught.value.reason) == ("x", "post_payment", reason)
    assert len(there.requests) == 1, "what may have happened is never repeated by itself"


async def test_a_refused_connection_has_surely_done_nothing_and_is_tried_again_only_when_idempotent() -> None:
    for idempotent, pauses in ((False, []), (True, [0.1, 0.3])):
        time = Time()
        async with aclosing(Counterpart("x", await nobody_listens(), monotonic=time, sleep=time.sleep)) as x:
            with pytest.raises(NotSent) as caught:
                await x.request("GET", "/", operation="query", idempotent=idempotent)
        assert caught.value.reason == "no_connection"
        assert time.slept_s == pauses


async def test_a_name_that_does_not_resolve_has_surely_done_nothing() -> None:
    async with aclosing(Counterpart("x", "http://nowhere.invalid")) as x:
        with pytest.raises(NotSent):
            await x.request("GET", "/", operation="query")


async def test_the_deadline_is_of_the_whole_call_not_of_each_read() -> None:
    async def drip(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with wire(drip) as there, aclosing(Counterpart("x", there.url, timeout=SHORT)) as x:
        with pytest.raises(OutcomeUnknown) as caught:
            await x.request("GET", "/", operation="query")
    assert caught.value.reason == "deadline"


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_above_the_cap_is_given_up_and_unknown(announced: bool) -> None:
    async def endless(_request: bytes, writer: asyncio.StreamWriter) -> None:
        length = b"Content-Length: 70000\r\n" if announced else b""
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * 70_000)
        await writer.drain()

    async with wire(endless) as there, aclosing(Counterpart("x", there.url)) as x:
        with pytest.raises(OutcomeUnknown) as caught:
            await x.request("GET", "/", operation="query")
        assert caught.value.reason == "answer_too_large"
        assert len((await x.request("GET", "/", operation="query", max_answer_bytes=70_000)).content) == 70_000


async def test_a_compressed_answer_is_not_taken_since_its_size_is_hidden() -> None:
    async with wire(answer(200, b"zip", Content_Encoding="gzip")) as there, aclosing(Counterpart("x", there.url)) as x:
        with pytest.raises(OutcomeUnknown) as caught:
            await x.request("GET", "/", operation="query")
    assert caught.value.reason == "answer_encoded"


async def test_redirects_are_answers_and_cookies_and_proxies_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    moved = answer(302, Location="http://127.0.0.1:9/", Set_Cookie="a=b")
    async with wire(moved) as there, aclosing(Counterpart("x", there.url)) as x:
        for _ in range(2):
            assert (await x.request("GET", "/", operation="query")).status == 302
    assert b"cookie" not in b"".join(there.requests).lower()


async def test_inside_a_transaction_no_call_leaves(database: None) -> None:
    async with wire(answer(200)) as there, aclosing(Counterpart("x", there.url)) as x:
        async with transaction():
            with pytest.raises(RuntimeError, match="transaction"):
                await x.request("GET", "/", operation="query")
        assert (await x.request("GET", "/", operation="query")).status == 200
    assert len(there.requests) == 1


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a b", "/户号", "/a?q=王"])
async def test_a_path_that_would_not_be_sent_as_given_is_a_mistake_of_the_caller(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        await faked(lambda _: httpx.Response(200)).request("GET", path, operation="query")


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://user:pw@x", "https://x/?a=1", "x"])
def test_a_base_address_is_an_http_address_without_query_and_user(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Counterpart("x", url)


def test_authority_is_what_stands_in_the_host_header() -> None:
    assert Counterpart("x", "https://Water.Example:443/v1/").authority == "water.example"
    assert Counterpart("x", "http://127.0.0.1:9102/water/v1/").authority == "127.0.0.1:9102"
    assert Counterpart("x", "http://127.0.0.1:9102/water/v1/").base_path == "/water/v1"


class TestCircuit:
    def test_ten_failures_among_twenty_calls_open_it(self) -> None:
        circuit = Circuit(CircuitSettings())
        for _ in range(10):
            circuit.succeeded(_admitted(circuit, 0))
        for _ in range(9):
            circuit.failed(_admitted(circuit, 0), 0)
        assert not circuit.is_open
        circuit.failed(_admitted(circuit, 0), 0)
        assert circuit.is_open
        assert circuit.admit(4.9) is None

    def test_old_failures_are_forgotten(self) -> None:
        circuit = Circuit(CircuitSettings())
        for _ in range(5):
            for _ in range(9):
                circuit.failed(_admitted(circuit, 0), 0)
            for _ in range(11):
                circuit.succeeded(_admitted(circuit, 0))
        assert not circuit.is_open

    def test_after_the_pause_one_probe_leaves_and_decides(self) -> None:
        circuit = _opened()
        probe = _admitted(circuit, 5)
        assert circuit.admit(5) is None, "one probe at a time"
        circuit.failed(probe, 5)
        assert circuit.admit(9.9) is None
        circuit.succeeded(_admitted(circuit, 10))
        assert not circuit.is_open

    def test_a_cancelled_probe_gives_its_place_back(self) -> None:
        circuit = _opened()
        circuit.abandoned(_admitted(circuit, 5))
        assert circuit.admit(5) is not None

    def test_late_answers_of_calls_that_left_before_change_nothing(self) -> None:
        circuit = Circuit(CircuitSettings())
        late = _admitted(circuit, 0)
        for _ in range(10):
            circuit.failed(_admitted(circuit, 0), 0)
        circuit.succeeded(late)
        circuit.failed(late, 3)
        assert circuit.is_open
        assert circuit.admit(5) is not None, "the pause runs from the opening"


async def test_an_open_circuit_sends_nothing_and_5xx_and_exceptions_count_for_it() -> None:
    calls: list[str] = []
    time = Time()

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) <= 5:
            return httpx.Response(503)
        if len(calls) <= 10:
            raise httpx.ReadError("cut")
        return httpx.Response(404)

    water = faked(handler, monotonic=time, sleep=time.sleep)
    for _ in range(10):
        with pytest.raises(OutcomeUnknown) if len(calls) >= 5 else nullcontext():
            await water.request("GET", "/x", operation="query")
    with pytest.raises(NotSent) as caught:
        await water.request("GET", "/x", operation="query", idempotent=True)
    assert (caught.value.reason, len(calls), time.slept_s) == ("circuit_open", 10, [])
    time.now_s += 5
    assert (await water.request("GET", "/x", operation="query")).status == 404
    assert not water.circuit.is_open, "a 404 is an answer"


async def test_the_bulkhead_lets_so_many_through_and_the_others_do_not_pile_up() -> None:
    inside, full, gate = 0, asyncio.Event(), asyncio.Event()

    async def handler(_request: httpx.Request) -> httpx.Response:
        nonlocal inside
        inside += 1
        if inside == 2:
            full.set()
        await gate.wait()
        return httpx.Response(200)

    water = faked(handler, max_concurrent=2, place_timeout=timedelta(milliseconds=20))
    running = [asyncio.create_task(water.request("GET", "/", operation="query")) for _ in range(2)]
    await full.wait()
    with pytest.raises(NotSent) as caught:
        await water.request("GET", "/", operation="query")
    assert (caught.value.reason, inside, water.calls) == ("no_free_place", 2, 2)
    gate.set()
    assert [task.status for task in await asyncio.gather(*running)] == [200, 200]
    assert (await water.request("GET", "/", operation="query")).status == 200
    assert water.calls == 0


async def test_a_cancelled_call_frees_its_place_and_does_not_count() -> None:
    arrived = asyncio.Queue[bytes]()

    async def hold(request: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(request)
        await hang(request, writer)

    async with wire(hold) as there, aclosing(Counterpart("x", there.url, max_concurrent=1)) as x:
        for _ in range(15):
            task = asyncio.create_task(x.request("GET", "/", operation="query"))
            await arrived.get()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not x.circuit.is_open
        assert x.calls == 0


async def test_the_log_names_counterpart_operation_and_outcome_and_no_query_body_or_header() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        with structlog.testing.capture_logs() as events:
            await faked(lambda _: httpx.Response(200, content=b"BODY")).request(
                "GET", "/sns?secret=SECRET", operation="code2session", headers={"Authorization": "HEADER"}
            )
    finally:
        logging.getLogger().removeHandler(handler)
    assert len(events) == 1
    event = events[0]
    assert (event["event"], event["counterpart"], event["operation"]) == (
        "outbound.call",
        "company:water",
        "code2session",
    )
    assert (event["outcome"], event["status"]) == ("answered", 200)
    assert isinstance(event["duration_ms"], int)
    for secret in ("SECRET", "BODY", "HEADER", "/sns"):
        assert secret not in str(events) + stream.getvalue()


def test_an_error_names_facts_and_carries_nothing_for_the_client() -> None:
    error = OutcomeUnknown("company:water", "post_payment", "deadline")
    assert isinstance(error, OutboundError)
    assert (error.code, error.data) == ("counterpart_outcome_unknown", {})


def test_a_repeated_header_is_seen_as_repeated() -> None:
    pairs = (("Signature", "a"), ("signature", "b"))
    assert header_values(pairs, "SIGNATURE") == ["a", "b"]
    assert Answer(200, pairs, b"").header("Signature") is None
    assert header_values({"Signature": "a"}, "signature") == ["a"]


def _admitted(circuit: Circuit, now_s: float) -> Any:
    ticket = circuit.admit(now_s)
    assert ticket is not None
    return ticket


def _opened() -> Circuit:
    circuit = Circuit(CircuitSettings())
    for _ in range(10):
        circuit.failed(_admitted(circuit, 0), 0)
    assert circuit.is_open
    return circuit
