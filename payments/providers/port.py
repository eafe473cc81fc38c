"""The port of a payment provider: what payments ask of WeChat Pay, Alipay or any other, in neutral words.

An order with one part is an ordinary order under the part's number. One with several parts is a combined order (合单): it has a number
of its own, each part keeps its number, and the payer pays all of them or none.

Amounts are integer fen, times aware. An amount the provider did not state is ``None``, never 0. Every call may raise
:class:`core.outbound.NotSent` (nothing happened), :class:`core.outbound.OutcomeUnknown` (ask with a query under the same number)
or :class:`ProviderRefused` (a verified refusal).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from core.errors import LianbanError
from core.outbound import FailureKind, Headers

__all__ = [
    "UNKNOWN_ORDER_UNVERIFIED",
    "CloseOutcome",
    "ExpectedTrade",
    "FailureKind",
    "HandleStale",
    "Method",
    "Notice",
    "NoticeReader",
    "NoticeRefused",
    "OrderName",
    "OrderOpened",
    "OrderPart",
    "OrderRequest",
    "OrderTrades",
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


class NoticeRefused(LianbanError):
    """Not a notice of the provider, or not fresh: answer 4xx, change nothing. `reason` is a fixed word."""

    code = "payment_notice_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Method(StrEnum):
    """How the payer comes to the provider's cashier."""

    JSAPI = "jsapi"
    """Inside WeChat: the payer's own account there is named when the order is opened."""
    H5 = "h5"
    """From a browser on a phone into the provider's application."""
    NATIVE = "native"
    """A code on a screen, scanned by the payer's phone."""
    WAP = "wap"
    """A page of the provider in the phone's browser."""


class HandleStale(Exception):
    """An opened order's handle has served its time, the order not: opened again with the same content, it gives another."""


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
    """There is no such order yet: one on its way may still arrive, and an address that was signed may still be opened until its time is up."""


class RefundState(StrEnum):
    """What has become of a refund. Acceptance is not success: it begins as processing."""

    PROCESSING = "processing"
    SUCCESS = "success"
    ABNORMAL = "abnormal"
    """The way back is blocked (a card that no longer exists): a person must name another."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class OrderPart:
    """What goes to one merchant. `order_no` is ours: 6–32 of ``[0-9A-Za-z_|*-]``; `merchant` is the company's number at the provider."""

    order_no: str
    merchant: str
    amount_fen: int
    description: str


@dataclass(frozen=True, slots=True)
class OrderName:
    """What an order is asked about and closed by: its number, and (part's number, merchant) of every part."""

    number: str
    parts: tuple[tuple[str, str], ...]

    @property
    def is_combined(self) -> bool:
        """True when it has several parts, and so a number apart from theirs."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to open. `number` is the part's when there is one part, else the combined order's own.

    `payer` is the payer's subject at the provider (jsapi), `payer_ip` the address his device comes from (h5): ``None`` where the method
    does not ask for it. `return_url` is where the provider sends the browser afterwards, which proves nothing.
    """

    number: str
    method: Method
    parts: tuple[OrderPart, ...]
    expires_at: datetime
    notify_url: str
    payer: str | None = field(default=None, repr=False)
    payer_ip: str | None = field(default=None, repr=False)
    return_url: str | None = None

    @property
    def total_fen(self) -> int:
        """What the payer pays: the sum of the parts."""
        return sum(part.amount_fen for part in self.parts)

    @property
    def name(self) -> OrderName:
        """What the order is asked about and closed by."""
        return OrderName(self.number, tuple((part.order_no, part.merchant) for part in self.parts))


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """The provider's handle of an opened order: prepay id, address of a code, address of a page. WeChat Pay's prepay id lives two hours."""

    handle: str


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
class OrderTrades:
    """A verified word about an order: its number, and the trade of each of its parts (one for an ordinary order)."""

    number: str
    trades: tuple[Trade, ...]


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
    platform_merchant: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notice. `id` is the same in each repetition; `resource` is ``None`` for an event that is none of ours."""

    id: str
    event_type: str
    created_at: datetime
    resource: OrderTrades | RefundAnswer | None


class NoticeReader(Protocol):
    """Reads what a provider sends by itself."""

    def verify_notice(self, headers: Headers, body: bytes, now: datetime) -> Notice:
        """Verify the signature over the raw body, then open and read the notice. Raises NoticeRefused."""
        ...

    def open_notice(self, body: bytes) -> Notice:
        """Open a notice verified earlier, from the inbox. Raises NoticeRefused."""
        ...


class PaymentProvider(Protocol):
    """What each provider does for payments."""

    @property
    def name(self) -> str:
        """The provider's word in our rows, such as ``wechat_pay``."""
        ...

    @property
    def platform_merchant(self) -> str:
        """Our own number at the provider, which every trade must name."""
        ...

    @property
    def app(self) -> str:
        """Our application at the provider, which every trade must name."""
        ...

    @property
    def most_parts(self) -> Mapping[Method, int]:
        """The methods it has, each with the number of merchants that one order may carry (1: no combined orders)."""
        ...

    @property
    def shortest_order(self) -> timedelta:
        """How far ahead the end of an order must lie when we ask for it."""
        ...

    async def create_order(self, order: OrderRequest) -> OrderOpened:
        """Open an order. The same order again gives a usable handle again."""
        ...

    def client_params(self, method: Method, handle: str) -> dict[str, str]:
        """What the payer's client needs to show the cashier, signed fresh on each call.

        Raises:
            HandleStale: the handle is too old to be opened; the same order again gives another.
        """
        ...

    async def query(self, order: OrderName) -> OrderTrades | None:
        """The order with a trade for each part, or ``None`` when the provider knows no such order."""
        ...

    async def close(self, order: OrderName) -> CloseOutcome:
        """Close an unpaid order with all its parts; may be repeated."""
        ...

    async def refund(self, refund: RefundRequest) -> RefundAnswer:
        """Ask for a refund of some or all of one part, in a combined order too."""
        ...

    async def query_refund(self, refund: RefundRequest) -> RefundAnswer | None:
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
