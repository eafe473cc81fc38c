"""WeChat Pay API v3 in partner mode: one of the providers behind the port.

Every 2xx answer is verified. A refusal counts only when it is signed too; an unsigned error is nobody's word, and the outcome of
its call is unknown.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Meta

from core import clock
from core.log import get_logger
from core.outbound import Answer, Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from payments.providers.port import (
    UNKNOWN_ORDER_UNVERIFIED,
    CloseOutcome,
    Method,
    OrderName,
    OrderOpened,
    OrderRequest,
    OrderTrades,
    ProviderRefused,
    RefundAnswer,
    RefundRequest,
)
from payments.providers.wechat_pay import orders
from payments.providers.wechat_pay.answers import CombinedBody, ErrorBody, Opened, RefundBody, StateUnknown, TradeBody
from payments.providers.wechat_pay.codes import (
    ORDER_CLOSED,
    ORDER_NOT_EXIST,
    ORDER_PAID,
    RESOURCE_NOT_EXISTS,
    canonical,
    kind_of,
)
from payments.providers.wechat_pay.config import PlatformKeys, WeChatPayConfig
from payments.providers.wechat_pay.methods import kept, shown
from payments.providers.wechat_pay.signing import SignatureWrong, authorization, decrypt, verify

log = get_logger(__name__)
T = TypeVar("T")

NAME = "wechat_pay"
REFUND_TIMEOUT = timedelta(seconds=10)
CERTIFICATES_BYTES = 256 * 1024
_REFUNDS = "/v3/refund/domestic/refunds"
_REFUND_NO = re.compile(r"[0-9A-Za-z_|*@-]{1,64}")


class _SealedCertificate(msgspec.Struct, frozen=True):
    algorithm: Annotated[str, Meta(pattern=r"\AAEAD_AES_256_GCM\Z")]
    nonce: str
    ciphertext: str
    associated_data: str = ""


class _CertificateItem(msgspec.Struct, frozen=True):
    serial_no: str
    encrypt_certificate: _SealedCertificate


class _Certificates(msgspec.Struct, frozen=True):
    data: Annotated[tuple[_CertificateItem, ...], Meta(max_length=20)]


class WeChatPay:
    """The port's verbs over the wire."""

    name = NAME
    shortest_order = timedelta(seconds=65)
    """The platform asks for a minute, counted when the call arrives."""
    most_parts: Mapping[Method, int] = dict.fromkeys((Method.JSAPI, Method.H5, Method.NATIVE), orders.MOST_PARTS)

    def __init__(self, config: WeChatPayConfig, counterpart: Counterpart) -> None:
        self._config = config
        self._counterpart = counterpart
        self.platform_merchant = config.sp_mchid
        self.app = config.sp_appid

    async def create_order(self, order: OrderRequest) -> OrderOpened:
        """Open an order by its method. The same order again gives a fresh handle.

        Raises:
            ProviderRefused: ORDER_PAID, INVALID_REQUEST when the number was used with another content, …
        """
        path, body = orders.opening(self._config, order)
        answer = await self._call("order", "POST", path, body)
        try:
            given = self._read("order", answer, Opened).handle(order.method)
        except StateUnknown as error:
            raise self._malformed("order", "wrong_shape") from error
        return OrderOpened(kept(order, given, clock.now()))

    def client_params(self, method: Method, handle: str) -> dict[str, str]:
        """What wx.requestPayment takes, signed at this moment; or the address of a page or of a code.

        Raises:
            HandleStale: the address of a page that has served its five minutes.
        """
        return shown(self._config, method, handle, clock.now())

    async def query(self, order: OrderName) -> OrderTrades | None:
        """The trades under our numbers, ``None`` when the platform knows no such order."""
        try:
            answer = await self._call("query", "GET", orders.asking(self._config, order))
        except ProviderRefused as refused:
            if refused.provider_code == ORDER_NOT_EXIST:
                return None
            raise
        try:
            found = self._read("query", answer, CombinedBody if order.is_combined else TradeBody).trades()
        except StateUnknown as error:
            raise self._malformed("query", "state_unknown") from error
        if (found.number, {(trade.order_no, trade.merchant) for trade in found.trades}) != (
            order.number,
            set(order.parts),
        ):
            raise self._malformed("query", "other_order")
        return found

    async def close(self, order: OrderName) -> CloseOutcome:
        """Close an order. A payment may land between a query and this call: then it is ``ALREADY_PAID``."""
        path, body = orders.closing(self._config, order)
        try:
            await self._call("close", "POST", path, body)
        except ProviderRefused as refused:
            outcome = _CLOSE_OUTCOMES.get(refused.provider_code)
            if outcome is None:
                raise
            return outcome
        return CloseOutcome.CLOSED

    async def refund(self, refund: RefundRequest) -> RefundAnswer:
        """Ask for a refund, as often as there is doubt, always under the same number.

        Raises:
            ProviderRefused: NOT_ENOUGH (temporary) when the merchant's balance is too small, …
        """
        _check_refund(refund)
        body = {
            "sub_mchid": refund.merchant,
            "out_trade_no": refund.order_no,
            "out_refund_no": refund.refund_no,
            "reason": refund.reason,
            "notify_url": refund.notify_url,
            "amount": {"refund": refund.refund_fen, "total": refund.total_fen, "currency": "CNY"},
        }
        answer = await self._call("refund", "POST", _REFUNDS, body, timeout=REFUND_TIMEOUT)
        return self._refund("refund", answer, refund.refund_no)

    async def query_refund(self, refund: RefundRequest) -> RefundAnswer | None:
        """The refund under our number, ``None`` when the platform knows none."""
        refund_no, merchant = refund.refund_no, refund.merchant
        if not _REFUND_NO.fullmatch(refund_no):
            raise ValueError("refund_no is 1 to 64 of [0-9A-Za-z_|*@-]")
        address = f"{_REFUNDS}/{quote(refund_no, safe='')}?sub_mchid={quote(merchant, safe='')}"
        try:
            answer = await self._call("refund_query", "GET", address)
        except ProviderRefused as refused:
            if refused.provider_code == RESOURCE_NOT_EXISTS:
                return None
            raise
        return self._refund("refund_query", answer, refund_no)

    async def refresh_certificates(self) -> tuple[str, ...]:
        """Fetch the platform's certificates, believe them from now on, and return them (PEM) for the other processes.

        For a job, hourly; never called because a message came with an unknown serial. The list is sealed with the APIv3 key; its
        signature must be by a key known before or by one of the list.
        """
        answer = await self._send("certificates", "GET", "/v3/certificates", b"", max_answer_bytes=CERTIFICATES_BYTES)
        if answer.status != 200:
            raise self._refusal("certificates", answer)
        items = self._read("certificates", answer, _Certificates).data
        try:
            pems = tuple(self._unsealed(item) for item in items)
            if pems and not self._is_by(answer, self._config.platform):
                verify(answer.headers, answer.content, PlatformKeys(None, None, pems), clock.now())
            self._config.platform.learn(pems)
        except (SignatureWrong, ValueError) as error:
            raise self._malformed("certificates", "signature") from error
        return pems

    def _unsealed(self, item: _CertificateItem) -> str:
        sealed = item.encrypt_certificate
        return decrypt(self._config.api_v3_key, sealed.nonce, sealed.associated_data, sealed.ciphertext).decode()

    def _is_by(self, answer: Answer, platform: PlatformKeys) -> bool:
        try:
            verify(answer.headers, answer.content, platform, clock.now())
        except SignatureWrong as wrong:
            if wrong.reason == "serial_unknown":
                return False
            raise
        return True

    async def _call(
        self, operation: str, method: str, path: str, body: object = None, *, timeout: timedelta | None = None
    ) -> Answer:
        """Send, and return the verified 2xx answer."""
        content = msgspec.json.encode(body) if body is not None else b""
        answer = await self._send(operation, method, path, content, timeout=timeout)
        if not 200 <= answer.status < 300:
            raise self._refusal(operation, answer)
        try:
            verify(answer.headers, answer.content, self._config.platform, clock.now())
        except SignatureWrong as wrong:
            raise self._malformed(operation, f"signature.{wrong.reason}") from wrong
        return answer

    async def _send(
        self,
        operation: str,
        method: str,
        path: str,
        content: bytes,
        *,
        timeout: timedelta | None = None,
        max_answer_bytes: int | None = None,
    ) -> Answer:
        signed_path = self._counterpart.base_path + path
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": authorization(self._config, method, signed_path, content, clock.now()),
        }
        if self._config.platform.public_key_id is not None:
            headers["Wechatpay-Serial"] = self._config.platform.public_key_id
        return await self._counterpart.request(
            method,
            path,
            operation=operation,
            headers=headers,
            content=content,
            # Order, close and refund are idempotent by our number.
            idempotent=True,
            timeout=timeout,
            max_answer_bytes=max_answer_bytes,
        )

    def _refusal(self, operation: str, answer: Answer) -> Exception:
        try:
            stated = canonical(decode(answer.content, ErrorBody).code)
        except JsonRefused:
            stated = "none"
        try:
            verify(answer.headers, answer.content, self._config.platform, clock.now())
        except SignatureWrong as wrong:
            log.error(
                "wechat_pay.error_unverified",
                operation=operation,
                status=answer.status,
                error_code=stated,
                reason=wrong.reason,
                request_id=answer.header("Request-ID"),
            )
            reason = UNKNOWN_ORDER_UNVERIFIED if operation == "close" and answer.status == 404 else "error_unverified"
            return MalformedAnswer(self._counterpart.name, operation, reason)
        if stated == "none":
            return self._malformed(operation, "error_shape")
        kind = kind_of(stated)
        log.warning(
            "wechat_pay.refused", operation=operation, error_code=stated, request_id=answer.header("Request-ID")
        )
        if kind is FailureKind.UNKNOWN:
            return OutcomeUnknown(self._counterpart.name, operation, "server_error")
        return ProviderRefused(NAME, operation, stated, kind)

    def _refund(self, operation: str, answer: Answer, refund_no: str) -> RefundAnswer:
        body = self._read(operation, answer, RefundBody)
        if body.out_refund_no != refund_no:
            raise self._malformed(operation, "other_refund")
        try:
            return body.refund()
        except StateUnknown as error:
            raise self._malformed(operation, "state_unknown") from error

    def _read(self, operation: str, answer: Answer, type_: type[T]) -> T:
        try:
            return decode(answer.content, type_)
        except JsonRefused as error:
            raise self._malformed(operation, error.reason) from error

    def _malformed(self, operation: str, reason: str) -> MalformedAnswer:
        log.error("wechat_pay.answer_malformed", operation=operation, reason=reason)
        return MalformedAnswer(self._counterpart.name, operation, reason)


_CLOSE_OUTCOMES = {
    ORDER_CLOSED: CloseOutcome.CLOSED,
    ORDER_PAID: CloseOutcome.ALREADY_PAID,
    ORDER_NOT_EXIST: CloseOutcome.UNKNOWN_ORDER,
}


def _check_refund(refund: RefundRequest) -> None:
    orders.path_part(refund.order_no)
    if not _REFUND_NO.fullmatch(refund.refund_no):
        raise ValueError("refund_no is 1 to 64 of [0-9A-Za-z_|*@-]")
    if not 1 <= refund.refund_fen <= refund.total_fen:
        raise ValueError("a refund is at least 1 fen and at most the order")
    if not 1 <= len(refund.reason) <= 80:
        raise ValueError("a reason has 1 to 80 characters")
    orders.check_notify_url(refund.notify_url, 256)
