"""What passes between us and a company, as typed values: docs/company-gateway.md §3–§9.

Shapes are checked by msgspec, sums and duplicates by :func:`check_bills` and its kin. Amounts are integer fen. Unknown members of
an answer are ignored, a wrong one makes the whole answer worthless.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.outbound import FailureKind

MAX_FEN = 10**12
AccountNumber = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,32}\Z")]
BillNo = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_.-]{1,64}\Z")]
QuoteId = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]
PostingId = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]
Serial = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
Period = Annotated[str, Meta(pattern=r"\A[0-9]{4}-(0[1-9]|1[0-2])\Z")]
Quantity = Annotated[str, Meta(pattern=r"\A[0-9]{1,12}(\.[0-9]{1,6})?\Z")]
Fen = Annotated[int, Meta(ge=0, le=MAX_FEN)]
Instant = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]

QUOTE_LIFE_MAX = timedelta(minutes=30)
CLOCK_SKEW = timedelta(minutes=5)


class AccountStatus(StrEnum):
    """What the company says about a utility account."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class BillStatus(StrEnum):
    """What the company says about a bill."""

    OPEN = "open"
    PAID = "paid"
    VOID = "void"


class Proof(msgspec.Struct, frozen=True):
    """What somebody knows about an account; `kind` is the one the company names in the city pack."""

    kind: Literal["holder_id_last4", "holder_name", "meter_number", "last_bill_fen"]
    value: str


class Account(msgspec.Struct, frozen=True):
    """A utility account; `holder_name` and `address` are there only after a right proof. `balance_fen`: paid in advance, where it keeps that."""

    number: AccountNumber
    service: Annotated[str, Meta(pattern=r"\A[a-z_]{1,32}\Z")]
    status: AccountStatus
    holder_masked: Text
    address_masked: Text
    holder_name: Text | None = None
    address: Text | None = None
    balance_fen: Fen | None = None


class BillLine(msgspec.Struct, frozen=True):
    """One line of a bill. Quantity and price are decimal texts, for showing only."""

    name: Text
    amount_fen: Fen
    quantity: Quantity | None = None
    unit_price: Quantity | None = None


class Readings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the meter showed last time and this time; `estimated`: this time it was not read but estimated."""

    last: Quantity | None = None
    this: Quantity | None = None
    read_on: date | None = None
    estimated: bool | None = None


class BillBasis(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a company may say its lines were made from; None: it does not say.

    `annual_usage_before` is what the account had used in the calendar year before this period, `late_fee_through` the last day
    the late fee counts, `class_` the tariff class of the city pack.
    """

    readings: Readings | None = None
    household_size: Annotated[int, Meta(ge=1, le=99)] | None = None
    annual_usage_before: Quantity | None = None
    class_: Annotated[str, Meta(min_length=1, max_length=40)] | None = msgspec.field(name="class", default=None)
    late_fee_through: date | None = None


class Bill(BillBasis, frozen=True, kw_only=True):
    """What the company says is owed: `payable_fen` = `principal_fen` + `late_fee_fen` - `paid_fen`; the lines add up to `principal_fen`.

    `paid_fen` is what has been paid of it so far, where the company takes a bill in parts.
    """

    bill_no: BillNo
    period: Period
    issued_on: date
    due_on: date
    status: BillStatus
    principal_fen: Fen
    late_fee_fen: Fen
    payable_fen: Fen
    paid_fen: Fen = 0
    lines: Annotated[tuple[BillLine, ...], Meta(min_length=1, max_length=100)]
    usage: Quantity | None = None
    unit: Annotated[str, Meta(min_length=1, max_length=16)] | None = None

    @property
    def basis(self) -> BillBasis | None:
        """What the lines were made from; None when the company says nothing of it."""
        said = BillBasis(
            self.readings, self.household_size, self.annual_usage_before, self.class_, self.late_fee_through
        )
        return None if said == BillBasis() else said


class Quote(msgspec.Struct, frozen=True):
    """The company's word that all open bills may be paid at these amounts until `expires_at`."""

    quote_id: QuoteId
    expires_at: Instant
    total_fen: Fen


class TopUpQuote(msgspec.Struct, frozen=True):
    """The answer to a question about a top-up: the account, and the company's word that it takes exactly this amount."""

    account: Account
    quote: Quote


class Bills(msgspec.Struct, frozen=True):
    """The answer to a query of bills."""

    account: Account
    bills: Annotated[tuple[Bill, ...], Meta(max_length=500)]
    quote: Quote | None = None


class PostingBill(msgspec.Struct, frozen=True):
    """A bill of a posting, at the amount of the quote; less than that for one bill at most, where the company takes parts."""

    bill_no: str
    amount_fen: int


class Posting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What we tell the company: these bills have been paid. The same `posting_id` must always carry the same content.

    With the `purpose` ``top_up`` it names no bill: all of it goes to the balance of an account that is paid in advance.
    """

    posting_id: str
    account_number: str
    quote_id: str
    total_fen: int
    bills: tuple[PostingBill, ...]
    paid_at: datetime
    provider: str
    merchant: str
    provider_transaction: str
    purpose: Literal["bills", "top_up"] = "bills"


class Posted(msgspec.Struct, frozen=True):
    """The company has recorded all bills of the posting."""

    posting_id: str
    serial: str
    posted_at: datetime


class Refused(msgspec.Struct, frozen=True):
    """The company will not record the posting; `code` is its own, `kind` says whose fault it is."""

    posting_id: str
    code: str
    kind: FailureKind
    message: str


class Processing(msgspec.Struct, frozen=True):
    """The company works on it; the result follows by query or event."""

    posting_id: str


PostingAnswer = Posted | Refused | Processing


class FileBill(Bill, frozen=True, kw_only=True):
    """A bill in the daily file."""

    account_number: AccountNumber


class BillFile(msgspec.Struct, frozen=True):
    """A whole daily file whose trailer is right."""

    day: date
    bills: tuple[FileBill, ...]
    payable_fen: int


class HolderNotice(msgspec.Struct, frozen=True):
    """What the company is to tell the holder on its own record."""

    notice_id: str
    account_number: str
    kind: str
    binding_ref: str
    at: datetime


class BillsChanged(msgspec.Struct, frozen=True):
    """Event: the bills of an account changed; query again."""

    account_number: AccountNumber


class BindingRevoked(msgspec.Struct, frozen=True):
    """Event: the holder objects to a binding."""

    account_number: AccountNumber
    binding_ref: Annotated[str, Meta(pattern=r"\A[0-9A-Z-]{1,32}\Z")]


class OtherCompanyEvent(msgspec.Struct, frozen=True):
    """An event of a type we do not know; loud, and kept."""

    type: str


class CompanyEvent(msgspec.Struct, frozen=True):
    """An event of a company; `event_id` is unique per company and the key of its inbox row."""

    event_id: str
    type: str
    at: datetime
    data: Any
    """By type (§9): a posting's answer, :class:`BillsChanged`, :class:`BindingRevoked`, one of
    :data:`gateways.company_order_types.AnyReport`, ``CrewSlots``, ``AppointmentAnswer``, or :class:`OtherCompanyEvent`."""


class ContentWrong(ValueError):
    """The shape is right, the content contradicts itself. `reason` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_bill(bill: Bill) -> None:
    """Check that one bill adds up.

    Raises:
        ContentWrong: ``payable_sum`` or ``lines_sum``.
    """
    if bill.payable_fen != bill.principal_fen + bill.late_fee_fen - bill.paid_fen:
        raise ContentWrong("payable_sum")
    if sum(line.amount_fen for line in bill.lines) != bill.principal_fen:
        raise ContentWrong("lines_sum")


def check_bills(answer: Bills, account_number: str, *, quoted: bool, now: datetime) -> None:
    """Check an answer to a query of bills against what was asked.

    Raises:
        ContentWrong: of :func:`check_bill`, or ``other_account``, ``bill_twice``, ``quote_missing``, ``quote_total``, ``quote_life``.
    """
    if answer.account.number != account_number:
        raise ContentWrong("other_account")
    for bill in answer.bills:
        check_bill(bill)
    check_no_twins((bill.bill_no for bill in answer.bills), "bill_twice")
    open_bills = [bill for bill in answer.bills if bill.status is BillStatus.OPEN]
    if not quoted or not open_bills:
        return
    if answer.quote is None:
        raise ContentWrong("quote_missing")
    if answer.quote.total_fen != sum(bill.payable_fen for bill in open_bills):
        raise ContentWrong("quote_total")
    if not now < answer.quote.expires_at <= now + QUOTE_LIFE_MAX + CLOCK_SKEW:
        raise ContentWrong("quote_life")


def check_top_up(answer: TopUpQuote, account_number: str, amount_fen: int, now: datetime) -> None:
    """Check an answer about a top-up against what was asked.

    Raises:
        ContentWrong: ``other_account``, ``balance_missing``, ``quote_total``, ``quote_life``.
    """
    if answer.account.number != account_number:
        raise ContentWrong("other_account")
    if answer.account.balance_fen is None:
        raise ContentWrong("balance_missing")
    if answer.quote.total_fen != amount_fen:
        raise ContentWrong("quote_total")
    if not now < answer.quote.expires_at <= now + QUOTE_LIFE_MAX + CLOCK_SKEW:
        raise ContentWrong("quote_life")


def check_posting(posting: Posting) -> None:
    """Check our own posting before it leaves: a wrong one would be recorded by the company for ever.

    Raises:
        ValueError: what is wrong with it.
    """
    if (posting.purpose == "top_up") == bool(posting.bills):
        raise ValueError("a posting names at least one bill, a top-up none")
    if len({bill.bill_no for bill in posting.bills}) != len(posting.bills):
        raise ValueError("a posting names each bill once")
    if posting.total_fen < 1 or (
        posting.purpose == "bills"
        and (
            any(bill.amount_fen < 0 for bill in posting.bills)
            or sum(bill.amount_fen for bill in posting.bills) != posting.total_fen
        )
    ):
        raise ValueError("the amounts of a posting add up to its total")
    if posting.paid_at.tzinfo is None:
        raise ValueError("paid_at is an aware time")
    check_path_part(posting.posting_id)


def check_path_part(posting_id: str) -> None:
    """An id that stands in an address must need no encoding.

    Raises:
        ValueError: it is not 1 to 64 of ``[0-9A-Za-z_-]``.
    """
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", posting_id):
        raise ValueError("a posting id is 1 to 64 of [0-9A-Za-z_-]")


def check_no_twins(values: Iterable[object], reason: str) -> None:
    """Refuse a value given twice.

    Raises:
        ContentWrong: `reason`.
    """
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ContentWrong(reason)
        seen.add(value)
