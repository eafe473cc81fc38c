"""Logging in by way of a browser: 鄂汇办, 湖北政务服务网 and other identity sources behind one flow (domain.identity.sso)."""

from dataclasses import replace
from typing import Annotated, Literal

from msgspec import Meta

from api import browsers, html, sessions
from api.calls import Answer, Call
from api.texts import ClientId, Input, Output


class LoginStart(Input, frozen=True):
    """Where to log in, as whom, and to which of our pages to come back."""

    source: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,29}\Z")]
    return_url: Annotated[str, Meta(min_length=1, max_length=500)]
    client_id: ClientId
    acting_as: Literal["person", "organization"] = "person"


class LoginStarted(Output, frozen=True):
    """Where to send the browser now."""

    login_url: str
    expires_in_s: int


class LoginFinish(Input, frozen=True):
    """The handover code of the fragment the browser came back with."""

    handover: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{43}\Z")]
    client_id: ClientId
    client_label: Annotated[str, Meta(max_length=80, description="设备的样子，给本人看，例如 iPhone 15")] = ""


async def start(call: Call) -> Answer:
    body: LoginStart = call.body
    services = call.services
    started = await services.sso.start(
        body.source, body.return_url, body.client_id, body.acting_as, browsers.browser_of(call)
    )
    return Answer(
        LoginStarted(started.login_url, started.expires_in_s),
        201,
        headers=browsers.kept(services.settings, started.browser),
    )


async def come_back(call: Call) -> Answer:
    """The browser is back from the source. A source may add to its answer, so only what counts is looked at; nothing twice."""
    address = await call.services.sso.come_back(call.path["source"], call.loose_query(), browsers.browser_of(call))
    going_on = html.page("正在返回", "<main><p>登录后正在返回联办。</p></main>")
    return replace(going_on, status=303, headers={**going_on.headers, "Location": address})


async def finish(call: Call) -> Answer:
    body: LoginFinish = call.body
    opened = await call.services.sso.finish(body.handover, body.client_id, body.client_label, browsers.browser_of(call))
    return Answer(sessions.tokens(opened), 201)
