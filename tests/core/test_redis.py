"""The limiter counts; when it is away, what must be limited is refused and what may go on goes on, both quickly."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from core.redis import Limiter, LimiterAway, RateLimited, connect
from core.settings import Settings
from lianban.engines import EmbeddedValkey

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def redis(clean: None, redis_url: str) -> AsyncGenerator[Redis]:
    """Our client."""
    client = connect(redis_url, 30.0)
    yield client
    await client.aclose()


@pytest.fixture
def own_valkey() -> Iterator[str]:
    """A server of one's own, to be frozen; its address."""
    folder = Path(tempfile.mkdtemp(prefix="lianban-valkey-"))
    folder.chmod(0o711)
    valkey = EmbeddedValkey(folder / "valkey")
    yield valkey.start()
    valkey.stop()
    shutil.rmtree(folder)


async def test_as_many_as_allowed_and_then_no_more_until_the_window_ends(redis: Redis) -> None:
    limiter = Limiter(redis)
    for _ in range(3):
        await limiter.take("a", 3, MINUTE)
    for _ in range(2):
        with pytest.raises(RateLimited) as refused:
            await limiter.take("a", 3, MINUTE)
        assert 59 <= refused.value.data["retry_after_s"] <= 60
    await limiter.take("b", 3, MINUTE)
    await redis.pexpire("limit:a", 1)
    await asyncio.sleep(0.02)
    await limiter.take("a", 3, MINUTE)


async def test_each_window_ends_by_itself(redis: Redis) -> None:
    await Limiter(redis).take("a", 3, MINUTE)
    await Limiter(redis).take("a", 3, MINUTE)
    assert 59_000 < await redis.pttl("limit:a") <= 60_000, "the second try does not prolong the window"


async def test_many_at_once_get_no_more_than_is_allowed(redis: Redis) -> None:
    limiter = Limiter(redis)
    answers = await asyncio.gather(*(limiter.take("a", 5, MINUTE) for _ in range(20)), return_exceptions=True)
    assert answers.count(None) == 5
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 15


async def _both_ways(limiter: Limiter) -> None:
    with pytest.raises(LimiterAway):
        await limiter.take("a", 1, MINUTE)
    await limiter.take("a", 1, MINUTE, closed=False)


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/none.sock", 0.3)
    await _both_ways(Limiter(client))
    await client.aclose()


async def test_a_server_that_never_answers_is_asked_once(tmp_path: Path) -> None:
    """A second try would double the wait of everybody in line; counted, since a busy machine has its own idea of time."""
    asked = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    path = tmp_path / "silent.sock"
    async with await asyncio.start_unix_server(swallow, path):
        client = connect(f"unix://{path}", 0.1)
        with pytest.raises(LimiterAway):
            await Limiter(client).take("a", 1, MINUTE)
        await client.aclose()
    assert asked == 1


def test_nobody_waits_longer_than_the_settings_say() -> None:
    usual = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    assert usual["redis_wait_s"] == 0.3
    options = connect("unix:///x", usual["redis_wait_s"]).connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (0.3, 0.3)


async def test_a_frozen_server_is_not_waited_for_and_then_counts_on(own_valkey: str) -> None:
    patient, client = connect(own_valkey, 30.0), connect(own_valkey, 0.1)
    await Limiter(patient).take("a", 10, MINUTE)
    number = (await patient.info("server"))["process_id"]
    os.kill(number, signal.SIGSTOP)
    try:
        await _both_ways(Limiter(client))
    finally:
        os.kill(number, signal.SIGCONT)
    await Limiter(patient).take("a", 10, MINUTE)
    for one in (patient, client):
        await one.aclose()
