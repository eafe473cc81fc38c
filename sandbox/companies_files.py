"""A company without an interface (docs/company-gateway.md §10): the place where its files lie, and what its staff make of ours.

Its own files are written when somebody fetches them, as they would have been written then. Ours are worked through
``ANSWER_AFTER_S`` after they came: the answer file is there from then on, and the same for ever.
"""

import base64
import hashlib
import json
import re
from datetime import date, datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from sandbox import companies_postings as postings
from sandbox import spoiling
from sandbox.clock import SHANGHAI
from sandbox.companies_book import Book
from sandbox.companies_codes import Refusal
from sandbox.companies_operations import FILE_READY, HISTORY_MONTHS, holder_notice, months_ago
from sandbox.context import ControlError
from sandbox.http_signatures import PrivateKey

ANSWER_AFTER_S: Final = 1800.0
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
SOURCE: Final = "company_files"
FAULTS: Final = (
    "missing",
    "truncated",
    "wrong_hash",
    "stranger",
    "other_day",
    "wrong_count",
    "wrong_total",
    "malformed",
    "twice",
)
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS company_put_file (
    company TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, came_at REAL NOT NULL, answer BLOB, PRIMARY KEY (company, name)
);
"""
_SIGNED: Final = b"lianban-company-file-1\n"
_NAME: Final = re.compile(r"(accounts|posted)-(\d{8})\.ndjson|(answers)-(\d{8}-\d{1,2})\.ndjson", re.ASCII)
_OURS: Final = re.compile(r"(postings-\d{8}-\d{1,2}|notice-[0-9a-f-]{36})\.ndjson", re.ASCII)


def get(book: Book, name: str, forger: PrivateKey) -> bytes | None:
    """The bytes under a name; None when nothing lies there. `forger`: whose key a file of the fault ``stranger`` is signed with."""
    kept = _row(book, name)
    if kept is not None:
        return bytes(kept["body"])
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if found[3]:
        return _spoilt(book, name, _answer(book, found[4]), forger)
    try:
        day = datetime.strptime(found[2], "%Y%m%d").replace(tzinfo=SHANGHAI).date()
    except ValueError:
        return None
    ready_at = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(days=1) + FILE_READY
    if book.clock.now() < ready_at:
        return None
    lines, total_fen = _accounts(book, day) if found[1] == "accounts" else _posted(book, day)
    return _spoilt(book, name, (found[1], day, lines, total_fen), forger)


def put(book: Book, name: str, body: bytes) -> int:
    """A file of ours is laid down; the HTTP status: 201, 412 when one lies there, 422 when it proves nothing, 404 for another name."""
    if _OURS.fullmatch(name) is None:
        return 404
    if _row(book, name) is not None:
        return 412
    try:
        lines = proven(book, name, body)
    except ValueError:
        return 422
    with book.state.transaction() as db:
        db.execute(
            "INSERT INTO company_put_file (company, name, body, came_at) VALUES (?, ?, ?, ?)",
            (book.company.code, name, body, book.clock.timestamp()),
        )
        if name.startswith("notice-"):
            for line in lines:
                holder_notice(book, line)
    return 201


def proven(book: Book, name: str, body: bytes) -> list[dict[str, Any]]:
    """The lines of a file of ours. Raises ``ValueError`` with the first thing that is wrong with it."""
    if not body.endswith(b"\n"):
        raise ValueError("unterminated")
    before, _, last = body[:-1].rpartition(b"\n")
    trailer = json.loads(last)["trailer"]
    digest = hashlib.sha256(before + b"\n").hexdigest()
    if trailer["sha256"] != digest or trailer["keyid"] not in book.company.lianban_keys:
        raise ValueError("hash or key")
    try:
        key = book.company.lianban_keys[trailer["keyid"]]
        key.verify(base64.b64decode(trailer["signature"], validate=True), _SIGNED + digest.encode())
    except InvalidSignature:
        raise ValueError("signature") from None
    header, *lines = (json.loads(line) for line in before.split(b"\n"))
    said = header["header"]
    if (said["company"], said["name"]) != (book.company.code, name) or trailer["count"] != len(lines):
        raise ValueError("header or count")
    if said["kind"] == "postings" and sum(line["total_fen"] for line in lines) != trailer["total_fen"]:
        raise ValueError("total")
    return lines


def choose(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with a file from now on; without a fault it is right. `forget`: ours were never laid down. Raises ControlError."""
    if body.get("forget") is True:
        book.state.run("DELETE FROM company_put_file WHERE company = ?", (book.company.code,))
        return {"forgotten": True}
    name, fault = body.get("name"), body.get("fault")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ControlError("name is that of an accounts, answers or posted file")
    spoiling.choose(book.state, SOURCE, book.company.code, name, {"fault": fault} if fault else {}, FAULTS)
    return {"name": name, "fault": fault}


def _accounts(book: Book, day: date) -> tuple[list[dict[str, Any]], int]:
    """Every account with its open bills and those of the last months, as they were at the end of `day`."""
    oldest = months_ago(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI), HISTORY_MONTHS)
    rows = book.state.all(
        "SELECT document FROM company_bill_day AS d WHERE company = ? AND day = ("
        "SELECT max(day) FROM company_bill_day WHERE company = d.company AND bill_no = d.bill_no AND day <= ?) ORDER BY bill_no",
        (book.company.code, day.isoformat()),
    )
    by_account: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        bill = json.loads(row["document"])
        if bill["status"] == "open" or bill["period"] >= oldest:
            by_account.setdefault(bill.pop("account_number"), []).append(bill)
    lines: list[dict[str, Any]] = []
    for row in book.state.all("SELECT * FROM company_account WHERE company = ? ORDER BY number", (book.company.code,)):
        shown = {name: row[name] for name in ("number", "status", "holder_masked", "address_masked", "address")}
        proof = {"value": row[book.company.proof_kind]}
        lines.append(
            shown | {"service": book.company.service, "proof": proof, "bills": by_account.get(row["number"], [])}
        )
    total_fen = sum(bill["payable_fen"] for line in lines for bill in line["bills"] if bill["status"] == "open")
    return lines, total_fen


def _posted(book: Book, day: date) -> tuple[list[dict[str, Any]], int]:
    rows = book.state.all(
        "SELECT * FROM company_posting WHERE company = ? AND status = 'posted' AND substr(posted_at, 1, 10) = ? ORDER BY serial",
        (book.company.code, day.isoformat()),
    )
    lines = [
        {
            "total_fen": json.loads(row["content"])["total_fen"],
            **{name: row[name] for name in ("posting_id", "serial", "posted_at")},
        }
        for row in rows
    ]
    return lines, sum(line["total_fen"] for line in lines)


def _answer(book: Book, which: str) -> tuple[str, date, list[dict[str, Any]], int] | None:
    """What became of each posting of one of our files, worked through when it is time to."""
    row = _row(book, f"postings-{which}.ndjson")
    if row is None or book.clock.timestamp() < row["came_at"] + ANSWER_AFTER_S:
        return None
    day = datetime.strptime(which[:8], "%Y%m%d").replace(tzinfo=SHANGHAI).date()
    if row["answer"] is None:
        lines = [_worked(book, line) for line in proven(book, row["name"], bytes(row["body"]))]
        book.state.run(
            "UPDATE company_put_file SET answer = ? WHERE company = ? AND name = ?",
            (json.dumps(lines).encode(), book.company.code, row["name"]),
        )
    else:
        lines = json.loads(row["answer"])
    return "answers", day, lines, sum(line["total_fen"] for line in lines if line["status"] == "posted")


def _worked(book: Book, line: dict[str, Any]) -> dict[str, Any]:
    shown = {"posting_id": line["posting_id"], "total_fen": line["total_fen"]}
    try:
        said = postings.post_filed(book, line)
    except Refusal as refusal:
        return shown | {"status": "refused", "code": refusal.code}
    if said["status"] != "posted":
        return shown | {"status": "refused", "code": said["code"]}
    return shown | {name: said[name] for name in ("status", "serial", "posted_at")}


def _spoilt(
    book: Book, name: str, content: tuple[str, date, list[dict[str, Any]], int] | None, forger: PrivateKey
) -> bytes | None:
    if content is None:
        return None
    kind, day, lines, total_fen = content
    fault = spoiling.chosen(book.state, SOURCE, book.company.code, name).get("fault")
    if fault == "missing":
        return None
    said_day = day - timedelta(days=1) if fault == "other_day" else day
    header = {"header": {"kind": kind, "company": book.company.code, "name": name, "day": said_day.isoformat()}}
    if fault == "twice":
        lines = [*lines, *lines[:1]]
        total_fen += _amount(lines[0]) if lines else 0
    if fault == "malformed":
        lines = [
            {name: value for name, value in line.items() if name not in ("number", "posting_id")} for line in lines
        ]
    before = _line(header) + b"".join(_line(line) for line in lines)
    digest = hashlib.sha256(before).hexdigest()
    key = forger if fault == "stranger" else book.signing_key()
    trailer = {
        "count": len(lines) + (1 if fault == "wrong_count" else 0),
        "total_fen": total_fen + (1 if fault == "wrong_total" else 0),
        "sha256": digest,
        "keyid": book.signing_key().keyid,
        "signature": base64.b64encode(key.key.sign(_SIGNED + digest.encode())).decode(),
    }
    body = before + _line({"trailer": trailer})
    if fault == "truncated":
        return body[: len(before)]
    if fault == "wrong_hash":
        return body.replace(b":", b": ", 1)
    return body


def _amount(line: dict[str, Any]) -> int:
    if "bills" in line:
        return sum(bill["payable_fen"] for bill in line["bills"] if bill["status"] == "open")
    return line["total_fen"] if line.get("status", "posted") == "posted" else 0


def _row(book: Book, name: str) -> Any:
    return book.state.one("SELECT * FROM company_put_file WHERE company = ? AND name = ?", (book.company.code, name))


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
