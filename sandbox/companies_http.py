"""The companies' port: every request is proven before it is read, every answer is signed and bound to its request."""

import asyncio
import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sanic import HTTPResponse
from sanic import Request as HTTPRequest

from sandbox import companies_files as files
from sandbox import companies_operations as operations
from sandbox import companies_orders as orders
from sandbox import companies_posting_files as posting_files
from sandbox import companies_postings as postings
from sandbox import http_signatures as signatures
from sandbox.companies_book import Book
from sandbox.companies_codes import Refusal, read_object, wrong
from sandbox.companies_events import forged
from sandbox.context import Context
from sandbox.http_signatures import Request, Response, SignatureError
from sandbox.replies import Reply, encode

MAX_BODY_BYTES: Final = 65_536
SIGNED_STATUSES: Final = (200, 404, 409, 422)
FAULT_CODES: Final = {400: "EQ0001", 401: "EQ0001", 403: "EQ0002", 404: "EQ0004", 409: "EP0005", 422: "EQ0008",
                      429: "EQ0014", 504: "EQ0010"}  # fmt: skip
"""The code that fits the status of a planned fault ``error``; EQ0011 for any other."""
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

log = logging.getLogger("sandbox")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the protocol.

    `run(book, argument)` gets the JSON object of a POST, or the id in the path of a GET. `call_id` names the member
    calls are counted by. `once`: it has no id of its own, so a nonce it has seen is refused.
    """

    name: str
    method: str
    path: str
    run: Callable[[Book, Any], dict[str, Any] | bytes]
    call_id: str = ""
    content_type: str = JSON
    once: bool = False


_LEAVES_WORK: Final = ("processing", "received", "taken")
_ID: Final = "([0-9A-Za-z_-]{1,64})"
OPERATIONS: Final = (
    Operation("find_account", "POST", "accounts/find", operations.find_account, "account_number", once=True),
    Operation("query_bills", "POST", "bills/query", operations.query_bills, "account_number", once=True),
    Operation("quote_top_up", "POST", "top-ups/quotes", operations.quote_top_up, "account_number", once=True),
    Operation("post_payment", "POST", "postings", postings.post_payment, "posting_id"),
    Operation("query_posting", "GET", f"postings/{_ID}", postings.query_posting),
    Operation("bill_file", "GET", f"bill-files/{_ID}", operations.bill_file, content_type=NDJSON),
    Operation("posting_file", "GET", f"posting-files/{_ID}", posting_files.posting_file, content_type=NDJSON),
    Operation("holder_notice", "POST", "holder-notices", operations.holder_notice, "notice_id"),
    Operation("send_order", "POST", "service-orders", orders.send_order, "order_id"),
    Operation("query_order", "GET", f"service-orders/{_ID}", orders.query_order),
    Operation("withdraw_order", "POST", "service-orders/withdrawals", orders.withdraw_order, "order_id"),
    Operation("order_notice", "POST", "service-orders/notices", orders.order_notice, "notice_id"),
)


class Door:
    """Takes the requests of all companies; `later` is called when an answer left something to do."""

    def __init__(self, context: Context, books: Mapping[str, Book], later: Callable[[], None]) -> None:
        self._context = context
        self._books = books
        self._later = later

    async def handle(self, http_request: HTTPRequest) -> HTTPResponse:
        """Answer one request to ``/{company}/v1/{operation}``."""
        request = _as_signed(http_request)
        code, _, rest = request.target.partition("?")[0].removeprefix("/").partition("/v1/")
        book = self._books.get(code)
        if book is None:
            # An unknown company knows no key, so the signature cannot be right.
            return _unsigned(Refusal("EQ0001", "签名错误：unknown company", 401))
        if book.company.files_only:
            return await self._file(http_request, book, request, rest)
        try:
            operation, argument, call_id = self._admit(book, request, rest)
        except Refusal as refusal:
            self._context.faults.count(f"company:{code}", "refused", f"{refusal.status} {refusal.message}")
            return self._error(book, request, refusal, forge=False)

        async def work(forge: bool) -> HTTPResponse:
            if (latency_s := book.latency_s())[1]:
                await asyncio.sleep(random.uniform(*latency_s))  # noqa: S311  no secret
            return self._work(book, request, operation, argument, forge)

        def failed(status: int) -> HTTPResponse:
            return self._error(book, request, Refusal(FAULT_CODES.get(status, "EQ0011"), status=status), forge=False)

        return await self._context.serve(http_request, f"company:{code}", operation.name, call_id, work, failed)

    async def _file(self, http_request: HTTPRequest, book: Book, request: Request, rest: str) -> HTTPResponse:
        """The place where a company's files lie: whoever we are must prove it, the files prove themselves."""
        code, name = book.company.code, rest.removeprefix("files/")
        try:
            signatures.verify_request(request, book.company.lianban_keys, book.clock.timestamp())
        except SignatureError as error:
            self._context.faults.count(f"company:{code}", "refused", f"401 {error}")
            return _unsigned(Refusal("EQ0001", f"签名错误：{error}", 401))
        if request.method not in ("GET", "PUT") or name == rest:
            return Reply(b"", status=404)

        async def work(forge: bool) -> HTTPResponse:
            if request.method == "PUT":
                return Reply(b"", status=files.put(book, name, request.body))
            body = files.get(book, name, forged(book.signing_key()))
            return Reply(b"", status=404) if body is None else Reply(body, content_type=NDJSON)

        operation = "file_put" if request.method == "PUT" else "file_get"
        return await self._context.serve(
            http_request, f"company:{code}", operation, name, work, lambda status: Reply(b"", status=status)
        )

    def _admit(self, book: Book, request: Request, rest: str) -> tuple[Operation, Any, str]:
        if "?" in request.target:
            raise wrong("no operation has a query string")
        if len(request.body) > MAX_BODY_BYTES:
            raise wrong("body larger than 64 kB")
        try:
            proof = signatures.verify_request(request, book.company.lianban_keys, book.clock.timestamp())
        except SignatureError as error:
            raise Refusal("EQ0001", f"签名错误：{error}", 401) from None
        for operation in OPERATIONS:
            found = re.fullmatch(operation.path, rest, re.ASCII)
            if found is None or operation.method != request.method:
                continue
            if operation.once and not book.use_nonce(proof.keyid, proof.nonce or ""):
                raise Refusal("EQ0001", "签名错误：the nonce was seen before", 401)
            if operation.method == "GET":
                if signatures.field(request.fields, "content-type") is not None:
                    raise wrong("a GET has no Content-Type")
                return operation, found[1], found[1]
            if signatures.field(request.fields, "content-type") != JSON:
                raise wrong("Content-Type")
            body = read_object(request.body)
            call_id = body.get(operation.call_id)
            return operation, body, call_id if isinstance(call_id, str) else ""
        raise wrong("unknown operation")

    def _work(self, book: Book, request: Request, operation: Operation, argument: Any, forge: bool) -> HTTPResponse:
        try:
            answer = operation.run(book, argument)
        except Refusal as refusal:
            return self._error(book, request, refusal, forge)
        except Exception:
            log.exception("%s of %s failed", operation.name, book.company.code)
            return self._error(book, request, Refusal("EQ0011"), forge)
        if isinstance(answer, dict) and answer.get("status") in _LEAVES_WORK:
            self._later()
        body = answer if isinstance(answer, bytes) else encode(answer)
        return self._signed(book, request, 200, body, operation.content_type, forge)

    def _error(self, book: Book, request: Request, refusal: Refusal, forge: bool) -> HTTPResponse:
        if book.company.errors_inside and refusal.status != 401:
            return self._signed(book, request, 200, encode(refusal.body()), JSON, forge)
        if refusal.status not in SIGNED_STATUSES:
            return _unsigned(refusal)
        return self._signed(book, request, refusal.status, encode(refusal.body()), JSON, forge)

    def _signed(
        self, book: Book, request: Request, status: int, body: bytes, content_type: str, forge: bool
    ) -> HTTPResponse:
        key = forged(book.signing_key()) if forge else book.signing_key()
        response = Response(status, [("Content-Type", content_type)], body)
        added = signatures.sign_response(response, request, key, int(book.clock.timestamp()))
        return Reply(body, status=status, headers=dict(added), content_type=content_type)


def _as_signed(request: HTTPRequest) -> Request:
    fields = [(name, value) for name, value in request.headers.items()]
    host = signatures.field(fields, "host") or ""
    return Request(request.method, host, request.raw_url.decode("latin-1"), fields, request.body, "http")


def _unsigned(refusal: Refusal) -> HTTPResponse:
    return Reply(encode(refusal.body()), status=refusal.status, content_type=JSON)
