"""``/control/alipay``: what Alipay knows, and what its staff and the world may do to it."""

import sqlite3
from typing import Any

from sanic import Request, Sanic

from sandbox.alipay_fields import yuan
from sandbox.alipay_notices import Notices, Spoiling
from sandbox.alipay_trades import REFUND_OUTCOME, REFUND_OUTCOMES, Trades
from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.replies import Reply, empty_reply, json_reply


def mount(app: Sanic, context: Context, trades: Trades, notices: Notices) -> None:
    """Add the routes."""
    desk = Desk(context, trades, notices)

    @app.get("/control/alipay/trades", name="control_alipay_trades")
    async def listed(_: Request) -> Reply:
        return json_reply({"trades": [desk.described(trade) for trade in trades.all()]})

    @app.post("/control/alipay/trades/<out_trade_no:str>/notify", name="control_alipay_notify", unquote=True)
    async def notify(request: Request, out_trade_no: str) -> Reply:
        trade, body = desk.the_one(out_trade_no), body_of(request)
        spoiling, status = _spoiling(body), trades.status(trade)
        times = int(body.get("times") or 1)
        return json_reply({"answers": [await notices.send_by_hand(trade, status, spoiling) for _ in range(times)]})

    @app.post("/control/alipay/trades/<out_trade_no:str>/force", name="control_alipay_force", unquote=True)
    async def force(request: Request, out_trade_no: str) -> Reply:
        return json_reply(desk.force(desk.the_one(out_trade_no), body_of(request).get("trade_status")))

    @app.post(
        "/control/alipay/trades/<out_trade_no:str>/refunds/<number:str>/move", name="control_alipay_move", unquote=True
    )
    async def move(_: Request, out_trade_no: str, number: str) -> Reply:
        return json_reply(desk.move(desk.the_one(out_trade_no), number))

    @app.post("/control/alipay/refund-outcome", name="control_alipay_refund_outcome")
    async def outcome(request: Request) -> Reply:
        chosen = body_of(request).get("outcome")
        if chosen not in REFUND_OUTCOMES:
            raise ControlError("outcome is one of " + ", ".join(REFUND_OUTCOMES))
        context.state.choose(REFUND_OUTCOME, chosen)
        return empty_reply()


class Desk:
    """What the staff may look at and do."""

    def __init__(self, context: Context, trades: Trades, notices: Notices) -> None:
        self._context = context
        self._trades = trades
        self._notices = notices

    def described(self, trade: sqlite3.Row) -> dict[str, Any]:
        """A trade with its refunds and notices."""
        names = ("seller_id", "app_id", "trade_no", "out_trade_no", "subject", "notify_url", "expires_at", "paid_at")
        refunds = [
            {"out_request_no": row["out_request_no"], "amount": yuan(row["fen"]), "reason": row["reason"]}
            | {"moved": row["moved_at"] is not None}
            for row in self._trades.refunds(trade)
        ]
        return {name: trade[name] for name in names} | {
            "trade_status": self._trades.status(trade),
            "total_amount": yuan(trade["total"]),
            "refunds": refunds,
            "notices": self._notices.about(trade),
        }

    def the_one(self, out_trade_no: str) -> sqlite3.Row:
        """A trade by the merchant's number. Raises ControlError."""
        found = [trade for trade in self._trades.all() if trade["out_trade_no"] == out_trade_no]
        if not found:
            raise ControlError("no such trade", 404)
        return found[-1]

    def force(self, trade: sqlite3.Row, status: object) -> dict[str, Any]:
        """Money arrives whatever the state, or a trade ends, with its notice. Raises ControlError."""
        unpaid = trade["paid_at"] is None
        with self._context.state.transaction():
            if status == "TRADE_SUCCESS" and unpaid:
                trade = self._trades.pay(trade)
            elif (status == "TRADE_CLOSED" and unpaid) or (
                status == "TRADE_FINISHED" and trade["state"] == "TRADE_SUCCESS"
            ):
                trade = self._trades.set_state(trade, str(status))
            else:
                text = "TRADE_SUCCESS or TRADE_CLOSED of an unpaid trade, TRADE_FINISHED of a paid one"
                raise ControlError(text, 409)
            self._notices.add(trade, str(status))
        return self.described(trade)

    def move(self, trade: sqlite3.Row, number: str) -> dict[str, Any]:
        """The money of a slow refund goes back. Raises ControlError."""
        refund = self._trades.refund_of(trade, number)
        if refund is None or refund["moved_at"] is not None:
            raise ControlError("no such refund whose money waits", 409)
        with self._context.state.transaction():
            self._trades.move(trade, number)
        return self.described(self._trades.again(trade))


def _spoiling(body: dict[str, Any]) -> Spoiling:
    mutate = body.get("mutate") or {}
    if not isinstance(mutate, dict) or not all(value is None or isinstance(value, str) for value in mutate.values()):
        raise ControlError("mutate is an object of texts; null removes a field")
    return Spoiling(mutate, str(body.get("sign_with") or "platform"), float(body.get("late_s") or 0), body.get("url"))
