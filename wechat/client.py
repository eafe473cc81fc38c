"""The mini-program's calls to the platform: login, phone number, subscription message, codes.

A login's session_key never leaves the function that received it: no type of ours has a place for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta

from core.outbound import Counterpart, MalformedAnswer
from wechat.answers import read_json
from wechat.calling import AppCalls
from wechat.codes import BAD_LOGIN_CODE, refusal
from wechat.template_values import check_value
from wechat.token import TokenKeeper

CODE_IMAGE_BYTES = 1024 * 1024
_SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@._~-]{1,32}")
_PAGE = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_/-]{0,127}")
_PHONE = re.compile(r"\+[1-9][0-9]{0,3} [0-9]{5,12}")
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")

OpenId = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,128}\Z")]
MiniProgramState = Literal["developer", "trial", "formal"]
EnvVersion = Literal["release", "trial", "develop"]


@dataclass(frozen=True, slots=True)
class Login:
    """Who wx.login says is there. `unionid` exists only when the app is bound to an open-platform account."""

    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)


class _Session(msgspec.Struct, frozen=True):
    openid: OpenId
    unionid: OpenId | None = None


class _Watermark(msgspec.Struct, frozen=True):
    appid: str


class _PhoneInfo(msgspec.Struct, frozen=True):
    purePhoneNumber: str  # noqa: N815  # the platform's spelling
    countryCode: str | int  # noqa: N815
    watermark: _Watermark


class _PhoneAnswer(msgspec.Struct, frozen=True):
    phone_info: _PhoneInfo


class _SentAnswer(msgspec.Struct, frozen=True):
    msgid: int | str | None = None


class _Nothing(msgspec.Struct, frozen=True):
    """Of an answer whose errcode is all that matters."""


class MiniProgram:
    """One mini-program at the platform."""

    def __init__(self, appid: str, secret: str, counterpart: Counterpart, tokens: TokenKeeper) -> None:
        self.appid = appid
        self._secret = secret
        self._counterpart = counterpart
        self._calls = AppCalls(counterpart, tokens)

    async def code2session(self, code: str) -> Login:
        """Exchange the one-time code of wx.login.

        Raises:
            WeChatRefused: ``errcode`` 40029 for a code that is wrong, used or too old: log in again.
        """
        if not 1 <= len(code) <= 256 or not code.isascii() or not code.isprintable():
            raise refusal("code2session", BAD_LOGIN_CODE)
        query = {"appid": self.appid, "secret": self._secret, "js_code": code, "grant_type": "authorization_code"}
        answer = await self._counterpart.request(
            "GET",
            f"/sns/jscode2session?{urlencode(query, quote_via=quote, safe='')}",
            operation="code2session",
            idempotent=True,
        )
        session = read_json(self._counterpart.name, "code2session", answer, _Session)
        return Login(session.openid, session.unionid)

    async def phone_number(self, code: str, openid: str) -> str:
        """The number behind the code of the getPhoneNumber button, as ``+8613…``.

        The platform checks that code and openid belong together; the watermark must name our app.

        Raises:
            WeChatRefused: ``errcode`` 40029 for a code that is wrong, used, too old or another person's.
        """
        body = {"code": code, "openid": openid}
        answer = await self._calls.post("phone_number", "/wxa/business/getuserphonenumber", body, _PhoneAnswer)
        info = answer.phone_info
        if info.watermark.appid != self.appid:
            raise MalformedAnswer(self._counterpart.name, "phone_number", "watermark")
        number = f"+{info.countryCode} {info.purePhoneNumber}"
        if not _PHONE.fullmatch(number):
            raise MalformedAnswer(self._counterpart.name, "phone_number", "number")
        return number.replace(" ", "")

    async def send_subscription_message(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, str],
        *,
        page: str | None = None,
        state: MiniProgramState = "formal",
    ) -> str | None:
        """Send one message and return the platform's message id when it states one. Spends a one-off credit.

        Raises:
            TemplateValueWrong: a value does not fit its key; nothing was sent.
            WeChatRefused: ``errcode`` 43101 when the user refused or no credit is left.
            OutcomeUnknown: it may have reached the phone; the platform cannot be asked, so it is never sent again.
        """
        if not data:
            raise ValueError("a message has at least one value")
        for key, text in data.items():
            check_value(key, text)
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "data": {key: {"value": text} for key, text in data.items()},
            "miniprogram_state": state,
            "lang": "zh_CN",
        }
        if page is not None:
            body["page"] = page
        answer = await self._calls.post(
            "subscribe_send", "/cgi-bin/message/subscribe/send", body, _SentAnswer, retry=False
        )
        return str(answer.msgid) if answer.msgid is not None else None

    async def unlimited_code(
        self, scene: str, page: str, *, env_version: EnvVersion = "release", check_path: bool = True, width: int = 430
    ) -> bytes:
        """The image (JPEG or PNG) of a mini-program code that opens `page` with `scene`. Permanent, unlimited in number.

        Raises:
            ValueError: the scene or the page cannot be carried by a code.
        """
        if not _SCENE.fullmatch(scene):
            raise ValueError("a scene is 1 to 32 of the characters the platform allows")
        if not _PAGE.fullmatch(page):
            raise ValueError("a page has no leading slash and no query")
        if not 280 <= width <= 1280:
            raise ValueError("width is 280 to 1280 pixels")
        body = {"scene": scene, "page": page, "check_path": check_path, "env_version": env_version, "width": width}
        answer = await self._calls.send(
            "unlimited_code", "/wxa/getwxacodeunlimit", body, max_answer_bytes=CODE_IMAGE_BYTES
        )
        if not answer.content.startswith(_IMAGE_STARTS) or answer.status != 200:
            read_json(self._counterpart.name, "unlimited_code", answer, _Nothing)
            raise MalformedAnswer(self._counterpart.name, "unlimited_code", "not_an_image")
        return answer.content
