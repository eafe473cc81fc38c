"""Answers kept under the client's Idempotency-Key, written in the transaction that does the work.

The key is taken with an advisory lock inside that transaction: a second request in flight is told so at once, a crash leaves
nothing behind, and a client that got no answer (it hung up, or got 503) finds it by asking again.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

from tortoise import fields
from tortoise.models import Model

from core import clock
from core.crypto import Vault
from core.database import fetch_one
from core.errors import LianbanError

KEPT = timedelta(hours=72)


class KeyInFlight(LianbanError):
    """Another request with this key is being worked on."""

    code = "idempotency_in_flight"


class KeyReused(LianbanError):
    """This key was used with another body."""

    code = "idempotency_key_reused"


class IdempotentAnswer(Model):
    """The stored answer: status and encrypted body."""

    id = fields.CharField(max_length=64, primary_key=True)
    fingerprint = fields.BinaryField()
    status_code = fields.SmallIntField()
    body = fields.BinaryField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "idempotent_answer"
        indexes = (("created_at",),)


@dataclass
class Once:
    """One keyed request: `subject` (who), `operation` (what), `key` (the client's), `fingerprint` (of the body).

    Use inside the transaction that does the work: ``if answer := await once.begin(): return answer`` … ``await once.keep(…)``.
    """

    vault: Vault
    subject: str
    operation: str
    key: str
    fingerprint: bytes
    answered: bool = field(default=False, init=False)

    @property
    def row_id(self) -> str:
        """Different persons and operations never share a row."""
        return hashlib.sha256(f"{self.subject}\0{self.operation}\0{self.key}".encode()).hexdigest()

    async def begin(self) -> tuple[int, bytes] | None:
        """Take the key for this transaction; the kept (status, body) if it was used before.

        Raises:
            KeyInFlight: another transaction holds it. KeyReused: used before with another body.
        """
        lock = int.from_bytes(bytes.fromhex(self.row_id[:16]), "big", signed=True)
        row = await fetch_one(
            "select pg_try_advisory_xact_lock($1) as locked, a.fingerprint, a.status_code, a.body, a.created_at"
            " from (select 1) one left join idempotent_answer a on a.id = $2",
            lock, self.row_id,
        )  # fmt: skip
        assert row is not None
        if not row["locked"]:
            raise KeyInFlight
        if row["fingerprint"] is None or row["created_at"] < clock.now() - KEPT:
            return None
        return self._kept(row["fingerprint"], row["status_code"], row["body"])

    async def keep(self, status_code: int, body: bytes) -> None:
        """Keep the answer with the work, in the same transaction.

        Raises:
            KeyInFlight: another answer is kept. :meth:`begin` takes the key and looks for an answer in one statement, so it does not
                see one that was committed between its snapshot and its lock; then nothing of this work may stand.
        """
        now = clock.now()
        kept = await fetch_one(
            "insert into idempotent_answer (id, fingerprint, status_code, body, created_at) values ($1, $2, $3, $4, $5)"
            " on conflict (id) do update set fingerprint = excluded.fingerprint, status_code = excluded.status_code,"
            " body = excluded.body, created_at = excluded.created_at where idempotent_answer.created_at < $6 returning id",
            self.row_id, self.fingerprint, status_code, self.vault.seal(body, "idempotent_answer.body", self.row_id), now, now - KEPT,
        )  # fmt: skip
        if kept is None:
            raise KeyInFlight

    def _kept(self, fingerprint: bytes, status_code: int, body: bytes) -> tuple[int, bytes]:
        if bytes(fingerprint) != self.fingerprint:
            raise KeyReused
        self.answered = True
        return status_code, self.vault.open_bytes(body, "idempotent_answer.body", self.row_id)
