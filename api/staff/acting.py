"""A clerk at a counter, acting for the citizen whose code he typed: the citizen's own operations, with the citizen as principal."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api import utility_accounts
from api.calls import Answer, Call
from api.texts import Input, Output

Purpose = Literal["look_up", "bind"]


class ActingRequest(Input, frozen=True):
    """What the citizen shows, and what he wants done."""

    counter_code: Annotated[str, Meta(pattern=r"\A[0-9]{8}\Z")]
    acting_purpose: Purpose


class ActingView(Output, frozen=True):
    """Until `expires_at` the clerk acts for the citizen who showed his code."""

    acting_id: UUID
    acting_purpose: str
    expires_at: datetime


async def open_session(call: Call) -> Answer:
    body: ActingRequest = call.body
    session = await call.services.acting.open(call.staff, body.counter_code, body.acting_purpose)
    return Answer(ActingView(session.id, session.purpose, session.expires_at), 201)


async def end_session(call: Call) -> Answer:
    await call.services.acting.end(call.staff, call.path["acting_id"])
    return Answer(None, 204)


async def list_accounts(call: Call) -> Answer:
    await _for_citizen(call, "accounts_listed")
    return await utility_accounts.list_accounts(call)


async def show_owed(call: Call) -> Answer:
    await _for_citizen(call, "owed_shown")
    return await utility_accounts.show_owed(call)


async def bind(call: Call) -> Answer:
    await _for_citizen(call, "bound")
    return await utility_accounts.bind(call)


async def _for_citizen(call: Call, deed: str) -> None:
    """From here on the citizen is the caller, the clerk his actor."""
    call.act_for(await call.services.acting.principal(call.staff, call.path["acting_id"], deed, call.request_id))
