"""The refunds of WeChat Pay: accepted at once, settled later, repeatable under their own number."""

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.context import Context
from sandbox.outbox import LOOK_S, PACE
from sandbox.wechat_pay_errors import WechatPayError, wrong
from sandbox.wechat_pay_fields import canonical, check_refund
from sandbox.wechat_pay_orders import Orders
from sandbox.wechat_pay_parties import Merchant, Parties

SETTLES_AFTER_S: Final = 3.0
"""How long a refund is PROCESSING, at pace 1."""
WINDOW_S: Final = 365 * 86400.0
MOST_PER_ORDER: Final = 50
LEAST_APART_S: Final = 60.0
OUTCOME: Final = "wechat_pay.refund_outcome"
"""The setting that says what becomes of new refunds: an OUTCOMES member."""
REFUSALS: Final = {
    "NOT_ENOUGH": "基本账户余额不足，请充值后重新发起",
    "USER_ACCOUNT_ABNORMAL": "退款请求失败：用户账户异常或已注销",
}
OUTCOMES: Final = ("SUCCESS", "ABNORMAL", "CLOSED", *REFUSALS)

log = logging.getLogger("sandbox")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_pay_refund (
    refund_id TEXT PRIMARY KEY, sp_mchid TEXT NOT NULL, out_refund_no TEXT NOT NULL, out_trade_no TEXT NOT NULL,
    content TEXT NOT NULL, refund INTEGER NOT NULL, funds_account TEXT, notify_url TEXT, created_at REAL NOT NULL,
    status TEXT NOT NULL, outcome TEXT NOT NULL, settled_at REAL, UNIQUE (sp_mchid, out_refund_no)
);
"""


class Refunds:
    """Accepts, settles and shows refunds; `settled` is told of each one inside the transaction that settles it."""

    def __init__(
        self, context: Context, parties: Parties, orders: Orders, settled: Callable[[sqlite3.Row], None]
    ) -> None:
        self._context = context
        self._state = context.state
        self._clock = context.clock
        self._parties = parties
        self._orders = orders
        self._settled = settled
        self._state.define(_SCHEMA)
        context.on_start(lambda: context.spawn(self._run()) and None)

    def ask(self, merchant: Merchant, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /v3/refund/domestic/refunds."""
        check_refund(body)
        self._parties.check_sub_merchant(body["sub_mchid"], None)
        order = self._order(merchant, body)
        named = {"transaction_id", "out_trade_no"}
        content = canonical(
            {name: value for name, value in body.items() if name not in named} | {"order": order["out_trade_no"]}
        )
        refund = self.find(merchant.mchid, body["out_refund_no"])
        if refund is None:
            self._check(order, body["amount"])
            refund = self._insert(merchant, order, body, content)
        elif refund["content"] != content:
            raise WechatPayError("INVALID_REQUEST", "同一商户退款单号的退款参数与首次请求不一致")
        return self.described(refund)

    def query(self, merchant: Merchant, out_refund_no: str, sub_mchid: str) -> dict[str, Any]:
        """GET /v3/refund/domestic/refunds/{out_refund_no}."""
        refund = self.find(merchant.mchid, out_refund_no)
        if refund is None or self._order_of(refund)["sub_mchid"] != sub_mchid:
            raise WechatPayError("RESOURCE_NOT_EXISTS", "退款单不存在")
        return self.described(refund)

    def find(self, sp_mchid: str, out_refund_no: str) -> sqlite3.Row | None:
        """A refund by the merchant's number."""
        query = "SELECT * FROM wechat_pay_refund WHERE sp_mchid = ? AND out_refund_no = ?"
        return self._state.one(query, (sp_mchid, out_refund_no))

    def all(self) -> list[sqlite3.Row]:
        """Every refund, oldest first."""
        return self._state.all("SELECT * FROM wechat_pay_refund ORDER BY created_at, rowid")

    def settle(self, refund: sqlite3.Row, status: str) -> sqlite3.Row:
        """The refund ends as SUCCESS, ABNORMAL or CLOSED, and its notice is written."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE wechat_pay_refund SET status = ?, settled_at = ? WHERE refund_id = ?",
                (status, self._clock.timestamp(), refund["refund_id"]),
            )
            again = self.find(refund["sp_mchid"], refund["out_refund_no"])
            assert again is not None
            self._settled(again)
        return again

    def described(self, refund: sqlite3.Row) -> dict[str, Any]:
        """The refund as the merchant sees it."""
        order = self._order_of(refund)
        shown = self._common(refund, order) | {
            "channel": "ORIGINAL",
            "create_time": self._clock.iso(refund["created_at"]),
            "status": refund["status"],
            "funds_account": refund["funds_account"] or "AVAILABLE",
            "promotion_detail": [],
        }
        if refund["status"] == "SUCCESS":
            shown["success_time"] = self._clock.iso(refund["settled_at"])
        payer_refund = shown["amount"]["payer_refund"]
        shown["amount"] |= {
            "from": [],
            "settlement_total": order["total"],
            "settlement_refund": refund["refund"],
            "discount_refund": refund["refund"] - payer_refund,
            "currency": "CNY",
        }
        return shown

    def noticed(self, refund: sqlite3.Row) -> dict[str, Any]:
        """The refund as its notice shows it: refund_status instead of status, no app, no currency."""
        order = self._order_of(refund)
        shown = self._common(refund, order) | {
            "sp_mchid": order["sp_mchid"],
            "sub_mchid": order["sub_mchid"],
            "refund_status": refund["status"],
        }
        if refund["status"] == "SUCCESS":
            shown["success_time"] = self._clock.iso(refund["settled_at"])
        return shown

    def _common(self, refund: sqlite3.Row, order: sqlite3.Row) -> dict[str, Any]:
        payer_total = order["total"] - order["coupon_fen"]
        amount = {
            "total": order["total"],
            "refund": refund["refund"],
            "payer_total": payer_total,
            "payer_refund": refund["refund"] * payer_total // order["total"],
        }
        return {
            "refund_id": refund["refund_id"],
            "out_refund_no": refund["out_refund_no"],
            "transaction_id": order["transaction_id"],
            "out_trade_no": order["out_trade_no"],
            "user_received_account": "支付用户零钱",
            "amount": amount,
        }

    def _order(self, merchant: Merchant, body: Mapping[str, Any]) -> sqlite3.Row:
        if "transaction_id" in body:
            order = self._orders.find_paid(merchant.mchid, body["transaction_id"])
        else:
            order = self._orders.find(merchant.mchid, body["out_trade_no"])
        if order is None or order["sub_mchid"] != body["sub_mchid"]:
            raise WechatPayError("RESOURCE_NOT_EXISTS", "订单不存在")
        if order["state"] != "SUCCESS":
            raise WechatPayError("INVALID_REQUEST", "订单未支付，不能退款")
        return order

    def _check(self, order: sqlite3.Row, amount: Mapping[str, Any]) -> None:
        now = self._clock.timestamp()
        if amount["total"] != order["total"]:
            raise WechatPayError("INVALID_REQUEST", "订单金额与原订单不一致", "amount.total")
        if sum(part["amount"] for part in amount.get("from", ())) not in (0, amount["refund"]):
            raise wrong("amount.from", "各账户出资之和应等于退款金额")
        if now - order["paid_at"] > WINDOW_S:
            raise WechatPayError("INVALID_REQUEST", "订单已超过可退款的最大期限")
        earlier = [refund for refund in self._of(order) if refund["status"] != "CLOSED"]
        if sum(refund["refund"] for refund in earlier) + amount["refund"] > order["total"]:
            raise WechatPayError("INVALID_REQUEST", "申请退款金额大于订单可退金额", "amount.refund")
        if len(earlier) >= MOST_PER_ORDER:
            raise WechatPayError("INVALID_REQUEST", "部分退款次数已超过 50 次")
        if any(abs(now - refund["created_at"]) < LEAST_APART_S for refund in earlier):
            raise WechatPayError("FREQUENCY_LIMITED", "同一笔订单的多次退款需间隔 1 分钟")
        outcome = self._state.setting(OUTCOME, "SUCCESS")
        if outcome in REFUSALS:
            raise WechatPayError(outcome, REFUSALS[outcome])

    def _insert(self, merchant: Merchant, order: sqlite3.Row, body: Mapping[str, Any], content: str) -> sqlite3.Row:
        now = self._clock.timestamp()
        refund_id = f"5030{secrets.randbelow(10**6):06d}{self._clock.iso(now)[:10].replace('-', '')}"
        self._state.run(
            "INSERT INTO wechat_pay_refund VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'PROCESSING', ?, NULL)",
            (
                f"{refund_id}{secrets.randbelow(10**10):010d}",
                merchant.mchid,
                body["out_refund_no"],
                order["out_trade_no"],
                content,
                body["amount"]["refund"],
                body.get("funds_account"),
                body.get("notify_url"),
                now,
                self._state.setting(OUTCOME, "SUCCESS"),
            ),
        )
        refund = self.find(merchant.mchid, body["out_refund_no"])
        assert refund is not None
        return refund

    def _of(self, order: sqlite3.Row) -> list[sqlite3.Row]:
        query = "SELECT * FROM wechat_pay_refund WHERE sp_mchid = ? AND out_trade_no = ?"
        return self._state.all(query, (order["sp_mchid"], order["out_trade_no"]))

    def _order_of(self, refund: sqlite3.Row) -> sqlite3.Row:
        order = self._orders.find(refund["sp_mchid"], refund["out_trade_no"])
        assert order is not None
        return order

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            wait_s = SETTLES_AFTER_S / float(self._state.setting(PACE, "1"))
            due = "SELECT * FROM wechat_pay_refund WHERE status = 'PROCESSING' AND abs(? - created_at) >= ?"
            for refund in self._state.all(due, (self._clock.timestamp(), wait_s)):
                try:
                    self.settle(refund, refund["outcome"])
                except Exception:
                    log.exception("the refund %s cannot be settled", refund["refund_id"])
