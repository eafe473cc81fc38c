"""A code in a text message proves a number: it leaves once, may be tried five times for five minutes, and not without limits."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.database import fetch
from core.errors import NotFound
from core.outbound import OutboundError
from core.redis import RateLimited
from domain.identity.phone_codes import PhoneMalformed, SmsCodeRefused
from models.person import Person
from tests.harness.spine import Citizen, Spine

PHONE = "13712345678"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _texts(spine: Spine, phone: str = PHONE) -> list[str]:
    messages = (await spine.control("GET", f"/sms?number=%2B86{phone}"))["messages"]
    return [message["text"] for message in messages]


async def _requested(spine: Spine, citizen: Citizen, phone: str = PHONE) -> tuple[UUID, str]:
    """A code that arrived: its id and what the text says."""
    requested = await spine.services.phone_codes.request(citizen.caller, phone)
    await spine.jobs.run()
    return requested.code_id, (await _texts(spine, phone))[-1].partition("验证码 ")[2][:6]


def _wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


async def test_the_code_of_the_text_raises_to_level_two(spine: Spine, citizen: Citizen) -> None:
    code_id, code = await _requested(spine, citizen)
    token, _, level = await spine.services.phone_codes.prove(citizen.caller, code_id, code)
    assert level == spine.services.access_tokens.check(token).level == 2
    person = await Person.get(id=citizen.id)
    assert person.phone is not None
    assert spine.services.vault.open(person.phone, "person.phone", person.id) == f"+86{PHONE}"
    with pytest.raises(SmsCodeRefused):
        await spine.services.phone_codes.prove(citizen.caller, code_id, code)


async def test_a_code_may_be_tried_five_times(spine: Spine, citizen: Citizen) -> None:
    code_id, code = await _requested(spine, citizen)
    for _ in range(5):
        with pytest.raises(SmsCodeRefused):
            await spine.services.phone_codes.prove(citizen.caller, code_id, _wrong(code))
    with pytest.raises(SmsCodeRefused):
        await spine.services.phone_codes.prove(citizen.caller, code_id, code)
    assert (await Person.get(id=citizen.id)).level == 1


async def test_a_code_is_good_for_five_minutes(spine: Spine, citizen: Citizen) -> None:
    code_id, code = await _requested(spine, citizen)
    await spine.travel(5 * MINUTE)
    with pytest.raises(SmsCodeRefused):
        await spine.services.phone_codes.prove(citizen.caller, code_id, code)


async def test_another_persons_code_does_not_exist(spine: Spine, citizen: Citizen) -> None:
    code_id, code = await _requested(spine, citizen)
    other = await spine.citizen()
    with pytest.raises(NotFound):
        await spine.services.phone_codes.prove(other.caller, code_id, code)
    assert (await fetch("select tries from phone_code"))[0]["tries"] == 0


async def test_a_number_gets_one_code_a_minute_whoever_asks(spine: Spine, citizen: Citizen) -> None:
    await _requested(spine, citizen)
    other = await spine.citizen()
    for person in (citizen, other):
        with pytest.raises(RateLimited):
            await spine.services.phone_codes.request(person.caller, PHONE)
    assert len(await _texts(spine)) == 1


async def test_a_person_gets_ten_codes_a_day(spine: Spine, citizen: Citizen) -> None:
    for number in range(10):
        await spine.services.phone_codes.request(citizen.caller, f"1370000000{number}")
    with pytest.raises(RateLimited):
        await spine.services.phone_codes.request(citizen.caller, "13800000000")
    await spine.jobs.run()


@pytest.mark.parametrize("phone", ["1371234567", "12712345678", "1371234567８", "137123456 8", "+8613712345"])
async def test_only_mobile_numbers_are_taken(spine: Spine, citizen: Citizen, phone: str) -> None:
    with pytest.raises(PhoneMalformed):
        await spine.services.phone_codes.request(citizen.caller, phone)


@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
async def test_a_code_whose_fate_is_unknown_is_not_sent_again(spine: Spine, citizen: Citizen, after: bool) -> None:
    await spine.fault("sms", "send", "drop", after=after)
    await spine.services.phone_codes.request(citizen.caller, PHONE)
    await spine.jobs.pass_time(10 * MINUTE)
    assert len(await _texts(spine)) == int(after)
    assert (await fetch("select outcome from phone_code"))[0]["outcome"] == "unknown"


async def test_a_worker_that_dies_while_sending_sends_no_second_one(spine: Spine, citizen: Citizen) -> None:
    code_id, _ = await _requested(spine, citizen)
    for _ in range(3):
        await spine.jobs.do("identity.send_phone_code", code_id=code_id)
    assert len(await _texts(spine)) == 1


async def test_a_busy_supplier_is_tried_again_while_the_code_is_good(spine: Spine, citizen: Citizen) -> None:
    await spine.control("POST", "/sms/outcome", {"outcome": "RequestLimitExceeded"})
    await spine.services.phone_codes.request(citizen.caller, PHONE)
    await spine.jobs.run()
    assert await _texts(spine) == []
    await spine.control("POST", "/sms/outcome", {"outcome": "SUCCESS"})
    await spine.jobs.pass_time(MINUTE)
    assert len(await _texts(spine)) == 1
    assert spine.jobs.failures
    assert not any(isinstance(failure.error, OutboundError) for failure in spine.jobs.failures)
    spine.jobs.failures.clear()


async def test_neither_number_nor_code_stands_in_the_row(spine: Spine, citizen: Citizen) -> None:
    _, code = await _requested(spine, citizen)
    row: Any = (await fetch("select p::text as row, encode(p.phone, 'escape') as cell from phone_code p"))[0]
    assert PHONE not in row["row"] + row["cell"]
    (job,) = await fetch(
        "select args::text as args from procrastinate_jobs where task_name = 'identity.send_phone_code'"
    )
    assert PHONE not in job["args"]
    assert code not in job["args"]
