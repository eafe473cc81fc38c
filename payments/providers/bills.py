"""The port of a day's bill: what a provider wrote down for one merchant on one day, in neutral words; and how its texts are read.

Nothing of a payer comes through it: no openid, no masked account, no name of goods.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Protocol

from core import clock
from core.errors import LianbanError

Kind = Literal["trade", "refund", "posting"]

MILLIFEN = 1_000
"""Thousandths of a fen in a fen: fees have up to five decimals of a yuan."""
MOST_FEN = 10**12
_YUAN = re.compile(r"-?[0-9]{1,11}(\.[0-9]{1,5})?", re.ASCII)
_NUMBER = re.compile(r"[!-~]{1,64}", re.ASCII)


class BillNotReady(LianbanError):
    """The file of that day is not there yet; ask again later."""

    code = "bill_not_ready"


class NoBill(LianbanError):
    """The provider says that there was nothing to write down that day."""

    code = "bill_none"


class BillWrong(LianbanError):
    """A file came and proves nothing: not the one announced, cut short, or at odds with itself. `reason` is a fixed word."""

    code = "bill_wrong"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BillRow:
    """One row. `number` is ours, `other_number` theirs; `amount_fen` is the order's amount before any coupon, never negative.

    `fee_millifen` is what the provider keeps (negative: gives back). `state` of a trade is ``success`` or ``revoked``, of a refund
    ``success``, ``processing``, ``failed``, ``abnormal`` or ``unknown``, of a posting ``posted``.
    """

    kind: Kind
    number: str
    other_number: str
    amount_fen: int
    at: datetime
    state: str = "success"
    order_number: str | None = None
    fee_millifen: int = 0


@dataclass(frozen=True, slots=True)
class DayBill:
    """A whole file whose hash and summary are right. `sha256` is of its content, unpacked."""

    day: date
    party: str
    sha256: str
    rows: tuple[BillRow, ...]

    def total_fen(self, *kinds: Kind) -> int:
        """The sum of the rows of these kinds; refunds that came to nothing are not counted."""
        return sum(row.amount_fen for row in self.rows if row.kind in kinds and row.state not in ("failed", "revoked"))

    @property
    def fee_millifen(self) -> int:
        """What the provider keeps of all rows."""
        return sum(row.fee_millifen for row in self.rows)


class BillSource(Protocol):
    """Whoever gives a file per day and party: a merchant's number at a provider, or a company's code."""

    async def day_bill(self, day: date, party: str) -> DayBill:
        """The file of that day, whole.

        Raises:
            BillNotReady, NoBill, BillWrong: see there. core.outbound.OutboundError, ProviderRefused, CompanyRefusal: no file today.
        """
        ...


def fen(text: str) -> int:
    """Fen of an amount in yuan with at most two decimals, such as ``19.99``.

    Raises:
        BillWrong: it is not one, or absurdly large.

    >>> fen("19.99")
    1999
    """
    value = _decimal(text) * 100
    if value != value.to_integral_value() or abs(value) > MOST_FEN:
        raise BillWrong("amount")
    return int(value)


def millifen(text: str) -> int:
    """Thousandths of a fen of a fee in yuan with at most five decimals.

    >>> millifen("0.00024")
    24
    """
    return int(_decimal(text) * 100 * MILLIFEN)


def _decimal(text: str) -> Decimal:
    # Decimal itself would take full-width digits, exponents and NaN.
    if not _YUAN.fullmatch(text):
        raise BillWrong("amount")
    return Decimal(text)


def number(text: str) -> str:
    """An order's, refund's or trade's number.

    Raises:
        BillWrong: empty, longer than 64, or not of visible ASCII.
    """
    if not _NUMBER.fullmatch(text):
        raise BillWrong("number")
    return text


def local_time(text: str) -> datetime:
    """A time as both providers print it, in Shanghai.

    Raises:
        BillWrong: it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        raise BillWrong("time") from None


class Table:
    """Rows under a header, read by the names of the columns: their order is nobody's promise, and columns may be added."""

    def __init__(self, header: Iterable[str]) -> None:
        """
        Raises:
            BillWrong: a name stands twice.
        """
        names = list(header)
        self._places = {name: place for place, name in enumerate(names)}
        if len(self._places) != len(names):
            raise BillWrong("header")
        self._width = len(names)

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._places

    def need(self, *names: str) -> None:
        """
        Raises:
            BillWrong: one of the columns is missing.
        """
        if any(name not in self._places for name in names):
            raise BillWrong("column_missing")

    def row(self, cells: list[str]) -> dict[str, str]:
        """A row by the names of its columns.

        Raises:
            BillWrong: too few or too many cells: a comma nobody has quoted would shift every amount.
        """
        if len(cells) != self._width:
            raise BillWrong("row_width")
        return {name: cells[place] for name, place in self._places.items()}
