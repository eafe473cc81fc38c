"""The shapes of what Alipay is asked: the members of ``biz_content``, amounts in yuan, times of day in Beijing."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from sandbox.alipay_errors import AlipayError
from sandbox.clock import SHANGHAI

_OUT_TRADE_NO: Final = re.compile(r"[0-9A-Za-z_]{1,64}")
_TRADE_NO: Final = re.compile(r"[0-9]{16,64}")
_YUAN: Final = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_MOST_FEN: Final = 10_000_000_000

Check = Callable[[str, Any], object]


def wrong(field: str, issue: str) -> AlipayError:
    """A member that breaks its rule."""
    return AlipayError("40004", "ACQ.INVALID_PARAMETER", f"参数无效：{field} {issue}")


def read_object(text: str) -> dict[str, Any]:
    """The JSON object of ``biz_content``. Raises AlipayError."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except ValueError as error:
        raise wrong("biz_content", "不是合法的 JSON") from error
    if not isinstance(value, dict):
        raise wrong("biz_content", "应为对象")
    return value


def check(method: str, body: Mapping[str, Any]) -> None:
    """All members of a method's ``biz_content``; one too many is wrong as well. Raises AlipayError."""
    required, optional = _SHAPES[method]
    for name in required.keys() - body.keys():
        raise wrong(name, "必填")
    for name in body:
        if name not in required and name not in optional:
            raise wrong(name, "不是这个接口的参数")
        (required.get(name) or optional[name])(name, body[name])
    if method in _BY_EITHER and not ("out_trade_no" in body or "trade_no" in body):
        raise wrong("out_trade_no", "与 trade_no 至少填一个")


def read_yuan(field: str, text: Any) -> int:
    """Fen of an amount written in yuan. Raises AlipayError."""
    if not isinstance(text, str) or not _YUAN.fullmatch(text):
        raise wrong(field, "应为以元为单位、至多两位小数的字符串")
    yuan, _, decimals = text.partition(".")
    fen = int(yuan) * 100 + int(decimals.ljust(2, "0") or 0)
    if not 1 <= fen <= _MOST_FEN:
        raise wrong(field, "应在 0.01 到 100000000 之间")
    return fen


def yuan(fen: int) -> str:
    """An amount as Alipay writes it."""
    return f"{fen // 100}.{fen % 100:02d}"


def read_time(field: str, text: Any) -> datetime:
    """A time of day in Beijing. Raises AlipayError."""
    if isinstance(text, str) and _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
        except ValueError:
            pass
    raise wrong(field, "应为 yyyy-MM-dd HH:mm:ss")


def is_address(value: str) -> bool:
    """An address the platform would call or send a browser to; plain http only on loopback."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return len(value) <= 256 and bool(parts.hostname) and parts.scheme in (("http", "https") if local else ("https",))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _text(least: int, most: int, forbidden: str = "") -> Check:
    def check_text(field: str, value: Any) -> None:
        if not isinstance(value, str) or not least <= len(value) <= most or (least and not value.strip()):
            raise wrong(field, f"应为 {least} 到 {most} 个字符的字符串")
        if any(character < " " or character in forbidden for character in value):
            raise wrong(field, "含有不允许的字符")

    return check_text


def _matches(pattern: re.Pattern[str], issue: str) -> Check:
    def check_pattern(field: str, value: Any) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise wrong(field, issue)

    return check_pattern


def _address(field: str, value: Any) -> None:
    if not isinstance(value, str) or not is_address(value):
        raise wrong(field, "不是可以打开的地址")


def _one_of(*values: str) -> Check:
    def check_choice(field: str, value: Any) -> None:
        if value not in values:
            raise wrong(field, "取值应为 " + "、".join(values))

    return check_choice


def _provider(field: str, value: Any) -> None:
    if not isinstance(value, dict) or value.keys() != {"sys_service_provider_id"}:
        raise wrong(field, "只能有 sys_service_provider_id")
    _matches(re.compile(r"2088[0-9]{12}"), "应为 2088 开头的 16 位数字")(
        "sys_service_provider_id", value["sys_service_provider_id"]
    )


_NUMBER: Final = _matches(_OUT_TRADE_NO, "应为 1 到 64 个字母、数字、下划线")
_EITHER: Final[dict[str, Check]] = {"out_trade_no": _NUMBER, "trade_no": _matches(_TRADE_NO, "应为数字")}
_BY_EITHER: Final = {
    "alipay.trade.query",
    "alipay.trade.close",
    "alipay.trade.refund",
    "alipay.trade.fastpay.refund.query",
}
_SHAPES: Final[dict[str, tuple[dict[str, Check], dict[str, Check]]]] = {
    "alipay.trade.wap.pay": (
        {
            "out_trade_no": _NUMBER,
            "total_amount": read_yuan,
            # The gateway refuses these three characters in a subject.
            "subject": _text(1, 256, "/=&"),
            "product_code": _one_of("QUICK_WAP_WAY"),
            "quit_url": _address,
        },
        {
            "time_expire": read_time,
            "body": _text(1, 128),
            "seller_id": _matches(re.compile(r"2088[0-9]{12}"), "应为 2088 开头的 16 位数字"),
            "passback_params": _text(1, 512),
            "extend_params": _provider,
        },
    ),
    "alipay.trade.query": ({}, _EITHER),
    "alipay.trade.close": ({}, {**_EITHER, "operator_id": _text(1, 28)}),
    "alipay.trade.refund": (
        {"refund_amount": read_yuan},
        {**_EITHER, "out_request_no": _text(1, 64), "refund_reason": _text(1, 256)},
    ),
    "alipay.trade.fastpay.refund.query": ({"out_request_no": _text(1, 64)}, _EITHER),
    "alipay.data.dataservice.bill.downloadurl.query": ({"bill_type": _one_of("trade"), "bill_date": _text(10, 10)}, {}),
}
METHODS: Final = frozenset(_SHAPES)
