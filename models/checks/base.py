"""The shape of a check of what must always hold, and what checks have in common."""

from typing import NamedTuple

OVERDUE = "interval '15 minutes'"
"""Longer than a restart with its rescue, shorter than what a person would wait for."""


class Check(NamedTuple):
    """One query of one rule of docs/architecture.md. `examined` selects a number, `violations` rows of (id, what)."""

    name: str
    rule: int
    sentence: str
    examined: str
    violations: str


def counted(*tables: str) -> str:
    """How many rows these tables have."""
    return "select " + " + ".join(f"(select count(*) from {table})" for table in tables)
