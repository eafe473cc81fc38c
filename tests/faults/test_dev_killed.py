"""``lianban dev`` killed in the middle of its demo, alone or with its engines: the next start goes on with everything whole."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import LiteralString, NamedTuple

import psycopg
import pytest

from lianban import engine_host
from lianban.check import examine
from lianban.keys import Ports
from tests.faults.world import ROOT, is_free
from tests.harness import template
from tests.harness.processes import processes_below, select

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

_UP = "已启动"
_PAID = "输入密码付款"
_DONE = "—— 完成"
_REFUSED = "已经有一个联办在运行"

_UNFINISHED = """
select (select count(*) from payment where status <> 'succeeded') + (select count(*) from posting where status <> 'posted')
  + (select count(*) from event where dispatched_at is null) + (select 1 - least(count(*), 1) from posting)
"""


class Started(NamedTuple):
    """A running ``lianban dev`` and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, text: str) -> None:
        """Return once it has said `text`."""
        assert engine_host.wait_until(lambda: text in self.log.read_text() or self.process.poll() is not None, 90.0)
        assert text in self.log.read_text(), self.log.read_text()[-3000:]

    def interrupt(self) -> int:
        """Ctrl-C; its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)


Start = Callable[..., Started]


@pytest.fixture
def start(home: Path, migrated: Path, ports: Ports, tmp_path: Path) -> Generator[Start]:
    """Starts ``lianban dev`` with its demo on `home`, which has a migrated database."""
    template.copy(migrated, home / "postgres")
    started: list[Started] = []

    def one(*arguments: str) -> Started:
        command = [sys.executable, "-m", "lianban", "dev", "--var", str(home)]
        command += ["--port", str(ports.api), "--sandbox-port", str(ports.sandbox), *arguments]
        log = tmp_path / f"dev-{len(started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        started.append(Started(process, log))
        return started[-1]

    yield one
    for process, _ in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("victims", ["dev", "dev, PostgreSQL and Valkey"])
async def test_the_next_start_has_everything_whole_and_plays_the_demo(
    start: Start,
    home: Path,
    ports: Ports,
    victims: str,
) -> None:
    first = start()
    first.wait_for(_PAID)
    _kill(first.process, home, with_engines="PostgreSQL" in victims)
    _until_free(ports)
    second = start("--no-demo")
    second.wait_for(_UP)
    url = _database_url(home)
    assert engine_host.wait_until(lambda: _count(url, _UNFINISHED) == 0, 60.0)
    assert _count(url, "select count(*) from payment") == 1, "what was answered before the kill is there"
    demo = [sys.executable, "-m", "lianban", "demo", "--var", str(home)]
    demo += ["--sandbox-url", f"http://127.0.0.1:{ports.sandbox}"]
    played = await asyncio.to_thread(subprocess.run, demo, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert played.returncode == 0, played.stdout
    assert _count(url, "select count(*) from payment where status = 'succeeded'") == 2
    broken = [found for found in await examine(url) if found.violations]
    assert broken == []
    assert second.interrupt() == 0
    assert processes_below(home) == []
    assert _sandboxes(home) == []


def test_a_second_one_is_refused_while_the_first_serves_on(start: Start, home: Path, ports: Ports) -> None:
    first = start()
    first.wait_for(_DONE)
    second = start()
    assert second.process.wait(40) == 1
    assert _REFUSED in second.log.read_text()
    assert first.process.poll() is None
    assert not is_free(ports.api)
    assert first.interrupt() == 0
    assert processes_below(home) == []
    assert _sandboxes(home) == []


def _kill(process: subprocess.Popen[bytes], home: Path, *, with_engines: bool) -> None:
    if with_engines:
        engines = [
            *engine_host.processes("postgres", (home / "postgres").resolve()),
            *engine_host.processes("valkey-server", (home / "valkey").resolve()),
        ]
        masters = [one for one in engines if one.ppid() not in {other.pid for other in engines}]
        assert len(masters) == 2
        for master in masters:
            os.kill(master.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _until_free(ports: Ports) -> None:
    """The sandbox ends with its parent, a moment later."""
    assert engine_host.wait_until(lambda: is_free(ports.api) and is_free(ports.sandbox), 15.0)


def _count(url: str, query: LiteralString) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def _sandboxes(home: Path) -> list[object]:
    return list(select(lambda process: str(home) in " ".join(process.cmdline()) and "sandbox" in process.cmdline()))


def _database_url(home: Path) -> str:
    lines = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    return f"postgresql:///lianban?host={lines[4].strip().replace(' ', '%20')}&user=postgres"
