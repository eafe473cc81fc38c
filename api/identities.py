"""One's own login identities: which there are, joining a second one, taking that back."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api import browsers, html
from api.calls import Answer, Call
from api.me import RaisedLevel
from api.texts import ClientId, Input, Output, WeChatCode
from api.unified import LoginFinish, LoginStarted


class IdentityView(Output, frozen=True):
    """One login identity."""

    source: str
    created_at: datetime
    is_current: bool


class JoinView(Output, frozen=True):
    """A joining that can still be taken back."""

    join_id: UUID
    joined_at: datetime
    undo_until: datetime


class IdentityList(Output, frozen=True):
    """One's own login identities, oldest first, and the joinings of the last day."""

    identities: list[IdentityView]
    joins: list[JoinView]


class JoinStart(Input, frozen=True):
    """At which source to prove the second identity, and to which of our pages to come back."""

    source: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,29}\Z")]
    return_url: Annotated[str, Meta(min_length=1, max_length=500)]
    client_id: ClientId


class Joined(Output, frozen=True):
    """The session that follows; the one that joined has ended."""

    join_id: UUID
    access_token: str
    expires_in_s: int
    refresh_token: str
    session_id: UUID
    level: int
    token_type: str = "Bearer"


class Reproof(Input, frozen=True):
    """What wx.login gave, of the WeChat user who is logged in."""

    code: WeChatCode


async def list_identities(call: Call) -> Answer:
    joining = call.services.joining
    users = await joining.identities(call.caller.person_id)
    joins = await joining.joins(call.caller.person_id)
    return Answer(
        IdentityList(
            [IdentityView(user.source, user.created_at, user.id == call.caller.user_id) for user in users],
            [JoinView(join.id, join.joined_at, join.undo_until) for join in joins],
        )
    )


async def start(call: Call) -> Answer:
    body: JoinStart = call.body
    link = await call.services.sso.start_joining(call.caller.session_id, body.source, body.return_url, body.client_id)
    return Answer(LoginStarted(link, 600), 201)


async def go(call: Call) -> Answer:
    """A browser opens the link of a session: on to the source, with the cookie that brings it back."""
    started = await call.services.sso.open_link(call.path["link"], browsers.browser_of(call))
    going_on = html.page("正在前往登录", "<main><p>正在前往统一身份认证。</p></main>")
    headers = {**going_on.headers, **browsers.kept(call.services.settings, started.browser)}
    return replace(going_on, status=303, headers={**headers, "Location": started.login_url})


async def join(call: Call) -> Answer:
    body: LoginFinish = call.body
    opened, join_id = await call.services.joining.join(call.caller, body.handover, body.client_id, body.client_label)
    return Answer(
        Joined(
            join_id, opened.access_token, opened.expires_in_s, opened.refresh_token, opened.session_id, opened.level
        ),
        201,
    )


async def undo(call: Call) -> Answer:
    await call.services.joining.undo(call.caller, call.path["join_id"])
    return Answer(None, 204)


async def prove(call: Call) -> Answer:
    body: Reproof = call.body
    token, life_s, level = await call.services.login.prove_again(call.caller, body.code)
    return Answer(RaisedLevel(token, life_s, level))
