"""Agents of organizations: who may act for a legal person, in what, and until when.

The first agent is whoever the legal person's own login at an identity source has brought (:mod:`domain.identity.first_agents`): he may
do all, and reaches all mandates of his organization, another first agent's too. An agent who may appoint
names another person, says what he may do and until when, and hands on a code; the named person takes it in his own real-name login.
Nobody gives more than he has: scope, services, accounts and end lie within his own mandate's. Whether a mandate is alive is asked in
the query that uses it, together with every mandate above it; ending one ends, in the same commit, all that hang on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from cities.schema import City, MandateRule
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.redis import Limiter
from domain.identity.tokens import Caller
from models.access import Principal
from models.lifecycle import SYSTEM, Actor, announce, born, move
from models.mandate import MANDATE, Mandate, MandateStatus
from models.person import Organization, Person
from models.share import note_use

SCOPES = ("read", "pay", "file", "sign", "appoint")
"""The closed list. To read is part of every mandate."""

_LIVE = (MandateStatus.OFFERED, MandateStatus.ACTIVE)
_MOST_LISTED = 500


class ScopeMissing(LianbanError):
    """He acts for the organization, but not in this. data: ``scope``."""

    code = "scope_missing"


class MandateExceeds(LianbanError):
    """More would be given than the giver has, or longer than may be. data: ``what``: scopes, services, accounts, ends_at or chain."""

    code = "mandate_exceeds"


class MandateRefused(LianbanError):
    """No such code, used, withdrawn, too old, or meant for somebody of another name: one answer for all."""

    code = "mandate_refused"


class TooManyAgents(LianbanError):
    """As many agents and open appointments as an organization may have. data: ``limit``."""

    code = "too_many_agents"


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be done, and with what; None: with all of the organization's."""

    scopes: frozenset[str]
    services: frozenset[str] | None = None
    account_ids: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Appointment:
    """A mandate just offered; the code is shown once and cannot be shown again."""

    mandate: Mandate
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Represented:
    """An organization one acts for now."""

    organization_id: UUID
    name: str
    credit_code_masked: str
    mandate_id: UUID
    scopes: tuple[str, ...]
    services: tuple[str, ...] | None
    account_ids: tuple[UUID, ...] | None
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Agent:
    """A mandate as the organization sees it."""

    mandate: Mandate
    name: str
    is_me: bool


class Mandates:
    """Gives, takes, ends and checks mandates."""

    def __init__(self, city: City, vault: Vault, limiter: Limiter) -> None:
        self._city = city
        self._vault = vault
        self._limiter = limiter

    async def appoint(self, caller: Caller, agent_name: str, wanted: Scope, ends_at: datetime) -> Appointment:
        """Offer a mandate of the caller's organization to a person of this name.

        Raises:
            NotFound: the caller does not act for it. ScopeMissing: not in appointing. MandateExceeds, TooManyAgents.
        """
        assert caller.organization_id is not None
        rule, now, code, mandate_id = self._rule(), clock.now(), ids.new_code(), ids.new_id()
        async with transaction():
            await lock_organization(caller.organization_id)
            above = await self._appointing(caller.principal, wanted, ends_at)
            if len(above.chain) >= rule.longest_chain:
                raise MandateExceeds(what="chain")
            if not now < ends_at <= now + rule.longest_life:
                raise MandateExceeds(what="ends_at")
            if wanted.account_ids and not await _all_bound(caller.organization_id, wanted.account_ids):
                raise MandateExceeds(what="accounts")
            live = await Mandate.filter(organization_id=caller.organization_id, status__in=_LIVE).count()
            if live >= rule.most_live:
                raise TooManyAgents(limit=rule.most_live)
            mandate = await Mandate.create(
                id=mandate_id,
                status=MandateStatus.OFFERED,
                organization_id=caller.organization_id,
                parent_id=above.id,
                chain=[*above.chain, mandate_id],
                may_pay="pay" in wanted.scopes,
                may_file="file" in wanted.scopes,
                may_sign="sign" in wanted.scopes,
                may_appoint="appoint" in wanted.scopes,
                services=sorted(wanted.services) if wanted.services is not None else None,
                account_ids=sorted(wanted.account_ids) if wanted.account_ids is not None else None,
                agent_name=self._vault.seal(agent_name, "mandate.agent_name", mandate_id),
                code_index=self._index(code),
                actor_user_id=caller.user_id,
                created_at=now,
                code_expires_at=min(now + rule.invitation_life, ends_at),
                ends_at=ends_at,
            )
            await born(MANDATE, mandate, Actor("person", str(caller.person_id)))
            way = {"share_id": None, "mandate_id": above.id}
            await note_use(way, caller.person_id, "mandate.offered", None, mandate_id)
        failpoint("mandate.offered_committed")
        return Appointment(mandate, code)

    async def accept(self, caller: Caller, code: str) -> Mandate:
        """Take a mandate by its code, as the person it names; taking it again gives the same mandate.

        Raises:
            RateLimited, LimiterAway, MandateRefused.
        """
        rule = self._rule()
        await self._limiter.take(f"mandate:person:{caller.person_id}", rule.tries_per_person, rule.window)
        known = await Mandate.get_or_none(code_index=self._index(code))
        if known is None:
            raise MandateRefused
        async with transaction():
            await lock_organization(known.organization_id)
            mandate = await Mandate.get(id=known.id)
            if mandate.status == MandateStatus.ACTIVE and mandate.person_id == caller.person_id:
                return mandate
            if not await self._may_be_taken(mandate, caller.person_id):
                raise MandateRefused
            columns = {"person_id": caller.person_id, "accepted_at": clock.now()}
            await move(MANDATE, mandate, "accept", Actor("person", str(caller.person_id)), columns=columns)
        failpoint("mandate.accepted_committed")
        return mandate

    async def end(self, mandate_id: UUID, principal: Principal) -> None:
        """End a mandate within one's reach, or one's own, with all that hang on it; ending it again changes nothing.

        Raises:
            NotFound: neither.
        """
        known = await Mandate.get_or_none(id=mandate_id)
        async with transaction():
            if known is not None:
                await lock_organization(known.organization_id)
                known = await Mandate.get(id=mandate_id)
            own = known is not None and known.person_id == principal.person_id
            if known is None or not (own or await _reaches(principal, known)):
                raise NotFound("mandate")
            await _end_with_all_below(known, "agent" if own else "appointer", principal.person_id)
        failpoint("mandate.revoked_committed")

    async def require(self, principal: Principal, scope: str) -> None:
        """That the principal's organization has given him this scope, now. What he does is checked again in its own query.

        Raises:
            NotFound: he does not act for it, or there is none. ScopeMissing: he does, but not in this.
        """
        rows = await fetch("select * from live_mandate($1, $2, $3)", *principal, clock.now())
        if not rows:
            raise NotFound("organization")
        if scope != "read" and not any(row[f"may_{scope}"] for row in rows):
            raise ScopeMissing(scope=scope)

    async def represented(self, person_id: UUID) -> list[Represented]:
        """The organizations a person acts for now, one row for each live mandate."""
        rows = await fetch(_REPRESENTED, person_id, clock.now())
        found = []
        for row in rows:
            credit_code = self._vault.open(row["credit_code"], "organization.credit_code", row["organization_id"])
            found.append(
                Represented(
                    row["organization_id"],
                    self._vault.open(row["name"], "organization.name", row["organization_id"]),
                    f"{credit_code[:4]}**********{credit_code[-4:]}",
                    row["mandate_id"],
                    ("read", *(scope for scope in SCOPES[1:] if row[f"may_{scope}"])),
                    tuple(row["services"]) if row["services"] is not None else None,
                    tuple(row["account_ids"]) if row["account_ids"] is not None else None,
                    row["ends_at"],
                )
            )
        return found

    async def agents(self, principal: Principal) -> list[Agent]:
        """The open mandates of the principal's organization: all for who may appoint, else his own."""
        assert principal.organization_id is not None
        may_see_all = any(
            row["may_appoint"] for row in await fetch("select * from live_mandate($1, $2, $3)", *principal, clock.now())
        )
        query = Mandate.filter(organization_id=principal.organization_id, status__in=_LIVE, ends_at__gt=clock.now())
        if not may_see_all:
            query = query.filter(person_id=principal.person_id)
        mandates = await query.order_by("created_at").limit(_MOST_LISTED)
        return [
            Agent(
                mandate,
                self._vault.open(mandate.agent_name, "mandate.agent_name", mandate.id),
                mandate.person_id == principal.person_id,
            )
            for mandate in mandates
        ]

    async def uses(
        self, mandate_id: UUID, principal: Principal, after: UUID | None, limit: int
    ) -> Sequence[dict[str, Any]]:
        """What was done by a mandate, newest first: for those within whose reach it lies, and for the agent.

        Raises:
            NotFound: neither.
        """
        known = await Mandate.get_or_none(id=mandate_id)
        own = known is not None and known.person_id == principal.person_id
        if known is None or not (own or await _reaches(principal, known)):
            raise NotFound("mandate")
        rows = await fetch(_USES, mandate_id, after, limit)
        return [dict(row) for row in rows]

    async def _appointing(self, principal: Principal, wanted: Scope, ends_at: datetime) -> Mandate:
        """The live mandate that holds all that is to be given."""
        rows = await fetch("select * from live_mandate($1, $2, $3)", *principal, clock.now())
        if not rows:
            raise NotFound("organization")
        appointing = [row for row in rows if row["may_appoint"]]
        if not appointing:
            raise ScopeMissing(scope="appoint")
        exceeded = [(_exceeds(row, wanted, ends_at), row["mandate_id"]) for row in appointing]
        for what, mandate_id in exceeded:
            if what is None:
                return await Mandate.get(id=mandate_id)
        raise MandateExceeds(what=exceeded[0][0])

    async def _may_be_taken(self, mandate: Mandate, person_id: UUID) -> bool:
        now = clock.now()
        if mandate.status != MandateStatus.OFFERED or mandate.code_expires_at is None or mandate.code_expires_at <= now:
            return False
        above = await Mandate.filter(id__in=mandate.chain[:-1])
        if any(one.status != MandateStatus.ACTIVE or one.ends_at <= now for one in above):
            return False
        person = await Person.get(id=person_id)
        if person.level < 3 or person.name is None or any(one.person_id == person_id for one in above):
            return False
        named = self._vault.open(mandate.agent_name, "mandate.agent_name", mandate.id)
        return named == self._vault.open(person.name, "person.name", person.id)

    def _rule(self) -> MandateRule:
        return self._city.payment_rules(clock.today()).mandate

    def _index(self, code: str) -> bytes:
        return self._vault.index("mandate.code", "".join(code.split()).replace("-", "").upper())


_REPRESENTED = """
select l.*, o.name, o.credit_code
from (select distinct organization_id from mandate where person_id = $1 and status = 'active') m
join organization o on o.id = m.organization_id cross join lateral live_mandate($1, m.organization_id, $2) l
order by l.organization_id, l.mandate_id limit 200
"""
_REACHES = """
select 1 from live_mandate($1, $2, $3) l join mandate m on m.id = l.mandate_id
where l.mandate_id = any($4::uuid[]) or m.parent_id is null limit 1
"""
_USES = """
select id, at, action, account_id, subject_id from access_use
where mandate_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3
"""


async def _all_bound(organization_id: UUID, account_ids: frozenset[UUID]) -> bool:
    """True when the organization has a binding to every one of them."""
    rows = await fetch(
        "select distinct account_id from binding where organization_id = $1 and account_id = any($2::uuid[]) and revoked_at is null",
        organization_id, list(account_ids),
    )  # fmt: skip
    return len(rows) == len(account_ids)


async def warn_of_ends(rule: MandateRule) -> int:
    """Tell of mandates that are over soon, once each and in time to appoint anew; how many. One that is short anyhow is not spoken of."""
    now = clock.now()
    rows = await fetch(
        "select id, organization_id from mandate where status = 'active' and warned_at is null and ends_at > $1 and ends_at <= $2"
        " and ends_at - accepted_at > $3 order by ends_at limit 1000",
        now, now + rule.warn_before, rule.warn_before,
    )  # fmt: skip
    for row in rows:
        async with transaction():
            await lock_organization(row["organization_id"])
            mandate = await Mandate.get(id=row["id"])
            if mandate.status == MandateStatus.ACTIVE and mandate.warned_at is None:
                await Mandate.filter(id=mandate.id).update(warned_at=now)
                await announce("mandate.ending", "mandate_warning", mandate.id, SYSTEM)
    return len(rows)


async def expire_mandates() -> int:
    """Write down the end of mandates whose time is over, and of offers nobody has taken; how many. Their use has ended by itself."""
    now = clock.now()
    rows = await fetch(
        "select id, organization_id from mandate where (status = 'active' and ends_at <= $1)"
        " or (status = 'offered' and (code_expires_at <= $1 or ends_at <= $1)) limit 1000",
        now,
    )
    for row in rows:
        async with transaction():
            await lock_organization(row["organization_id"])
            mandate = await Mandate.get(id=row["id"])
            if mandate.status == MandateStatus.ACTIVE and mandate.ends_at <= now:
                await end_mandate(mandate, "expire", SYSTEM)
            elif mandate.status == MandateStatus.OFFERED:
                await end_mandate(mandate, "lapse", SYSTEM)
    return len(rows)


def _exceeds(row: Any, wanted: Scope, ends_at: datetime) -> str | None:
    """What of `wanted` the mandate of `row` does not hold."""
    if any(not row[f"may_{scope}"] for scope in wanted.scopes if scope != "read"):
        return "scopes"
    if row["services"] is not None and not (wanted.services or {None}) <= set(row["services"]):
        return "services"
    if row["account_ids"] is not None and not (wanted.account_ids or {None}) <= set(row["account_ids"]):
        return "accounts"
    return "ends_at" if ends_at > row["ends_at"] else None


async def lock_organization(organization_id: UUID) -> None:
    """One at a time for all mandates of an organization, so that none is given from one that is just being ended."""
    await Organization.filter(id=organization_id).select_for_update(no_key=True).get_or_none()


async def _reaches(principal: Principal, mandate: Mandate) -> bool:
    """True when it lies below a live mandate of the principal's, or he is a first agent of its organization, for which he acts."""
    if principal.organization_id != mandate.organization_id:
        return False
    row = await fetch_one(_REACHES, *principal, clock.now(), mandate.chain[:-1])
    return row is not None


async def _end_with_all_below(mandate: Mandate, by: str, person_id: UUID) -> None:
    actor = Actor("person", str(person_id))
    below = await fetch(
        "select id from mandate where organization_id = $1 and $2 = any(chain) and id <> $2 and status in ('offered', 'active')"
        " order by cardinality(chain) desc",
        mandate.organization_id, mandate.id,
    )  # fmt: skip
    for row in below:
        one = await Mandate.get(id=row["id"])
        await end_mandate(one, "withdraw" if one.status == MandateStatus.OFFERED else "revoke", actor, "above")
    if mandate.status in _LIVE:
        await end_mandate(mandate, "withdraw" if mandate.status == MandateStatus.OFFERED else "revoke", actor, by)


async def end_mandate(mandate: Mandate, event: str, actor: Actor, by: str | None = None) -> None:
    """Write down an end in the caller's transaction, which holds the organization's lock."""
    columns: dict[str, Any] = {"ended_at": clock.now()}
    if by is not None:
        columns["ended_by"] = by
    await move(MANDATE, mandate, event, actor, columns=columns)
