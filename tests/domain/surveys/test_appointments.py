"""One visit of all companies: the first time that suits everybody, held once, confirmed by all, looked for again when one drops out."""

import asyncio
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from core import clock
from core.database import fetch
from core.errors import NotFound
from domain.surveys.appointments import Appointment, OtherRound, WindowsUnsuitable
from domain.surveys.planning import Window
from domain.surveys.slots import Offer, SlotUnsuitable
from models.lifecycle import Actor
from models.service_order import ServiceOrder
from models.survey import SurveyBooking
from tests.harness import cases
from tests.harness.spine import Citizen, Spine

AREA = "420704"


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    found, _ = await spine.resident()
    return found


def at(hour: float, days: int = 1) -> datetime:
    """A time of a coming day, Shanghai."""
    day = clock.today() + timedelta(days=days)
    return datetime.combine(day, time(), clock.SHANGHAI) + timedelta(hours=hour)


def window(begin: float, end: float, days: int = 1) -> Window:
    return Window(at(begin, days), at(end, days))


async def case(spine: Spine, citizen: Citizen, *services: str) -> UUID:
    """An application for these services whose companies have their orders."""
    answers = await cases.answers_of(spine, citizen.caller, list(services))
    application_id = (await cases.file(spine, citizen.caller, answers)).application_id
    await spine.jobs.run()
    return application_id


async def crews(spine: Spine, company: str, *spans: tuple[str, float, float], withdrawn: tuple[str, ...] = ()) -> int:
    offers = [Offer(code, AREA, at(begin), at(end)) for code, begin, end in spans]
    new = await spine.services.surveys.slots(company, offers, withdrawn, Actor("company", company))
    await spine.jobs.run()
    return new


async def offer(spine: Spine, citizen: Citizen, application_id: UUID, *windows: Window) -> Appointment:
    await spine.services.surveys.offer_windows(citizen.caller, application_id, windows)
    await spine.jobs.run()
    return await shown(spine, citizen, application_id)


async def shown(spine: Spine, citizen: Citizen, application_id: UUID) -> Appointment:
    return await spine.services.surveys.shown(citizen.caller, application_id)


async def say(spine: Spine, found: Appointment, company: str, answer: str) -> str:
    survey = found.survey
    said = await spine.services.surveys.answer(company, survey.id, survey.round, answer, Actor("company", company))
    await spine.jobs.run()
    return said


async def told(spine: Spine, company: str) -> list[dict[str, Any]]:
    (order,) = (await spine.control("GET", f"/companies/{company}/ledger"))["orders"]
    return [notice for notice in order["notices"] if notice["kind"].startswith("appointment")]


async def messages(citizen: Citizen) -> list[str]:
    query = "select kind from message where person_id = $1 and channel = 'inbox' and kind like 'survey.%' order by created_at"
    return [row["kind"] for row in await fetch(query, citizen.id)]


async def test_the_first_common_time_is_held_confirmed_by_all_and_fixed(spine: Spine, citizen: Citizen) -> None:
    application_id = await case(spine, citizen, "water", "gas")
    await crews(spine, "water", ("w1", 9, 12), ("w2", 14, 17))
    await crews(spine, "gas", ("g1", 15, 18))
    found = await offer(spine, citizen, application_id, window(9, 11), window(13, 18))
    assert (found.survey.status, found.survey.starts_at, found.survey.ends_at) == ("held", at(15), at(16))
    assert found.answers == {"water": "asked", "gas": "asked"}
    (notice,) = await told(spine, "gas")
    assert (notice["kind"], notice["data"]["slot_id"]) == ("appointment_held", "g1")
    assert [await say(spine, found, company, "confirmed") for company in ("water", "gas", "gas")] == [
        "confirmed", "confirmed", "already",
    ]  # fmt: skip
    await spine.services.surveys.confirm(citizen.caller, application_id, found.survey.round)
    await spine.jobs.run()
    assert (await shown(spine, citizen, application_id)).survey.status == "fixed"
    assert [one["kind"] for one in await told(spine, "water")] == ["appointment_held", "appointment_fixed"]
    assert await messages(citizen) == ["survey.opened", "survey.held", "survey.fixed"]


async def test_who_drops_out_is_replaced_by_another_time_also_after_it_was_fixed(
    spine: Spine, citizen: Citizen
) -> None:
    application_id = await case(spine, citizen, "water", "gas")
    await crews(spine, "water", ("w1", 9, 18))
    await crews(spine, "gas", ("g1", 10, 12), ("g2", 15, 18))
    first = await offer(spine, citizen, application_id, window(8, 18))
    assert first.survey.starts_at == at(10)
    await say(spine, first, "water", "confirmed")
    await say(spine, first, "gas", "confirmed")
    await spine.services.surveys.confirm(citizen.caller, application_id, 1)
    assert await crews(spine, "gas", withdrawn=("g1",)) == 0
    second = await shown(spine, citizen, application_id)
    assert (second.survey.status, second.survey.round, second.survey.starts_at) == ("held", 2, at(15))
    assert second.answers == {"water": "asked", "gas": "asked"}
    assert await say(spine, first, "water", "confirmed") == "no_such_appointment", "an answer to the first round"
    with pytest.raises(OtherRound):
        await spine.services.surveys.confirm(citizen.caller, application_id, 1)
    assert await say(spine, second, "gas", "declined") == "declined"
    assert (await shown(spine, citizen, application_id)).survey.status == "gathering", "nobody of gas is free any more"
    assert "survey.released" in await messages(citizen)


async def test_of_two_applicants_who_want_one_crew_at_once_one_wins(spine: Spine, citizen: Citizen) -> None:
    other, _ = await spine.resident()
    ids = [await case(spine, one, "water") for one in (citizen, other)]
    await spine.services.surveys.slots(
        "water", [Offer("w1", AREA, at(9), at(10)), Offer("w2", AREA, at(11), at(12))], (), Actor("company", "water")
    )
    for one, application_id in zip((citizen, other), ids, strict=True):
        await spine.services.surveys.offer_windows(one.caller, application_id, [window(8, 12)])
    surveys = [(await shown(spine, one, id_)).survey.id for one, id_ in zip((citizen, other), ids, strict=True)]
    assert await asyncio.gather(*(spine.services.surveys.plan(id_) for id_ in surveys)) == ["held", "held"]
    held = [(await shown(spine, one, id_)).survey.starts_at for one, id_ in zip((citizen, other), ids, strict=True)]
    assert sorted(moment for moment in held if moment) == [at(9), at(11)]
    live = await SurveyBooking.filter(released_at=None)
    assert len({booking.slot_id for booking in live}) == len(live) == 2


async def test_silence_is_no_confirmation(spine: Spine, citizen: Citizen) -> None:
    application_id = await case(spine, citizen, "water")
    await crews(spine, "water", ("w1", 15, 16), ("w2", 17, 18))
    await offer(spine, citizen, application_id, window(8, 18))
    await spine.jobs.pass_time(timedelta(hours=4, minutes=1))
    found = await shown(spine, citizen, application_id)
    assert (found.survey.status, found.windows) == ("gathering", [])
    assert (await messages(citizen))[-1] == "survey.lapsed"
    free = {row["code"] for row in await fetch("select code from survey_slot where withdrawn_at is null")}
    assert free == {"w2"}, "the time the company did not answer for is offered to nobody"


async def test_an_order_that_ends_frees_its_crew_and_the_last_one_the_appointment(
    spine: Spine, citizen: Citizen
) -> None:
    application_id = await case(spine, citizen, "water", "gas")
    await crews(spine, "water", ("w1", 9, 12))
    await crews(spine, "gas", ("g1", 9, 12))
    found = await offer(spine, citizen, application_id, window(8, 18))
    await say(spine, found, "water", "confirmed")
    await spine.services.surveys.confirm(citizen.caller, application_id, 1)
    orders = {one.company: one for one in await ServiceOrder.filter(application_id=application_id)}
    await spine.services.order_answers.withdraw(citizen.caller, orders["gas"].id)
    await spine.jobs.run()
    assert (await shown(spine, citizen, application_id)).survey.status == "fixed", "the rest had confirmed"
    await spine.services.order_answers.withdraw(citizen.caller, orders["water"].id)
    await spine.jobs.run()
    with pytest.raises(NotFound):
        await shown(spine, citizen, application_id)
    assert not await SurveyBooking.exists(released_at=None)


async def test_a_withdrawal_that_comes_before_its_slot_wins(spine: Spine, citizen: Citizen) -> None:
    await crews(spine, "water", withdrawn=("w1",))
    assert await crews(spine, "water", ("w1", 9, 12)) == 0
    application_id = await case(spine, citizen, "water")
    assert (await offer(spine, citizen, application_id, window(8, 18))).survey.status == "gathering"


async def test_a_stranger_s_appointment_is_none(spine: Spine, citizen: Citizen) -> None:
    application_id = await case(spine, citizen, "water")
    stranger, _ = await spine.resident()
    surveys = spine.services.surveys
    for attempt in (
        surveys.shown(stranger.caller, application_id),
        surveys.offer_windows(stranger.caller, application_id, [window(9, 12)]),
        surveys.confirm(stranger.caller, application_id, 1),
    ):
        with pytest.raises(NotFound):
            await attempt


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ([(12, 9, 1)], "backward"), ([(9, 9.5, 1)], "too_short"), ([(9, 11, -1)], "too_soon"), ([(9, 11, 40)], "too_far"),
        ([], "none"), ([(9, 11, 1)] * 21, "too_many"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_windows_that_can_be_no_survey_s_are_refused(
    spine: Spine, citizen: Citizen, windows: list[tuple[float, float, int]], why: str
) -> None:
    application_id = await case(spine, citizen, "water")
    with pytest.raises(WindowsUnsuitable) as refused:
        await spine.services.surveys.offer_windows(citizen.caller, application_id, [window(*one) for one in windows])
    assert refused.value.data["why"] == why


async def test_a_slot_is_of_a_known_district_and_no_longer_than_a_day(spine: Spine) -> None:
    for bad in (
        Offer("s", "110000", at(9), at(10)),
        Offer("s", AREA, at(9), at(9, 3)),
        Offer("s", AREA, at(10), at(9)),
    ):
        with pytest.raises(SlotUnsuitable):
            await spine.services.surveys.slots("water", [bad], (), Actor("company", "water"))
