"""One token for all processes, fetched by one of them, and none of them stands still when Redis is away."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from core.crypto import Vault
from core.outbound import FailureKind, MalformedAnswer
from core.redis import connect
from tests.wechat.platform import APPID, SECRET, FakeWeChat
from wechat.codes import WeChatRefused
from wechat.token import TokenKeeper

KEY = f"wechat:token:{APPID}"
VAULT = Vault([("k1", os.urandom(32))], os.urandom(32))


class Time:
    def __init__(self) -> None:
        self.now_s = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def wechat() -> FakeWeChat:
    return FakeWeChat()


@pytest.fixture
async def redis(clean: None, redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url, 30.0) as client:
        yield client


@pytest.fixture
async def away() -> AsyncIterator[Redis]:
    async with connect("unix:///nonexistent/redis.socket", 0.3) as client:
        yield client


def keeper(wechat: FakeWeChat, redis: Redis, time: Time, vault: Vault = VAULT) -> TokenKeeper:
    return TokenKeeper(APPID, SECRET, wechat.counterpart(), redis, vault, now_s=time, sleep=time.sleep)


async def test_the_token_is_fetched_once_and_shared_between_processes(wechat: FakeWeChat, redis: Redis) -> None:
    time = Time()
    one, other = keeper(wechat, redis, time), keeper(wechat, redis, time)
    assert [await one.get(), await other.get(), await one.get()] == ["T1", "T1", "T1"]
    assert wechat.tokens == 1


async def test_a_crowd_fetches_once(wechat: FakeWeChat, redis: Redis) -> None:
    """They wait in real time: a clock that runs ahead of the fetch would tell them nobody is coming."""
    keepers = [TokenKeeper(APPID, SECRET, wechat.counterpart(), redis, VAULT, now_s=Time()) for _ in range(5)]
    tokens = await asyncio.gather(*(one.get() for one in keepers for _ in range(4)))
    assert set(tokens) == {"T1"}
    assert wechat.tokens == 1


class FetchedMeanwhile:
    """A Redis in which another process fetches the token and gives the lock back just before the lock is asked for."""

    def __init__(self, redis: Redis, other: TokenKeeper) -> None:
        self._redis = redis
        self._other: TokenKeeper | None = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    async def set(self, key: str, value: Any, **options: Any) -> Any:
        if other := self._other:
            self._other = None
            await other.get()
        return await self._redis.set(key, value, **options)


async def test_who_gets_the_lock_late_takes_what_was_fetched_meanwhile(wechat: FakeWeChat, redis: Redis) -> None:
    time = Time()
    late: Any = FetchedMeanwhile(redis, keeper(wechat, redis, time))
    assert await keeper(wechat, late, time).get() == "T1"
    assert wechat.tokens == 1


async def test_who_gets_the_lock_late_does_not_renew_what_was_renewed_meanwhile(
    wechat: FakeWeChat, redis: Redis
) -> None:
    time = Time()
    await keeper(wechat, redis, time).get()
    time.now_s += 7200 - 280
    late: Any = FetchedMeanwhile(redis, keeper(wechat, redis, time))
    assert await keeper(wechat, late, time).get() == "T2"
    assert wechat.tokens == 2


async def test_in_redis_it_lies_encrypted_and_for_as_long_as_it_lives(wechat: FakeWeChat, redis: Redis) -> None:
    await keeper(wechat, redis, Time()).get()
    cell: Any = await redis.get(KEY)
    assert b"T1" not in cell
    assert SECRET.encode() not in cell
    assert 7190 <= await redis.ttl(KEY) <= 7200
    assert await redis.exists(f"{KEY}:lock") == 0, "the lock is given back"


async def test_in_the_last_five_minutes_one_renews_while_the_others_go_on(wechat: FakeWeChat, redis: Redis) -> None:
    time = Time()
    one, other = keeper(wechat, redis, time), keeper(wechat, redis, time)
    await one.get()
    time.now_s += 7200 - 281
    assert await one.get() == "T1"
    time.now_s += 1
    await redis.set(f"{KEY}:lock", "a third process", ex=10)
    assert await one.get() == "T1", "somebody renews: the old one still works"
    await redis.delete(f"{KEY}:lock")
    assert await one.get() == "T2"
    assert await other.get() == "T2"
    assert wechat.tokens == 2


async def test_a_renewal_that_fails_leaves_the_old_token_in_use(wechat: FakeWeChat, redis: Redis) -> None:
    time = Time()
    one = keeper(wechat, redis, time)
    await one.get()
    time.now_s += 7200 - 100
    wechat.answers["/cgi-bin/stable_token"] = lambda _call: {"errcode": -1, "errmsg": "system error"}
    assert await one.get() == "T1"
    time.now_s += 95
    with pytest.raises(WeChatRefused) as caught:
        await one.get()
    assert caught.value.kind is FailureKind.TEMPORARY
    assert await redis.exists(f"{KEY}:lock") == 0


async def test_a_refused_token_is_replaced_once_for_everybody(wechat: FakeWeChat, redis: Redis) -> None:
    time = Time()
    one, other = keeper(wechat, redis, time), keeper(wechat, redis, time)
    await one.get()
    assert await one.refetch("T1") == "T2"
    assert await other.refetch("T1") == "T2", "somebody else has replaced it already"
    assert wechat.tokens == 2


async def test_who_waits_for_another_fetcher_takes_its_token_or_fetches_after_a_while(
    wechat: FakeWeChat, redis: Redis
) -> None:
    time = Time()
    await redis.set(f"{KEY}:lock", "a process that died", ex=10)
    began = time.now_s
    assert await keeper(wechat, redis, time).get() == "T1"
    assert 2.9 <= time.now_s - began <= 3.2
    assert await redis.get(f"{KEY}:lock") == b"a process that died", "a lock of somebody else is not removed"


async def test_without_redis_each_process_keeps_its_own(wechat: FakeWeChat, away: Redis) -> None:
    time = Time()
    one = keeper(wechat, away, time)
    with structlog.testing.capture_logs() as logs:
        tokens = await asyncio.gather(*(one.get() for _ in range(5)))
    assert (set(tokens), wechat.tokens) == ({"T1"}, 1)
    assert await one.refetch("T1") == "T2"
    time.now_s += 7200 - 5
    assert await one.get() == "T3"
    assert "T1" not in str(logs)
    assert SECRET not in str(logs)


async def test_a_cell_sealed_with_a_key_that_is_gone_is_fetched_again(wechat: FakeWeChat, redis: Redis) -> None:
    time = Time()
    await keeper(wechat, redis, time).get()
    new_vault = Vault([("k2", os.urandom(32))], os.urandom(32))
    assert await keeper(wechat, redis, time, new_vault).get() == "T2"


@pytest.mark.parametrize(
    "answer",
    [{}, {"access_token": "T"}, {"access_token": "", "expires_in": 7200}, {"access_token": "T", "expires_in": 0}],
)
async def test_an_answer_without_a_token_is_malformed(wechat: FakeWeChat, away: Redis, answer: dict[str, Any]) -> None:
    wechat.answers["/cgi-bin/stable_token"] = lambda _call: answer
    with pytest.raises(MalformedAnswer):
        await keeper(wechat, away, Time()).get()
