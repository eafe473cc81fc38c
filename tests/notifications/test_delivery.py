"""Messages: one per event, recipient and channel; a credit spent once; each ends, and none is sent twice."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from core import clock
from core.database import fetch, transaction
from models import inbox
from models.lifecycle import Actor, move
from models.message import MESSAGE, Message, SubscriptionCredit
from notifications import credits
from notifications.channels.mini_program import MiniProgramChannel
from notifications.delivery import Delivery
from tests.harness.spine import WATER, Citizen, Spine

KIND, TEMPLATE = "session.reuse_detected", "security_notice"


class Sender:
    """A WeChat whose answers a test chooses: an id, or an error to raise."""

    def __init__(self, spine: Spine, answer: str | BaseException | None = None) -> None:
        self.appid = spine.services.settings.wechat.appid
        self.sent = 0
        self.answer = answer

    async def send_subscription_message(
        self, openid: str, template_id: str, data: Mapping[str, str], *, page: str | None = None
    ) -> str | None:
        self.sent += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer or uuid4().hex


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


def _delivery(spine: Spine, sender: Sender) -> Delivery:
    services = spine.services
    channel = MiniProgramChannel(sender, services.settings.wechat.templates, services.vault)
    return Delivery([channel], services.intents, services.city)


async def _intend(spine: Spine, citizen: Citizen) -> Message:
    """A message for the mini-program, its job still waiting."""
    event_id = uuid4()
    await spine.services.intents.intend(KIND, event_id, citizen.id, {"at": clock.now()})
    return await Message.get(event_id=event_id, channel="mini_program")


async def _receipt(
    spine: Spine, citizen: Citizen, content: dict[str, Any], *, created: int | None = None
) -> str | None:
    """A push event as it lies in the inbox, and what became of it."""
    event = {
        "ToUserName": "gh_1", "FromUserName": citizen.openid, "CreateTime": created or int(clock.timestamp()), "MsgType": "event",
        "Event": "subscribe_msg_sent_event", **content,
    }  # fmt: skip
    item = await inbox.store(
        spine.services.vault, "wechat_push", uuid4().hex, "SubscribeSent", msgspec.json.encode(event)
    )
    assert item is not None
    await spine.jobs.do("inbox.process", inbox_id=item)
    return (await fetch("select outcome from inbox where id = $1", item))[0]["outcome"]


def _result(message_id: str | None, code: str = "0") -> dict[str, str]:
    return {
        "TemplateId": "T",
        "MsgID": message_id or "",
        "ErrorCode": code,
        "ErrorStatus": "success" if code == "0" else "failed",
    }


async def test_a_message_goes_out_once_and_its_receipt_ends_it(spine: Spine, citizen: Citizen) -> None:
    template_id = await spine.credit(citizen, TEMPLATE)
    message = await _intend(spine, citizen)
    await spine.let_speak()
    await spine.jobs.run()
    await spine.until_inbox(1, "wechat_push")
    await spine.jobs.run()
    await message.refresh_from_db()
    assert message.status == "delivered"
    (on_phone,) = (await spine.control("GET", f"/people/{citizen.phone_id}/messages"))["messages"]
    assert on_phone["template_id"] == template_id
    assert await credits.available(citizen.id, spine.services.settings.wechat.appid) == {}


async def test_listeners_that_run_three_times_write_one_message_per_channel(spine: Spine, citizen: Citizen) -> None:
    await spine.paid(citizen, await spine.account(4199))
    before = await spine.rows()
    for event in await fetch("select id, kind from event"):
        for _ in range(3):
            task = {"payment.succeeded": "telling.payment_succeeded", "posting.posted": "telling.posting_posted"}.get(
                event["kind"]
            )
            if task:
                await spine.jobs.do(task, event_id=event["id"])
    await spine.jobs.run()
    assert await spine.rows() == before
    assert await Message.all().count() == 4, "two events, two channels"


async def test_one_event_intended_many_times_at_once_is_one_message(spine: Spine, citizen: Citizen) -> None:
    event_id = uuid4()
    values = {"at": clock.now()}
    intend = spine.services.intents.intend
    await asyncio.gather(*(intend(KIND, event_id, citizen.id, values) for _ in range(12)))
    assert await Message.filter(event_id=event_id).count() == 2
    assert await spine.jobs.waiting("notifications.deliver") == 1


async def test_a_hundred_messages_and_one_credit_send_one(spine: Spine, citizen: Citizen) -> None:
    await credits.grant(citizen.caller.user_id, spine.services.settings.wechat.templates[TEMPLATE], "g1")
    messages = [await _intend(spine, citizen) for _ in range(100)]
    sender = Sender(spine)
    delivery, places = _delivery(spine, sender), asyncio.Semaphore(20)

    async def deliver(message_id: UUID) -> None:
        async with places:
            await delivery.deliver(message_id)

    await asyncio.gather(*(deliver(message.id) for message in messages))
    assert sender.sent == 1
    statuses = [message.status for message in await Message.filter(channel="mini_program")]
    assert (statuses.count("accepted"), statuses.count("skipped")) == (1, 99)
    assert await SubscriptionCredit.filter(spent_by=None).count() == 0


async def test_two_workers_with_the_same_message_send_it_once(spine: Spine, citizen: Citizen) -> None:
    await credits.grant(citizen.caller.user_id, spine.services.settings.wechat.templates[TEMPLATE], "g1")
    message = await _intend(spine, citizen)
    sender = Sender(spine)
    delivery = _delivery(spine, sender)
    await asyncio.gather(*(delivery.deliver(message.id) for _ in range(6)), return_exceptions=True)
    await delivery.deliver(message.id)
    assert sender.sent == 1
    await message.refresh_from_db()
    assert message.status in ("accepted", "unknown")


async def test_without_a_credit_nothing_is_sent_and_the_inbox_has_it_all_the_same(
    spine: Spine, citizen: Citizen
) -> None:
    message = await _intend(spine, citizen)
    await spine.jobs.run()
    await message.refresh_from_db()
    assert (message.status, message.failure) == ("skipped", "no_credit")
    assert await spine.calls("wechat", "subscribe_send") == {}
    assert await spine.told(citizen) == [KIND]


async def test_the_same_acceptance_twice_is_one_credit(spine: Spine, citizen: Citizen) -> None:
    for _ in range(3):
        await credits.grant(citizen.caller.user_id, "T1", "the-same")
    assert await credits.available(citizen.id, spine.services.settings.wechat.appid) == {"T1": 1}


async def test_when_wechat_says_that_no_credit_is_left_ours_end_too(spine: Spine, citizen: Citizen) -> None:
    template_id = spine.services.settings.wechat.templates[TEMPLATE]
    for grant in ("g1", "g2"):
        await credits.grant(citizen.caller.user_id, template_id, grant)  # of which WeChat knows nothing
    message = await _intend(spine, citizen)
    await spine.jobs.run()
    await message.refresh_from_db()
    assert (message.status, message.failure) == ("failed", "errcode_43101")
    assert await credits.available(citizen.id, spine.services.settings.wechat.appid) == {}


@pytest.mark.parametrize("code", ["0", "43101"], ids=["delivered", "failed"])
@pytest.mark.parametrize("form", ["array", "object", "wrapped object", "wrapped array"])
async def test_receipts_in_every_form_end_the_message(spine: Spine, citizen: Citizen, form: str, code: str) -> None:
    await spine.credit(citizen, TEMPLATE)
    message = await _intend(spine, citizen)
    await spine.jobs.run()
    await message.refresh_from_db()
    result = _result(message.provider_message, code)
    items: Any = [result] if "array" in form else result
    content = {"SubscribeMsgSentEvent": {"List": items}} if "wrapped" in form else {"List": items}
    expected = "receipt_delivered" if code == "0" else "receipt_failed"
    assert await _receipt(spine, citizen, content) == expected
    await message.refresh_from_db()
    assert message.status == ("delivered" if code == "0" else "failed")
    before = await spine.rows()
    assert await _receipt(spine, citizen, content) == "already"
    assert await spine.rows() == before


async def _leaving(spine: Spine, citizen: Citizen, count: int = 1) -> list[Message]:
    """Messages whose worker died between sending and writing, or has not written yet."""
    template_id = spine.services.settings.wechat.templates[TEMPLATE]
    messages = []
    for _ in range(count):
        await credits.grant(citizen.caller.user_id, template_id, uuid4().hex)
        message = await _intend(spine, citizen)
        with pytest.raises(asyncio.CancelledError):
            await _delivery(spine, Sender(spine, asyncio.CancelledError())).deliver(message.id)
        messages.append(await Message.get(id=message.id))
    return messages


@pytest.mark.parametrize("status", ["sending", "unknown"], ids=["while it is being written", "after its worker died"])
async def test_a_receipt_that_overtakes_the_writing_ends_the_only_message_it_can_mean(
    spine: Spine, citizen: Citizen, status: str
) -> None:
    template_id = spine.services.settings.wechat.templates[TEMPLATE]
    (message,) = await _leaving(spine, citizen)
    if status == "unknown":
        await spine.jobs.run()
    assert (await Message.get(id=message.id)).status == status
    assert (
        await _receipt(spine, citizen, {"List": {**_result("991"), "TemplateId": template_id}}) == "receipt_delivered"
    )
    found = await Message.get(id=message.id)
    assert (found.status, found.provider_message) == ("delivered", "991")
    await spine.jobs.run()


async def test_a_receipt_that_may_mean_two_messages_waits_until_they_are_written(
    spine: Spine, citizen: Citizen
) -> None:
    template_id = spine.services.settings.wechat.templates[TEMPLATE]
    one, other = await _leaving(spine, citizen, 2)
    content = {"List": {**_result("991"), "TemplateId": template_id}}
    with pytest.raises(Exception, match="receipt_too_early"):
        await _receipt(spine, citizen, content)
    assert (await fetch("select processed_at from inbox"))[0]["processed_at"] is None
    async with transaction():
        await move(MESSAGE, other, "accepted", Actor("provider"), columns={"provider_message": "991"})
    await spine.jobs.run()
    assert (await Message.get(id=other.id)).status == "delivered"
    assert (await Message.get(id=one.id)).status == "unknown"


async def test_a_receipt_of_a_message_nobody_sent_is_not_waited_for_for_ever(spine: Spine, citizen: Citizen) -> None:
    long_ago = int(clock.timestamp()) - 200
    assert await _receipt(spine, citizen, {"List": _result("992")}, created=long_ago) == "unknown_message"


async def test_a_receipt_of_one_person_ends_no_message_of_another(spine: Spine, citizen: Citizen) -> None:
    await spine.credit(citizen, TEMPLATE)
    message = await _intend(spine, citizen)
    await spine.jobs.run()
    await message.refresh_from_db()
    long_ago = int(clock.timestamp()) - 200
    other = await spine.citizen()
    content = {"List": _result(message.provider_message, "43101")}
    assert await _receipt(spine, other, content, created=long_ago) == "unknown_message"
    await message.refresh_from_db()
    assert message.status == "accepted"


async def test_without_a_receipt_within_a_day_the_end_is_unknown_and_a_late_one_still_counts(
    spine: Spine, citizen: Citizen
) -> None:
    await spine.credit(citizen, TEMPLATE)
    message = await _intend(spine, citizen)
    await spine.jobs.run()
    await spine.travel(timedelta(hours=23, minutes=59))
    assert await spine.services.delivery.expire() == 0
    await spine.travel(timedelta(minutes=2))
    assert await spine.services.delivery.expire() == 1
    await message.refresh_from_db()
    assert message.status == "unknown"
    assert await spine.services.delivery.expire() == 0
    assert await _receipt(spine, citizen, {"List": _result(message.provider_message)}) == "receipt_delivered"


async def test_a_worker_that_dies_between_sending_and_writing_sends_no_second_one(
    spine: Spine, citizen: Citizen
) -> None:
    template_id = spine.services.settings.wechat.templates[TEMPLATE]
    for grant in ("g1", "g2"):
        await credits.grant(citizen.caller.user_id, template_id, grant)
    message = await _intend(spine, citizen)
    sender = Sender(spine, asyncio.CancelledError())
    delivery = _delivery(spine, sender)
    with pytest.raises(asyncio.CancelledError):
        await delivery.deliver(message.id)
    assert (await Message.get(id=message.id)).status == "sending"
    for _ in range(3):
        await delivery.deliver(message.id)
    await spine.jobs.run()
    assert (await Message.get(id=message.id)).status == "unknown"
    assert sender.sent == 1
    assert await SubscriptionCredit.filter(spent_by=None).count() == 1


@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
async def test_a_message_whose_answer_was_lost_is_never_sent_again(spine: Spine, citizen: Citizen, after: bool) -> None:
    await spine.credit(citizen, TEMPLATE, 2)
    message = await _intend(spine, citizen)
    await spine.fault("wechat", "subscribe_send", "drop", after=after)
    await spine.jobs.pass_time(timedelta(hours=5))
    await message.refresh_from_db()
    assert message.status == "unknown"
    on_phone = (await spine.control("GET", f"/people/{citizen.phone_id}/messages"))["messages"]
    assert len(on_phone) == int(after)


async def test_texts_and_numbers_of_messages_lie_encrypted(spine: Spine, citizen: Citizen) -> None:
    message = await _intend(spine, citizen)
    content = spine.services.intents.content(message)
    assert content["data"]
    for value in content["data"].values():
        assert value.encode() not in bytes(message.text)
    await spine.jobs.run()


async def test_who_pays_is_told_at_each_step_on_his_phone(spine: Spine, citizen: Citizen) -> None:
    for template in ("payment_received", "payment_posted"):
        await spine.credit(citizen, template)
    number = await spine.account(4199)
    await spine.paid(citizen, number)
    on_phone = (await spine.control("GET", f"/people/{citizen.phone_id}/messages"))["messages"]
    assert len(on_phone) == 2
    assert all(number not in str(message["content"]) for message in on_phone), "numbers are masked on lock screens"
    assert {message.status for message in await Message.filter(channel="mini_program")} == {"accepted"}
    assert (await spine.ledger())["company"] == WATER
