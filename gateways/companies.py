"""Our side of the companies' gateway (docs/company-gateway.md): each answer verified and bound to its request.

What a company says becomes one of four things: a typed value, a :class:`CompanyRefusal` with whose fault it is,
:class:`core.outbound.NotSent`, or :class:`core.outbound.OutcomeUnknown`. An answer that is not signed by the company, not of its
shape or not the answer to the question is :class:`core.outbound.MalformedAnswer`: never a fact about an account.
"""

import asyncio
from datetime import date
from typing import Literal

import msgspec

from core import clock
from core.errors import LianbanError
from core.outbound import FailureKind, OutcomeUnknown
from core.strict_json import JsonRefused
from gateways.company_answers import (
    read_account,
    read_bill_file,
    read_bills,
    read_event,
    read_notice_accepted,
    read_posting,
    read_top_up,
)
from gateways.company_codes import COMPANY_CODES, NO_SUCH_POSTING, CompanyCode
from gateways.company_line import UNSIGNED_REFUSALS, CompanyRefusal
from gateways.company_orders import CompanyOrders
from gateways.company_types import (
    Account,
    AccountStatus,
    Bill,
    BillFile,
    BillLine,
    Bills,
    BillsChanged,
    BillStatus,
    BindingRevoked,
    CompanyEvent,
    ContentWrong,
    FileBill,
    HolderNotice,
    OtherCompanyEvent,
    Posted,
    Posting,
    PostingAnswer,
    PostingBill,
    Processing,
    Proof,
    Quote,
    Refused,
    TopUpQuote,
    check_path_part,
    check_posting,
)
from gateways.message_signatures import (
    SignatureRefused,
    SigningKey,
    load_public_key,
    load_signing_key,
    request_nonce,
    sign_answer,
    verify_company_request,
)
from gateways.posting_files import FilePosting, PostingFile, read_posting_file

__all__ = [
    "COMPANY_CODES",
    "Account",
    "AccountStatus",
    "Bill",
    "BillFile",
    "BillLine",
    "BillStatus",
    "Bills",
    "BillsChanged",
    "BindingRevoked",
    "CompanyCode",
    "CompanyEvent",
    "CompanyGateway",
    "CompanyRefusal",
    "EventRefused",
    "FileBill",
    "FilePosting",
    "HolderNotice",
    "OtherCompanyEvent",
    "Posted",
    "Posting",
    "PostingAnswer",
    "PostingBill",
    "PostingFile",
    "Processing",
    "Proof",
    "Quote",
    "Refused",
    "SignatureRefused",
    "SigningKey",
    "TopUpQuote",
    "load_public_key",
    "load_signing_key",
    "parse_event",
    "request_nonce",
    "sign_answer",
    "verify_company_request",
]


class EventRefused(LianbanError):
    """A verified event that cannot be read; `reason` is a fixed word."""

    code = "company_event_malformed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CompanyGateway(CompanyOrders):
    """One company: its accounts, bills and postings, its files, and (:class:`CompanyOrders`) its service orders."""

    async def find_account(self, account_number: str, proof: Proof | None = None) -> Account:
        """§3. Name and address come back only when `proof` was given and right.

        Raises:
            CompanyRefusal: among others EQ0006 no such account, EB0001 the proof does not fit.
        """
        body = {"account_number": account_number} | ({"proof": msgspec.to_builtins(proof)} if proof else {})
        answer = await self._ask("find_account", "/accounts/find", body)
        return self._read("find_account", lambda: read_account(answer, account_number, proven=proof is not None))

    async def query_bills(self, account_number: str, purpose: Literal["view", "quote"]) -> Bills:
        """§4. With ``quote`` and an open bill the answer has a quote.

        Raises:
            CompanyRefusal: of kind temporary, for example, in the batch-deduction window.
        """
        now = clock.now()
        answer = await self._ask("query_bills", "/bills/query", {"account_number": account_number, "purpose": purpose})
        quoted = purpose == "quote"
        return self._read("query_bills", lambda: read_bills(answer, account_number, quoted=quoted, now=now))

    async def quote_top_up(self, account_number: str, amount_fen: int) -> TopUpQuote:
        """§4a. The company's word that it takes this amount for the balance of an account that is paid in advance.

        Raises:
            CompanyRefusal: among others EQ0009 not this account, EQ0015 not online (its card is written at a counter), EQ0016 not this amount.
        """
        now = clock.now()
        body = {"account_number": account_number, "amount_fen": amount_fen}
        answer = await self._ask("quote_top_up", "/top-ups/quotes", body)
        return self._read("quote_top_up", lambda: read_top_up(answer, account_number, amount_fen, now))

    async def post_payment(self, posting: Posting) -> PostingAnswer:
        """§5. Post again under the same id as often as needed: it is recorded once.

        Raises:
            CompanyRefusal: technical or temporary only; nothing is said about the posting, post again later.
            OutcomeUnknown: ask with :meth:`query_posting`.
        """
        check_posting(posting)
        try:
            answer = await self._ask("post_payment", "/postings", posting)
        except CompanyRefusal as refusal:
            if refusal.kind is FailureKind.TECHNICAL or refusal.company_code == UNSIGNED_REFUSALS[429][0]:
                raise
            return Refused(posting.posting_id, refusal.company_code, refusal.kind, refusal.company_message)
        return self._posting("post_payment", answer, posting.posting_id)

    async def query_posting(self, posting_id: str) -> PostingAnswer | None:
        """§6. ``None`` when nothing with this id ever arrived there: post again under the same id."""
        check_path_part(posting_id)
        try:
            answer = await self._call("GET", "query_posting", f"/postings/{posting_id}")
        except CompanyRefusal as refusal:
            if refusal.company_code == NO_SUCH_POSTING:
                return None
            raise
        return self._posting("query_posting", answer, posting_id)

    async def bill_file(self, day: date) -> BillFile:
        """§7. All bills issued or changed on that day.

        Raises:
            CompanyRefusal: EF0001, the file is not ready.
        """
        answer = await self._call("GET", "bill_file", f"/bill-files/{day.isoformat()}", file=True)
        return await asyncio.to_thread(self._read, "bill_file", lambda: read_bill_file(answer, day))

    async def posting_file(self, day: date) -> PostingFile:
        """§7a. What the company has recorded as paid on that day.

        Raises:
            CompanyRefusal: EF0001, the file is not ready.
        """
        answer = await self._call("GET", "posting_file", f"/posting-files/{day.isoformat()}", file=True)
        return await asyncio.to_thread(self._read, "posting_file", lambda: read_posting_file(answer, day))

    async def holder_notice(self, notice: HolderNotice) -> None:
        """§8. Returns when the company has accepted the notice."""
        answer = await self._ask("holder_notice", "/holder-notices", notice)
        self._read("holder_notice", lambda: read_notice_accepted(answer, notice.notice_id))

    def _posting(self, operation: str, body: bytes, posting_id: str) -> PostingAnswer:
        answer = self._read(operation, lambda: read_posting(body, posting_id, self.code))
        if isinstance(answer, Refused) and answer.kind is FailureKind.UNKNOWN:
            raise OutcomeUnknown(self._counterpart.name, operation, "code_unknown")
        return answer


def parse_event(body: bytes, company: str) -> CompanyEvent:
    """Read an event whose request :func:`verify_company_request` has verified (§9).

    Raises:
        EventRefused: not an event; nothing in it is used.
    """
    try:
        return read_event(body, company)
    except (JsonRefused, ContentWrong) as error:
        raise EventRefused(error.reason) from error
    except msgspec.ValidationError as error:
        raise EventRefused("wrong_shape") from error
