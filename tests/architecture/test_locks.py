"""The lock files hold what pyproject.toml asks for, every line with its hashes, and name no host."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements-dev.lock", [*PROJECT["dependencies"], *_EXTRAS["dev"], *_EXTRAS["oracles"]]),
        ("requirements-boot.lock", ["uv"]),
    ],
)
def test_what_is_asked_for_is_locked_in_a_version_that_fits(lock: str, wanted: list[str]) -> None:
    locked = _read(lock)
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in {lock}: run `make locks`"
        assert version in requirement.specifier, f"{requirement} but {lock} has {version}: run `make locks`"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-boot.lock"])
def test_every_package_has_hashes_and_no_line_names_a_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    for package in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in package, package


def test_development_runs_on_the_versions_that_production_gets() -> None:
    assert _read("requirements.lock").items() <= _read("requirements-dev.lock").items()


def _read(lock: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}
