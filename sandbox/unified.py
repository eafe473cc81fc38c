"""统一身份认证: a door of the protocol ``code`` and one of the protocol ``ticket``, and what people do before them as control calls.

``/{source}/login`` is for browsers; ``/{source}/token`` and ``/{source}/userinfo`` (code), ``/{source}/ticket/validate`` (ticket)
are for the relying party's server.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sanic import HTTPResponse, Request, Sanic

from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.replies import Reply, encode, json_reply
from sandbox.unified_pages import broken_page, login_page
from sandbox.unified_people import COUNTERPART, Door, Doors

MAX_SKEW_S = 300
_CODE_ASKED = {
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "acting_as",
}  # fmt: skip
_TICKET_ASKED = {"appCode", "userType", "gotoUrl"}


class StartWrong(Exception):
    """The address a browser was sent here with is not one a relying party may send."""


class TokenRefused(Exception):
    """An OAuth error code for the token call."""


def mount(app: Sanic, control_app: Sanic, context: Context) -> None:
    """Add the doors and the control calls."""
    doors = Doors(context)
    _mount_browser(app, doors)
    _mount_code(app, context, doors)
    _mount_ticket(app, context, doors)
    _mount_control(control_app, doors)


def _mount_browser(app: Sanic, doors: Doors) -> None:
    @app.get("/<source:str>/login", name="unified_login")
    async def show(request: Request, source: str) -> Reply:
        try:
            asked = _asked(doors.door(source), dict(parse_qsl(request.query_string)))
        except StartWrong as error:
            return broken_page(str(error))
        return login_page(doors.door(source), doors.people(), _acting_as(asked), asked)

    @app.post("/<source:str>/login", name="unified_chosen")
    async def chosen(request: Request, source: str) -> Reply:
        form = dict(parse_qsl(request.body.decode()))
        who = form.pop("who", "cancel")
        try:
            asked = _asked(doors.door(source), form)
        except StartWrong as error:
            return broken_page(str(error))
        person_id, _, credit_code = who.partition("|")
        location = _back(doors, doors.door(source), asked, None if who == "cancel" else person_id, credit_code or None)
        return Reply(b"", 303, {"Location": location})


def _mount_code(app: Sanic, context: Context, doors: Doors) -> None:
    @app.post("/<source:str>/token", name="unified_token")
    async def token(request: Request, source: str) -> HTTPResponse:
        door = doors.door(source)

        def work(forge: bool) -> Reply:
            try:
                with context.state.transaction():
                    return json_reply(_tokens(context, doors, door, request, forge))
            except TokenRefused as error:
                return json_reply({"error": str(error)}, 401 if str(error) == "invalid_client" else 400)

        return await context.serve(request, COUNTERPART, "token", source, work, _failed)

    @app.get("/<source:str>/userinfo", name="unified_user_info")
    async def user_info(request: Request, source: str) -> HTTPResponse:
        door = doors.door(source)

        def work(forge: bool) -> Reply:
            scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
            owner = doors.owner_of(door, given) if scheme == "Bearer" else None
            if owner is None:
                return json_reply({"error": "invalid_token"}, 401)
            person_id, credit_code = owner
            facts = doors.person(person_id)
            told = {
                "sub": secrets.token_hex(16) if forge else doors.subject(door, person_id),
                "name": facts.get("name"),
                "id_number": facts.get("id_number"),
                "phone": f"+86{facts['phone']}" if facts.get("phone") else None,
                "real_name": facts["is_real_name"],
            }
            if organization := doors.organization(person_id, credit_code):
                told["organization"] = organization
            return json_reply(told)

        return await context.serve(request, COUNTERPART, "user_info", source, work, _failed)


def _mount_ticket(app: Sanic, context: Context, doors: Doors) -> None:
    @app.post("/<source:str>/ticket/validate", name="unified_ticket")
    async def validate(request: Request, source: str) -> HTTPResponse:
        door = doors.door(source)

        def work(forge: bool) -> Reply:
            try:
                body = json.loads(request.body)
                nonce = str(body["nonce"])
            except (ValueError, KeyError, TypeError):
                return json_reply({"code": "REQUEST_INVALID"}, 400)
            with context.state.transaction():
                code, data = _validated(context, doors, door, body)
            stamp = int(context.clock.timestamp() * 1000)
            text = json.dumps(data, ensure_ascii=False) if data else ""
            sign = _hmac("another secret" if forge else door.secret, code, nonce, str(stamp), text)
            return json_reply({"code": code, "nonce": nonce, "timestamp": stamp, "data": text, "sign": sign})

        return await context.serve(request, COUNTERPART, "ticket", source, work, _failed)


def _mount_control(app: Sanic, doors: Doors) -> None:
    @app.get("/control/unified/people", name="control_unified_people")
    async def people(_: Request) -> Reply:
        return json_reply({"people": doors.people()})

    @app.post("/control/unified/people", name="control_unified_add")
    async def add(request: Request) -> Reply:
        return json_reply(doors.put(None, body_of(request)), 201)

    @app.post("/control/unified/people/<person_id:str>", name="control_unified_change")
    async def change(request: Request, person_id: str) -> Reply:
        return json_reply(doors.put(person_id, body_of(request)))

    @app.post("/control/unified/people/<person_id:str>/login", name="control_unified_login")
    async def login(request: Request, person_id: str) -> Reply:
        body = body_of(request)
        parts = urlsplit(str(body.get("login_url")))
        door = doors.door(parts.path.split("/")[1] if parts.path.count("/") == 2 else "")
        try:
            asked = _asked(door, dict(parse_qsl(parts.query)))
        except StartWrong as error:
            raise ControlError(str(error)) from error
        doors.person(person_id)
        return json_reply({"location": _back(doors, door, asked, person_id, body.get("credit_code"))})


def _asked(door: Door, given: dict[str, str]) -> dict[str, str]:
    """What the relying party asks for, checked as a careful source does. Raises StartWrong."""
    names = _CODE_ASKED if door.protocol == "code" else _TICKET_ASKED
    if given.keys() != names:
        raise StartWrong("参数不对")
    if door.protocol == "ticket":
        base, _, query = given["gotoUrl"].partition("?")
        if given["appCode"] != door.client_id or base != door.callback_url or given["userType"] not in ("1", "2"):
            raise StartWrong("应用没有登记，或者回来的地址不对")
        if "&" in query:
            raise StartWrong("回来的地址里 & 之后的内容会丢失")
        return given
    if given["client_id"] != door.client_id or given["redirect_uri"] != door.callback_url:
        raise StartWrong("应用没有登记，或者回来的地址不对")
    if (
        given["response_type"] != "code"
        or given["code_challenge_method"] != "S256"
        or len(given["code_challenge"]) != 43
    ):
        raise StartWrong("只支持带 PKCE（S256）的授权码")
    if len(given["state"]) < 16 or len(given["nonce"]) < 16 or given["acting_as"] not in ("person", "organization"):
        raise StartWrong("state 和 nonce 至少 16 个字符")
    return given


def _acting_as(asked: dict[str, str]) -> str:
    return asked.get("acting_as") or ("organization" if asked["userType"] == "2" else "person")


def _back(doors: Doors, door: Door, asked: dict[str, str], person_id: str | None, credit_code: str | None) -> str:
    """Where the browser goes next; nobody: he has cancelled."""
    if person_id is not None and (credit_code is not None) != (_acting_as(asked) == "organization"):
        raise ControlError("an organization's login names the organization")
    code = doors.issue(door, person_id, credit_code, asked) if person_id is not None else None
    if door.protocol == "ticket":
        return f"{asked['gotoUrl']}&{urlencode({'ticket': code} if code else {'error': 'cancelled'})}"
    answer = {"code": code} if code else {"error": "access_denied"}
    return f"{asked['redirect_uri']}?{urlencode({**answer, 'state': asked['state'], 'iss': door.issuer})}"


def _tokens(context: Context, doors: Doors, door: Door, request: Request, forge: bool) -> dict[str, Any]:
    """The answer of the token endpoint. Raises TokenRefused."""
    expected = base64.b64encode(f"{door.client_id}:{door.secret}".encode()).decode()
    scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
    if scheme != "Basic" or not hmac.compare_digest(given.encode(), expected.encode()):
        raise TokenRefused("invalid_client")
    form = dict(parse_qsl(request.body.decode()))
    if (
        form.keys() != {"grant_type", "code", "redirect_uri", "code_verifier"}
        or form["grant_type"] != "authorization_code"
    ):
        raise TokenRefused("invalid_request")
    spent = doors.spend(door, form["code"])
    if isinstance(spent, str):
        raise TokenRefused("invalid_grant")
    person_id, credit_code, asked = spent
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
    if challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
        raise TokenRefused("invalid_grant")
    now = int(context.clock.timestamp())
    claims = {
        "iss": door.issuer, "aud": door.client_id, "sub": doors.subject(door, person_id), "nonce": asked["nonce"], "iat": now,
        "exp": now + 300,
    }  # fmt: skip
    key = Ed25519PrivateKey.generate() if forge else door.key()
    token = doors.give_token(door, person_id, credit_code)
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 600,
        "id_token": jwt.encode(claims, key, "EdDSA"),
    }


def _validated(context: Context, doors: Doors, door: Door, body: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Answer code and user of a ticket call."""
    try:
        parts = (str(body["app_code"]), str(body["ticket"]), str(int(body["timestamp"])), str(body["nonce"]))
        age_s = context.clock.timestamp() - int(body["timestamp"]) / 1000
        genuine = hmac.compare_digest(_hmac(door.secret, *parts), str(body["sign"]))
    except (KeyError, ValueError, TypeError, binascii.Error):
        return "REQUEST_INVALID", None
    if not genuine or parts[0] != door.client_id or abs(age_s) > MAX_SKEW_S or not doors.is_new(door, parts[3]):
        return "SIGN_INVALID", None
    spent = doors.spend(door, parts[1])
    if isinstance(spent, str):
        return f"TICKET_{spent}", None
    person_id, credit_code, _ = spent
    facts, organization = doors.person(person_id), doors.organization(person_id, credit_code)
    user = {
        "user_id": doors.subject(door, person_id), "user_type": "2" if organization else "1", "name": facts.get("name"),
        "cert_no": facts.get("id_number"), "mobile": facts.get("phone"), "auth_level": "3" if facts["is_real_name"] else "1",
    }  # fmt: skip
    if organization:
        user |= {
            "corp_name": organization["name"], "credit_code": organization["credit_code"], "legal_name": organization["legal_representative"],
        }  # fmt: skip
    return "0", user


def _hmac(secret: str, *parts: str) -> str:
    return hmac.new(secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def _failed(status: int) -> Reply:
    return Reply(encode({"error": "server_error"}), status, content_type="application/json")
