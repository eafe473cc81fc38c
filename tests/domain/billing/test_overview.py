"""All accounts in one look: nobody waits for a slow company, nothing unknown is 0, and a late answer is there for the next look."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from core import clock
from core.database import fetch
from domain.billing import overview
from domain.billing.overview import CATCH_UP_TASK, Look, Part
from models.utility_account import UtilityAccount
from tests.harness.spine import MINUTE, Citizen, Spine

HOME = {
    "water": ("0203001234", "002X", 10548),
    "power": ("4200012345678", "002X", 10944),
    "gas": ("Q20301234", "G24070012345", 8497),
    "telecom_ct": ("07110012345678", "002X", 8900),
}
TOTAL = sum(fen for _, _, fen in HOME.values())


@pytest.fixture
async def household(spine: Spine) -> Citizen:
    """王小明 with his four accounts, one at each of four companies."""
    citizen = await spine.citizen()
    for company, (number, proof, _) in HOME.items():
        await spine.services.accounts.bind(citizen.caller, company, number, proof, None)
    return citizen


async def _look(spine: Spine, citizen: Citizen) -> tuple[Look, dict[str, Part]]:
    look = await spine.services.overview.look(citizen.principal)
    return look, {part.account.company: part for place in look.places for part in place.parts}


def _patience(monkeypatch: pytest.MonkeyPatch, spine: Spine, patience: timedelta) -> None:
    """Another patience than the pack's, so that no test waits."""
    rules = spine.services.city.payment_rules(clock.today())
    view = msgspec.structs.replace(rules.view, answer_within=patience)
    known = msgspec.structs.replace(rules, view=view)

    class City:
        def payment_rules(self, _: object) -> object:
            return known

        def fresh_for(self, _: object) -> timedelta:
            return view.fresh_for

    monkeypatch.setattr(spine.services.overview, "_city", City())


async def _all_have_told_but(spine: Spine, slow: str) -> None:
    """A look asks this company alone, so that no busy machine makes another one late."""
    for company, (number, _, _) in HOME.items():
        if company != slow:
            await spine.services.refresher.refresh(await spine.row_of(number, company), "view")


async def _until_asked(spine: Spine, count: int) -> None:
    """Wait until so many questions to the water company are out."""
    side = next(one for one in spine.services.counterparts if one.name == "company:water")

    async def out() -> bool:
        return side.calls >= count

    await spine.until(out, f"{count} questions")


async def _waiting_jobs() -> int:
    rows = await fetch(
        "select 1 from procrastinate_jobs where task_name = $1 and status = 'todo'",
        CATCH_UP_TASK,
    )
    return len(rows)


async def test_four_companies_in_one_look_grouped_by_address(spine: Spine, household: Citizen) -> None:
    look, parts = await _look(spine, household)
    assert {company: part.total_fen for company, part in parts.items()} == {
        company: fen for company, (_, _, fen) in HOME.items()
    }
    assert {part.state for part in parts.values()} == {"fresh"}
    assert (look.known_fen, look.is_partial) == (TOTAL, False)
    (place,) = look.places
    assert place.address_masked == "鄂城区凤凰街道***3栋1单元"
    assert await _waiting_jobs() == 0


async def test_two_flats_whose_masked_addresses_are_alike_are_two_places(spine: Spine) -> None:
    citizen = await spine.citizen()
    for number, flat in (("0203008801", "101"), ("0203008802", "102")):
        await spine.control(
            "POST",
            "/companies/water/accounts",
            {"number": number, "holder_name": "张三", "holder_id_last4": "123X", "address": f"鄂城区某路1号1栋{flat}", "address_masked": "鄂城区***1栋"},
        )  # fmt: skip
        await spine.bind(citizen, number)
    look, _ = await _look(spine, citizen)
    assert [place.address_masked for place in look.places] == ["鄂城区***1栋"] * 2


async def test_a_dead_company_costs_only_its_own_part(spine: Spine, household: Citizen) -> None:
    await _look(spine, household)
    await spine.travel(6 * MINUTE)
    await spine.fault("company:power", "query_bills", "error", times=None, status=503)
    look, parts = await _look(spine, household)
    assert {company: part.state for company, part in parts.items()} == {
        "water": "fresh", "power": "away", "gas": "fresh", "telecom_ct": "fresh",
    }  # fmt: skip
    assert (look.known_fen, look.is_partial) == (TOTAL - 10944, True)
    assert (parts["power"].total_fen, parts["power"].last_known_fen) == (None, 10944)
    assert parts["power"].checked_at is not None
    assert clock.now() - parts["power"].checked_at > 5 * MINUTE, "its age is told, not hidden"


async def test_what_was_never_told_is_unknown_and_not_zero(spine: Spine, household: Citizen) -> None:
    await spine.fault("company:gas", "query_bills", "error", times=None, status=504)
    look, parts = await _look(spine, household)
    gas = parts["gas"]
    assert (gas.state, gas.total_fen, gas.last_known_fen, gas.bill_count, gas.checked_at) == ("away", *(None,) * 4)
    assert look.known_fen == TOTAL - 8497


async def test_a_slow_company_is_not_waited_for_and_its_answer_lands(
    spine: Spine, household: Citizen, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _all_have_told_but(spine, "telecom_ct")
    _patience(monkeypatch, spine, timedelta(milliseconds=100))
    await spine.fault("company:telecom_ct", "query_bills", "latency", latency_s=1.5)
    look, parts = await _look(spine, household)
    assert parts["telecom_ct"].state == "asking"
    assert (look.known_fen, look.is_partial) == (TOTAL - 8900, True)
    assert await _waiting_jobs() == 1

    async def landed() -> bool:
        account = await UtilityAccount.get(id=parts["telecom_ct"].account.id)
        return account.bills_checked_at is not None

    await spine.until(landed, "the late answer")
    look, parts = await _look(spine, household)
    assert (parts["telecom_ct"].state, look.known_fen, look.is_partial) == ("fresh", TOTAL, False)
    assert await spine.calls("company:telecom_ct", "query_bills") == {"07110012345678": 1}, "it was asked once"
    await spine.jobs.pass_time(MINUTE)
    assert await spine.calls("company:telecom_ct", "query_bills") == {"07110012345678": 1}, "the job had nothing to do"


async def test_the_demo_s_slow_company_answers_within_the_next_look(spine: Spine) -> None:
    """The sandbox's own slowness, 1.5 to 4 s, against the pack's own two seconds."""
    citizen = await spine.citizen()
    await spine.services.accounts.bind(citizen.caller, "telecom_cm", "13800000002", "0041", None)
    _, parts = await _look(spine, citizen)
    if parts["telecom_cm"].state == "asking":

        async def landed() -> bool:
            return (await UtilityAccount.get(id=parts["telecom_cm"].account.id)).bills_checked_at is not None

        await spine.until(landed, "the late answer")
        _, parts = await _look(spine, citizen)
    assert (parts["telecom_cm"].state, parts["telecom_cm"].total_fen) == ("fresh", 6800)
    await spine.jobs.pass_time(MINUTE)


async def test_who_leaves_takes_no_question_along_and_a_second_look_joins_the_first(
    spine: Spine, household: Citizen
) -> None:
    await spine.fault("company:water", "query_bills", "latency", latency_s=0.6)
    first = asyncio.create_task(_look(spine, household))
    await _until_asked(spine, 1)
    first.cancel()
    look, parts = await _look(spine, household)
    assert (parts["water"].state, parts["water"].total_fen) == ("fresh", HOME["water"][2])
    assert (look.known_fen, look.is_partial) == (TOTAL, False), (
        "the answer is this look's too, though another began the question"
    )
    assert await spine.calls("company:water", "query_bills") == {"0203001234": 1}


async def test_when_the_question_dies_with_its_process_the_job_asks(
    spine: Spine, household: Citizen, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _all_have_told_but(spine, "gas")
    _patience(monkeypatch, spine, timedelta(milliseconds=300))
    await spine.fault("company:gas", "query_bills", "hang")
    _, parts = await _look(spine, household)
    assert parts["gas"].state == "asking"
    await spine.services.overview.aclose()
    await _look(spine, household)
    await spine.services.overview.aclose()
    assert await _waiting_jobs() <= 1, "at most one job waits for an account"
    await spine.jobs.pass_time(MINUTE)
    account = await UtilityAccount.get(id=parts["gas"].account.id)
    assert account.bills_checked_at is not None


async def test_a_hanging_company_with_very_many_accounts_takes_few_places(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _patience(monkeypatch, spine, timedelta(milliseconds=400))
    citizen = await spine.citizen()
    for _ in range(5):
        await spine.bind(citizen, await spine.account(100))
    await spine.services.redis.flushdb()
    for _ in range(5):
        await spine.bind(citizen, await spine.account(100))
    await spine.fault("company:water", "query_bills", "hang", times=None)
    side = next(one for one in spine.services.counterparts if one.name == "company:water")
    look = asyncio.create_task(spine.services.overview.look(citizen.principal))
    await _until_asked(spine, overview.PER_COMPANY)
    assert side.calls == overview.PER_COMPANY, "the others wait"
    found = await look
    assert [part.state for place in found.places for part in place.parts] == ["asking"] * 10
    assert await _waiting_jobs() == 10
    await spine.services.overview.aclose()
    await spine.all_well()
    await spine.jobs.pass_time(MINUTE)
    found = await spine.services.overview.look(citizen.principal)
    assert (found.known_fen, found.is_partial) == (1000, False)


async def test_another_s_accounts_are_not_seen(spine: Spine, household: Citizen) -> None:
    stranger = await spine.citizen()
    look, parts = await _look(spine, stranger)
    assert (look.known_fen, look.is_partial, parts) == (0, False, {})
