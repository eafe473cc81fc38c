"""Bills as they really come: BOM, backticks, commas in names, GBK in a ZIP; and everything that must not be believed."""

import io
import zipfile
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.providers import bills
from payments.providers.alipay import bills as alipay
from payments.providers.bills import BillWrong, fen, millifen
from payments.providers.wechat_pay import bills as wechat_pay

DAY, MERCHANT, SELLER = date(2026, 11, 22), "1900000101", "2088102146225135"
_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
_TRADE = (
    "`2026-11-22 10:02:11,`wx1,`1900000001,`1900000101,`,`4200001,`LB0001,`oPayer,`JSAPI,`SUCCESS,`OTHERS,`CNY,`19.49,`0.50,"
    "`0,`0,`0.00,`0.00,`,`,`水费,十月,`,`0.02400,`0.12%,`19.99,`0.00,`"
)
_REFUND = (
    "`2026-11-22 11:02:11,`wx1,`1900000001,`1900000101,`,`4200001,`LB0001,`oPayer,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,"
    "`5030001,`LBR0001,`19.49,`0.00,`ORIGINAL,`SUCCESS,`水费,`,`-0.02400,`0.12%,`0.00,`19.99,`"
)
_SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
WECHAT = f"\ufeff{_HEADER}\r\n{_TRADE}\r\n{_REFUND}\r\n{_SUMMARY}\r\n`2,`19.49,`19.49,`0.00,`0.00000,`19.99,`19.99\r\n"

ALIPAY = """#支付宝业务明细查询
#账号：[20881021462251350156]
#起始日期：[2026年11月22日 00:00:00]   终止日期：[2026年11月23日 00:00:00]
#-----------------------------------------业务明细列表----------------------------------------
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,退款批次号/请求号,服务费（元）,分润（元）,备注
2026112222001\t,LB0001\t,交易 ,水费,2026-11-22 10:00:00,2026-11-22 10:00:30,,,,,a***@b.c,19.99,19.99,,-0.12,0.00,\t
2026112222001\t,LB0001\t,退款 ,水费,2026-11-22 10:00:00,2026-11-22 11:00:30,,,,,a***@b.c,-5.50,-5.50,LBR0001\t,0.03,0.00,\t
#-----------------------------------------业务明细列表结束------------------------------------
#交易合计：1笔，商家实收共19.99元，商家优惠共0.00元
#退款合计：1笔，商家实收退款共-5.50元，商家优惠退款共0.00元
#导出时间：[2026年11月23日 09:30:00]
"""


def read(text: str) -> bills.DayBill:
    return wechat_pay.parse(text.encode(), DAY, MERCHANT)


def read_alipay(text: str) -> bills.DayBill:
    return alipay.parse(text.encode("gbk"), DAY, SELLER)


class _Gbk(zipfile.ZipInfo):
    """An entry whose name is GBK and does not say so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits


def packed(*entries: tuple[str, bytes]) -> bytes:
    """A ZIP as Alipay makes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(_Gbk(name), content)
    return made.getvalue()


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(BillWrong) as caught:
        act()
    return caught.value.reason


def test_a_real_bill_of_wechat_pay_is_read_by_the_orders_amount() -> None:
    trade, refund = read(WECHAT).rows
    assert (trade.kind, trade.number, trade.other_number, trade.amount_fen, trade.fee_millifen) == (
        "trade", "LB0001", "4200001", 1999, 2400,
    )  # fmt: skip
    assert trade.at.isoformat() == "2026-11-22T10:02:11+08:00"
    assert (refund.kind, refund.number, refund.order_number, refund.amount_fen, refund.state) == (
        "refund", "LBR0001", "LB0001", 1999, "success",
    )  # fmt: skip
    assert read(WECHAT).total_fen("trade") == 1999


def _moved(text: str, first: str, second: str) -> str:
    """The same bill with two columns exchanged."""
    lines = text.removeprefix("\ufeff").split("\r\n")
    names = lines[0].split(",")
    a, b = names.index(first), names.index(second)
    for place, line in enumerate(lines[:3]):
        cells = line.removeprefix("`").split(",`") if place else line.split(",")
        cells[a], cells[b] = cells[b], cells[a]
        lines[place] = ("`" + ",`".join(cells)) if place else ",".join(cells)
    return "\r\n".join(lines)


def test_columns_are_found_by_name_wherever_they_stand() -> None:
    assert read(_moved(WECHAT, "订单金额", "应结订单金额")).rows == read(WECHAT).rows
    more = (
        WECHAT.replace("费率备注\r\n", "费率备注,新列\r\n", 1)
        .replace("`0.00,`\r\n", "`0.00,`,`新\r\n")
        .replace("`19.99,`\r\n", "`19.99,`,`新\r\n")
    )
    assert read(more).rows == read(WECHAT).rows


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(",订单金额,", ",别的金额,", "column_missing", id="a column is missing"),
        pytest.param(",商户订单号,", ",微信订单号,", "header", id="a column stands twice"),
        pytest.param("`19.99,`0.00,`\r\n", "`１９.９９,`0.00,`\r\n", "amount", id="full-width digits"),
        pytest.param("`19.99,`0.00,`\r\n", "`1e3,`0.00,`\r\n", "amount", id="an exponent"),
        pytest.param("`19.99,`0.00,`\r\n", "`19.999,`0.00,`\r\n", "amount", id="half a fen"),
        pytest.param("`19.99,`0.00,`\r\n", "`99999999999.99,`0.00,`\r\n", "amount", id="absurdly large"),
        pytest.param("`19.99,`0.00,`\r\n", "`-19.99,`0.00,`\r\n", "amount", id="negative"),
        pytest.param("`19.99,`0.00,`\r\n", "`19.98,`0.00,`\r\n", "summary_sum", id="the summary says another sum"),
        pytest.param("`2,`19.49", "`3,`19.49", "summary_count", id="the summary says another count"),
        pytest.param("`1900000101", "`1900000102", "other_merchant", id="of another merchant"),
        pytest.param("`CNY", "`USD", "currency", id="of another currency"),
        pytest.param("`SUCCESS,`OTHERS", "`PAID,`OTHERS", "trade_state", id="an unknown state"),
        pytest.param("10:02:11", "25:02:11", "time", id="no time"),
        pytest.param("`LB0001,`oPayer", "`,`oPayer", "number", id="no number"),
        pytest.param("`JSAPI,`SUCCESS", "`JSAPI`SUCCESS", "row_width", id="a cell is missing"),
        pytest.param(_SUMMARY, "", "cut_short", id="no summary"),
    ],
)
def test_what_is_wrong_anywhere_makes_the_whole_file_wrong(old: str, new: str, reason: str) -> None:
    assert old in WECHAT
    assert refused(lambda: read(WECHAT.replace(old, new, 1))) == reason


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", WECHAT.encode()[:400], _HEADER.encode()])
def test_a_piece_of_a_file_is_no_file(content: bytes) -> None:
    assert refused(lambda: wechat_pay.parse(content, DAY, MERCHANT)) in ("cut_short", "encoding", "row_width")


def test_a_file_cut_anywhere_is_never_read_as_a_shorter_day() -> None:
    raw = WECHAT.encode()
    for end in range(len(raw) - 12):
        refused(lambda end=end: wechat_pay.parse(raw[:end], DAY, MERCHANT))


@given(st.integers(0, 10**11))
def test_yuan_are_fen_exactly(amount: int) -> None:
    assert fen(f"{amount // 100}.{amount % 100:02}") == amount
    assert int(19.99 * 100) == 1998
    assert fen("19.99") == 1999


@given(st.text(max_size=20))
def test_no_other_text_is_an_amount(text: str) -> None:
    try:
        assert f"{fen(text) / 100:.2f}" == f"{float(text):.2f}"
    except BillWrong:
        return
    assert text.isascii()


def test_a_fee_has_five_decimals() -> None:
    assert (millifen("0.00024"), millifen("-0.12"), millifen("1")) == (24, -12000, 100_000)


def test_alipays_bill_is_found_in_its_zip_and_read() -> None:
    detail = ("20881021462251350156_20261122_业务明细.csv", ALIPAY.encode("gbk"))
    summary = ("20881021462251350156_20261122_业务明细(汇总).csv", "#汇总".encode("gbk"))
    content = alipay.unpacked(packed(detail, summary))
    trade, refund = alipay.parse(content, DAY, SELLER).rows
    assert (trade.number, trade.other_number, trade.amount_fen, trade.fee_millifen) == (
        "LB0001",
        "2026112222001",
        1999,
        12000,
    )
    assert (refund.kind, refund.number, refund.other_number, refund.order_number, refund.amount_fen, refund.fee_millifen) == (
        "refund", "LBR0001", "LBR0001", "LB0001", 550, -3000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("业务明细列表结束", "", "cut_short", id="no end"),
        pytest.param("交易合计：1笔", "交易合计：2笔", "summary_count", id="another count"),
        pytest.param("退款合计：1笔", "退款：1笔", "cut_short", id="a total is missing"),
        pytest.param("实收共19.99元", "实收共19.98元", "summary_sum", id="another sum"),
        pytest.param("退款共-5.50元", "退款共5.50元", "summary_sum", id="another sum of refunds"),
        pytest.param("2026年11月22日", "2026年11月21日", "other_day", id="of another day"),
        pytest.param("#起始日期", "#日期", "other_day", id="of no day"),
        pytest.param("#账号", "#账户", "other_merchant", id="of nobody"),
        pytest.param("订单金额（元）", "金额（元）", "column_missing", id="a column is missing"),
        pytest.param("20881021462251350156", "20880000000000000156", "other_merchant", id="of another seller"),
        pytest.param("交易 ,", "转账 ,", "row_kind", id="a kind nobody knows"),
        pytest.param(",-5.50,-5.50", ",5.50,5.50", "row_kind", id="a refund that is positive"),
        pytest.param("水费,2026", "水费,十月,2026", "row_width", id="a comma in a name"),
        pytest.param("19.99,19.99", "１９.９９,19.99", "amount", id="full-width digits"),
    ],
)
def test_what_is_wrong_in_alipays_bill_makes_it_wrong(old: str, new: str, reason: str) -> None:
    assert old in ALIPAY
    assert refused(lambda: read_alipay(ALIPAY.replace(old, new, 1))) == reason


def test_alipays_bill_in_another_encoding_or_cut_anywhere_is_no_bill() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "big5hkscs"):
        refused(lambda encoding=encoding: alipay.parse(ALIPAY.encode(encoding, "replace"), DAY, SELLER))
    raw = ALIPAY.encode("gbk")
    whole = len(ALIPAY.partition("退款合计：1笔，商家实收退款共-5.50元")[0].encode("gbk"))
    for end in range(whole):
        refused(lambda end=end: alipay.parse(raw[:end], DAY, SELLER))


def test_what_is_no_zip_or_holds_no_table_or_two_is_refused() -> None:
    assert refused(lambda: alipay.unpacked(b"")) == "zip"
    assert refused(lambda: alipay.unpacked(packed(("别的.csv", b"")))) == "table_missing"
    assert refused(lambda: alipay.unpacked(packed(("a业务明细.csv", b""), ("b业务明细.csv", b"")))) == "table_missing"
    assert refused(lambda: alipay.unpacked(packed(("业务明细.csv", b"1"))[:-30])) == "zip"
    assert refused(lambda: alipay.unpacked(packed(*((f"{n}.csv", b"") for n in range(21))))) == "too_many_files"
    damaged = bytearray(packed(("业务明细.csv", ALIPAY.encode("gbk"))))
    damaged[80] ^= 0xFF
    assert refused(lambda: alipay.unpacked(bytes(damaged))) == "zip"


def test_a_zip_that_swells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alipay, "UNPACKED_BYTES", 1000)
    assert refused(lambda: alipay.unpacked(packed(("业务明细.csv", b"0" * 1001)))) == "too_large"
