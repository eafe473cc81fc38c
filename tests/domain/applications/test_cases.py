"""What an applicant sees of his case, what a handler learns of the place, and progress by code: five tries, one answer, dead in time."""

from datetime import timedelta

import pytest

from core.database import fetch
from core.errors import NotFound
from core.redis import RateLimited
from domain.applications.cases import ProgressRefused
from domain.applications.correcting import CorrectionOutside
from domain.applications.filing import AnswersIncomplete
from tests.harness import cases, staff
from tests.harness.spine import Spine


async def test_a_case_shows_its_stage_its_steps_what_was_said_and_both_clocks(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    caller, seen = citizen.caller, spine.services.cases
    filed = await cases.file(spine, caller, await cases.answers_of(spine, caller, ["water", "gas"]))
    await cases.brought_to(spine, caller, await cases.order_of(filed, "gas"), "connected")
    await cases.brought_to(spine, caller, await cases.order_of(filed, "water"), "plan_replied")
    case = await seen.show(caller, filed.application_id)
    assert (case.joint.stage, case.joint.connected, case.joint.your_turn) == ("your_turn", ("gas",), ("water",))
    water = next(one for one in case.orders if one.order.company == "water")
    assert [row["event"] for row in water.steps] == ["created", "receive", "accept", "survey", "reply_plan"]
    assert [paper.kind for paper in water.papers] == ["survey", "plan"]
    assert water.promise is not None
    assert (water.promise.due.promised_days, water.promise.pauses[0].reason) == (3, "applicant")
    (listed,) = await seen.mine(caller.principal, None, 20)
    assert listed.joint == case.joint
    stranger, _ = await spine.resident()
    with pytest.raises(NotFound):
        await seen.show(stranger.caller, filed.application_id)


async def test_ones_own_cases_of_the_place_are_shown_anothers_to_the_handler_only(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    other, _ = await spine.resident()
    first = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water"]))
    draft = await cases.begun(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water"]))
    theirs = await cases.answers_of(spine, other.caller, ["water"])
    theirs["site"]["address"] = "鄂城区滨湖南路18号，3幢201室"
    unknown = await cases.begun(spine, other.caller, theirs)
    same = spine.services.cases.same
    assert [one.application.id for one in await same(citizen.caller, draft)] == [first.application_id]
    assert await same(other.caller, unknown) == [], "of other people's cases nobody is told"
    filed = await cases.file(spine, other.caller, theirs)
    order, desk = await cases.order_of(filed, "water"), spine.services.order_desk

    async def seen_by(unit: str, role: str) -> tuple[int, list[tuple[str, bool]]]:
        found = (await desk.one(await staff.caller(spine.services, unit, role), order.id)).at_address
        return found.cases, [(one.number, one.own) for one in found.orders]

    at_place = [(first.orders[0].number, False)]
    assert await seen_by("water", "handler") == (1, at_place)
    gas = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["gas"]))
    assert await seen_by("water", "handler") == (2, at_place), "a company sees its own part only"
    for unit, role in (("hall_420704", "clerk"), ("city", "supervisor"), ("optimization", "supervisor")):
        assert await seen_by(unit, role) == (2, [(gas.orders[0].number, False), *at_place])
    for unit, role in (("gas", "handler"), ("hall_420702", "clerk")):
        with pytest.raises(NotFound):
            await seen_by(unit, role)


async def test_progress_needs_code_and_digits_five_times_an_hour_and_dies(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water"]))
    progress, code = spine.services.cases.progress, filed.progress_code
    found = await progress(f" {code.lower().replace('-', ' ')}", "5678")
    assert found.joint is not None
    assert found.joint.stage == "filed"
    for wrong, digits in ((code, "0000"), ("B7K2-M9QD-4TXH", "5678")):
        with pytest.raises(ProgressRefused) as refused:
            await progress(wrong, digits)
        assert refused.value.data == {}
    for _ in range(3):
        await progress(code, "5678")
    with pytest.raises(RateLimited):
        await progress(code, "5678")
    await cases.brought_to(spine, citizen.caller, await cases.order_of(filed, "water"), "connected")
    await spine.services.redis.flushdb()
    await spine.travel(timedelta(days=89))
    assert (await progress(code, "5678")).joint is not None
    await spine.travel(timedelta(days=2))
    with pytest.raises(ProgressRefused):
        await progress(code, "5678")


async def test_a_correction_changes_what_the_company_sees_and_never_whose_case_it_is(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    order = await cases.standing(spine, citizen.caller, "water", "correcting")
    answer = spine.services.correcting.answer
    for pointer in ("/applicant/id_number", "/services", "/gas/use", "/applicant", "/nothing", "no pointer"):
        with pytest.raises(CorrectionOutside):
            await answer(citizen.caller, order.id, {pointer: "x"}, "")
    with pytest.raises(AnswersIncomplete):
        await answer(citizen.caller, order.id, {"/contact/mobile": "12"}, "")
    corrected = await answer(citizen.caller, order.id, {"/water/caliber_mm": 25}, "改成 25 毫米")
    assert (corrected.status, corrected.revision) == ("corrected", 2)


async def test_old_drafts_are_thrown_away_with_what_was_said_in_them(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    await spine.services.drafts.begin(citizen.caller, {"contact": {"mobile": "13812345678"}}, "ehuiban")
    await spine.travel(timedelta(days=89))
    assert await spine.services.drafts.discard_old() == 0
    await spine.travel(timedelta(days=2))
    assert await spine.services.drafts.discard_old() == 1
    assert await fetch("select 1 from application where answers is not null") == []
