"""``/control/people``: what people do with their phones, as far as WeChat itself is concerned."""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from sanic import Request, Sanic

from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.replies import Reply, empty_reply, json_reply
from sandbox.wechat_apps import App, Codes
from sandbox.wechat_people import People
from sandbox.wechat_push import Pusher
from sandbox.wechat_subscriptions import Subscriptions


def new_session_key() -> str:
    """What code2session hands out: 16 bytes in base64."""
    return base64.b64encode(secrets.token_bytes(16)).decode("ascii")


def mount(
    app: Sanic,
    context: Context,
    apps: Mapping[str, App],
    people: People,
    codes: Codes,
    pusher: Pusher,
    subscriptions: Subscriptions,
) -> None:
    """Add the routes."""
    _mount_people(app, people)
    _mount_codes(app, people, codes)

    @app.post("/control/people/<person_id:str>/subscribe", name="control_subscribe")
    async def subscribe(request: Request, person_id: str) -> Reply:
        body = body_of(request)
        wechat_app, openid = _app(apps, body), people.openid(person_id, str(body.get("appid")))
        template_ids = body.get("template_ids")
        if not isinstance(template_ids, list) or len(set(map(str, template_ids))) != len(template_ids):
            raise ControlError("template_ids is a list without duplicates")
        accept = body.get("accept", False)
        answers = {
            str(one): bool(accept.get(one)) if isinstance(accept, dict) else bool(accept) for one in template_ids
        }
        with context.state.transaction():
            if body.get("via", "popup") == "popup":
                subscriptions.answer_popup(wechat_app, openid, answers)
            elif body["via"] == "settings" and not any(answers.values()):
                subscriptions.switch_off(wechat_app, openid, list(answers))
            else:
                raise ControlError("via is popup, or settings with accept false")
        return empty_reply()

    @app.get("/control/people/<person_id:str>/messages", name="control_messages")
    async def messages(_: Request, person_id: str) -> Reply:
        openids = list(people.described(person_id)["openids"].values())
        received = [
            {**message, "content": json.loads(message["content"]), "sent_at": context.clock.iso(message["sent_at"])}
            for message in subscriptions.messages(openids)
        ]
        return json_reply({"messages": received, "credits": subscriptions.credits(openids)})

    @app.get("/control/people/<person_id:str>/events", name="control_events")
    async def events(_: Request, person_id: str) -> Reply:
        openids = people.described(person_id)["openids"]
        pushed = [event for appid, openid in openids.items() for event in pusher.about(apps[appid], openid)]
        return json_reply({"events": pushed})

    @app.post("/control/wechat/<appid:str>/verify-push", name="control_verify_push")
    async def verify_push(_: Request, appid: str) -> Reply:
        return json_reply({"verified": await pusher.verify_address(_app(apps, {"appid": appid}))})


def _mount_people(app: Sanic, people: People) -> None:
    @app.post("/control/people", name="control_people_add")
    async def add(request: Request) -> Reply:
        body = body_of(request)
        nickname, phone = body.get("nickname"), body.get("phone")
        if not isinstance(nickname, str) or not (phone is None or isinstance(phone, str)):
            raise ControlError("nickname is a string, phone a string or left out")
        return json_reply(people.add(nickname, phone), 201)

    @app.get("/control/people", name="control_people_list")
    async def listed(_: Request) -> Reply:
        return json_reply({"people": people.all()})


def _mount_codes(app: Sanic, people: People, codes: Codes) -> None:
    @app.post("/control/people/<person_id:str>/login-code", name="control_login_code")
    async def login_code(request: Request, person_id: str) -> Reply:
        appid = str(body_of(request).get("appid"))
        people.openid(person_id, appid)
        return json_reply({"code": codes.issue("login", person_id, appid)})

    @app.post("/control/people/<person_id:str>/phone-code", name="control_phone_code")
    async def phone_code(request: Request, person_id: str) -> Reply:
        appid = str(body_of(request).get("appid"))
        people.openid(person_id, appid)
        if people.described(person_id)["phone"] is None:
            raise ControlError("this person has no phone number", 409)
        return json_reply({"code": codes.issue("phone", person_id, appid)})


def _app(apps: Mapping[str, App], body: Mapping[str, Any]) -> App:
    found = apps.get(str(body.get("appid")))
    if found is None:
        raise ControlError("no such app", 404)
    return found
