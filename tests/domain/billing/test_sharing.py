"""Family members: what the owner gives, what they may do with it, what he sees of it, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.database import fetch
from core.errors import LianbanError, NotFound
from core.redis import RateLimited
from domain.billing.paying import PaymentInProgress
from domain.billing.quotes import MayOnlyRead, OpenQuote, last_bills
from domain.billing.sharing import AlreadyMember, InvitationRefused, TooManyMembers, lapse_invitations
from domain.billing.usage import usage_history
from models.access import way_to
from models.payment import Payment
from models.share import Share
from models.utility_account import Binding
from tests.harness.spine import Citizen, Spine

_END = ("9999-12", UUID(int=(1 << 128) - 1))


class Home:
    """An owner with a bound account of one bill, and a family member."""

    def __init__(self, spine: Spine, owner: Citizen, member: Citizen, number: str, binding: Binding) -> None:
        self.spine = spine
        self.owner = owner
        self.member = member
        self.number = number
        self.binding = binding
        self.account_id: UUID = binding.account_id

    async def invite(self, *, may_pay: bool = True, label: str = "妈妈") -> str:
        made = await self.spine.services.sharing.offer(self.owner.caller, self.account_id, label, may_pay)
        return made.code

    async def share(self, *, may_pay: bool = True) -> Share:
        return await self.spine.services.sharing.accept(self.member.caller, await self.invite(may_pay=may_pay))

    async def create(self, citizen: Citizen, quoted: OpenQuote) -> Payment:
        return await self.spine.created(await self.spine.create(citizen, quoted))

    async def bills(self, citizen: Citizen) -> list[Any]:
        return await last_bills(self.account_id, citizen.principal, _END, 12)

    async def uses(self, share: Share, citizen: Citizen) -> list[str]:
        rows = await self.spine.services.sharing.uses(share.id, citizen.principal, None, 20)
        return [row["action"] for row in rows]


@pytest.fixture
async def home(spine: Spine) -> Home:
    owner, member = await spine.citizen(), await spine.citizen()
    number = await spine.account(4199)
    binding = await spine.bind(owner, number)
    await spine.services.quotes.owed(binding.account_id, owner.principal)
    return Home(spine, owner, member, number, binding)


async def test_a_member_sees_the_account_with_its_bills_and_the_owner_is_told_and_sees_each_look(home: Home) -> None:
    assert await home.bills(home.member) == []
    share = await home.share(may_pay=False)
    (seen,) = await home.spine.services.accounts.mine(home.member.principal)
    assert (seen.via, seen.may_pay, seen.share_id, seen.label) == ("family", False, share.id, None)
    assert len(await home.bills(home.member)) == 1
    assert (await home.spine.services.quotes.owed(home.account_id, home.member.principal)).total_fen == 4199
    assert (await usage_history(home.account_id, home.member.principal, "2026-10", None, 12))[0]
    await home.spine.services.quotes.owed(home.account_id, home.owner.principal)
    assert await home.uses(share, home.owner) == await home.uses(share, home.member) == ["owed.seen"]
    await home.spine.jobs.run()
    assert await home.spine.told(home.owner) == ["share.accepted"]
    assert await home.spine.told(home.member) == ["share.received_to_read"]


async def test_a_member_who_may_only_read_is_told_so_and_may_scan_as_anybody(home: Home) -> None:
    await home.share(may_pay=False)
    with pytest.raises(MayOnlyRead):
        await home.spine.services.quotes.for_binding(home.member.caller, home.account_id)
    scanned = await home.spine.services.quotes.for_scan(home.member.caller, await home.spine.qr(home.number))
    assert scanned.quote.basis == "scan"


async def test_an_account_he_may_only_read_does_not_hold_up_those_he_may_pay(home: Home) -> None:
    await home.share(may_pay=False)
    own = await home.spine.bind(home.member, await home.spine.account(500))
    quotes = await home.spine.services.quotes.for_accounts(home.member.caller, [home.account_id, own.account_id])
    assert [type(one) for one in quotes] == [MayOnlyRead, OpenQuote]


async def test_a_quote_serves_the_right_it_was_asked_with_and_no_other(home: Home) -> None:
    """Else his own binding's quote, paid by a family member's right after it has ended, would be shown to nobody."""
    share = await home.share()
    own = await home.spine.bind(home.member, home.number)
    as_binder = await home.spine.services.quotes.for_binding(home.member.caller, home.account_id)
    assert as_binder.quote.basis == "binding"
    await home.spine.services.accounts.revoke(own.id, home.member.principal)
    with pytest.raises(NotFound):
        await home.create(home.member, as_binder)
    as_member = await home.spine.services.quotes.for_binding(home.member.caller, home.account_id)
    await home.spine.bind(home.member, home.number)
    await home.create(home.member, as_member)
    assert await home.uses(share, home.owner) == ["payment.created"], "by whatever right he has besides"
    await home.spine.jobs.run()


async def test_a_member_pays_with_his_own_money_and_the_owner_learns_that_it_is_paid(home: Home) -> None:
    share = await home.share()
    found = await home.spine.services.quotes.for_binding(home.member.caller, home.account_id)
    assert found.quote.basis == "family"
    await home.spine.jobs.run()
    payment = await home.create(home.member, found)
    assert payment.person_id == home.member.id
    assert await home.spine.notify(await home.spine.pay(home.member, payment)) == [204]
    await home.spine.jobs.run()
    assert await home.uses(share, home.owner) == ["payment.created"]
    assert await home.spine.told(home.member) == ["share.received_to_pay", "payment.succeeded", "payment.posted"]
    assert await home.spine.told(home.owner) == ["share.accepted", "share.paid"]


async def test_a_member_who_may_pay_displaces_a_passer_by_and_waits_for_the_owner(home: Home) -> None:
    await home.share()
    passer_by = await home.spine.citizen()
    token = await home.spine.qr(home.number)
    scanned = await home.spine.services.quotes.for_scan(passer_by.caller, token)
    first = await home.create(passer_by, scanned)
    quoted = await home.spine.services.quotes.for_scan(home.member.caller, token)
    assert quoted.quote.basis == "family"
    second = await home.create(home.member, quoted)
    await first.refresh_from_db()
    assert (first.status, second.status) == ("closed", "created")
    owners = await home.spine.services.quotes.for_binding(home.owner.caller, home.account_id)
    with pytest.raises(PaymentInProgress):
        await home.create(home.owner, owners)


async def _owner_ends(home: Home, share: Share) -> None:
    await home.spine.services.sharing.end(share.id, home.owner.principal)


async def _member_leaves(home: Home, share: Share) -> None:
    await home.spine.services.sharing.end(share.id, home.member.principal)


async def _binding_ends(home: Home, share: Share) -> None:
    await home.spine.services.accounts.revoke(home.binding.id, home.owner.principal)


@pytest.mark.parametrize(
    ("end", "by", "owner_hears", "member_hears"),
    [
        (_owner_ends, "owner", ["share.accepted"], ["share.received_to_pay", "share.ended"]),
        (_member_leaves, "member", ["share.accepted", "share.left"], ["share.received_to_pay"]),
        (_binding_ends, "binding", ["share.accepted"], ["share.received_to_pay", "share.ended"]),
    ],
    ids=["the owner", "the member", "the binding"],
)
async def test_what_has_ended_shows_nothing_and_pays_nothing(
    home: Home,
    end: Callable[[Home, Share], Awaitable[None]],
    by: str,
    owner_hears: list[str],
    member_hears: list[str],
) -> None:
    share = await home.share()
    quoted = await home.spine.services.quotes.for_binding(home.member.caller, home.account_id)
    await home.spine.jobs.run()
    await end(home, share)
    await end(home, share)
    await share.refresh_from_db()
    assert (share.status, share.ended_by) == ("ended", by)
    assert await home.bills(home.member) == []
    assert await home.spine.services.accounts.mine(home.member.principal) == []
    for attempt in (
        home.spine.services.quotes.owed(home.account_id, home.member.principal),
        home.spine.services.quotes.for_binding(home.member.caller, home.account_id),
        home.create(home.member, quoted),
    ):
        with pytest.raises(NotFound):
            await attempt
    await home.spine.jobs.run()
    assert await home.spine.told(home.owner) == owner_hears
    assert await home.spine.told(home.member) == member_hears
    assert await home.uses(share, home.owner) == [], "the owner may still look at what was done"


async def test_a_code_serves_one_person_once_and_while_it_is_young(home: Home) -> None:
    accept, other = home.spine.services.sharing.accept, await home.spine.citizen()
    code = await home.invite()
    with pytest.raises(InvitationRefused):
        await accept(home.owner.caller, code)
    first = await accept(home.member.caller, code.lower().replace("-", " "))
    assert (await accept(home.member.caller, code)).id == first.id, "an answer that was lost is given again"
    late, withdrawn = await home.invite(), await home.invite()
    (_, _, last) = await home.spine.services.sharing.given(home.account_id, home.owner.principal)
    await home.spine.services.sharing.end(last.share.id, home.owner.principal)
    await home.spine.travel(timedelta(minutes=30))
    for refused in (code, late, withdrawn, "2222-3333-4444"):
        with pytest.raises(InvitationRefused):
            await accept(other.caller, refused)
    assert await lapse_invitations() == 1
    assert await lapse_invitations() == 0
    (left,) = await home.spine.services.sharing.given(home.account_id, home.owner.principal)
    assert (left.share.status, left.member_phone_masked) == ("active", None)


async def test_codes_cannot_be_tried_without_end(home: Home) -> None:
    for _ in range(10):
        with pytest.raises(InvitationRefused):
            await home.spine.services.sharing.accept(home.member.caller, "2222-3333-4444")
    with pytest.raises(RateLimited):
        await home.spine.services.sharing.accept(home.member.caller, await home.invite())


async def test_who_sees_the_account_already_takes_no_second_share(home: Home) -> None:
    await home.share()
    with pytest.raises(AlreadyMember):
        await home.share()
    binder = await home.spine.citizen()
    await home.spine.bind(binder, home.number)
    with pytest.raises(AlreadyMember):
        await home.spine.services.sharing.accept(binder.caller, await home.invite())
    await home.spine.jobs.run()


async def test_a_binding_has_so_many_members_and_no_more(home: Home) -> None:
    codes = [await home.invite() for _ in range(5)]
    with pytest.raises(TooManyMembers):
        await home.invite()
    await home.spine.travel(timedelta(minutes=31))
    assert await home.invite() not in codes, "invitations that are over make room"


async def test_a_member_gives_nothing_on_and_sees_no_other_binder(home: Home) -> None:
    await home.share()
    services, stranger = home.spine.services, await home.spine.citizen()
    with pytest.raises(NotFound):
        await services.sharing.offer(home.member.caller, home.account_id, "邻居", False)
    with pytest.raises(NotFound):
        await services.accounts.binders(home.account_id, home.member.principal)
    with pytest.raises(NotFound):
        await services.accounts.revoke(home.binding.id, home.member.principal)
    with pytest.raises(NotFound):
        await services.sharing.given(home.account_id, stranger.principal)
    for share_id in ((await Share.get(member_id=home.member.id)).id, uuid4()):
        with pytest.raises(NotFound):
            await services.sharing.end(share_id, stranger.principal)
        with pytest.raises(NotFound):
            await services.sharing.uses(share_id, stranger.principal, None, 20)


async def test_one_s_own_binding_counts_before_a_family_member_s(home: Home) -> None:
    await home.share(may_pay=False)
    await home.spine.bind(home.member, home.number)
    way = await way_to(home.account_id, home.member.principal)
    assert way is not None
    assert (way["via"], way["may_pay"]) == ("binding", True)
    (seen,) = await home.spine.services.accounts.mine(home.member.principal)
    assert seen.via == "binding"
    await home.spine.jobs.run()


@pytest.mark.parametrize("turn", range(4))
async def test_an_end_and_a_payment_at_once_leave_a_payment_with_its_right_or_none(home: Home, turn: int) -> None:
    share = await home.share()
    quoted = await home.spine.services.quotes.for_binding(home.member.caller, home.account_id)
    ends = (_owner_ends, _binding_ends)[turn % 2](home, share)
    tries = [home.create(home.member, quoted), ends]
    outcomes = await asyncio.gather(*(tries if turn < 2 else tries[::-1]), return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(error) for error in errors] in ([], [NotFound])
    assert all(isinstance(error, LianbanError) for error in errors)
    payments = await fetch("select id from payment where person_id = $1", home.member.id)
    assert len(payments) == 1 - len(errors)
    assert await home.uses(share, home.owner) == ["payment.created"] * len(payments)


@pytest.mark.parametrize("turn", range(3))
async def test_two_who_take_one_code_at_once_are_one(home: Home, turn: int) -> None:
    code, other = await home.invite(), await home.spine.citizen()
    accept = home.spine.services.sharing.accept
    outcomes = await asyncio.gather(
        accept(home.member.caller, code), accept(other.caller, code), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvitationRefused", "Share"]
    await home.spine.jobs.run()
