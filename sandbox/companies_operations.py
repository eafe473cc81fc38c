"""What a company answers to questions: find an account, query bills, the daily file, notices to the holder."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sandbox import companies_codes as codes
from sandbox.clock import SHANGHAI
from sandbox.companies_book import Book
from sandbox.companies_codes import Refusal, wrong

QUOTE_LIFE_S: Final = 600
HISTORY_MONTHS: Final = 24
TOP_UP: Final = "#top_up"
"""What stands in the place of a bill's number in a quote for money in advance."""
FILE_READY: Final = timedelta(hours=2)
"""The file of a day is ready at 02:00 of the next."""


def find_account(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§3. Raises :class:`Refusal` EQ0006, EB0001."""
    account = book.account(codes.text(body, "account_number"))
    proof = body.get("proof")
    if proof is None:
        return {"account": _shown(book, account)}
    if not isinstance(proof, dict) or proof.get("kind") != book.company.proof_kind:
        raise wrong("proof")
    if not _proves(book, account, codes.text(proof, "value", 100)):
        raise Refusal("EB0001")
    proven = {"holder_name": account["holder_name"], "address": account["address"]}
    return {"account": _shown(book, account) | proven}


def query_bills(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§4. A quote is written before it is answered. Raises :class:`Refusal` EQ0006, EQ0009."""
    purpose = body.get("purpose")
    if purpose not in ("view", "quote"):
        raise wrong("purpose")
    account = book.account(codes.text(body, "account_number"))
    if purpose == "quote" and account["status"] != "open":
        raise Refusal("EQ0009")
    oldest = months_ago(book.clock.now(), HISTORY_MONTHS)
    bills = [bill for bill in book.bills(account["number"]) if bill["status"] == "open" or bill["period"] >= oldest]
    answer: dict[str, Any] = {"account": _shown(book, account), "bills": bills}
    owed = {bill["bill_no"]: bill["payable_fen"] for bill in bills if bill["status"] == "open"}
    if purpose == "quote" and owed:
        answer["quote"] = _quote(book, account["number"], owed)
    return answer


def quote_top_up(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§4a. Raises :class:`Refusal` EQ0006, EQ0009, EQ0015, EQ0016."""
    account = book.account(codes.text(body, "account_number"))
    amount_fen = codes.fen(body, "amount_fen")
    prepaid = book.prepaid(account["number"])
    if account["status"] != "open" or prepaid is None:
        raise Refusal("EQ0009")
    if prepaid["by_card"]:
        raise Refusal("EQ0015")
    if amount_fen < 1 or (prepaid["most_fen"] and account["balance_fen"] + amount_fen > prepaid["most_fen"]):
        raise Refusal("EQ0016")
    return {
        "account": _shown(book, account),
        "quote": _quote(book, account["number"], {TOP_UP: amount_fen}),
    }


def bill_file(book: Book, date_text: str) -> bytes:
    """§7, as NDJSON with its trailer. Raises :class:`Refusal` EF0001 before 02:00 of the next day."""
    day = codes.day(date_text, "date")
    ready_at = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(days=1) + FILE_READY
    if book.clock.now() < ready_at:
        raise Refusal("EF0001")
    bills = book.day(day)
    payable_fen = sum(bill["payable_fen"] for bill in bills)
    trailer = {"trailer": {"date": day.isoformat(), "count": len(bills), "payable_fen": payable_fen}}
    lines = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in (*bills, trailer))
    return "".join(f"{line}\n" for line in lines).encode()


def holder_notice(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§8: kept, and told to the holder. Raises :class:`Refusal` EQ0006, or EP0005 (same id, other content)."""
    notice_id = codes.identifier(body, "notice_id")
    told = {
        "account_number": codes.text(body, "account_number"),
        "kind": codes.identifier(body, "kind"),
        "binding_ref": None if body.get("binding_ref") is None else codes.text(body, "binding_ref"),
        "at": codes.moment(body, "at").astimezone(UTC).isoformat(),
    }
    content = json.dumps(told, sort_keys=True)
    values = (book.company.code, notice_id)
    with book.state.transaction() as db:
        row = book.state.one("SELECT content FROM company_notice WHERE company = ? AND notice_id = ?", values)
        if row is not None and row["content"] != content:
            raise Refusal("EP0005")
        if row is None:
            mobile = book.account(told["account_number"])["holder_mobile"]
            db.execute(
                "INSERT INTO company_notice (company, notice_id, content, sent_to, at) VALUES (?, ?, ?, ?, ?)",
                (*values, content, mobile, book.clock.iso()),
            )
    return {"notice_id": notice_id, "accepted": True}


def _shown(book: Book, account: dict[str, Any]) -> dict[str, Any]:
    names = ("number", "status", "holder_masked", "address_masked")
    shown = {"service": book.company.service, **{name: account[name] for name in names}}
    return shown | ({"balance_fen": account["balance_fen"]} if book.prepaid(account["number"]) else {})


def _proves(book: Book, account: dict[str, Any], value: str) -> bool:
    if book.company.proof_kind == "last_bill_fen":
        bills = [bill for bill in book.bills(account["number"]) if bill["status"] != "void"]
        expected = str(max(bills, key=lambda bill: bill["issued_on"])["payable_fen"]) if bills else ""
    else:
        expected = str(account[book.company.proof_kind])
    return bool(expected) and secrets.compare_digest(expected.upper().encode(), value.upper().encode())


def _quote(book: Book, number: str, owed: dict[str, int]) -> dict[str, Any]:
    quote_id = f"Q-{secrets.token_hex(12)}"
    expires_at = int(book.clock.timestamp()) + QUOTE_LIFE_S
    total_fen = sum(owed.values())
    book.state.run(
        "INSERT INTO company_quote (company, quote_id, account_number, bills, total_fen, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (book.company.code, quote_id, number, json.dumps(owed), total_fen, expires_at),
    )
    return {"quote_id": quote_id, "expires_at": book.clock.iso(expires_at), "total_fen": total_fen}


def months_ago(now: datetime, months: int) -> str:
    """The period so many months before."""
    count = now.year * 12 + now.month - 1 - months
    return f"{count // 12:04}-{count % 12 + 1:02}"
