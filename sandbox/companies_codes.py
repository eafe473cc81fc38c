"""The error codes of ``docs/company-gateway.md`` §2 as a company answers them, and the checks that raise them."""

import json
import re
from datetime import date, datetime
from typing import Any, Final

CODES: Final[dict[str, tuple[int, str]]] = {
    "EQ0001": (400, "参数或签名错误"),
    "EQ0002": (403, "没有权限"),
    "EQ0004": (404, "客户不存在"),
    "EQ0006": (404, "户号不存在"),
    "EQ0007": (422, "银行批扣期间，暂时不能缴费"),
    "EQ0008": (422, "不在受理时间内"),
    "EQ0009": (422, "该户号不能在线缴费"),
    "EQ0010": (504, "系统超时"),
    "EQ0011": (500, "系统错误"),
    "EQ0012": (422, "欠费信息异常，请到营业厅办理"),
    "EQ0013": (422, "余额信息异常，请到营业厅办理"),
    "EQ0014": (429, "该户号查询过于频繁"),
    "EQ0015": (422, "该户号不能在线充值，请持卡到营业厅办理"),
    "EQ0016": (422, "充值金额不在允许范围内"),
    "EB0001": (422, "核验信息与户号不符"),
    "EP0001": (422, "报价不存在或已过期"),
    "EP0002": (422, "金额或账单与报价不符"),
    "EP0003": (422, "账单已经缴清"),
    "EP0004": (422, "户号已销户或已冻结"),
    "EP0005": (409, "该销账编号已用于其他内容"),
    "ES0001": (404, "没有这个销账编号"),
    "EF0001": (404, "当日文件尚未生成"),
    "EO0001": (404, "没有这个子单"),
    "EO0002": (409, "该编号已用于其他内容"),
    "EO0003": (422, "已经开工，不能撤回"),
    "EO0004": (422, "不是本单位办理的业务"),
}
"""Code → HTTP status, message."""

FINAL_FOR_POSTING: Final = frozenset(
    {"EQ0004", "EQ0006", "EQ0009", "EQ0012", "EQ0013", "EP0001", "EP0002", "EP0003", "EP0004"}
)
"""A posting refused with one of these stays refused for ever; with another it never arrived and may come again."""

_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_BILL_NO = re.compile(r"[0-9A-Za-z_.-]{1,64}", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
MAX_FEN: Final = 10**12


class Refusal(Exception):
    """The answer is an error of the table. `status` overrides the table's (EQ0001 is 400 or 401)."""

    def __init__(self, code: str, message: str | None = None, status: int | None = None) -> None:
        table_status, table_message = CODES[code]
        self.code = code
        self.status = status or table_status
        self.message = message or table_message
        super().__init__(f"{code} {self.message}")

    def body(self) -> dict[str, str]:
        """The body of the answer."""
        return {"code": self.code, "message": self.message}


def wrong(what: str) -> Refusal:
    """A parameter that cannot be right: EQ0001, 400."""
    return Refusal("EQ0001", f"参数错误：{what}")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request: UTF-8, no duplicate keys, no NaN. Raises :class:`Refusal`."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise wrong("body") from None
    if not isinstance(value, dict):
        raise wrong("body")
    return value


def text(body: dict[str, Any], name: str, limit: int = 64) -> str:
    """A required string of 1 to `limit` printable characters."""
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= limit or not value.isprintable():
        raise wrong(name)
    return value


def identifier(body: dict[str, Any], name: str, limit: int = 64) -> str:
    """A required string of 1 to `limit` (at most 64) of ``[0-9A-Za-z_-]``."""
    value = body.get(name)
    if not isinstance(value, str) or _NAME.fullmatch(value) is None or len(value) > limit:
        raise wrong(name)
    return value


def bill_no(body: dict[str, Any]) -> str:
    """A required ``bill_no``: 1 to 64 of ``[0-9A-Za-z_.-]``."""
    value = body.get("bill_no")
    if not isinstance(value, str) or _BILL_NO.fullmatch(value) is None:
        raise wrong("bill_no")
    return value


def fen(body: dict[str, Any], name: str) -> int:
    """A required amount: an integer, not negative."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_FEN:
        raise wrong(name)
    return value


def decimal(body: dict[str, Any], name: str) -> str | None:
    """An optional quantity or price: decimal digits in a string."""
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or _DECIMAL.fullmatch(value) is None):
        raise wrong(name)
    return value


def moment(body: dict[str, Any], name: str) -> datetime:
    """A required time: RFC 3339 with offset."""
    value = body.get(name)
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise wrong(name)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise wrong(name) from None


def day(value: object, name: str) -> date:
    """A date ``YYYY-MM-DD`` that exists."""
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise wrong(name)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise wrong(name) from None


def period(value: object) -> str:
    """A month ``YYYY-MM``."""
    if not isinstance(value, str) or _PERIOD.fullmatch(value) is None:
        raise wrong("period")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)
