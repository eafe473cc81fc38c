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

Fault = Callable[[dict[str, Any]], object]


def copy(folder: Path) -> Path:
    """A pack of its own in `folder`, named like the original."""
    return Path(shutil.copytree(EZHOU, folder / "ezhou"))


def change(folder: Path, file: str, how: Fault) -> Path:
    """A copy whose `file` was read, changed by `how` and written again."""
    return also(copy(folder), file, how)


def also(pack: Path, file: str, how: Fault) -> Path:
    """The same for one more file of a copy."""
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


def put(path: str, value: object) -> Fault:
    """Sets what ``a.0.b`` leads to."""

    def apply(raw: Any) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in way:
            raw = raw[step]
        raw[last] = value

    return apply


def drop(path: str) -> Fault:
    def apply(raw: Any) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in way:
            raw = raw[step]
        del raw[last]

    return apply


def again(name: str, /, **changes: object) -> Fault:
    """Appends the first entry of a list once more, changed."""
    return lambda raw: raw[name].append({**raw[name][0], **changes})


def versions(name: str, first: dict[str, object], second: dict[str, object]) -> Fault:
    """Two versions of a rule in place of one."""

    def apply(raw: Any) -> None:
        rule = raw[name][0]
        raw[name] = [{**rule, **first}, {**rule, **second}]

    return apply


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
