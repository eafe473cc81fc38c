"""A push is believed only when it is encrypted, signed over its body, fresh and for our app."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from tests.wechat.platform import AES_KEY, APPID, PUSH_TOKEN, encrypted, push, sha1_of
from wechat.push import (
    DeliveryResult,
    OtherEvent,
    PushEvent,
    PushReceiver,
    PushRefused,
    SubscribeChange,
    SubscribeChoice,
    SubscribePopup,
    SubscribeSent,
)

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SENT_S = 1_795_000_000
RECEIVER = PushReceiver(APPID, PUSH_TOKEN, AES_KEY)
HEAD = f"<ToUserName>gh_1</ToUserName><FromUserName>oUser</FromUserName><CreateTime>{SENT_S}</CreateTime>"
POPUP_ITEM = (
    "<List><TemplateId>{0}</TemplateId><SubscribeStatusString>{1}</SubscribeStatusString>"
    "<PopupScene>2</PopupScene></List>"
)


def xml(event: str, inner: str) -> str:
    return f"<xml>{HEAD}<MsgType>event</MsgType><Event>{event}</Event>{inner}</xml>"


def received(text: str, *, as_json: bool = False) -> PushEvent:
    query, body = push(text, NOW.timestamp(), as_json=as_json)
    return RECEIVER.open(query, body, NOW)


def json_event(event: str, items: Any, create_time: Any = SENT_S) -> str:
    fields = {
        "ToUserName": "gh_1",
        "FromUserName": "oUser",
        "CreateTime": create_time,
        "MsgType": "event",
        "Event": event,
    }
    return json.dumps(fields | {"List": items})


@pytest.mark.parametrize("wrapper", ["SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent"])
def test_one_answer_in_xml(wrapper: str) -> None:
    item = POPUP_ITEM.format("T1", "accept")
    event = received(xml("subscribe_msg_popup_event", f"<{wrapper}>{item}</{wrapper}>"))
    assert isinstance(event, SubscribePopup)
    assert event.choices == (SubscribeChoice("T1", accepted=True),)
    assert (event.openid, event.created_at) == ("oUser", datetime.fromtimestamp(SENT_S, UTC))


def test_several_answers_in_xml_are_siblings() -> None:
    items = POPUP_ITEM.format("T1", "accept") + POPUP_ITEM.format("T2", "reject")
    event = received(xml("subscribe_msg_popup_event", f"<SubscribeMsgPopupEvent>{items}</SubscribeMsgPopupEvent>"))
    assert isinstance(event, SubscribePopup)
    assert [(choice.template_id, choice.accepted) for choice in event.choices] == [("T1", True), ("T2", False)]


@pytest.mark.parametrize("create_time", [SENT_S, str(SENT_S)])
def test_one_answer_in_json_is_an_object_and_several_an_array(create_time: Any) -> None:
    item = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "0"}
    one = received(json_event("subscribe_msg_popup_event", item, create_time), as_json=True)
    two = received(json_event("subscribe_msg_popup_event", [item, item | {"TemplateId": "T2"}]), as_json=True)
    assert isinstance(one, SubscribePopup)
    assert isinstance(two, SubscribePopup)
    assert [choice.template_id for choice in one.choices] == ["T1"]
    assert [choice.template_id for choice in two.choices] == ["T1", "T2"]


def test_a_change_in_the_settings_and_a_delivery_result() -> None:
    change = {"TemplateId": "T1", "SubscribeStatusString": "reject"}
    event = received(json_event("subscribe_msg_change_event", change), as_json=True)
    assert isinstance(event, SubscribeChange)
    assert event.choices == (SubscribeChoice("T1", accepted=False),)
    result = {"TemplateId": "T1", "MsgID": 1864323726461255680, "ErrorCode": "0", "ErrorStatus": "success"}
    event = received(json_event("subscribe_msg_sent_event", result), as_json=True)
    assert isinstance(event, SubscribeSent)
    assert event.results == (DeliveryResult("T1", "1864323726461255680", "0", "success"),)
    assert event.results[0].delivered


def test_an_answer_that_is_neither_yes_nor_no_is_no_yes_and_loud() -> None:
    with structlog.testing.capture_logs() as logs:
        item = {"TemplateId": "T1", "SubscribeStatusString": "ban"}
        event = received(json_event("subscribe_msg_popup_event", item), as_json=True)
    assert isinstance(event, SubscribePopup)
    assert not event.choices[0].accepted
    assert logs


def test_other_events_and_messages_are_named() -> None:
    event = received(xml("user_enter_tempsession", "<SessionFrom>x</SessionFrom>"))
    assert isinstance(event, OtherEvent)
    assert event.name == "user_enter_tempsession"
    text = f"<xml>{HEAD}<MsgType>text</MsgType><Content>你好</Content><MsgId>6054768590064713728</MsgId></xml>"
    message = received(text)
    assert isinstance(message, OtherEvent)
    assert message.name == "message.text"


def test_a_repeated_push_has_the_same_key_and_a_different_one_another() -> None:
    def sent(message_id: str, created: int = SENT_S) -> str:
        result = {"TemplateId": "T1", "MsgID": message_id, "ErrorCode": "0", "ErrorStatus": "success"}
        return received(json_event("subscribe_msg_sent_event", result, created), as_json=True).dedupe_key

    assert sent("1") == sent("1")
    assert len({sent("1"), sent("2"), sent("1", SENT_S + 1)}) == 3, "two results may bear the same second"
    assert "oUser" not in sent("1")
    texts = [f"<xml>{HEAD}<MsgType>text</MsgType><MsgId>{n}</MsgId></xml>" for n in (1, 1, 2)]
    keys = [received(text).dedupe_key for text in texts]
    assert keys[0] == keys[1] != keys[2]


def test_two_pop_ups_about_the_same_templates_in_one_second_are_two() -> None:
    def answered(**answer: str) -> str:
        item = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "0"} | answer
        return received(json_event("subscribe_msg_popup_event", item), as_json=True).dedupe_key

    assert answered() == answered()
    assert len({answered(), answered(SubscribeStatusString="reject"), answered(PopupScene="2")}) == 3


@pytest.mark.parametrize("late_s", [-301, 301])
def test_a_push_that_is_not_fresh_is_refused(late_s: int) -> None:
    query, body = push(xml("x", ""), NOW.timestamp())
    assert refusal(query, body, NOW + timedelta(seconds=late_s)) == "stale"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"msg_signature": "0" * 40}, "signature"),
        ({"msg_signature": ""}, "signature"),
        ({"msg_signature": "é" * 40}, "signature"),
        ({"nonce": "other"}, "signature"),
        ({"timestamp": "１７９５０００００"}, "timestamp"),
        ({"timestamp": "-1"}, "timestamp"),
        ({"timestamp": ""}, "timestamp"),
        ({"encrypt_type": "raw"}, "not_safe_mode"),
    ],
)
def test_a_query_that_was_changed_is_refused(change: dict[str, str], reason: str) -> None:
    query, body = push(xml("x", ""), NOW.timestamp())
    assert refusal(query | change, body) == reason


def test_the_signature_of_plain_mode_proves_nothing_about_a_body() -> None:
    query, body = push(xml("x", ""), NOW.timestamp())
    query["msg_signature"] = query["signature"]
    assert refusal(query, body) == "signature"


def test_a_body_for_another_app_or_with_another_token_is_refused() -> None:
    assert refusal(*push(xml("x", ""), NOW.timestamp(), appid="wxother")) == "ciphertext"
    assert refusal(*push(xml("x", ""), NOW.timestamp(), token="other")) == "signature"


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE xml [<!ENTITY e "x">]><xml><Encrypt>&e;</Encrypt></xml>',
        b'<?xml version="1.0"?><!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x"><xml><Encrypt>x</Encrypt></xml>',
        b"<xml><Encrypt>",
        b"",
        b"<a>" * 5000,
    ],
)
def test_xml_with_a_doctype_or_no_end_is_refused_unread(body: bytes) -> None:
    query, _ = push(xml("x", ""), NOW.timestamp())
    assert refusal(query, body) == "not_xml"


def test_a_doctype_inside_the_ciphertext_is_refused_too() -> None:
    bomb = '<!DOCTYPE xml [<!ENTITY e "x">]>' + xml("&e;", "")
    assert refusal(*push(bomb, NOW.timestamp())) == "not_xml"


def test_deep_nesting_and_large_bodies_are_refused() -> None:
    assert refusal(*push(xml("x", "<a>" * 50 + "</a>" * 50), NOW.timestamp())) == "not_xml"
    query, body = push(xml("x", ""), NOW.timestamp())
    assert refusal(query, body + b" " * 65_536) == "too_large"


def test_ciphertext_given_twice_or_not_at_all_is_refused() -> None:
    sealed = encrypted(xml("x", ""))
    query, _ = push(xml("x", ""), NOW.timestamp())
    twice = f"<xml><Encrypt>{sealed}</Encrypt><Encrypt>{sealed}</Encrypt></xml>".encode()
    assert refusal(query, twice) == "no_ciphertext"
    assert refusal(query, b"<xml></xml>") in ("no_ciphertext", "fields")
    assert refusal(query, b'{"Encrypt": "a", "Encrypt": "b"}') == "not_json"


@pytest.mark.parametrize("text", ["<xml></xml>", "<xml><MsgType>event</MsgType></xml>", xml("", ""), "[]", "plain"])
def test_what_is_no_event_is_refused_after_decryption(text: str) -> None:
    assert refusal(*push(text, NOW.timestamp())) in ("fields", "not_xml")


def test_the_check_of_our_address_is_answered_with_the_echo() -> None:
    timestamp = str(int(NOW.timestamp()))
    query = {"timestamp": timestamp, "nonce": "n", "echostr": "5938", "signature": sha1_of(PUSH_TOKEN, timestamp, "n")}
    assert RECEIVER.answer_url_check(query, NOW) == "5938"
    with pytest.raises(PushRefused, match="signature"):
        RECEIVER.answer_url_check(query | {"nonce": "m"}, NOW)
    with pytest.raises(PushRefused, match="stale"):
        RECEIVER.answer_url_check(query, NOW + timedelta(minutes=6))


@pytest.mark.parametrize(
    ("token", "key"), [("", AES_KEY), (PUSH_TOKEN, AES_KEY[:-1]), (PUSH_TOKEN, ""), ("t", "=" * 43)]
)
def test_a_missing_secret_closes_the_door(token: str, key: str) -> None:
    with pytest.raises(ValueError, match="message push"):
        PushReceiver(APPID, token, key)


def refusal(query: dict[str, str], body: bytes, now: datetime = NOW) -> str:
    with pytest.raises(PushRefused) as caught:
        RECEIVER.open(query, body, now)
    return caught.value.reason
