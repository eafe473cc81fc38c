"""What we ask of the platform, and what we make of its answers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog

from core.crypto import Vault
from core.outbound import FailureKind, MalformedAnswer, OutcomeUnknown
from core.redis import connect
from tests.wechat.platform import APPID, SECRET, FakeWeChat
from wechat.client import MiniProgram
from wechat.codes import ERRCODES, NO_CREDIT, WeChatRefused
from wechat.template_values import TemplateValueWrong
from wechat.token import TokenKeeper

LOGIN, PHONE = "/sns/jscode2session", "/wxa/business/getuserphonenumber"
SEND, CODE = "/cgi-bin/message/subscribe/send", "/wxa/getwxacodeunlimit"
OPENID = "oAbcdefghijklmnopqrstuvwxyz0"
DATA = {"thing1": "10月水费已缴纳", "amount2": "46.60元"}
JPEG = b"\xff\xd8\xff\xe0" + b"x" * 100_000


@pytest.fixture
def wechat() -> FakeWeChat:
    return FakeWeChat()


@pytest.fixture
async def mini(wechat: FakeWeChat) -> AsyncIterator[MiniProgram]:
    async with connect("unix:///nonexistent/redis.socket", 0.3) as away:
        counterpart = wechat.counterpart()
        tokens = TokenKeeper(APPID, SECRET, counterpart, away, Vault([("k", bytes(32))], bytes(32)))
        yield MiniProgram(APPID, SECRET, counterpart, tokens)


def phone(**more: Any) -> dict[str, Any]:
    info = {
        "phoneNumber": "13800000001",
        "purePhoneNumber": "13800000001",
        "countryCode": "86",
        "watermark": {"timestamp": 1795000000, "appid": APPID},
    }
    return {"errcode": 0, "errmsg": "ok", "phone_info": info | more}


class TestLogin:
    @pytest.mark.parametrize("extra", [{}, {"errcode": 0, "errmsg": "ok"}])
    async def test_a_code_becomes_an_openid_and_the_session_key_is_gone(
        self, wechat: FakeWeChat, mini: MiniProgram, extra: dict[str, Any]
    ) -> None:
        wechat.answers[LOGIN] = lambda _: {"openid": OPENID, "session_key": "SESSIONKEY==", "unionid": "u1"} | extra
        with structlog.testing.capture_logs() as logs:
            login = await mini.code2session("0a1b/+ c")
        assert (login.openid, login.unionid) == (OPENID, "u1")
        held = [getattr(login, name) for name in login.__slots__]
        for text in (repr(login), str(held), str(logs)):
            assert "SESSIONKEY" not in text
        assert OPENID not in repr(login) + str(logs)
        expected = {"appid": APPID, "secret": SECRET, "js_code": "0a1b/+ c", "grant_type": "authorization_code"}
        assert wechat.called(LOGIN)[0].query == expected

    async def test_without_an_open_platform_account_there_is_no_unionid(
        self, wechat: FakeWeChat, mini: MiniProgram
    ) -> None:
        wechat.answers[LOGIN] = lambda _: {"openid": OPENID, "session_key": "k"}
        assert (await mini.code2session("c")).unionid is None

    async def test_a_used_code_is_refused_for_good(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[LOGIN] = lambda _: {"errcode": 40029, "errmsg": "invalid code"}
        with pytest.raises(WeChatRefused) as caught:
            await mini.code2session("c")
        assert (caught.value.errcode, caught.value.kind) == (40029, FailureKind.PERMANENT)

    @pytest.mark.parametrize("code", ["", "x" * 257, "中文", "a\nb"])
    async def test_what_cannot_be_a_code_is_not_sent(self, wechat: FakeWeChat, mini: MiniProgram, code: str) -> None:
        with pytest.raises(WeChatRefused):
            await mini.code2session(code)
        assert wechat.calls == []

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"openid": ""},
            {"openid": 5},
            {"errcode": "0", "openid": OPENID},
            httpx.Response(200, content=b"<html>"),
            httpx.Response(404, json={"openid": OPENID}),
            httpx.Response(200, content=b'{"openid": "a", "openid": "b"}'),
        ],
    )
    async def test_what_is_no_answer_is_malformed(self, wechat: FakeWeChat, mini: MiniProgram, answer: Any) -> None:
        wechat.answers[LOGIN] = lambda _: answer
        with pytest.raises(MalformedAnswer):
            await mini.code2session("c")


class TestPhoneNumber:
    async def test_the_number_comes_with_its_country(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[PHONE] = lambda _: phone()
        assert await mini.phone_number("pc", OPENID) == "+8613800000001"
        call = wechat.called(PHONE)[0]
        assert (call.query, call.body) == ({"access_token": "T1"}, {"code": "pc", "openid": OPENID})

    async def test_the_watermark_of_another_app_is_refused(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[PHONE] = lambda _: phone(watermark={"timestamp": 1, "appid": "wxother"})
        with pytest.raises(MalformedAnswer, match="watermark"):
            await mini.phone_number("pc", OPENID)

    @pytest.mark.parametrize(
        "change", [{"purePhoneNumber": "１３８"}, {"countryCode": ""}, {"purePhoneNumber": "138 0"}]
    )
    async def test_what_is_no_number_is_malformed(
        self, wechat: FakeWeChat, mini: MiniProgram, change: dict[str, Any]
    ) -> None:
        wechat.answers[PHONE] = lambda _: phone(**change)
        with pytest.raises(MalformedAnswer):
            await mini.phone_number("pc", OPENID)


class TestSubscriptionMessage:
    async def test_a_message_carries_its_values_and_returns_its_id(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[SEND] = lambda _: {"errcode": 0, "errmsg": "ok", "msgid": 1864323726461255680}
        sent = await mini.send_subscription_message(OPENID, "TPL", DATA, page="pages/bill?id=1", state="trial")
        assert sent == "1864323726461255680"
        assert wechat.called(SEND)[0].body == {
            "touser": OPENID,
            "template_id": "TPL",
            "page": "pages/bill?id=1",
            "miniprogram_state": "trial",
            "lang": "zh_CN",
            "data": {"thing1": {"value": "10月水费已缴纳"}, "amount2": {"value": "46.60元"}},
        }

    async def test_a_value_that_does_not_fit_stops_it_before_it_leaves(
        self, wechat: FakeWeChat, mini: MiniProgram
    ) -> None:
        with pytest.raises(TemplateValueWrong):
            await mini.send_subscription_message(OPENID, "TPL", {"thing1": "水" * 21})
        assert wechat.calls == []

    async def test_without_credit_it_is_refused_for_good(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[SEND] = lambda _: {"errcode": NO_CREDIT, "errmsg": "user refuse to accept the msg"}
        with pytest.raises(WeChatRefused) as caught:
            await mini.send_subscription_message(OPENID, "TPL", DATA)
        assert caught.value.kind is FailureKind.PERMANENT
        assert len(wechat.called(SEND)) == 1

    async def test_a_5xx_is_unknown_and_not_repeated(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[SEND] = lambda _: httpx.Response(502)
        with pytest.raises(OutcomeUnknown):
            await mini.send_subscription_message(OPENID, "TPL", DATA)
        assert len(wechat.called(SEND)) == 1

    async def test_an_unknown_errcode_is_loud_and_of_unknown_kind(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[SEND] = lambda _: {"errcode": 99999}
        with structlog.testing.capture_logs() as logs, pytest.raises(WeChatRefused) as caught:
            await mini.send_subscription_message(OPENID, "TPL", DATA)
        assert caught.value.kind is FailureKind.UNKNOWN
        assert [entry["log_level"] for entry in logs if entry["event"] == "wechat.errcode_unknown"] == ["error"]


class TestToken:
    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    async def test_a_refused_token_is_fetched_again_once_and_the_call_repeated_once(
        self, wechat: FakeWeChat, mini: MiniProgram, errcode: int
    ) -> None:
        wechat.answers[PHONE] = lambda call: phone() if call.query["access_token"] == "T2" else {"errcode": errcode}
        assert await mini.phone_number("pc", OPENID)
        assert [call.query["access_token"] for call in wechat.called(PHONE)] == ["T1", "T2"]

    async def test_refused_again_it_is_a_technical_failure(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[PHONE] = lambda _: {"errcode": 40001}
        with pytest.raises(WeChatRefused) as caught:
            await mini.phone_number("pc", OPENID)
        assert caught.value.kind is FailureKind.TECHNICAL
        assert (len(wechat.called(PHONE)), wechat.tokens) == (2, 2)

    async def test_other_refusals_leave_the_token_alone(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[PHONE] = lambda _: {"errcode": 45011}
        with pytest.raises(WeChatRefused):
            await mini.phone_number("pc", OPENID)
        assert wechat.tokens == 1


class TestUnlimitedCode:
    @pytest.mark.parametrize("image", [JPEG, b"\x89PNG\r\n\x1a\nxyz"])
    async def test_the_image_comes_back_as_it_is(self, wechat: FakeWeChat, mini: MiniProgram, image: bytes) -> None:
        wechat.answers[CODE] = lambda _: httpx.Response(200, headers={"Content-Type": "image/jpeg"}, content=image)
        assert await mini.unlimited_code("q=A.b-1", "pages/bind/bind") == image
        body = wechat.called(CODE)[0].body
        assert (body["scene"], body["page"], body["env_version"]) == ("q=A.b-1", "pages/bind/bind", "release")

    async def test_a_refusal_inside_a_200_is_no_image(self, wechat: FakeWeChat, mini: MiniProgram) -> None:
        wechat.answers[CODE] = lambda _: {"errcode": 41030, "errmsg": "invalid page"}
        with pytest.raises(WeChatRefused) as caught:
            await mini.unlimited_code("a", "pages/x")
        assert caught.value.errcode == 41030

    @pytest.mark.parametrize("answer", [{"errcode": 0}, httpx.Response(200, content=b"<html>"), httpx.Response(200)])
    async def test_anything_else_is_malformed(self, wechat: FakeWeChat, mini: MiniProgram, answer: Any) -> None:
        wechat.answers[CODE] = lambda _: answer
        with pytest.raises(MalformedAnswer):
            await mini.unlimited_code("a", "pages/x")

    @pytest.mark.parametrize(
        ("scene", "page"),
        [
            ("", "pages/x"),
            ("a" * 33, "pages/x"),
            ("户号", "pages/x"),
            ("a%20", "pages/x"),
            ("a", "/pages/x"),
            ("a", "p?x=1"),
        ],
    )
    async def test_what_a_code_cannot_carry_is_not_sent(
        self, wechat: FakeWeChat, mini: MiniProgram, scene: str, page: str
    ) -> None:
        with pytest.raises(ValueError, match=r"scene|page"):
            await mini.unlimited_code(scene, page)
        assert wechat.calls == []


def test_every_errcode_says_whose_fault_it_is() -> None:
    assert set(ERRCODES.values()) <= {FailureKind.PERMANENT, FailureKind.TEMPORARY, FailureKind.TECHNICAL}
    assert 0 not in ERRCODES
