"""Who may see and pay a utility account: the one place that says it is the database's function ``account_access``.

``account_access(person, organization, moment)`` gives a row for each way the person has to each account: his own binding, a share of
a family member's, or, acting for an organization, a mandate over the organization's binding. One account may come more than once,
so it is asked with ``exists``, or for the best way: ``order by may_pay desc, via``, which is one's own before a family member's.
It is written so that PostgreSQL puts its text into the asking query.
"""

from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from core import clock
from core.database import fetch_one


class Principal(NamedTuple):
    """Who acts, and for whom: for the organization when there is one, else for himself."""

    person_id: UUID
    organization_id: UUID | None = None

    @property
    def owned(self) -> dict[str, Any]:
        """The columns of a row that is the principal's own."""
        if self.organization_id is not None:
            return {"organization_id": self.organization_id}
        return {"person_id": self.person_id}


OWN_BINDING = """
select null::uuid as share_id, null::uuid as mandate_id from binding
where account_id = {account} and person_id = {person} and revoked_at is null
"""
"""The best way of a person who acts for himself, the first branch of ``account_access``, for hot paths that ask it before the rest: it
takes a third of the time."""
_WAY = """
select account_id, via, may_pay, binding_id, share_id, mandate_id from account_access($2, $3, $4)
where account_id = $1 and ($5::text is null or via = $5) order by may_pay desc, via limit 1
"""
ANY_ACCOUNT = """
select null::uuid as share_id, m.mandate_id from live_mandate({person}, {organization}, {moment}) m
where m.may_pay and m.account_ids is null and (m.services is null or {service} = any(m.services))
"""
"""The mandates by which an agent may pay and add whatever account of a service: those that are not for some accounts only."""
_ANY_ACCOUNT = ANY_ACCOUNT.format(person="$1", organization="$2", moment="$3", service="$4") + " limit 1"


async def way_to(account_id: UUID, principal: Principal, via: str | None = None) -> asyncpg.Record | None:
    """How `principal` comes to the account: ``via``, ``may_pay``, ``binding_id``, ``share_id``, ``mandate_id``; None when he does not.

    `via`: only by this way, though he may have a better one.
    """
    return await fetch_one(_WAY, account_id, *principal, clock.now(), via)


async def way_to_any(service: str, principal: Principal) -> asyncpg.Record | None:
    """How an agent comes to accounts of a service that his organization has no binding to: ``share_id`` (None), ``mandate_id``."""
    return await fetch_one(_ANY_ACCOUNT, *principal, clock.now(), service)
