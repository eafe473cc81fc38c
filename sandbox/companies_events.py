"""What a company sends to the platform: signed events until they are taken (§9), and requests for QR codes."""

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox import companies_crews as crews
from sandbox import companies_materials as materials
from sandbox import companies_postings as postings
from sandbox import http_signatures as signatures
from sandbox.companies_book import Book
from sandbox.context import Context
from sandbox.http_signatures import PrivateKey, Request, Response, SignatureError
from sandbox.replies import encode

RETRIES_S: Final = (15.0, 60.0, 300.0, 1800.0, *(3600.0 for _ in range(24)))
"""Waits between two sendings of an event that was not answered with 204; after the last one it is given up."""
LOOK_S: Final = 0.25
"""The clock may travel while we wait, so what is due is looked up this often as long as anything is pending."""

log = logging.getLogger("sandbox")


class Outbox:
    """The events of all companies: rows first, then sent by one background task; pending ones survive a kill -9."""

    def __init__(self, context: Context, books: Iterable[Book]) -> None:
        self._context = context
        self._books = {book.company.code: book for book in books}
        self._wake = asyncio.Event()
        self._on_their_way: set[int] = set()

    def add(self, book: Book, kind: str, data: Mapping[str, Any], event_id: str | None = None) -> str:
        """Write an event; it leaves when the surrounding transaction is committed. Answers its id."""
        event_id = event_id or secrets.token_hex(16)
        body = {"event_id": event_id, "type": kind, "at": book.clock.iso(), "data": dict(data)}
        book.state.run(
            "INSERT INTO company_event (company, event_id, body, status, attempts) VALUES (?, ?, ?, 'pending', 0)",
            (book.company.code, event_id, encode(body).decode()),
        )
        self._wake.set()
        return event_id

    def wake(self) -> None:
        """Look for due work now."""
        self._wake.set()

    def start(self) -> None:
        """Take up what is pending; for :meth:`Context.on_start`."""
        self._context.spawn(self._run())

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                is_idle = self._look()
            except Exception:
                log.exception("the companies' outbox failed; it looks again")
                is_idle = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if is_idle else LOOK_S)

    def _look(self) -> bool:
        """Settle postings that are due, work orders, and start sending events that are due; True when nothing is left to wait for."""
        is_idle = True
        for book in self._books.values():
            if postings.has_processing(book):
                is_idle = False
                with book.state.transaction():
                    for answered in postings.settle_due(book):
                        self.add(book, "posting.answered", answered)
            if crews.is_at_work(book):
                is_idle = False
                for order_id in materials.due(book) if crews.mode(book)["materials"] else ():
                    self._context.spawn(materials.collect(book, order_id, self.fetcher(book)))
                with book.state.transaction():
                    for kind, data in crews.work(book):
                        self.add(book, kind, data)
            pace = float(book.setting("pace", "1"))
            query = "SELECT * FROM company_event WHERE company = ? AND status = 'pending' ORDER BY id"
            for row in map(dict, book.state.all(query, (book.company.code,))):
                is_idle = False
                if row["id"] not in self._on_their_way and due_s(row, pace) <= book.clock.timestamp():
                    self._on_their_way.add(row["id"])
                    self._context.spawn(self._send(book, row))
        return is_idle

    def fetcher(self, book: Book) -> materials.Fetch:
        """The company's signed GETs."""

        async def fetch(path: str) -> tuple[int, bytes, str]:
            response = await get_signed(book, self._context.http, path)
            return response.status_code, response.content, response.headers.get("content-type", "")

        return fetch

    async def _send(self, book: Book, row: dict[str, Any]) -> None:
        last_answer = ""

        async def send(forge: bool) -> bool:
            nonlocal last_answer
            if not self._is_pending(row):
                return True  # a reset has forgotten it meanwhile
            try:
                sent = post_signed(book, self._context.http, book.company.callback_url, row["body"].encode(), forge)
                response, _ = await sent
                last_answer = str(response.status_code)
            except httpx.HTTPError as error:
                last_answer = type(error).__name__
            return last_answer == "204"

        try:
            accepted = await self._context.deliver(f"company:{book.company.code}", "event", send)
            self._note(book, row, accepted, last_answer)
        finally:
            self._on_their_way.discard(row["id"])
            self._wake.set()

    def _note(self, book: Book, row: dict[str, Any], accepted: bool | None, last_answer: str) -> None:
        attempts = row["attempts"] + 1
        status = "pending" if attempts <= len(RETRIES_S) else "given_up"
        if accepted is not False:
            status = "silenced" if accepted is None else "delivered"
        book.state.run(
            "UPDATE company_event SET status = ?, attempts = ?, tried_at = ?, last_answer = ? "
            "WHERE id = ? AND status = 'pending'",
            (status, attempts, book.clock.timestamp(), last_answer, row["id"]),
        )

    def _is_pending(self, row: dict[str, Any]) -> bool:
        query = "SELECT 1 FROM company_event WHERE id = ? AND status = 'pending'"
        return self._context.state.one(query, (row["id"],)) is not None


async def post_signed(
    book: Book, http: httpx.AsyncClient, url: str, body: bytes, forge: bool = False
) -> tuple[httpx.Response, Request]:
    """POST a body signed as the company. Answers the response and the signed request it is bound to.

    Raises ``httpx.HTTPError``. `forge` signs with a stranger's key under the company's name.
    """
    address = httpx.URL(url)
    request = Request(
        "POST",
        address.netloc.decode("ascii"),
        address.raw_path.decode("ascii"),
        [("Content-Type", "application/json")],
        body,
        address.scheme,
    )
    key = forged(book.signing_key()) if forge else book.signing_key()
    created = int(book.clock.timestamp())
    added = signatures.sign_request(request, key, created, signatures.new_nonce())
    request = replace(request, fields=[*request.fields, *added])
    return await http.post(address, content=body, headers=list(request.fields)), request


async def ask_platform(book: Book, http: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Call an operation of §9. Answers ``{status, answer, signature_error}``; a call that fails has status 0."""
    try:
        response, request = await post_signed(book, http, book.company.platform_url + path, encode(body))
    except httpx.HTTPError as error:
        return {"status": 0, "answer": type(error).__name__, "signature_error": None}
    fields = [(name, value) for name, value in response.headers.multi_items()]
    signature_error = None
    if response.status_code in (200, 404, 409, 422):
        try:
            signed = Response(response.status_code, fields, response.content)
            signatures.verify_response(signed, request, book.company.lianban_keys, book.clock.timestamp())
        except SignatureError as error:
            signature_error = str(error)
    try:
        answer = json.loads(response.content) if response.content else None
    except ValueError:
        answer = response.text
    return {"status": response.status_code, "answer": answer, "signature_error": signature_error}


async def get_signed(book: Book, http: httpx.AsyncClient, path: str) -> httpx.Response:
    """A signed GET at the platform whose answer has been proven.

    Raises ``httpx.HTTPError``; :class:`SignatureError` when a signed status was not signed for this request.
    """
    address = httpx.URL(book.company.platform_url + path)
    request = Request("GET", address.netloc.decode("ascii"), address.raw_path.decode("ascii"), [], b"", address.scheme)
    added = signatures.sign_request(request, book.signing_key(), int(book.clock.timestamp()), signatures.new_nonce())
    request = replace(request, fields=list(added))
    response = await http.get(address, headers=list(added))
    if response.status_code in (200, 404, 409, 422):
        fields = [(name, value) for name, value in response.headers.multi_items()]
        signed = Response(response.status_code, fields, response.content)
        signatures.verify_response(signed, request, book.company.lianban_keys, book.clock.timestamp())
    return response


def due_s(row: Mapping[str, Any], pace: float) -> float:
    """When an event is to be sent (again), in epoch seconds; a new one at once."""
    if row["attempts"] == 0 or row["tried_at"] is None:
        return 0.0
    return row["tried_at"] + RETRIES_S[row["attempts"] - 1] / pace


def forged(key: PrivateKey) -> PrivateKey:
    """A stranger who uses the name of `key`."""
    return PrivateKey(key.keyid, Ed25519PrivateKey.generate())
