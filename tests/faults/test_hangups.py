"""Clients that hang up, thousands of them and at every moment of their request, take nothing from those who stay."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from tortoise.connection import get_connections

from core.database import fetch
from core.settings import Settings
from domain.services import Services
from lianban.app import running
from tests.faults.stock import ORPHANS, Stock, lay_in

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

_POOL = 4
_REQUESTS = 4_000
_ROUNDS = ((32, 0.006), (4, 0.030))
"""Clients at once and the longest time until they hang up: a crowd in which little is finished, and a few of whom some are served."""
_BILLS = 1_200


@pytest.fixture
async def services(clean: None, settings: Settings) -> AsyncGenerator[Services]:
    """The served API with a small pool."""
    small = msgspec.structs.replace(settings, pool_size=_POOL)
    async with running(small, port=_port(settings), with_worker=False) as services:
        yield services


async def test_no_connection_and_no_half_payment_is_left_behind(services: Services) -> None:
    stock = await lay_in(services, _BILLS)
    keys = {quote: str(uuid4()) for quote in stock.quotes}
    requests = _requests(stock, keys)
    half = len(requests) // 2
    for (at_once, longest_s), part in zip(_ROUNDS, (requests[:half], requests[half:]), strict=True):
        assert await _hang_up(services.settings, part, at_once, longest_s) == half
    async with httpx.AsyncClient(base_url=services.settings.public_url, trust_env=False, timeout=5) as client:
        answer = await client.get("/v1/payments", headers=stock.authorization)
        assert answer.status_code == 200
        await _until_idle()
        pool = _pool()
        assert (pool.get_size(), pool.get_idle_size()) == (pool.get_size(), pool.get_size())
        assert 1 <= pool.get_size() <= _POOL
        (row,) = await fetch(
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"
        )
        assert row["count"] == 0
        # All connections at once still serve, in transactions too.
        answers = await asyncio.gather(
            *(client.get("/v1/payments", headers=stock.authorization) for _ in range(_POOL * 3))
        )
        assert {one.status_code for one in answers} == {200}
        assert await fetch(ORPHANS) == []
        (row,) = await fetch("select count(*) from payment")
        made = row["count"]
        assert 0 < made < _BILLS, "the hang-ups were all too early or all too late to prove anything"
        await _every_retry_finds_or_makes_one_payment(client, stock, keys)


async def _every_retry_finds_or_makes_one_payment(
    client: httpx.AsyncClient, stock: Stock, keys: dict[Any, str]
) -> None:
    for quote in stock.quotes[:300]:
        headers = stock.authorization | {"Idempotency-Key": keys[quote]}
        answer = await client.post("/v1/payments", json={"quote_ids": [str(quote)]}, headers=headers)
        assert answer.status_code == 201, answer.text
    rows = await fetch(
        "select quote_id, count(*) from payment_part where quote_id = any($1::uuid[]) group by 1", stock.quotes[:300]
    )
    assert [row["count"] for row in rows] == [1] * 300


def _requests(stock: Stock, keys: dict[Any, str]) -> list[bytes]:
    """Each payment once, the rest reads of two kinds, shuffled."""
    made = [_request(stock, "POST", "/v1/payments", keys[quote], {"quote_ids": [str(quote)]}) for quote in stock.quotes]
    reads = [
        _request(stock, "GET", path)
        for path in (f"/v1/utility-accounts/{stock.account_id}/bills", "/v1/payments")
        for _ in range((_REQUESTS - len(made)) // 2)
    ]
    shuffled = made + reads
    random.shuffle(shuffled)
    return shuffled


def _request(stock: Stock, method: str, path: str, key: str = "", body: object = None) -> bytes:
    content = msgspec.json.encode(body) if body is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {stock.token}"]
    if key:
        lines += [f"Idempotency-Key: {key}", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


async def _hang_up(settings: Settings, requests: list[bytes], at_once: int, longest_s: float) -> int:
    """Send each request and cut the connection within `longest_s`; how many were cut."""
    waiting = list(requests)
    cut = 0

    async def client() -> None:
        nonlocal cut
        while waiting:
            request = waiting.pop()
            _, writer = await asyncio.open_connection("127.0.0.1", _port(settings))
            writer.write(request)
            await asyncio.sleep(random.uniform(0, longest_s))
            writer.transport.abort()
            cut += 1

    await asyncio.gather(*(client() for _ in range(at_once)))
    return cut


async def _until_idle() -> None:
    """What was under way when its client left may still be rolling back."""
    for _ in range(100):
        if _pool().get_idle_size() == _pool().get_size():
            return
        await asyncio.sleep(0.05)


def _pool() -> Any:
    client: Any = get_connections().get("default")
    return client._pool


def _port(settings: Settings) -> int:
    return int(settings.public_url.rpartition(":")[2])
