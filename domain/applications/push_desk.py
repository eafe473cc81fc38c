"""Pushes as staff of the city see them: what waits and why, without anybody's name; in clear for a purpose only, with a row that says so."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cities.forms import Problem
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import NotFound
from domain.applications.push_reading import Stuck, Understood
from domain.applications.pushes import Pushes
from domain.identity.staff_sessions import StaffCaller
from models import audit
from models.acting import Disclosure
from models.lifecycle import IllegalMove
from models.platform_push import PlatformPush

_LIST = """
select p.id, p.number, p.status, p.problem, p.difference, p.project_code, p.pushed_on, p.received_at, p.ended_at,
  a.number as application_number,
  (select count(*) from push_amendment m where m.push_id = p.id) as amendments,
  (select count(*) from platform_report r where r.push_id = p.id and r.status not in ('told', 'refused')) as untold
from platform_push p left join application a on a.id = p.application_id
"""
_WAITING = " where (p.status in ('expected', 'received', 'stuck') or p.difference is not null)"
_PAGE = " and ($1::uuid is null or p.id > $1) order by p.id limit $2"
_AMENDMENTS = "select version, staff_id, reason, at from push_amendment where push_id = $1 order by version"
_STEPS = """
select event, from_state, to_state, actor_kind, reason, at from journal where subject = 'platform_push' and subject_id = $1 order by at, id
"""


@dataclass(frozen=True, slots=True)
class DeskPush:
    """One push: its row, what is wrong with it as it stands now, what was done with it."""

    row: dict[str, Any]
    schema: str | None
    problems: tuple[Problem, ...]
    amendments: list[dict[str, Any]]
    steps: list[dict[str, Any]]


class PushDesk:
    """Reads for staff of the city; any other unit finds nothing."""

    def __init__(self, vault: Vault, pushes: Pushes) -> None:
        self._vault = vault
        self._pushes = pushes

    async def listed(self, state: str | None, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """A page of them, oldest first: of one state, else of all that wait for somebody or differ."""
        if state is None:
            return [dict(row) for row in await fetch(_LIST + _WAITING + _PAGE, after, limit)]
        rows = await fetch(_LIST + " where p.status = $3" + _PAGE, after, limit, state)
        return [dict(row) for row in rows]

    async def one(self, push_id: UUID) -> DeskPush:
        """Raises NotFound."""
        rows = await fetch(_LIST + " where p.id = $1", push_id)
        if not rows:
            raise NotFound("platform_push")
        found = await self._pushes.examined(await PlatformPush.get(id=push_id))
        problems = found.details if isinstance(found, Stuck) else ()
        schema = found.push.schema if isinstance(found, Understood) else None
        return DeskPush(
            dict(rows[0]), schema, problems, [dict(row) for row in await fetch(_AMENDMENTS, push_id)],
            [dict(row) for row in await fetch(_STEPS, push_id)],
        )  # fmt: skip

    async def reveal(
        self, staff: StaffCaller, push_id: UUID, purpose: str, note: str, request_id: str
    ) -> tuple[str, str | None]:
        """What the platform has sent, and the last amendment; the row that says who saw them and why is there before the answer.

        Raises:
            NotFound: there is none, or it has not come.
        """
        push = await PlatformPush.get_or_none(id=push_id)
        if push is None or push.content is None:
            raise NotFound("platform_push")
        row_id = ids.new_id()
        async with transaction():
            await Disclosure.create(
                id=row_id, at=clock.now(), staff_id=staff.staff_id, unit=staff.unit.code, subject="platform_push", subject_id=push_id,
                field="content", purpose=purpose, note=self._vault.seal(note, "disclosure.note", row_id), request_id=request_id,
            )  # fmt: skip
        original, worked = self._pushes.original_of(push), await self._pushes.content_of(push)
        return original.decode(errors="replace"), None if worked == original else worked.decode()

    async def explain(self, staff: StaffCaller, push_id: UUID, reason: str) -> None:
        """What a difference was; with that it is settled.

        Raises:
            NotFound. IllegalMove: nothing differs.
        """
        async with transaction():
            push = await PlatformPush.filter(id=push_id).select_for_update().get_or_none()
            if push is None:
                raise NotFound("platform_push")
            if push.difference is None:
                raise IllegalMove(subject="platform_push", state=push.status, event="explain")
            await audit.record(staff.actor, f"push.{push.difference}_explained", "platform_push", push.id, reason)
            push.difference = None
            await push.save(update_fields=["difference"])
