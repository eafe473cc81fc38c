"""The official account's calls to the platform: template messages, who follows, codes with a scene."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Meta

from core.outbound import Counterpart, MalformedAnswer
from wechat.calling import AppCalls
from wechat.client import OpenId
from wechat.template_values import check_value
from wechat.token import TokenKeeper

LONGEST_TEMPORARY = timedelta(days=30)
_SCENE = re.compile(r"[!-~]{1,64}")
_CLIENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PICTURE = "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket="


class MiniProgramPage(NamedTuple):
    """Where a message leads: a page of a mini-program linked to the account."""

    appid: str
    page: str


@dataclass(frozen=True, slots=True)
class Following:
    """Whether a person follows the account; `unionid` exists only when it is bound to an open-platform account."""

    subscribed: bool
    unionid: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SceneCode:
    """A code to draw: `url` is what it holds, `picture_url` is where the platform has drawn it; `life` None: for ever."""

    url: str
    picture_url: str
    life: timedelta | None


class _SentAnswer(msgspec.Struct, frozen=True):
    msgid: int | str


class _UserInfo(msgspec.Struct, frozen=True):
    subscribe: Annotated[int, Meta(ge=0, le=1)]
    openid: OpenId
    unionid: OpenId | None = None


class _UserInfoAnswer(msgspec.Struct, frozen=True):
    user_info_list: list[_UserInfo]


class _CodeAnswer(msgspec.Struct, frozen=True):
    ticket: Annotated[str, Meta(min_length=1, max_length=512)]
    url: Annotated[str, Meta(min_length=1, max_length=512)]
    expire_seconds: int | None = None


class OfficialAccount:
    """One official account (service account) at the platform."""

    def __init__(self, appid: str, counterpart: Counterpart, tokens: TokenKeeper) -> None:
        self.appid = appid
        self._calls = AppCalls(counterpart, tokens)

    async def send_template(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, str],
        *,
        client_msg_id: str,
        leads_to: MiniProgramPage | None = None,
    ) -> str:
        """Send one template message and return the platform's number of it.

        The platform sends the same `client_msg_id` to the same person once within ten minutes.

        Raises:
            TemplateValueWrong: a value does not fit its key; nothing was sent.
            WeChatRefused: ``errcode`` 43004 when the person does not follow the account.
            OutcomeUnknown: it may have been sent; within ten minutes the same number may be sent again.
        """
        if not data or not _CLIENT_ID.fullmatch(client_msg_id):
            raise ValueError("a message has at least one value, and a number of ours")
        for key, text in data.items():
            check_value(key, text)
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "client_msg_id": client_msg_id,
            "data": {key: {"value": text} for key, text in data.items()},
        }
        if leads_to is not None:
            body["miniprogram"] = {"appid": leads_to.appid, "pagepath": leads_to.page}
        answer = await self._calls.post(
            "template_send", "/cgi-bin/message/template/send", body, _SentAnswer, retry=False
        )
        return str(answer.msgid)

    async def following(self, openid: str) -> Following:
        """Whether the person follows us, and who he is across our apps. Asked by POST: the openid stands in no address.

        Raises:
            WeChatRefused, NotSent, OutcomeUnknown.
        """
        body = {"user_list": [{"openid": openid, "lang": "zh_CN"}]}
        answer = await self._calls.post("user_info", "/cgi-bin/user/info/batchget", body, _UserInfoAnswer)
        found = [info for info in answer.user_info_list if info.openid == openid]
        if len(found) != 1:
            raise MalformedAnswer(self._calls.counterpart.name, "user_info", "wrong_shape")
        return Following(found[0].subscribe == 1, found[0].unionid)

    async def scene_code(self, scene: str, life: timedelta | None) -> SceneCode:
        """A code that says `scene` (1 to 64 visible characters) when it is scanned; permanent ones are 100,000 in all.

        Raises:
            ValueError: the scene or the life (at most 30 days) cannot be carried by a code.
        """
        if not _SCENE.fullmatch(scene):
            raise ValueError("a scene is 1 to 64 visible characters")
        if life is not None and not timedelta(seconds=60) <= life <= LONGEST_TEMPORARY:
            raise ValueError("a temporary code lives for 60 seconds to 30 days")
        body: dict[str, Any] = {"action_info": {"scene": {"scene_str": scene}}}
        if life is None:
            body["action_name"] = "QR_LIMIT_STR_SCENE"
        else:
            body |= {"action_name": "QR_STR_SCENE", "expire_seconds": int(life.total_seconds())}
        answer = await self._calls.post("qrcode_create", "/cgi-bin/qrcode/create", body, _CodeAnswer, retry=False)
        found = None if answer.expire_seconds is None else timedelta(seconds=answer.expire_seconds)
        return SceneCode(answer.url, _PICTURE + quote(answer.ticket, safe=""), found)
