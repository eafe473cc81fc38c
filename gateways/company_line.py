"""A line to one company: requests signed, answers verified and bound to their request, refusals told from facts (docs/company-gateway.md §1, §2)."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core import clock
from core.errors import LianbanError
from core.log import get_logger
from core.outbound import Answer, Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from gateways.company_answers import ErrorBody, error_inside, known_code
from gateways.company_codes import COMPANY_CODES
from gateways.company_types import ContentWrong
from gateways.message_signatures import SignatureRefused, SigningKey, sign_request, verify_answer

log = get_logger(__name__)
T = TypeVar("T")

BILL_FILE_BYTES = 64 * 1024 * 1024
BILL_FILE_TIMEOUT = timedelta(minutes=5)

_ERROR_BYTES = 4096
"""No error is longer; a bill file is not searched for one."""
_SIGNED_STATUSES = frozenset({200, 404, 409, 422})
UNSIGNED_REFUSALS = {
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


class CompanyLine:
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
        if answer.status in UNSIGNED_REFUSALS:
            company_code, kind = UNSIGNED_REFUSALS[answer.status]
            known_code(self.code, company_code)
            return CompanyRefusal(self.code, operation, company_code, kind, "")
        if answer.status >= 500:
            return OutcomeUnknown(self._counterpart.name, operation, "server_error")
        return self._malformed(operation, "status")

    def _read(self, operation: str, reader: Callable[[], T]) -> T:
        try:
            return reader()
        except (JsonRefused, ContentWrong) as error:
            raise self._malformed(operation, error.reason) from error

    def _malformed(self, operation: str, reason: str) -> MalformedAnswer:
        log.error("company.answer_malformed", company=self.code, operation=operation, reason=reason)
        return MalformedAnswer(self._counterpart.name, operation, reason)
