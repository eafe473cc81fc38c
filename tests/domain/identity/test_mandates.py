"""Agents of organizations: nobody gives more than he has, all is checked at use, and what ends takes what hangs on it along."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import clock
from core.database import fetch, fetch_one
from core.errors import NotFound
from domain.billing.quotes import MayOnlyRead, last_bills
from domain.identity.mandates import (
    SCOPES,
    MandateExceeds,
    MandateRefused,
    Scope,
    ScopeMissing,
    _exceeds,
    expire_mandates,
    warn_of_ends,
)
from domain.identity.tokens import Caller
from models.mandate import Mandate
from models.payment import payment_for
from payments.views import progress
from tests.harness.spine import WATER, Citizen, Spine

MONTH = timedelta(days=30)
_END = ("9999-12", UUID(int=(1 << 128) - 1))
_SETS = st.frozensets(st.sampled_from(SCOPES))
_SERVICES = st.none() | st.frozensets(st.sampled_from(("water", "power", "gas")), min_size=1)


class Office:
    """An organization with its first agent and somebody to appoint."""

    def __init__(self, spine: Spine, organization_id: UUID, first: Citizen, clerk: Citizen) -> None:
        self.spine = spine
        self.organization_id = organization_id
        self.first = first
        self.clerk = clerk
        self.mandates = spine.services.mandates

    def acting(self, citizen: Citizen) -> Caller:
        return replace(citizen.caller, organization_id=self.organization_id)

    async def appoint(
        self, by: Citizen, whom: Citizen, *scopes: str, name: str = "李会计", ends_at: datetime | None = None
    ) -> Mandate:
        made = await self.mandates.appoint(
            self.acting(by), name, Scope(frozenset(scopes)), ends_at or clock.now() + MONTH
        )
        return await self.mandates.accept(whom.caller, made.code)


@pytest.fixture
async def office(spine: Spine) -> Office:
    first, clerk = await spine.citizen(), await spine.citizen()
    await spine.real_name(first, "王法人")
    await spine.real_name(clerk, "李会计")
    organization_id = await spine.organization()
    await spine.services.first_agents.make(first.caller, organization_id, clock.now())
    return Office(spine, organization_id, first, clerk)


async def test_an_agent_binds_sees_and_pays_for_his_organization_until_his_time_is_over(office: Office) -> None:
    spine, services = office.spine, office.spine.services
    mandate = await office.appoint(office.first, office.clerk, "read", "pay")
    acting = office.acting(office.clerk)
    number = await spine.account(4199)
    binding = await services.accounts.bind(acting, WATER, number, "123X", None)
    assert (binding.person_id, binding.organization_id) == (None, office.organization_id)
    (seen,) = await services.accounts.mine(acting.principal)
    assert (seen.via, seen.mandate_id) == ("agent", mandate.id)
    assert await services.accounts.mine(office.clerk.principal) == [], "it is not his own"
    quoted = await services.quotes.for_binding(acting, binding.account_id)
    as_agent = replace(office.clerk, caller=acting)
    payment = await spine.created(await spine.create(as_agent, quoted))
    assert (payment.person_id, payment.organization_id) == (None, office.organization_id)
    assert await payment_for(payment.id, office.clerk.principal) is None
    assert await spine.notify(await spine.pay(as_agent, payment)) == [204]
    await spine.jobs.run()
    (view,) = await progress([payment.id], office.acting(office.first).principal)
    assert view["progress"] == "posted"
    assert (await payment_for(payment.id, office.acting(office.first).principal, pays=True)) is None, "another's order"
    assert await spine.told(office.clerk) == ["payment.succeeded", "payment.posted"]
    assert await spine.told(office.first) == ["mandate.accepted", "payment.succeeded", "payment.posted"]
    uses = await office.mandates.uses(mandate.id, office.acting(office.first).principal, None, 20)
    assert [use["action"] for use in uses] == ["payment.created", "binding.created"]
    await spine.travel(MONTH)
    with pytest.raises(NotFound):
        await office.mandates.require(acting.principal, "read")
    assert await services.accounts.mine(acting.principal) == []
    assert await last_bills(binding.account_id, acting.principal, _END, 12) == []
    assert await progress([payment.id], acting.principal) == []
    with pytest.raises(NotFound):
        await spine.create(as_agent, quoted)
    assert await expire_mandates() == 1
    await spine.jobs.run()
    assert (await spine.told(office.clerk))[-1] == "mandate.expired"
    assert (await spine.told(office.first))[-1] == "mandate.agent_expired"


async def test_what_a_mandate_does_not_hold_is_refused_at_each_use(office: Office) -> None:
    await office.appoint(office.first, office.clerk, "read")
    acting = office.acting(office.clerk)
    number = await office.spine.account(4199)
    binding = await office.spine.services.accounts.bind(office.acting(office.first), WATER, number, "123X", None)
    await office.mandates.require(acting.principal, "read")
    for scope in SCOPES[1:]:
        with pytest.raises(ScopeMissing):
            await office.mandates.require(acting.principal, scope)
    with pytest.raises(MayOnlyRead):
        await office.spine.services.quotes.for_binding(acting, binding.account_id)
    with pytest.raises(ScopeMissing):
        await office.spine.services.accounts.bind(acting, WATER, number, "123X", None)
    with pytest.raises(ScopeMissing):
        await office.mandates.appoint(acting, "赵六", Scope(frozenset({"read"})), clock.now() + MONTH)
    stranger = await office.spine.citizen()
    for organization_id in (office.organization_id, uuid4()):
        with pytest.raises(NotFound):
            await office.mandates.require(replace(stranger.caller, organization_id=organization_id).principal, "read")
    await office.spine.jobs.run()


async def test_a_mandate_for_one_account_or_service_pays_adds_and_ends_no_other_in_the_organization_s_name(
    office: Office,
) -> None:
    spine, services, first = office.spine, office.spine.services, office.acting(office.first)
    his_number, other_number = await spine.account(4199), await spine.account(4199)
    his = await services.accounts.bind(first, WATER, his_number, "123X", None)
    other = await services.accounts.bind(first, WATER, other_number, "123X", None)
    for scope in (
        Scope(frozenset({"pay"}), account_ids=frozenset({his.account_id})),
        Scope(frozenset({"pay"}), frozenset({"gas"})),
    ):
        made = await office.mandates.appoint(first, "李会计", scope, clock.now() + MONTH)
        mandate = await office.mandates.accept(office.clerk.caller, made.code)
        acting = office.acting(office.clerk)
        with pytest.raises(ScopeMissing):
            await services.accounts.bind(acting, WATER, await spine.account(), "123X", None)
        for number in (other_number, await spine.account(500)):
            with pytest.raises(ScopeMissing):
                await services.quotes.for_scan(acting, await spine.qr(number))
        for attempt in (
            services.accounts.revoke(other.id, acting.principal),
            services.quotes.for_binding(acting, other.account_id),
        ):
            with pytest.raises(NotFound):
                await attempt
        if scope.account_ids:
            quoted = await services.quotes.for_scan(acting, await spine.qr(his_number))
            assert quoted.quote.basis == "agent"
        await office.mandates.end(mandate.id, first.principal)
    await services.accounts.revoke(his.id, first.principal)
    (first_mandate,) = await office.mandates.represented(office.first.id)
    uses = await office.mandates.uses(first_mandate.mandate_id, first.principal, None, 20)
    assert [use["action"] for use in uses] == [
        "binding.revoked",
        "mandate.offered",
        "mandate.offered",
        "binding.created",
        "binding.created",
    ]
    await spine.jobs.run()


async def test_what_is_paid_by_scanning_in_the_organization_s_name_is_written_down_and_ends_with_the_mandate(
    office: Office,
) -> None:
    spine, mandate = office.spine, await office.appoint(office.first, office.clerk, "pay")
    as_agent = replace(office.clerk, caller=office.acting(office.clerk))
    token = await spine.qr(await spine.account(4199))
    paid, left = [await spine.services.quotes.for_scan(as_agent.caller, token) for _ in range(2)]
    assert paid.quote.basis == "scan"
    payment = await spine.created(await spine.create(as_agent, paid))
    uses = await office.mandates.uses(mandate.id, office.acting(office.first).principal, None, 9)
    assert [(use["action"], use["subject_id"]) for use in uses] == [("payment.created", payment.id)]
    await office.mandates.end(mandate.id, office.acting(office.first).principal)
    with pytest.raises(NotFound):
        await spine.create(as_agent, left)
    await spine.jobs.run()


async def test_nobody_gives_more_than_he_has(office: Office) -> None:
    third = await office.spine.citizen()
    await office.spine.real_name(third, "赵六")
    await office.appoint(office.first, office.clerk, "read", "pay", "appoint")
    acting, soon = office.acting(office.clerk), clock.now() + timedelta(days=10)
    for wanted, ends_at, what in (
        ({"sign"}, soon, "scopes"),
        ({"pay"}, clock.now() + timedelta(days=60), "ends_at"),
        ({"pay"}, clock.now() - timedelta(seconds=1), "ends_at"),
    ):
        with pytest.raises(MandateExceeds) as refused:
            await office.mandates.appoint(acting, "赵六", Scope(frozenset(wanted)), ends_at)
        assert refused.value.data == {"what": what}
    await office.appoint(office.clerk, third, "pay", "appoint", name="赵六", ends_at=soon)
    with pytest.raises(MandateExceeds) as refused:
        await office.mandates.appoint(office.acting(third), "钱七", Scope(frozenset({"pay"})), soon)
    assert refused.value.data == {"what": "chain"}
    await office.spine.jobs.run()


async def test_a_mandate_names_only_accounts_that_the_organization_has(office: Office) -> None:
    services, number = office.spine.services, await office.spine.account(4199)
    theirs = await office.spine.bind(office.clerk, number)
    own = await services.accounts.bind(office.acting(office.first), WATER, await office.spine.account(), "123X", None)
    for accounts in ({theirs.account_id}, {own.account_id, theirs.account_id}, {office.organization_id}):
        wanted = Scope(frozenset({"read"}), None, frozenset(accounts))
        with pytest.raises(MandateExceeds) as refused:
            await office.mandates.appoint(office.acting(office.first), "李会计", wanted, clock.now() + MONTH)
        assert refused.value.data == {"what": "accounts"}
    wanted = Scope(frozenset({"read"}), None, frozenset({own.account_id}))
    await office.mandates.appoint(office.acting(office.first), "李会计", wanted, clock.now() + MONTH)
    await office.spine.jobs.run()


async def test_an_end_is_told_once_and_ahead_but_not_of_what_is_short_anyhow(office: Office) -> None:
    rule = office.spine.services.city.payment_rules(clock.today()).mandate
    await office.appoint(office.first, office.clerk, "read")
    assert await warn_of_ends(rule) == 0
    await office.spine.travel(MONTH - rule.warn_before + timedelta(minutes=1))
    brief = await office.appoint(office.first, office.clerk, "read", ends_at=clock.now() + timedelta(days=3))
    assert [await warn_of_ends(rule) for _ in range(2)] == [1, 0]
    await office.spine.jobs.run()
    assert (await office.spine.told(office.clerk))[-1] == "mandate.ending"
    assert (await office.spine.told(office.first))[-1] == "mandate.agent_ending"
    assert (await Mandate.get(id=brief.id)).warned_at is None


async def test_what_ends_takes_along_all_that_hang_on_it_and_nothing_else(office: Office) -> None:
    third = await office.spine.citizen()
    await office.spine.real_name(third, "赵六")
    middle = await office.appoint(office.first, office.clerk, "read", "appoint")
    below = await office.appoint(office.clerk, third, "read", name="赵六", ends_at=clock.now() + timedelta(days=9))
    with pytest.raises(NotFound):
        await office.mandates.end(middle.id, office.acting(third).principal)
    with pytest.raises(NotFound):
        await office.mandates.end(middle.id, office.first.principal)
    await office.mandates.end(middle.id, office.acting(office.first).principal)
    await office.mandates.end(middle.id, office.acting(office.first).principal)
    rows = await fetch(
        "select id, status, ended_by from mandate where parent_id is not null order by cardinality(chain)"
    )
    assert [tuple(row) for row in rows] == [(middle.id, "revoked", "appointer"), (below.id, "revoked", "above")]
    for citizen in (office.clerk, third):
        with pytest.raises(NotFound):
            await office.mandates.require(office.acting(citizen).principal, "read")
    await office.mandates.require(office.acting(office.first).principal, "sign")
    await office.spine.jobs.run()
    assert await office.spine.told(third) == ["mandate.revoked"]


async def test_only_the_named_person_with_a_real_name_takes_an_appointment(office: Office) -> None:
    made = await office.mandates.appoint(
        office.acting(office.first), "李会计", Scope(frozenset({"read"})), clock.now() + MONTH
    )
    other, unnamed = await office.spine.citizen(), await office.spine.citizen()
    await office.spine.real_name(other, "李会记")
    for citizen, code in ((other, made.code), (unnamed, made.code), (office.clerk, "2222-3333-4444")):
        with pytest.raises(MandateRefused):
            await office.mandates.accept(citizen.caller, code)
    taken = await office.mandates.accept(office.clerk.caller, made.code.lower())
    assert (await office.mandates.accept(office.clerk.caller, made.code)).id == taken.id
    (mine,) = await office.mandates.represented(office.clerk.id)
    assert (mine.name, mine.scopes) == ("鄂州某某有限公司", ("read",))
    await office.spine.jobs.run()


async def test_the_first_agent_who_comes_again_carries_his_mandate_on(office: Office) -> None:
    (before,) = await office.mandates.represented(office.first.id)
    await office.spine.travel(MONTH)
    await office.spine.services.first_agents.make(office.first.caller, office.organization_id, clock.now())
    (after,) = await office.mandates.represented(office.first.id)
    assert (after.mandate_id, after.ends_at - before.ends_at >= MONTH) == (before.mandate_id, True)
    await office.spine.jobs.run()


@pytest.mark.parametrize("turn", range(2))
async def test_an_end_and_a_payment_at_once_leave_a_payment_with_its_right_or_none(office: Office, turn: int) -> None:
    spine = office.spine
    mandate = await office.appoint(office.first, office.clerk, "pay")
    acting = office.acting(office.clerk)
    binding = await spine.services.accounts.bind(acting, WATER, await spine.account(4199), "123X", None)
    quoted = await spine.services.quotes.for_binding(acting, binding.account_id)
    pay = spine.create(replace(office.clerk, caller=acting), quoted)
    tries = [pay, office.mandates.end(mandate.id, office.acting(office.first).principal)]
    outcomes = await asyncio.gather(*(tries if turn else tries[::-1]), return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(error) for error in errors] in ([], [NotFound])
    row = await fetch_one("select count(*) from payment where organization_id = $1", office.organization_id)
    assert row is not None
    assert row["count"] == 1 - len(errors)


@pytest.mark.parametrize("turn", range(2))
async def test_nothing_is_given_from_what_is_just_being_ended(office: Office, turn: int) -> None:
    """However the two fall: no mandate below an ended one is open, and none can be taken."""
    mandate = await office.appoint(office.first, office.clerk, "pay", "appoint")
    third = await office.spine.citizen()
    await office.spine.real_name(third, "赵六")
    give = office.mandates.appoint(
        office.acting(office.clerk), "赵六", Scope(frozenset({"pay"})), clock.now() + timedelta(days=9)
    )
    end = office.mandates.end(mandate.id, office.acting(office.first).principal)
    outcomes = await asyncio.gather(*((give, end) if turn else (end, give)), return_exceptions=True)
    (given_,) = [one for one in outcomes if one is not None]
    if isinstance(given_, BaseException):
        assert isinstance(given_, NotFound)
    else:
        with pytest.raises(MandateRefused):
            await office.mandates.accept(third.caller, given_.code)
    assert await Mandate.filter(parent_id=mandate.id, status__in=("offered", "active")).count() == 0
    await office.spine.jobs.run()


async def test_a_code_taken_after_what_it_was_given_from_is_over_gives_nothing(office: Office) -> None:
    soon = clock.now() + timedelta(hours=1)
    await office.appoint(office.first, office.clerk, "pay", "appoint", ends_at=soon)
    third = await office.spine.citizen()
    await office.spine.real_name(third, "赵六")
    made = await office.mandates.appoint(office.acting(office.clerk), "赵六", Scope(frozenset({"pay"})), soon)
    await office.spine.travel(timedelta(hours=1, seconds=1))
    with pytest.raises(MandateRefused):
        await office.mandates.accept(third.caller, made.code)
    assert await expire_mandates() == 2
    assert [one.status for one in await Mandate.filter(parent_id__not_isnull=True).order_by("created_at")] == [
        "expired",
        "lapsed",
    ]
    await office.spine.jobs.run()


@given(has=_SETS, wants=_SETS, services=_SERVICES, wanted=_SERVICES, days=st.integers(1, 60), more=st.integers(-30, 30))
def test_a_grant_is_taken_exactly_when_all_of_it_lies_within(
    has: frozenset[str],
    wants: frozenset[str],
    services: frozenset[str] | None,
    wanted: frozenset[str] | None,
    days: int,
    more: int,
) -> None:
    end = clock.now() + timedelta(days=days)
    row = {f"may_{scope}": scope in has for scope in SCOPES[1:]}
    row |= {"services": None if services is None else sorted(services), "account_ids": None, "ends_at": end}  # type: ignore[dict-item]
    within = wants - {"read"} <= has and (services is None or (wanted is not None and wanted <= services)) and more <= 0
    assert (_exceeds(row, Scope(wants, wanted), end + timedelta(days=more)) is None) == within
