"""The WeChat platform: login, token, phone number, subscription messages, codes; and people's phones as control calls.

The platform answers failures with HTTP 200 and an errcode.
"""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import segno
from sanic import HTTPResponse, Request, Sanic

from sandbox import wechat_control, wechat_official, wechat_web
from sandbox.context import Context
from sandbox.replies import Reply, encode, json_reply
from sandbox.wechat_apps import COUNTERPART, Codes, WechatError, body_of, read_apps
from sandbox.wechat_people import People
from sandbox.wechat_push import Pusher
from sandbox.wechat_subscriptions import Subscriptions
from sandbox.wechat_tokens import Tokens, check_app

_SCENE: Final = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]{1,32}")
_PAGE: Final = re.compile(r"[^/?\s][^?\s]{0,127}")


def mount(app: Sanic, context: Context, people: People) -> None:
    """Open the platform and its people's control endpoints. Raises ValueError or KeyError for a wrong configuration."""
    apps = read_apps(context)
    codes = Codes(context)
    tokens = Tokens(context, apps)
    pusher = Pusher(context, apps)
    subscriptions = Subscriptions(context, people, pusher)
    serve = _server(context)
    wechat_control.mount(app, context, apps, people, codes, pusher, subscriptions)
    wechat_official.mount(app, context, apps, people, tokens, pusher, serve)
    wechat_web.mount(app, context, apps, people, serve)

    @app.get("/sns/jscode2session", name="wechat_code2session")
    async def code2session(request: Request) -> HTTPResponse:
        def work() -> dict[str, Any]:
            given = {name: request.args.get(name) for name in ("appid", "secret", "js_code", "grant_type")}
            wechat_app = check_app(apps, given["appid"], given["secret"])
            if given["grant_type"] != "authorization_code":
                raise WechatError(40002, "invalid grant_type")
            code = codes.find("login", str(given["js_code"]), wechat_app.appid, other_app=40029)
            codes.spend(code["code"])
            person = people.described(code["person_id"])
            session_key = wechat_control.new_session_key()
            openid = person["openids"][wechat_app.appid]
            return {"session_key": session_key, "openid": openid, "unionid": person["unionid"]}

        return await serve(request, "code2session", "", work, content_type="text/plain")

    @app.post("/cgi-bin/stable_token", name="wechat_stable_token")
    async def stable_token(request: Request) -> HTTPResponse:
        return await serve(request, "stable_token", "", lambda: tokens.give(body_of(request)))

    @app.post("/wxa/business/getuserphonenumber", name="wechat_phone_number")
    async def phone_number(request: Request) -> HTTPResponse:
        def work() -> dict[str, Any]:
            wechat_app = tokens.check(request.args.get("access_token"))
            body = body_of(request)
            code = codes.find("phone", str(body.get("code")), wechat_app.appid, other_app=40013)
            person = people.described(code["person_id"])
            if "openid" in body and body["openid"] != person["openids"][wechat_app.appid]:
                raise WechatError(40029, "invalid code")  # the code is another person's
            codes.spend(code["code"])
            watermark = {"timestamp": int(context.clock.timestamp()), "appid": wechat_app.appid}
            number = {"phoneNumber": person["phone"], "purePhoneNumber": person["phone"], "countryCode": "86"}
            return {"errcode": 0, "errmsg": "ok", "phone_info": number | {"watermark": watermark}}

        return await serve(request, "phone_number", "", work)

    @app.post("/cgi-bin/message/subscribe/send", name="wechat_subscribe_send")
    async def subscribe_send(request: Request) -> HTTPResponse:
        def work() -> dict[str, Any]:
            wechat_app = tokens.check(request.args.get("access_token"))
            return subscriptions.send(wechat_app, body_of(request), request.body.decode())

        return await serve(request, "subscribe_send", _touser(request), work)

    @app.post("/wxa/getwxacodeunlimit", name="wechat_code_unlimited")
    async def code_unlimited(request: Request) -> HTTPResponse:
        def work() -> bytes:
            wechat_app = tokens.check(request.args.get("access_token"))
            return _picture(wechat_app.appid, body_of(request))

        return await serve(request, "code_unlimited", "", work)


def _server(context: Context) -> wechat_official.Serve:
    async def serve(
        request: Request,
        operation: str,
        call_id: str,
        work: Callable[[], Mapping[str, Any] | bytes],
        content_type: str = "application/json; encoding=utf-8",
    ) -> HTTPResponse:
        def do(_: bool) -> Reply:
            try:
                with context.state.transaction():
                    result = work()
            except WechatError as error:
                result = error.body()
            if isinstance(result, bytes):
                return Reply(result, 200, content_type="image/png")
            return Reply(encode(result), 200, content_type=content_type)

        def failed(status: int) -> Reply:
            return json_reply({"errcode": -1, "errmsg": "system error"}, status)

        return await context.serve(request, COUNTERPART, operation, call_id, do, failed)

    return serve


def _touser(request: Request) -> str:
    try:
        return str(body_of(request).get("touser", ""))
    except WechatError:
        return ""


def _picture(appid: str, body: Mapping[str, Any]) -> bytes:
    scene, page = body.get("scene"), body.get("page", "pages/index/index")
    if not isinstance(scene, str) or not _SCENE.fullmatch(scene):
        raise WechatError(40169, "invalid length for scene, or the data is not json string")
    if not isinstance(page, str) or not _PAGE.fullmatch(page):
        raise WechatError(41030, "invalid page")
    width = body.get("width", 430)
    if not isinstance(width, int) or isinstance(width, bool) or not 280 <= width <= 1280:
        raise WechatError(40097, "invalid args: width")
    if body.get("env_version", "release") not in ("release", "trial", "develop"):
        raise WechatError(40097, "invalid args: env_version")
    # A QR code with what a phone would open: the round WeChat code itself cannot be drawn without WeChat.
    code = segno.make(f"wxacode:{appid}/{page}?scene={scene}", error="m")
    picture = io.BytesIO()
    code.save(picture, kind="png", scale=max(1, width // code.symbol_size()[0]))
    return picture.getvalue()
