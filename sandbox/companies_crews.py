"""The crews of a company that works its orders by itself (control ``order-mode``): what it does next, and when."""

import json
from typing import Any, Final

from sandbox import companies_orders as orders
from sandbox.clock import SHANGHAI
from sandbox.companies_book import Book
from sandbox.companies_codes import moment

MANUAL: Final[dict[str, Any]] = {"mode": "manual", "step_s": 0.0, "survey": "joint", "facts": {}, "materials": False}
OVER: Final = frozenset({"refused", "failed", "handed_back", "withdrawal_agreed", "archived"})
_AFTER_CONTRACT: Final = ("construction_started", "inspected", "connected", "archived")


def mode(book: Book) -> dict[str, Any]:
    """How the company works its orders: `mode` manual or auto, `step_s` between two reports, `survey` joint or alone, `facts` of each survey.

    `materials`: the papers are fetched as well.
    """
    return MANUAL | json.loads(book.setting("order_mode", "{}"))


def choose(book: Book, body: dict[str, Any]) -> dict[str, Any]:
    """Set the mode; what is left out is as at the beginning. Raises ``ValueError``."""
    chosen = MANUAL | {name: value for name, value in body.items() if name in MANUAL}
    chosen["step_s"] = float(chosen["step_s"])
    if chosen["mode"] not in ("manual", "auto") or chosen["survey"] not in ("joint", "alone"):
        raise ValueError("mode is manual or auto, survey is joint or alone")
    if chosen["step_s"] < 0 or not isinstance(chosen["facts"], dict) or not isinstance(chosen["materials"], bool):
        raise ValueError("step_s is not negative, facts is an object, materials is true or false")
    book.set("order_mode", json.dumps(chosen))
    return chosen


def is_at_work(book: Book) -> bool:
    """True while the company works by itself and an order of it is not over."""
    if mode(book)["mode"] != "auto":
        return False
    return any(_is_open(order) for order in orders.orders(book))


def work(book: Book) -> list[tuple[str, dict[str, Any]]]:
    """Do everything that is due; the events it makes, ``(type, data)``. Call it inside a transaction."""
    chosen, events = mode(book), []
    if chosen["mode"] != "auto":
        return events
    for order in orders.orders(book):
        if not _is_open(order):
            continue
        events += [("survey.answer", answer) for answer in _appointments(book, order)]
        last_s = _last_s(book, order)
        report = _next(book, order, chosen)
        if report is not None and book.clock.timestamp() >= last_s + chosen["step_s"]:
            events.append(("order.report", orders.write_report(book, order["order_id"], report)))
    return events


def _is_open(order: dict[str, Any]) -> bool:
    return order["status"] == "received" and not OVER & {report["report"] for report in order["reports"]}


def _next(book: Book, order: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any] | None:
    done = [report["report"] for report in order["reports"]]
    told = {notice["kind"]: notice for notice in order["notices"]}
    if "accepted" not in done:
        waits = done and done[-1] == "correction_asked" and order["revision"] <= done.count("correction_asked")
        return None if waits else {"report": "accepted"}
    if "surveyed" not in done:
        if chosen["survey"] == "joint" and not _is_over(book, told.get("appointment_fixed")):
            return None
        return {"report": "surveyed", "can_supply": True, "distance_m": 120, "plan": "就近接入"} | chosen["facts"]
    surveyed = next(report for report in order["reports"] if report["report"] == "surveyed")
    if not surveyed["can_supply"]:
        return {"report": "failed", "reason": surveyed["reason"]}
    if "plan_replied" not in done:
        return {"report": "plan_replied", "plan": "由现有管线接入，红线外不收费"}
    if "contract_signed" not in told:
        return None
    step = next((step for step in _AFTER_CONTRACT if step not in done), None)
    return None if step is None else {"report": step} | ({"passed": True} if step == "inspected" else {})


def _appointments(book: Book, order: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer to each appointment held for this order that has none yet."""
    answers = []
    for notice in order["notices"]:
        name = f"appointment:{notice['notice_id']}"
        if notice["kind"] == "appointment_held" and not book.setting(name, ""):
            book.set(name, "confirmed")
            data = notice["data"]
            answers.append({"survey_id": data["survey_id"], "round": data["round"], "answer": "confirmed"})
    return answers


def _is_over(book: Book, notice: dict[str, Any] | None) -> bool:
    return notice is not None and moment(notice["data"], "ends_at").astimezone(SHANGHAI) <= book.clock.now()


def _last_s(book: Book, order: dict[str, Any]) -> float:
    row = book.state.one(
        "SELECT max(reported_at) AS at FROM company_order_report WHERE company = ? AND order_id = ?",
        (book.company.code, order["order_id"]),
    )
    return float(row["at"]) if row and row["at"] is not None else 0.0
