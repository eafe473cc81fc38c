"""The fault table: what is to go wrong, where, and how often. It lives in the state file, so it survives a kill -9."""

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from sandbox.state import State

INCOMING: Final = frozenset({"latency", "error", "drop", "hang", "forge"})
"""Faults of a call that comes in (``forge``: our answer carries a wrong signature)."""
OUTGOING: Final = frozenset({"latency", "duplicate", "reorder", "forge", "silence"})
"""Faults of a notice or event that goes out."""
OPERATIONS: Final = {
    "wechat_pay": {
        "order",
        "query",
        "close",
        "refund",
        "refund_query",
        "certificates",
        "trade_bill",
        "bill_download",
        "notice",
    },
    "alipay": {"cashier", "query", "close", "refund", "refund_query", "bill_link", "bill_download", "notice"},
    "unified_identity": {"token", "user_info", "ticket"},
    "company": {
        "find_account",
        "query_bills",
        "quote_top_up",
        "post_payment",
        "query_posting",
        "bill_file",
        "posting_file",
        "holder_notice",
        "send_order",
        "query_order",
        "withdraw_order",
        "order_notice",
        "file_get",
        "file_put",
        "event",
    },
    "wechat": {
        "code2session",
        "stable_token",
        "phone_number",
        "subscribe_send",
        "code_unlimited",
        "message_push",
        "template_send",
        "user_info",
        "qrcode_create",
        "web_token",
    },
    "sms": {"send", "pull"},
    "construction": {"status_report", "pushed_list", "push"},
}
"""What can go wrong at each kind of counterpart; ``company`` stands for every ``company:{code}``."""
OUTGOING_OPERATIONS: Final = frozenset({"message_push", "notice", "event", "push"})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY, counterpart TEXT NOT NULL, operation TEXT NOT NULL, fault TEXT NOT NULL,
    times_left INTEGER, latency_s REAL NOT NULL, status INTEGER NOT NULL, after INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS call (
    counterpart TEXT NOT NULL, operation TEXT NOT NULL, id TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (counterpart, operation, id)
);
"""


class FaultRefused(ValueError):
    """The fault described to ``POST /control/faults`` makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that is to happen now."""

    kind: str
    latency_s: float
    status: int
    after: bool


class Faults:
    """Adds, lists, clears and takes faults; counts calls."""

    def __init__(self, state: State) -> None:
        self._state = state
        state.define(_SCHEMA)

    def add(self, counterpart: str, operation: str, fault: str, *, times: int | None = None, latency_s: float = 0.0,
            status: int = 500, after: bool = False) -> int:  # fmt: skip
        """Plan a fault; answers its id. Raises FaultRefused."""
        # A misspelt plan would never come true, and the test that made it would pass for the wrong reason.
        operations = OPERATIONS.get(counterpart.partition(":")[0], set())
        if not operations or (operation != "*" and operation not in operations):
            raise FaultRefused(f"{counterpart} has no operation {operation}")
        if fault not in INCOMING | OUTGOING:
            raise FaultRefused(f"unknown fault {fault}")
        if operation != "*" and fault not in (OUTGOING if operation in OUTGOING_OPERATIONS else INCOMING):
            raise FaultRefused(f"{fault} cannot happen to {operation}")
        if times is not None and times < 1:
            raise FaultRefused("times must be at least 1")
        if latency_s < 0 or not 400 <= status <= 599:
            raise FaultRefused("latency_s must not be negative, status is 400 to 599")
        with self._state.transaction() as db:
            values = (counterpart, operation, fault, times, latency_s, status, int(after))
            cursor = db.execute(
                "INSERT INTO fault (counterpart, operation, fault, times_left, latency_s, status, after) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return int(cursor.lastrowid or 0)

    def take(self, counterpart: str, operation: str) -> Fault | None:
        """The oldest fault planned for this operation, used up by one; None when all is well."""
        kinds = OUTGOING if operation in OUTGOING_OPERATIONS else INCOMING
        with self._state.transaction() as db:
            query = "SELECT * FROM fault WHERE counterpart = ? AND operation IN (?, '*') ORDER BY id"
            rows = db.execute(query, (counterpart, operation)).fetchall()
            row = next((row for row in rows if row["fault"] in kinds), None)
            if row is None:
                return None
            if row["times_left"] == 1:
                db.execute("DELETE FROM fault WHERE id = ?", (row["id"],))
            elif row["times_left"] is not None:
                db.execute("UPDATE fault SET times_left = times_left - 1 WHERE id = ?", (row["id"],))
            return Fault(row["fault"], row["latency_s"], row["status"], bool(row["after"]))

    def planned(self) -> list[dict[str, Any]]:
        """All faults still to come."""
        return [_described(row) for row in self._state.all("SELECT * FROM fault ORDER BY id")]

    def clear(self, counterpart: str | None = None) -> None:
        """Let all be well again, or all at one counterpart."""
        self._state.run("DELETE FROM fault WHERE ?1 IS NULL OR counterpart = ?1", (counterpart,))

    def count(self, counterpart: str, operation: str, call_id: str) -> None:
        """Remember that a call came in, whatever becomes of it."""
        self._state.run(
            "INSERT INTO call (counterpart, operation, id, count) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (counterpart, operation, id) DO UPDATE SET count = count + 1",
            (counterpart, operation, call_id),
        )

    def calls(self, counterpart: str | None = None) -> list[dict[str, Any]]:
        """Counted calls: ``{counterpart, operation, id, count}``."""
        query = "SELECT * FROM call WHERE ? IS NULL OR counterpart = ? ORDER BY counterpart, operation, id"
        return [dict(row) for row in self._state.all(query, (counterpart, counterpart))]


def _described(row: sqlite3.Row) -> dict[str, Any]:
    described: dict[str, Any] = dict(row)
    described["times"] = described.pop("times_left")
    return described | {"after": bool(row["after"])}
