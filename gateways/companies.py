"""Our side of the companies' gateway (docs/company-gateway.md): each answer verified and bound to its request.

What a company says becomes one of four things: a typed value, a :class:`CompanyRefusal` with whose fault it is,
:class:`core.outbound.NotSent`, or :class:`core.outbound.OutcomeUnknown`. An answer that is not signed by the company, not of its
shape or not the answer to the question is :class:`core.outbound.MalformedAnswer`: never a fact about an account.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core import clock
from core.errors import LianbanError
from core.log import get_logger
from core.outbound import Answer, Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from gateways.company_answers import (
    ErrorBody,
    error_inside,
    known_code,
    read_account,
    read_bill_file,
    read_bills,
    read_event,
    read_notice_accepted,
    read_posting,
    read_top_up,
)
from gateways.company_codes import COMPANY_CODES, NO_SUCH_POSTING, CompanyCode
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
    sign_request,
    verify_answer,
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

log = get_logger(__name__)
T = TypeVar("T")

BILL_FILE_BYTES = 64 * 1024 * 1024
BILL_FILE_TIMEOUT = timedelta(minutes=5)

_ERROR_BYTES = 4096
"""No error is longer; a bill file is not searched for one."""
_SIGNED_STATUSES = frozenset({200, 404, 409, 422})
_UNSIGNED_REFUSALS = {
    400: ("EQ0001", FailureKind.TECHNICAL),
    401: ("EQ0001", FailureKind.TECHNICAL),
    403: ("EQ0002", FailureKind.TECHNICAL),
    429: ("EQ0014", FailureKind.TEMPORARY),
}


class CompanyRefusal(LianbanError):
    """The company refused. `company_code` is of §2's table, `kind` whose fault it is, `company_message` the company's words.

    A kind of ``technical`` says nothing about the account or the posting: such answers need not be signed.
    """

    code = "company_refused"

    def __init__(
        self, company: str, operation: str, company_code: str, kind: FailureKind, company_message: str
    ) -> None:
        super().__init__(f"{company} {operation}: {company_code}", company_code=company_code)
        self.company = company
        self.operation = operation
        self.company_code = company_code
        self.kind = kind
        self.company_message = company_message


class EventRefused(LianbanError):
    """A verified event that cannot be read; `reason` is a fixed word."""

    code = "company_event_malformed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CompanyGateway:
    """One company.

    `authority` is what stands in the Host header and under the signature. `company_keys` are the company's live public keys by key
    id, at most two. `errors_inside`: its system writes errors into answers 200 (§2), which it must have been agreed to do.
    """

    def __init__(
        self,
        code: str,
        counterpart: Counterpart,
        authority: str,
        signing_key: SigningKey,
        company_keys: Mapping[str, Ed25519PublicKey],
        *,
        errors_inside: bool = False,
    ) -> None:
        if not 1 <= len(company_keys) <= 2:
            raise ValueError(f"{code}: a company has one or two live keys")
        self.code = code
        self._counterpart = counterpart
        self._authority = authority
        self._signing_key = signing_key
        self._company_keys = dict(company_keys)
        self._errors_inside = errors_inside

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
            if refusal.kind is FailureKind.TECHNICAL or refusal.company_code == _UNSIGNED_REFUSALS[429][0]:
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

    async def _ask(self, operation: str, path: str, body: object) -> bytes:
        return await self._call("POST", operation, path, msgspec.json.encode(body))

    async def _call(self, method: str, operation: str, path: str, body: bytes = b"", *, file: bool = False) -> bytes:
        """Send a signed request, return the verified body of a 200."""
        full_path = self._counterpart.base_path + path
        headers = sign_request(method, self._authority, full_path, body, self._signing_key, clock.now())
        answer = await self._counterpart.request(
            method,
            path,
            operation=operation,
            headers={**headers, "Host": self._authority, "Accept": "application/json"},
            content=body,
            # All operations are idempotent by their id or change nothing.
            idempotent=True,
            timeout=BILL_FILE_TIMEOUT if file else None,
            max_answer_bytes=BILL_FILE_BYTES if file else None,
            is_failure=self._is_failure,
        )
        if answer.status not in _SIGNED_STATUSES:
            raise self._unsigned(operation, answer)
        # The digest of 64 MB would hold up the loop.
        verify = partial(self._verify, operation, answer, headers)
        await asyncio.to_thread(verify) if file else verify()
        media_type = (answer.header("content-type") or "").partition(";")[0].strip().lower()
        if self._errors_inside and answer.status == 200 and media_type == "application/json":
            self._raise_error_inside(operation, answer)
        if media_type != ("application/x-ndjson" if file and answer.status == 200 else "application/json"):
            raise self._malformed(operation, "media_type")
        if answer.status != 200:
            raise self._refusal(operation, answer)
        return answer.content

    def _verify(self, operation: str, answer: Answer, request_headers: Mapping[str, str]) -> None:
        try:
            verify_answer(
                answer.status, answer.headers, answer.content, request_headers, self._company_keys, clock.now()
            )
        except SignatureRefused as refused:
            raise self._malformed(operation, f"signature.{refused.reason}") from refused

    def _refusal(self, operation: str, answer: Answer) -> LianbanError:
        error = self._read(operation, lambda: decode(answer.content, ErrorBody))
        meaning = known_code(self.code, error.code)
        if meaning is None:
            return OutcomeUnknown(self._counterpart.name, operation, "code_unknown")
        if answer.status not in meaning.statuses:
            return self._malformed(operation, "code_status")
        return CompanyRefusal(self.code, operation, error.code, meaning.kind, error.message)

    def _is_failure(self, answer: Answer) -> bool:
        """What counts against the circuit: a time-out is one, also where it is written under a 200."""
        if answer.status >= 500 or not self._errors_inside or len(answer.content) > _ERROR_BYTES:
            return answer.status >= 500
        meaning = COMPANY_CODES.get(error_inside(answer.content) or "")
        return meaning is not None and meaning.kind is FailureKind.UNKNOWN

    def _raise_error_inside(self, operation: str, answer: Answer) -> None:
        """Raise what a verified answer 200 of an old system says in its body; return when it is a success."""
        if error_inside(answer.content) is None:
            return
        error = self._read(operation, lambda: decode(answer.content, ErrorBody))
        meaning = known_code(self.code, error.code)
        if meaning is None or meaning.kind is FailureKind.UNKNOWN:
            reason = "code_unknown" if meaning is None else "error_inside"
            raise OutcomeUnknown(self._counterpart.name, operation, reason)
        raise CompanyRefusal(self.code, operation, error.code, meaning.kind, error.message)

    def _unsigned(self, operation: str, answer: Answer) -> LianbanError:
        """What a status alone says. The body is nobody's word, so it is not read."""
        if answer.status in _UNSIGNED_REFUSALS:
            company_code, kind = _UNSIGNED_REFUSALS[answer.status]
            known_code(self.code, company_code)
            return CompanyRefusal(self.code, operation, company_code, kind, "")
        if answer.status >= 500:
            return OutcomeUnknown(self._counterpart.name, operation, "server_error")
        return self._malformed(operation, "status")

    def _posting(self, operation: str, body: bytes, posting_id: str) -> PostingAnswer:
        answer = self._read(operation, lambda: read_posting(body, posting_id, self.code))
        if isinstance(answer, Refused) and answer.kind is FailureKind.UNKNOWN:
            raise OutcomeUnknown(self._counterpart.name, operation, "code_unknown")
        return answer

    def _read(self, operation: str, reader: Callable[[], T]) -> T:
        try:
            return reader()
        except (JsonRefused, ContentWrong) as error:
            raise self._malformed(operation, error.reason) from error

    def _malformed(self, operation: str, reason: str) -> MalformedAnswer:
        log.error("company.answer_malformed", company=self.code, operation=operation, reason=reason)
        return MalformedAnswer(self._counterpart.name, operation, reason)


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
