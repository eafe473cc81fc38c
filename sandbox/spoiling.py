"""What can be wrong with a day's file: rows dropped, told twice, changed or made up; kept in the state until told otherwise."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.context import ControlError
from sandbox.state import State

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS file_spoiling (
    source TEXT NOT NULL, party TEXT NOT NULL, day TEXT NOT NULL, spoiling TEXT NOT NULL, PRIMARY KEY (source, party, day)
);
"""
_ROWS: Final = ("drop", "duplicate", "change", "add")

Row = dict[str, Any]


def choose(state: State, source: str, party: str, day: str, body: Mapping[str, Any], faults: tuple[str, ...]) -> None:
    """Keep what is to be wrong with one file; an empty body makes it right again. Raises ControlError."""
    if unknown := set(body) - {*_ROWS, "fault"}:
        raise ControlError(f"unknown {sorted(unknown)}")
    if body.get("fault") not in (None, *faults):
        raise ControlError("fault is one of " + ", ".join(faults))
    if not all(isinstance(body.get(name, []), list) for name in _ROWS):
        raise ControlError("drop, duplicate, change and add are lists")
    state.run(
        "INSERT INTO file_spoiling (source, party, day, spoiling) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (source, party, day) DO UPDATE SET spoiling = excluded.spoiling",
        (source, party, day, json.dumps(dict(body))),
    )


def chosen(state: State, source: str, party: str, day: str) -> dict[str, Any]:
    """What is to be wrong with one file; ``{}`` when nothing is."""
    query = "SELECT spoiling FROM file_spoiling WHERE source = ? AND party = ? AND day = ?"
    row = state.one(query, (source, party, day))
    return {} if row is None else json.loads(row["spoiling"])


def spoiled(rows: list[Row], spoiling: Mapping[str, Any], number_of: Callable[[Row], str]) -> list[Row]:
    """The rows as they are to stand in the file: `drop` and `duplicate` name numbers, `change` is ``{number, …columns}``."""
    changes = {str(change["number"]): change for change in spoiling.get("change", ())}
    result: list[Row] = []
    for row in rows:
        number = number_of(row)
        if number in spoiling.get("drop", ()):
            continue
        changed = row | {name: value for name, value in changes.get(number, {}).items() if name != "number"}
        result += [changed] * (2 if number in spoiling.get("duplicate", ()) else 1)
    return result + [dict(row) for row in spoiling.get("add", ())]
