"""销账 at a company: payments posted to bills, once for each posting id, for ever.

A posting that arrived is a row, and its row is its answer: posted, refused or processing. Only a temporary refusal
leaves no row, so that the same id may come again. A posting in processing holds its bills until it is settled.
"""

import json
from datetime import UTC, datetime
from typing import Any

from sandbox import companies_codes as codes
from sandbox.companies_book import Book
from sandbox.companies_codes import CODES, FINAL_FOR_POSTING, Refusal, wrong
from sandbox.companies_operations import TOP_UP

MAX_BILLS = 500


def post_payment(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """§5. Raises :class:`Refusal`: a refusal in the form of an error, EP0005, or EQ0001."""
    posting_id = codes.identifier(body, "posting_id")
    content = _content(body)
    with book.state.transaction():
        row = _row(book, posting_id)
        if row is not None and json.loads(row["content"]) != content:
            raise Refusal("EP0005")
        if row is None:
            row = _record(book, posting_id, content)
    if row["status"] == "refused" and row["form"] == "error":
        raise Refusal(row["code"], row["message"])
    return answer(row)


def post_filed(book: Book, line: dict[str, Any]) -> dict[str, Any]:
    """A line of a file of ours: taken when its bills are still open at these amounts. Raises :class:`Refusal`."""
    posting_id = codes.identifier(line, "posting_id")
    content = _content(line)
    with book.state.transaction():
        row = _row(book, posting_id) or _record(book, posting_id, content, by_file=True)
    return answer(row)


def query_posting(book: Book, posting_id: str) -> dict[str, Any]:
    """§6. Raises :class:`Refusal` ES0001 when nothing with this id ever arrived."""
    row = _row(book, posting_id)
    if row is None:
        raise Refusal("ES0001")
    return answer(row)


def settle_due(book: Book) -> list[dict[str, Any]]:
    """Finish the postings whose processing time is over. Answers their bodies; call it inside a transaction."""
    rows = book.state.all(
        "SELECT * FROM company_posting WHERE company = ? AND status = 'processing' AND due_at <= ? ORDER BY due_at",
        (book.company.code, book.clock.timestamp()),
    )
    answers: list[dict[str, Any]] = []
    for row in rows:
        content = json.loads(row["content"])
        if row["due_code"] is None:
            _pay(book, row["posting_id"], content)
            _settle(book, row["posting_id"], _posted(book))
        else:
            for bill in content["bills"]:
                book.hold_bill(bill["bill_no"], None)
            _settle(book, row["posting_id"], _refused(row["due_code"]))
        settled = _row(book, row["posting_id"])
        assert settled is not None
        answers.append(answer(settled))
    return answers


def has_processing(book: Book) -> bool:
    """Whether a posting is still in processing."""
    query = "SELECT 1 FROM company_posting WHERE company = ? AND status = 'processing'"
    return book.state.one(query, (book.company.code,)) is not None


def answer(row: dict[str, Any]) -> dict[str, Any]:
    """The body of §5 for a row of ``company_posting``."""
    shown = {"posting_id": row["posting_id"], "status": row["status"]}
    names = {"posted": ("serial", "posted_at"), "refused": ("code", "message"), "processing": ()}[row["status"]]
    return shown | {name: row[name] for name in names}


def _content(body: dict[str, Any]) -> dict[str, Any]:
    bills, purpose = body.get("bills"), body.get("purpose", "bills")
    if purpose not in ("bills", "top_up"):
        raise wrong("purpose")
    if not isinstance(bills, list) or len(bills) > MAX_BILLS or bool(bills) == (purpose == "top_up"):
        raise wrong("bills")
    if not all(isinstance(bill, dict) for bill in bills):
        raise wrong("bills")
    listed = [{"bill_no": codes.text(bill, "bill_no"), "amount_fen": codes.fen(bill, "amount_fen")} for bill in bills]
    return ({"purpose": purpose} if purpose != "bills" else {}) | {
        "account_number": codes.text(body, "account_number"),
        "quote_id": codes.text(body, "quote_id"),
        "total_fen": codes.fen(body, "total_fen"),
        "bills": sorted(listed, key=lambda bill: (bill["bill_no"], bill["amount_fen"])),
        "paid_at": codes.moment(body, "paid_at").astimezone(UTC).isoformat(),
        "provider": codes.text(body, "provider"),
        "merchant": codes.text(body, "merchant"),
        "provider_transaction": codes.text(body, "provider_transaction"),
    }


def _record(book: Book, posting_id: str, content: dict[str, Any], *, by_file: bool = False) -> dict[str, Any]:
    number = content["account_number"]
    try:
        account = book.account(number)
    except Refusal as refusal:
        return _insert(book, posting_id, content, _refused(refusal.code))
    if account["refuse_code"] is not None:
        code = account["refuse_code"]
        if code not in FINAL_FOR_POSTING:
            raise Refusal(code)
        return _insert(book, posting_id, content, _refused(code) | {"form": account["refuse_form"]})
    code = _objection_to_filed(book, account, content) if by_file else _objection(book, account, content)
    if code is not None:
        return _insert(book, posting_id, content, _refused(code))
    if account["processing_s"] is not None:
        for bill in content["bills"]:
            book.hold_bill(bill["bill_no"], posting_id)
        due = {"due_at": book.clock.timestamp() + account["processing_s"], "due_code": account["processing_code"]}
        return _insert(book, posting_id, content, {"status": "processing", **due})
    _pay(book, posting_id, content)
    return _insert(book, posting_id, content, _posted(book))


def _objection(book: Book, account: dict[str, Any], content: dict[str, Any]) -> str | None:
    if account["status"] != "open":
        return "EP0004"
    quote = book.state.one(
        "SELECT * FROM company_quote WHERE company = ? AND quote_id = ? AND account_number = ?",
        (book.company.code, content["quote_id"], account["number"]),
    )
    # What counts is when the payer paid, not when we hear of it.
    if quote is None or datetime.fromisoformat(content["paid_at"]).timestamp() > quote["expires_at"]:
        return "EP0001"
    quoted: dict[str, int] = json.loads(quote["bills"])
    if "purpose" in content:
        return None if quoted == {TOP_UP: content["total_fen"]} else "EP0002"
    asked = {bill["bill_no"]: bill["amount_fen"] for bill in content["bills"]}
    if len(asked) != len(content["bills"]) or sum(asked.values()) != content["total_fen"]:
        return "EP0002"
    less = [bill_no for bill_no, amount_fen in asked.items() if 0 < amount_fen < quoted.get(bill_no, 0)]
    if any(quoted.get(bill_no) != amount_fen for bill_no, amount_fen in asked.items() if bill_no not in less):
        return "EP0002"
    if len(less) > (1 if book.company.partial_payment else 0):
        return "EP0002"
    for bill_no in asked:
        bill = book.bill(bill_no)
        # A bill voided or corrected since is taken at the quoted amount; one paid or held by another posting is not.
        if bill is None or bill["status"] == "paid" or bill["posting_id"] is not None:
            return "EP0003"
    return None


def _objection_to_filed(book: Book, account: dict[str, Any], content: dict[str, Any]) -> str | None:
    """No quote fixes anything: each bill must be open, at the amount that is owed of it."""
    if account["status"] != "open":
        return "EP0004"
    if sum(line["amount_fen"] for line in content["bills"]) != content["total_fen"]:
        return "EP0002"
    for line in content["bills"]:
        bill = book.bill(line["bill_no"])
        if bill is None or bill["account_number"] != account["number"] or bill["status"] != "open":
            return "EP0003"
        if bill["principal_fen"] + bill["late_fee_fen"] != line["amount_fen"]:
            return "EP0002"
    return None


def _pay(book: Book, posting_id: str, content: dict[str, Any]) -> None:
    if "purpose" in content:
        book.top_up(content["account_number"], content["total_fen"])
    for bill in content["bills"]:
        book.pay_bill(bill["bill_no"], posting_id, bill["amount_fen"])


def _posted(book: Book) -> dict[str, Any]:
    number = int(book.setting("last_serial", "0")) + 1
    book.set("last_serial", str(number))
    serial = f"{book.company.code[:1].upper()}S{book.clock.now():%Y%m%d}{number:06}"
    return {"status": "posted", "serial": serial, "posted_at": book.clock.iso()}


def _refused(code: str) -> dict[str, Any]:
    return {"status": "refused", "code": code, "message": CODES[code][1]}


def _insert(book: Book, posting_id: str, content: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    names = ("code", "message", "serial", "posted_at", "due_at", "due_code")
    values = dict.fromkeys(names) | {
        "company": book.company.code,
        "posting_id": posting_id,
        "content": json.dumps(content, ensure_ascii=False),
        "account_number": content["account_number"],
        "form": "error",
        "arrived_at": book.clock.iso(),
    }
    with book.state.transaction() as db:
        db.execute(
            "INSERT INTO company_posting (company, posting_id, content, account_number, status, form, code, message, "
            "serial, posted_at, due_at, due_code, arrived_at) "
            "VALUES (:company, :posting_id, :content, :account_number, :status, :form, :code, :message, "
            ":serial, :posted_at, :due_at, :due_code, :arrived_at)",
            values | result,
        )
    row = _row(book, posting_id)
    assert row is not None
    return row


def _settle(book: Book, posting_id: str, result: dict[str, Any]) -> None:
    names = ("status", "code", "message", "serial", "posted_at")
    book.state.run(
        "UPDATE company_posting SET status = ?, code = ?, message = ?, serial = ?, posted_at = ? "
        "WHERE company = ? AND posting_id = ?",
        (*(result.get(name) for name in names), book.company.code, posting_id),
    )


def _row(book: Book, posting_id: str) -> dict[str, Any] | None:
    row = book.state.one(
        "SELECT * FROM company_posting WHERE company = ? AND posting_id = ?", (book.company.code, posting_id)
    )
    return None if row is None else dict(row)
