"""Alipay's bill of a day (业务明细) for one seller: a ZIP of GBK tables with comment lines, read by the names of the columns.

The link to the file comes in a signed answer without any hash and lives half a minute; nobody signs the file. So the file must say by
itself whose it is, of which day, that it is whole, and what it adds up to. The names inside the ZIP are GBK without the flag that
says so; cells are padded with blanks and tabs; refunds have negative amounts. Sources: opendocs.alipay.com
alipay.data.dataservice.bill.downloadurl.query; files of merchants.
"""

import asyncio
import hashlib
import io
import re
import zipfile
import zlib
from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from core.outbound import Counterpart, OutcomeUnknown
from payments.providers.alipay.client import Alipay
from payments.providers.alipay.codes import BILL_NOT_EXIST
from payments.providers.alipay.config import AlipayConfig
from payments.providers.bills import BillRow, BillWrong, DayBill, NoBill, Table, fen, local_time, millifen, number
from payments.providers.port import ProviderRefused

METHOD = "alipay.data.dataservice.bill.downloadurl.query"
PACKED_BYTES = 64 * 1024 * 1024
UNPACKED_BYTES = 512 * 1024 * 1024
TIMEOUT = timedelta(minutes=5)
_DOWNLOAD = "/downloadBillFile.resource"
_QUERY = re.compile(r"[0-9A-Za-z%&=._~+,:;@!*()/?-]{1,2000}", re.ASCII)
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UTF8_BOM = b"\xef\xbb\xbf"
_MOST_FILES = 20
_DETAIL, _SUMMARY = "业务明细", "汇总"
_UTF8_FLAG = 0x800
_RECEIVED = "商家实收(元)"
_NEEDED = (
    "支付宝交易号",
    "商户订单号",
    "业务类型",
    "完成时间",
    "订单金额(元)",
    _RECEIVED,
    "退款批次号/请求号",
    "服务费(元)",
)
_TRADE, _REFUND = "交易", "退款"
_ACCOUNT = re.compile(r"#账号[：:]\[([0-9]{16})([0-9]{0,8})\]", re.ASCII)
_DAY = re.compile(r"#起始日期[：:]\[([0-9]{4})年([0-9]{2})月([0-9]{2})日", re.ASCII)
_TOTAL = re.compile(
    r"#(交易|退款)合计[：:]([0-9]{1,9})笔(?:[，,]商家实收(?:退款)?共(-?[0-9]{1,11}(?:\.[0-9]{1,2})?)元)?", re.ASCII
)
_END = "业务明细列表结束"


class _Link(msgspec.Struct, frozen=True):
    bill_download_url: Annotated[str, Meta(min_length=10, max_length=2048)]


class AlipayBills(Alipay):
    """The same door, for the bills; the files themselves are fetched at `downloads`, which no answer can change."""

    def __init__(self, config: AlipayConfig, counterpart: Counterpart, downloads: Counterpart) -> None:
        super().__init__(config, counterpart)
        self._downloads = downloads

    async def day_bill(self, day: date, party: str) -> DayBill:
        """The bill of one seller; `party` is its number (2088…).

        Raises:
            NoBill: there is none, or none yet: Alipay has one word for both. BillWrong: believe nothing of it.
        """
        try:
            raw = await self._call(
                "bill_link", METHOD, {"bill_type": "trade", "bill_date": day.isoformat()}, number(party)
            )
        except ProviderRefused as refused:
            if refused.provider_code == BILL_NOT_EXIST:
                raise NoBill from refused
            raise
        path = self._download_path(self._read("bill_link", raw, _Link))
        packed = await self._downloads.request(
            "GET", path, operation="bill_download", idempotent=True, timeout=TIMEOUT, max_answer_bytes=PACKED_BYTES
        )
        if packed.status != 200:
            raise OutcomeUnknown(self._downloads.name, "bill_download", "not_downloaded")
        return await asyncio.to_thread(lambda: parse(unpacked(packed.content), day, party))

    def _download_path(self, link: _Link) -> str:
        """What to ask our own counterpart for: an address that an answer names is never where we go."""
        try:
            address = urlsplit(link.bill_download_url)
        except ValueError as error:
            raise self._malformed("bill_link", "download_url") from error
        path = address.path.removeprefix(self._downloads.base_path)
        if path != _DOWNLOAD or address.fragment or not _QUERY.fullmatch(address.query):
            raise self._malformed("bill_link", "download_url")
        return f"{path}?{address.query}"


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
            if details[0].compress_type not in _PLAIN:
                raise BillWrong("zip")
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
        BillWrong: cut short, at odds with its own counts and sums, of another seller or day, or not of the form.
    """
    if content.startswith(_UTF8_BOM):
        raise BillWrong("encoding")
    try:
        # GB 18030 holds all of GBK, and the names that GBK cannot write.
        lines = content.decode("gb18030").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise BillWrong("encoding") from None
    comments = [line.strip() for line in lines if line.startswith("#")]
    data = [_cells(line) for line in lines if line.strip() and not line.startswith("#")]
    if not data or not any(_END in line for line in comments):
        raise BillWrong("cut_short")
    if {found[1] for line in comments if (found := _ACCOUNT.match(line))} != {party}:
        raise BillWrong("other_merchant")
    if {"-".join(found.groups()) for line in comments if (found := _DAY.match(line))} != {day.isoformat()}:
        raise BillWrong("other_day")
    header, *cells = data
    table = Table(name.replace("（", "(").replace("）", ")") for name in header)
    table.need(*_NEEDED)
    named = [table.row(line) for line in cells]
    rows = tuple(_row(row) for row in named)
    _check_totals(comments, rows, [fen(row[_RECEIVED]) for row in named])
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
        # A refund has no number of Alipay's own: ours stands for it, as in the client's answers.
        refund = number(cells["退款批次号/请求号"])
        return BillRow("refund", refund, refund, -amount, at, "success", order_number, fee)
    raise BillWrong("row_kind")


def _check_totals(comments: list[str], rows: tuple[BillRow, ...], received_fen: list[int]) -> None:
    """Both totals must be there; what the merchant has got is added up, since the orders' own amounts are not."""
    told = {found[1]: (int(found[2]), found[3]) for line in comments if (found := _TOTAL.match(line))}
    for word, kind in ((_TRADE, "trade"), (_REFUND, "refund")):
        amounts = [amount for row, amount in zip(rows, received_fen, strict=True) if row.kind == kind]
        if word not in told:
            raise BillWrong("cut_short")
        count, total = told[word]
        if count != len(amounts):
            raise BillWrong("summary_count")
        if total is not None and fen(total) != sum(amounts):
            raise BillWrong("summary_sum")
