"""A clerk acts for a citizen only with the code he shows, for minutes, and the citizen sees it."""

import asyncio
from datetime import timedelta

import pytest

from core.errors import NotFound
from core.redis import RateLimited
from domain.identity.acting import CounterCodeRefused, PurposeExceeded
from domain.identity.staff_sessions import StaffCaller
from models.acting import ActingSession, CounterCode
from models.audit import AuditEntry
from models.utility_account import Binding
from tests.harness.spine import WATER, Citizen, Spine
from tests.harness.staff import member

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def clerk(spine: Spine) -> StaffCaller:
    return await _clerk(spine)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _clerk(spine: Spine) -> StaffCaller:
    return await spine.services.staff_sessions.check((await member(spine.services, "hall_420704", "clerk")).token)


async def _code(spine: Spine, citizen: Citizen) -> str:
    return (await spine.services.acting.new_code(citizen.caller))[0]


async def test_what_is_done_has_the_citizen_as_principal_and_the_clerk_as_actor_and_both_can_see_it(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    services, number = spine.services, await spine.account(4199)
    session = await services.acting.open(clerk, await _code(spine, citizen), "bind")
    caller = await services.acting.principal(clerk, session.id, "bound", "request-1")
    await services.accounts.bind(caller, WATER, number, "123X", None)
    binding = await Binding.get(person_id=citizen.id)
    assert binding.actor_user_id == clerk.staff_id
    entry = await AuditEntry.get(action="acting.bound")
    assert (entry.actor_kind, entry.actor_id, entry.subject_id) == ("staff", str(clerk.staff_id), str(session.id))
    assert entry.detail == f"person:{citizen.id}"
    (seen,) = await services.acting.of_person(citizen.id, None, 10)
    assert (seen["unit"], seen["purpose"], seen["deeds"]) == ("hall_420704", "bind", ["bound"])
    await spine.jobs.run()
    assert await spine.told(citizen) == ["acting.opened"]


async def test_who_was_shown_a_code_to_look_adds_nothing(spine: Spine, clerk: StaffCaller, citizen: Citizen) -> None:
    acting = spine.services.acting
    session = await acting.open(clerk, await _code(spine, citizen), "look_up")
    await acting.principal(clerk, session.id, "owed_shown", "request-1")
    with pytest.raises(PurposeExceeded):
        await acting.principal(clerk, session.id, "bound", "request-2")
    (seen,) = await acting.of_person(citizen.id, None, 10)
    assert (seen["purpose"], seen["deeds"]) == ("look_up", ["owed_shown"])
    await spine.jobs.run()


async def test_a_code_opens_once_even_for_two_clerks_at_once(spine: Spine, citizen: Citizen) -> None:
    clerks, code = [await _clerk(spine) for _ in range(3)], await _code(spine, citizen)
    answers = await asyncio.gather(
        *(spine.services.acting.open(one, code, "bind") for one in clerks), return_exceptions=True
    )
    assert sum(isinstance(answer, ActingSession) for answer in answers) == 1
    assert sum(isinstance(answer, CounterCodeRefused) for answer in answers) == 2
    await spine.jobs.run()


async def test_a_code_ends_after_three_minutes_and_with_the_next_one(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    acting = spine.services.acting
    first = await _code(spine, citizen)
    second = await _code(spine, citizen)
    with pytest.raises(CounterCodeRefused):
        await acting.open(clerk, first, "bind")
    await spine.travel(3 * MINUTE)
    with pytest.raises(CounterCodeRefused):
        await acting.open(clerk, second, "bind")
    assert await ActingSession.all().count() == 0


async def test_codes_asked_for_at_once_leave_one(spine: Spine, citizen: Citizen) -> None:
    await asyncio.gather(*(spine.services.acting.new_code(citizen.caller) for _ in range(4)))
    assert await CounterCode.filter(person_id=citizen.id, ended_at=None).count() == 1


async def test_codes_cannot_be_guessed(spine: Spine, clerk: StaffCaller) -> None:
    for number in range(10):
        with pytest.raises(CounterCodeRefused):
            await spine.services.acting.open(clerk, f"{number:08}", "bind")
    with pytest.raises(RateLimited):
        await spine.services.acting.open(clerk, "00000011", "bind")


@pytest.mark.parametrize("how", ["time", "clerk", "citizen", "the next citizen"])
async def test_acting_ends(spine: Spine, clerk: StaffCaller, citizen: Citizen, how: str) -> None:
    acting = spine.services.acting
    session = await acting.open(clerk, await _code(spine, citizen), "bind")
    match how:
        case "time":
            await spine.travel(15 * MINUTE)
        case "clerk":
            await acting.end(clerk, session.id)
        case "citizen":
            await acting.end_by_citizen(citizen.id, session.id)
            await acting.end_by_citizen(citizen.id, session.id)
        case _:
            await acting.open(clerk, await _code(spine, await spine.citizen()), "bind")
    with pytest.raises(NotFound):
        await acting.principal(clerk, session.id, "bound", "request-1")
    assert await AuditEntry.filter(action="acting.bound").count() == 0
    await spine.jobs.run()


async def test_nobody_else_s_acting_is_anybody_s(spine: Spine, clerk: StaffCaller, citizen: Citizen) -> None:
    acting, colleague, stranger = spine.services.acting, await _clerk(spine), await spine.citizen()
    session = await acting.open(clerk, await _code(spine, citizen), "bind")
    with pytest.raises(NotFound):
        await acting.principal(colleague, session.id, "bound", "request-1")
    with pytest.raises(NotFound):
        await acting.end(colleague, session.id)
    with pytest.raises(NotFound):
        await acting.end_by_citizen(stranger.id, session.id)
    assert await acting.of_person(stranger.id, None, 10) == []
    await spine.jobs.run()
