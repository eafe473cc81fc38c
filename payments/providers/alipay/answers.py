"""What Alipay states about trades and refunds, read into the port's neutral values.

Amounts are texts in yuan. Booked is ``total_amount``, the order's; ``receipt_amount`` and ``buyer_pay_amount`` are smaller when the payer
used a red packet of the platform. A trade in another currency names it; one that names none is in yuan renminbi.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from core import clock
from payments.providers.alipay.signing import TIME_FORMAT
from payments.providers.port import Trade, TradeState

Id = Annotated[str, Meta(min_length=1, max_length=64)]

_YUAN = re.compile(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?")
_TRADE_NO = re.compile(r"[0-9A-Za-z_-]{1,64}")
_STATES = {
    "WAIT_BUYER_PAY": TradeState.NOT_PAID,
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    "TRADE_CLOSED": TradeState.CLOSED,
}


class StateUnknown(ValueError):
    """A state that is not in the table."""


class Refusal(msgspec.Struct, frozen=True):
    """The head of every answer; ``10000`` is success."""

    code: Annotated[str, Meta(pattern=r"\A[0-9]{5}\Z")]
    sub_code: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_.-]{1,64}\Z")] | None = None


class TradeBody(msgspec.Struct, frozen=True):
    """A trade in the answer to a query. It names neither merchant nor application: Alipay answers about those in whose name it is asked."""

    out_trade_no: Id
    trade_no: Id
    trade_status: str
    total_amount: str
    trans_currency: str | None = None
    send_pay_date: str | None = None


class ClosedBody(msgspec.Struct, frozen=True):
    """The answer to a close."""

    out_trade_no: Id


class RefundedBody(msgspec.Struct, frozen=True):
    """The answer to a refund; `refund_fee` is all that has gone back of the trade, not this refund."""

    out_trade_no: Id
    trade_no: Id
    fund_change: str
    refund_fee: str


class RefundBody(msgspec.Struct, frozen=True):
    """The answer to a question about a refund: without a status or an amount the refund has not happened."""

    out_trade_no: Id | None = None
    trade_no: Id | None = None
    out_request_no: Id | None = None
    total_amount: str | None = None
    refund_amount: str | None = None
    refund_status: str | None = None
    gmt_refund_pay: str | None = None


def fen(text: str) -> int:
    """Fen of an amount in yuan.

    Raises:
        ValueError: not an amount.
    """
    if not _YUAN.fullmatch(text):
        raise ValueError("not an amount in yuan")
    return int(Decimal(text) * 100)


def yuan(amount_fen: int) -> str:
    """An amount in yuan with two decimals."""
    return str(Decimal(amount_fen).scaleb(-2).quantize(Decimal("0.01")))


def moment(text: str | None) -> datetime | None:
    """A time of day in Beijing, aware; fractions of a second are dropped.

    Raises:
        ValueError: not a time.
    """
    if text is None:
        return None
    return datetime.strptime(text[:19], TIME_FORMAT).replace(tzinfo=clock.SHANGHAI)


def queried(body: TradeBody, merchant: str, app_id: str) -> Trade:
    """The port's value of a query's answer. `merchant` and `app_id` are those in whose name the question was asked.

    Raises:
        StateUnknown: a state that is not in the table. ValueError: an amount or time that is none.
    """
    paid_at = moment(body.send_pay_date)
    return Trade(
        state=_state(body.trade_status, was_paid=paid_at is not None),
        order_no=body.out_trade_no,
        platform_merchant=app_id,
        merchant=merchant,
        app=app_id,
        amount_fen=fen(body.total_amount),
        currency=body.trans_currency or "CNY",
        transaction_id=body.trade_no,
        succeeded_at=paid_at,
    )


def noticed(form: Mapping[str, str]) -> Trade:
    """The port's value of a notice about a trade.

    Raises:
        StateUnknown: a state that is not in the table. KeyError: a field is missing. ValueError: an amount or time that is none.
    """
    if not _TRADE_NO.fullmatch(form["trade_no"]):
        raise ValueError("not a number of a trade")
    paid_at = moment(form.get("gmt_payment"))
    going_back = "refund_fee" in form or "gmt_refund" in form
    state = _state(form["trade_status"], was_paid=paid_at is not None or going_back)
    return Trade(
        state=TradeState.REFUNDED if going_back and state is TradeState.PAID else state,
        order_no=form["out_trade_no"],
        platform_merchant=form["app_id"],
        merchant=form["seller_id"],
        app=form["app_id"],
        amount_fen=fen(form["total_amount"]),
        currency=form.get("trans_currency") or "CNY",
        transaction_id=form["trade_no"],
        succeeded_at=paid_at,
    )


def _state(word: str, *, was_paid: bool) -> TradeState:
    """A trade that is closed after it was paid has been given back whole; one that never was has run out of time."""
    state = _STATES.get(word)
    if state is None:
        raise StateUnknown(word[:32])
    return TradeState.REFUNDED if state is TradeState.CLOSED and was_paid else state
