"""``lianban serve`` as processes: what dies or hangs is replaced while the others serve, and nothing in flight is lost by an order."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from core import clock
from core.settings import Settings
from domain.identity.tokens import TokenKeys
from lianban import serve
from lianban.app import LAST_REQUESTS_S
from lianban.compose import AUDIENCE
from tests.harness.processes import is_alive
from tests.harness.world import DevFiles

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 90.0
"""For a start of Python processes on a busy machine; what is promised in seconds is read from the log, between two of its lines."""

pytestmark = pytest.mark.timeout(240)


class Served:
    """A running ``lianban serve``."""

    def __init__(self, settings: Settings, files: DevFiles, folder: Path, workers: int, **environ: str) -> None:
        self.port, self.ops_port = _free_port(), _free_port()
        self.log = folder / f"serve-{self.port}.log"
        self._token = _token(settings)
        known = {
            "LIANBAN_SETTINGS": str(files.settings),
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
        }
        command = [sys.executable, "-m", "lianban", "serve", "--workers", str(workers)]
        command += ["--port", str(self.port), "--ops-port", str(self.ops_port)]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **known, **environ}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )  # fmt: skip
        self._family = psutil.Process(self.process.pid)

    def pids(self) -> set[int]:
        """The children that live."""
        return {child.pid for child in self._family.children() if is_alive(child.pid)}

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of this event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    async def until(self, what: Callable[[], Any], described: str) -> float:
        """Wait until `what` is true; how long it took, in seconds."""
        began = time.monotonic()
        while not what():
            if time.monotonic() - began > _PATIENCE_S or self.process.poll() is not None:
                raise AssertionError(f"never: {described}\n{self.log.read_text()[-4000:]}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def until_serving(self, wanted: int) -> None:
        """Return once so many children serve."""
        await self.until(lambda: self.readiness()["parts"]["children"].get("serving") == wanted, f"{wanted} serve")

    def readiness(self) -> dict[str, Any]:
        """What ``/readyz`` says, and under which status."""
        try:
            response = httpx.get(f"http://127.0.0.1:{self.ops_port}/readyz", trust_env=False, timeout=10)
        except httpx.TransportError:
            return {"parts": {"children": {}}}
        return {**response.json(), "http": response.status_code}

    def metric(self, pattern: str) -> float:
        """The sum of the samples whose line begins with `pattern`."""
        text = httpx.get(f"http://127.0.0.1:{self.ops_port}/metrics", trust_env=False, timeout=20).text
        return sum(float(value) for value in re.findall(rf"(?m)^{pattern} (\S+)$", text))

    def client(self, *, keeps: bool = False) -> httpx.AsyncClient:
        """A logged-in client, with a connection for every request unless it `keeps` them."""
        limits = httpx.Limits(max_keepalive_connections=None if keeps else 0)
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False, limits=limits,
            headers={"Authorization": f"Bearer {self._token}"},
        )  # fmt: skip

    @asynccontextmanager
    async def under_load(self, *, keeps: bool = False) -> AsyncIterator[Counter[str]]:
        """Four clients, one request after the other each; what became of them."""
        seen: Counter[str] = Counter()
        ended = asyncio.Event()

        async def ask() -> None:
            async with self.client(keeps=keeps) as client:
                while not ended.is_set():
                    try:
                        seen[str((await client.get("/v1/payments")).status_code)] += 1
                    except httpx.TransportError as error:
                        seen[type(error).__name__] += 1
                    await asyncio.sleep(0.01)

        tasks = [asyncio.ensure_future(ask()) for _ in range(4)]
        try:
            yield seen
        finally:
            ended.set()
            await asyncio.gather(*tasks)

    def stop(self) -> int:
        """Order it to end; its exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def clear_away(self) -> None:
        """Whatever is left of it."""
        with suppress(psutil.NoSuchProcess):
            for child in self._family.children():
                child.kill()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
async def pair(
    settings: Settings, dev_files: DevFiles, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Served]:
    """Two children that serve; shared by the tests of this module, each of which leaves two."""
    served = Served(settings, dev_files, tmp_path_factory.mktemp("pair"), 2)
    try:
        await served.until_serving(2)
        yield served
        assert served.stop() == 0
    finally:
        served.clear_away()


@pytest.fixture
def start(settings: Settings, dev_files: DevFiles, tmp_path: Path) -> Generator[Callable[..., Served]]:
    """Starts one of one's own."""
    started: list[Served] = []

    def one(workers: int, **environ: str) -> Served:
        started.append(Served(settings, dev_files, tmp_path, workers, **environ))
        return started[-1]

    yield one
    for served in started:
        served.clear_away()


async def test_a_killed_child_is_replaced_at_once_and_the_other_serves_meanwhile(pair: Served) -> None:
    before = pair.pids()
    victim = min(before)
    async with pair.under_load() as seen:
        await pair.until(lambda: seen["200"] > 20, "load")
        os.kill(victim, signal.SIGKILL)
        replaced_s = await pair.until(lambda: len(pair.pids()) == 2 and victim not in pair.pids(), "a successor")
        answered = seen["200"]
        await pair.until(lambda: seen["200"] > answered + 20, "the other serves")
        await pair.until_serving(2)
    assert replaced_s < 5
    assert len(pair.pids() & before) == 1
    # What the dead one held breaks, at most one request of each client; nobody else notices.
    assert seen.total() - seen["200"] <= 4
    assert _between_s(pair, "supervisor.child_lost", "supervisor.child_started") < 5


async def test_a_child_that_hangs_is_killed_and_replaced(pair: Served) -> None:
    before = pair.pids()
    victim = min(before)
    async with pair.under_load() as seen:
        await pair.until(lambda: seen["200"] > 20, "load")
        os.kill(victim, signal.SIGSTOP)
        replaced_s = await pair.until(lambda: len(pair.pids()) == 2 and victim not in pair.pids(), "a successor")
        await pair.until_serving(2)
    assert replaced_s < 5
    assert pair.events("supervisor.child_hangs")[-1]["pid"] == victim
    assert seen.total() - seen["200"] <= 4


@pytest.mark.parametrize("keeps", [False, True], ids=["a connection for each request", "kept connections"])
async def test_a_rolling_restart_loses_no_request(pair: Served, keeps: bool) -> None:
    before = pair.pids()
    times = len(pair.events("supervisor.renewed"))
    async with pair.under_load(keeps=keeps) as seen:
        await pair.until(lambda: seen["200"] > 20, "load")
        pair.process.send_signal(signal.SIGHUP)
        await pair.until(lambda: len(pair.events("supervisor.renewed")) > times, "renewed")
        answered = seen["200"]
        await pair.until(lambda: seen["200"] > answered + 20, "load on the new ones")
    assert set(seen) == {"200"}
    assert len(pair.pids()) == 2
    assert not pair.pids() & before


async def test_metrics_add_up_over_the_children_and_stay_when_one_dies(pair: Served) -> None:
    counted = r'lianban_requests_total\{operation="payments_list_payments",status="200"\}'
    before = pair.metric(counted)
    async with pair.under_load() as seen:
        await pair.until(lambda: seen["200"] >= 40, "load")
    assert pair.metric(counted) - before == seen["200"]
    os.kill(min(pair.pids()), signal.SIGKILL)
    await pair.until(lambda: pair.readiness()["parts"]["children"]["serving"] == 1, "one is gone")
    await pair.until_serving(2)
    assert pair.metric(counted) - before == seen["200"]
    assert pair.metric("lianban_children") == 2
    assert pair.metric("lianban_children_lost_total") >= 1
    await pair.until(lambda: pair.metric("lianban_pool_size") == 20, "the gauges of the living, and of nobody else")
    assert pair.metric("lianban_shed_classes") == 0
    assert pair.metric(r'lianban_circuit_open\{counterpart="wechat_pay"\}') == 0
    assert pair.metric(r'lianban_up\{part="\w+"\}') == 6


async def test_in_order_all_is_ok_and_the_people_s_port_tells_nothing_of_it(pair: Served) -> None:
    said = pair.readiness()
    assert (said["http"], said["status"]) == (200, "ok")
    assert {name: part["ok"] for name, part in said["parts"].items()} == dict.fromkeys(
        ("children", "database", "queue", "redis", "warnings"), True
    )
    async with pair.client() as client:
        assert [(await client.get(path)).status_code for path in ("/readyz", "/metrics", "/livez")] == [404, 404, 200]


async def test_ordered_to_end_it_answers_what_is_in_flight(start: Callable[..., Served], settings: Settings) -> None:
    served = start(1)
    await served.until_serving(1)
    async with served.client(keeps=True) as client:
        with _locked(settings, "payment") as waiting:
            request = asyncio.ensure_future(client.get("/v1/payments"))
            await served.until(lambda: waiting() == 1, "it waits for the lock")
            served.process.terminate()
            await served.until(lambda: served.events("supervisor.stopping"), "stopping")
            await asyncio.sleep(3 * LAST_REQUESTS_S)  # longer than a connection without a request is kept
            assert not request.done()
        response = await request
    assert (response.status_code, response.headers["connection"]) == (200, "close")
    assert served.process.wait(20) == 0
    assert served.events("supervisor.stopped")[-1]["clean"] is True


async def test_when_the_supervisor_is_killed_the_children_go_and_the_port_is_free(start: Callable[..., Served]) -> None:
    served = start(2)
    await served.until_serving(2)
    pids = served.pids()
    served.process.kill()
    served.process.wait()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            await asyncio.to_thread(psutil.Process(pid).wait, 15)
    assert not any(is_alive(pid) for pid in pids)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", served.port))


async def test_readyz_says_which_part_is_away_and_a_storm_of_restarts_slows_down(
    start: Callable[..., Served], dev_files: DevFiles, tmp_path: Path
) -> None:
    impatient = tmp_path / "settings.json"
    impatient.write_text(json.dumps(json.loads(dev_files.settings.read_text()) | {"database_wait_s": 0.1}))
    impatient.chmod(0o600)
    nowhere = "postgresql://x@localhost/x?host=/nowhere"
    served = start(1, LIANBAN_SETTINGS=str(impatient), DATABASE_URL=nowhere, REDIS_URL="unix:///nowhere/at/all")
    await served.until(lambda: len(served.events("supervisor.child_lost")) >= 3, "three attempts")
    said = served.readiness()
    assert (said["http"], said["status"]) == (503, "down")
    assert {name for name, part in said["parts"].items() if not part["ok"]} == {
        "children",
        "database",
        "queue",
        "redis",
        "warnings",
    }
    assert said["parts"]["database"]["error"]
    begun = [_at(event) for event in served.events("supervisor.child_started")]
    lost = [_at(event) for event in served.events("supervisor.child_lost")]
    assert begun[1] - lost[0] >= 0.4
    assert begun[2] - lost[1] >= 0.9
    assert served.stop() == 0


async def test_without_redis_it_serves_and_says_so(start: Callable[..., Served]) -> None:
    served = start(0, REDIS_URL="unix:///nowhere/at/all")
    await served.until(lambda: "http" in served.readiness(), "the operations port of a single process")
    said = served.readiness()
    assert (said["http"], said["status"]) == (200, "degraded")
    assert [name for name, part in said["parts"].items() if not part["ok"]] == ["redis"]
    async with served.client() as client:
        assert (await client.get("/v1/payments")).status_code == 200
    assert served.metric(r'lianban_requests_total\{operation="payments_list_payments",status="200"\}') == 1
    assert served.stop() == 0


def test_what_a_killed_run_left_behind_is_removed_and_what_a_living_one_uses_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, foreign = tmp_path / "lianban-serve-dead", tmp_path / "lianban-serve-unlocked"
    dead.mkdir()
    (dead / "lock").touch()
    foreign.mkdir()
    with serve._own_folder() as first:
        assert not dead.exists()
        with serve._own_folder() as second:
            assert set(tmp_path.iterdir()) == {foreign, first, second}
    assert list(tmp_path.iterdir()) == [foreign]


@contextmanager
def _locked(settings: Settings, table: str) -> Iterator[Callable[[], int]]:
    """Nobody reads `table` meanwhile; gives how many wait for it."""
    with (
        psycopg.connect(settings.database_url) as holder,
        psycopg.connect(settings.database_url, autocommit=True) as eye,
    ):
        holder.execute(f"lock table {table} in access exclusive mode".encode())

        def waiting() -> int:
            row = eye.execute("select count(*) from pg_locks where not granted").fetchone()
            assert row is not None
            return row[0]

        yield waiting


def _between_s(served: Served, first: str, second: str) -> float:
    """From the last line of `first` to the next one of `second`."""
    began = _at(served.events(first)[-1])
    return min(_at(event) for event in served.events(second) if _at(event) >= began) - began


def _at(event: dict[str, Any]) -> float:
    hours, minutes, seconds = event["timestamp"].partition("T")[2].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _token(settings: Settings) -> str:
    """An access token of somebody who has no payments."""
    keys = TokenKeys([(key.keyid, key.key) for key in settings.token_keys])
    now = int(clock.timestamp())
    claims = {"iss": settings.public_url, "aud": AUDIENCE, "lvl": 2, "auth_time": now, "iat": now, "exp": now + 3600}
    return keys.sign(claims | {name: str(uuid4()) for name in ("sub", "uid", "sid", "jti")})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
