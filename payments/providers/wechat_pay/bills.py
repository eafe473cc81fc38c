"""WeChat Pay's bill of a day (交易账单), for one sub-merchant: fetched, checked against its hash and its own summary, read by name.

The link to the file comes in a signed answer with the hash of the unpacked file; the download itself is not signed by anybody.
Booked is the order's amount (订单金额), not what is settled of it (应结订单金额) when the payer used a coupon.
"""

import asyncio
import hashlib
import zlib
from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from core.log import get_logger
from core.outbound import MalformedAnswer, OutcomeUnknown
from payments.providers.bills import (
    BillNotReady,
    BillRow,
    BillWrong,
    DayBill,
    NoBill,
    Table,
    fen,
    local_time,
    millifen,
    number,
)
from payments.providers.port import ProviderRefused
from payments.providers.wechat_pay.client import WeChatPay
from payments.providers.wechat_pay.codes import NO_STATEMENT_EXIST, STATEMENT_CREATING

log = get_logger(__name__)

PACKED_BYTES = 64 * 1024 * 1024
UNPACKED_BYTES = 512 * 1024 * 1024
TIMEOUT = timedelta(minutes=5)
_DOWNLOADS = "/v3/billdownload/"
_GZIP = 31
_BOM = "\ufeff"

_NEEDED = ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "手续费")
_REFUND_NEEDED = ("微信退款单号", "商户退款单号", "退款状态")
_REFUND_STATES = {
    "SUCCESS": "success",
    "PROCESSING": "processing",
    "FAIL": "failed",
    "CLOSED": "failed",
    "ABNORMAL": "abnormal",
    "CHANGE": "abnormal",
}


class _Link(msgspec.Struct, frozen=True):
    hash_type: Annotated[str, Meta(pattern=r"\ASHA1\Z")]
    hash_value: Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{40}\Z")]
    download_url: Annotated[str, Meta(min_length=10, max_length=2048)]


class WeChatPayBills(WeChatPay):
    """The same door, for the bills."""

    async def day_bill(self, day: date, party: str) -> DayBill:
        """The bill of one sub-merchant; `party` is its number.

        Raises:
            BillNotReady: it is still being written. NoBill: there is none. BillWrong: believe nothing of it.
        """
        path = f"/v3/bill/tradebill?bill_date={day.isoformat()}&bill_type=ALL&tar_type=GZIP&sub_mchid={number(party)}"
        try:
            answer = await self._call("trade_bill", "GET", path)
        except ProviderRefused as refused:
            if refused.provider_code == NO_STATEMENT_EXIST:
                raise NoBill from refused
            if refused.provider_code == STATEMENT_CREATING:
                raise BillNotReady from refused
            raise
        link = self._read("trade_bill", answer, _Link)
        packed = await self._send(
            "bill_download", "GET", self._download_path(link), b"", timeout=TIMEOUT, max_answer_bytes=PACKED_BYTES
        )
        if packed.status != 200:
            raise OutcomeUnknown(self._counterpart.name, "bill_download", "not_downloaded")
        return await asyncio.to_thread(_checked, packed.content, link.hash_value, day, party)

    def _download_path(self, link: _Link) -> str:
        """What to ask our own counterpart for: an address that an answer names is never where we go."""
        address = urlsplit(link.download_url)
        path = address.path.removeprefix(self._counterpart.base_path)
        if not path.startswith(_DOWNLOADS) or ".." in path or address.fragment:
            raise MalformedAnswer(self._counterpart.name, "trade_bill", "download_url")
        return f"{path}?{address.query}"


def _checked(packed: bytes, sha1: str, day: date, merchant: str) -> DayBill:
    content = _unpacked(packed)
    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != sha1.lower():
        raise BillWrong("hash")
    return parse(content, day, merchant)


def _unpacked(packed: bytes) -> bytes:
    if not packed.startswith(b"\x1f\x8b"):
        return packed  # an empty or small file comes as it is when compression was not worth it
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(packed, UNPACKED_BYTES)
    except zlib.error:
        raise BillWrong("gzip") from None
    if unpacker.unconsumed_tail:
        raise BillWrong("too_large")
    if not unpacker.eof:
        raise BillWrong("cut_short")
    return content


def parse(content: bytes, day: date, merchant: str) -> DayBill:
    """Read the unpacked file of one sub-merchant's day: a header, the rows, the header of the summary, the summary.

    Raises:
        BillWrong: it is cut short, at odds with its summary, of another merchant, or not of the form.
    """
    try:
        text = content.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError:
        raise BillWrong("encoding") from None
    lines = [_cells(line) for line in text.replace("\r\n", "\n").split("\n") if line]
    if len(lines) < 3 or not lines[-2][0].startswith("总"):
        raise BillWrong("cut_short")
    header, *data, summary_header, summary = lines
    table = Table(header)
    table.need(*_NEEDED)
    rows = tuple(_row(table, table.row(cells), merchant) for cells in data)
    _check_summary(Table(summary_header).row(summary), rows)
    return DayBill(day, merchant, hashlib.sha256(content).hexdigest(), rows)


def _cells(line: str) -> list[str]:
    """The cells of a line. Those of data begin with a backtick each, so that a comma inside a name splits nothing."""
    return line[1:].split(",`") if line.startswith("`") else line.split(",")


def _row(table: Table, cells: dict[str, str], merchant: str) -> BillRow:
    sub_merchant = cells.get("特约商户号", "0")
    if merchant != (cells["商户号"] if sub_merchant in ("0", "") else sub_merchant):
        raise BillWrong("other_merchant")
    if cells["货币种类"] != "CNY":
        raise BillWrong("currency")
    at, fee = local_time(cells["交易时间"]), millifen(cells["手续费"])
    order_number, transaction = number(cells["商户订单号"]), number(cells["微信订单号"])
    if cells["交易状态"] != "REFUND":
        state = {"SUCCESS": "success", "REVOKED": "revoked"}.get(cells["交易状态"])
        if state is None:
            raise BillWrong("trade_state")
        amount = _amount(table, cells, "订单金额", "总金额")
        return BillRow("trade", order_number, transaction, amount, at, state, fee_millifen=fee)
    table.need(*_REFUND_NEEDED)
    state = _REFUND_STATES.get(cells["退款状态"], "unknown")
    if state == "unknown":
        log.error("wechat_pay.bill_refund_state_unknown", refund_state=cells["退款状态"][:20])
    return BillRow(
        "refund",
        number(cells["商户退款单号"]),
        number(cells["微信退款单号"]),
        _amount(table, cells, "申请退款金额", "退款金额"),
        at,
        state,
        order_number,
        fee,
    )


def _amount(table: Table, cells: dict[str, str], name: str, old_name: str) -> int:
    """The amount in the column of today's files, or of those of merchants with the old form."""
    column = name if table.has(name) else old_name
    table.need(column)
    amount = fen(cells[column])
    if amount < 0:
        raise BillWrong("amount")
    return amount


def _check_summary(summary: dict[str, str], rows: tuple[BillRow, ...]) -> None:
    if summary.get("总交易单数", "") != str(len(rows)):
        raise BillWrong("summary_count")
    told = {
        "订单总金额": sum(row.amount_fen for row in rows if row.kind == "trade"),
        "申请退款总金额": sum(row.amount_fen for row in rows if row.kind == "refund"),
    }
    if any(name in summary and fen(summary[name]) != amount for name, amount in told.items()):
        raise BillWrong("summary_sum")
