"""Alipay: ``mount`` opens its port (the gateway and the cashier) and its control endpoints.

The parts: :mod:`sandbox.alipay_parties` (who takes part), :mod:`sandbox.alipay_fields` (shapes), :mod:`sandbox.alipay_trades`,
:mod:`sandbox.alipay_notices`, :mod:`sandbox.alipay_cashier` (the payer's side), :mod:`sandbox.alipay_bills`, :mod:`sandbox.alipay_control`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sanic import HTTPResponse, Request, Sanic

from sandbox import alipay_bills, alipay_cashier, alipay_control
from sandbox import alipay_crypto as crypto
from sandbox.alipay_bills import Bills
from sandbox.alipay_cashier import Cashier
from sandbox.alipay_errors import AlipayError, invalid, missing
from sandbox.alipay_fields import METHODS, check, is_address, read_object, read_time
from sandbox.alipay_notices import COUNTERPART, Notices
from sandbox.alipay_parties import App, Parties, Seller
from sandbox.alipay_trades import Trades
from sandbox.context import Context
from sandbox.replies import Reply, encode

MAX_SKEW_S: Final = 900
PAGES: Final = frozenset({"alipay.trade.wap.pay"})
"""Methods whose address is opened by the payer's browser."""
_OPERATIONS: Final = {
    "alipay.trade.query": "query",
    "alipay.trade.close": "close",
    "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "refund_query",
    alipay_bills.METHOD: "bill_link",
}
_COMMON: Final = frozenset(
    {"app_id", "method", "format", "charset", "sign_type", "sign", "timestamp", "version", "biz_content", "notify_url",
     "return_url", "app_auth_token", "app_cert_sn", "alipay_root_cert_sn"}
)  # fmt: skip
_TOKEN: Final = re.compile(r"[0-9A-Za-z]{1,40}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A call whose signature has been verified: for whom, by which application, and what."""

    app: App
    seller: Seller
    method: str
    public: Mapping[str, str]
    body: Mapping[str, Any]


def mount(app: Sanic, control_app: Sanic, context: Context) -> None:
    """Open the port. Raises ValueError or KeyError when the configuration is wrong."""
    parties = Parties(context.config["alipay"])
    notices = Notices(context, parties)
    trades = Trades(
        context.state,
        context.clock,
        lambda trade, refund: notices.add(trade, trades.status(trade), refund, trades.refunded_fen(trade)),
    )
    bills = Bills(context, trades)
    gateway = Gateway(context, parties, trades, bills)
    cashier = Cashier(context, trades, notices, gateway.read)
    alipay_cashier.mount(app, cashier)
    alipay_bills.mount(app, control_app, context, bills)
    alipay_control.mount(control_app, context, trades, notices)
    context.browsers.append(cashier.open)

    async def answer(request: Request) -> HTTPResponse:
        given = parameters(request)
        if given.get("method") in PAGES:
            return await cashier.page(request, given)
        return await gateway.answer(request, given)

    app.add_route(answer, "/gateway.do", methods=["GET", "POST"], name="gateway")


def parameters(request: Request) -> dict[str, str]:
    """Address and form together; a parameter that stands twice is left out, so that it is missed."""
    both = [request.get_args(keep_blank_values=True), request.get_form(keep_blank_values=True) or {}]
    every: dict[str, list[str]] = {}
    for given in both:
        for name in given:
            every.setdefault(name, []).extend(given.getlist(name) or [])
    return {name: str(values[0]) for name, values in every.items() if len(values) == 1}


class Gateway:
    """Reads, verifies and answers calls."""

    def __init__(self, context: Context, parties: Parties, trades: Trades, bills: Bills) -> None:
        self._context = context
        self._parties = parties
        self._work: dict[str, Callable[[Seller, Mapping[str, Any], str], dict[str, Any]]] = {
            "alipay.trade.query": lambda seller, body, _: trades.query(seller, body),
            "alipay.trade.close": lambda seller, body, _: trades.close(seller, body),
            "alipay.trade.refund": lambda seller, body, _: trades.refund(seller, body),
            "alipay.trade.fastpay.refund.query": lambda seller, body, _: trades.query_refund(seller, body),
            alipay_bills.METHOD: bills.link,
        }

    async def answer(self, request: Request, given: Mapping[str, str]) -> HTTPResponse:
        """An API call: verify, work in one transaction, sign."""
        method = given.get("method", "")
        node = f"{method.replace('.', '_')}_response" if method in METHODS else "error_response"

        def do(forge: bool) -> Reply:
            try:
                asked = self.read(given)
                self._check_time(given)
                with self._context.state.transaction():
                    found = self._work[method](asked.seller, asked.body, request.headers.get("host") or "")
                result = {"code": "10000", "msg": "Success", **found}
            except AlipayError as error:
                result = error.body()
            return self._signed(node, result, given.get("app_id", ""), forge)

        def failed(status: int) -> Reply:
            error = AlipayError("20000", "isp.unknow-error", "系统繁忙")
            return Reply(
                encode({"error_response": error.body()}), status, content_type="application/json;charset=utf-8"
            )

        return await self._context.serve(
            request, COUNTERPART, _OPERATIONS.get(method, "other"), _number(given), do, failed
        )

    def read(self, given: Mapping[str, str]) -> Asked:
        """Who is calling, is it signed as required, and what is asked. Raises AlipayError."""
        for name in ("app_id", "method", "charset", "sign_type", "sign", "timestamp", "version"):
            if not given.get(name):
                raise missing({"sign": "signature", "sign_type": "signature-type"}.get(name, name.replace("_", "-")))
        app = self._parties.apps.get(given["app_id"])
        if app is None:
            raise invalid("app-id", "无效的 AppID 参数")
        if given.keys() - _COMMON:
            raise invalid("parameter", "多余的公共参数：" + "、".join(sorted(given.keys() - _COMMON)))
        self._check_common(given)
        if not crypto.verify(app.key, crypto.joined(given, "sign"), given["sign"]):
            raise invalid("signature", "验签出错，建议检查签名字符串或私钥与应用公钥是否匹配")
        self._check_certificates(app, given)
        seller = app.seller(given.get("app_auth_token"))
        if seller is None:
            raise AlipayError("20001", "aop.invalid-app-auth-token", "无效的应用授权令牌")
        body = read_object(given.get("biz_content", ""))
        check(given["method"], body)
        return Asked(app, seller, given["method"], given, body)

    def _check_common(self, given: Mapping[str, str]) -> None:
        if given["method"] not in METHODS:
            raise invalid("method", "不存在的方法名")
        for name, only in (("format", "json"), ("charset", "utf-8"), ("sign_type", "rsa2"), ("version", "1.0")):
            if given.get(name, only).lower() != only:
                raise invalid({"sign_type": "signature-type"}.get(name, name), f"{name} 应为 {only}")
        try:
            read_time("timestamp", given["timestamp"])
        except AlipayError:
            raise invalid("timestamp", "非法的时间戳参数") from None
        for name in ("notify_url", "return_url"):
            if name in given and not is_address(given[name]):
                raise invalid("parameter", f"{name} 不是可以访问的地址")
        if "app_auth_token" in given and not _TOKEN.fullmatch(given["app_auth_token"]):
            raise AlipayError("20001", "aop.invalid-app-auth-token", "无效的应用授权令牌")

    def _check_time(self, given: Mapping[str, str]) -> None:
        """Only of calls: an address for a browser may be opened later."""
        asked_at = read_time("timestamp", given["timestamp"]).timestamp()
        if abs(self._context.clock.timestamp() - asked_at) > MAX_SKEW_S:
            raise invalid("timestamp", "非法的时间戳参数")

    def _check_certificates(self, app: App, given: Mapping[str, str]) -> None:
        stated = given.get("app_cert_sn"), given.get("alipay_root_cert_sn")
        if app.certificate_number is None:
            if stated != (None, None):
                raise AlipayError("40002", "isv.app-cert-sn-invalid", "应用以公钥方式加签，不应携带证书序列号")
        elif stated[0] != app.certificate_number:
            raise AlipayError("40002", "isv.app-cert-sn-invalid", "应用公钥证书序列号错误")
        elif stated[1] != self._parties.root_number:
            raise AlipayError("40002", "isv.root-cert-sn-invalid", "支付宝根证书序列号错误")

    def _signed(self, node: str, result: Mapping[str, Any], app_id: str, forge: bool) -> Reply:
        """The signature covers the very bytes of the answer's member; an unknown application gets none."""
        content = encode(result).replace(b"/", b"\\/")  # as the real gateway writes it
        app = self._parties.apps.get(app_id)
        parts = [b'"%s":%s' % (node.encode(), content)]
        if app is not None:
            if app.certificate_number is not None:
                parts.append(b'"alipay_cert_sn":"%s"' % self._parties.certificate_number.encode())
            key = crypto.stranger() if forge else self._parties.key
            parts.append(b'"sign":"%s"' % crypto.sign(key, content).encode())
        return Reply(b"{" + b",".join(parts) + b"}", 200, content_type="text/html;charset=utf-8")


def _number(given: Mapping[str, str]) -> str:
    """The number a call is about, for the count of calls."""
    try:
        body = read_object(given.get("biz_content", ""))
    except AlipayError:
        return ""
    named = ("out_request_no", "out_trade_no", "trade_no", "bill_date")
    return str(next((body[name] for name in named if body.get(name)), ""))[:64]
