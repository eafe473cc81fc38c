"""``/control/wechat-pay`` and ``/control/people/{id}/pay``: the phone's side of a payment, and WeChat Pay's staff."""

import math
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from sanic import Request, Sanic

from sandbox import wechat_pay_crypto as crypto
from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.outbox import PACE
from sandbox.replies import Reply, empty_reply, json_reply
from sandbox.wechat_pay_combined import CombinedOrders
from sandbox.wechat_pay_notices import Notices, Spoiling, order_subject, refund_subject
from sandbox.wechat_pay_orders import Orders
from sandbox.wechat_pay_parties import Parties
from sandbox.wechat_pay_refunds import OUTCOME, OUTCOMES, Refunds
from sandbox.wechat_people import People

_PARAMETERS: Final = ("appId", "timeStamp", "nonceStr", "package", "signType", "paySign")


class _Declined(Exception):
    """The phone says no; the text says why."""


class Phone:
    """Pays as a phone does: with the parameters of wx.requestPayment, or by a scanned code or an opened H5 address."""

    def __init__(
        self,
        context: Context,
        parties: Parties,
        people: People,
        orders: Orders,
        combined: CombinedOrders,
        notices: Notices,
    ) -> None:
        self._context = context
        self._parties = parties
        self._people = people
        self._orders = orders
        self._combined = combined
        self._notices = notices

    def pay(self, person_id: str, body: Mapping[str, Any]) -> dict[str, str]:
        """``{"result": "ok"}``, or fail with a reason; the payment and its notice are one commit."""
        self._people.described(person_id)
        coupon_fen = body.get("coupon_fen", 0)
        try:
            with self._context.state.transaction():
                scanned = body.get("code_url") or body.get("h5_url")
                order, payer = self._scanned(person_id, scanned) if scanned else self._requested(person_id, body)
                if self._orders.trade_state(order) != "NOTPAY":
                    raise _Declined("the order is " + self._orders.trade_state(order))
                if not isinstance(coupon_fen, int) or not 0 <= coupon_fen < order["total"]:
                    raise ControlError("coupon_fen is less than the total")
                self.arrive(order, payer, coupon_fen)
        except _Declined as reason:
            return {"result": "fail", "reason": str(reason)}
        return {"result": "ok"}

    def arrive(self, order: sqlite3.Row, payer: Mapping[str, str | None], coupon_fen: int = 0) -> sqlite3.Row:
        """The money is there: the order is paid and its notice written."""
        number = self._orders.combined_of(order)
        if number is not None:
            self.arrive_combined(order["sp_mchid"], number, payer.get("sp_openid"), coupon_fen)
            return order
        with self._context.state.transaction():
            paid = self._orders.pay(order, payer, coupon_fen)
            resource = self._orders.described(paid)
            subject = order_subject(paid)
            self._notices.add(subject, paid["notify_url"], paid["sp_mchid"], "TRANSACTION.SUCCESS", resource)
        return paid

    def arrive_combined(self, mchid: str, number: str, openid: str | None, coupon_fen: int = 0) -> None:
        """The money for all sub-orders is there: one notice tells of them."""
        with self._context.state.transaction():
            paid = self._combined.pay(self._combined.parts(mchid, number), openid, coupon_fen)
            resource = self._combined.described(number, paid)
            subject = combined_subject(mchid, number)
            self._notices.add(subject, paid[0]["notify_url"], mchid, "TRANSACTION.SUCCESS", resource)

    def _requested(self, person_id: str, body: Mapping[str, Any]) -> tuple[sqlite3.Row, dict[str, str | None]]:
        values = {name: body.get(name) for name in _PARAMETERS}
        for name, value in values.items():
            if not isinstance(value, str) or not value:
                raise _Declined(f"{name} must be a string that is not empty")
        given = {name: str(value) for name, value in values.items()}
        if given["signType"] != "RSA":
            raise _Declined("signType must be RSA")
        if not (given["timeStamp"].isascii() and given["timeStamp"].isdigit() and len(given["timeStamp"]) <= 32):
            raise _Declined("timeStamp must be seconds")
        prefix, _, prepay_id = given["package"].partition("=")
        if prefix != "prepay_id":
            raise _Declined("package must be prepay_id=…")
        order = self._order_of(prepay_id, "JSAPI")
        signed = "".join(f"{given[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package"))
        if not crypto.verify(self._parties.merchants[order["sp_mchid"]].key, signed.encode(), given["paySign"]):
            raise _Declined("paySign does not verify")
        side = {order["sp_appid"]: "sp_openid", order["sub_appid"]: "sub_openid"}.get(given["appId"])
        if side is None or order[side] is None:
            raise _Declined("appId is not the app the order was opened in")
        if self._people.openid(person_id, given["appId"]) != order[side]:
            raise _Declined("the order was opened for another openid")
        return order, {"sp_openid": order["sp_openid"], "sub_openid": order["sub_openid"]}

    def _scanned(self, person_id: str, ticket: str) -> tuple[sqlite3.Row, dict[str, str | None]]:
        order = self._order_of(ticket, "NATIVE", "MWEB")
        return order, {"sp_openid": self._people.openid(person_id, order["sp_appid"])}

    def _order_of(self, ticket: str, *trade_types: str) -> sqlite3.Row:
        found = self._orders.ticket(ticket)
        order = None if found is None else self._found(found["sp_mchid"], found["out_trade_no"])
        if found is None or order is None or order["trade_type"] not in trade_types:
            raise _Declined("no such prepay_id, code or address")
        if self._context.clock.timestamp() >= found["expires_at"]:
            raise _Declined("the prepay_id, code or address has expired")
        return order

    def _found(self, mchid: str, number: str) -> sqlite3.Row | None:
        """An ordinary order, or the first sub-order of a combined one: they stand and fall together."""
        return self._orders.find(mchid, number) or next(iter(self._combined.parts(mchid, number)), None)


def mount(
    app: Sanic,
    context: Context,
    parties: Parties,
    people: People,
    orders: Orders,
    combined: CombinedOrders,
    refunds: Refunds,
    notices: Notices,
) -> None:
    """Add the routes."""
    phone = Phone(context, parties, people, orders, combined, notices)
    _mount_orders(app, phone, orders, notices)
    _mount_combined(app, phone, combined, notices)
    _mount_refunds(app, context, refunds, notices)

    @app.post("/control/people/<person_id:str>/pay", name="control_pay")
    async def pay(request: Request, person_id: str) -> Reply:
        body = body_of(request)
        if "url" in body:
            for browser in context.browsers:
                if (result := browser(body)) is not None:
                    return json_reply(result)
            # A code that is scanned, or a page that says where to come back to.
            body = {"code_url": str(body["url"]).partition("&redirect_url=")[0]}
        return json_reply(phone.pay(person_id, body))

    @app.post("/control/wechat-pay/pace", name="control_pace")
    async def pace(request: Request) -> Reply:
        factor = body_of(request).get("factor")
        if not isinstance(factor, int | float) or not math.isfinite(factor) or factor <= 0:
            raise ControlError("factor is a number above 0")
        context.state.choose(PACE, str(float(factor)))
        return empty_reply()


def combined_subject(mchid: str, number: str) -> str:
    """The subject of a combined order's notices."""
    return f"order:{mchid}:{number}"


def _mount_combined(app: Sanic, phone: Phone, combined: CombinedOrders, notices: Notices) -> None:
    def the_one(number: str) -> tuple[str, list[sqlite3.Row]]:
        for mchid, known in combined.numbers():
            if known == number:
                return mchid, combined.parts(mchid, number)
        raise ControlError("no such combine_out_trade_no", 404)

    def described(number: str) -> dict[str, Any]:
        mchid, parts = the_one(number)
        return combined.described(number, parts) | notices.about(combined_subject(mchid, number))

    @app.get("/control/wechat-pay/combined", name="control_combined")
    async def listed(_: Request) -> Reply:
        return json_reply({"orders": [described(number) for _, number in combined.numbers()]})

    @app.post("/control/wechat-pay/combined/<number:str>/notify", name="control_combined_notify", unquote=True)
    async def notify(request: Request, number: str) -> Reply:
        mchid, parts = the_one(number)
        address = (combined_subject(mchid, number), parts[0]["notify_url"], mchid, "TRANSACTION.SUCCESS")
        return json_reply(await _by_hand(notices, address, combined.described(number, parts), body_of(request)))

    @app.post("/control/wechat-pay/combined/<number:str>/force", name="control_combined_force", unquote=True)
    async def force(request: Request, number: str) -> Reply:
        mchid, parts = the_one(number)
        state = body_of(request).get("trade_state")
        if any(order["state"] == "SUCCESS" for order in parts):
            raise ControlError("the order is paid; money that has arrived does not leave by force", 409)
        if state == "SUCCESS":
            phone.arrive_combined(mchid, number, parts[0]["sp_openid"])
        elif state in ("CLOSED", "NOTPAY"):
            combined.set_state(parts, state)
        else:
            raise ControlError("trade_state is SUCCESS, CLOSED or NOTPAY")
        return json_reply(described(number))


def _mount_orders(app: Sanic, phone: Phone, orders: Orders, notices: Notices) -> None:
    def described(order: sqlite3.Row) -> dict[str, Any]:
        times = {name: order[name] for name in ("created_at", "expires_at", "paid_at", "notify_url")}
        more = {"combine_out_trade_no": orders.combined_of(order)} if orders.combined_of(order) else {}
        return orders.described(order) | times | more | notices.about(order_subject(order))

    @app.get("/control/wechat-pay/orders", name="control_orders")
    async def listed(_: Request) -> Reply:
        return json_reply({"orders": [described(order) for order in orders.all()]})

    @app.post("/control/wechat-pay/orders/<out_trade_no:str>/notify", name="control_order_notify", unquote=True)
    async def notify(request: Request, out_trade_no: str) -> Reply:
        order = _the_one(orders.all(), "out_trade_no", out_trade_no)
        address = (order_subject(order), order["notify_url"], order["sp_mchid"], "TRANSACTION.SUCCESS")
        return json_reply(await _by_hand(notices, address, orders.described(order), body_of(request)))

    @app.post("/control/wechat-pay/orders/<out_trade_no:str>/force", name="control_order_force", unquote=True)
    async def force(request: Request, out_trade_no: str) -> Reply:
        order = _the_one(orders.all(), "out_trade_no", out_trade_no)
        state = body_of(request).get("trade_state")
        if order["state"] == "SUCCESS":
            raise ControlError("the order is paid; money that has arrived does not leave by force", 409)
        if state == "SUCCESS":
            order = phone.arrive(order, {"sp_openid": order["sp_openid"], "sub_openid": order["sub_openid"]})
        elif state in ("CLOSED", "NOTPAY"):
            order = orders.set_state(order, state)
        else:
            raise ControlError("trade_state is SUCCESS, CLOSED or NOTPAY")
        return json_reply(described(order))


def _mount_refunds(app: Sanic, context: Context, refunds: Refunds, notices: Notices) -> None:
    def described(refund: sqlite3.Row) -> dict[str, Any]:
        return refunds.described(refund) | {"notify_url": refund["notify_url"]} | notices.about(refund_subject(refund))

    @app.get("/control/wechat-pay/refunds", name="control_refunds")
    async def listed(_: Request) -> Reply:
        return json_reply({"refunds": [described(refund) for refund in refunds.all()]})

    @app.post("/control/wechat-pay/refunds/<out_refund_no:str>/notify", name="control_refund_notify", unquote=True)
    async def notify(request: Request, out_refund_no: str) -> Reply:
        refund = _the_one(refunds.all(), "out_refund_no", out_refund_no)
        if refund["status"] == "PROCESSING" or not refund["notify_url"]:
            raise ControlError("the refund is not settled, or has no notify_url", 409)
        event_type = f"REFUND.{refund['status']}"
        address = (refund_subject(refund), refund["notify_url"], refund["sp_mchid"], event_type)
        return json_reply(await _by_hand(notices, address, refunds.noticed(refund), body_of(request)))

    @app.post("/control/wechat-pay/refunds/<out_refund_no:str>/force", name="control_refund_force", unquote=True)
    async def force(request: Request, out_refund_no: str) -> Reply:
        status = body_of(request).get("status")
        if status not in ("SUCCESS", "ABNORMAL", "CLOSED"):
            raise ControlError("status is SUCCESS, ABNORMAL or CLOSED")
        refund = _the_one(refunds.all(), "out_refund_no", out_refund_no)
        if refund["status"] not in ("PROCESSING", "ABNORMAL"):
            raise ControlError(f"the refund is {refund['status']}", 409)
        return json_reply(described(refunds.settle(refund, status)))

    @app.post("/control/wechat-pay/refund-outcome", name="control_refund_outcome")
    async def outcome(request: Request) -> Reply:
        chosen = body_of(request).get("outcome")
        if chosen not in OUTCOMES:
            raise ControlError("outcome is one of " + ", ".join(OUTCOMES))
        context.state.choose(OUTCOME, chosen)
        return empty_reply()


async def _by_hand(
    notices: Notices, address: tuple[str, str, str, str], resource: Mapping[str, Any], body: Mapping[str, Any]
) -> dict[str, Any]:
    mutate = body.get("mutate") or {}
    if not isinstance(mutate, dict):
        raise ControlError("mutate is an object of fields")
    spoiling = Spoiling(mutate, str(body.get("sign_with") or "platform"), float(body.get("late_s") or 0))
    times = int(body.get("times") or 1)
    return {"answers": [await notices.send_by_hand(*address, resource, spoiling) for _ in range(times)]}


def _the_one(rows: list[sqlite3.Row], column: str, value: str) -> sqlite3.Row:
    found = [row for row in rows if row[column] == value]
    if not found:
        raise ControlError(f"no such {column}", 404)
    return found[-1]
