"""The official account at WeChat: who follows it, template messages with their result events, codes with a scene."""

import io
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import segno
from sanic import HTTPResponse, Request, Sanic

from sandbox.context import Context, ControlError
from sandbox.control import body_of as control_body
from sandbox.replies import Reply, empty_reply, json_reply
from sandbox.wechat_apps import App, WechatError, body_of
from sandbox.wechat_people import People
from sandbox.wechat_push import Pusher
from sandbox.wechat_tokens import Tokens
from sandbox.wechat_values import check_values

ONCE_WITHIN_S: Final = 600.0
"""The same client_msg_id to the same person is sent once within this time."""
MOST_PERMANENT: Final = 100_000
_LONGEST_S: Final = 2_592_000
_OUTCOMES: Final = {
    "success": "success",
    "user_block": "failed:user block",
    "system_failed": "failed: system failed",
    "none": "",
}
_OUTCOME: Final = "template_outcome"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_follow (openid TEXT PRIMARY KEY, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS wechat_template_message (
    msgid TEXT PRIMARY KEY, openid TEXT NOT NULL, template_id TEXT NOT NULL, client_msg_id TEXT, content TEXT NOT NULL, sent_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS wechat_scene (
    ticket TEXT PRIMARY KEY, appid TEXT NOT NULL, scene TEXT NOT NULL, url TEXT NOT NULL, expires_at REAL
);
"""

Serve = Callable[..., Any]


def mount(
    app: Sanic,
    context: Context,
    apps: Mapping[str, App],
    people: People,
    tokens: Tokens,
    pusher: Pusher,
    serve: Serve,
) -> None:
    """Open the account's interface and its control endpoints."""
    account = Account(context, people, pusher)

    def answered(operation: str, work: Callable[[App, dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
        async def handle(request: Request) -> HTTPResponse:
            def do() -> dict[str, Any]:
                wechat_app = tokens.check(request.args.get("access_token"))
                if wechat_app.kind != "official_account":
                    raise WechatError(48001, "api unauthorized")
                return work(wechat_app, body_of(request))

            return await serve(request, operation, "", do)

        return handle

    for path, operation, work in (
        ("/cgi-bin/message/template/send", "template_send", account.send),
        ("/cgi-bin/user/info/batchget", "user_info", account.info),
        ("/cgi-bin/qrcode/create", "qrcode_create", account.code),
    ):
        app.add_route(answered(operation, work), path, methods=["POST"], name=f"wechat_{operation}")
    _mount_control(app, apps, account)


class Account:
    """Every method belongs into a transaction of the caller."""

    def __init__(self, context: Context, people: People, pusher: Pusher) -> None:
        self._context = context
        self._state = context.state
        self._people = people
        self._pusher = pusher
        self._state.define(_SCHEMA)

    def send(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /cgi-bin/message/template/send. Raises WechatError."""
        owner = self._people.owner_of(str(body.get("touser")))
        if owner is None or owner.appid != app.appid:
            raise WechatError(40003, "invalid openid")
        template = app.templates.get(str(body.get("template_id")))
        if template is None:
            raise WechatError(40037, "invalid template_id")
        if not self._follows(owner.openid):
            raise WechatError(43004, "require subscribe")
        check_values(template, body.get("data"))
        page = body.get("miniprogram", {})
        if not isinstance(page, dict) or (page and page.keys() != {"appid", "pagepath"}):
            raise WechatError(40165, "invalid weapp pagepath")
        client_id, now = body.get("client_msg_id"), self._context.clock.timestamp()
        query = "SELECT msgid FROM wechat_template_message WHERE openid = ? AND client_msg_id = ? AND sent_at > ?"
        known = self._state.one(query, (owner.openid, client_id, now - ONCE_WITHIN_S)) if client_id else None
        if known is not None:
            return {"errcode": 0, "errmsg": "ok", "msgid": int(known["msgid"])}
        outcome = _OUTCOMES[self._state.setting(_OUTCOME, "success")]
        msgid = str(secrets.randbelow(9 * 10**17) + 10**17)
        if outcome in ("success", ""):
            text = {key: entry["value"] for key, entry in body["data"].items()} | {"page": page.get("pagepath", "")}
            values = (msgid, owner.openid, template.template_id, client_id, json.dumps(text, ensure_ascii=False), now)
            self._state.run("INSERT INTO wechat_template_message VALUES (?, ?, ?, ?, ?, ?)", values)
        if outcome:
            self._pusher.add_plain(app, owner.openid, "TEMPLATESENDJOBFINISH", {"MsgID": msgid, "Status": outcome})
        return {"errcode": 0, "errmsg": "ok", "msgid": int(msgid)}

    def info(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /cgi-bin/user/info/batchget: of those who do not follow only that. Raises WechatError 40003, 40032."""
        asked = body.get("user_list")
        if not isinstance(asked, list) or not 1 <= len(asked) <= 100:
            raise WechatError(40032, "invalid openid list size")
        found: list[dict[str, Any]] = []
        for entry in asked:
            owner = self._people.owner_of(str(entry.get("openid")) if isinstance(entry, dict) else "")
            if owner is None or owner.appid != app.appid:
                raise WechatError(40003, "invalid openid")
            follows = self._follows(owner.openid)
            unionid = {"unionid": self._people.described(owner.person_id)["unionid"]} if follows else {}
            found.append({"subscribe": int(follows), "openid": owner.openid} | unionid)
        return {"user_info_list": found}

    def code(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /cgi-bin/qrcode/create with a text for a scene. Raises WechatError."""
        scene = body.get("action_info", {}).get("scene", {}).get("scene_str")
        if not isinstance(scene, str) or not 1 <= len(scene) <= 64:
            raise WechatError(40053, "invalid action info")
        ticket, url = secrets.token_urlsafe(64), f"http://weixin.qq.com/q/{secrets.token_urlsafe(12)}"
        life: dict[str, int] = {}
        match body.get("action_name"):
            case "QR_STR_SCENE":
                seconds = body.get("expire_seconds", 60)
                if not isinstance(seconds, int) or not 1 <= seconds <= _LONGEST_S:
                    raise WechatError(40054, "invalid expire seconds")
                life = {"expire_seconds": seconds}
            case "QR_LIMIT_STR_SCENE":
                permanent = self._state.all("SELECT 1 FROM wechat_scene WHERE expires_at IS NULL")
                if len(permanent) >= MOST_PERMANENT:
                    raise WechatError(45029, "qrcode count out of limit")
            case _:
                raise WechatError(40053, "invalid action info")
        ends = self._context.clock.timestamp() + life["expire_seconds"] if life else None
        self._state.run("INSERT INTO wechat_scene VALUES (?, ?, ?, ?, ?)", (ticket, app.appid, scene, url, ends))
        return {"ticket": ticket, "url": url} | life

    def follow(self, app: App, person_id: str, scene: str | None) -> None:
        """The person follows, perhaps by a code; who follows already only scans it."""
        openid = self._people.openid(person_id, app.appid)
        if self._follows(openid):
            if scene is None:
                raise ControlError("follows already", 409)
            self._pusher.add_plain(app, openid, "SCAN", {"EventKey": scene, "Ticket": "T"})
            return
        self._state.run("INSERT INTO wechat_follow VALUES (?, ?)", (openid, self._context.clock.timestamp()))
        fields = {"EventKey": f"qrscene_{scene}", "Ticket": "T"} if scene else {"EventKey": ""}
        self._pusher.add_plain(app, openid, "subscribe", fields)

    def unfollow(self, app: App, person_id: str) -> None:
        """The person ceases to follow."""
        openid = self._people.openid(person_id, app.appid)
        if not self._state.run("DELETE FROM wechat_follow WHERE openid = ?", (openid,)):
            raise ControlError("does not follow", 409)
        self._pusher.add_plain(app, openid, "unsubscribe", {"EventKey": ""})

    def click(self, app: App, person_id: str, entry: str) -> None:
        """The person chooses an entry of the menu."""
        self._pusher.add_plain(app, self._people.openid(person_id, app.appid), "CLICK", {"EventKey": entry})

    def scene_of(self, url: str) -> str:
        """What a phone tells the account when it reads this code. Raises ControlError for one that has expired."""
        found = self._state.one("SELECT * FROM wechat_scene WHERE url = ?", (url,))
        if found is None or (
            found["expires_at"] is not None and found["expires_at"] <= self._context.clock.timestamp()
        ):
            raise ControlError("no such code, or expired", 404)
        return str(found["scene"])

    def received(self, app: App, person_id: str) -> dict[str, Any]:
        """``{messages, replies, follows}`` of a person at this account."""
        openid = self._people.openid(person_id, app.appid)
        rows = self._state.all("SELECT * FROM wechat_template_message WHERE openid = ? ORDER BY rowid", (openid,))
        return {
            "messages": [dict(row) | {"content": json.loads(row["content"])} for row in rows],
            "replies": self._pusher.replies(openid),
            "follows": self._follows(openid),
        }

    def choose_outcome(self, outcome: str) -> None:
        """What becomes of template messages from now on."""
        if outcome not in _OUTCOMES:
            raise ControlError(f"outcome is one of {', '.join(_OUTCOMES)}")
        self._state.choose(_OUTCOME, outcome)

    def picture(self, ticket: str) -> bytes:
        """GET /cgi-bin/showqrcode: the drawn code."""
        found = self._state.one("SELECT url FROM wechat_scene WHERE ticket = ?", (ticket,))
        if found is None:
            raise ControlError("no such ticket", 404)
        drawn = io.BytesIO()
        segno.make(found["url"], error="m").save(drawn, kind="png", scale=8)
        return drawn.getvalue()

    def in_transaction(self, work: Callable[[], None]) -> None:
        """Do `work` whole or not at all."""
        with self._state.transaction():
            work()

    def _follows(self, openid: str) -> bool:
        return self._state.one("SELECT 1 FROM wechat_follow WHERE openid = ?", (openid,)) is not None


def _mount_control(app: Sanic, apps: Mapping[str, App], account: Account) -> None:
    def account_app(body: Mapping[str, Any]) -> App:
        found = apps.get(str(body.get("appid")))
        if found is None or found.kind != "official_account":
            raise ControlError("no such official account", 404)
        return found

    @app.post("/control/people/<person_id:str>/follow", name="control_follow")
    async def follow(request: Request, person_id: str) -> Reply:
        body = control_body(request)
        scene = account.scene_of(str(body["url"])) if body.get("url") else body.get("scene")
        account.in_transaction(lambda: account.follow(account_app(body), person_id, scene))
        return empty_reply()

    @app.post("/control/people/<person_id:str>/unfollow", name="control_unfollow")
    async def unfollow(request: Request, person_id: str) -> Reply:
        body = control_body(request)
        account.in_transaction(lambda: account.unfollow(account_app(body), person_id))
        return empty_reply()

    @app.post("/control/people/<person_id:str>/menu", name="control_menu")
    async def menu(request: Request, person_id: str) -> Reply:
        body = control_body(request)
        account.in_transaction(lambda: account.click(account_app(body), person_id, str(body.get("entry"))))
        return empty_reply()

    @app.get("/control/people/<person_id:str>/official/<appid:str>", name="control_official")
    async def official(_: Request, person_id: str, appid: str) -> Reply:
        return json_reply(account.received(account_app({"appid": appid}), person_id))

    @app.post("/control/wechat/template-outcome", name="control_template_outcome")
    async def outcome(request: Request) -> Reply:
        account.choose_outcome(str(control_body(request).get("outcome")))
        return empty_reply()

    @app.get("/cgi-bin/showqrcode", name="wechat_showqrcode")
    async def show(request: Request) -> Reply:
        return Reply(account.picture(quote(str(request.args.get("ticket")), safe="-_")), 200, content_type="image/png")
