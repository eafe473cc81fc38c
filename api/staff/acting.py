"""A clerk at a counter, acting for the citizen whose code he typed or whose card lies on his reader: the citizen's own operations.

The citizen is the principal, the clerk his actor.
Money at a counter is a code on a screen, which the citizen pays with his own phone: never cash, never the clerk's own.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api import payments, utility_accounts
from api.calls import Answer, Call
from api.card_reads import CardCode
from api.errors import RequestMalformed
from api.texts import Input, Output
from domain.billing.paying import Way

Purpose = Literal["look_up", "bind", "pay", "real_name"]
_ON_SCREEN = Way("wechat_pay", "native")


class ActingRequest(Input, frozen=True):
    """What the citizen shows, exactly one of his code and his card on the reader, and what he wants done."""

    acting_purpose: Purpose
    counter_code: Annotated[str, Meta(pattern=r"\A[0-9]{8}\Z")] | None = None
    card_code: CardCode | None = None


class CardAtCounter(Input, frozen=True):
    """The citizen's card on the reader of the hall."""

    card_code: CardCode


class CounterPaymentRequest(Input, frozen=True):
    """All bills of the quotes, or those named; they are paid by a code on the counter's screen."""

    quote_ids: Annotated[list[UUID], Meta(min_length=1, max_length=20)]
    bill_ids: Annotated[list[UUID], Meta(min_length=1, max_length=100)] | None = None


class ActingView(Output, frozen=True):
    """Until `expires_at` the clerk acts for the citizen who showed his code."""

    acting_id: UUID
    acting_purpose: str
    expires_at: datetime


async def open_session(call: Call) -> Answer:
    body: ActingRequest = call.body
    acting = call.services.acting
    if body.counter_code is not None and body.card_code is None:
        session = await acting.open(call.staff, body.counter_code, body.acting_purpose)
    elif body.card_code is not None and body.counter_code is None:
        session = await acting.open_by_card(call.staff, body.card_code, body.acting_purpose)
    else:
        raise RequestMalformed(where="body", reason="exactly one of counter_code and card_code")
    return Answer(ActingView(session.id, session.purpose, session.expires_at), 201)


async def end_session(call: Call) -> Answer:
    await call.services.acting.end(call.staff, call.path["acting_id"])
    return Answer(None, 204)


async def prove_real_name(call: Call) -> Answer:
    acting_id, body = call.path["acting_id"], call.body
    await call.services.acting.prove_real_name(call.staff, acting_id, body.card_code, call.request_id)
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


async def quote(call: Call) -> Answer:
    await _for_citizen(call, "quoted")
    return await payments.create_quote(call)


async def create_payment(call: Call) -> Answer:
    await _for_citizen(call, "payment_created")
    body: CounterPaymentRequest = call.body
    assert call.once is not None
    content = await call.services.paying.create(
        call.caller, body.quote_ids, body.bill_ids, _ON_SCREEN, call.once, payments.created
    )
    return Answer(content, 201)


async def show_code(call: Call) -> Answer:
    await _for_payment(call, "payment_code_shown")
    return await payments.pay_params(call)


async def show_payment(call: Call) -> Answer:
    await _for_payment(call, "payment_seen")
    return await payments.show(call)


async def check_payment(call: Call) -> Answer:
    await _for_payment(call, "payment_seen")
    return await payments.check(call)


async def close_payment(call: Call) -> Answer:
    await _for_payment(call, "payment_closed")
    return await payments.close(call)


async def _for_payment(call: Call, deed: str) -> None:
    """A payment that was begun in this very session; the citizen's others are none of the clerk's."""
    await _for_citizen(call, deed)
    await call.services.acting_payments.require(call.path["acting_id"], call.path["payment_id"])


async def _for_citizen(call: Call, deed: str) -> None:
    """From here on the citizen is the caller, the clerk his actor."""
    call.act_for(await call.services.acting.principal(call.staff, call.path["acting_id"], deed, call.request_id))
