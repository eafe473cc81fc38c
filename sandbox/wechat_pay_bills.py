"""The bills of WeChat Pay (交易账单): written from its own orders and refunds, handed out packed, under a link that soon expires."""

import gzip
import hashlib
import sqlite3
from datetime import date, datetime, timedelta
from typing import Any, Final

from sanic import HTTPResponse, Request, Sanic

from sandbox import spoiling
from sandbox.clock import SHANGHAI
from sandbox.context import Context
from sandbox.control import body_of
from sandbox.replies import Reply, empty_reply
from sandbox.wechat_pay_crypto import token
from sandbox.wechat_pay_door import Door
from sandbox.wechat_pay_errors import WechatPayError, wrong
from sandbox.wechat_pay_orders import Orders
from sandbox.wechat_pay_parties import Merchant, Parties
from sandbox.wechat_pay_refunds import Refunds

READY: Final = timedelta(hours=10)
"""The bill of a day is ready at 10:00 of the next."""
KEPT: Final = timedelta(days=92)
LINK_LIFE_S: Final = 300.0
DOWNLOAD: Final = "/v3/billdownload/file"
FAULTS: Final = ("creating", "none", "wrong_hash", "truncated", "cut_short")
FEE_PER_MILLION: Final = 2000
"""0.20 %, told with five decimals of a yuan."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_pay_bill (token TEXT PRIMARY KEY, content BLOB NOT NULL, made_at REAL NOT NULL);
"""
_BEFORE: Final = ("交易时间", "公众账号ID", "商户号", "特约商户号", "设备号", "微信订单号", "商户订单号", "用户标识",
                  "交易类型", "交易状态", "付款银行", "货币种类", "应结订单金额", "代金券金额")  # fmt: skip
_REFUND: Final = ("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态")
_AFTER: Final = ("商品名称", "商户数据包", "手续费", "费率", "订单金额")
COLUMNS: Final = {
    "ALL": (*_BEFORE, *_REFUND, *_AFTER, "申请退款金额", "费率备注"),
    "SUCCESS": (*_BEFORE, *_AFTER, "费率备注"),
    "REFUND": (*_BEFORE, "退款申请时间", "退款成功时间", *_REFUND, *_AFTER, "申请退款金额", "费率备注"),
}
_REFUND_STATES: Final = {"SUCCESS": "SUCCESS", "PROCESSING": "PROCESSING", "CLOSED": "FAIL", "ABNORMAL": "CHANGE"}


class Bills:
    """Writes the bill of a day and hands it out."""

    def __init__(self, context: Context, parties: Parties, orders: Orders, refunds: Refunds) -> None:
        self.state = context.state
        self._clock = context.clock
        self._parties = parties
        self._orders = orders
        self._refunds = refunds
        self.state.define(_SCHEMA)
        self.state.define(spoiling.SCHEMA)

    def link(self, merchant: Merchant, asked: dict[str, str], host: str) -> dict[str, str]:
        """GET /v3/bill/tradebill."""
        bill_type, packed = asked.get("bill_type", "ALL"), asked.get("tar_type") == "GZIP"
        if asked.get("tar_type", "GZIP") != "GZIP" or bill_type not in COLUMNS:
            raise wrong("bill_type", "应为 ALL、SUCCESS 或 REFUND，tar_type 应为 GZIP")
        sub_merchant = asked.get("sub_mchid")
        if sub_merchant is not None:
            self._parties.check_sub_merchant(sub_merchant, None)
        day = self._day(asked.get("bill_date", ""))
        spoilt = spoiling.chosen(self.state, "wechat_pay", sub_merchant or "", day.isoformat())
        self._check_ready(day, spoilt.get("fault"))
        rows = spoiling.spoiled(self._rows(merchant, day, sub_merchant, bill_type), spoilt, _number)
        if not rows:
            raise WechatPayError("NO_STATEMENT_EXIST", "账单文件不存在，该日期没有交易")
        content = _written(rows, bill_type)
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if spoilt.get("fault") == "wrong_hash":
            sha1 = hashlib.sha1(content + b" ", usedforsecurity=False).hexdigest()
        if spoilt.get("fault") in ("truncated", "cut_short"):
            content = content[: content.rindex(b"\r\n", 0, len(content) * 2 // 3) + 2]
        if spoilt.get("fault") == "cut_short":
            sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        kept = token(40)
        with self.state.transaction() as db:
            db.execute("DELETE FROM wechat_pay_bill WHERE ? - made_at > ?", (self._clock.timestamp(), LINK_LIFE_S))
            db.execute(
                "INSERT INTO wechat_pay_bill VALUES (?, ?, ?)",
                (kept, gzip.compress(content) if packed else content, self._clock.timestamp()),
            )
        url = f"http://{host}{DOWNLOAD}?token={kept}" + ("&tartype=gzip" if packed else "")
        return {"hash_type": "SHA1", "hash_value": sha1, "download_url": url}

    def file(self, kept: str) -> bytes:
        """The file behind a link."""
        row = self.state.one("SELECT * FROM wechat_pay_bill WHERE token = ?", (kept,))
        if row is None or abs(self._clock.timestamp() - row["made_at"]) > LINK_LIFE_S:
            raise WechatPayError("INVALID_REQUEST", "账单下载链接已失效")
        return bytes(row["content"])

    def _day(self, text: str) -> date:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise wrong("bill_date", "格式应为 YYYY-MM-DD") from None
        if len(text) != 10 or not self._clock.now().date() - KEPT <= day < self._clock.now().date():
            raise wrong("bill_date", "应为三个月以内、今天以前的日期")
        return day

    def _check_ready(self, day: date, fault: str | None) -> None:
        ready_at = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(days=1) + READY
        if fault == "creating" or self._clock.now() < ready_at:
            raise WechatPayError("STATEMENT_CREATING", "账单生成中，请稍后再试")
        if fault == "none":
            raise WechatPayError("NO_STATEMENT_EXIST", "账单文件不存在")

    def _rows(self, merchant: Merchant, day: date, sub_merchant: str | None, bill_type: str) -> list[dict[str, str]]:
        mine = {
            order["out_trade_no"]: order
            for order in self._orders.all()
            if order["sp_mchid"] == merchant.mchid and sub_merchant in (None, order["sub_mchid"])
        }
        found = [
            (order["paid_at"], self._trade(order))
            for order in mine.values()
            if bill_type != "REFUND" and order["paid_at"] is not None and self._is_on(order["paid_at"], day)
        ]
        for refund in self._refunds.all():
            order = mine.get(refund["out_trade_no"])
            if bill_type != "SUCCESS" and order is not None and self._is_on(refund["created_at"], day):
                found.append((refund["created_at"], self._refund(order, refund)))
        return [row for _, row in sorted(found, key=lambda pair: pair[0])]

    def _is_on(self, timestamp: float, day: date) -> bool:
        return self._clock.iso(timestamp)[:10] == day.isoformat()

    def _trade(self, order: sqlite3.Row) -> dict[str, str]:
        total, coupon = order["total"], order["coupon_fen"]
        return self._common(order, order["paid_at"]) | {
            "交易状态": "SUCCESS",
            "应结订单金额": _yuan(total - coupon),
            "代金券金额": _yuan(coupon),
            "微信退款单号": "0",
            "商户退款单号": "0",
            "退款金额": "0.00",
            "充值券退款金额": "0.00",
            "手续费": _fee(total),
            "订单金额": _yuan(total),
            "申请退款金额": "0.00",
        }

    def _refund(self, order: sqlite3.Row, refund: sqlite3.Row) -> dict[str, str]:
        settled_at = refund["settled_at"]
        return self._common(order, refund["created_at"]) | {
            "交易状态": "REFUND",
            "应结订单金额": "0.00",
            "代金券金额": "0.00",
            "退款申请时间": self._local(refund["created_at"]),
            "退款成功时间": self._local(settled_at) if settled_at and refund["status"] == "SUCCESS" else "",
            "微信退款单号": refund["refund_id"],
            "商户退款单号": refund["out_refund_no"],
            "退款金额": _yuan(refund["refund"]),
            "充值券退款金额": "0.00",
            "退款类型": "ORIGINAL",
            "退款状态": _REFUND_STATES[refund["status"]],
            "手续费": f"-{_fee(refund['refund'])}",
            "订单金额": "0.00",
            "申请退款金额": _yuan(refund["refund"]),
        }

    def _common(self, order: sqlite3.Row, at: float) -> dict[str, str]:
        return dict.fromkeys({name for columns in COLUMNS.values() for name in columns}, "") | {
            "交易时间": self._local(at),
            "公众账号ID": order["sp_appid"],
            "商户号": order["sp_mchid"],
            "特约商户号": order["sub_mchid"],
            "微信订单号": order["transaction_id"],
            "商户订单号": order["out_trade_no"],
            "用户标识": order["sp_openid"] or order["sub_openid"] or "",
            "交易类型": order["trade_type"],
            "付款银行": order["bank_type"],
            "货币种类": "CNY",
            # As in reality, commas inside a name are not quoted.
            "商品名称": "生活缴费,公共服务",
            "商户数据包": order["attach"] or "",
            "费率": "0.20%",
        }

    def _local(self, timestamp: float) -> str:
        return self._clock.iso(timestamp)[:19].replace("T", " ")


def mount(app: Sanic, control_app: Sanic, context: Context, door: Door, bills: Bills) -> None:
    """Open the two addresses, and ``/control/wechat-pay/bills/{day}/{sub_mchid}``."""

    @app.get("/v3/bill/tradebill", name="trade_bill")
    async def trade_bill(request: Request) -> HTTPResponse:
        asked = _asked(request)

        def work(merchant: Merchant) -> Any:
            return bills.link(merchant, asked, request.headers.get("host") or "")

        return await door.answer(request, "trade_bill", f"{asked.get('bill_date')} {asked.get('sub_mchid')}", work)

    @app.get(DOWNLOAD, name="bill_download")
    async def download(request: Request) -> HTTPResponse:
        return await door.download(request, "bill_download", "", lambda _: bills.file(_asked(request).get("token", "")))

    @control_app.post("/control/wechat-pay/bills/<day:str>/<sub_mchid:str>", name="control_bill_spoiling")
    async def spoil(request: Request, day: str, sub_mchid: str) -> Reply:
        spoiling.choose(context.state, "wechat_pay", sub_mchid, day, body_of(request), FAULTS)
        return empty_reply()


def _asked(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in request.get_args(keep_blank_values=True).items() if len(values) == 1}


def _number(row: dict[str, Any]) -> str:
    return row["商户退款单号"] if row["交易状态"] == "REFUND" else row["商户订单号"]


def _written(rows: list[dict[str, str]], bill_type: str) -> bytes:
    columns = COLUMNS[bill_type]
    trades = [row for row in rows if row.get("交易状态") != "REFUND"]
    refunds = [row for row in rows if row.get("交易状态") == "REFUND"]
    summary = {"总交易单数": str(len(rows)), "应结订单总金额": _sum(trades, "应结订单金额")}
    if bill_type != "SUCCESS":
        summary |= {"退款总金额": _sum(refunds, "退款金额"), "充值券退款总金额": "0.00"}
    summary |= {"手续费总金额": _sum(rows, "手续费", 5), "订单总金额": _sum(trades, "订单金额")}
    if bill_type != "SUCCESS":
        summary["申请退款总金额"] = _sum(refunds, "申请退款金额")
    lines = [",".join(columns)]
    lines += [",".join(f"`{row.get(name, '')}" for name in columns) for row in rows]
    lines += [",".join(summary), ",".join(f"`{value}" for value in summary.values())]
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode()


def _sum(rows: list[dict[str, str]], column: str, decimals: int = 2) -> str:
    units = sum(_units(row.get(column) or "0", decimals) for row in rows)
    return f"{'-' if units < 0 else ''}{abs(units) // 10**decimals}.{abs(units) % 10**decimals:0{decimals}}"


def _units(text: str, decimals: int) -> int:
    whole, _, rest = text.removeprefix("-").partition(".")
    units = int(whole) * 10**decimals + int(rest.ljust(decimals, "0")[:decimals] or "0")
    return -units if text.startswith("-") else units


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02}"


def _fee(fen: int) -> str:
    """Five decimals of a yuan: thousandths of a fen, rounded to whole fen as it is charged."""
    charged = (fen * FEE_PER_MILLION + 500_000) // 1_000_000
    return f"{charged // 100}.{charged % 100:02}000"
