"""A company's posting file of a day: everything it has recorded as paid through us, with its trailer."""

import json
from datetime import datetime, timedelta

from sandbox import companies_codes as codes
from sandbox import spoiling
from sandbox.clock import SHANGHAI
from sandbox.companies_book import Book
from sandbox.companies_codes import Refusal
from sandbox.companies_operations import FILE_READY

SOURCE = "company_postings"
FAULTS = ("not_ready", "wrong_trailer", "truncated")


def posting_file(book: Book, date_text: str) -> bytes:
    """§7a, as NDJSON with its trailer. Raises :class:`Refusal` EF0001 before 02:00 of the next day."""
    day = codes.day(date_text, "date")
    ready_at = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(days=1) + FILE_READY
    spoilt = spoiling.chosen(book.state, SOURCE, book.company.code, day.isoformat())
    fault = spoilt.get("fault")
    if book.clock.now() < ready_at or fault == "not_ready":
        raise Refusal("EF0001")
    rows = book.state.all(
        "SELECT * FROM company_posting WHERE company = ? AND status = 'posted' AND substr(posted_at, 1, 10) = ? "
        "ORDER BY serial",
        (book.company.code, day.isoformat()),
    )
    postings = [
        {
            "posting_id": row["posting_id"],
            "serial": row["serial"],
            "total_fen": json.loads(row["content"])["total_fen"],
            "posted_at": row["posted_at"],
        }
        for row in rows
    ]
    postings = spoiling.spoiled(postings, spoilt, lambda row: row["posting_id"])
    total_fen = sum(posting["total_fen"] for posting in postings) + (1 if fault == "wrong_trailer" else 0)
    trailer = {"trailer": {"date": day.isoformat(), "count": len(postings), "total_fen": total_fen}}
    lines = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in (*postings, trailer)]
    if fault == "truncated":
        lines.pop()
    return "".join(f"{line}\n" for line in lines).encode()
