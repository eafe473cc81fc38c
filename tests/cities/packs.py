"""Copies of the Ezhou pack with one thing changed."""

import json
import shutil
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import cities

EZHOU = Path(cities.__file__).parent / "ezhou"


def copy(folder: Path) -> Path:
    """A pack of its own in `folder`, named like the original."""
    return Path(shutil.copytree(EZHOU, folder / "ezhou"))


def change(folder: Path, file: str, how: Callable[[dict[str, Any]], object]) -> Path:
    """A copy whose `file` was read, changed by `how` and written again."""
    pack = copy(folder)
    path = pack / file
    raw = (
        tomllib.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".toml"
        else json.loads(path.read_text(encoding="utf-8"))
    )
    how(raw)
    text = _table(raw) if path.suffix == ".toml" else json.dumps(raw, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return pack


def _table(raw: dict[str, Any]) -> str:
    return "".join(f"{_string(key)} = {_value(value)}\n" for key, value in raw.items())


def _value(raw: Any) -> str:
    match raw:
        case dict():
            return "{" + ", ".join(f"{_string(key)} = {_value(value)}" for key, value in raw.items()) + "}"
        case list():
            return "[" + ", ".join(_value(value) for value in raw) + "]"
        case bool():
            return str(raw).lower()
        case date():
            return raw.isoformat()
        case str():
            return _string(raw)
        case _:
            return repr(raw)


def _string(raw: str) -> str:
    return json.dumps(raw, ensure_ascii=False)
