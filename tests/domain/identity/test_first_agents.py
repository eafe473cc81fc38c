"""First agents come by the organization's own login alone, fresh; they reach all mandates of their organization, each other's too."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from core import clock
from core.database import fetch
from core.errors import NotFound
from domain.identity.first_agents import OrganizationNotProved
from domain.identity.mandates import SCOPES, Scope
from domain.identity.tokens import Caller
from models.mandate import Mandate
from tests.harness.spine import Citizen, Spine


async def first(spine: Spine, name: str) -> tuple[Citizen, Caller, Mandate]:
    """A first agent of the one organization, and he acting for it."""
    citizen, _ = await spine.legal_person(name)
    mandate = await spine.services.first_agents.claim(citizen.caller)
    return citizen, replace(citizen.caller, organization_id=mandate.organization_id), mandate


async def test_the_organization_s_own_login_makes_its_first_agent_who_may_do_all(spine: Spine) -> None:
    citizen, acting, mandate = await first(spine, "王小明")
    (represented,) = await spine.services.mandates.represented(citizen.id)
    assert (represented.mandate_id, represented.scopes, represented.services) == (mandate.id, SCOPES, None)
    assert represented.ends_at - clock.now() > timedelta(days=364)
    for scope in SCOPES:
        await spine.services.mandates.require(acting.principal, scope)
    again = await spine.services.first_agents.claim(citizen.caller)
    assert again.id == mandate.id
    await spine.jobs.run()
    assert await spine.told(citizen) == [], "he stands before the page"


async def test_no_other_login_and_no_old_one_does(spine: Spine) -> None:
    citizen, known = await spine.legal_person("王小明")
    as_himself = await spine.log_in_at("ehuiban", known, citizen.client_id)
    caller = spine.services.access_tokens.check(as_himself.access_token)
    assert caller.person_id == citizen.id
    with pytest.raises(OrganizationNotProved):
        await spine.services.first_agents.claim(caller)
    with pytest.raises(OrganizationNotProved):
        await spine.services.first_agents.claim((await spine.citizen()).caller)
    await spine.travel(timedelta(minutes=5, seconds=1))
    with pytest.raises(OrganizationNotProved):
        await spine.services.first_agents.claim(citizen.caller)
    assert await Mandate.all().count() == 0


async def test_a_first_agent_sends_away_another_with_all_he_appointed_and_that_one_needs_a_new_login(
    spine: Spine,
) -> None:
    mandates = spine.services.mandates
    leaver, leaving, his = await first(spine, "王小明")
    clerk = await spine.citizen()
    await spine.real_name(clerk, "李会计")
    made = await mandates.appoint(leaving, "李会计", Scope(frozenset({"pay"})), clock.now() + timedelta(days=30))
    below = await mandates.accept(clerk.caller, made.code)
    successor, acting, _ = await first(spine, "赵接手")
    await spine.jobs.run()
    assert {one.mandate.id for one in await mandates.agents(acting.principal)} >= {his.id, below.id}
    assert await mandates.uses(his.id, acting.principal, None, 9)
    with pytest.raises(NotFound):
        await mandates.end(his.id, successor.principal)
    await mandates.end(his.id, acting.principal)
    rows = await fetch("select id, ended_by from mandate where status = 'revoked' order by cardinality(chain)")
    assert [tuple(row) for row in rows] == [(his.id, "appointer"), (below.id, "above")]
    with pytest.raises(OrganizationNotProved):
        await spine.services.first_agents.claim(leaver.caller)
    for one in (leaving, replace(clerk.caller, organization_id=his.organization_id)):
        with pytest.raises(NotFound):
            await mandates.require(one.principal, "read")
    await spine.jobs.run()
    assert await spine.told(leaver) == ["mandate.accepted", "mandate.first_joined", "mandate.revoked"]
    assert (await spine.told(clerk), await spine.told(successor)) == (["mandate.revoked"], [])


async def test_who_is_sent_away_by_a_first_agent_was_appointed_by_another_who_hears_of_it(spine: Spine) -> None:
    mandates = spine.services.mandates
    appointer, acting, _ = await first(spine, "王小明")
    clerk = await spine.citizen()
    await spine.real_name(clerk, "李会计")
    made = await mandates.appoint(acting, "李会计", Scope(frozenset({"pay"})), clock.now() + timedelta(days=30))
    below = await mandates.accept(clerk.caller, made.code)
    _, other, _ = await first(spine, "赵接手")
    await spine.jobs.run()
    await mandates.end(below.id, other.principal)
    await spine.jobs.run()
    assert await spine.told(appointer) == ["mandate.accepted", "mandate.first_joined", "mandate.resigned"]
    assert await spine.told(clerk) == ["mandate.revoked"]


async def test_an_agent_of_another_organization_reaches_nothing(spine: Spine) -> None:
    _, _, mine = await first(spine, "王小明")
    stranger, _ = await spine.legal_person("外人", "91350100M000100Y43")
    theirs = await spine.services.first_agents.claim(stranger.caller)
    assert theirs.organization_id != mine.organization_id
    for organization_id in (theirs.organization_id, mine.organization_id, None):
        principal = replace(stranger.caller, organization_id=organization_id).principal
        for attempt in (
            spine.services.mandates.end(mine.id, principal),
            spine.services.mandates.uses(mine.id, principal, None, 9),
        ):
            with pytest.raises(NotFound):
                await attempt
    assert (await Mandate.get(id=mine.id)).status == "active"
    assert isinstance(mine.id, UUID)
