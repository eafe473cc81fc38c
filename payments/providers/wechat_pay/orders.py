"""The bodies of orders, ordinary and combined (合单), partner mode.

A combined order carries 2 to 50 sub-orders, one per merchant, and is paid all or nothing; `attach` is required in each sub-order.
Sources: pay.weixin.qq.com apiv3_partner 合单支付 (combine-transactions), 服务商 JSAPI 下单.
"""

import re
from typing import Any
from urllib.parse import quote

from core import clock
from payments.providers.port import Method, OrderName, OrderRequest
from payments.providers.wechat_pay.config import WeChatPayConfig

TRADES = "/v3/pay/partner/transactions"
COMBINED = "/v3/combine-transactions"
MOST_PARTS = 50
_ORDER_NO = re.compile(r"[0-9A-Za-z_|*-]{6,32}")


def opening(config: WeChatPayConfig, order: OrderRequest) -> tuple[str, dict[str, Any]]:
    """The address and the body that open an order.

    Raises:
        ValueError: the order breaks a rule of the platform.
    """
    _check(order)
    if order.name.is_combined:
        return f"{COMBINED}/{order.method}", _combined(config, order)
    return f"{TRADES}/{order.method}", _ordinary(config, order)


def asking(config: WeChatPayConfig, order: OrderName) -> str:
    """The address that tells what became of an order."""
    if order.is_combined:
        return f"{COMBINED}/out-trade-no/{path_part(order.number)}"
    ((number, merchant),) = order.parts
    query = f"sp_mchid={config.sp_mchid}&sub_mchid={quote(merchant, safe='')}"
    return f"{TRADES}/out-trade-no/{path_part(number)}?{query}"


def closing(config: WeChatPayConfig, order: OrderName) -> tuple[str, dict[str, Any]]:
    """The address and the body that close an order; a combined one names exactly the sub-orders it was opened with."""
    if order.is_combined:
        sub_orders = [
            {"mchid": config.sp_mchid, "out_trade_no": number, "sub_mchid": merchant}
            for number, merchant in order.parts
        ]
        body = {"combine_appid": config.sp_appid, "sub_orders": sub_orders}
        return f"{COMBINED}/out-trade-no/{path_part(order.number)}/close", body
    ((number, merchant),) = order.parts
    return f"{TRADES}/out-trade-no/{path_part(number)}/close", {"sp_mchid": config.sp_mchid, "sub_mchid": merchant}


def path_part(order_no: str) -> str:
    """Our number as it stands in an address.

    Raises:
        ValueError: the platform would not take it.
    """
    if not _ORDER_NO.fullmatch(order_no):
        raise ValueError("order_no is 6 to 32 of [0-9A-Za-z_|*-]")
    return quote(order_no, safe="")


def check_notify_url(url: str, max_characters: int) -> None:
    """An absolute address without a query, as the platform asks for it.

    Raises:
        ValueError: it is not.
    """
    if len(url) > max_characters or "?" in url or not url.startswith(("https://", "http://")):
        raise ValueError("a notify address is absolute, without query, and not too long")


def _ordinary(config: WeChatPayConfig, order: OrderRequest) -> dict[str, Any]:
    (part,) = order.parts
    return {
        "sp_appid": config.sp_appid,
        "sp_mchid": config.sp_mchid,
        "sub_mchid": part.merchant,
        "description": part.description,
        "out_trade_no": part.order_no,
        "time_expire": _time(order),
        "notify_url": order.notify_url,
        "amount": {"total": part.amount_fen, "currency": "CNY"},
        **_scene(order),
        **({"payer": {"sp_openid": order.payer}} if order.method is Method.JSAPI else {}),
    }


def _combined(config: WeChatPayConfig, order: OrderRequest) -> dict[str, Any]:
    sub_orders = [
        {
            "mchid": config.sp_mchid,
            "sub_mchid": part.merchant,
            "out_trade_no": part.order_no,
            "attach": order.number,
            "amount": {"total_amount": part.amount_fen, "currency": "CNY"},
            "description": part.description,
        }
        for part in order.parts
    ]
    return {
        "combine_appid": config.sp_appid,
        "combine_mchid": config.sp_mchid,
        "combine_out_trade_no": order.number,
        "sub_orders": sub_orders,
        "time_expire": _time(order),
        "notify_url": order.notify_url,
        **_scene(order),
        **({"combine_payer_info": {"openid": order.payer}} if order.method is Method.JSAPI else {}),
    }


def _scene(order: OrderRequest) -> dict[str, Any]:
    if order.method is not Method.H5:
        return {}
    return {"scene_info": {"payer_client_ip": order.payer_ip, "h5_info": {"type": "Wap"}}}


def _time(order: OrderRequest) -> str:
    return order.expires_at.astimezone(clock.SHANGHAI).isoformat(timespec="seconds")


def _check(order: OrderRequest) -> None:
    path_part(order.number)
    for part in order.parts:
        path_part(part.order_no)
        if part.amount_fen < 1:
            raise ValueError("an order has at least 1 fen")
        if not 1 <= len(part.description) <= 127:
            raise ValueError("a description has 1 to 127 characters")
    numbers = {part.order_no for part in order.parts}
    if not 1 <= len(order.parts) <= MOST_PARTS or len(numbers) != len(order.parts):
        raise ValueError("an order has 1 to 50 parts, each with a number of its own")
    if (order.number in numbers) == order.name.is_combined:
        raise ValueError("a combined order has a number of its own, an ordinary one its part's")
    if order.expires_at.tzinfo is None:
        raise ValueError("expires_at is an aware time")
    if (order.method is Method.JSAPI) != (order.payer is not None):
        raise ValueError("an order names its payer for jsapi, and only then")
    if order.method is Method.H5 and not order.payer_ip:
        raise ValueError("an order for h5 says where its payer's device comes from")
    check_notify_url(order.notify_url, 255)
