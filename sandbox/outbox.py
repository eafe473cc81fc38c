"""Outgoing messages that are rows before they are sent: a pending one survives a kill -9 and leaves after the start."""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from sandbox.context import Context

LOOK_S = 0.25
"""The clock may travel while we wait, so what is due is looked up this often as long as anything is pending."""
ANSWER_WITHIN_S = 5.0
PACE = "pace"
"""The setting that divides every wait of every outbox."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, subject TEXT NOT NULL, message TEXT NOT NULL, status TEXT NOT NULL,
    attempts INTEGER NOT NULL, tried_at REAL, last_answer TEXT
);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (name) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS outbox_subject ON outbox (name, subject);
"""

Send = Callable[[dict[str, Any], bool], Awaitable[httpx.Response]]
"""Sends one message; the second argument says that its signature must be wrong. May raise httpx.HTTPError."""

log = logging.getLogger("sandbox")


class Outbox:
    """The messages of one counterpart's outgoing operation.

    `waits_s` are the waits between attempts at pace 1; after the last the message is given up. `send` makes one
    attempt, `accepts` judges its answer. Statuses: ``pending``, ``accepted``, ``given_up``, ``silenced``.
    """

    def __init__(
        self,
        context: Context,
        counterpart: str,
        operation: str,
        waits_s: tuple[float, ...],
        send: Send,
        accepts: Callable[[httpx.Response], bool],
    ) -> None:
        self._context = context
        self._counterpart = counterpart
        self._operation = operation
        self._name = f"{counterpart}:{operation}"
        self._waits_s = waits_s
        self._send = send
        self._accepts = accepts
        self._wake = asyncio.Event()
        self._on_their_way: set[int] = set()
        context.state.define(_SCHEMA)
        context.on_start(self._start)
        context.on_reset(self._wake.set)

    def add(self, subject: str, message: Mapping[str, Any]) -> None:
        """Write a message; it leaves when the surrounding transaction is committed."""
        self._context.state.run(
            "INSERT INTO outbox (name, subject, message, status, attempts) VALUES (?, ?, ?, 'pending', 0)",
            (self._name, subject, json.dumps(message, ensure_ascii=False)),
        )
        self._wake.set()

    def about(self, subject: str) -> list[dict[str, Any]]:
        """Every message about a subject, oldest first: ``{message, status, attempts, last_answer}``."""
        query = "SELECT * FROM outbox WHERE name = ? AND subject = ? ORDER BY id"
        return [
            {
                "message": json.loads(row["message"]),
                "status": row["status"],
                "attempts": row["attempts"],
                "last_answer": row["last_answer"],
            }
            for row in self._context.state.all(query, (self._name, subject))
        ]

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """One HTTP POST, answered within 5 s in all. Raises httpx.HTTPError."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._context.http.post(url, content=body, headers=dict(headers))
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {ANSWER_WITHIN_S} s") from error

    def _start(self) -> None:
        self._context.spawn(self._run())

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                is_idle = self._look()
            except Exception:
                log.exception("the outbox %s failed; it looks again", self._name)
                is_idle = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if is_idle else LOOK_S)

    def _look(self) -> bool:
        query = "SELECT * FROM outbox WHERE name = ? AND status = 'pending' ORDER BY id"
        rows = self._context.state.all(query, (self._name,))
        for row in rows:
            if row["id"] not in self._on_their_way and self._is_due(row):
                self._on_their_way.add(row["id"])
                self._context.spawn(self._attempt(row["id"], json.loads(row["message"])))
        return not rows

    def _is_due(self, row: sqlite3.Row) -> bool:
        if row["attempts"] == 0:
            return True
        pace = float(self._context.state.setting(PACE, "1"))
        # abs: after the clock has travelled back the last attempt lies in the future and must not delay the next.
        waited_s = abs(self._context.clock.timestamp() - row["tried_at"])
        return waited_s >= self._waits_s[row["attempts"] - 1] / pace

    async def _attempt(self, message_id: int, message: dict[str, Any]) -> None:
        last_answer = ""

        async def send(forge: bool) -> bool:
            nonlocal last_answer
            if self._context.state.one("SELECT 1 FROM outbox WHERE id = ?", (message_id,)) is None:
                return True  # a reset has forgotten it meanwhile
            try:
                response = await self._send(message, forge)
            except Exception as error:
                last_answer = type(error).__name__
                if not isinstance(error, httpx.HTTPError | httpx.InvalidURL):
                    log.exception("the outbox %s cannot send", self._name)
                return False
            last_answer = str(response.status_code)
            return self._accepts(response)

        try:
            accepted = await self._context.deliver(self._counterpart, self._operation, send)
            self._note(message_id, accepted, last_answer)
        finally:
            self._on_their_way.discard(message_id)
            self._wake.set()

    def _note(self, message_id: int, accepted: bool | None, last_answer: str) -> None:
        status = {True: "accepted", None: "silenced"}.get(accepted)
        self._context.state.run(
            "UPDATE outbox SET attempts = attempts + 1, tried_at = ?, last_answer = ?, "
            "status = coalesce(?, CASE WHEN attempts >= ? THEN 'given_up' ELSE 'pending' END) WHERE id = ?",
            (self._context.clock.timestamp(), last_answer, status, len(self._waits_s), message_id),
        )
