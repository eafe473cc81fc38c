"""The port of a payment provider: what payments ask of WeChat Pay, Alipay or any other, in neutral words.

Amounts are integer fen, times aware. An amount the provider did not state is ``None``, never 0. Every call may raise
:class:`core.outbound.NotSent` (nothing happened), :class:`core.outbound.OutcomeUnknown` (ask with a query under the same number)
or :class:`ProviderRefused` (a verified refusal).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from core.errors import LianbanError
from core.outbound import FailureKind

__all__ = [
    "UNKNOWN_ORDER_UNVERIFIED",
    "CloseOutcome",
    "ExpectedTrade",
    "FailureKind",
    "OrderOpened",
    "OrderRequest",
    "PaymentProvider",
    "ProviderRefused",
    "RefundAnswer",
    "RefundRequest",
    "RefundState",
    "Trade",
    "TradeState",
    "refund_matches",
    "trade_matches",
]


UNKNOWN_ORDER_UNVERIFIED = "unknown_order_unverified"
"""The `reason` of a :class:`core.outbound.MalformedAnswer`: the provider seems to know no such order, but did not sign its answer."""


class ProviderRefused(LianbanError):
    """The provider refused, and its answer is verified. `provider_code` is its own word in one spelling, `kind` whose fault it is."""

    code = "payment_provider_refused"

    def __init__(self, provider: str, operation: str, provider_code: str, kind: FailureKind) -> None:
        super().__init__(f"{provider} {operation}: {provider_code}")
        self.provider = provider
        self.operation = operation
        self.provider_code = provider_code
        self.kind = kind


class TradeState(StrEnum):
    """What has become of an order at the provider."""

    NOT_PAID = "not_paid"
    PAYING = "paying"
    PAID = "paid"
    REFUNDED = "refunded"
    """It was paid, and a refund of some of it has begun."""
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def was_paid(self) -> bool:
        """True when the money had arrived, whatever came of it later."""
        return self in (TradeState.PAID, TradeState.REFUNDED)


class CloseOutcome(StrEnum):
    """What became of closing an order."""

    CLOSED = "closed"
    ALREADY_PAID = "already_paid"
    UNKNOWN_ORDER = "unknown_order"


class RefundState(StrEnum):
    """What has become of a refund. Acceptance is not success: it begins as processing."""

    PROCESSING = "processing"
    SUCCESS = "success"
    ABNORMAL = "abnormal"
    """The way back is blocked (a card that no longer exists): a person must name another."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to open. `order_no` is ours: 6–32 of ``[0-9A-Za-z_|*-]``; `merchant` is the company's number at the provider."""

    order_no: str
    merchant: str
    amount_fen: int
    description: str
    payer: str = field(repr=False)
    expires_at: datetime
    notify_url: str


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """The provider's handle of an opened order; WeChat Pay's lives two hours."""

    prepay: str


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade as the provider states it. `platform_merchant` and `app` are ours at the provider, `amount_fen` is the order's total."""

    state: TradeState
    order_no: str
    platform_merchant: str
    merchant: str
    app: str | None = None
    amount_fen: int | None = None
    currency: str | None = None
    transaction_id: str | None = None
    succeeded_at: datetime | None = None
    payer: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ExpectedTrade:
    """What our own rows say about a trade."""

    order_no: str
    platform_merchant: str
    merchant: str
    app: str
    amount_fen: int
    currency: str = "CNY"


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund to ask for. Asking again after a doubt must carry the same `refund_no` and the same content."""

    refund_no: str
    order_no: str
    merchant: str
    refund_fen: int
    total_fen: int
    reason: str
    notify_url: str


@dataclass(frozen=True, slots=True)
class RefundAnswer:
    """A refund as the provider states it; `refund_fen` and `total_fen` are amounts of the order, before any coupon."""

    state: RefundState
    refund_no: str
    order_no: str
    refund_id: str
    refund_fen: int
    total_fen: int
    merchant: str | None = None
    transaction_id: str | None = None
    currency: str | None = None
    succeeded_at: datetime | None = None


class PaymentProvider(Protocol):
    """What each provider does for payments."""

    @property
    def name(self) -> str:
        """The provider's word in our rows, such as ``wechat_pay``."""
        ...

    @property
    def shortest_order(self) -> timedelta:
        """How far ahead the end of an order must lie when we ask for it."""
        ...

    async def create_order(self, order: OrderRequest) -> OrderOpened:
        """Open an order. The same order again gives a usable handle again."""
        ...

    def client_params(self, prepay: str) -> dict[str, str]:
        """What the payer's client needs to show the cashier, signed fresh on each call."""
        ...

    async def query(self, order_no: str, merchant: str) -> Trade | None:
        """The trade, or ``None`` when the provider knows no such order."""
        ...

    async def close(self, order_no: str, merchant: str) -> CloseOutcome:
        """Close an unpaid order; may be repeated."""
        ...

    async def refund(self, refund: RefundRequest) -> RefundAnswer:
        """Ask for a refund."""
        ...

    async def query_refund(self, refund_no: str, merchant: str) -> RefundAnswer | None:
        """The refund, or ``None`` when the provider knows no such refund."""
        ...


def trade_matches(trade: Trade, expected: ExpectedTrade) -> list[str]:
    """The names of the fields in which a paid trade differs from our rows; empty means it is ours to the fen.

    A field the provider left out differs.
    """
    return [
        name
        for name in ("order_no", "platform_merchant", "merchant", "app", "amount_fen", "currency")
        if getattr(trade, name) != getattr(expected, name)
    ]


def refund_matches(answer: RefundAnswer, expected: RefundRequest) -> list[str]:
    """The names of the fields in which a refund differs from what was asked.

    Merchant and currency are compared when stated: refund notices of WeChat Pay have no currency, its answers no merchant.
    """
    names = [
        n for n in ("refund_no", "order_no", "refund_fen", "total_fen") if getattr(answer, n) != getattr(expected, n)
    ]
    if answer.merchant is not None and answer.merchant != expected.merchant:
        names.append("merchant")
    if answer.currency not in (None, "CNY"):
        names.append("currency")
    return names
