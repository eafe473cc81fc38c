"""``/control/companies``: what the companies' own staff would do, without a signature and on loopback only."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sanic import Request, Sanic

from sandbox import companies_crews as crews
from sandbox import companies_files as files
from sandbox import companies_materials as materials
from sandbox import companies_orders as orders
from sandbox import companies_posting_files as posting_files
from sandbox import spoiling
from sandbox.companies_book import Book, document, latency
from sandbox.companies_codes import CODES, Refusal
from sandbox.companies_events import Outbox, ask_platform
from sandbox.companies_postings import answer
from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.replies import Reply, json_reply

PREFIX = "/control/companies"


def mount(app: Sanic, context: Context, books: Mapping[str, Book], outbox: Outbox) -> None:
    """Add the routes: the ledger, what the staff changes, what the company sends."""

    def book_of(code: str) -> Book:
        if code not in books:
            raise ControlError(f"no company {code}", 404)
        return books[code]

    @app.get(PREFIX, name="control_companies")
    async def companies(_: Request) -> Reply:
        return json_reply({"companies": [{"code": code, "service": books[code].company.service} for code in books]})

    @app.get(f"{PREFIX}/<code:str>/ledger", name="control_company_ledger")
    async def ledger(_: Request, code: str) -> Reply:
        return json_reply(_ledger(context, book_of(code)))

    @app.post(f"{PREFIX}/<code:str>/<action:str>", name="control_company_action")
    async def act(request: Request, code: str, action: str) -> Reply:
        book, body = book_of(code), body_of(request)
        if action not in _ACTIONS:
            raise ControlError(f"no action {action}", 404)
        try:
            with context.state.transaction():
                return json_reply(_ACTIONS[action](book, outbox, body))
        except Refusal as refusal:
            raise ControlError(str(refusal)) from None
        except (KeyError, TypeError, ValueError) as error:
            raise ControlError(f"{type(error).__name__}: {error}") from error

    _mount_asking(app, context, book_of, outbox)


def _mount_asking(app: Sanic, context: Context, book_of: Callable[[str], Book], outbox: Outbox) -> None:
    """What the company's system asks of the platform."""

    @app.post(f"{PREFIX}/<code:str>/qr-codes", name="control_company_qr_codes")
    async def qr_codes(request: Request, code: str) -> Reply:
        body = {"label": "账单"} | body_of(request)
        return json_reply(await ask_platform(book_of(code), context.http, "/company/v1/qr-codes", body))

    @app.post(f"{PREFIX}/<code:str>/qr-codes/wechat", name="control_company_qr_codes_wechat")
    async def wechat_code(request: Request, code: str) -> Reply:
        path = "/company/v1/qr-codes/wechat"
        return json_reply(await ask_platform(book_of(code), context.http, path, body_of(request)))

    @app.post(f"{PREFIX}/<code:str>/qr-codes/revoke", name="control_company_qr_codes_revoke")
    async def revoke(request: Request, code: str) -> Reply:
        path = "/company/v1/qr-codes/revoke"
        return json_reply(await ask_platform(book_of(code), context.http, path, body_of(request)))

    @app.post(f"{PREFIX}/<code:str>/materials", name="control_company_materials")
    async def fetch_materials(request: Request, code: str) -> Reply:
        order_id = body_of(request).get("order_id")
        if not isinstance(order_id, str):
            raise ControlError("order_id is text")
        book = book_of(code)
        return json_reply(await materials.collect(book, order_id, outbox.fetcher(book)))


def _account(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    return {"account": book.put_account(body)}


def _bill(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    bill = book.put_bill(body)
    event_id = None
    if body.get("event", True):
        event_id = outbox.add(book, "bills.changed", {"account_number": body["account_number"]})
    return {"bill": bill, "event_id": event_id}


def _event(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body["type"], str) or not isinstance(body["data"], dict):
        raise ControlError("type is a string, data an object")
    event_id = body.get("event_id")
    if event_id is not None and not isinstance(event_id, str):
        raise ControlError("event_id is a string")
    return {"event_id": outbox.add(book, body["type"], body["data"], event_id)}


def _refuse(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    code, form = body["code"], body.get("form", "error")
    if code is not None and code not in CODES:
        raise ControlError(f"unknown code {code}")
    if form not in ("error", "status"):
        raise ControlError("form is error (the 422 itself) or status (200 with status refused)")
    book.refuse_postings(body["account_number"], code, form)
    return {"code": code, "form": form}


def _processing(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    seconds, code = body["seconds"], body.get("code")
    if code is not None and code not in CODES:
        raise ControlError(f"unknown code {code}")
    seconds = None if seconds is None else float(seconds)
    book.process_postings(body["account_number"], seconds, code)
    return {"seconds": seconds, "code": code}


def _pace(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    factor = float(body["factor"])
    if not 0 < factor < 1e9:
        raise ControlError("factor is greater than 0")
    book.set("pace", str(factor))
    outbox.wake()
    return {"factor": factor}


def _latency(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    chosen = body["seconds"]
    book.set("latency_s", "" if chosen is None else json.dumps(latency(chosen)))
    return {"seconds": book.latency_s()}


def _files(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    return files.choose(book, body)


def _posting_file(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    day, spoilt = body["date"], {name: value for name, value in body.items() if name != "date"}
    spoiling.choose(book.state, posting_files.SOURCE, book.company.code, day, spoilt, posting_files.FAULTS)
    return {"date": day}


def _signing_key(book: Book, _: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    keyid = body["keyid"]
    if keyid not in [key.keyid for key in book.company.private_keys]:
        raise ControlError(f"no private key {keyid}")
    book.set("signing_key", keyid)
    return {"keyid": keyid}


def _report(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    report = {name: value for name, value in body.items() if name not in ("order_id", "event")}
    written = orders.write_report(book, body["order_id"], report)
    event_id = outbox.add(book, "order.report", written) if body.get("event", True) else None
    return {"report": written, "event_id": event_id}


def _order_mode(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    chosen = crews.choose(book, body)
    outbox.wake()
    return chosen


def _slots(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    data = {name: list(body.get(name, ())) for name in ("slots", "withdrawn")}
    return {"event_id": outbox.add(book, "crew.slots", data)}


def _appointment(book: Book, outbox: Outbox, body: dict[str, Any]) -> dict[str, Any]:
    data = {name: body[name] for name in ("survey_id", "round", "answer", "note") if name in body}
    return {"event_id": outbox.add(book, "survey.answer", data)}


_ACTIONS = {
    "report": _report,
    "order-mode": _order_mode,
    "slots": _slots,
    "appointment": _appointment,
    "accounts": _account,
    "bills": _bill,
    "events": _event,
    "refuse": _refuse,
    "processing": _processing,
    "files": _files,
    "latency": _latency,
    "pace": _pace,
    "posting-file": _posting_file,
    "signing-key": _signing_key,
}


def _ledger(context: Context, book: Book) -> dict[str, Any]:
    def rows(query: str) -> list[dict[str, Any]]:
        found = context.state.all(query, (book.company.code,))
        return [{name: row[name] for name in row.keys() if name != "company"} for row in found]  # noqa: SIM118

    calls: dict[str, dict[str, int]] = {}
    for call in context.faults.calls(f"company:{book.company.code}"):
        if call["operation"] in ("post_payment", "query_posting"):
            calls.setdefault(call["id"], {})[call["operation"]] = call["count"]
    return {
        "company": book.company.code,
        "signing_key": book.signing_key().keyid,
        "accounts": rows("SELECT * FROM company_account WHERE company = ? ORDER BY number"),
        "bills": [
            {"account_number": row["account_number"], **document(row), "posting_id": row["posting_id"]}
            for row in rows(
                "SELECT bill.*, basis FROM company_bill AS bill LEFT JOIN company_bill_basis USING (company, bill_no) "
                "WHERE company = ? ORDER BY account_number, period, bill_no"
            )
        ],
        "quotes": [
            row | {"bills": json.loads(row["bills"])}
            for row in rows("SELECT * FROM company_quote WHERE company = ? ORDER BY expires_at, quote_id")
        ],
        "postings": [
            answer(row) | {"content": json.loads(row["content"]), "arrived_at": row["arrived_at"]}
            for row in rows("SELECT * FROM company_posting WHERE company = ? ORDER BY arrived_at, posting_id")
        ],
        "posting_calls": calls,
        "orders": orders.orders(book),
        "order_mode": crews.mode(book),
        "holder_notices": [
            {"notice_id": row["notice_id"], **json.loads(row["content"]), "sent_to": row["sent_to"]}
            for row in rows("SELECT * FROM company_notice WHERE company = ? ORDER BY at, notice_id")
        ],
        "events": [
            {name: row[name] for name in ("status", "attempts", "last_answer")} | json.loads(row["body"])
            for row in rows("SELECT * FROM company_event WHERE company = ? ORDER BY id")
        ],
    }
