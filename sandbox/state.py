"""The sandbox's memory: one SQLite file in WAL mode.

Everything a counterpart has answered for is committed before the answer leaves, so a kill -9 loses none of it. All
access is synchronous and happens on the event loop's thread: a block under :meth:`State.transaction` must not contain
an ``await``.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SETTINGS = "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)"


class State:
    """A connection with three verbs. Rows are :class:`sqlite3.Row`, so ``row["column"]`` works."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        # WAL with NORMAL survives the death of the process at any instant; only a power cut could cost commits.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._depth = 0
        self.define(_SETTINGS)

    def define(self, schema: str) -> None:
        """Run ``CREATE TABLE IF NOT EXISTS …`` statements; each counterpart defines its tables when it is mounted."""
        self._db.executescript(schema)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. A nested block joins the outer one."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield self._db
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self._db.execute("COMMIT")

    def all(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query."""
        return self._db.execute(query, values).fetchall()

    def one(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        return self._db.execute(query, values).fetchone()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """One statement, committed (or part of the surrounding transaction); answers how many rows it touched."""
        with self.transaction() as db:
            return db.execute(statement, values).rowcount

    def setting(self, name: str, default: str) -> str:
        """A standing choice of a control endpoint; `default` until it was made, and again after a reset."""
        row = self.one("SELECT value FROM setting WHERE name = ?", (name,))
        return default if row is None else str(row["value"])

    def choose(self, name: str, value: str) -> None:
        """Keep a standing choice."""
        self.run(
            "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def clear(self) -> None:
        """Empty every table (``POST /control/reset``); the reset hooks load what the configuration holds again."""
        with self.transaction() as db:
            db.execute("PRAGMA defer_foreign_keys = ON")
            tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            for table in tables.fetchall():
                db.execute(f'DELETE FROM "{table["name"]}"')  # noqa: S608 our own table names

    def close(self) -> None:
        """Close the file."""
        self._db.close()
