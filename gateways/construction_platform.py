"""The construction-approval platform (工改平台), docs/platform-push.md: what it pushes, what it is told, what it lists.

Signatures and errors are those of docs/company-gateway.md §1. What it says becomes a typed value, a :class:`PlatformRefusal`,
:class:`core.outbound.NotSent`, or :class:`core.outbound.OutcomeUnknown`; an answer that it has not signed says nothing.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from core import clock
from core.errors import LianbanError
from core.log import get_logger
from core.outbound import Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode, parse
from gateways.company_types import Instant
from gateways.message_signatures import SignatureRefused, SigningKey, sign_request, verify_answer

log = get_logger(__name__)
T = TypeVar("T")

PushNumber = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]
_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}")
_SIGNED_STATUSES = frozenset({200, 404, 409, 422})
_MOST_LISTED = 10_000
_MOST_BYTES = 4 * 1024 * 1024


class PushUnreadable(LianbanError):
    """A push that is the platform's and cannot be read. `reason`: ``not_json``, ``schema_unknown``, ``fields_wrong``; `where` no value."""

    code = "push_unreadable"

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where


class PlatformRefusal(LianbanError):
    """The platform has refused what we told it; `word` is its own, `kind` whose fault it is."""

    code = "platform_refused"

    def __init__(self, operation: str, word: str, kind: FailureKind) -> None:
        super().__init__(f"{operation}: {word}", word=word)
        self.word = word
        self.kind = kind


class Authorization(msgspec.Struct, frozen=True):
    """What the enterprise has agreed to before the housing bureau: under which notice, and which companies get its data."""

    given_at: Instant
    notice_version: Annotated[str, Meta(min_length=1, max_length=40)]
    companies: Annotated[
        tuple[Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,29}\Z")], ...], Meta(min_length=1, max_length=20)
    ]


class ProjectPush(msgspec.Struct, frozen=True, kw_only=True):
    """Schema ``1``: a project with the form the bureau has filled in for it.

    `answers` are to the form of this `form_version` (``GET /v1/forms/application``); `mains`: the services whose main is laid already.
    """

    push_id: PushNumber
    schema: str
    pushed_at: Instant
    form_version: Annotated[int, Meta(ge=1, le=999)]
    answers: dict[str, Any]
    authorization: Authorization
    mains: Annotated[tuple[str, ...], Meta(max_length=4)] = ()


SCHEMAS: Mapping[str, type[ProjectPush]] = {"1": ProjectPush}
"""Version of the schema → its shape. One that is not here waits for staff."""


class StatusReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of a push, or of one of its orders, with the official code; codes, numbers and times only."""

    report_id: str
    push_id: str
    number: int
    code: int
    name: str
    node: str
    at: datetime
    application_number: str | None = None
    order_number: str | None = None
    company: str | None = None
    service: str | None = None


class Listed(msgspec.Struct, frozen=True):
    """A push as the platform's own list of a day has it. `sha256` is of the bytes it has sent."""

    push_id: PushNumber
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _List(msgspec.Struct, frozen=True):
    day: date
    pushes: Annotated[tuple[Listed, ...], Meta(max_length=_MOST_LISTED)]


class _Taken(msgspec.Struct, frozen=True):
    report_id: str
    status: str


class _Refused(msgspec.Struct, frozen=True):
    code: Annotated[str, Meta(pattern=r"\A[a-z_]{1,40}\Z")]


def push_number(content: bytes) -> str:
    """The platform's own id of a push; of one that names none, a number made of its bytes: the same bytes are the same push."""
    try:
        value = parse(content)
    except JsonRefused:
        value = None
    number = value.get("push_id") if isinstance(value, dict) else None
    if isinstance(number, str) and _NUMBER.fullmatch(number):
        return number
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pushed_on(content: bytes) -> date | None:
    """The day the platform says it has pushed; None where it does not."""
    try:
        return msgspec.convert(parse(content)["pushed_at"], Instant).astimezone(clock.SHANGHAI).date()
    except (JsonRefused, msgspec.ValidationError, KeyError, TypeError, OverflowError):
        return None


def read_push(content: bytes) -> ProjectPush:
    """Raises :class:`PushUnreadable`."""
    try:
        value = parse(content)
    except JsonRefused as refused:
        raise PushUnreadable("not_json", refused.reason) from refused
    if not isinstance(value, dict):
        raise PushUnreadable("not_json", "not_an_object")
    schema = value.get("schema")
    shape = SCHEMAS.get(schema) if isinstance(schema, str) else None
    if shape is None:
        raise PushUnreadable("schema_unknown", "/schema")
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        # msgspec names the expected type and the path, never the value.
        raise PushUnreadable("fields_wrong", str(error)) from None
    except RecursionError:
        raise PushUnreadable("fields_wrong", "too_deep") from None


class ConstructionPlatform:
    """The platform as we call it. `keys` are its live public keys by key id."""

    def __init__(
        self, counterpart: Counterpart, authority: str, signing_key: SigningKey, keys: Mapping[str, Ed25519PublicKey]
    ) -> None:
        self._counterpart = counterpart
        self._authority = authority
        self._signing_key = signing_key
        self._keys = dict(keys)

    async def report(self, report: StatusReport) -> None:
        """Returns when the platform has taken it; the same id again changes nothing there.

        Raises:
            PlatformRefusal, NotSent, OutcomeUnknown.
        """
        answer = await self._call("POST", "status_report", "/status-reports", msgspec.json.encode(report))
        taken = self._read("status_report", answer, _Taken)
        if (taken.report_id, taken.status) != (report.report_id, "taken"):
            raise MalformedAnswer(self._counterpart.name, "status_report", "other_report")

    async def pushed(self, day: date) -> tuple[Listed, ...]:
        """What the platform has pushed on a day, by its own book.

        Raises:
            PlatformRefusal, NotSent, OutcomeUnknown.
        """
        found = self._read("pushed_list", await self._call("GET", "pushed_list", f"/pushes/{day.isoformat()}"), _List)
        if found.day != day:
            raise MalformedAnswer(self._counterpart.name, "pushed_list", "other_day")
        return found.pushes

    async def _call(self, method: str, operation: str, path: str, body: bytes = b"") -> bytes:
        full_path = self._counterpart.base_path + path
        headers = sign_request(method, self._authority, full_path, body, self._signing_key, clock.now())
        answer = await self._counterpart.request(
            method,
            path,
            operation=operation,
            headers={**headers, "Host": self._authority, "Accept": "application/json"},
            content=body,
            idempotent=True,
            max_answer_bytes=_MOST_BYTES,
        )
        if answer.status not in _SIGNED_STATUSES:
            if answer.status >= 500:
                raise OutcomeUnknown(self._counterpart.name, operation, "server_error")
            kind = FailureKind.TEMPORARY if answer.status == 429 else FailureKind.TECHNICAL
            raise PlatformRefusal(operation, f"status_{answer.status}", kind)
        try:
            verify_answer(answer.status, answer.headers, answer.content, headers, self._keys, clock.now())
        except SignatureRefused as refused:
            log.error("construction_platform.answer_not_signed", operation=operation, reason=refused.reason)
            raise MalformedAnswer(self._counterpart.name, operation, f"signature.{refused.reason}") from refused
        if answer.status != 200:
            raise PlatformRefusal(
                operation, self._read(operation, answer.content, _Refused).code, FailureKind.PERMANENT
            )
        return answer.content

    def _read(self, operation: str, content: bytes, shape: type[T]) -> T:
        try:
            return decode(content, shape)
        except JsonRefused as refused:
            raise MalformedAnswer(self._counterpart.name, operation, refused.reason) from refused
