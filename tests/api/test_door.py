"""At the door the same is refused in the same words as behind it, and nothing that is not exactly one plain request is judged there."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from api.calls import Route
from api.door import Doorkeeper
from api.routes import ROUTES
from api.shedding import CLASSES, FULL_WAITING, FULL_WORKING, Shedder
from tests.harness.edge import Edge

SHED = [route for route in ROUTES if route.shed is not None and route.access.who != "company"]


def request(path: str, method: str = "GET", head: str = "", body: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}{length}\r\n{body}".encode()


def keeper(waiting: int) -> Doorkeeper:
    return Doorkeeper(Shedder(waiting=lambda: waiting), ROUTES, {})


@pytest.mark.parametrize("route", SHED, ids=lambda route: route.name)
def test_every_route_that_gives_way_is_known_by_its_first_line(route: Route) -> None:
    path = route.path.replace("{", "0b7c-").replace("}", "-4") + ("?limit=3" if route.query else "")
    body = '{"a": 1}' if route.body else ""
    whole = request(path, route.method, body=body)
    assert keeper(0).refusal(whole) is None
    full = keeper(FULL_WAITING)
    refusal = full.refusal(whole)
    assert refusal is not None
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert json.loads(refusal.partition(b"\r\n\r\n")[2])["code"] == "overloaded"
    assert full.refused == {route.name: 1}


def test_what_never_gives_way_goes_on() -> None:
    full = keeper(10 * FULL_WAITING)
    spared = [route for route in ROUTES if route.shed is None or route.access.who == "company"]
    assert spared
    for route in spared:
        assert full.refusal(request(route.path.replace("{", "").replace("}", ""), route.method)) is None, route.name


@pytest.mark.parametrize(
    "data",
    [
        request("/v1/companies", head="Transfer-Encoding: chunked\r\n"),
        request("/v1/companies", head="Expect: 100-continue\r\n"),
        request("/v1/companies", head="Connection: close\r\n"),
        request("/v1/companies", head="Content-Length: 2\r\nContent-Length: 0\r\n"),
        request("/v1/companies", head="Content-Length: +2\r\n", body="{}"),
        request("/v1/companies", head="X-A: b\r\n Content-Length: 2\r\n"),
        request("/v1/companies", head="X-A: b\nContent-Length: 2\r\n"),
        request("/v1/companies", head="Content-Length : 2\r\n", body="{}"),
        request("/v1/quotes", "POST", head="Content-Length: 8\r\n") + b"{}",
        request("/v1/companies") + request("/v1/companies"),
        request("/v1/companies")[:-2],
        request("/v1/companies").replace(b"HTTP/1.1", b"HTTP/1.0"),
        request("/v1/companies", "PATCH"),
        request("/v1/nothing"),
        request("//v1/companies"),
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=[
        "chunked", "expects", "closing", "two lengths", "signed length", "a folded line", "half a line end", "a space before the colon",
        "half a body", "two at once",
        "half a head", "old version", "other method", "no route", "empty word", "nothing", "TLS",
    ],
)  # fmt: skip
def test_what_is_unusual_goes_the_ordinary_way(data: bytes) -> None:
    assert keeper(FULL_WAITING).refusal(data) is None


def test_those_let_in_a_moment_ago_count_before_their_work_begins() -> None:
    shedder = Shedder()
    door = Doorkeeper(shedder, ROUTES, {})
    let_in = 0
    while door.refusal(request("/v1/quotes", "POST", body="{}")) is None:
        let_in += 1
    assert let_in == FULL_WORKING
    for _ in range(let_in):
        shedder.admitted("payment").__enter__()
    assert shedder.in_flight == FULL_WORKING, "whom the door let in is not refused behind it"


def test_those_who_never_got_as_far_as_a_route_are_forgotten() -> None:
    shedder = Shedder()
    door = Doorkeeper(shedder, ROUTES, {})
    for _ in range(2 * FULL_WORKING):
        assert door.refusal(request("/v1/nothing")) is None
    assert shedder.refused_on_arrival == len(CLASSES)
    shedder.look(0)
    assert shedder.refused_on_arrival == 0


@pytest.mark.parametrize("given", ["", "X-Request-Id: 0b7c1d2e-from-the-client\r\n", "x-request-id: bad one\r\n"])
async def test_the_door_says_what_the_api_would_say(edge: Edge, given: str) -> None:
    data = request("/v1/companies", head=given)
    begun = _read_by_sanic()
    async with connected(edge) as (reader, writer):
        with pressed(edge):
            writer.write(data)
            at_the_door = await answer(reader)
            writer.write(data[:20])
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(data[20:])
            behind_it = await answer(reader)
    assert _read_by_sanic() == begun + 1, "the one that came in two pieces"
    for (_, headers, content), other in ((at_the_door, behind_it), (behind_it, at_the_door)):
        assert headers["x-request-id"] == content["request_id"]
        assert (headers["x-request-id"] == other[1]["x-request-id"]) == ("client" in given)
    assert at_the_door[0] == behind_it[0]
    assert comparable(at_the_door) == comparable(behind_it)


async def test_a_refused_connection_is_kept_and_served_when_there_is_room(edge: Edge) -> None:
    async with connected(edge) as (reader, writer):
        with pressed(edge):
            for _ in range(3):
                writer.write(request("/v1/companies"))
                assert (await answer(reader))[0].startswith("HTTP/1.1 503")
        writer.write(request("/v1/companies"))
        assert (await answer(reader))[0].startswith("HTTP/1.1 200")


def _read_by_sanic() -> float:
    labels = {"operation": "companies_list_companies"}
    return REGISTRY.get_sample_value("lianban_request_seconds_count", labels) or 0.0


@contextmanager
def pressed(edge: Edge) -> Iterator[None]:
    shedder: Shedder = edge.app.ctx.shedder
    real = shedder._waiting
    shedder._waiting = lambda: FULL_WAITING
    try:
        yield
    finally:
        shedder._waiting = real


@asynccontextmanager
async def connected(edge: Edge) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.http.base_url.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Status line, headers, content of one answer."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return status, headers, json.loads(await reader.readexactly(int(headers["content-length"])))


def comparable(one: tuple[str, dict[str, str], dict[str, Any]]) -> tuple[Any, ...]:
    """Without what is different in every answer."""
    status, headers, content = one
    varying = ("x-request-id", "content-length")
    return status, {name: headers[name] for name in headers if name not in varying}, {**content, "request_id": ""}
