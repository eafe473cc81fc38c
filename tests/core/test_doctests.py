"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "api",
    "cities",
    "core",
    "domain",
    "gateways",
    "jobs",
    "lianban",
    "models",
    "notifications",
    "payments",
    "sandbox",
    "wechat",
)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if ">>> " in path.read_text()
)


def test_some_module_has_examples() -> None:
    assert "core.strict_json" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert result.attempted > 0
    assert result.failed == 0
