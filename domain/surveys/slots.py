"""Free times of crews, as the companies give them: offered, withdrawn, never changed; and which of them are free."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from core import clock, ids
from core.database import fetch
from core.errors import LianbanError
from domain.surveys.planning import Slot
from models.lifecycle import Actor


class SlotUnsuitable(LianbanError):
    """A free time that cannot be one. data: ``slot``, ``why`` (past, backward, too_long, area)."""

    code = "survey_slot_unsuitable"


class Offer(NamedTuple):
    """A free time under the company's own code of it."""

    code: str
    area: str
    starts_at: datetime
    ends_at: datetime


_PUT = """
insert into survey_slot (id, company, code, area, starts_at, ends_at, offered_by, offered_at)
values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (company, code) do nothing returning id
"""
_TAKE_BACK = """
insert into survey_slot (id, company, code, offered_by, offered_at, withdrawn_at) values ($1, $2, $3, $4, $5, $5)
on conflict (company, code) do update set withdrawn_at = coalesce(survey_slot.withdrawn_at, excluded.withdrawn_at)
returning id
"""
_BOOKED = (
    "select survey_id from survey_booking where slot_id = any($1::uuid[]) and released_at is null order by survey_id"
)
_FREE = """
select s.id, s.company, s.starts_at, s.ends_at from survey_slot s
where s.company = any($1::text[]) and s.withdrawn_at is null and s.ends_at > $3 and s.starts_at < $4 and starts_with($2, s.area)
  and not exists (select from survey_booking b where b.slot_id = s.id and b.released_at is null)
order by s.starts_at, s.id limit 5000
"""
_LISTED = """
select s.code, s.area, s.starts_at, s.ends_at, s.withdrawn_at, b.survey_id is not null as is_booked
from survey_slot s left join survey_booking b on b.slot_id = s.id and b.released_at is null
where s.company = $1 and s.ends_at > $2 and s.withdrawn_at is null order by s.starts_at, s.code limit $3
"""


async def put(company: str, offers: Iterable[Offer], actor: Actor) -> int:
    """Write free times down in the caller's transaction; how many are new. One whose code was used before changes nothing."""
    now, new = clock.now(), 0
    for offer in offers:
        by = f"{actor.kind}:{actor.id}"
        new += len(await fetch(_PUT, ids.new_id(), company, *offer, by, now))
    return new


async def take_back(company: str, codes: Iterable[str], actor: Actor) -> list[UUID]:
    """Withdraw free times for ever, also such as have not come yet; the surveys that had counted on one of them."""
    rows = [
        row
        for code in codes
        for row in await fetch(_TAKE_BACK, ids.new_id(), company, code, f"{actor.kind}:{actor.id}", clock.now())
    ]
    return [row["survey_id"] for row in await fetch(_BOOKED, [row["id"] for row in rows])]


async def free(companies: Sequence[str], area: str, not_before: datetime, not_after: datetime) -> dict[str, list[Slot]]:
    """The free times of each of these companies for a place in `area`; a company without one has an empty list."""
    found: dict[str, list[Slot]] = {company: [] for company in companies}
    for row in await fetch(_FREE, list(companies), area, not_before, not_after):
        found[row["company"]].append(Slot(row["id"], row["starts_at"], row["ends_at"]))
    return found


async def listed(company: str, limit: int) -> list[dict[str, Any]]:
    """The company's coming free times, soonest first: `code`, `area`, `starts_at`, `ends_at`, `is_booked`."""
    return [dict(row) for row in await fetch(_LISTED, company, clock.now(), limit)]
