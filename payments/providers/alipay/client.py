"""Alipay's gateway: one of the providers behind the port, for payers in a phone's browser.

An answer counts only when its signature covers the very bytes of its member; anything else is nobody's word, and the outcome of the call
is unknown. Opening an order asks nobody: it is an address that we sign, and the trade is at Alipay only once the payer has opened it.
Until then a query and a close answer that there is no such trade, though the address can still be opened: `time_expire` ends that.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from core import clock
from core.log import get_logger
from core.outbound import Answer, Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode, parse
from payments.providers.alipay.answers import (
    ClosedBody,
    RefundBody,
    RefundedBody,
    Refusal,
    StateUnknown,
    TradeBody,
    fen,
    moment,
    queried,
    yuan,
)
from payments.providers.alipay.codes import NOT_IN_THIS_STATE, SUCCESS, TRADE_NOT_EXIST, kind_of
from payments.providers.alipay.config import AlipayConfig
from payments.providers.alipay.signing import TIME_FORMAT, SignatureWrong, encoded, signed_parameters, verify_answer
from payments.providers.port import (
    CloseOutcome,
    Method,
    OrderName,
    OrderOpened,
    OrderRequest,
    OrderTrades,
    ProviderRefused,
    RefundAnswer,
    RefundRequest,
    RefundState,
    TradeState,
)

log = get_logger(__name__)
T = TypeVar("T")

NAME = "alipay"
GATEWAY_PATH = "/gateway.do"
REFUND_TIMEOUT = timedelta(seconds=10)
NOT_AUTHORISED = "merchant_not_authorised"
"""Our own word for a merchant in whose name we may not act (any more)."""
_FULL_WIDTH = str.maketrans({"/": "／", "=": "＝", "&": "＆"})


class _Order(msgspec.Struct, frozen=True):
    """The handle of an order: what its address is made of, without key or token, so that it is signed fresh each time."""

    order_no: str
    merchant: str
    amount_fen: int
    subject: str
    expires_at: datetime
    notify_url: str
    return_url: str


class Alipay:
    """The port's verbs over the wire."""

    name = NAME
    shortest_order = timedelta(seconds=65)
    """The platform asks for a minute, counted when the payer confirms."""
    most_parts: Mapping[Method, int] = {Method.WAP: 1}

    def __init__(self, config: AlipayConfig, counterpart: Counterpart) -> None:
        self._config = config
        self._counterpart = counterpart
        self.platform_merchant = config.app_id
        self.app = config.app_id

    async def create_order(self, order: OrderRequest) -> OrderOpened:
        """Keep what the address will be made of; asks nobody.

        Raises:
            ProviderRefused: the merchant has not authorised us. ValueError: an order that must not be asked for.
        """
        _check_order(order)
        (part,) = order.parts
        self._check_merchant("order", part.merchant)
        assert order.return_url is not None
        # Three characters are not allowed in a subject.
        subject = part.description.translate(_FULL_WIDTH)[:256]
        handle = _Order(
            part.order_no, part.merchant, part.amount_fen, subject, order.expires_at, order.notify_url, order.return_url
        )
        return OrderOpened(msgspec.json.encode(handle).decode())

    def client_params(self, method: Method, handle: str) -> dict[str, str]:
        """``{url}``: the cashier's address for the payer's browser, signed at this moment. It ends with the order's time."""
        order = msgspec.json.decode(handle, type=_Order)
        body: dict[str, object] = {
            "out_trade_no": order.order_no,
            "total_amount": yuan(order.amount_fen),
            "subject": order.subject,
            "product_code": "QUICK_WAP_WAY",
            "quit_url": order.return_url,
            "time_expire": order.expires_at.astimezone(clock.SHANGHAI).strftime(TIME_FORMAT),
            "seller_id": order.merchant,
        }
        if self._config.service_provider:
            body["extend_params"] = {"sys_service_provider_id": self._config.service_provider}
        parameters = signed_parameters(
            self._config, "alipay.trade.wap.pay", body, order.merchant, clock.now(),
            notify_url=order.notify_url, return_url=order.return_url,
        )  # fmt: skip
        return {"url": f"{self._config.gateway}?{encoded(parameters)}"}

    async def query(self, order: OrderName) -> OrderTrades | None:
        """The trade under our number, ``None`` when Alipay knows none: also as long as the payer has not opened it."""
        ((order_no, merchant),) = order.parts
        try:
            raw = await self._call("query", "alipay.trade.query", {"out_trade_no": order_no}, merchant)
        except ProviderRefused as refused:
            if refused.provider_code == TRADE_NOT_EXIST:
                return None
            raise
        body = self._read("query", raw, TradeBody)
        if body.out_trade_no != order_no:
            raise self._malformed("query", "other_order")
        try:
            return OrderTrades(order_no, (queried(body, merchant, self._config.app_id),))
        except StateUnknown as error:
            raise self._malformed("query", "state_unknown") from error
        except ValueError as error:
            raise self._malformed("query", "wrong_shape") from error

    async def close(self, order: OrderName) -> CloseOutcome:
        """Close a trade. One that is paid or closed already is refused alike, so a query tells which."""
        ((order_no, merchant),) = order.parts
        try:
            raw = await self._call("close", "alipay.trade.close", {"out_trade_no": order_no}, merchant)
        except ProviderRefused as refused:
            if refused.provider_code == TRADE_NOT_EXIST:
                return CloseOutcome.UNKNOWN_ORDER
            if refused.provider_code not in NOT_IN_THIS_STATE:
                raise
            return await self._found_ended(order, refused)
        if self._read("close", raw, ClosedBody).out_trade_no != order_no:
            raise self._malformed("close", "other_order")
        return CloseOutcome.CLOSED

    async def refund(self, refund: RefundRequest) -> RefundAnswer:
        """Ask for a refund; the same number again moves nothing twice. Whether it has moved, only ``fund_change`` Y or a query says.

        Raises:
            ProviderRefused: SELLER_BALANCE_NOT_ENOUGH (temporary), TRADE_HAS_FINISHED (permanent), …
        """
        _check_refund(refund)
        body = {
            "out_trade_no": refund.order_no,
            "refund_amount": yuan(refund.refund_fen),
            "out_request_no": refund.refund_no,
            "refund_reason": refund.reason,
        }
        raw = await self._call("refund", "alipay.trade.refund", body, refund.merchant, timeout=REFUND_TIMEOUT)
        answer = self._read("refund", raw, RefundedBody)
        if answer.out_trade_no != refund.order_no:
            raise self._malformed("refund", "other_refund")
        # All that has gone back of the trade: this refund's amount as long as it is the only one, else the query must say.
        try:
            moved = answer.fund_change == "Y" and fen(answer.refund_fee) == refund.refund_fen
        except ValueError as error:
            raise self._malformed("refund", "wrong_shape") from error
        return RefundAnswer(
            state=RefundState.SUCCESS if moved else RefundState.PROCESSING,
            refund_no=refund.refund_no,
            order_no=answer.out_trade_no,
            refund_id=refund.refund_no,  # Alipay has no number of its own for a refund
            refund_fen=refund.refund_fen,
            total_fen=refund.total_fen,
            transaction_id=answer.trade_no,
        )

    async def query_refund(self, refund: RefundRequest) -> RefundAnswer | None:
        """The refund under our number once its money has moved; ``None`` before, so that it is asked for again."""
        body = {"out_trade_no": refund.order_no, "out_request_no": refund.refund_no}
        try:
            raw = await self._call("refund_query", "alipay.trade.fastpay.refund.query", body, refund.merchant)
        except ProviderRefused as refused:
            if refused.provider_code == TRADE_NOT_EXIST:
                return None
            raise
        answer = self._read("refund_query", raw, RefundBody)
        if answer.refund_status is None and answer.refund_amount is None:
            return None
        if (answer.out_trade_no, answer.out_request_no) != (refund.order_no, refund.refund_no):
            raise self._malformed("refund_query", "other_refund")
        if answer.refund_status not in (None, "REFUND_SUCCESS") or not (answer.refund_amount and answer.total_amount):
            raise self._malformed("refund_query", "state_unknown")
        try:
            return RefundAnswer(
                state=RefundState.SUCCESS,
                refund_no=refund.refund_no,
                order_no=refund.order_no,
                refund_id=refund.refund_no,
                refund_fen=fen(answer.refund_amount),
                total_fen=fen(answer.total_amount),
                transaction_id=answer.trade_no,
                succeeded_at=moment(answer.gmt_refund_pay),
            )
        except ValueError as error:
            raise self._malformed("refund_query", "wrong_shape") from error

    async def _found_ended(self, order: OrderName, refused: ProviderRefused) -> CloseOutcome:
        found = await self.query(order)
        if found is None:
            return CloseOutcome.UNKNOWN_ORDER
        state = found.trades[0].state
        if state.was_paid:
            return CloseOutcome.ALREADY_PAID
        if state is TradeState.CLOSED:
            return CloseOutcome.CLOSED
        raise refused

    def _check_merchant(self, operation: str, merchant: str) -> None:
        if merchant not in self._config.tokens:
            log.error("alipay.merchant_not_authorised", operation=operation)
            raise ProviderRefused(NAME, operation, NOT_AUTHORISED, FailureKind.TECHNICAL)

    async def _call(
        self, operation: str, method: str, body: object, merchant: str, *, timeout: timedelta | None = None
    ) -> bytes:
        """Send, and return the verified raw member of a successful answer."""
        self._check_merchant(operation, merchant)
        parameters = signed_parameters(self._config, method, body, merchant, clock.now())
        content = encoded({"biz_content": parameters.pop("biz_content")}).encode()
        answer = await self._counterpart.request(
            "POST",
            f"{GATEWAY_PATH}?{encoded(parameters)}",
            operation=operation,
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8", "Accept": "application/json"},
            content=content,
            # Close and refund are idempotent by our number.
            idempotent=True,
            timeout=timeout,
        )
        raw = self._verified(operation, method, answer)
        head = self._read(operation, raw, Refusal)
        if head.code == SUCCESS:
            return raw
        kind = kind_of(head.code, head.sub_code)
        log.warning("alipay.refused", operation=operation, error_code=head.code, sub_code=head.sub_code)
        if kind is FailureKind.UNKNOWN:
            raise OutcomeUnknown(self._counterpart.name, operation, "server_error")
        raise ProviderRefused(NAME, operation, head.sub_code or head.code, kind)

    def _verified(self, operation: str, method: str, answer: Answer) -> bytes:
        """The answer's member, byte for byte as it came, once its signature is found right."""
        if answer.status != 200:
            raise self._malformed(operation, "http_status")
        try:
            parse(answer.content)
            members = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])
        except (JsonRefused, msgspec.DecodeError) as error:
            raise self._malformed(operation, "not_json") from error
        raw = members.get(f"{method.replace('.', '_')}_response") or members.get("error_response")
        if raw is None:
            raise self._malformed(operation, "wrong_shape")
        signature, number = _text(members.get("sign")), _text(members.get("alipay_cert_sn"))
        content = bytes(raw)
        try:
            if signature is None:
                raise SignatureWrong("unsigned")
            verify_answer(self._config.keys, content, signature, number, clock.now())
        except SignatureWrong as wrong:
            self._log_unverified(operation, content, wrong.reason)
            raise self._malformed(operation, f"signature.{wrong.reason}") from wrong
        return content

    def _log_unverified(self, operation: str, content: bytes, reason: str) -> None:
        """What an answer said that proves nothing: operators need its code, nobody else may use it."""
        try:
            head = decode(content, Refusal)
        except JsonRefused:
            head = Refusal("none")
        log.error(
            "alipay.answer_unverified", operation=operation, error_code=head.code, sub_code=head.sub_code, reason=reason
        )

    def _read(self, operation: str, raw: bytes, type_: type[T]) -> T:
        try:
            return decode(raw, type_)
        except JsonRefused as error:
            raise self._malformed(operation, error.reason) from error

    def _malformed(self, operation: str, reason: str) -> MalformedAnswer:
        log.error("alipay.answer_malformed", operation=operation, reason=reason)
        return MalformedAnswer(self._counterpart.name, operation, reason)


def _text(raw: msgspec.Raw | None) -> str | None:
    """A member that is a text; None when it is missing or anything else."""
    if raw is None:
        return None
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else None


def _check_order(order: OrderRequest) -> None:
    if len(order.parts) != 1 or order.method is not Method.WAP:
        raise ValueError("an order at Alipay is for one merchant, paid in a browser")
    (part,) = order.parts
    if not 1 <= part.amount_fen <= 10**10:
        raise ValueError("an order has 1 fen to 100 million yuan")
    if not 1 <= len(part.description) <= 256:
        raise ValueError("a description has 1 to 256 characters")
    if order.expires_at.tzinfo is None:
        raise ValueError("expires_at is an aware time")
    for address in (order.notify_url, order.return_url):
        if address is None or len(address) > 256 or not address.startswith(("https://", "http://")):
            raise ValueError("notify and return addresses are absolute and not too long")


def _check_refund(refund: RefundRequest) -> None:
    if not 1 <= refund.refund_fen <= refund.total_fen:
        raise ValueError("a refund is at least 1 fen and at most the order")
    if not 1 <= len(refund.reason) <= 256 or not 1 <= len(refund.refund_no) <= 64:
        raise ValueError("a reason has 1 to 256 characters, a refund number 1 to 64")
