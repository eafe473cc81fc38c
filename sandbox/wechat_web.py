"""Web pages inside WeChat: ``/connect/oauth2/authorize`` for browsers, ``/sns/oauth2/access_token`` for the account's server."""

import re
import secrets
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from sanic import HTTPResponse, Request, Sanic

from sandbox.context import Context, ControlError
from sandbox.control import body_of as control_body
from sandbox.replies import Reply, json_reply
from sandbox.wechat_apps import CODE_LIFE_S, App, WechatError
from sandbox.wechat_people import People
from sandbox.wechat_tokens import check_app

SCOPES: Final = ("snsapi_base", "snsapi_userinfo")
TOKEN_LIFE_S: Final = 7200
_ASKED: Final = ["appid", "redirect_uri", "response_type", "scope", "state"]
_STATE: Final = re.compile(r"[0-9a-zA-Z]{1,128}")
_FRAGMENT: Final = "wechat_redirect"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_web_code (
    code TEXT PRIMARY KEY, person_id TEXT NOT NULL, appid TEXT NOT NULL, scope TEXT NOT NULL, is_snapshot INTEGER NOT NULL,
    issued_at REAL NOT NULL, used INTEGER NOT NULL DEFAULT 0
);
"""
_STYLE: Final = (
    "body{font:16px/1.6 system-ui,'PingFang SC','Noto Sans CJK SC',sans-serif;max-width:30rem;margin:0 auto;padding:1rem}"
    "button{display:block;width:100%;margin:.6rem 0;padding:.8rem;font:inherit;text-align:left;border:1px solid #9996;"
    "border-radius:.5rem;background:#fff;color:#111}h1{font-size:1.3rem}.soft{opacity:.7}"
)


class StartWrong(Exception):
    """The address a browser was sent here with is not one an account may send; the text is what the page says."""


def mount(app: Sanic, context: Context, apps: Mapping[str, App], people: People, serve: Callable[..., Any]) -> None:
    """Open the pages, the exchange and the control call."""
    web = Web(context, apps, people)

    @app.get("/connect/oauth2/authorize", name="wechat_authorize")
    async def show(request: Request) -> Reply:
        try:
            asked = web.asked(request.query_string)
        except StartWrong as error:
            return _broken(str(error))
        return _page(asked, people.all())

    @app.post("/connect/oauth2/authorize", name="wechat_authorized")
    async def chosen(request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode()))
        who = form.pop("who", "")
        try:
            asked = web.asked(urlencode(form))
        except StartWrong as error:
            return _broken(str(error))
        person_id, _, kind = who.partition("|")
        return Reply(b"", 302, {"Location": web.back(asked, person_id or None, kind == "snapshot")})

    @app.get("/sns/oauth2/access_token", name="wechat_web_token")
    async def exchange(request: Request) -> HTTPResponse:
        given = {name: request.args.get(name) for name in ("appid", "secret", "code", "grant_type")}
        return await serve(request, "web_token", "", lambda: web.exchanged(given), "text/plain")

    @app.post("/control/people/<person_id:str>/web-login", name="control_web_login")
    async def web_login(request: Request, person_id: str) -> Reply:
        body = control_body(request)
        parts = urlsplit(str(body.get("login_url")))
        try:
            if parts.path != "/connect/oauth2/authorize" or parts.fragment != _FRAGMENT:
                raise StartWrong("链接不是授权页，或者缺少 #wechat_redirect")
            asked = web.asked(parts.query)
        except StartWrong as error:
            raise ControlError(str(error)) from error
        people.openid(person_id, asked["appid"])
        who = None if body.get("decline") else person_id
        return json_reply({"location": web.back(asked, who, bool(body.get("snapshot")))})


class Web:
    """Authorizations and their codes."""

    def __init__(self, context: Context, apps: Mapping[str, App], people: People) -> None:
        self._state = context.state
        self._clock = context.clock
        self._apps = apps
        self._people = people
        self._state.define(_SCHEMA)

    def asked(self, query: str) -> dict[str, str]:
        """What an account asks for, checked as WeChat does, and its order of the parameters. Raises StartWrong."""
        pairs = parse_qsl(query, keep_blank_values=True)
        given = dict(pairs)
        if [name for name, _ in pairs] != _ASKED:
            raise StartWrong("参数不对，或者次序不对")
        app = self._apps.get(given["appid"])
        if app is None or app.kind != "official_account":
            raise StartWrong("此公众号没有这些权限（10003）")
        address = urlsplit(given["redirect_uri"])
        if not app.web_host or address.netloc != app.web_host or address.fragment:
            raise StartWrong("redirect_uri 域名与后台配置不一致（10003）")
        if given["response_type"] != "code" or given["scope"] not in SCOPES:
            raise StartWrong("Scope 参数错误或没有 Scope 权限（10005）")
        if not _STATE.fullmatch(given["state"]):
            raise StartWrong("state 只能是 128 个以内的字母和数字")
        return given

    def back(self, asked: Mapping[str, str], person_id: str | None, is_snapshot: bool) -> str:
        """Where the browser goes next; nobody: the person has declined, and WeChat says nothing but the state."""
        query = {"state": asked["state"]}
        if person_id is not None:
            code = "0" + secrets.token_hex(16)[1:]
            values = (code, person_id, asked["appid"], asked["scope"], int(is_snapshot), self._clock.timestamp())
            self._state.run(
                "INSERT INTO wechat_web_code (code, person_id, appid, scope, is_snapshot, issued_at) VALUES (?, ?, ?, ?, ?, ?)",
                values,
            )
            query = {"code": code, **query}
        join = "&" if "?" in asked["redirect_uri"] else "?"
        return f"{asked['redirect_uri']}{join}{urlencode(query)}"

    def exchanged(self, given: Mapping[str, str | None]) -> dict[str, Any]:
        """GET /sns/oauth2/access_token. Raises WechatError."""
        app = check_app(self._apps, given["appid"], given["secret"])
        if given["grant_type"] != "authorization_code":
            raise WechatError(40002, "invalid grant_type")
        found = self._state.one("SELECT * FROM wechat_web_code WHERE code = ?", (str(given["code"]),))
        if found is None or abs(self._clock.timestamp() - found["issued_at"]) > CODE_LIFE_S:
            raise WechatError(40029, "invalid code")
        if found["appid"] != app.appid:
            raise WechatError(40029, "invalid code")
        if found["used"]:
            raise WechatError(40163, "code been used")
        self._state.run("UPDATE wechat_web_code SET used = 1 WHERE code = ?", (found["code"],))
        answer: dict[str, Any] = {
            "access_token": f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(48)}",
            "expires_in": TOKEN_LIFE_S,
            "refresh_token": f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(48)}",
            "scope": found["scope"],
        }
        if found["is_snapshot"]:
            # An account made up for the preview: another one each time, never the person's.
            return answer | {"openid": f"o{secrets.token_hex(14)[:27]}", "is_snapshotuser": 1}
        answer["openid"] = self._people.openid(found["person_id"], app.appid)
        if found["scope"] == "snsapi_userinfo":
            answer["unionid"] = self._people.described(found["person_id"])["unionid"]
        return answer


def _page(asked: Mapping[str, str], people: list[dict[str, Any]]) -> Reply:
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
    )
    buttons = "".join(
        f'<button name="who" value="{escape(person["person_id"])}|{kind}">{escape(person["nickname"])}{words}</button>'
        for person in people
        for kind, words in (("", ""), ("snapshot", "（只看预览，快照页）"))
    )
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>微信网页授权（演示）</title><style>{_STYLE}</style></head><body>"
        "<h1>微信网页授权</h1><p class='soft'>演示页面：以下的人都是虚构的，点一下就以这个人的微信继续。</p>"
        f'<form method="post" action="/connect/oauth2/authorize">{hidden}{buttons or "<p>还没有人用微信。</p>"}'
        '<button name="who" value="">拒绝</button></form></body></html>'
    )
    return Reply(text.encode(), 200, content_type="text/html; charset=utf-8")


def _broken(text: str) -> Reply:
    """What a person sees when the start is wrong: he is never sent back to an address nobody has registered."""
    body = (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>无法登录</title><p>{escape(text)}</p></html>'
    )
    return Reply(body.encode(), 400, content_type="text/html; charset=utf-8")
