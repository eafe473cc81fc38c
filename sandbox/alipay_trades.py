"""The trades of Alipay: made when the payer opens the page and not before, then paid, closed, refunded."""

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.alipay_errors import business
from sandbox.alipay_fields import read_time, read_yuan, yuan
from sandbox.alipay_parties import App, Seller
from sandbox.clock import Clock
from sandbox.state import State

DEFAULT_LIFE_S: Final = 15 * 86400.0
REFUND_OUTCOME: Final = "alipay.refund_outcome"
"""The setting that says what becomes of new refunds: a REFUND_OUTCOMES member."""
REFUSALS: Final = {
    "SELLER_BALANCE_NOT_ENOUGH": "卖家余额不足",
    "TRADE_NOT_ALLOW_REFUND": "当前交易不允许退款",
    "REASON_TRADE_BEEN_FREEZEN": "请求退款的交易被冻结",
}
REFUND_OUTCOMES: Final = ("MOVED", "SLOW", *REFUSALS)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alipay_trade (
    seller_id TEXT NOT NULL, out_trade_no TEXT NOT NULL, app_id TEXT NOT NULL, auth_app_id TEXT NOT NULL,
    trade_no TEXT NOT NULL UNIQUE, content TEXT NOT NULL, subject TEXT NOT NULL, total INTEGER NOT NULL,
    notify_url TEXT, passback TEXT, buyer_id TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL,
    state TEXT NOT NULL, paid_at REAL, closed_at REAL,
    PRIMARY KEY (seller_id, out_trade_no)
);
CREATE TABLE IF NOT EXISTS alipay_refund (
    trade_no TEXT NOT NULL, out_request_no TEXT NOT NULL, fen INTEGER NOT NULL, reason TEXT, asked_at REAL NOT NULL,
    moved_at REAL, PRIMARY KEY (trade_no, out_request_no)
);
"""


class Trades:
    """Every method belongs into a transaction of the caller. `refunded` is told of each refund whose money has moved."""

    def __init__(self, state: State, clock: Clock, refunded: Callable[[sqlite3.Row, sqlite3.Row], None]) -> None:
        self._state = state
        self._clock = clock
        self._refunded = refunded
        state.define(_SCHEMA)

    def visit(self, app: App, seller: Seller, public: Mapping[str, str], body: Mapping[str, Any]) -> sqlite3.Row:
        """The payer opens the page: the trade is there from now on. Raises AlipayError for one that cannot be paid any more."""
        if body.get("seller_id", seller.seller_id) != seller.seller_id:
            raise business("SELLER_NOT_EXIST", "卖家不存在")
        now = self._clock.timestamp()
        expires_at = read_time("time_expire", body["time_expire"]).timestamp() if "time_expire" in body else None
        if expires_at is not None and expires_at <= now:
            raise business("TRADE_HAS_CLOSE", "交易已经关闭")
        content = f"{body['total_amount']}|{body['subject']}"
        trade = self.find(seller, body)
        if trade is None:
            day = self._clock.iso(now)[:10].replace("-", "")
            self._state.run(
                "INSERT INTO alipay_trade VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'WAIT_BUYER_PAY', NULL, NULL)",
                (
                    seller.seller_id, body["out_trade_no"], app.app_id, seller.auth_app_id,
                    f"{day}2200{secrets.randbelow(10**16):016d}", content, body["subject"],
                    read_yuan("total_amount", body["total_amount"]), public.get("notify_url"), body.get("passback_params"),
                    f"2088{secrets.randbelow(10**12):012d}", now, expires_at or now + DEFAULT_LIFE_S,
                ),
            )  # fmt: skip
            trade = self.find(seller, body)
            assert trade is not None
        elif trade["content"] != content:
            raise business("CONTEXT_INCONSISTENT", "交易信息被篡改")
        if self.status(trade) != "WAIT_BUYER_PAY":
            paid = trade["paid_at"] is not None
            raise business(*(("TRADE_HAS_SUCCESS", "交易已被支付") if paid else ("TRADE_HAS_CLOSE", "交易已经关闭")))
        return trade

    def pay(self, trade: sqlite3.Row) -> sqlite3.Row:
        """Money arrives for a trade, whatever its state."""
        query = "UPDATE alipay_trade SET state = 'TRADE_SUCCESS', paid_at = ?, closed_at = NULL WHERE trade_no = ?"
        self._state.run(query, (self._clock.timestamp(), trade["trade_no"]))
        return self.again(trade)

    def set_state(self, trade: sqlite3.Row, state: str) -> sqlite3.Row:
        """Write TRADE_CLOSED, TRADE_FINISHED or WAIT_BUYER_PAY by hand."""
        closed_at = self._clock.timestamp() if state == "TRADE_CLOSED" else None
        self._state.run(
            "UPDATE alipay_trade SET state = ?, closed_at = ? WHERE trade_no = ?", (state, closed_at, trade["trade_no"])
        )
        return self.again(trade)

    def find(self, seller: Seller, body: Mapping[str, Any]) -> sqlite3.Row | None:
        """A merchant's trade by ``trade_no`` (which wins) or ``out_trade_no``."""
        column = "trade_no" if "trade_no" in body else "out_trade_no"
        query = f"SELECT * FROM alipay_trade WHERE seller_id = ? AND {column} = ?"  # noqa: S608 our own names
        return self._state.one(query, (seller.seller_id, body[column]))

    def all(self) -> list[sqlite3.Row]:
        """Every trade, oldest first."""
        return self._state.all("SELECT * FROM alipay_trade ORDER BY created_at, rowid")

    def status(self, trade: sqlite3.Row) -> str:
        """The trade's state; an unpaid one is closed once its time is over."""
        if trade["state"] == "WAIT_BUYER_PAY" and self._clock.timestamp() >= trade["expires_at"]:
            return "TRADE_CLOSED"
        return str(trade["state"])

    def query(self, seller: Seller, body: Mapping[str, Any]) -> dict[str, Any]:
        """alipay.trade.query."""
        trade = self._known(seller, body)
        shown = {
            "trade_no": trade["trade_no"],
            "out_trade_no": trade["out_trade_no"],
            "buyer_logon_id": "159****5620",
            "buyer_user_id": trade["buyer_id"],
            "trade_status": self.status(trade),
            "total_amount": yuan(trade["total"]),
            "buyer_pay_amount": "0.00",
            "receipt_amount": "0.00",
        }
        if trade["paid_at"] is not None:
            paid = {"buyer_pay_amount": yuan(trade["total"]), "receipt_amount": yuan(trade["total"])}
            shown |= paid | {"send_pay_date": self.time(trade["paid_at"])}
        return shown

    def close(self, seller: Seller, body: Mapping[str, Any]) -> dict[str, Any]:
        """alipay.trade.close: only a trade that waits for its payer."""
        trade = self._known(seller, body)
        if self.status(trade) != "WAIT_BUYER_PAY":
            raise business("TRADE_STATUS_ERROR", "交易状态不合法")
        self.set_state(trade, "TRADE_CLOSED")
        return {"trade_no": trade["trade_no"], "out_trade_no": trade["out_trade_no"]}

    def refund(self, seller: Seller, body: Mapping[str, Any]) -> dict[str, Any]:
        """alipay.trade.refund: the same request number again moves nothing and says so."""
        trade = self._known(seller, body)
        fen = read_yuan("refund_amount", body["refund_amount"])
        if "out_request_no" not in body and fen != trade["total"]:
            raise business("INVALID_PARAMETER", "部分退款必须传 out_request_no")
        number = body.get("out_request_no", trade["out_trade_no"])
        known = self.refund_of(trade, number)
        if known is not None and known["fen"] != fen:
            raise business("DISCORDANT_REPEAT_REQUEST", "同一退款请求号的金额与上次不一致")
        moved = False
        if known is None:
            self._check_refund(trade, fen)
            outcome = self._state.setting(REFUND_OUTCOME, "MOVED")
            if outcome in REFUSALS:
                raise business(outcome, REFUSALS[outcome])
            self._state.run(
                "INSERT INTO alipay_refund VALUES (?, ?, ?, ?, ?, NULL)",
                (trade["trade_no"], number, fen, body.get("refund_reason"), self._clock.timestamp()),
            )
            moved = outcome == "MOVED"
            if moved:
                self.move(trade, number)
        return {
            "trade_no": trade["trade_no"],
            "out_trade_no": trade["out_trade_no"],
            "buyer_logon_id": "159****5620",
            "buyer_user_id": trade["buyer_id"],
            "fund_change": "Y" if moved else "N",
            "refund_fee": yuan(self.refunded_fen(trade)),
            "send_back_fee": yuan(fen if moved else 0),
        }

    def move(self, trade: sqlite3.Row, out_request_no: str) -> None:
        """The money of a refund goes back; once all of it has, the trade is closed."""
        query = "UPDATE alipay_refund SET moved_at = ? WHERE trade_no = ? AND out_request_no = ?"
        self._state.run(query, (self._clock.timestamp(), trade["trade_no"], out_request_no))
        if self.refunded_fen(trade) == trade["total"]:
            trade = self.set_state(trade, "TRADE_CLOSED")
        refund = self.refund_of(trade, out_request_no)
        assert refund is not None
        self._refunded(trade, refund)

    def query_refund(self, seller: Seller, body: Mapping[str, Any]) -> dict[str, Any]:
        """alipay.trade.fastpay.refund.query: success of the question is not success of the refund."""
        trade = self._known(seller, body)
        shown = {"trade_no": trade["trade_no"], "out_trade_no": trade["out_trade_no"]}
        refund = self.refund_of(trade, body["out_request_no"])
        if refund is None or refund["moved_at"] is None:
            return shown
        return shown | {
            "out_request_no": refund["out_request_no"],
            "total_amount": yuan(trade["total"]),
            "refund_amount": yuan(refund["fen"]),
            "refund_status": "REFUND_SUCCESS",
            "gmt_refund_pay": self.time(refund["moved_at"]),
        }

    def refund_of(self, trade: sqlite3.Row, out_request_no: str) -> sqlite3.Row | None:
        """A refund by the merchant's number."""
        query = "SELECT * FROM alipay_refund WHERE trade_no = ? AND out_request_no = ?"
        return self._state.one(query, (trade["trade_no"], out_request_no))

    def refunds(self, trade: sqlite3.Row) -> list[sqlite3.Row]:
        """All refunds of a trade, oldest first."""
        return self._state.all("SELECT * FROM alipay_refund WHERE trade_no = ? ORDER BY rowid", (trade["trade_no"],))

    def refunded_fen(self, trade: sqlite3.Row) -> int:
        """What has gone back in all."""
        return sum(refund["fen"] for refund in self.refunds(trade) if refund["moved_at"] is not None)

    def time(self, timestamp: float) -> str:
        """A time of day in Beijing, as Alipay writes it."""
        return self._clock.iso(timestamp)[:19].replace("T", " ")

    def again(self, trade: sqlite3.Row) -> sqlite3.Row:
        """The trade as it is now."""
        found = self._state.one("SELECT * FROM alipay_trade WHERE trade_no = ?", (trade["trade_no"],))
        assert found is not None
        return found

    def _known(self, seller: Seller, body: Mapping[str, Any]) -> sqlite3.Row:
        trade = self.find(seller, body)
        if trade is None:
            raise business("TRADE_NOT_EXIST", "交易不存在")
        return trade

    def _check_refund(self, trade: sqlite3.Row, fen: int) -> None:
        asked = sum(refund["fen"] for refund in self.refunds(trade))
        if trade["paid_at"] is None:
            raise business("TRADE_STATUS_ERROR", "交易状态不合法")
        if trade["state"] == "TRADE_FINISHED":
            raise business("TRADE_HAS_FINISHED", "交易已完结")
        if asked + fen > trade["total"]:
            raise business("REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
