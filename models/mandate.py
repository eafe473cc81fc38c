"""Mandates: a natural person, the agent, acts for an organization, within a scope and until a day."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock
from core.database import fetch
from models.lifecycle import Edge, Lifecycle


class MandateStatus(StrEnum):
    """Where a mandate stands; whether it is still in time is asked at each use."""

    OFFERED = "offered"
    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    LAPSED = "lapsed"


_S = MandateStatus

MANDATE = Lifecycle(
    "mandate",
    MandateStatus,
    initial=_S.OFFERED,
    terminal=(_S.REVOKED, _S.EXPIRED, _S.LAPSED),
    edges=(
        Edge(_S.OFFERED, "accept", _S.ACTIVE, ("person",), "mandate.accepted"),
        Edge(_S.OFFERED, "withdraw", _S.REVOKED, ("person", "system")),
        Edge(_S.OFFERED, "lapse", _S.LAPSED, ("system",)),
        Edge(_S.ACTIVE, "revoke", _S.REVOKED, ("person", "system"), "mandate.revoked"),
        Edge(_S.ACTIVE, "expire", _S.EXPIRED, ("system",), "mandate.expired"),
    ),
)


class Mandate(Model):
    """What one agent may do for one organization. To read is what every mandate gives; the rest is said one by one.

    `chain` holds the ids from the first agent's mandate down to this one: each of them must be alive at each use. The first has no
    `parent` and comes from the legal person's own login; every other lies within its parent, in scope and in time.
    `services` and `account_ids`: None means all of the organization's.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="mandates", on_delete=fields.RESTRICT
    )
    organization_id: Any
    person: Any = fields.ForeignKeyField("models.Person", related_name="mandates", on_delete=fields.RESTRICT, null=True)
    person_id: Any
    parent: Any = fields.ForeignKeyField(
        "models.Mandate", related_name="children", on_delete=fields.RESTRICT, null=True
    )
    parent_id: Any
    chain: Any = ArrayField("uuid")
    may_pay = fields.BooleanField()
    may_file = fields.BooleanField()
    may_sign = fields.BooleanField()
    may_appoint = fields.BooleanField()
    services: Any = ArrayField("text", null=True)
    account_ids: Any = ArrayField("uuid", null=True)
    agent_name = fields.BinaryField()
    code_index = fields.BinaryField(null=True)
    actor_user_id = fields.UUIDField()
    created_at = fields.DatetimeField()
    code_expires_at = fields.DatetimeField(null=True)
    accepted_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField()
    warned_at = fields.DatetimeField(null=True)
    """When its end was told ahead."""
    ended_at = fields.DatetimeField(null=True)
    ended_by = fields.CharField(max_length=20, null=True)
    """appointer (or a first agent of the organization), agent, or above: a mandate it hung on has ended."""

    class Meta:
        table = "mandate"
        constraints = (
            UniqueConstraint(name="mandate_code_once", fields=("code_index",)),
            UniqueConstraint(
                name="mandate_first_once",
                fields=("organization_id", "person_id"),
                condition="parent_id is null and status = 'active'",
            ),
            CheckConstraint(
                name="mandate_accepted_whole",
                check="(person_id is null) = (accepted_at is null) and (status not in ('active', 'expired') or person_id is not null)",
            ),
            CheckConstraint(
                name="mandate_end_has_author",
                check="(status = 'revoked') = (ended_by is not null)"
                " and (status in ('revoked', 'expired', 'lapsed')) = (ended_at is not null)",
            ),
            CheckConstraint(
                name="mandate_ended_by_known", check="ended_by is null or ended_by in ('appointer', 'agent', 'above')"
            ),
            CheckConstraint(
                name="mandate_chain_whole",
                check="chain[cardinality(chain)] = id and cardinality(chain) between 1 and 5"
                " and (parent_id is null) = (cardinality(chain) = 1)"
                " and (parent_id is null or chain[cardinality(chain) - 1] = parent_id)",
            ),
            CheckConstraint(name="mandate_offer_has_code", check="(code_index is null) = (parent_id is null)"),
            CheckConstraint(
                name="mandate_code_expires",
                check="(code_index is null) = (code_expires_at is null) and (code_expires_at is null or code_expires_at > created_at)",
            ),
            CheckConstraint(name="mandate_lives_forward", check="ends_at > created_at"),
        )
        indexes = (("organization_id", "person_id"), ("person_id",), ("parent_id",))


_AGENTS = """
select distinct m.person_id from mandate m
cross join lateral live_mandate(m.person_id, m.organization_id, $2) l
where m.organization_id = $1 and m.status = 'active' and l.mandate_id = m.id
  and ((m.services is null and m.account_ids is null) or m.person_id = (select u.person_id from login_user u where u.id = $3))
"""


async def agents_of(organization_id: UUID, actor_user_id: UUID | None = None) -> list[UUID]:
    """The persons who act for an organization now, but for those whose mandates are for some accounts only, unless they did it."""
    return [row["person_id"] for row in await fetch(_AGENTS, organization_id, clock.now(), actor_user_id)]
