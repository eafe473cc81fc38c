"""What is said about an order at each step: written once, encrypted, read back for those whom it concerns."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one
from models.lifecycle import Actor

_COLUMN = "order_paper.content"
_WRITE = """
insert into order_paper (id, order_id, kind, version, content, actor_kind, actor_id, at)
select $1, $2::uuid, $3::text, coalesce(max(version), 0) + 1, $4, $5, $6, $7 from order_paper where order_id = $2 and kind = $3::text
"""
_READ = """
select id, order_id, kind, version, content, actor_kind, at from order_paper
where order_id = any($1::uuid[]) and ($2::text[] is null or kind = any($2)) order by at, id
"""
_LAST = "select id, content from order_paper where order_id = $1 and kind = $2 order by version desc limit 1"


@dataclass(frozen=True, slots=True)
class Paper:
    """One thing that was said. `content`: what the verb that wrote it says."""

    id: UUID
    order_id: UUID
    kind: str
    version: int
    content: dict[str, Any]
    by: str
    """The kind of actor: person, company, staff, system."""
    at: datetime


class Papers:
    """Writes and reads papers of orders."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def write(self, order_id: UUID, kind: str, content: dict[str, Any], actor: Actor) -> UUID:
        """Write the next version of its kind, in the caller's transaction, which holds the order's lock."""
        paper_id = ids.new_id()
        sealed = self._vault.seal(msgspec.json.encode(content), _COLUMN, paper_id)
        await fetch(_WRITE, paper_id, order_id, kind, sealed, actor.kind, actor.id, clock.now())
        return paper_id

    async def of(self, order_ids: Iterable[UUID], kinds: Iterable[str] | None = None) -> list[Paper]:
        """The papers of these orders, oldest first; only of these kinds, if any are named."""
        rows = await fetch(_READ, list(order_ids), None if kinds is None else list(kinds))
        return [
            Paper(
                row["id"], row["order_id"], row["kind"], row["version"], self._open(row["id"], row["content"]), row["actor_kind"], row["at"]
            )
            for row in rows
        ]  # fmt: skip

    async def last(self, order_id: UUID, kind: str) -> dict[str, Any] | None:
        """The newest of its kind; None when nothing was said."""
        row = await fetch_one(_LAST, order_id, kind)
        return None if row is None else self._open(row["id"], row["content"])

    def _open(self, paper_id: UUID, content: bytes) -> dict[str, Any]:
        return msgspec.json.decode(self._vault.open_bytes(content, _COLUMN, paper_id))
