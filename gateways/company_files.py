"""Files of a company without an interface (docs/company-gateway.md §10): their envelope, their lines, and the place where they lie.

A file proves itself: its last line carries the hash of everything before it and the company's signature of that hash, so that
nothing depends on who has carried it. What is not exactly so is refused whole, with a fixed word.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from core import clock
from core.errors import LianbanError
from core.outbound import Answer, Counterpart, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from gateways.company_types import (
    Account,
    Bill,
    BillStatus,
    ContentWrong,
    Fen,
    Instant,
    PostingId,
    Serial,
    check_bill,
    check_no_twins,
)
from gateways.message_signatures import SigningKey, sign_request
from gateways.posting_files import FilePosting

T = TypeVar("T", bound=msgspec.Struct)
Kind = Literal["accounts", "posted", "postings", "answers", "notice"]

FILE_BYTES = 64 * 1024 * 1024
FILE_TIMEOUT = timedelta(minutes=5)
NDJSON = "application/x-ndjson"
_SIGNED = b"lianban-company-file-1\n"
_NAME = re.compile(r"[a-z0-9-]{1,90}\.ndjson")


class FileRefused(LianbanError):
    """A file that proves nothing, whole: nothing in it is used. `reason` is a fixed word."""

    code = "company_file_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NameTaken(LianbanError):
    """Another file lies there under our name: nobody may overwrite it."""

    code = "company_file_name_taken"


class FiledProof(msgspec.Struct, frozen=True):
    """What the holder may prove himself by, of the kind named in the city pack."""

    value: Annotated[str, Meta(min_length=1, max_length=60)]


class FiledAccount(Account, frozen=True, kw_only=True):
    """An account as it was at the end of the file's day, with every bill that is open and those of the last 24 months."""

    proof: FiledProof
    bills: Annotated[tuple[Bill, ...], Meta(max_length=500)] = ()


class FiledAnswer(msgspec.Struct, frozen=True):
    """What became of one posting: ``posted`` with a serial and a time, or ``refused`` with a code of §2 that is permanent."""

    posting_id: PostingId
    total_fen: Fen
    status: Literal["posted", "refused"]
    serial: Serial | None = None
    posted_at: Instant | None = None
    code: Annotated[str, Meta(pattern=r"\A[0-9A-Z_]{1,32}\Z")] | None = None


class Envelope(msgspec.Struct, frozen=True):
    """What a file says of itself in its first line."""

    kind: Kind
    company: str
    name: str
    day: date


class File(msgspec.Struct, frozen=True):
    """A file whose hash, signature, count and header are right; `lines` are not read yet. `total_fen` is what its trailer says."""

    envelope: Envelope
    lines: tuple[bytes, ...]
    total_fen: int
    sha256: str


class _HeaderLine(msgspec.Struct, frozen=True):
    header: Envelope


class _Trailer(msgspec.Struct, frozen=True):
    count: Annotated[int, Meta(ge=0)]
    total_fen: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    keyid: str
    signature: str


class _TrailerLine(msgspec.Struct, frozen=True):
    trailer: _Trailer


def name_of(kind: Kind, day: date, number: int | None = None) -> str:
    """The name under which a file of a day lies.

    >>> name_of("answers", date(2026, 11, 23), 2)
    'answers-20261123-2.ndjson'
    """
    return f"{kind}-{day:%Y%m%d}{'' if number is None else f'-{number}'}.ndjson"


def write_file(envelope: Envelope, lines: Sequence[Any], total_fen: int, key: SigningKey) -> bytes:
    """The bytes of a file; the same for the same arguments, always."""
    head = _line({"header": msgspec.to_builtins(envelope)})
    body = head + b"".join(_line(msgspec.to_builtins(line)) for line in lines)
    digest = hashlib.sha256(body).hexdigest()
    signature = base64.b64encode(key.key.sign(_SIGNED + digest.encode())).decode()
    trailer = {
        "count": len(lines),
        "total_fen": total_fen,
        "sha256": digest,
        "keyid": key.keyid,
        "signature": signature,
    }
    return body + _line({"trailer": trailer})


def open_file(body: bytes, wanted: Envelope, keys: Mapping[str, Ed25519PublicKey]) -> File:
    """Prove a file. May hold 64 MB: call it in a thread.

    Raises:
        FileRefused: ``unterminated`` (cut short), ``trailer``, ``hash``, ``keyid``, ``signature``, ``header`` (it is another file), ``count``.
    """
    head, newline, last = body.removesuffix(b"\n").rpartition(b"\n")
    if not newline or not body.endswith(b"\n"):
        raise FileRefused("unterminated")
    trailer = _read(last, _TrailerLine, "trailer").trailer
    digest = hashlib.sha256(head + b"\n").hexdigest()
    if digest != trailer.sha256:
        raise FileRefused("hash")
    key = keys.get(trailer.keyid)
    if key is None:
        raise FileRefused("keyid")
    try:
        key.verify(base64.b64decode(trailer.signature, validate=True), _SIGNED + digest.encode())
    except (InvalidSignature, binascii.Error):
        raise FileRefused("signature") from None
    first, *lines = head.split(b"\n")
    if _read(first, _HeaderLine, "header").header != wanted:
        raise FileRefused("header")
    if len(lines) != trailer.count:
        raise FileRefused("count")
    return File(wanted, tuple(lines), trailer.total_fen, digest)


def accounts_in(file: File, service: str) -> tuple[FiledAccount, ...]:
    """Every account of an account file.

    Raises:
        FileRefused: ``line``, ``other_service``, ``account_twice``, ``bill_twice``, ``payable_sum``, ``lines_sum``, ``total``.
    """
    accounts = _lines(file, FiledAccount)
    try:
        check_no_twins((account.number for account in accounts), "account_twice")
        check_no_twins((bill.bill_no for account in accounts for bill in account.bills), "bill_twice")
        for account in accounts:
            for bill in account.bills:
                check_bill(bill)
    except ContentWrong as wrong:
        raise FileRefused(wrong.reason) from None
    if any(account.service != service for account in accounts):
        raise FileRefused("other_service")
    _check_total(file, (owed_fen(account.bills) for account in accounts))
    return accounts


def answers_in(file: File, asked: Mapping[str, int]) -> tuple[FiledAnswer, ...]:
    """The answers to one of our files; `asked`: its postings' ids and totals. Each is answered, once, at its total.

    Raises:
        FileRefused: ``line``, ``posting_twice``, ``other_postings``, ``amount``, ``contradictory``, ``total``.
    """
    answers = _lines(file, FiledAnswer)
    try:
        check_no_twins((answer.posting_id for answer in answers), "posting_twice")
    except ContentWrong as wrong:
        raise FileRefused(wrong.reason) from None
    if {answer.posting_id for answer in answers} != set(asked):
        raise FileRefused("other_postings")
    if any(answer.total_fen != asked[answer.posting_id] for answer in answers):
        raise FileRefused("amount")
    for answer in answers:
        recorded = (answer.serial is not None, answer.posted_at is not None, answer.code is None)
        if recorded != ((True,) * 3 if answer.status == "posted" else (False,) * 3):
            raise FileRefused("contradictory")
    _check_total(file, (answer.total_fen for answer in answers if answer.status == "posted"))
    return answers


def postings_in(file: File) -> tuple[FilePosting, ...]:
    """What the company's own books have as paid through us on the file's day (§7a).

    Raises:
        FileRefused: ``line``, ``total``.
    """
    postings = _lines(file, FilePosting)
    _check_total(file, (posting.total_fen for posting in postings))
    return postings


def owed_fen(bills: Iterable[Bill]) -> int:
    """What is open of these bills."""
    return sum(bill.payable_fen for bill in bills if bill.status is BillStatus.OPEN)


class CompanyFiles:
    """The place where one company's files lie: they are fetched and put by name, and never overwritten."""

    def __init__(
        self, code: str, counterpart: Counterpart, authority: str, key: SigningKey, keys: Mapping[str, Ed25519PublicKey]
    ) -> None:
        self.code = code
        self.key = key
        self.keys = dict(keys)
        self._counterpart = counterpart
        self._authority = authority

    def envelope(self, kind: Kind, day: date, number: int | None = None) -> Envelope:
        """What a file of this kind and day says of itself."""
        return Envelope(kind, self.code, name_of(kind, day, number), day)

    async def fetch(self, name: str) -> bytes | None:
        """The bytes under a name; None when nothing lies there (yet).

        Raises:
            OutboundError: the place does not answer.
        """
        answer = await self._call("GET", name)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OutcomeUnknown(self._counterpart.name, "file_fetch", "status")
        return answer.content

    async def put(self, name: str, body: bytes) -> None:
        """Lay a file down whole; doing it again with the same bytes is the same.

        Raises:
            NameTaken: other bytes lie there. OutboundError: it may or may not lie there now: put it again.
        """
        answer = await self._call("PUT", name, body)
        if answer.status == 412:
            if await self.fetch(name) != body:
                raise NameTaken(name)
            return
        if answer.status not in (200, 201, 204):
            raise OutcomeUnknown(self._counterpart.name, "file_put", "status")

    async def _call(self, method: str, name: str, body: bytes = b"") -> Answer:
        if not _NAME.fullmatch(name):
            raise ValueError("a file's name is of [a-z0-9-] and ends with .ndjson")
        path = f"/files/{name}"
        full_path = self._counterpart.base_path + path
        headers = sign_request(method, self._authority, full_path, body, self.key, clock.now(), content_type=NDJSON)
        only_new = {"If-None-Match": "*"} if body else {}
        return await self._counterpart.request(
            method,
            path,
            operation="file_put" if body else "file_fetch",
            headers={**headers, **only_new, "Host": self._authority},
            content=body,
            idempotent=True,
            timeout=FILE_TIMEOUT,
            max_answer_bytes=FILE_BYTES,
        )


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _lines(file: File, type_: type[T]) -> tuple[T, ...]:
    return tuple(_read(line, type_, "line") for line in file.lines)


def _read(line: bytes, type_: type[T], reason: str) -> T:
    try:
        return decode(line, type_)
    except JsonRefused:
        raise FileRefused(reason) from None


def _check_total(file: File, amounts: Iterable[int]) -> None:
    if sum(amounts) != file.total_fen:
        raise FileRefused("total")
