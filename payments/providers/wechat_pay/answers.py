"""What WeChat Pay states about trades and refunds, read into the port's neutral values.

Booked is ``amount.total``, the order's amount; ``payer_total`` is smaller when the payer used a coupon of the platform.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from payments.providers.port import Method, OrderTrades, RefundAnswer, RefundState, Trade, TradeState

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

Id = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_|*@-]{1,64}\Z")]
Address = Annotated[str, Meta(min_length=1, max_length=512)]
Fen = Annotated[int, Meta(ge=1, le=10**12)]
Instant = Annotated[datetime, Meta(tz=True)]


class StateUnknown(ValueError):
    """A state that is not in the table."""


class Opened(msgspec.Struct, frozen=True):
    """The answer to an opened order: one of the three, by its method."""

    prepay_id: Id | None = None
    code_url: Address | None = None
    h5_url: Address | None = None

    def handle(self, method: Method) -> str:
        """What the method needs.

        Raises:
            StateUnknown: the platform has answered with something else.
        """
        handle = {Method.JSAPI: self.prepay_id, Method.NATIVE: self.code_url, Method.H5: self.h5_url}.get(method)
        if handle is None:
            raise StateUnknown(method)
        return handle


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

    def trades(self) -> OrderTrades:
        """The port's value.

        Raises:
            StateUnknown: a state that is not in the table.
        """
        return OrderTrades(self.out_trade_no, (self.trade(),))

    def trade(self) -> Trade:
        """The one trade of an ordinary order.

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


class _SubAmount(msgspec.Struct, frozen=True):
    total_amount: Fen | None = None
    currency: str | None = None


class _SubOrder(msgspec.Struct, frozen=True):
    mchid: Id
    sub_mchid: Id
    out_trade_no: Id
    trade_state: str
    transaction_id: Id | None = None
    success_time: Instant | None = None
    amount: _SubAmount | None = None


class _CombinedPayer(msgspec.Struct, frozen=True):
    openid: str | None = None


class CombinedBody(msgspec.Struct, frozen=True):
    """A combined order in an answer or a notice. Its amounts are called otherwise than those of an ordinary order."""

    combine_appid: Id
    combine_mchid: Id
    combine_out_trade_no: Id
    sub_orders: Annotated[tuple[_SubOrder, ...], Meta(min_length=1, max_length=50)]
    combine_payer_info: _CombinedPayer | None = None

    def trades(self) -> OrderTrades:
        """The port's value.

        Raises:
            StateUnknown: a state that is not in the table, or a sub-order that somebody else has started.
        """
        return OrderTrades(self.combine_out_trade_no, tuple(self._trade(sub_order) for sub_order in self.sub_orders))

    def _trade(self, said: _SubOrder) -> Trade:
        state = _TRADE_STATES.get(said.trade_state)
        if state is None or said.mchid != self.combine_mchid:
            raise StateUnknown(said.trade_state[:32])
        return Trade(
            state=state,
            order_no=said.out_trade_no,
            platform_merchant=said.mchid,
            merchant=said.sub_mchid,
            app=self.combine_appid,
            amount_fen=said.amount.total_amount if said.amount else None,
            currency=said.amount.currency if said.amount else None,
            transaction_id=said.transaction_id,
            succeeded_at=said.success_time,
            payer=self.combine_payer_info.openid if self.combine_payer_info else None,
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
    sp_mchid: Id | None = None
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
            platform_merchant=self.sp_mchid,
            merchant=self.sub_mchid,
            transaction_id=self.transaction_id,
            currency=self.amount.currency,
            succeeded_at=self.success_time,
        )
