"""Engines and counterparts that die, freeze or hang: what is told to wait, what goes on, and that all comes back by itself."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import msgspec
import psycopg
import pytest

from core import settings as settings_module
from core.database import fetch, opened
from core.settings import Settings
from lianban import engine_host
from lianban.compose import compose
from lianban.engines import EmbeddedPostgres, EmbeddedValkey
from lianban.sandbox import SandboxProcess
from models import MODULES
from tests.faults.customer import Customer
from tests.faults.stock import ORPHANS, Stock, lay_in
from tests.faults.world import World
from tests.harness import template
from tests.harness.engines import TEMPLATE
from tests.harness.world import DevFiles

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_POOL = 4
_BILLS = 400
_DOWN_S = 6.0
_BACK_WITHIN_S = 5.0
_NO_ANSWER_S = 6.0
"""A call that takes longer hangs."""


class Engines(NamedTuple):
    """Engines of this file alone: others must not suffer with them."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    database_url: str
    redis_url: str
    folder: Path


class Load:
    """Clients that read and pay all the time, each payment under its own key until it is there."""

    def __init__(self, world: World, stock: Stock) -> None:
        self._world, self._stock = world, stock
        self._quotes = list(stock.quotes)
        self.answers: Counter[str] = Counter()
        self.good_at: list[float] = []
        self.unpaid: list[UUID] = []
        self._stop = asyncio.Event()

    async def run(self, clients: int) -> None:
        """Until :meth:`stop`."""
        async with httpx.AsyncClient(
            base_url=self._world.settings.public_url, trust_env=False, timeout=_NO_ANSWER_S
        ) as client:
            turns = [self._reads(client) if number % 2 else self._pays(client) for number in range(clients)]
            await asyncio.gather(*turns)

    def stop(self) -> None:
        """Let every client finish what it has begun."""
        self._stop.set()

    async def _reads(self, client: httpx.AsyncClient) -> None:
        while not self._stop.is_set():
            await self._call(client, "GET", "/v1/payments", {})

    async def _pays(self, client: httpx.AsyncClient) -> None:
        while self._quotes and not self._stop.is_set():
            quote, key = self._quotes.pop(), str(uuid4())
            while await self._call(client, "POST", "/v1/payments", {"Idempotency-Key": key}, quote) != 201:
                if self._stop.is_set():
                    self.unpaid.append(quote)
                    return
                await asyncio.sleep(0.05)

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, more: dict[str, str], quote: UUID | None = None
    ) -> int:
        body = {"quote_ids": [str(quote)]} if quote else None
        try:
            answer = await client.request(method, path, headers=self._stock.authorization | more, json=body)
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            return 0
        code = "" if answer.is_success else answer.json()["code"]
        waits = "+Retry-After" if "retry-after" in answer.headers else ""
        self.answers[f"{answer.status_code}{waits} {code}".strip()] += 1
        if answer.is_success:
            self.good_at.append(time.monotonic())
        return answer.status_code


@pytest.fixture(scope="module")
def own() -> Generator[Engines]:
    folder = Path(tempfile.mkdtemp(prefix="lianban-away-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres", folder / "run", database=TEMPLATE, durable=False)
    valkey = EmbeddedValkey(folder / "valkey")
    try:
        yield Engines(postgres, valkey, template.start(postgres), valkey.start(), folder)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def own_files(dev_files: DevFiles, tmp_path_factory: pytest.TempPathFactory) -> DevFiles:
    """The settings of the run, with a small pool."""
    path = tmp_path_factory.mktemp("small") / "keys" / "settings.json"
    path.parent.mkdir()
    values = msgspec.json.decode(dev_files.settings.read_bytes())
    path.write_bytes(msgspec.json.encode(values | {"pool_size": _POOL}))
    return DevFiles(path, dev_files.sandbox)


@pytest.fixture(scope="module")
def own_settings(own: Engines, own_files: DevFiles) -> Settings:
    return settings_module.load(
        {
            "LIANBAN_SETTINGS": str(own_files.settings),
            "DATABASE_URL": own.database_url,
            "DATABASE_OWNER_URL": own.database_url,
            "REDIS_URL": own.redis_url,
        }
    )


@pytest.fixture(scope="module")
async def world(own_settings: Settings, own_files: DevFiles, sandbox: SandboxProcess) -> AsyncGenerator[World]:
    """API and worker as processes, on engines of their own."""
    async with World(own_settings, own_files, sandbox) as world, Customer(world) as nobody:
        await nobody.control("POST", "/reset")
        yield world


@pytest.fixture
async def stock(world: World) -> Stock:
    """Bills to pay, and a person to pay them; the connection is closed again, since the database is about to die."""
    services = compose(world.settings)
    async with opened(world.settings.database_url, MODULES, pool_size=2):
        stock = await lay_in(services, _BILLS)
    await services.redis.aclose()
    return stock


@pytest.mark.parametrize("down_s", [0.0, _DOWN_S], ids=["restarts at once", "is down for seconds"])
async def test_without_its_database_it_says_wait_and_comes_back_by_itself(
    world: World, own: Engines, stock: Stock, down_s: float
) -> None:
    load = Load(world, stock)
    running = asyncio.create_task(load.run(12))
    await _until(lambda: len(load.good_at) > 50)
    # A worker that is just starting needs its database; who is asked here is one that works.
    await _works(world)
    await asyncio.to_thread(_crash, own.postgres)
    await asyncio.sleep(down_s)
    await asyncio.to_thread(own.postgres.start)
    back_at = time.monotonic()
    await _until(lambda: load.good_at[-1] > back_at)
    first = next(at for at in load.good_at if at > back_at)
    assert first - back_at < _BACK_WITHIN_S
    await _worker_works(world, since=back_at)
    await asyncio.sleep(1)
    load.stop()
    await running
    kinds = {kind for kind in load.answers if kind not in ("200", "201")}
    assert kinds <= {"503+Retry-After database_away", "409 idempotency_in_flight"}, load.answers
    if down_s:
        assert load.answers["503+Retry-After database_away"] > 0
    assert load.unpaid == [], load.answers
    assert world.deaths == []
    await _each_quote_has_at_most_one_payment(world)


async def test_without_valkey_logins_wait_and_payments_go_on(world: World, own: Engines, stock: Stock) -> None:
    (process,) = engine_host.processes("valkey-server", own.folder / "valkey")
    process.kill()
    try:
        await _valkey_is_missed_only_where_it_must(world, stock)
    finally:
        await asyncio.to_thread(own.valkey.start)
    await _logins_are_back(world)


async def test_a_frozen_valkey_is_no_queue(world: World, own: Engines, stock: Stock) -> None:
    (process,) = engine_host.processes("valkey-server", own.folder / "valkey")
    process.suspend()
    try:
        await _valkey_is_missed_only_where_it_must(world, stock)
    finally:
        process.resume()
    await _logins_are_back(world)


async def test_when_slow_requests_hold_all_connections_the_others_are_told_to_wait(world: World, stock: Stock) -> None:
    async with _client(world, stock) as client:
        with psycopg.connect(world.settings.database_url) as holder:
            holder.execute("lock table payment in access exclusive mode")
            began = time.monotonic()
            slow = [asyncio.create_task(client.get("/v1/payments")) for _ in range(_POOL)]
            await asyncio.sleep(0.3)
            waited = await asyncio.gather(*(_timed(client.get("/v1/payments")) for _ in range(8)))
            assert {(answer.status_code, answer.json()["code"]) for answer, _ in waited} == {(503, "database_away")}
            assert all(0.8 < seconds < 2.0 for _, seconds in waited), [seconds for _, seconds in waited]
            assert all("retry-after" in answer.headers for answer, _ in waited)
            # The slow ones themselves give up after the lock time-out.
            assert {(await answer).status_code for answer in slow} == {503}
            assert time.monotonic() - began < _NO_ANSWER_S
        answers = await asyncio.gather(*(client.get("/v1/payments") for _ in range(_POOL)))
        assert {answer.status_code for answer in answers} == {200}


async def test_a_wechat_pay_that_hangs_hangs_nobody_else(world: World, stock: Stock) -> None:
    async with Customer(world) as customer, _client(world, stock) as client:
        await customer.company_prints_bill()
        await customer.enter()
        await customer.scan()
        payment = await customer.create_payment()
        await customer.fault("wechat_pay", "*", "hang")
        try:
            hanging = [
                asyncio.create_task(
                    _timed(customer._api.post(f"/v1/payments/{payment}/pay-params", headers=_bearer(customer)))
                )
                for _ in range(_POOL + 2)
            ]
            await asyncio.sleep(0.5)
            for quote in stock.quotes[:10]:
                answer, seconds = await _timed(client.get("/v1/payments"))
                assert answer.status_code == 200
                assert seconds < 1
                answer, seconds = await _timed(_pay(client, quote))
                assert answer.status_code == 201
                assert seconds < 1
            assert not any(task.done() for task in hanging)
            answers = [await task for task in hanging]
        finally:
            await customer.control("DELETE", "/faults")
        assert {answer.status_code for answer, _ in answers} <= {503, 409}
        assert any(answer.status_code == 503 for answer, _ in answers)
        assert max(seconds for _, seconds in answers) < 12
        await customer.pay_in_wechat(await customer.params(payment))
        await customer.until_progress(payment, "posted")


async def _valkey_is_missed_only_where_it_must(world: World, stock: Stock) -> None:
    async with _client(world, stock) as client:
        login = {"code": "any-code-at-all", "client_id": "4f9c2b7a61d84e0f", "client_label": "phone"}
        bind = {"company": "water", "number": "0203001234", "proof": "002X"}
        for path, body in (("/v1/sessions/wechat-mini-program", login), ("/v1/bindings", bind)):
            for _ in range(3):
                answer, seconds = await _timed(client.post(path, json=body))
                assert (answer.status_code, answer.json()["code"]) == (503, "limiter_away")
                assert "retry-after" in answer.headers
                assert seconds < 0.5
        for quote in stock.quotes[:5]:
            assert (await client.get("/v1/payments")).status_code == 200
            assert (await client.get(f"/v1/utility-accounts/{stock.account_id}/bills")).status_code == 200
            assert (await _pay(client, quote)).status_code == 201


async def _logins_are_back(world: World) -> None:
    async with Customer(world) as customer:
        await customer.company_opens_account()
        await customer.enter()
        await customer.bind()


async def _worker_works(world: World, since: float) -> None:
    """A job enqueued now is done within five seconds of the database's return."""
    await _works(world)
    assert time.monotonic() - since < _BACK_WITHIN_S + 1


async def _works(world: World) -> None:
    """A job enqueued now is done."""
    world.sql(
        "select procrastinate_defer_jobs_v1(array[row('default', 'payments.watch', 0, null, null,"
        ' \'{"payment_id": "00000000-0000-7000-8000-000000000000", "step": 7}\', null)::procrastinate_job_to_defer_v1])'
    )

    def done() -> bool:
        with psycopg.connect(world.settings.database_url) as connection:
            row = connection.execute(
                "select count(*) from procrastinate_jobs where args->>'step' = '7' and status <> 'succeeded'"
            ).fetchone()
        return row == (0,)

    await _until(done)


async def _each_quote_has_at_most_one_payment(world: World) -> None:
    async with opened(world.settings.database_url, MODULES, pool_size=2):
        assert await fetch("select quote_id from payment_part group by 1 having count(*) > 1") == []
        assert await fetch(ORPHANS) == []


async def _until(condition: Any, within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def _timed(call: Any) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return await call, time.monotonic() - began


def _client(world: World, stock: Stock) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=world.settings.public_url, headers=stock.authorization, trust_env=False, timeout=_NO_ANSWER_S
    )


async def _pay(client: httpx.AsyncClient, quote: UUID) -> httpx.Response:
    return await client.post(
        "/v1/payments", json={"quote_ids": [str(quote)]}, headers={"Idempotency-Key": str(uuid4())}
    )


def _bearer(customer: Customer) -> dict[str, str]:
    return {"Authorization": f"Bearer {customer.tokens['access_token']}"}


def _crash(postgres: EmbeddedPostgres) -> None:
    """What ``pg_ctl -m immediate`` does: no goodbye to anybody, recovery at the next start."""
    number = int((postgres.data_dir / "postmaster.pid").read_text().split()[0])
    os.kill(number, signal.SIGQUIT)
    assert engine_host.wait_until(lambda: not engine_host.processes("postgres", postgres.data_dir), 10.0)
