"""Alipay's page in the payer's browser: what opens when our signed address is visited, for people and for control calls."""

import html
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from sanic import HTTPResponse, Request, Sanic

from sandbox.alipay_errors import AlipayError, invalid
from sandbox.alipay_fields import yuan
from sandbox.alipay_notices import COUNTERPART, Notices
from sandbox.alipay_trades import Trades
from sandbox.context import Context, ControlError
from sandbox.replies import Reply

_PAGE: Final = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>支付宝（沙箱）</title><body style="font:16px sans-serif;max-width:24em;margin:3em auto;text-align:center">
<p>支付宝收银台（沙箱）</p><p>{subject}</p><p style="font-size:2em">¥{amount}</p>{buttons}</body></html>"""
_BUTTONS: Final = """<form method="post" action="/cashier/{ticket}/pay"><button>确认付款</button></form>
<p><a href="{quit}">不付了，返回</a></p>"""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alipay_visit (
    ticket TEXT PRIMARY KEY, trade_no TEXT NOT NULL, return_url TEXT, quit_url TEXT NOT NULL
);
"""

Read = Callable[[Mapping[str, str]], Any]


class Cashier:
    """Opens trades for payers and takes their money."""

    def __init__(self, context: Context, trades: Trades, notices: Notices, read: Read) -> None:
        self._context = context
        self._trades = trades
        self._notices = notices
        self._read = read
        context.state.define(_SCHEMA)

    def open(self, body: Mapping[str, Any]) -> dict[str, str] | None:
        """``{url}`` of a control call: opens the page and pays, or ``"only": "open"``. None when the address is not Alipay's."""
        parts = urlsplit(str(body.get("url") or ""))
        if parts.path != "/gateway.do":
            return None
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        try:
            if len({name for name, _ in pairs}) != len(pairs):
                raise invalid("parameter", "参数重复")
            with self._context.state.transaction():
                trade = self.visit(dict(pairs))
                if body.get("only") != "open":
                    self.arrive(trade)
        except AlipayError as error:
            return {"result": "fail", "reason": f"{error.sub_code} {error}"}
        return {"result": "ok"}

    def visit(self, given: Mapping[str, str]) -> sqlite3.Row:
        """Somebody opens the address: its signature and its time are judged, then the trade is there. Raises AlipayError."""
        asked = self._read(given)
        return self._trades.visit(asked.app, asked.seller, asked.public, asked.body)

    def arrive(self, trade: sqlite3.Row) -> sqlite3.Row:
        """The money is there: the trade is paid and its notice written."""
        with self._context.state.transaction():
            paid = self._trades.pay(trade)
            self._notices.add(paid, "TRADE_SUCCESS")
        return paid

    async def page(self, request: Request, given: Mapping[str, str]) -> HTTPResponse:
        """The page itself."""

        def do(_: bool) -> Reply:
            try:
                with self._context.state.transaction():
                    trade = self.visit(given)
                    asked = self._read(given)
                    ticket = secrets.token_urlsafe(16)
                    values = (ticket, trade["trade_no"], given.get("return_url"), asked.body["quit_url"])
                    self._context.state.run("INSERT INTO alipay_visit VALUES (?, ?, ?, ?)", values)
            except AlipayError as error:
                return _html(_PAGE.format(subject=html.escape(str(error)), amount="—", buttons=""), 200)
            buttons = _BUTTONS.format(ticket=ticket, quit=html.escape(asked.body["quit_url"], quote=True))
            subject = html.escape(trade["subject"])
            return _html(_PAGE.format(subject=subject, amount=yuan(trade["total"]), buttons=buttons), 200)

        def failed(status: int) -> Reply:
            return _html(_PAGE.format(subject="系统繁忙，请稍后再试", amount="—", buttons=""), status)

        return await self._context.serve(request, COUNTERPART, "cashier", "", do, failed)

    def confirm(self, ticket: str) -> str:
        """The button is pressed: where the browser goes next. Raises ControlError."""
        with self._context.state.transaction():
            visit = self._context.state.one("SELECT * FROM alipay_visit WHERE ticket = ?", (ticket,))
            if visit is None:
                raise ControlError("no such page", 404)
            trade = next(trade for trade in self._trades.all() if trade["trade_no"] == visit["trade_no"])
            if self._trades.status(trade) == "WAIT_BUYER_PAY":
                trade = self.arrive(trade)
            if visit["return_url"] is None or trade["paid_at"] is None:
                return str(visit["quit_url"])
        # Unsigned here: whoever believes a returning browser has not understood the protocol.
        said = {
            "out_trade_no": trade["out_trade_no"],
            "trade_no": trade["trade_no"],
            "total_amount": yuan(trade["total"]),
        }
        mark = "&" if "?" in visit["return_url"] else "?"
        return f"{visit['return_url']}{mark}{urlencode({**said, 'method': 'alipay.trade.wap.pay.return'})}"


def mount(app: Sanic, cashier: Cashier) -> None:
    """Add the button's route."""

    @app.post("/cashier/<ticket:str>/pay", name="cashier_pay")
    async def pay(_: Request, ticket: str) -> HTTPResponse:
        return Reply(b"", 303, {"Location": cashier.confirm(ticket)})


def _html(text: str, status: int) -> Reply:
    return Reply(text.encode(), status, {"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")
