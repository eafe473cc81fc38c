"""The orders of WeChat Pay: opened, paid, closed, expired."""

import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from sandbox.clock import Clock
from sandbox.state import State
from sandbox.wechat_pay_crypto import token
from sandbox.wechat_pay_errors import WechatPayError, wrong
from sandbox.wechat_pay_fields import canonical, check_close, check_order, read_time
from sandbox.wechat_pay_parties import Merchant, Parties
from sandbox.wechat_people import People

PREPAY_LIFE_S: Final = 7200.0
H5_LIFE_S: Final = 300.0
DEFAULT_LIFE_S: Final = 7 * 86400.0
SHORTEST_LIFE_S: Final = 60.0
LONGEST_LIFE_S: Final = 90 * 86400.0
TRADE_TYPES: Final = {"jsapi": "JSAPI", "app": "APP", "native": "NATIVE", "h5": "MWEB"}
DESCRIPTIONS: Final = {"SUCCESS": "支付成功", "REFUND": "转入退款", "NOTPAY": "订单未支付", "CLOSED": "订单已关闭"}

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_pay_order (
    sp_mchid TEXT NOT NULL, out_trade_no TEXT NOT NULL, sub_mchid TEXT NOT NULL, sp_appid TEXT NOT NULL,
    sub_appid TEXT, trade_type TEXT NOT NULL, content TEXT NOT NULL, total INTEGER NOT NULL, attach TEXT,
    notify_url TEXT NOT NULL, sp_openid TEXT, sub_openid TEXT, created_at REAL NOT NULL, expires_at REAL NOT NULL,
    state TEXT NOT NULL, transaction_id TEXT UNIQUE, paid_at REAL, bank_type TEXT,
    coupon_fen INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sp_mchid, out_trade_no)
);
CREATE TABLE IF NOT EXISTS wechat_pay_sub_order (
    sp_mchid TEXT NOT NULL, out_trade_no TEXT NOT NULL, combine_out_trade_no TEXT NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (sp_mchid, out_trade_no)
);
CREATE TABLE IF NOT EXISTS wechat_pay_prepay (
    ticket TEXT PRIMARY KEY, sp_mchid TEXT NOT NULL, out_trade_no TEXT NOT NULL, expires_at REAL NOT NULL
);
"""


class Orders:
    """Opens, finds, closes and pays orders. Every method belongs into a transaction of the caller."""

    def __init__(self, state: State, clock: Clock, parties: Parties, people: People) -> None:
        self._state = state
        self._clock = clock
        self._parties = parties
        self._people = people
        state.define(_SCHEMA)

    def open(self, merchant: Merchant, kind: str, body: Mapping[str, Any]) -> dict[str, str]:
        """POST /v3/pay/partner/transactions/{kind}: a fresh ticket for a new order, or for the same one again."""
        check_order(kind, body)
        if body["sp_mchid"] != merchant.mchid:
            raise WechatPayError("NO_AUTH", "sp_mchid 与签名的商户号不一致", "sp_mchid")
        if body["sp_appid"] not in merchant.appids:
            raise WechatPayError("APPID_MCHID_NOT_MATCH", "sp_appid 和 sp_mchid 不匹配", "sp_appid")
        self._parties.check_sub_merchant(body["sub_mchid"], body.get("sub_appid"))
        self.check_payer(body)
        # time_expire is honoured at the first submission only, so it is no part of what must be the same.
        content = canonical({name: value for name, value in body.items() if name != "time_expire"} | {"kind": kind})
        order = self.find(merchant.mchid, body["out_trade_no"])
        if order is None:
            self.insert(kind, body, content)
        else:
            self.check_again(order, content)
        return self.issue(kind, merchant.mchid, body["out_trade_no"])

    def find(self, sp_mchid: str, out_trade_no: str) -> sqlite3.Row | None:
        """An order by its own number."""
        query = "SELECT * FROM wechat_pay_order WHERE sp_mchid = ? AND out_trade_no = ?"
        return self._state.one(query, (sp_mchid, out_trade_no))

    def combined_of(self, order: sqlite3.Row) -> str | None:
        """The number of the combined order that an order is part of."""
        query = "SELECT combine_out_trade_no FROM wechat_pay_sub_order WHERE sp_mchid = ? AND out_trade_no = ?"
        found = self._state.one(query, _key(order))
        return None if found is None else str(found["combine_out_trade_no"])

    def find_paid(self, sp_mchid: str, transaction_id: str) -> sqlite3.Row | None:
        """An order by WeChat Pay's number, which exists only once it is paid."""
        query = "SELECT * FROM wechat_pay_order WHERE sp_mchid = ? AND transaction_id = ?"
        return self._state.one(query, (sp_mchid, transaction_id))

    def all(self) -> list[sqlite3.Row]:
        """Every order, oldest first."""
        return self._state.all("SELECT * FROM wechat_pay_order ORDER BY created_at, rowid")

    def query(self, merchant: Merchant, order: sqlite3.Row | None, by: Mapping[str, str]) -> dict[str, Any]:
        """The answer of both queries. `by` holds sp_mchid and sub_mchid of the address."""
        if by["sp_mchid"] != merchant.mchid:
            raise WechatPayError("NO_AUTH", "sp_mchid 与签名的商户号不一致")
        if order is None or order["sub_mchid"] != by["sub_mchid"] or self.combined_of(order):
            raise WechatPayError("ORDER_NOT_EXIST", "订单不存在")
        return self.described(order)

    def close(self, merchant: Merchant, out_trade_no: str, body: Mapping[str, Any]) -> None:
        """POST …/close; closing again is fine."""
        check_close(body)
        if body["sp_mchid"] != merchant.mchid:
            raise WechatPayError("NO_AUTH", "sp_mchid 与签名的商户号不一致", "sp_mchid")
        order = self.find(merchant.mchid, out_trade_no)
        if order is None or order["sub_mchid"] != body["sub_mchid"] or self.combined_of(order):
            raise WechatPayError("ORDER_NOT_EXIST", "订单不存在")
        if order["state"] == "SUCCESS":
            raise WechatPayError("ORDER_PAID", "订单已支付")
        self.set_state(order, "CLOSED")

    def pay(self, order: sqlite3.Row, payer: Mapping[str, str | None], coupon_fen: int = 0) -> sqlite3.Row:
        """Money arrives for an order, whatever its state; answers the paid order. `payer`: sp_openid, sub_openid."""
        now = self._clock.timestamp()
        day = self._clock.iso(now)[:10].replace("-", "")
        transaction_id = f"4200{secrets.randbelow(10**6):06d}{day}{secrets.randbelow(10**10):010d}"
        self._state.run(
            "UPDATE wechat_pay_order SET state = 'SUCCESS', transaction_id = ?, paid_at = ?, bank_type = 'OTHERS', "
            "coupon_fen = ?, sp_openid = ?, sub_openid = ? WHERE sp_mchid = ? AND out_trade_no = ?",
            (transaction_id, now, coupon_fen, payer.get("sp_openid"), payer.get("sub_openid"), *_key(order)),
        )
        return self._again(order)

    def set_state(self, order: sqlite3.Row, state: str) -> sqlite3.Row:
        """Write the stored state: NOTPAY or CLOSED (SUCCESS is written by :meth:`pay`)."""
        query = "UPDATE wechat_pay_order SET state = ? WHERE sp_mchid = ? AND out_trade_no = ?"
        self._state.run(query, (state, *_key(order)))
        return self._again(order)

    def trade_state(self, order: sqlite3.Row) -> str:
        """SUCCESS, REFUND (a refund has begun), NOTPAY, CLOSED; an unpaid order is closed once its time is over."""
        if order["state"] == "SUCCESS":
            query = "SELECT 1 FROM wechat_pay_refund WHERE sp_mchid = ? AND out_trade_no = ?"
            return "REFUND" if self._state.one(query, _key(order)) else "SUCCESS"
        if order["state"] == "NOTPAY" and self._clock.timestamp() >= order["expires_at"]:
            return "CLOSED"
        return str(order["state"])

    def ticket(self, ticket: str) -> sqlite3.Row | None:
        """What a prepay_id, code_url or h5_url stands for: ``{sp_mchid, out_trade_no, expires_at}``."""
        return self._state.one("SELECT * FROM wechat_pay_prepay WHERE ticket = ?", (ticket,))

    def described(self, order: sqlite3.Row) -> dict[str, Any]:
        """The order as queries and notices show it."""
        state = self.trade_state(order)
        payer = {name: order[name] for name in ("sp_openid", "sub_openid") if order[name]}
        shown: dict[str, Any] = {"sp_mchid": order["sp_mchid"], "sub_mchid": order["sub_mchid"]}
        shown["sp_appid"] = order["sp_appid"]
        if order["sub_appid"]:
            shown["sub_appid"] = order["sub_appid"]
        shown |= {"out_trade_no": order["out_trade_no"], "trade_state": state, "trade_state_desc": DESCRIPTIONS[state]}
        if order["attach"]:
            shown["attach"] = order["attach"]
        if order["state"] != "SUCCESS":
            return shown | {"payer": payer, "amount": {"total": order["total"], "currency": "CNY"}}
        amount = {"total": order["total"], "payer_total": order["total"] - order["coupon_fen"]}
        return shown | {
            "transaction_id": order["transaction_id"],
            "trade_type": order["trade_type"],
            "bank_type": order["bank_type"],
            "success_time": self._clock.iso(order["paid_at"]),
            "payer": payer,
            "amount": amount | {"currency": "CNY", "payer_currency": "CNY"},
            "promotion_detail": _promotions(order),
        }

    def check_payer(self, body: Mapping[str, Any]) -> None:
        """Refuse a payer whom WeChat does not know, or not in this app."""
        for name, appid in (("sp_openid", body["sp_appid"]), ("sub_openid", body.get("sub_appid"))):
            openid = body.get("payer", {}).get(name)
            if openid is None:
                continue
            if appid is None:
                raise wrong("sub_appid", "传 sub_openid 时必填")
            owner = self._people.owner_of(openid)
            if owner is None:
                raise WechatPayError("PARAM_ERROR", "无效的openid", f"payer.{name}")
            if owner.appid != appid:
                raise WechatPayError("OPENID_MISMATCH", "openid和appid不匹配", f"payer.{name}")

    def check_again(self, order: sqlite3.Row, content: str) -> None:
        """Refuse an order submitted again with another content, or when it is over."""
        if order["content"] != content:
            raise WechatPayError("INVALID_REQUEST", "请求重入时，参数与首次请求时不一致")
        if order["state"] == "SUCCESS":
            raise WechatPayError("ORDER_PAID", "该订单已支付")
        if self.trade_state(order) == "CLOSED":
            raise WechatPayError("ORDER_CLOSED", "该订单已关闭")

    def insert(self, kind: str, body: Mapping[str, Any], content: str) -> None:
        """Write a new order."""
        now = self._clock.timestamp()
        expires_at = now + DEFAULT_LIFE_S
        if "time_expire" in body:
            expires_at = read_time("time_expire", body["time_expire"]).timestamp()
            if not SHORTEST_LIFE_S <= expires_at - now <= LONGEST_LIFE_S:
                raise wrong("time_expire", "应晚于当前时间 1 分钟以上、90 天以内")
        payer = body.get("payer", {})
        values = {
            "sp_mchid": body["sp_mchid"],
            "out_trade_no": body["out_trade_no"],
            "sub_mchid": body["sub_mchid"],
            "sp_appid": body["sp_appid"],
            "sub_appid": body.get("sub_appid"),
            "trade_type": TRADE_TYPES[kind],
            "content": content,
            "total": body["amount"]["total"],
            "attach": body.get("attach"),
            "notify_url": body["notify_url"],
            "sp_openid": payer.get("sp_openid"),
            "sub_openid": payer.get("sub_openid"),
            "created_at": now,
            "expires_at": expires_at,
        }
        columns, places = ", ".join(values), ", ".join("?" * len(values))
        self._state.run(
            f"INSERT INTO wechat_pay_order ({columns}, state) VALUES ({places}, 'NOTPAY')",  # noqa: S608 our own names
            tuple(values.values()),
        )

    def issue(self, kind: str, sp_mchid: str, out_trade_no: str) -> dict[str, str]:
        """A fresh prepay_id, code_url or h5_url for an order, ordinary or combined."""
        now = self._clock.timestamp()
        prepay_id = "wx" + self._clock.iso(now)[:19].translate({ord(mark): None for mark in "-:T"}) + token(20)
        name, ticket, life_s = {
            "native": ("code_url", f"weixin://wxpay/bizpayurl?pr={token(9)}", PREPAY_LIFE_S),
            "h5": (
                "h5_url",
                f"https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id={prepay_id}&package={token(10)}",
                H5_LIFE_S,
            ),
        }.get(kind, ("prepay_id", prepay_id, PREPAY_LIFE_S))
        self._state.run(
            "INSERT INTO wechat_pay_prepay VALUES (?, ?, ?, ?)", (ticket, sp_mchid, out_trade_no, now + life_s)
        )
        return {name: ticket}

    def _again(self, order: sqlite3.Row) -> sqlite3.Row:
        found = self.find(*_key(order))
        assert found is not None
        return found


def _key(order: sqlite3.Row) -> tuple[str, str]:
    return order["sp_mchid"], order["out_trade_no"]


def _promotions(order: sqlite3.Row) -> list[dict[str, Any]]:
    if not order["coupon_fen"]:
        return []
    coupon = {"coupon_id": f"{order['transaction_id'][-10:]}", "name": "立减", "scope": "GLOBAL", "type": "NOCASH"}
    return [coupon | {"amount": order["coupon_fen"], "wechatpay_contribute": order["coupon_fen"], "currency": "CNY"}]
