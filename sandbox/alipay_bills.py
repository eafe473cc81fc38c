"""The business bill of a day (业务明细) at Alipay: a ZIP of GBK tables behind a link that lives half a minute.

As in reality nobody signs the file and no hash is told of it; the names inside the ZIP are GBK without the flag that says so, cells are
padded with tabs and blanks, refunds are negative, and what Alipay keeps is written as a negative number.
"""

import io
import re
import secrets
import sqlite3
import zipfile
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from sanic import HTTPResponse, Request, Sanic

from sandbox import spoiling
from sandbox.alipay_errors import AlipayError
from sandbox.alipay_fields import yuan
from sandbox.alipay_notices import COUNTERPART
from sandbox.alipay_parties import Seller
from sandbox.alipay_trades import Trades
from sandbox.clock import SHANGHAI
from sandbox.context import Context
from sandbox.control import body_of
from sandbox.replies import Reply, empty_reply

METHOD: Final = "alipay.data.dataservice.bill.downloadurl.query"
DOWNLOAD: Final = "/downloadBillFile.resource"
READY: Final = timedelta(hours=9)
"""The bill of a day is ready at 9:00 of the next."""
LINK_LIFE_S: Final = 30.0
FAULTS: Final = ("none", "truncated", "cut_short", "other_day", "other_seller", "encoding", "columns", "swollen")
FEE_PER_MILLION: Final = 2000
SWOLLEN_BYTES: Final = 8 * 1024 * 1024

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alipay_bill (token TEXT PRIMARY KEY, content BLOB NOT NULL, made_at REAL NOT NULL);
"""
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ORDER, _RECEIVED, _REQUEST = "订单金额（元）", "商家实收（元）", "退款批次号/请求号"
COLUMNS: Final = (
    "支付宝交易号", "商户订单号", "业务类型", "商品名称", "创建时间", "完成时间", "门店编号", "门店名称", "操作员", "终端号", "对方账户",
    _ORDER, _RECEIVED, "支付宝红包（元）", "集分宝（元）", "支付宝优惠（元）", "商家优惠（元）", "券核销金额（元）", "券名称",
    "商家红包消费金额（元）", "卡消费金额（元）", _REQUEST, "服务费（元）", "分润（元）", "备注",
)  # fmt: skip


class Bills:
    """Writes the bill of a day and hands it out."""

    def __init__(self, context: Context, trades: Trades) -> None:
        self.state = context.state
        self._clock = context.clock
        self._trades = trades
        self.state.define(_SCHEMA)
        self.state.define(spoiling.SCHEMA)

    def link(self, seller: Seller, body: Mapping[str, Any], host: str) -> dict[str, str]:
        """alipay.data.dataservice.bill.downloadurl.query: one word for a bill that is not there yet and for one that never will be."""
        day = self._day(body["bill_date"])
        spoilt = spoiling.chosen(self.state, COUNTERPART, seller.seller_id, day.isoformat())
        rows = spoiling.spoiled(self._rows(seller, day), spoilt, _number)
        ready_at = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(days=1) + READY
        if not rows or spoilt.get("fault") == "none" or self._clock.now() < ready_at:
            raise AlipayError("40004", "isp.bill_not_exist", "账单不存在")
        kept = secrets.token_hex(20)
        content = _packed(seller.seller_id, day, rows, spoilt.get("fault"))
        self.state.run("DELETE FROM alipay_bill WHERE ? - made_at > ?", (self._clock.timestamp(), LINK_LIFE_S))
        self.state.run("INSERT INTO alipay_bill VALUES (?, ?, ?)", (kept, content, self._clock.timestamp()))
        named = f"bizType=trade&userId={seller.seller_id}0156&fileType=csv.zip&bizDates={day:%Y%m%d}&downloadFileName={kept}.csv.zip&fileId={kept}"
        return {"bill_download_url": f"http://{host}{DOWNLOAD}?{named}"}

    def file(self, kept: str) -> bytes | None:
        """The file behind a link; None once its time is over."""
        row = self.state.one("SELECT * FROM alipay_bill WHERE token = ?", (kept,))
        if row is None or abs(self._clock.timestamp() - row["made_at"]) > LINK_LIFE_S:
            return None
        return bytes(row["content"])

    def _day(self, text: str) -> date:
        try:
            day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            day = None
        if day is None or day >= self._clock.now().date():
            raise AlipayError("40004", "isv.invalid_arguments", "账单日期应为今天以前的日期")
        return day

    def _rows(self, seller: Seller, day: date) -> list[dict[str, str]]:
        found: list[tuple[float, dict[str, str]]] = []
        for trade in self._trades.all():
            if trade["seller_id"] != seller.seller_id or trade["paid_at"] is None:
                continue
            if self._is_on(trade["paid_at"], day):
                found.append((trade["paid_at"], self._row(trade, "交易", trade["total"], trade["paid_at"], "")))
            for refund in self._trades.refunds(trade):
                if refund["moved_at"] is not None and self._is_on(refund["moved_at"], day):
                    row = self._row(trade, "退款", -refund["fen"], refund["moved_at"], refund["out_request_no"])
                    found.append((refund["moved_at"], row))
        return [row for _, row in sorted(found, key=lambda pair: pair[0])]

    def _is_on(self, timestamp: float, day: date) -> bool:
        return self._clock.iso(timestamp)[:10] == day.isoformat()

    def _row(self, trade: sqlite3.Row, kind: str, fen: int, at: float, request: str) -> dict[str, str]:
        charged = (abs(fen) * FEE_PER_MILLION + 500_000) // 1_000_000
        return dict.fromkeys(COLUMNS, "") | {
            "支付宝交易号": f"{trade['trade_no']}\t",
            "商户订单号": f"{trade['out_trade_no']}\t",
            "业务类型": f"{kind} ",
            "商品名称": trade["subject"],
            "创建时间": self._trades.time(trade["created_at"]),
            "完成时间": self._trades.time(at),
            "对方账户": "*小明(159****5620)",
            _ORDER: _signed(fen),
            _RECEIVED: _signed(fen),
            _REQUEST: f"{request}\t" if request else "",
            "服务费（元）": _signed(-charged if fen > 0 else charged),
            "分润（元）": "0.00",
            "备注": "\t",
        }


def mount(app: Sanic, control_app: Sanic, context: Context, bills: Bills) -> None:
    """Open the address of the files, and ``/control/alipay/bills/{day}/{seller_id}``."""

    @app.get(DOWNLOAD, name="alipay_bill_download")
    async def download(request: Request) -> HTTPResponse:
        def work(_: bool) -> Reply:
            content = bills.file(str(request.args.get("fileId") or ""))
            if content is None:
                return Reply("<html>下载链接已失效</html>".encode(), 200, content_type="text/html;charset=utf-8")
            return Reply(content, content_type="application/octet-stream")

        def failed(status: int) -> Reply:
            return Reply(b"", status)

        return await context.serve(request, COUNTERPART, "bill_download", "", work, failed)

    @control_app.post("/control/alipay/bills/<day:str>/<seller_id:str>", name="control_alipay_bill_spoiling")
    async def spoil(request: Request, day: str, seller_id: str) -> Reply:
        spoiling.choose(context.state, COUNTERPART, seller_id, day, body_of(request), FAULTS)
        return empty_reply()


def _number(row: dict[str, Any]) -> str:
    return (row[_REQUEST] if row["业务类型"].strip() == "退款" else row["商户订单号"]).strip()


def _signed(fen: int) -> str:
    return f"-{yuan(-fen)}" if fen < 0 else yuan(fen)


def _written(seller_id: str, day: date, rows: list[dict[str, str]]) -> str:
    after = day + timedelta(days=1)
    said = [
        "#支付宝业务明细查询",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{_chinese(day)} 00:00:00]   终止日期：[{_chinese(after)} 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        ",".join(COLUMNS),
        *(",".join(row.get(name, "") for name in COLUMNS) for row in rows),
        "#-----------------------------------------业务明细列表结束------------------------------------",
    ]
    for word, more in (("交易", "商家实收"), ("退款", "商家实收退款")):
        amounts = [row[_RECEIVED] for row in rows if row["业务类型"].strip() == word]
        said.append(f"#{word}合计：{len(amounts)}笔，{more}共{_signed(sum(map(_fen, amounts)))}元，商家优惠共0.00元")
    said.append(f"#导出时间：[{_chinese(after)} 09:00:00]")
    return "".join(f"{line}\r\n" for line in said)


def _chinese(day: date) -> str:
    return f"{day.year}年{day.month:02}月{day.day:02}日"


def _fen(text: str) -> int:
    whole, _, decimals = text.strip().removeprefix("-").partition(".")
    fen = int(whole) * 100 + int(decimals.ljust(2, "0")[:2] or "0")
    return -fen if text.startswith("-") else fen


class _Gbk(zipfile.ZipInfo):
    """An entry whose name is GBK and does not say so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits


def _packed(seller_id: str, day: date, rows: list[dict[str, str]], fault: str | None) -> bytes:
    text = _written(
        "2088999999999999" if fault == "other_seller" else seller_id,
        day - timedelta(days=1) if fault == "other_day" else day,
        rows,
    )
    if fault == "cut_short":
        text = text[
            : text.rindex("\r\n", 0, text.index("#-----------------------------------------业务明细列表结束")) + 2
        ]
    if fault == "columns":
        text = text.replace(_ORDER, "交易金额（元）")
    content = text.encode("utf-8" if fault == "encoding" else "gbk")
    if fault == "swollen":
        content += b"0" * SWOLLEN_BYTES
    name = f"{seller_id}0156_{day:%Y%m%d}_业务明细"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_Gbk(f"{name}.csv"), content, zipfile.ZIP_DEFLATED)
        archive.writestr(_Gbk(f"{name}(汇总).csv"), "#支付宝业务汇总查询\r\n".encode("gbk"), zipfile.ZIP_DEFLATED)
    whole = made.getvalue()
    return whole[: len(whole) * 2 // 3] if fault == "truncated" else whole
