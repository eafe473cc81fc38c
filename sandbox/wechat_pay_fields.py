"""The shapes of WeChat Pay's request bodies (partner mode): fields and limits; PARAM_ERROR for anything else."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.wechat_pay_errors import WechatPayError, wrong

Check = Callable[[str, Any], None]
OUT_TRADE_NO: Final = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
OUT_REFUND_NO: Final = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+08:00")
_MAX_TOTAL_FEN: Final = 10_000_000_000


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object without duplicate keys. Raises WechatPayError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("duplicate key")
        return found

    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise WechatPayError("PARAM_ERROR", "请求报文不是合法的 JSON") from error
    if not isinstance(value, dict):
        raise WechatPayError("PARAM_ERROR", "请求报文不是 JSON 对象")
    return value


def canonical(value: Mapping[str, Any]) -> str:
    """One text for equal contents, for "the same number with other parameters"."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def read_time(field: str, value: str) -> datetime:
    """RFC 3339 in +08:00, as WeChat Pay asks for it."""
    if not _TIME.fullmatch(value):
        raise wrong(field, "格式应为 yyyy-MM-DDTHH:mm:ss+08:00")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise wrong(field, "不是有效的时间") from error


def check_order(kind: str, body: Mapping[str, Any]) -> None:
    """The body of POST /v3/pay/partner/transactions/{kind}; time_expire is judged by the caller."""
    required = _ORDER_REQUIRED | _KINDS[kind][0]
    optional = _ORDER_OPTIONAL | _KINDS[kind][1]
    _check("", body, required, optional)


def check_close(body: Mapping[str, Any]) -> None:
    """The body of a close."""
    _check("", body, {"sp_mchid": _text(1, 32), "sub_mchid": _text(1, 32)}, {})


def check_combined(kind: str, body: Mapping[str, Any]) -> None:
    """The body of POST /v3/combine-transactions/{kind}; time_expire is judged by the caller."""
    required, optional = _COMBINED_KINDS[kind]
    _check("", body, _COMBINED_REQUIRED | required, _COMBINED_OPTIONAL | optional)
    numbers = [sub_order["out_trade_no"] for sub_order in body["sub_orders"]]
    if len({*numbers, body["combine_out_trade_no"]}) != len(numbers) + 1:
        raise wrong("sub_orders", "订单号重复")


def check_combined_close(body: Mapping[str, Any]) -> None:
    """The body of the close of a combined order."""
    _check("", body, {"combine_appid": _text(1, 32), "sub_orders": _list(_SUB_CLOSE, MOST_SUB_ORDERS)}, {})


def check_refund(body: Mapping[str, Any]) -> None:
    """The body of POST /v3/refund/domestic/refunds."""
    _check("", body, _REFUND_REQUIRED, _REFUND_OPTIONAL)
    if ("transaction_id" in body) == ("out_trade_no" in body):
        raise wrong("transaction_id", "与 out_trade_no 二选一")


def _check(prefix: str, body: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check]) -> None:
    for name, check in required.items():
        if name not in body:
            raise wrong(prefix + name, "为必填项")
        check(prefix + name, body[name])
    for name in body.keys() - required.keys():
        if name not in optional:
            # The real platform drops what it does not know; here a misspelt field must not stay unnoticed.
            raise wrong(prefix + name, "未知字段")
        optional[name](prefix + name, body[name])


def _text(least: int, most: int, pattern: re.Pattern[str] | None = None) -> Check:
    def check(field: str, value: Any) -> None:
        if not isinstance(value, str) or not least <= len(value) <= most or (least and not value.strip()):
            raise wrong(field, f"应为 {least} 到 {most} 个字符的字符串")
        if pattern is not None and not pattern.fullmatch(value):
            raise wrong(field, "含有不允许的字符")
        if any(character < " " for character in value) or _has_surrogate(value):
            raise wrong(field, "含有不允许的字符")

    return check


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _integer(least: int, most: int) -> Check:
    def check(field: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise wrong(field, f"应为 {least} 到 {most} 的整数")

    return check


def _one_of(*values: str) -> Check:
    def check(field: str, value: Any) -> None:
        if value not in values:
            raise wrong(field, "取值应为 " + "、".join(values))

    return check


def _boolean(field: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise wrong(field, "应为布尔值")


def _object(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    def check(field: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise wrong(field, "应为对象")
        _check(field + ".", value, required, optional)

    return check


def _list(item: Check, most: int) -> Check:
    def check(field: str, value: Any) -> None:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise wrong(field, f"应为 1 到 {most} 项的数组")
        for index, entry in enumerate(value):
            item(f"{field}[{index}]", entry)

    return check


def _notify_url(field: str, value: Any) -> None:
    _text(1, 255)(field, value)
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError as error:
        raise wrong(field, "不是有效的地址") from error
    # Loopback is where the product under trial lives; everything else must be what the real platform asks for.
    schemes = ("http", "https") if host in ("127.0.0.1", "localhost", "::1") else ("https",)
    if parts.scheme not in schemes or not host or parts.query or parts.fragment or "?" in value:
        raise wrong(field, "应为外网可访问的 https 地址，不能携带参数")


def _payer(field: str, value: Any) -> None:
    _object({}, {"sp_openid": _text(1, 128), "sub_openid": _text(1, 128)})(field, value)
    if len(value) != 1:
        raise wrong(field, "sp_openid 与 sub_openid 二选一")


_GOODS: Final = _list(
    _object(
        {
            "merchant_goods_id": _text(1, 32),
            "quantity": _integer(1, 1_000_000),
            "unit_price": _integer(0, _MAX_TOTAL_FEN),
        },
        {"wechatpay_goods_id": _text(1, 32), "goods_name": _text(1, 256)},
    ),
    6000,
)
_STORE: Final = _object(
    {"id": _text(1, 32)}, {"name": _text(1, 256), "area_code": _text(1, 32), "address": _text(1, 512)}
)
_SCENE: Final = {"device_id": _text(1, 32), "store_info": _STORE}
_H5: Final = _object(
    {"type": _one_of("iOS", "Android", "Wap")},
    {"app_name": _text(1, 64), "app_url": _text(1, 128), "bundle_id": _text(1, 128), "package_name": _text(1, 128)},
)
_ORDER_REQUIRED: Final[dict[str, Check]] = {
    "sp_appid": _text(1, 32),
    "sp_mchid": _text(1, 32),
    "sub_mchid": _text(1, 32),
    "description": _text(1, 127),
    "out_trade_no": _text(6, 32, OUT_TRADE_NO),
    "notify_url": _notify_url,
    "amount": _object({"total": _integer(1, _MAX_TOTAL_FEN)}, {"currency": _one_of("CNY")}),
}
_ORDER_OPTIONAL: Final[dict[str, Check]] = {
    "sub_appid": _text(1, 32),
    "time_expire": _text(1, 64),
    "attach": _text(1, 128),
    "goods_tag": _text(1, 32),
    "support_fapiao": _boolean,
    "detail": _object(
        {}, {"cost_price": _integer(0, _MAX_TOTAL_FEN), "invoice_id": _text(1, 32), "goods_detail": _GOODS}
    ),
    "settle_info": _object({}, {"profit_sharing": _boolean}),
}
_SCENE_WITH_IP: Final = {"scene_info": _object({"payer_client_ip": _text(1, 45)}, _SCENE)}
_KINDS: Final[dict[str, tuple[dict[str, Check], dict[str, Check]]]] = {
    "jsapi": ({"payer": _payer}, dict(_SCENE_WITH_IP)),
    "app": ({}, dict(_SCENE_WITH_IP)),
    "native": ({}, dict(_SCENE_WITH_IP)),
    "h5": ({"scene_info": _object({"payer_client_ip": _text(1, 45), "h5_info": _H5}, _SCENE)}, {}),
}
ORDER_KINDS: Final = tuple(_KINDS)
MOST_SUB_ORDERS: Final = 50
"""Of a service provider; merchants by themselves have 2 to 10."""
_MAX_SUB_FEN: Final = 1_000_000_000
_SUB_ORDER: Final = _object(
    {
        "mchid": _text(1, 32),
        "sub_mchid": _text(1, 32),
        "attach": _text(1, 128),
        "amount": _object({"total_amount": _integer(1, _MAX_SUB_FEN), "currency": _one_of("CNY")}, {}),
        "out_trade_no": _text(6, 32, OUT_TRADE_NO),
        "description": _text(1, 127),
    },
    {
        "sub_appid": _text(1, 32),
        "detail": _text(1, 6000),
        "goods_tag": _text(1, 32),
        "settle_info": _object({}, {"profit_sharing": _boolean}),
    },
)
_SUB_CLOSE: Final = _object(
    {"mchid": _text(1, 32), "out_trade_no": _text(6, 32, OUT_TRADE_NO)}, {"sub_mchid": _text(1, 32)}
)
_COMBINED_REQUIRED: Final[dict[str, Check]] = {
    "combine_appid": _text(1, 32),
    "combine_mchid": _text(1, 32),
    "combine_out_trade_no": _text(6, 32, OUT_TRADE_NO),
    "sub_orders": _list(_SUB_ORDER, MOST_SUB_ORDERS),
    "notify_url": _notify_url,
}
_COMBINED_OPTIONAL: Final[dict[str, Check]] = {"time_start": _text(1, 64), "time_expire": _text(1, 64)}
_COMBINED_SCENE: Final = {"scene_info": _object({"payer_client_ip": _text(1, 45)}, {"device_id": _text(7, 16)})}
_COMBINED_KINDS: Final[dict[str, tuple[dict[str, Check], dict[str, Check]]]] = {
    "jsapi": ({"combine_payer_info": _object({"openid": _text(1, 128)}, {})}, dict(_COMBINED_SCENE)),
    "app": ({}, dict(_COMBINED_SCENE)),
    "native": ({}, dict(_COMBINED_SCENE)),
    "h5": (
        {"scene_info": _object({"payer_client_ip": _text(1, 45), "h5_info": _H5}, {"device_id": _text(7, 16)})},
        {},
    ),
}

_REFUND_REQUIRED: Final[dict[str, Check]] = {
    "sub_mchid": _text(1, 32),
    "out_refund_no": _text(1, 64, OUT_REFUND_NO),
    "amount": _object(
        {
            "refund": _integer(1, _MAX_TOTAL_FEN),
            "total": _integer(1, _MAX_TOTAL_FEN),
            "currency": _one_of("CNY"),
        },
        {
            "from": _list(
                _object({"account": _one_of("AVAILABLE", "UNAVAILABLE"), "amount": _integer(1, _MAX_TOTAL_FEN)}, {}), 2
            )
        },
    ),
}
_REFUND_OPTIONAL: Final[dict[str, Check]] = {
    "transaction_id": _text(1, 32),
    "out_trade_no": _text(6, 32, OUT_TRADE_NO),
    "reason": _text(1, 80),
    "notify_url": _notify_url,
    "funds_account": _one_of("AVAILABLE", "UNSETTLED"),
    "goods_detail": _list(
        _object(
            {
                "merchant_goods_id": _text(1, 32),
                "unit_price": _integer(0, _MAX_TOTAL_FEN),
                "refund_amount": _integer(0, _MAX_TOTAL_FEN),
                "refund_quantity": _integer(1, 1_000_000),
            },
            {"wechatpay_goods_id": _text(1, 32), "goods_name": _text(1, 256)},
        ),
        6000,
    ),
}
