"""WeChat Pay v3 in partner mode: ``mount`` opens its port and its control endpoints.

The parts: :mod:`sandbox.wechat_pay_door` (signatures in and out),
:mod:`sandbox.wechat_pay_fields` (shapes), :mod:`sandbox.wechat_pay_orders`, :mod:`sandbox.wechat_pay_combined`, :mod:`sandbox.wechat_pay_refunds`,
:mod:`sandbox.wechat_pay_notices`, :mod:`sandbox.wechat_pay_control`.
"""

import logging
import sqlite3
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import SanicException

from sandbox import wechat_pay_bills, wechat_pay_control
from sandbox import wechat_pay_crypto as crypto
from sandbox.context import Context
from sandbox.replies import Reply, json_reply
from sandbox.wechat_pay_bills import Bills
from sandbox.wechat_pay_combined import CombinedOrders
from sandbox.wechat_pay_door import Door, query_of
from sandbox.wechat_pay_errors import WechatPayError
from sandbox.wechat_pay_fields import ORDER_KINDS, read_object
from sandbox.wechat_pay_notices import Notices, refund_subject
from sandbox.wechat_pay_orders import Orders
from sandbox.wechat_pay_parties import Merchant, Parties
from sandbox.wechat_pay_refunds import Refunds
from sandbox.wechat_people import People

TRANSACTIONS = "/v3/pay/partner/transactions"
COMBINED = "/v3/combine-transactions"
REFUNDS = "/v3/refund/domestic/refunds"
log = logging.getLogger("sandbox")


def mount(app: Sanic, control_app: Sanic, context: Context, people: People) -> None:
    """Open the port. Raises ValueError or KeyError when the configuration is wrong."""
    parties = Parties(context.config["wechat_pay"])
    orders = Orders(context.state, context.clock, parties, people)
    combined = CombinedOrders(context.state, parties, orders)
    notices = Notices(context, parties)

    def settled(refund: sqlite3.Row) -> None:
        if refund["notify_url"]:
            event_type = f"REFUND.{refund['status']}"
            resource = refunds.noticed(refund)
            notices.add(refund_subject(refund), refund["notify_url"], refund["sp_mchid"], event_type, resource)

    refunds = Refunds(context, parties, orders, settled)
    door = Door(context, parties)
    _mount_orders(app, door, orders)
    _mount_combined(app, door, combined)
    _mount_refunds(app, door, refunds)
    _mount_certificates(app, door, parties)
    wechat_pay_bills.mount(app, control_app, context, door, Bills(context, parties, orders, refunds))
    wechat_pay_control.mount(control_app, context, parties, people, orders, combined, refunds, notices)


def _mount_orders(app: Sanic, door: Door, orders: Orders) -> None:
    for kind in ORDER_KINDS:

        async def open_order(request: Request, kind: str = kind) -> HTTPResponse:
            call_id = _id_in(request, "out_trade_no")
            return await door.answer(
                request, "order", call_id, lambda merchant: orders.open(merchant, kind, read_object(request.body))
            )

        app.add_route(open_order, f"{TRANSACTIONS}/{kind}", methods=["POST"], name=f"order_{kind}")

    @app.get(f"{TRANSACTIONS}/out-trade-no/<out_trade_no:str>", name="query_by_out_trade_no", unquote=True)
    async def query(request: Request, out_trade_no: str) -> HTTPResponse:
        def work(merchant: Merchant) -> dict[str, Any]:
            by = query_of(request, "sp_mchid", "sub_mchid")
            return orders.query(merchant, orders.find(merchant.mchid, out_trade_no), by)

        return await door.answer(request, "query", out_trade_no, work)

    @app.get(f"{TRANSACTIONS}/id/<transaction_id:str>", name="query_by_transaction_id", unquote=True)
    async def query_by_id(request: Request, transaction_id: str) -> HTTPResponse:
        def work(merchant: Merchant) -> dict[str, Any]:
            by = query_of(request, "sp_mchid", "sub_mchid")
            return orders.query(merchant, orders.find_paid(merchant.mchid, transaction_id), by)

        return await door.answer(request, "query", transaction_id, work)

    @app.post(f"{TRANSACTIONS}/out-trade-no/<out_trade_no:str>/close", name="close", unquote=True)
    async def close(request: Request, out_trade_no: str) -> HTTPResponse:
        return await door.answer(
            request,
            "close",
            out_trade_no,
            lambda merchant: orders.close(merchant, out_trade_no, read_object(request.body)),
        )


def _mount_combined(app: Sanic, door: Door, combined: CombinedOrders) -> None:
    for kind in ORDER_KINDS:

        async def open_order(request: Request, kind: str = kind) -> HTTPResponse:
            call_id = _id_in(request, "combine_out_trade_no")
            return await door.answer(
                request, "order", call_id, lambda merchant: combined.open(merchant, kind, read_object(request.body))
            )

        app.add_route(open_order, f"{COMBINED}/{kind}", methods=["POST"], name=f"combined_{kind}")

    @app.get(f"{COMBINED}/out-trade-no/<number:str>", name="combined_query", unquote=True)
    async def query(request: Request, number: str) -> HTTPResponse:
        def work(merchant: Merchant) -> dict[str, Any]:
            query_of(request)
            return combined.query(merchant, number)

        return await door.answer(request, "query", number, work)

    @app.post(f"{COMBINED}/out-trade-no/<number:str>/close", name="combined_close", unquote=True)
    async def close(request: Request, number: str) -> HTTPResponse:
        return await door.answer(
            request, "close", number, lambda merchant: combined.close(merchant, number, read_object(request.body))
        )


def _mount_refunds(app: Sanic, door: Door, refunds: Refunds) -> None:
    @app.post(REFUNDS, name="refund")
    async def refund(request: Request) -> HTTPResponse:
        call_id = _id_in(request, "out_refund_no")
        return await door.answer(
            request, "refund", call_id, lambda merchant: refunds.ask(merchant, read_object(request.body))
        )

    @app.get(f"{REFUNDS}/<out_refund_no:str>", name="refund_query", unquote=True)
    async def query(request: Request, out_refund_no: str) -> HTTPResponse:
        def work(merchant: Merchant) -> dict[str, Any]:
            return refunds.query(merchant, out_refund_no, query_of(request, "sub_mchid")["sub_mchid"])

        return await door.answer(request, "refund_query", out_refund_no, work)


def _mount_certificates(app: Sanic, door: Door, parties: Parties) -> None:
    @app.get("/v3/certificates", name="certificates")
    async def certificates(request: Request) -> HTTPResponse:
        def work(merchant: Merchant) -> dict[str, Any]:
            certificate = parties.platform_certificate
            serial = parties.certificate_signer().serial
            assert certificate is not None
            sealed = crypto.encrypt(merchant.api_v3_key, certificate.public_bytes(Encoding.PEM), "certificate")
            entry = {
                "serial_no": serial,
                "effective_time": certificate.not_valid_before_utc.isoformat(timespec="seconds"),
                "expire_time": certificate.not_valid_after_utc.isoformat(timespec="seconds"),
                "encrypt_certificate": sealed,
            }
            return {"data": [entry]}

        return await door.answer(request, "certificates", "", work, by_certificate=True)


def _id_in(request: Request, field: str) -> str:
    """The number a body carries, for the count of calls; "" when there is none to be read."""
    try:
        return str(read_object(request.body).get(field, ""))[:64]
    except WechatPayError:
        return ""


async def refused(request: Request, error: Exception) -> Reply:
    """What never reaches the door: unknown addresses and methods. Unsigned, as such answers are in reality."""
    if isinstance(error, SanicException):
        code = "RESOURCE_NOT_EXISTS" if error.status_code == 404 else "INVALID_REQUEST"
        headers = {str(name): str(value) for name, value in (error.headers or {}).items()}
        return json_reply({"code": code, "message": str(error)}, error.status_code, headers)
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return json_reply({"code": "SYSTEM_ERROR", "message": "系统异常，请用相同参数重新调用"}, 500)
