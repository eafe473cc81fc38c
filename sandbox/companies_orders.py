"""Service orders at a company (docs/company-gateway.md §11): the orders it was sent, what it was told of them, what it has reported.

Its staff are played by control calls (``report``), one report at a time; or it works by itself (:mod:`sandbox.companies_crews`).
"""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from sandbox import companies_codes as codes
from sandbox import companies_materials as materials
from sandbox.companies_book import Book
from sandbox.companies_codes import Refusal, wrong

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS company_order (
    company TEXT NOT NULL, order_id TEXT NOT NULL, revision INTEGER NOT NULL, content TEXT NOT NULL, company_number TEXT NOT NULL,
    received_at TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('received', 'withdrawn')), PRIMARY KEY (company, order_id)
);
CREATE TABLE IF NOT EXISTS company_order_report (
    company TEXT NOT NULL, order_id TEXT NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL, reported_at REAL NOT NULL,
    PRIMARY KEY (company, order_id, sequence)
);
CREATE TABLE IF NOT EXISTS company_order_notice (
    company TEXT NOT NULL, notice_id TEXT NOT NULL, order_id TEXT NOT NULL, content TEXT NOT NULL, came_at REAL NOT NULL,
    PRIMARY KEY (company, notice_id)
);
"""
REPORTS: Final = frozenset({
    "accepted", "correction_asked", "refused", "handed_back", "surveyed", "plan_replied", "construction_started", "inspected",
    "rectified", "connected", "archived", "extension_asked", "pause_asked", "pause_over", "failed", "withdrawal_agreed", "days_committed",
})  # fmt: skip
OPEN_FIELDS: Final = ("number", "application_number", "service", "area", "form_version", "notice_version")


def send_order(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§11.1. Raises :class:`Refusal` EO0002 (same id and revision, other content; or an older revision), EO0004."""
    order_id, content = codes.identifier(body, "order_id"), _content(body)
    if content["service"] != book.company.service:
        raise Refusal("EO0004")
    with book.state.transaction() as db:
        row = row_of(book, order_id)
        if row is None:
            number = int(book.setting("last_order", "0")) + 1
            book.set("last_order", str(number))
            values = (book.company.code, order_id, content["revision"], json.dumps(content, ensure_ascii=False, sort_keys=True),
                      f"{book.company.code.upper()}-{number:06}", book.clock.iso())  # fmt: skip
            db.execute("INSERT INTO company_order VALUES (?, ?, ?, ?, ?, ?, 'received')", values)
        elif content["revision"] > row["revision"] and row["status"] == "received":
            db.execute(
                "UPDATE company_order SET revision = ?, content = ? WHERE company = ? AND order_id = ?",
                (
                    content["revision"],
                    json.dumps(content, ensure_ascii=False, sort_keys=True),
                    book.company.code,
                    order_id,
                ),
            )
        elif json.loads(row["content"]) != content:
            raise Refusal("EO0002")
    return receipt(_known(book, order_id))


def query_order(book: Book, order_id: str) -> dict[str, Any]:
    """§11.2. Raises :class:`Refusal` EO0001."""
    return receipt(_known(book, order_id)) | {"reports": reports(book, order_id)}


def withdraw_order(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§11.3. Raises :class:`Refusal` EO0001, EO0003."""
    order_id = codes.identifier(body, "order_id")
    codes.text(body, "reason")
    row = _known(book, order_id)
    if row["status"] == "received" and "construction_started" in [
        report["report"] for report in reports(book, order_id)
    ]:
        raise Refusal("EO0003")
    book.state.run(
        "UPDATE company_order SET status = 'withdrawn' WHERE company = ? AND order_id = ?",
        (book.company.code, order_id),
    )
    return receipt(_known(book, order_id))


def order_notice(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§11.4. Raises :class:`Refusal` EO0001, EO0002."""
    notice_id, order_id = codes.identifier(body, "notice_id"), codes.identifier(body, "order_id")
    data = body.get("data", {})
    if not isinstance(data, dict):
        raise wrong("data")
    told = {
        "kind": codes.identifier(body, "kind"),
        "at": codes.moment(body, "at").astimezone(UTC).isoformat(),
        "data": data,
    }
    content = json.dumps(told, ensure_ascii=False, sort_keys=True)
    with book.state.transaction() as db:
        _known(book, order_id)
        query = "SELECT order_id, content FROM company_order_notice WHERE company = ? AND notice_id = ?"
        row = book.state.one(query, (book.company.code, notice_id))
        if row is not None and (row["order_id"], row["content"]) != (order_id, content):
            raise Refusal("EO0002")
        if row is None:
            values = (book.company.code, notice_id, order_id, content, book.clock.timestamp())
            db.execute("INSERT INTO company_order_notice VALUES (?, ?, ?, ?, ?)", values)
    return {"notice_id": notice_id, "status": "taken"}


def write_report(book: Book, order_id: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """The company reports: the next number of this order, kept for ever. Answers the report; the caller sends it.

    Raises:
        Refusal: EO0001 it has no such order.
        ValueError: no such report.
    """
    if report.get("report") not in REPORTS:
        raise ValueError(f"report is one of {sorted(REPORTS)}")
    with book.state.transaction() as db:
        _known(book, order_id)
        sequence = len(reports(book, order_id)) + 1
        body = {"at": book.clock.iso()} | dict(report) | {"order_id": order_id, "sequence": sequence}
        values = (book.company.code, order_id, sequence, json.dumps(body, ensure_ascii=False), book.clock.timestamp())
        db.execute("INSERT INTO company_order_report VALUES (?, ?, ?, ?, ?)", values)
    return body


def reports(book: Book, order_id: str) -> list[dict[str, Any]]:
    """What has been reported of an order, in order."""
    query = "SELECT body FROM company_order_report WHERE company = ? AND order_id = ? ORDER BY sequence"
    return [json.loads(row["body"]) for row in book.state.all(query, (book.company.code, order_id))]


def notices(book: Book, order_id: str) -> list[dict[str, Any]]:
    """What the company was told of an order, as it came."""
    query = (
        "SELECT notice_id, content, came_at FROM company_order_notice WHERE company = ? AND order_id = ? ORDER BY rowid"
    )
    rows = book.state.all(query, (book.company.code, order_id))
    return [{"notice_id": row["notice_id"], **json.loads(row["content"]), "came_at": row["came_at"]} for row in rows]


def orders(book: Book) -> list[dict[str, Any]]:
    """Every order of this company with its reports and notices, oldest first."""
    rows = book.state.all("SELECT * FROM company_order WHERE company = ? ORDER BY rowid", (book.company.code,))
    return [
        receipt(dict(row))
        | {
            "content": json.loads(row["content"]),
            "reports": reports(book, row["order_id"]),
            "notices": notices(book, row["order_id"]),
            "materials": materials.kept(book, row["order_id"]),
        }
        for row in rows
    ]


def receipt(row: Mapping[str, Any]) -> dict[str, Any]:
    """The body of §11.1 for a row of ``company_order``."""
    return {name: row[name] for name in ("order_id", "revision", "status", "company_number", "received_at")}


def row_of(book: Book, order_id: str) -> dict[str, Any] | None:
    """The row of an order of this company, if it was ever sent one."""
    row = book.state.one(
        "SELECT * FROM company_order WHERE company = ? AND order_id = ?", (book.company.code, order_id)
    )
    return None if row is None else dict(row)


def _known(book: Book, order_id: str) -> dict[str, Any]:
    row = row_of(book, order_id)
    if row is None:
        raise Refusal("EO0001")
    return row


def _content(body: dict[str, Any]) -> dict[str, Any]:
    revision = body.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 1:
        raise wrong("revision")
    content: dict[str, Any] = {"revision": revision} | {name: codes.text(body, name) for name in OPEN_FIELDS}
    for name in ("filed_at", "consented_at"):
        content[name] = codes.moment(body, name).astimezone(UTC).isoformat()
    for name in ("common", "part"):
        if not isinstance(body.get(name), dict):
            raise wrong(name)
        content[name] = body[name]
    lead = {"lead": body["lead"]} if isinstance(body.get("lead"), dict) else {}
    return content | {"source": body.get("source", "applicant")} | lead
