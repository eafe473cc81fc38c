"""``lianban dev`` as a process: it comes up, holds its folder, survives ``kill -9`` with the data whole, and ends clean."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from psutil import NoSuchProcess, Process

from lianban.keys import Ports
from tests.harness import template
from tests.harness.processes import processes_below, select
from tests.harness.world import free_ports

ROOT = Path(__file__).parents[2]
_UP = "已启动"

pytestmark = pytest.mark.timeout(180)  # each start takes seconds, on a busy machine ten times that

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def ports(worker_id: str) -> Ports:
    """Ports of its own: this worker's sandbox, once some other test has asked for it, stays on the first ones."""
    return free_ports(worker_id, skip=40)


@pytest.fixture
def start(home: Path, migrated: Path, ports: Ports) -> Generator[Start]:
    """Starts ``lianban dev --no-demo`` on `home`; waits until it says that it is up, unless told otherwise."""
    template.copy(migrated, home / "postgres")
    started: list[subprocess.Popen[str]] = []

    def one(*arguments: str, wait: bool = True) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lianban", "dev", "--no-demo", "--var", str(home)]
        command += ["--port", str(ports.api), "--sandbox-port", str(ports.sandbox), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        if wait:
            _wait_for(process, _UP)
        return process

    yield one
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    for process in _all_of(home):
        with suppress(NoSuchProcess):
            process.kill()


def test_it_holds_its_folder_survives_kill_9_with_the_data_whole_and_ends_clean(
    start: Start, home: Path, ports: Ports
) -> None:
    first = start()
    assert _get(ports.api, "/livez").status_code == 200
    assert _get(ports.sandbox, "/control/health").json()["status"] == "ok"

    # A second one in the same folder is refused and harms nothing.
    refused = start(wait=False)
    said, _ = refused.communicate(timeout=90)
    assert refused.returncode == 1
    assert str(first.pid) in said
    assert _get(ports.api, "/livez").status_code == 200

    keys = (home / "keys" / "keys.json").read_bytes()
    with psycopg.connect(_database(home)) as connection:
        connection.execute("create table note as select 'whole' as text")
    first.kill()
    first.communicate()
    second = start()
    with psycopg.connect(_database(home)) as connection:
        assert connection.execute("select text from note").fetchone() == ("whole",)
    assert (home / "keys" / "keys.json").read_bytes() == keys
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=90)
    assert second.returncode == 0
    assert _all_of(home) == []


def test_a_signal_in_the_middle_of_the_start_ends_all_of_it(start: Start, home: Path) -> None:
    process = start(wait=False)
    _when(lambda: (home / "sandbox.log").exists(), process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert _all_of(home) == []


def test_a_sandbox_that_dies_ends_it_with_the_reason(start: Start, home: Path) -> None:
    process = start()
    (sandbox,) = _sandboxes(home)
    sandbox.kill()
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "沙箱意外退出" in said
    assert _all_of(home) == []


def _wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read its output up to `text`; then keep reading, or it would block on a full pipe."""
    assert process.stdout is not None
    read: list[str] = []
    for line in process.stdout:
        read.append(line)
        if text in line:
            return
    raise AssertionError("".join(read))


def _when(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    done = threading.Event()
    while not condition():
        assert process.poll() is None
        done.wait(0.01)


def _get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)


def _database(home: Path) -> str:
    return json.loads((home / "keys" / "settings.json").read_bytes())["database_url"]


def _sandboxes(home: Path) -> list[Process]:
    config = str(home / "keys" / "sandbox.json")
    return select(lambda process: "sandbox" in process.cmdline() and config in process.cmdline())


def _all_of(home: Path) -> list[Process]:
    return [*processes_below(home), *_sandboxes(home)]
