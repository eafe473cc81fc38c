"""What each company found at the site: its own part, signed by it and never changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one
from models.lifecycle import Actor
from models.service_order import ServiceOrder
from models.survey import Survey, SurveyPart, SurveyStatus

_COLUMN = "survey_part.content"
_READ = """
select p.* from survey_part p where p.order_id = any($1::uuid[])
  and p.version = (select max(version) from survey_part q where q.order_id = p.order_id) order by p.signed_at, p.id
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the company can supply, how far its main is and who says so, and by which plan; without supply why not (`reason`, a code; `note`)."""

    can_supply: bool
    distance_m: int | None
    distance_source: str | None
    reason: str | None = None
    note: str = ""
    plan: str = ""
    photos: tuple[str, ...] = ()
    """SHA-256 of each."""


@dataclass(frozen=True, slots=True)
class SignedPart:
    """The newest part of one company."""

    order_id: UUID
    company: str
    version: int
    finding: Finding
    signed_by: str
    signed_at: datetime


class Parts:
    """Writes and reads the parts of surveys."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def sign(self, order: ServiceOrder, finding: Finding, actor: Actor) -> None:
        """Sign a part in the caller's transaction, which holds the order's lock. Signing again is a new version."""
        part_id = ids.new_id()
        said = {"note": finding.note, "plan": finding.plan, "photos": finding.photos}
        row = await fetch_one(
            "select coalesce(max(version), 0) + 1 as next from survey_part where order_id = $1", order.id
        )
        survey = (
            await Survey.filter(application_id=order.application_id)
            .exclude(status=SurveyStatus.CANCELLED)
            .get_or_none()
        )
        assert row is not None
        await SurveyPart.create(
            id=part_id,
            order_id=order.id,
            survey_id=survey.id if survey else None,
            version=row["next"],
            company=order.company,
            can_supply=finding.can_supply,
            reason=finding.reason,
            distance_m=finding.distance_m,
            distance_source=finding.distance_source,
            content=self._vault.seal(msgspec.json.encode(said), _COLUMN, part_id),
            signed_by_kind=actor.kind,
            signed_by=actor.id,
            signed_at=clock.now(),
        )

    async def of(self, order_ids: list[UUID]) -> dict[UUID, SignedPart]:
        """The newest part of each of these orders that has one."""
        return {row["order_id"]: self._read(dict(row)) for row in await fetch(_READ, order_ids)}

    def _read(self, row: dict[str, Any]) -> SignedPart:
        said = msgspec.json.decode(self._vault.open_bytes(row["content"], _COLUMN, row["id"]))
        finding = Finding(
            row["can_supply"], row["distance_m"], row["distance_source"], row["reason"], said["note"], said["plan"], tuple(said["photos"])
        )  # fmt: skip
        return SignedPart(
            row["order_id"],
            row["company"],
            row["version"],
            finding,
            f"{row['signed_by_kind']}:{row['signed_by']}",
            row["signed_at"],
        )
