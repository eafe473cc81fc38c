"""Acting for an organization: which ones, who else does, appointing, taking an appointment, ending it, and what was done."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.errors import OrganizationNotNamed
from api.shares import use_list
from api.texts import Input, Output, Page
from domain.identity.mandates import SCOPES, Agent, Represented, Scope
from models.mandate import Mandate

ScopeName = Literal["read", "pay", "file", "sign", "appoint"]
ServiceName = Literal["water", "power", "gas", "network"]


class AppointRequest(Input, frozen=True):
    """Who is appointed, by the name his real-name login will show; what for, and until when.

    `services` and `account_ids`: null means all of the organization's.
    """

    agent_name: Annotated[str, Meta(min_length=2, max_length=60)]
    scopes: Annotated[list[ScopeName], Meta(min_length=1, max_length=5)]
    ends_at: datetime
    services: Annotated[list[ServiceName], Meta(min_length=1, max_length=4)] | None = None
    account_ids: Annotated[list[UUID], Meta(min_length=1, max_length=100)] | None = None


class AppointmentView(Output, frozen=True):
    """An appointment to hand on. `code` is shown this once; only the named person can take it."""

    mandate_id: UUID
    code: str
    expires_at: datetime


class AppointmentAcceptance(Input, frozen=True):
    """The code as handed on."""

    code: Annotated[str, Meta(min_length=12, max_length=40)]


class MandateView(Output, frozen=True):
    """What an agent may do for his organization, until when. `agent_name` is the appointed name."""

    mandate_id: UUID
    status: Literal["offered", "active"]
    agent_name: str
    is_me: bool
    scopes: list[str]
    services: list[str] | None
    account_ids: list[UUID] | None
    ends_at: datetime
    accepted_at: datetime | None


class MandateList(Output, frozen=True):
    """The open mandates of an organization that one may see, oldest first."""

    mandates: list[MandateView]


class TakenMandate(Output, frozen=True):
    """One acts for the organization from now on: `organization_id` goes into On-Behalf-Of."""

    mandate_id: UUID
    organization_id: UUID
    scopes: list[str]
    ends_at: datetime


class OrganizationView(Output, frozen=True):
    """An organization one acts for, by one mandate."""

    organization_id: UUID
    organization_name: str
    credit_code_masked: str
    mandate_id: UUID
    scopes: list[str]
    services: list[str] | None
    account_ids: list[UUID] | None
    ends_at: datetime


class OrganizationList(Output, frozen=True):
    """The organizations one acts for now."""

    organizations: list[OrganizationView]


async def list_organizations(call: Call) -> Answer:
    found = await call.services.mandates.represented(call.caller.person_id)
    return Answer(OrganizationList([_organization(one) for one in found]))


async def claim_organization(call: Call) -> Answer:
    """The organization's own login has opened this session: its first agent."""
    mandate = await call.services.first_agents.claim(call.caller)
    found = await call.services.mandates.represented(call.caller.person_id)
    return Answer(next(_organization(one) for one in found if one.mandate_id == mandate.id), 201)


async def appoint(call: Call) -> Answer:
    body: AppointRequest = call.body
    _for_organization(call)
    scope = Scope(
        frozenset(body.scopes),
        frozenset(body.services) if body.services is not None else None,
        frozenset(body.account_ids) if body.account_ids is not None else None,
    )
    made = await call.services.mandates.appoint(call.caller, body.agent_name, scope, body.ends_at)
    assert made.mandate.code_expires_at is not None
    return Answer(AppointmentView(made.mandate.id, made.code, made.mandate.code_expires_at), 201)


async def accept(call: Call) -> Answer:
    body: AppointmentAcceptance = call.body
    mandate = await call.services.mandates.accept(call.caller, body.code)
    return Answer(TakenMandate(mandate.id, mandate.organization_id, _scopes(mandate), mandate.ends_at), 201)


async def list_agents(call: Call) -> Answer:
    _for_organization(call)
    return Answer(MandateList([_view(one) for one in await call.services.mandates.agents(call.caller.principal)]))


async def end(call: Call) -> Answer:
    await call.services.mandates.end(call.path["mandate_id"], call.caller.principal)
    return Answer(None, 204)


async def list_uses(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.mandates.uses(call.path["mandate_id"], call.caller.principal, query.after, query.limit)
    return Answer(use_list(rows, query.limit))


def _for_organization(call: Call) -> None:
    if call.caller.organization_id is None:
        raise OrganizationNotNamed


def _organization(one: Represented) -> OrganizationView:
    return OrganizationView(
        one.organization_id,
        one.name,
        one.credit_code_masked,
        one.mandate_id,
        list(one.scopes),
        list(one.services) if one.services is not None else None,
        list(one.account_ids) if one.account_ids is not None else None,
        one.ends_at,
    )


def _scopes(mandate: Mandate) -> list[str]:
    return ["read", *(scope for scope in SCOPES[1:] if getattr(mandate, f"may_{scope}"))]


def _view(one: Agent) -> MandateView:
    mandate = one.mandate
    status = "active" if mandate.status == "active" else "offered"
    return MandateView(
        mandate.id, status, one.name, one.is_me, _scopes(mandate), mandate.services, mandate.account_ids, mandate.ends_at, mandate.accepted_at
    )  # fmt: skip
