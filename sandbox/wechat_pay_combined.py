"""Combined orders (合单) of WeChat Pay: several sub-orders, one per merchant, paid with one password, all or none.

A sub-order lives in the same table as an ordinary order and is refunded like one, but is asked about and closed only with its
combined order.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from sandbox.state import State
from sandbox.wechat_pay_errors import WechatPayError, wrong
from sandbox.wechat_pay_fields import canonical, check_combined, check_combined_close
from sandbox.wechat_pay_orders import Orders
from sandbox.wechat_pay_parties import Merchant, Parties


class CombinedOrders:
    """Opens, shows, closes and pays combined orders. Every method belongs into a transaction of the caller."""

    def __init__(self, state: State, parties: Parties, orders: Orders) -> None:
        self._state = state
        self._parties = parties
        self._orders = orders

    def open(self, merchant: Merchant, kind: str, body: Mapping[str, Any]) -> dict[str, str]:
        """POST /v3/combine-transactions/{kind}: a fresh ticket for a new combined order, or for the same one again."""
        check_combined(kind, body)
        self._check_parties(merchant, body)
        number = body["combine_out_trade_no"]
        content = canonical({name: value for name, value in body.items() if name != "time_expire"} | {"kind": kind})
        known = self.parts(merchant.mchid, number)
        if known:
            for order in known:
                self._orders.check_again(order, content)
        else:
            self._insert(merchant, kind, body, content)
        return self._orders.issue(kind, merchant.mchid, number)

    def parts(self, mchid: str, number: str) -> list[sqlite3.Row]:
        """The sub-orders in the order in which they were given; none when there is no such combined order."""
        query = (
            "SELECT o.* FROM wechat_pay_sub_order s JOIN wechat_pay_order o USING (sp_mchid, out_trade_no) "
            "WHERE s.sp_mchid = ? AND s.combine_out_trade_no = ? ORDER BY s.position"
        )
        return self._state.all(query, (mchid, number))

    def numbers(self) -> list[tuple[str, str]]:
        """(sp_mchid, number) of every combined order, oldest first."""
        query = "SELECT DISTINCT sp_mchid, combine_out_trade_no AS number FROM wechat_pay_sub_order ORDER BY rowid"
        return list(dict.fromkeys((row["sp_mchid"], row["number"]) for row in self._state.all(query)))

    def query(self, merchant: Merchant, number: str) -> dict[str, Any]:
        """GET …/out-trade-no/{number}."""
        parts = self.parts(merchant.mchid, number)
        if not parts:
            raise WechatPayError("ORDER_NOT_EXIST", "订单不存在")
        return self.described(number, parts)

    def close(self, merchant: Merchant, number: str, body: Mapping[str, Any]) -> None:
        """POST …/close: it names exactly the sub-orders it was opened with; closing again is fine."""
        check_combined_close(body)
        parts = self.parts(merchant.mchid, number)
        if not parts:
            raise WechatPayError("ORDER_NOT_EXIST", "订单不存在")
        if body["combine_appid"] != parts[0]["sp_appid"]:
            raise WechatPayError("APPID_MCHID_NOT_MATCH", "combine_appid 与下单时不一致", "combine_appid")
        named = sorted((item["mchid"], item.get("sub_mchid"), item["out_trade_no"]) for item in body["sub_orders"])
        opened = sorted((order["sp_mchid"], order["sub_mchid"], order["out_trade_no"]) for order in parts)
        with_merchants = all("sub_mchid" in item for item in body["sub_orders"])
        if named != (opened if with_merchants else sorted((mchid, None, no) for mchid, _, no in opened)):
            raise WechatPayError("INVALID_REQUEST", "子单信息与下单时不一致", "sub_orders")
        if any(order["state"] == "SUCCESS" for order in parts):
            raise WechatPayError("ORDER_PAID", "订单已支付")
        self.set_state(parts, "CLOSED")

    def pay(self, parts: list[sqlite3.Row], openid: str | None, coupon_fen: int = 0) -> list[sqlite3.Row]:
        """Money arrives for all sub-orders at once; a coupon lowers what the payer gives for the first."""
        payer = {"sp_openid": openid, "sub_openid": None}
        return [self._orders.pay(order, payer, 0 if place else coupon_fen) for place, order in enumerate(parts)]

    def set_state(self, parts: list[sqlite3.Row], state: str) -> list[sqlite3.Row]:
        """Write the stored state of all sub-orders: NOTPAY or CLOSED."""
        return [self._orders.set_state(order, state) for order in parts]

    def described(self, number: str, parts: list[sqlite3.Row]) -> dict[str, Any]:
        """The combined order as queries and notices show it."""
        first = parts[0]
        shown: dict[str, Any] = {
            "combine_appid": first["sp_appid"],
            "combine_mchid": first["sp_mchid"],
            "combine_out_trade_no": number,
            "sub_orders": [self._sub_order(order) for order in parts],
        }
        return shown | ({"combine_payer_info": {"openid": first["sp_openid"]}} if first["sp_openid"] else {})

    def _sub_order(self, order: sqlite3.Row) -> dict[str, Any]:
        shown = self._orders.described(order)
        amount = {"total_amount": order["total"], "currency": "CNY"}
        if order["state"] == "SUCCESS":
            amount |= {"payer_amount": order["total"] - order["coupon_fen"], "payer_currency": "CNY"}
        same = ("trade_state", "bank_type", "attach", "success_time", "transaction_id", "out_trade_no", "sub_mchid")
        return (
            {"mchid": order["sp_mchid"], "trade_type": order["trade_type"]}
            | {name: shown[name] for name in same if name in shown}
            | {"amount": amount}
        )

    def _check_parties(self, merchant: Merchant, body: Mapping[str, Any]) -> None:
        if body["combine_mchid"] != merchant.mchid:
            raise WechatPayError("NO_AUTH", "combine_mchid 与签名的商户号不一致", "combine_mchid")
        if body["combine_appid"] not in merchant.appids:
            raise WechatPayError("APPID_MCHID_NOT_MATCH", "combine_appid 和 combine_mchid 不匹配", "combine_appid")
        for place, item in enumerate(body["sub_orders"]):
            if item["mchid"] != merchant.mchid:
                raise wrong(f"sub_orders[{place}].mchid", "应为服务商商户号")
            self._parties.check_sub_merchant(item["sub_mchid"], item.get("sub_appid"))
        self._orders.check_payer(_as_order(body, body["sub_orders"][0]))

    def _insert(self, merchant: Merchant, kind: str, body: Mapping[str, Any], content: str) -> None:
        number = body["combine_out_trade_no"]
        for used in (number, *(item["out_trade_no"] for item in body["sub_orders"])):
            if self._orders.find(merchant.mchid, used) or self.parts(merchant.mchid, used):
                raise WechatPayError("OUT_TRADE_NO_USED", "商户订单号重复")
        for place, item in enumerate(body["sub_orders"]):
            self._orders.insert(kind, _as_order(body, item), content)
            self._state.run(
                "INSERT INTO wechat_pay_sub_order VALUES (?, ?, ?, ?)",
                (merchant.mchid, item["out_trade_no"], number, place),
            )


def _as_order(body: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """A sub-order in the words of an ordinary order."""
    openid = body.get("combine_payer_info", {}).get("openid")
    return {
        "sp_mchid": body["combine_mchid"],
        "sp_appid": body["combine_appid"],
        "sub_mchid": item["sub_mchid"],
        "sub_appid": item.get("sub_appid"),
        "out_trade_no": item["out_trade_no"],
        "amount": {"total": item["amount"]["total_amount"]},
        "attach": item["attach"],
        "notify_url": body["notify_url"],
        "payer": {"sp_openid": openid} if openid else {},
        **({"time_expire": body["time_expire"]} if "time_expire" in body else {}),
    }
