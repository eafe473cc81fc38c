"""A failpoint kills where it is told to, once, and costs nothing otherwise."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_WALK = """
import sys
from core import failpoint
if sys.argv[1]:
    failpoint.arm(sys.argv[1], sys.argv[2])
for name in ("first", "second", "third"):
    failpoint.failpoint(name)
    print(name, flush=True)
"""


def _walk(names: str, log: Path) -> tuple[list[str], int]:
    done = subprocess.run(
        [sys.executable, "-c", _WALK, names, str(log)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.split(), done.returncode


def test_unarmed_it_is_passed(tmp_path: Path) -> None:
    assert _walk("", tmp_path / "log") == (["first", "second", "third"], 0)
    assert _walk("elsewhere", tmp_path / "log") == (["first", "second", "third"], 0)


def test_armed_it_kills_once_and_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert _walk("second,third", log) == (["first"], -signal.SIGKILL)
    assert log.read_text() == "second\n"
    assert _walk("second,third", log) == (["first", "second"], -signal.SIGKILL)
    assert log.read_text() == "second\nthird\n"
    assert _walk("second,third", log) == (["first", "second", "third"], 0)


def test_a_running_process_is_armed_through_a_file(tmp_path: Path) -> None:
    points, log = tmp_path / "points", tmp_path / "log"
    assert _walk(f"@{points}", log)[1] == 0
    points.write_text("third\n")
    assert _walk(f"@{points}", log) == (["first", "second"], -signal.SIGKILL)
    assert _walk(f"@{points}", log)[1] == 0
