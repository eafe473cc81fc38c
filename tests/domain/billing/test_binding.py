"""Binding an account with a proof, who is told of it, and who may end it."""

import pytest

from core import redis as redis_module
from core.errors import NotFound
from core.redis import Limiter, LimiterAway, RateLimited
from domain.billing.accounts import (
    AccountNumberMalformed,
    AccountOrProofWrong,
    Accounts,
    CompanyAway,
    ProofMalformed,
)
from domain.companies import CompanyNotJoined
from models.utility_account import Binding, UtilityAccount
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

SIDE = f"company:{WATER}"


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def number(spine: Spine) -> str:
    return await spine.account(4199, proof="123X")


async def test_the_right_proof_binds_and_again_gives_the_same_binding(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    first = await spine.bind(citizen, number)
    assert (await spine.bind(citizen, f" {number[:4]} {number[4:]}-", "１２３x")).id == first.id
    (seen,) = await spine.services.accounts.mine(citizen.principal)
    assert (seen.binding_id, seen.view.number_masked, seen.view.holder_masked) == (
        first.id,
        f"******{number[-4:]}",
        "张*",
    )
    await spine.jobs.run()


async def test_a_wrong_proof_and_an_unknown_account_are_one_answer_and_leave_nothing(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    before = await spine.rows()
    errors: list[AccountOrProofWrong] = []
    for tried, proof in ((number, "0000"), ("0299999999", "123X")):
        with pytest.raises(AccountOrProofWrong) as refused:
            await spine.bind(citizen, tried, proof)
        errors.append(refused.value)
    assert (errors[0].code, errors[0].data, str(errors[0])) == (errors[1].code, errors[1].data, str(errors[1]))
    assert await spine.rows() == before
    assert len(await spine.calls(SIDE, "find_account")) == 2, "both asked the company the same way"


@pytest.mark.parametrize(("wrong", "error"), [("123", AccountNumberMalformed), ("０２０３", AccountNumberMalformed)])
async def test_what_has_not_the_companys_form_is_said_without_asking(
    spine: Spine, citizen: Citizen, wrong: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await spine.bind(citizen, wrong)
    with pytest.raises(ProofMalformed):
        await spine.bind(citizen, "0203001234", "12345")
    with pytest.raises(CompanyNotJoined):
        await spine.services.accounts.bind(citizen.caller, "heating", "0203001234", "002X", None)
    assert await spine.calls(SIDE, "find_account") == {}


async def test_five_tries_per_person_and_hour(spine: Spine, citizen: Citizen) -> None:
    for account in range(5):
        with pytest.raises(AccountOrProofWrong):
            await spine.bind(citizen, f"02999999{account:02}", "0000")
    with pytest.raises(RateLimited) as refused:
        await spine.bind(citizen, "0299999999", "0000")
    assert 0 < refused.value.data["retry_after_s"] <= 3600


async def test_five_tries_per_account_and_hour_whoever_tries(spine: Spine, number: str) -> None:
    people = [await spine.citizen() for _ in range(6)]
    for person in people[:5]:
        with pytest.raises(AccountOrProofWrong):
            await spine.bind(person, number, "0000")
    with pytest.raises(RateLimited):
        await spine.bind(people[5], number, "123X")
    assert await Binding.all().count() == 0


async def test_without_a_limiter_nobody_tries(spine: Spine, citizen: Citizen, number: str) -> None:
    nowhere = redis_module.connect("redis://127.0.0.1:1/0", 1.0)
    services = spine.services
    accounts = Accounts(services.companies, services.city, services.vault, Limiter(nowhere))
    with pytest.raises(LimiterAway):
        await accounts.bind(citizen.caller, WATER, number, "123X", None)
    await nowhere.aclose()
    assert await spine.calls(SIDE, "find_account") == {}


async def test_a_company_that_is_away_leaves_nothing(spine: Spine, citizen: Citizen, number: str) -> None:
    await spine.fault(SIDE, "find_account", "error", status=500)
    with pytest.raises(CompanyAway):
        await spine.bind(citizen, number)
    assert await UtilityAccount.all().count() == 0


async def test_earlier_binders_and_the_holder_are_told_and_the_newcomer_is_not(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    await spine.bind(citizen, number)
    later = await spine.citizen()
    await spine.travel(MINUTE)
    binding = await spine.bind(later, number)
    await spine.jobs.run()
    assert await spine.told(citizen) == ["binding.created"]
    assert await spine.told(later) == []
    notices = (await spine.ledger())["holder_notices"]
    assert {notice["kind"] for notice in notices} == {"binding_created"}
    assert binding.reference in {notice["binding_ref"] for notice in notices}
    assert len(notices) == 2


async def test_the_holder_is_told_once_though_the_company_was_away(spine: Spine, citizen: Citizen, number: str) -> None:
    await spine.bind(citizen, number)
    await spine.fault(SIDE, "holder_notice", "error", status=500)
    await spine.fault(SIDE, "holder_notice", "drop", after=True)
    await spine.jobs.pass_time(5 * MINUTE)
    assert {failure.task for failure in spine.jobs.failures} == {"telling.holder_of_binding"}
    spine.jobs.failures.clear()
    assert len((await spine.ledger())["holder_notices"]) == 1


async def test_an_earlier_binder_ends_a_later_one_and_never_the_reverse(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    earlier = await spine.bind(citizen, number)
    other = await spine.citizen()
    await spine.travel(MINUTE)
    later = await spine.bind(other, number)
    revoke = spine.services.accounts.revoke
    with pytest.raises(NotFound):
        await revoke(earlier.id, other.principal)
    with pytest.raises(NotFound):
        await revoke(later.id, (await spine.citizen()).principal)
    await revoke(later.id, citizen.principal)
    await revoke(later.id, citizen.principal)
    await spine.jobs.run()
    assert (await Binding.get(id=later.id)).revoked_by == "earlier_binder"
    assert (await Binding.get(id=earlier.id)).revoked_at is None
    assert await spine.told(other) == ["binding.revoked"]


async def test_who_ended_his_own_binding_has_lost_his_say_over_later_ones(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    first = await spine.bind(citizen, number)
    await spine.travel(MINUTE)
    other = await spine.citizen()
    later = await spine.bind(other, number)
    await spine.jobs.run()
    await spine.services.accounts.revoke(first.id, citizen.principal)
    with pytest.raises(NotFound):
        await spine.services.accounts.revoke(later.id, citizen.principal)
    await spine.travel(MINUTE)
    again = await spine.bind(citizen, number)
    assert again.id != first.id
    with pytest.raises(NotFound):
        await spine.services.accounts.revoke(later.id, citizen.principal)
    await spine.jobs.run()
    assert await spine.told(citizen) == ["binding.created"], "of the other's; his own end is no news"


async def test_the_holder_objects_through_his_company_and_the_binder_sees_nothing_any_more(
    spine: Spine, citizen: Citizen, number: str
) -> None:
    binding = await spine.bind(citizen, number)
    await spine.jobs.run()
    await spine.let_speak()
    for event_id in ("o1", "o1", "o2"):
        data = {"account_number": number, "binding_ref": binding.reference}
        event = {"type": "binding.revoked", "data": data, "event_id": event_id}
        await spine.control("POST", f"/companies/{WATER}/events", event)
    await spine.until_inbox(2, SIDE)
    await spine.jobs.run()
    assert (await Binding.get(id=binding.id)).revoked_by == "holder"
    assert await spine.told(citizen) == ["binding.revoked"]
    assert await spine.services.accounts.mine(citizen.principal) == []
    account = await spine.row_of(number)
    for look in (
        spine.services.quotes.owed(account.id, citizen.principal),
        spine.services.quotes.for_binding(citizen.caller, account.id),
        spine.services.accounts.binders(account.id, citizen.principal),
    ):
        with pytest.raises(NotFound):
            await look


async def test_a_company_ends_bindings_of_the_named_account_only(spine: Spine, citizen: Citizen, number: str) -> None:
    binding = await spine.bind(citizen, number)
    other = await spine.account(1)
    await spine.qr(other)
    await spine.jobs.run()
    await spine.let_speak()
    data = {"account_number": other, "binding_ref": binding.reference}
    await spine.control("POST", f"/companies/{WATER}/events", {"type": "binding.revoked", "data": data})
    await spine.until_inbox(1, SIDE)
    await spine.jobs.run()
    assert (await Binding.get(id=binding.id)).revoked_at is None


async def test_a_stranger_sees_no_account(spine: Spine, citizen: Citizen, number: str) -> None:
    await spine.bind(citizen, number)
    account = await spine.row_of(number)
    stranger = await spine.citizen()
    for look in (
        spine.services.quotes.owed(account.id, stranger.principal),
        spine.services.quotes.for_binding(stranger.caller, account.id),
        spine.services.accounts.binders(account.id, stranger.principal),
    ):
        with pytest.raises(NotFound):
            await look
    await spine.jobs.run()
