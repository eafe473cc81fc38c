"""Web login of the official account: where browsers are sent, and who the platform's answer says is there."""

from typing import Any

import httpx
import pytest
import structlog

from core.outbound import FailureKind, MalformedAnswer, OutcomeUnknown
from tests.wechat.platform import APPID, SECRET, FakeWeChat
from wechat.codes import WeChatRefused
from wechat.web_login import WebLogin

TOKEN = "/sns/oauth2/access_token"
OPENID = "oAbcdefghijklmnopqrstuvwxyz0"
ANSWER = {
    "access_token": "SECRETTOKEN",
    "expires_in": 7200,
    "refresh_token": "SECRETTOKEN",
    "openid": OPENID,
    "scope": "x",
}


@pytest.fixture
def wechat() -> FakeWeChat:
    return FakeWeChat()


@pytest.fixture
def web(wechat: FakeWeChat) -> WebLogin:
    return WebLogin(APPID, SECRET, "snsapi_userinfo", "https://open.weixin.qq.com", wechat.counterpart())


def test_the_address_has_its_parameters_in_wechat_s_order_and_its_fragment(web: WebLogin) -> None:
    assert web.address("https://lb.example/v1/back?x=1&y=2", "ab01") == (
        f"https://open.weixin.qq.com/connect/oauth2/authorize?appid={APPID}"
        "&redirect_uri=https%3A%2F%2Flb.example%2Fv1%2Fback%3Fx%3D1%26y%3D2"
        "&response_type=code&scope=snsapi_userinfo&state=ab01#wechat_redirect"
    )


async def test_a_code_becomes_an_openid_and_the_platform_s_tokens_are_gone(wechat: FakeWeChat, web: WebLogin) -> None:
    wechat.answers[TOKEN] = lambda _: ANSWER | {"unionid": "u1"}
    with structlog.testing.capture_logs() as logs:
        user = await web.exchange("0a1b/+&c")
    assert (user.openid, user.unionid, user.is_snapshot) == (OPENID, "u1", False)
    for text in (OPENID, "SECRETTOKEN", SECRET, "0a1b"):
        assert text not in repr(user) + str(logs)
    (call,) = wechat.calls
    assert call.query == {"appid": APPID, "secret": SECRET, "code": "0a1b/+&c", "grant_type": "authorization_code"}


@pytest.mark.parametrize("value", [1, "1", 2, "0", "true", -1])
async def test_whatever_is_said_of_a_snapshot_but_0_means_one(wechat: FakeWeChat, web: WebLogin, value: Any) -> None:
    wechat.answers[TOKEN] = lambda _: ANSWER | {"is_snapshotuser": value}
    assert (await web.exchange("c")).is_snapshot
    wechat.answers[TOKEN] = lambda _: ANSWER | {"is_snapshotuser": 0}
    assert not (await web.exchange("c")).is_snapshot


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [(40029, FailureKind.PERMANENT), (40163, FailureKind.PERMANENT), (-1, FailureKind.TEMPORARY), (40125, FailureKind.TECHNICAL)],
)  # fmt: skip
async def test_a_refusal_says_whose_fault_it_is(
    wechat: FakeWeChat, web: WebLogin, errcode: int, kind: FailureKind
) -> None:
    wechat.answers[TOKEN] = lambda _: {"errcode": errcode, "errmsg": "x"}
    with pytest.raises(WeChatRefused) as caught:
        await web.exchange("c")
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, MalformedAnswer),
        ({"openid": ""}, MalformedAnswer),
        ({"openid": OPENID, "is_snapshotuser": None}, MalformedAnswer),
        ({"openid": OPENID, "is_snapshotuser": True}, MalformedAnswer),
        ({"openid": "o id"}, MalformedAnswer),
        (httpx.Response(200, content=b'{"openid": "a", "openid": "b"}'), MalformedAnswer),
        (httpx.Response(302, headers={"Location": "/"}), MalformedAnswer),
        (httpx.Response(502, content=b"x"), OutcomeUnknown),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, httpx.Response) else f"response {value.status_code}",
)
async def test_what_is_no_answer_is_nobody(
    wechat: FakeWeChat, web: WebLogin, answer: Any, error: type[Exception]
) -> None:
    wechat.answers[TOKEN] = lambda _: answer
    with pytest.raises(error):
        await web.exchange("c")


@pytest.mark.parametrize("code", ["", "x" * 257, "中文", "a\nb"], ids=["empty", "long", "chinese", "newline"])
async def test_what_cannot_be_a_code_is_not_sent(wechat: FakeWeChat, web: WebLogin, code: str) -> None:
    with pytest.raises(WeChatRefused):
        await web.exchange(code)
    assert wechat.calls == []
