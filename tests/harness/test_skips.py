"""What was skipped is said last, also from xdist's workers, and can be forbidden."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TESTS = """
import pytest

def test_runs():
    pass

@pytest.mark.skip(reason="no such engine")
def test_does_not():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    raise AssertionError
"""
_WHOLE = """
import pytest
pytest.skip("not here", allow_module_level=True)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_last_line_counts_and_names_what_was_skipped(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_some.py").write_text(_TESTS)
    (tmp_path / "test_whole.py").write_text(_WHOLE)
    done = _run(tmp_path, "-n", workers)
    *_, closing, last = done.stdout.splitlines()
    assert "1 passed" in closing
    assert last.startswith("skipped: 2 (")
    assert "test_does_not: no such engine" in last
    assert "test_whole.py: not here" in last
    assert done.returncode == 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_skipping_can_be_forbidden(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_some.py").write_text(_TESTS)
    assert _run(tmp_path, "--no-skips", "-n", workers).returncode == 1


def test_nothing_skipped_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_runs():\n    pass\n")
    done = _run(tmp_path, "--no-skips")
    assert done.stdout.splitlines()[-1] == "skipped: 0"
    assert done.returncode == 0


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    plugins = ["-p", "tests.harness.skips", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:valkey"]
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), *plugins, *arguments, str(folder)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
