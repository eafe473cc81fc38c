"""What a company's bytes say, or that they say nothing: pure readers of verified bodies.

Each raises :class:`core.strict_json.JsonRefused` for a wrong shape and :class:`gateways.company_types.ContentWrong` for a right
shape that contradicts itself or the question. Both mean that the answer is no fact.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.log import get_logger
from core.outbound import FailureKind
from core.strict_json import JsonRefused, decode, parse
from gateways.company_codes import COMPANY_CODES, CompanyCode
from gateways.company_order_types import AnyReport, AppointmentAnswer, CrewSlots
from gateways.company_types import (
    Account,
    BillFile,
    Bills,
    BillsChanged,
    BindingRevoked,
    CompanyEvent,
    ContentWrong,
    FileBill,
    Instant,
    OtherCompanyEvent,
    Posted,
    PostingAnswer,
    PostingId,
    Processing,
    Refused,
    Serial,
    TopUpQuote,
    check_bill,
    check_bills,
    check_no_twins,
    check_top_up,
)

log = get_logger(__name__)

Code = Annotated[str, Meta(pattern=r"\A[0-9A-Z_]{1,32}\Z")]
Message = Annotated[str, Meta(max_length=500)]


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every error."""

    code: Code
    message: Message = ""


def known_code(company: str, code: str) -> CompanyCode | None:
    """The meaning of a code; an unknown one is loud and ``None``, one that needs a person is loud too."""
    meaning = COMPANY_CODES.get(code)
    if meaning is None:
        log.error("company.code_unknown", company=company, error_code=code)
    elif meaning.alarms:
        log.error("company.code_alarm", company=company, error_code=code)
    return meaning


def read_account(body: bytes, account_number: str, *, proven: bool) -> Account:
    """The account of §3. With a proof name and address must be there: a company that skipped the proof would leave them out."""
    _no_error_inside(body)
    account = decode(body, _Found).account
    if account.number != account_number:
        raise ContentWrong("other_account")
    if proven and not (account.holder_name and account.address):
        raise ContentWrong("proof_not_checked")
    return account if proven else msgspec.structs.replace(account, holder_name=None, address=None)


def read_bills(body: bytes, account_number: str, *, quoted: bool, now: datetime) -> Bills:
    """The bills of §4, checked to the fen; a quote nobody asked for is dropped."""
    _no_error_inside(body)
    bills = decode(body, Bills)
    check_bills(bills, account_number, quoted=quoted, now=now)
    account = msgspec.structs.replace(bills.account, holder_name=None, address=None)
    return msgspec.structs.replace(bills, account=account, quote=bills.quote if quoted else None)


def read_top_up(body: bytes, account_number: str, amount_fen: int, now: datetime) -> TopUpQuote:
    """The answer of §4a, checked against what was asked."""
    _no_error_inside(body)
    answer = decode(body, TopUpQuote)
    check_top_up(answer, account_number, amount_fen, now)
    account = msgspec.structs.replace(answer.account, holder_name=None, address=None)
    return msgspec.structs.replace(answer, account=account)


def read_posting(body: bytes, posting_id: str | None, company: str) -> PostingAnswer:
    """The answer of §5 and §6, and the data of ``posting.answered``.

    A refusal whose code is unknown to us has the kind ``unknown``: ask again, and let a person look.
    """
    return _posting_answer(decode(body, _Posting), posting_id, company)


def read_notice_accepted(body: bytes, notice_id: str) -> None:
    """The answer of §8."""
    _no_error_inside(body)
    answer = decode(body, _NoticeAnswer)
    if answer.notice_id != notice_id or not answer.accepted:
        raise ContentWrong("notice_not_accepted")


def read_bill_file(body: bytes, day: date) -> BillFile:
    """The daily file of §7, whole or not at all. May hold 64 MB: call it in a thread."""
    *lines, last = body.removesuffix(b"\n").split(b"\n")
    trailer = decode(last, _TrailerLine).trailer
    bills = tuple(decode(line, FileBill) for line in lines)
    for bill in bills:
        check_bill(bill)
    check_no_twins((bill.bill_no for bill in bills), "bill_twice")
    payable_fen = sum(bill.payable_fen for bill in bills)
    if (trailer.date, trailer.count, trailer.payable_fen) != (day, len(bills), payable_fen):
        raise ContentWrong("trailer")
    return BillFile(day, bills, payable_fen)


def read_event(body: bytes, company: str) -> CompanyEvent:
    """An event of §9 whose signature has been verified. A type we do not know is loud and kept."""
    event = decode(body, _Event)
    data: Any
    match event.type:
        case "posting.answered":
            data = _posting_answer(msgspec.convert(event.data, _Posting), None, company)
        case "bills.changed":
            data = msgspec.convert(event.data, BillsChanged)
        case "binding.revoked":
            data = msgspec.convert(event.data, BindingRevoked)
        case "order.report":
            data = msgspec.convert(event.data, AnyReport)
        case "crew.slots":
            data = msgspec.convert(event.data, CrewSlots)
        case "survey.answer":
            data = msgspec.convert(event.data, AppointmentAnswer)
        case _:
            log.error("company.event_unknown", company=company, event_name=event.type)
            data = OtherCompanyEvent(event.type)
    return CompanyEvent(event.event_id, event.type, event.at, data)


class _Found(msgspec.Struct, frozen=True):
    account: Account


class _Posting(msgspec.Struct, frozen=True):
    posting_id: PostingId
    status: Literal["posted", "refused", "processing"]
    serial: Serial | None = None
    posted_at: Instant | None = None
    code: Code | None = None
    message: Message = ""


class _NoticeAnswer(msgspec.Struct, frozen=True):
    notice_id: str
    accepted: bool


class _Trailer(msgspec.Struct, frozen=True):
    date: date
    count: Annotated[int, Meta(ge=0)]
    payable_fen: Annotated[int, Meta(ge=0)]


class _TrailerLine(msgspec.Struct, frozen=True):
    trailer: _Trailer


class _Event(msgspec.Struct, frozen=True):
    event_id: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_.-]{1,64}\Z")]
    type: Annotated[str, Meta(pattern=r"\A[a-z_.]{1,64}\Z")]
    at: Instant
    data: dict[str, Any]


def _posting_answer(posting: _Posting, posting_id: str | None, company: str) -> PostingAnswer:
    if posting_id is not None and posting.posting_id != posting_id:
        raise ContentWrong("other_posting")
    if posting.status == "refused":
        if posting.code is None or posting.serial is not None:
            raise ContentWrong("refused")
        meaning = known_code(company, posting.code)
        return Refused(
            posting.posting_id, posting.code, meaning.kind if meaning else FailureKind.UNKNOWN, posting.message
        )
    if posting.code is not None:
        raise ContentWrong("error_in_success")
    if posting.status == "processing":
        return Processing(posting.posting_id)
    if posting.serial is None or posting.posted_at is None:
        raise ContentWrong("posted_without_serial")
    return Posted(posting.posting_id, posting.serial, posting.posted_at)


def error_inside(body: bytes) -> str | None:
    """The code of an error written into an answer of success; None when there is none. A refused posting (§5) is no error."""
    try:
        value = parse(body)
    except JsonRefused:
        return None
    if not isinstance(value, dict) or "code" not in value or "status" in value:
        return None
    return str(value["code"])


def _no_error_inside(body: bytes) -> None:
    """A 200 with an error inside is nobody's success."""
    value = parse(body)
    if isinstance(value, dict) and "code" in value:
        raise ContentWrong("error_in_success")
