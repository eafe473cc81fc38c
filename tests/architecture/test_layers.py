"""The import rule holds, and the checker sees when it does not."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
_CHECK = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"


def test_every_import_goes_downwards() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "statement"),
    [
        pytest.param("domain", "import api", id="upwards"),
        pytest.param("payments", "import notifications", id="to a sibling"),
        pytest.param("core", "import models", id="from the ground up"),
        pytest.param("sandbox", "import core", id="from the sandbox into ours"),
        pytest.param("lianban", "import sandbox", id="from ours into the sandbox"),
        pytest.param("jobs", "import sanic", id="the web framework below the edge"),
    ],
)
def test_a_planted_violation_is_seen(tmp_path: Path, room: str, statement: str) -> None:
    for name in ROOMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert _lint(tmp_path).returncode == 0
    (tmp_path / room / "planted.py").write_text(f"{statement}\n")
    done = _lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{room}.planted" in done.stdout


def test_inside_the_domain_the_rows_hold(tmp_path: Path) -> None:
    for name in [*ROOMS, "domain/billing", "domain/identity"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "domain/billing/fine.py").write_text("import domain.identity\n")
    assert _lint(tmp_path).returncode == 0
    (tmp_path / "domain/identity/planted.py").write_text("import domain.billing\n")
    assert _lint(tmp_path).returncode == 1


def test_every_package_of_ours_stands_in_the_contracts() -> None:
    tools = {"bench", "tests"}
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found - tools == set(ROOMS)


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _CHECK]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
