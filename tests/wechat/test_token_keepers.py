"""One refresher for many processes, for each app apart, on a real Valkey that is there, frozen or gone."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from core import clock
from core.crypto import Vault
from core.redis import connect
from core.settings import Settings
from lianban.sandbox import SandboxProcess
from tests.wechat.platform import APPID, SECRET, FakeWeChat
from wechat.client import MiniProgram
from wechat.official_account import OfficialAccount
from wechat.token import TokenKeeper

ROOT = Path(__file__).parents[2]
_RACER = """
import asyncio, base64, sys
from core.crypto import Vault
from core.outbound import Counterpart
from core.redis import connect
from wechat.token import TokenKeeper

async def main(url, redis_url, appid, secret, key):
    side, redis = Counterpart("wechat", url), connect(redis_url, 30.0)
    vault = Vault([("k", base64.b64decode(key))], base64.b64decode(key))
    sys.stdin.readline()
    print(await TokenKeeper(appid, secret, side, redis, vault).get(), flush=True)
    await side.aclose()
    await redis.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def redis(clean: None, redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url, 30.0) as client:
        yield client


@pytest.mark.parametrize("app", ["wechat", "official_account"])
async def test_processes_that_race_make_one_call(
    redis: Redis, redis_url: str, settings: Settings, sandbox: SandboxProcess, app: str
) -> None:
    account = getattr(settings, app)
    command = [
        sys.executable,
        "-c",
        _RACER,
        sandbox.url,
        redis_url,
        account.appid,
        account.secret,
        settings.field_keys[0].key,
    ]
    pipe = asyncio.subprocess.PIPE
    racers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(4)]
    before = await _calls(sandbox)
    answers = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    tokens = {answer[0].splitlines()[-1] for answer in answers}
    assert len(tokens) == 1
    assert await _calls(sandbox) - before == 1


@pytest.mark.parametrize("app", ["mini_program", "official_account"])
async def test_a_refused_token_makes_one_call_however_many_are_refused(redis: Redis, app: str) -> None:
    wechat = FakeWeChat()
    vault, side = Vault([("k1", os.urandom(32))], os.urandom(32)), wechat.counterpart()
    wechat.answers["/cgi-bin/message/template/send"] = wechat.answers["/cgi-bin/message/subscribe/send"] = lambda call: (
        {"errcode": 40001} if call.query["access_token"] == "T1" else {"errcode": 0, "msgid": 7}
    )

    async def send() -> str | None:
        keeper = TokenKeeper(APPID, SECRET, side, redis, vault)
        if app == "mini_program":
            return await MiniProgram(APPID, SECRET, side, keeper).send_subscription_message(
                "o1", "t", {"thing1": "水费"}
            )
        return await OfficialAccount(APPID, side, keeper).send_template(
            "o1", "t", {"thing1": "水费"}, client_msg_id="m"
        )

    await TokenKeeper(APPID, SECRET, side, redis, vault).get()
    assert await asyncio.gather(*(send() for _ in range(6))) == ["7"] * 6
    assert wechat.tokens == 2, "the first, and one in its place"


async def test_a_frozen_valkey_costs_moments_and_each_process_keeps_its_own(tmp_path: Path) -> None:
    hanging: list[asyncio.StreamWriter] = []
    socket = tmp_path / "frozen"

    async def swallow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.append(writer)

    wechat, vault = FakeWeChat(), Vault([("k1", os.urandom(32))], os.urandom(32))
    async with await asyncio.start_unix_server(swallow, socket), connect(f"unix://{socket}", 0.3) as frozen:
        keeper = TokenKeeper(APPID, SECRET, wechat.counterpart(), frozen, vault)
        began = clock.monotonic()
        assert [await keeper.get(), await keeper.get()] == ["T1", "T1"]
        assert clock.monotonic() - began < 6
        for writer in hanging:
            writer.close()
    assert wechat.tokens == 1


async def _calls(sandbox: SandboxProcess) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        calls = (await client.get(f"{sandbox.url}/control/calls?counterpart=wechat")).json()["calls"]
    return sum(call["count"] for call in calls if call["operation"] == "stable_token")
