"""Paying in advance: the balance of an account, and a payment for it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.payments import created
from api.texts import Input, Output
from core import clock
from domain.billing.paying import Way


class TopUpRequest(Input, frozen=True):
    """How much, and how it is paid."""

    amount_fen: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    method: Literal["jsapi", "h5", "native", "wap"] = "jsapi"
    provider: Literal["wechat_pay", "alipay"] = "wechat_pay"


class TopUpLimits(Output, frozen=True):
    """Amounts that may be paid in advance at once, and those a page offers."""

    least_fen: int
    most_fen: int
    step_fen: int
    suggested_fen: list[int]


class BalanceView(Output, frozen=True):
    """What has been paid in advance and is left. `balance_fen` null: unknown, or none is kept; never 0 for that.

    `is_fresh` false: the company could not be asked, this is an older word of it. `low_since` null: it is not low. `limits` null:
    nothing can be paid in advance for this account.
    """

    account_id: UUID
    balance_fen: int | None
    is_fresh: bool
    checked_at: datetime | None
    age_s: int | None
    low_since: datetime | None
    low_for_s: int | None
    limits: TopUpLimits | None


async def show_balance(call: Call) -> Answer:
    found = await call.services.topping_up.prepaid(call.caller, call.path["account_id"])
    account, rule = found.account, found.rule
    limits = rule and TopUpLimits(rule.least_fen, rule.most_fen, rule.step_fen, list(rule.suggested_fen))
    checked_at, low_since = account.bills_checked_at, account.balance_low_since
    return Answer(
        BalanceView(
            account.id,
            account.balance_fen,
            found.known,
            checked_at,
            _age_s(checked_at),
            low_since,
            _age_s(low_since),
            limits,
        )
    )


async def create(call: Call) -> Answer:
    body: TopUpRequest = call.body
    assert call.once is not None
    way = Way(body.provider, body.method)
    account_id = call.path["account_id"]
    content = await call.services.topping_up.create(call.caller, account_id, body.amount_fen, way, call.once, created)
    return Answer(content, 201)


def _age_s(moment: datetime | None) -> int | None:
    return None if moment is None else max(0, int((clock.now() - moment).total_seconds()))
