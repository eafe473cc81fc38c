"""Subscription messages and message push: credits, limits of values, events in safe mode, repetition."""

import base64
import hashlib
import struct
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.sandbox.test_wechat_platform import post, token
from tests.sandbox.wechat_support import (
    AES_KEY,
    APPID,
    LONG_TERM,
    ONE_OFF,
    OTHER_APPID,
    OTHER_ONE_OFF,
    PUSH_TOKEN,
    Received,
    World,
)

DATA = {
    "amount1": {"value": "46.60元"},
    "thing2": {"value": "2026年10月水费"},
    "time3": {"value": "2026年11月30日 15:01"},
}


def sha1(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def opened(received: Received) -> ElementTree.Element:
    """The event inside a push, after every check the rules ask for."""
    query = {name: values[0] for name, values in parse_qs(received.query).items()}
    sealed = ElementTree.fromstring(received.body).findtext("Encrypt") or ""
    assert query["signature"] == sha1(PUSH_TOKEN, query["timestamp"], query["nonce"])
    assert query["msg_signature"] == sha1(PUSH_TOKEN, query["timestamp"], query["nonce"], sealed)
    assert query["encrypt_type"] == "aes"
    key = base64.b64decode(AES_KEY + "=")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    assert len(plain) % 32 == 0
    plain = plain[: -plain[-1]]
    (length,) = struct.unpack(">I", plain[16:20])
    assert plain[20 + length :] == APPID.encode()
    return ElementTree.fromstring(plain[20 : 20 + length])


def items_of(event: ElementTree.Element, wrapper: str) -> list[dict[str, str | None]]:
    return [{child.tag: child.text for child in item} for item in event.findall(f"{wrapper}/List")]


async def subscribe(wechat: World, person: dict[str, Any], *template_ids: str, **more: Any) -> None:
    body = {"appid": APPID, "template_ids": list(template_ids), "accept": True, **more}
    await wechat.control("POST", f"/people/{person['person_id']}/subscribe", body)


async def send(wechat: World, openid: str, template_id: str = ONE_OFF, data: Any = DATA, **more: Any) -> dict[str, Any]:
    access_token = (await token(wechat))["access_token"]
    body = {"touser": openid, "template_id": template_id, "data": data, **more}
    response = await post(wechat, "/cgi-bin/message/subscribe/send", access_token, body)
    assert response.status_code == 200
    return response.json()


async def test_one_accept_is_one_message_and_its_receipt(wechat: World) -> None:
    person = await wechat.person()
    assert (await send(wechat, person["openid"]))["errcode"] == 43101
    await subscribe(wechat, person, ONE_OFF)
    popup = opened(await wechat.product.next())
    assert (popup.findtext("FromUserName"), popup.findtext("MsgType")) == (person["openid"], "event")
    assert popup.findtext("Event") == "subscribe_msg_popup_event"
    expected = {"TemplateId": ONE_OFF, "SubscribeStatusString": "accept", "PopupScene": "2"}
    assert items_of(popup, "SubscribeMsgPopupEvent") == [expected]
    sent = await send(wechat, person["openid"])
    assert sent["errcode"] == 0
    receipt = opened(await wechat.product.next())
    assert receipt.findtext("Event") == "subscribe_msg_sent_event"
    (item,) = items_of(receipt, "SubscribeMsgSentEvent")
    assert (item["MsgID"], item["ErrorCode"], item["TemplateId"]) == (str(sent["msgid"]), "0", ONE_OFF)
    assert (await send(wechat, person["openid"]))["errcode"] == 43101
    messages = (await wechat.control("GET", f"/people/{person['person_id']}/messages"))["messages"]
    assert [message["content"]["data"] for message in messages] == [DATA]


async def test_several_templates_answered_together_are_several_list_items(wechat: World) -> None:
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF, OTHER_ONE_OFF, accept={ONE_OFF: True, OTHER_ONE_OFF: False})
    items = items_of(opened(await wechat.product.next()), "SubscribeMsgPopupEvent")
    assert [(item["TemplateId"], item["SubscribeStatusString"]) for item in items] == [
        (ONE_OFF, "accept"),
        (OTHER_ONE_OFF, "reject"),
    ]
    assert (await send(wechat, person["openid"], OTHER_ONE_OFF, {"thing1": {"value": "x"}}))["errcode"] == 43101
    assert (await send(wechat, person["openid"]))["errcode"] == 0


async def test_a_long_term_template_serves_until_it_is_switched_off(wechat: World) -> None:
    person = await wechat.person()
    await subscribe(wechat, person, LONG_TERM)
    data = {"thing1": {"value": "水费欠费提醒"}}
    for _ in range(3):
        assert (await send(wechat, person["openid"], LONG_TERM, data))["errcode"] == 0
    await subscribe(wechat, person, LONG_TERM, accept=False, via="settings")
    assert (await send(wechat, person["openid"], LONG_TERM, data))["errcode"] == 43101
    events = [opened(await wechat.product.next()) for _ in range(5)]
    change = next(event for event in events if event.findtext("Event") == "subscribe_msg_change_event")
    expected = {"TemplateId": LONG_TERM, "SubscribeStatusString": "reject"}
    assert items_of(change, "SubscribeMsgChangeEvent") == [expected]


async def test_templates_of_two_kinds_cannot_share_a_popup(wechat: World) -> None:
    person = await wechat.person()
    body = {"appid": APPID, "template_ids": [ONE_OFF, LONG_TERM], "accept": True}
    url = f"{wechat.base_url}/control/people/{person['person_id']}/subscribe"
    assert (await wechat.http.post(url, json=body)).json()["error"].startswith("20002")
    assert (await wechat.http.post(url, json=body | {"template_ids": ["none"]})).json()["error"].startswith("20001")


async def test_who_and_what_must_belong_to_the_app(wechat: World) -> None:
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF)
    assert (await send(wechat, person["openids"][OTHER_APPID]))["errcode"] == 40003
    assert (await send(wechat, "oNobody"))["errcode"] == 40003
    assert (await send(wechat, person["openid"], "none"))["errcode"] == 40037
    assert (await send(wechat, person["openid"], miniprogram_state="beta"))["errcode"] == 47003
    assert (await send(wechat, person["openid"]))["errcode"] == 0  # no refusal has cost the credit


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("thing2", "水" * 21),
        ("thing2", ""),
        ("thing2", "   "),
        ("thing2", None),
        ("amount1", "12345678901元"),
        ("amount1", "约46元"),
        ("time3", "2026-11-30T15:01:00+08:00"),
        ("time3", "25:00"),
    ],
)
async def test_a_value_outside_its_limits_is_refused_by_the_name_of_its_key(
    wechat: World, key: str, value: str | None
) -> None:
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF)
    answer = await send(wechat, person["openid"], data=DATA | {key: {"value": value}})
    assert answer["errcode"] == 47003
    assert f"data.{key}.value" in answer["errmsg"]


@pytest.mark.parametrize(
    "data", [{"amount1": DATA["amount1"]}, DATA | {"thing9": {"value": "x"}}, '{"thing1": 1}', None]
)
async def test_the_keys_must_be_those_of_the_template(wechat: World, data: Any) -> None:
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF)
    assert (await send(wechat, person["openid"], data=data))["errcode"] == 47003


async def test_a_push_is_repeated_three_times_and_then_given_up(wechat: World) -> None:
    await wechat.control("POST", "/wechat-pay/pace", {"factor": 600})
    wechat.product.answers = [(200, b"fail"), (500, b""), (200, b"<xml/>"), (404, b""), (200, b"success")]
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF)
    events = [opened(await wechat.product.next()) for _ in range(4)]
    assert len({ElementTree.tostring(event) for event in events}) == 1
    path = f"/people/{person['person_id']}/events"
    while (event := (await wechat.control("GET", path))["events"][0])["status"] == "pending":
        pass
    assert (event["status"], event["attempts"]) == ("given_up", 4)


async def test_an_empty_answer_counts_as_success(wechat: World) -> None:
    wechat.product.answers = [(200, b"")]
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF)
    await wechat.product.next()
    path = f"/people/{person['person_id']}/events"
    while (event := (await wechat.control("GET", path))["events"][0])["status"] == "pending":
        pass
    assert (event["status"], event["attempts"]) == ("accepted", 1)


async def test_the_fault_forge_spoils_the_signature_of_a_push(wechat: World) -> None:
    await wechat.fault("wechat", "message_push", "forge", times=1)
    person = await wechat.person()
    await subscribe(wechat, person, ONE_OFF)
    with pytest.raises(AssertionError):
        opened(await wechat.product.next())


async def test_the_push_address_is_verified_with_an_echo(wechat: World) -> None:
    assert await wechat.control("POST", f"/wechat/{APPID}/verify-push") == {"verified": False}
    received = await wechat.product.next()
    query = {name: values[0] for name, values in parse_qs(received.query).items()}
    assert received.method == "GET"
    assert query["signature"] == sha1(PUSH_TOKEN, query["timestamp"], query["nonce"])
    assert query["echostr"]
