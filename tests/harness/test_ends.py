"""However a test run ends, its engines and their data go with it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from lianban import engine_host
from tests.harness.processes import processes_below

ROOT = Path(__file__).parents[2]

_PATIENCE_S = 300.0
"""Of a busy machine; who is done earlier goes on at once."""

pytestmark = pytest.mark.timeout(3 * _PATIENCE_S)  # a whole test run inside each test

_HANGS = """
import threading

def test_hangs(clean):
    print("in the middle", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def folder() -> Generator[Path]:
    """Where the other run has its temporary folder; open to the OS user PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="lianban-run-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_is_ended_from_outside(folder: Path, number: signal.Signals) -> None:
    (folder / "test_hangs.py").write_text(_HANGS)
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = session\n")
    plugins = ["-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:valkey"]
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "--rootdir", str(folder), *plugins, str(folder)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert any("in the middle" in line for line in run.stdout)
    (root,) = folder.glob("lianban-test-*")
    assert processes_below(root)
    run.send_signal(number)
    run.communicate(timeout=_PATIENCE_S)
    assert engine_host.wait_until(lambda: not root.exists(), _PATIENCE_S)
    assert engine_host.wait_until(lambda: processes_below(root) == [], _PATIENCE_S)
