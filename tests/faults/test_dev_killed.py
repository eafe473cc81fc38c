"""``lianban dev`` killed in the middle of its demo, alone or with its engines: the next start goes on with everything whole."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import psycopg
import pytest

from lianban import engine_host
from lianban.check import examine
from lianban.keys import Ports
from tests.faults.world import ROOT, is_free
from tests.harness import template
from tests.harness.processes import processes_below, select

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

_PAID = "点缴费"
_DONE = "—— 完成"
_REFUSED = "已经有一个联办在运行"

Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def start(home: Path, migrated: Path, ports: Ports) -> Generator[Start]:
    """Starts ``lianban dev`` with its demo on `home`, which has a migrated database."""
    template.copy(migrated, home / "postgres")
    started: list[subprocess.Popen[str]] = []

    def one() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lianban", "dev", "--var", str(home)]
        command += ["--port", str(ports.api), "--sandbox-port", str(ports.sandbox)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield one
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("victims", ["dev", "dev, PostgreSQL and Valkey"])
async def test_the_next_start_has_everything_whole_and_plays_the_demo(
    start: Start,
    home: Path,
    ports: Ports,
    victims: str,
) -> None:
    first = start()
    _wait_for(first, _PAID)
    _kill(first, home, with_engines="PostgreSQL" in victims)
    _until_free(ports)
    second = start()
    _wait_for(second, _DONE)
    url = _database_url(home)
    with psycopg.connect(url) as connection:
        rows = connection.execute("select status from payment order by id").fetchall()
    assert len(rows) == 2, "what was answered before the kill is there"
    assert rows[-1] == ("succeeded",)
    broken = [found for found in await examine(url) if found.violations]
    assert broken == []
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=40)
    assert second.returncode == 0
    assert processes_below(home) == []
    assert _sandboxes(home) == []


def test_a_second_one_is_refused_while_the_first_serves_on(start: Start, home: Path, ports: Ports) -> None:
    first = start()
    _wait_for(first, _DONE)
    second = start()
    said, _ = second.communicate(timeout=40)
    assert second.returncode == 1
    assert _REFUSED in said
    assert first.poll() is None
    assert not is_free(ports.api)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=40)
    assert first.returncode == 0
    assert processes_below(home) == []
    assert _sandboxes(home) == []


def _wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read what it says until `text` comes; then go on reading, so that it never waits for us."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return
    raise AssertionError(f"never said {text}:\n{''.join(said)[-3000:]}")


def _kill(process: subprocess.Popen[str], home: Path, *, with_engines: bool) -> None:
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


def _sandboxes(home: Path) -> list[object]:
    return list(select(lambda process: str(home) in " ".join(process.cmdline()) and "sandbox" in process.cmdline()))


def _database_url(home: Path) -> str:
    lines = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    return f"postgresql:///lianban?host={lines[4].strip().replace(' ', '%20')}&user=postgres"
