"""Pages inside WeChat: where a browser asks WeChat who its user is, and what the platform answers our server."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode

import msgspec

from core.outbound import Counterpart
from wechat.answers import read_json
from wechat.client import OpenId
from wechat.codes import BAD_LOGIN_CODE, refusal

WebScope = Literal["snsapi_base", "snsapi_userinfo"]
"""Asked of nobody and without a unionid, or agreed to by the person and with one (where the account has an open platform)."""


@dataclass(frozen=True, slots=True)
class WebUser:
    """Who is there. `is_snapshot`: nobody; WeChat shows a preview of the page under an account made up for it."""

    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)
    is_snapshot: bool


class _Answer(msgspec.Struct, frozen=True):
    openid: OpenId
    unionid: OpenId | None = None
    is_snapshotuser: int | str = 0


class WebLogin:
    """The web login of one official account. `page_url` is the base address that browsers are sent to."""

    def __init__(self, appid: str, secret: str, scope: WebScope, page_url: str, counterpart: Counterpart) -> None:
        self.appid = appid
        self.scope: WebScope = scope
        self._secret = secret
        self._page_url = page_url.rstrip("/")
        self._counterpart = counterpart

    def address(self, callback_url: str, state: str) -> str:
        """Where the browser goes; the platform wants the parameters in this order, and the fragment."""
        query = {
            "appid": self.appid,
            "redirect_uri": callback_url,
            "response_type": "code",
            "scope": self.scope,
            "state": state,
        }
        return f"{self._page_url}/connect/oauth2/authorize?{urlencode(query, quote_via=quote, safe='')}#wechat_redirect"

    async def exchange(self, code: str) -> WebUser:
        """Exchange the code a browser has brought back. The platform's tokens are not kept: nothing more is asked of it.

        Raises:
            WeChatRefused: ``errcode`` 40029 for a code that is wrong or too old, 40163 for one that is used.
            NotSent, OutcomeUnknown.
        """
        if not 1 <= len(code) <= 256 or not code.isascii() or not code.isprintable():
            raise refusal("web_token", BAD_LOGIN_CODE)
        query = {"appid": self.appid, "secret": self._secret, "code": code, "grant_type": "authorization_code"}
        answer = await self._counterpart.request(
            "GET",
            f"/sns/oauth2/access_token?{urlencode(query, quote_via=quote, safe='')}",
            operation="web_token",
            idempotent=True,
        )
        found = read_json(self._counterpart.name, "web_token", answer, _Answer)
        return WebUser(found.openid, found.unionid, found.is_snapshotuser != 0)
