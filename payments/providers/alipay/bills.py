"""Alipay's bill of a day (业务明细): a ZIP of GBK tables with comment lines, read by the names of the columns.

The names inside the ZIP are GBK without the flag that says so; cells are padded with blanks and tabs; refunds have negative amounts.
"""

import hashlib
import io
import re
import zipfile
import zlib
from datetime import date

from payments.providers.bills import BillRow, BillWrong, DayBill, Table, fen, local_time, millifen, number

PACKED_BYTES = 64 * 1024 * 1024
UNPACKED_BYTES = 512 * 1024 * 1024
_MOST_FILES = 20
_DETAIL, _SUMMARY = "业务明细", "汇总"
_UTF8_FLAG = 0x800
_NEEDED = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额(元)", "退款批次号/请求号", "服务费(元)")
_TRADE, _REFUND = "交易", "退款"
_ACCOUNT = re.compile(r"#账号：\[([0-9]{16})([0-9]{0,8})\]", re.ASCII)
_TOTAL = re.compile(r"#(交易|退款)合计：([0-9]{1,9})笔", re.ASCII)
_END = "业务明细列表结束"


def unpacked(packed: bytes) -> bytes:
    """The detail table of a downloaded ZIP, as it was packed.

    Raises:
        BillWrong: no ZIP, none or several such tables in it, or absurdly large.
    """
    if len(packed) > PACKED_BYTES:
        raise BillWrong("too_large")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_FILES:
                raise BillWrong("too_many_files")
            details = [one for one in entries if _DETAIL in _name(one) and _SUMMARY not in _name(one)]
            if len(details) != 1:
                raise BillWrong("table_missing")
            with archive.open(details[0]) as file:
                # What a ZIP says of its sizes is only what it says.
                content = file.read(UNPACKED_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise BillWrong("zip") from None
    if len(content) > UNPACKED_BYTES:
        raise BillWrong("too_large")
    return content


def _name(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & _UTF8_FLAG:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gbk")
    except UnicodeError:
        return entry.filename


def parse(content: bytes, day: date, party: str) -> DayBill:
    """Read the detail table of one seller's day; `party` is its number (2088…).

    Raises:
        BillWrong: cut short, at odds with its own counts, of another seller, or not of the form.
    """
    try:
        lines = content.decode("gbk").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise BillWrong("encoding") from None
    comments = [line.strip() for line in lines if line.startswith("#")]
    data = [_cells(line) for line in lines if line.strip() and not line.startswith("#")]
    if not data or not any(_END in line for line in comments):
        raise BillWrong("cut_short")
    accounts = {found[1] for line in comments if (found := _ACCOUNT.match(line))}
    if accounts and accounts != {party}:
        raise BillWrong("other_merchant")
    header, *cells = data
    table = Table(name.replace("（", "(").replace("）", ")") for name in header)
    table.need(*_NEEDED)
    rows = tuple(_row(table.row(line)) for line in cells)
    _check_counts(comments, rows)
    return DayBill(day, party, hashlib.sha256(content).hexdigest(), rows)


def _cells(line: str) -> list[str]:
    return [cell.strip(" \t") for cell in line.rstrip("\r").split(",")]


def _row(cells: dict[str, str]) -> BillRow:
    amount, kind = fen(cells["订单金额(元)"]), cells["业务类型"]
    order_number, trade = number(cells["商户订单号"]), number(cells["支付宝交易号"])
    # Alipay writes what it keeps as a negative number.
    fee, at = -millifen(cells["服务费(元)"]), local_time(cells["完成时间"])
    if kind == _TRADE and amount >= 0:
        return BillRow("trade", order_number, trade, amount, at, fee_millifen=fee)
    if kind == _REFUND and amount <= 0:
        # A refund has no number of Alipay's own: it is known by the trade and our request's number.
        refund = number(cells["退款批次号/请求号"])
        return BillRow("refund", refund, trade, -amount, at, "success", order_number, fee)
    raise BillWrong("row_kind")


def _check_counts(comments: list[str], rows: tuple[BillRow, ...]) -> None:
    told = {found[1]: int(found[2]) for line in comments if (found := _TOTAL.match(line))}
    counted = {_TRADE: "trade", _REFUND: "refund"}
    for word, kind in counted.items():
        if word in told and told[word] != sum(1 for row in rows if row.kind == kind):
            raise BillWrong("summary_count")
