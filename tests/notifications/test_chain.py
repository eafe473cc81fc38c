"""The chain of channels: mini-program, official account, text message; each once, the next only when one did not reach the person."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core import clock
from core.database import fetch
from models.follower import Follower
from models.message import Message
from models.person import Person
from tests.harness.spine import Citizen, Spine

KIND = "session.reuse_detected"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _phone(spine: Spine, citizen: Citizen) -> str:
    await spine.services.login.prove_phone(citizen.caller, await spine.phone_code(citizen.phone_id))
    return f"+86{citizen.phone}"


async def _known_follower(spine: Spine, citizen: Citizen) -> None:
    """Follow, with the events heard."""
    followers = spine.services.followers
    assert followers is not None
    await spine.follow(citizen)
    assert await followers.learn(await spine.official_openid(citizen))


async def _tell(spine: Spine, citizen: Citizen) -> UUID:
    event_id = uuid4()
    await spine.services.intents.intend(KIND, event_id, citizen.id, {"at": clock.now()})
    await spine.jobs.run()
    return event_id


async def _channels(event_id: UUID) -> list[tuple[str, str, str | None]]:
    rows = await fetch("select channel, status, failure from message where event_id = $1 order by id", event_id)
    return [(row["channel"], row["status"], row["failure"]) for row in rows if row["channel"] != "inbox"]


async def _texts(spine: Spine, number: str) -> list[dict[str, Any]]:
    return (await spine.control("GET", f"/sms?number={number.replace('+', '%2B')}"))["messages"]


async def test_with_a_credit_only_the_mini_program_speaks(spine: Spine, citizen: Citizen) -> None:
    await _phone(spine, citizen)
    await _known_follower(spine, citizen)
    await spine.credit(citizen, "security_notice")
    assert await _channels(await _tell(spine, citizen)) == [("mini_program", "accepted", None)]


async def test_without_a_credit_a_follower_is_told_by_the_official_account(spine: Spine, citizen: Citizen) -> None:
    number = await _phone(spine, citizen)
    await _known_follower(spine, citizen)
    event_id = await _tell(spine, citizen)
    assert await _channels(event_id) == [
        ("mini_program", "skipped", "no_credit"),
        ("official_account", "accepted", None),
    ]
    (message,) = (await spine.official(citizen))["messages"]
    row = await Message.get(event_id=event_id, channel="official_account")
    assert message["client_msg_id"] == str(row.id)
    assert "pages/messages/index" in message["content"]["page"]
    assert await _texts(spine, number) == []


async def test_who_reaches_nobody_else_gets_a_text_message_for_what_merits_it(spine: Spine, citizen: Citizen) -> None:
    number = await _phone(spine, citizen)
    event_id = await _tell(spine, citizen)
    assert await _channels(event_id) == [("mini_program", "skipped", "no_credit"), ("sms", "accepted", None)]
    (text,) = await _texts(spine, number)
    assert text["text"].startswith("【鄂州联办】")
    await spine.jobs.pass_time(MINUTE)
    assert (await _channels(event_id))[1] == ("sms", "delivered", None)


async def test_without_any_way_the_inbox_has_it(spine: Spine, citizen: Citizen) -> None:
    assert await _channels(await _tell(spine, citizen)) == [("mini_program", "skipped", "no_credit")]
    assert await spine.told(citizen) == [KIND]


async def test_who_has_left_the_account_unheard_is_told_by_text_and_asked_there_no_more(
    spine: Spine, citizen: Citizen
) -> None:
    await _phone(spine, citizen)
    await _known_follower(spine, citizen)
    account = spine.services.settings.official_account
    assert account is not None
    await spine.control("POST", f"/people/{citizen.phone_id}/unfollow", {"appid": account.appid})
    assert (await _channels(await _tell(spine, citizen)))[1:] == [
        ("official_account", "failed", "errcode_43004"),
        ("sms", "accepted", None),
    ]
    assert not (await Follower.all().first()).subscribed  # type: ignore[union-attr]
    assert [row[0] for row in await _channels(await _tell(spine, citizen))] == ["mini_program", "sms"]


@pytest.mark.parametrize("outcome", ["user_block", "system_failed"])
async def test_a_receipt_that_says_failed_goes_on_to_the_next_channel(
    spine: Spine, citizen: Citizen, outcome: str
) -> None:
    await _phone(spine, citizen)
    await _known_follower(spine, citizen)
    await spine.control("POST", "/wechat/template-outcome", {"outcome": outcome})
    event_id = await _tell(spine, citizen)
    await spine.let_speak()
    await _receipt(
        spine, citizen, event_id, "failed:user block" if outcome == "user_block" else "failed: system failed"
    )
    assert (await _channels(event_id))[1:] == [("official_account", "failed", outcome), ("sms", "accepted", None)]


async def _receipt(spine: Spine, citizen: Citizen, event_id: UUID, status: str) -> None:
    """The account's result event as it comes in, twice."""
    row = await Message.get(event_id=event_id, channel="official_account")
    followers = spine.services.followers
    assert followers is not None
    assert row.provider_message is not None
    persons = await followers.persons(await spine.official_openid(citizen))
    failure = {"success": None, "failed:user block": "user_block"}.get(status, "system_failed")
    for _ in range(2):
        await spine.services.delivery.template_receipt(row.provider_message, persons, failure)
    await spine.jobs.run()


async def test_a_receipt_of_one_follower_ends_no_message_of_another(spine: Spine, citizen: Citizen) -> None:
    await _known_follower(spine, citizen)
    event_id = await _tell(spine, citizen)
    row = await Message.get(event_id=event_id, channel="official_account")
    assert row.provider_message is not None
    other = await spine.citizen()
    taken = await spine.services.delivery.template_receipt(row.provider_message, [other.id], "user_block")
    assert taken == "unknown_message"


@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
async def test_the_official_account_is_sent_to_again_under_the_same_number(
    spine: Spine, citizen: Citizen, after: bool
) -> None:
    await _known_follower(spine, citizen)
    await spine.fault("wechat", "template_send", "drop", after=after)
    event_id = await _tell(spine, citizen)
    await spine.jobs.pass_time(MINUTE)
    assert (await _channels(event_id))[1] == ("official_account", "accepted", None)
    assert len((await spine.official(citizen))["messages"]) == 1


@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
async def test_a_text_whose_answer_was_lost_is_asked_about_and_never_sent_again(
    spine: Spine, citizen: Citizen, after: bool
) -> None:
    number = await _phone(spine, citizen)
    await spine.fault("sms", "send", "drop", after=after)
    event_id = await _tell(spine, citizen)
    await spine.jobs.pass_time(timedelta(hours=25))
    status = "delivered" if after else "unknown"
    assert (await _channels(event_id))[1] == ("sms", status, None)
    assert len(await _texts(spine, number)) == int(after)


@pytest.mark.parametrize(
    ("outcome", "status", "failure"),
    [
        ("FAIL", "failed", "UNDELIV"),
        ("none", "unknown", None),
        ("FailedOperation.PhoneNumberInBlacklist", "failed", "PhoneNumberInBlacklist"),
        ("FailedOperation.InsufficientBalanceInSmsPackage", "failed", "InsufficientBalanceInSmsPackag"),
        ("InternalError.OtherError", "unknown", None),
    ],
)
async def test_what_becomes_of_a_text_message(
    spine: Spine, citizen: Citizen, outcome: str, status: str, failure: str | None
) -> None:
    await _phone(spine, citizen)
    await spine.control("POST", "/sms/outcome", {"outcome": outcome})
    event_id = await _tell(spine, citizen)
    await spine.jobs.pass_time(timedelta(hours=25))
    await spine.services.delivery.expire()
    assert (await _channels(event_id))[1] == ("sms", status, failure)


async def test_a_supplier_who_is_busy_is_tried_again(spine: Spine, citizen: Citizen) -> None:
    number = await _phone(spine, citizen)
    await spine.control("POST", "/sms/outcome", {"outcome": "LimitExceeded.PhoneNumberThirtySecondLimit"})
    event_id = await _tell(spine, citizen)
    await spine.control("POST", "/sms/outcome", {"outcome": "SUCCESS"})
    await spine.jobs.pass_time(3 * MINUTE)
    assert (await _channels(event_id))[1] == ("sms", "delivered", None)
    assert len(await _texts(spine, number)) == 1


async def test_no_more_text_messages_a_day_than_the_pack_says(spine: Spine, citizen: Citizen) -> None:
    number = await _phone(spine, citizen)
    events = [await _tell(spine, citizen) for _ in range(6)]
    assert [(await _channels(event))[1][1:] for event in events] == [("accepted", None)] * 5 + [
        ("skipped", "person_limit")
    ]
    assert len(await _texts(spine, number)) == 5
    await spine.travel(timedelta(days=1))
    assert (await _channels(await _tell(spine, citizen)))[1][1] == "accepted"


async def test_what_is_a_day_old_goes_to_no_further_channel(spine: Spine, citizen: Citizen) -> None:
    await _phone(spine, citizen)
    event_id = uuid4()
    await spine.services.intents.intend(KIND, event_id, citizen.id, {"at": clock.now()})
    await spine.travel(timedelta(hours=25))
    await spine.jobs.run()
    assert [row[0] for row in await _channels(event_id)] == ["mini_program"]


async def test_following_and_leaving_is_heard_in_any_order(spine: Spine, citizen: Citizen) -> None:
    await spine.let_speak()
    await spine.follow(citizen)
    await spine.until_inbox(1, "official_account")
    await spine.jobs.run()
    followers = spine.services.followers
    assert followers is not None
    openid = await spine.official_openid(citizen)
    assert await followers.persons(openid) == [citizen.id], "by the unionid, which the platform was asked for"
    now = clock.now()
    await followers.changed(openid, False, now + MINUTE)
    await followers.changed(openid, True, now)
    assert await followers.of_person(citizen.id) is None, "the older event came last"
    assert await Person.exists(id=citizen.id)


async def test_openids_of_followers_lie_encrypted(spine: Spine, citizen: Citizen) -> None:
    await _known_follower(spine, citizen)
    row = (await fetch("select f::text as row from follower f"))[0]["row"]
    assert (await spine.official_openid(citizen)) not in row


async def test_who_comes_by_a_code_reads_the_way_to_his_bill(spine: Spine, citizen: Citizen) -> None:
    token = await spine.qr(await spine.account(4199))
    await spine.let_speak()
    await spine.follow(citizen, token)
    await spine.until_inbox(1, "official_account")
    await spine.follow(citizen, token)
    await spine.until_inbox(2, "official_account")

    async def replied() -> list[str] | None:
        replies = (await spine.official(citizen))["replies"]
        return replies if len(replies) == 2 else None

    for reply in await spine.until(replied, "two answers"):
        assert f"/q/{token}" in reply
    await spine.jobs.run()
