"""Logging in, staying logged in, looking at one's sessions and ending them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import ClientId, Input, Output, WeChatCode
from domain.identity.sessions import Opened


class WeChatLogin(Input, frozen=True):
    """What a mini-program sends to log in."""

    code: WeChatCode
    client_id: ClientId
    client_label: Annotated[str, Meta(max_length=80, description="设备的样子，给本人看，例如 iPhone 15")] = ""


class RefreshRequest(Input, frozen=True):
    """What a client sends to stay logged in."""

    refresh_token: Annotated[str, Meta(min_length=20, max_length=200)]
    client_id: ClientId


class Tokens(Output, frozen=True):
    """A login: the access token lives ten minutes, the refresh token is used once."""

    access_token: str
    expires_in_s: int
    refresh_token: str
    session_id: UUID
    level: int
    token_type: str = "Bearer"


class SessionView(Output, frozen=True):
    """One of one's own sessions."""

    session_id: UUID
    access_point: str
    client_label: str
    created_at: datetime
    used_at: datetime
    is_current: bool


class SessionList(Output, frozen=True):
    """One's own live sessions, latest first."""

    sessions: list[SessionView]


async def login_by_wechat(call: Call) -> Answer:
    body: WeChatLogin = call.body
    return Answer(tokens(await call.services.login.by_wechat(body.code, body.client_id, body.client_label)), 201)


async def refresh(call: Call) -> Answer:
    body: RefreshRequest = call.body
    return Answer(tokens(await call.services.sessions.refresh(body.refresh_token, body.client_id)), 201)


async def list_sessions(call: Call) -> Answer:
    sessions = await call.services.sessions.list(call.caller.person_id)
    return Answer(
        SessionList(
            [
                SessionView(
                    row.id,
                    row.access_point,
                    row.client_label,
                    row.created_at,
                    row.used_at,
                    row.id == call.caller.session_id,
                )
                for row in sessions
            ]
        )
    )


async def end_session(call: Call) -> Answer:
    await call.services.sessions.end(call.path["session_id"], call.caller.person_id)
    return Answer(None, 204)


async def end_current(call: Call) -> Answer:
    await call.services.sessions.end(call.caller.session_id, call.caller.person_id)
    return Answer(None, 204)


def tokens(opened: Opened) -> Tokens:
    """What a client gets of a login."""
    return Tokens(opened.access_token, opened.expires_in_s, opened.refresh_token, opened.session_id, opened.level)
