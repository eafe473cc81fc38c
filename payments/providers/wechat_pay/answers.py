"""What WeChat Pay states about trades and refunds, read into the port's neutral values.

Booked is ``amount.total``, the order's amount; ``payer_total`` is smaller when the payer used a coupon of the platform.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from payments.providers.port import RefundAnswer, RefundState, Trade, TradeState

_TRADE_STATES = {
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.REFUNDED,
    "NOTPAY": TradeState.NOT_PAID,
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
    "USERPAYING": TradeState.PAYING,
    "PAYERROR": TradeState.FAILED,
}
_REFUND_STATES = {
    "PROCESSING": RefundState.PROCESSING,
    "SUCCESS": RefundState.SUCCESS,
    "ABNORMAL": RefundState.ABNORMAL,
    "CLOSED": RefundState.CLOSED,
}

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Fen = Annotated[int, Meta(ge=1, le=10**12)]
Instant = Annotated[datetime, Meta(tz=True)]


class StateUnknown(ValueError):
    """A state that is not in the table."""


class Prepay(msgspec.Struct, frozen=True):
    """The answer to an opened order."""

    prepay_id: Id


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of a refusal."""

    code: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_]{1,64}\Z")]


class _TradeAmount(msgspec.Struct, frozen=True):
    total: Fen | None = None
    currency: str | None = None


class _Payer(msgspec.Struct, frozen=True):
    sp_openid: str | None = None


class TradeBody(msgspec.Struct, frozen=True):
    """A trade in an answer or a notice, partner mode."""

    sp_mchid: Id
    sub_mchid: Id
    out_trade_no: Id
    trade_state: str
    sp_appid: str | None = None
    transaction_id: Id | None = None
    success_time: Instant | None = None
    payer: _Payer | None = None
    amount: _TradeAmount | None = None

    def trade(self) -> Trade:
        """The port's value.

        Raises:
            StateUnknown: a state that is not in the table.
        """
        state = _TRADE_STATES.get(self.trade_state)
        if state is None:
            raise StateUnknown(self.trade_state[:32])
        return Trade(
            state=state,
            order_no=self.out_trade_no,
            platform_merchant=self.sp_mchid,
            merchant=self.sub_mchid,
            app=self.sp_appid,
            amount_fen=self.amount.total if self.amount else None,
            currency=self.amount.currency if self.amount else None,
            transaction_id=self.transaction_id,
            succeeded_at=self.success_time,
            payer=self.payer.sp_openid if self.payer else None,
        )


class _RefundAmount(msgspec.Struct, frozen=True):
    total: Fen
    refund: Fen
    currency: str | None = None


class RefundBody(msgspec.Struct, frozen=True):
    """A refund in an answer (``status``) or in a notice (``refund_status``, merchants, no currency)."""

    out_refund_no: Id
    refund_id: Id
    out_trade_no: Id
    amount: _RefundAmount
    status: str | None = None
    refund_status: str | None = None
    transaction_id: Id | None = None
    success_time: Instant | None = None
    sub_mchid: Id | None = None

    def refund(self) -> RefundAnswer:
        """The port's value.

        Raises:
            StateUnknown: no state, two, or one that is not in the table.
        """
        stated = [word for word in (self.status, self.refund_status) if word is not None]
        state = _REFUND_STATES.get(stated[0]) if len(stated) == 1 else None
        if state is None:
            raise StateUnknown(",".join(stated)[:32])
        return RefundAnswer(
            state=state,
            refund_no=self.out_refund_no,
            order_no=self.out_trade_no,
            refund_id=self.refund_id,
            refund_fen=self.amount.refund,
            total_fen=self.amount.total,
            merchant=self.sub_mchid,
            transaction_id=self.transaction_id,
            currency=self.amount.currency,
            succeeded_at=self.success_time,
        )
