"""A company's book: accounts and bills, what each day changed, the nonces it has seen. One :class:`Book` per company.

Rows of all companies share the tables; every statement names the company, so none sees another's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sandbox import companies_codes as codes
from sandbox import http_signatures as signatures
from sandbox.clock import Clock
from sandbox.companies_codes import Refusal, wrong
from sandbox.state import State

NONCE_LIFE_S: Final = 600
ACCOUNT_STATUSES: Final = ("open", "frozen", "closed")
MAX_LINES: Final = 100
BILL_STATUSES: Final = ("open", "paid", "void")
BASIS: Final = ("readings", "household_size", "annual_usage_before", "class", "late_fee_through")
"""What a bill was made from: optional members of §4."""
PROOF_KINDS: Final = ("holder_id_last4", "holder_name", "meter_number", "last_bill_fen")

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS company_account (
    company TEXT NOT NULL, number TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'frozen', 'closed')),
    holder_name TEXT NOT NULL, holder_masked TEXT NOT NULL, holder_id_last4 TEXT NOT NULL, holder_mobile TEXT NOT NULL,
    meter_number TEXT NOT NULL, address TEXT NOT NULL, address_masked TEXT NOT NULL, balance_fen INTEGER NOT NULL,
    refuse_code TEXT, refuse_form TEXT NOT NULL DEFAULT 'error', processing_s REAL, processing_code TEXT,
    PRIMARY KEY (company, number)
);
CREATE TABLE IF NOT EXISTS company_bill (
    company TEXT NOT NULL, bill_no TEXT NOT NULL, account_number TEXT NOT NULL, period TEXT NOT NULL,
    issued_on TEXT NOT NULL, due_on TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'paid', 'void')),
    principal_fen INTEGER NOT NULL, late_fee_fen INTEGER NOT NULL, usage TEXT, unit TEXT,
    lines TEXT NOT NULL, posting_id TEXT,
    PRIMARY KEY (company, bill_no), FOREIGN KEY (company, account_number) REFERENCES company_account (company, number)
);
CREATE INDEX IF NOT EXISTS company_bill_account ON company_bill (company, account_number);
CREATE TABLE IF NOT EXISTS company_bill_basis (
    company TEXT NOT NULL, bill_no TEXT NOT NULL, basis TEXT NOT NULL, PRIMARY KEY (company, bill_no)
);
CREATE TABLE IF NOT EXISTS company_prepaid (
    company TEXT NOT NULL, number TEXT NOT NULL, by_card INTEGER NOT NULL, most_fen INTEGER, PRIMARY KEY (company, number)
);
CREATE TABLE IF NOT EXISTS company_bill_day (
    company TEXT NOT NULL, day TEXT NOT NULL, bill_no TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (company, day, bill_no)
);
CREATE TABLE IF NOT EXISTS company_quote (
    company TEXT NOT NULL, quote_id TEXT NOT NULL, account_number TEXT NOT NULL, bills TEXT NOT NULL,
    total_fen INTEGER NOT NULL, expires_at INTEGER NOT NULL, PRIMARY KEY (company, quote_id)
);
CREATE TABLE IF NOT EXISTS company_posting (
    company TEXT NOT NULL, posting_id TEXT NOT NULL, content TEXT NOT NULL, account_number TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('posted', 'refused', 'processing')), form TEXT NOT NULL,
    code TEXT, message TEXT, serial TEXT, posted_at TEXT, due_at REAL, due_code TEXT, arrived_at TEXT NOT NULL,
    PRIMARY KEY (company, posting_id), UNIQUE (company, serial)
);
CREATE TABLE IF NOT EXISTS company_notice (
    company TEXT NOT NULL, notice_id TEXT NOT NULL, content TEXT NOT NULL, sent_to TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (company, notice_id)
);
CREATE TABLE IF NOT EXISTS company_nonce (
    company TEXT NOT NULL, keyid TEXT NOT NULL, nonce TEXT NOT NULL, seen_at REAL NOT NULL,
    PRIMARY KEY (company, keyid, nonce)
);
CREATE INDEX IF NOT EXISTS company_nonce_seen ON company_nonce (seen_at);
CREATE TABLE IF NOT EXISTS company_setting (
    company TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (company, name)
);
CREATE TABLE IF NOT EXISTS company_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, company TEXT NOT NULL, event_id TEXT NOT NULL, body TEXT NOT NULL,
    status TEXT NOT NULL, attempts INTEGER NOT NULL, tried_at REAL, last_answer TEXT
);
CREATE INDEX IF NOT EXISTS company_event_pending ON company_event (company) WHERE status = 'pending';
"""

_PUT_ACCOUNT: Final = """
INSERT INTO company_account (company, number, status, holder_name, holder_masked, holder_id_last4, holder_mobile,
    meter_number, address, address_masked, balance_fen)
VALUES (:company, :number, :status, :holder_name, :holder_masked, :holder_id_last4, :holder_mobile,
    :meter_number, :address, :address_masked, :balance_fen)
ON CONFLICT (company, number) DO UPDATE SET status = excluded.status, holder_name = excluded.holder_name,
    holder_masked = excluded.holder_masked, holder_id_last4 = excluded.holder_id_last4,
    holder_mobile = excluded.holder_mobile, meter_number = excluded.meter_number, address = excluded.address,
    address_masked = excluded.address_masked, balance_fen = excluded.balance_fen
"""
_BILL: Final = """
SELECT bill.*, basis FROM company_bill AS bill LEFT JOIN company_bill_basis USING (company, bill_no)
WHERE company = ?
"""
_PUT_BASIS: Final = """
INSERT INTO company_bill_basis (company, bill_no, basis) VALUES (?, ?, ?)
ON CONFLICT (company, bill_no) DO UPDATE SET basis = excluded.basis
"""
_PUT_BILL: Final = """
INSERT INTO company_bill (company, bill_no, account_number, period, issued_on, due_on, status, principal_fen,
    late_fee_fen, usage, unit, lines, posting_id)
VALUES (:company, :bill_no, :account_number, :period, :issued_on, :due_on, :status, :principal_fen,
    :late_fee_fen, :usage, :unit, :lines, :posting_id)
ON CONFLICT (company, bill_no) DO UPDATE SET period = excluded.period, issued_on = excluded.issued_on,
    due_on = excluded.due_on, status = excluded.status, principal_fen = excluded.principal_fen,
    late_fee_fen = excluded.late_fee_fen, usage = excluded.usage, unit = excluded.unit, lines = excluded.lines,
    posting_id = excluded.posting_id
"""


@dataclass(frozen=True)
class Company:
    """One company of the configuration file, with its keys loaded."""

    code: str
    service: str
    callback_url: str
    platform_url: str
    proof_kind: str
    private_keys: tuple[signatures.PrivateKey, ...]
    lianban_keys: Mapping[str, Ed25519PublicKey]
    accounts: tuple[dict[str, Any], ...]
    partial_payment: bool = False
    latency_s: tuple[float, float] = (0.0, 0.0)
    """Each answer takes between these."""
    errors_inside: bool = False
    """Errors are written into answers 200, as old systems do."""
    files_only: bool = False
    """It has no interface: files lie at its place, and its staff work through them."""

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "Company":
        """Raises ``ValueError`` or ``KeyError`` when the configuration is not that of ``docs/sandbox.md``."""
        quirks = config.get("quirks", {})
        company = cls(
            code=config["code"],
            service=config["service"],
            callback_url=config["callback_url"],
            platform_url=config["platform_url"].rstrip("/"),
            proof_kind=config["proof_kind"],
            private_keys=tuple(signatures.PrivateKey.load(key["keyid"], key["key"]) for key in config["private_keys"]),
            lianban_keys={
                key["keyid"]: signatures.load_public_key(key["keyid"], key["key"])
                for key in config["lianban_public_keys"]
            },
            accounts=tuple(config.get("accounts", ())),
            partial_payment=bool(config.get("partial_payment", False)),
            latency_s=latency(quirks.get("latency_s", (0.0, 0.0))),
            errors_inside=quirks.get("errors", "status") == "inside",
            files_only=bool(quirks.get("files")),
        )
        if not company.private_keys or company.proof_kind not in PROOF_KINDS:
            raise ValueError(f"company {company.code}: needs a private key and a proof_kind of {PROOF_KINDS}")
        return company


class Book:
    """Reads and writes one company's accounts and bills. Writers must be inside ``state.transaction()``."""

    def __init__(self, company: Company, state: State, clock: Clock) -> None:
        self.company = company
        self.state = state
        self.clock = clock

    def load(self) -> None:
        """Accounts and bills of the configuration, when the company has no account yet. Raises :class:`Refusal`."""
        with self.state.transaction():
            if self.state.one("SELECT 1 FROM company_account WHERE company = ?", (self.company.code,)):
                return
            for account in self.company.accounts:
                self.put_account(account)
                for bill in account.get("bills", ()):
                    self.put_bill({**bill, "account_number": account["number"]})

    def account(self, number: str) -> dict[str, Any]:
        """The whole row. Raises :class:`Refusal` EQ0006."""
        row = self.state.one(
            "SELECT * FROM company_account WHERE company = ? AND number = ?", (self.company.code, number)
        )
        if row is None:
            raise Refusal("EQ0006")
        return dict(row)

    def put_account(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Open an account, or change the members given. Raises :class:`Refusal` EQ0001."""
        number = codes.identifier(dict(change), "number", 32)
        try:
            account = self.account(number)
        except Refusal:
            account = dict.fromkeys(("holder_name", "holder_masked", "holder_id_last4", "holder_mobile"), "")
            account |= {
                "status": "open",
                "balance_fen": 0,
                "meter_number": "",
                "address": "地址未登记",
                "address_masked": "***",
            }
        account |= {name: value for name, value in change.items() if name in account}
        if "holder_name" in change and "holder_masked" not in change:
            account["holder_masked"] = str(change["holder_name"])[:1] + "*"
        for name in ("holder_name", "holder_masked", "address", "address_masked"):
            codes.text(account, name, 200)
        if account["status"] not in ACCOUNT_STATUSES:
            raise wrong("status")
        with self.state.transaction() as db:
            db.execute(_PUT_ACCOUNT, account | {"company": self.company.code, "number": number})
            if change.get("prepaid") or change.get("balance_fen"):
                db.execute(
                    "INSERT INTO company_prepaid VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (company, number) DO UPDATE SET by_card = excluded.by_card, most_fen = excluded.most_fen",
                    (self.company.code, number, change.get("prepaid") == "card", change.get("most_fen")),
                )
        return self.account(number)

    def prepaid(self, number: str) -> dict[str, Any] | None:
        """How an account is paid in advance: `by_card` (only at a counter), `most_fen` it holds; None when it is not."""
        query = "SELECT * FROM company_prepaid WHERE company = ? AND number = ?"
        row = self.state.one(query, (self.company.code, number))
        return None if row is None else dict(row)

    def top_up(self, number: str, amount_fen: int) -> None:
        """Money arrives for an account that is paid in advance."""
        query = "UPDATE company_account SET balance_fen = balance_fen + ? WHERE company = ? AND number = ?"
        self.state.run(query, (amount_fen, self.company.code, number))

    def refuse_postings(self, number: str, code: str | None, form: str = "error") -> None:
        """Refuse postings of an account with `code` from now on; None ends it. Raises :class:`Refusal` EQ0006."""
        self.account(number)
        self.state.run(
            "UPDATE company_account SET refuse_code = ?, refuse_form = ? WHERE company = ? AND number = ?",
            (code, form, self.company.code, number),
        )

    def process_postings(self, number: str, seconds: float | None, code: str | None = None) -> None:
        """Answer postings of an account with processing, settle them after `seconds`: refused when there is a `code`.

        None ends it. Raises :class:`Refusal` EQ0006.
        """
        self.account(number)
        self.state.run(
            "UPDATE company_account SET processing_s = ?, processing_code = ? WHERE company = ? AND number = ?",
            (seconds, code, self.company.code, number),
        )

    def bills(self, number: str) -> list[dict[str, Any]]:
        """Every bill of an account as in §4, newest first."""
        rows = self.state.all(
            _BILL + "AND account_number = ? ORDER BY period DESC, bill_no",
            (self.company.code, number),
        )
        return [document(dict(row)) for row in rows]

    def bill(self, bill_no: str) -> dict[str, Any] | None:
        """The whole row of a bill, its lines and what they were made from read."""
        row = self.state.one(_BILL + "AND bill_no = ?", (self.company.code, bill_no))
        if row is None:
            return None
        return dict(row) | {"lines": json.loads(row["lines"]), "basis": json.loads(row["basis"] or "{}")}

    def put_bill(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Issue a bill, or change the members given of the one with this ``bill_no``. Answers it as in §4.

        Raises :class:`Refusal` when the result would not be a bill: unknown account, lines that do not add up.
        """
        number = codes.text(dict(change), "account_number")
        self.account(number)
        today = self.clock.now().date()
        bill_no = change.get("bill_no") or self._new_bill_no(number, codes.period(change.get("period")))
        bill = self.bill(bill_no)
        is_new = bill is None
        bill = bill or {
            "bill_no": bill_no, "account_number": number, "period": "", "status": "open", "late_fee_fen": 0,
            "issued_on": today.isoformat(), "due_on": (today + timedelta(days=30)).isoformat(), "usage": None,
            "unit": None, "posting_id": None, "principal_fen": 0, "lines": [], "basis": {},
        }  # fmt: skip
        if bill["account_number"] != number:
            raise wrong("bill_no")
        if bill["status"] == "paid" and change.get("status") == "open":
            bill["posting_id"] = None  # the company takes a payment back: the bill can be paid again
        bill |= {name: value for name, value in change.items() if name in bill and name not in ("posting_id", "basis")}
        bill["basis"] = bill["basis"] | {name: change[name] for name in BASIS if name in change}
        if "lines" in change and "principal_fen" not in change:
            bill["principal_fen"] = _lines_fen(bill)
        elif "lines" not in change and "principal_fen" in change:
            bill["lines"] = [{"name": "费用", "amount_fen": bill["principal_fen"]}]
        _check_bill(bill)
        day = codes.day(bill["issued_on"], "issued_on") if is_new else today
        self._write_bill(bill, day)
        return document(bill | {"lines": json.dumps(bill["lines"]), "basis": json.dumps(bill["basis"])})

    def pay_bill(self, bill_no: str, posting_id: str, amount_fen: int) -> None:
        """A posting pays a bill, or a part of it: then the rest stays open."""
        bill = self.bill(bill_no)
        assert bill is not None, "a quoted bill is never deleted"
        paid_fen = bill["basis"].get("paid_fen", 0) + amount_fen
        if paid_fen < bill["principal_fen"] + bill["late_fee_fen"] and self.company.partial_payment:
            rest = bill | {"posting_id": None, "basis": bill["basis"] | {"paid_fen": paid_fen}}
            self._write_bill(rest, self.clock.now().date())
            return
        self._write_bill(bill | {"status": "paid", "posting_id": posting_id}, self.clock.now().date())

    def hold_bill(self, bill_no: str, posting_id: str | None) -> None:
        """A posting in processing takes hold of a bill, or lets it go; nobody sees that from outside."""
        self.state.run(
            "UPDATE company_bill SET posting_id = ? WHERE company = ? AND bill_no = ?",
            (posting_id, self.company.code, bill_no),
        )

    def day(self, day: date) -> list[dict[str, Any]]:
        """The bills issued or changed on `day`, as they stood at its end."""
        rows = self.state.all(
            "SELECT document FROM company_bill_day WHERE company = ? AND day = ? ORDER BY bill_no",
            (self.company.code, day.isoformat()),
        )
        return [json.loads(row["document"]) for row in rows]

    def use_nonce(self, keyid: str, nonce: str) -> bool:
        """Remember a nonce; False when it was seen within the last 600 s."""
        now_s = self.clock.timestamp()
        with self.state.transaction() as db:
            db.execute("DELETE FROM company_nonce WHERE seen_at < ?", (now_s - NONCE_LIFE_S,))
            used = db.execute(
                "INSERT INTO company_nonce (company, keyid, nonce, seen_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (self.company.code, keyid, nonce, now_s),
            )
            return used.rowcount == 1

    def setting(self, name: str, default: str) -> str:
        """A value set by a control call."""
        row = self.state.one(
            "SELECT value FROM company_setting WHERE company = ? AND name = ?", (self.company.code, name)
        )
        return default if row is None else row["value"]

    def set(self, name: str, value: str) -> None:
        """Set a value by a control call."""
        self.state.run(
            "INSERT INTO company_setting (company, name, value) VALUES (?, ?, ?) "
            "ON CONFLICT (company, name) DO UPDATE SET value = excluded.value",
            (self.company.code, name, value),
        )

    def signing_key(self) -> signatures.PrivateKey:
        """The first key, or the one a control call has chosen."""
        wanted = self.setting("signing_key", self.company.private_keys[0].keyid)
        return next((key for key in self.company.private_keys if key.keyid == wanted), self.company.private_keys[0])

    def latency_s(self) -> tuple[float, float]:
        """How long an answer takes, between two numbers: the company's quirk, unless a control call has chosen otherwise."""
        chosen = self.setting("latency_s", "")
        return latency(json.loads(chosen)) if chosen else self.company.latency_s

    def _new_bill_no(self, number: str, period: str) -> str:
        base = f"{self.company.code[:1].upper()}{period.replace('-', '')}-{number}"
        rows = self.state.all(
            "SELECT bill_no FROM company_bill WHERE company = ? AND account_number = ? AND period = ?",
            (self.company.code, number, period),
        )
        return base if not rows else f"{base}-{len(rows) + 1}"

    def _write_bill(self, bill: Mapping[str, Any], day: date) -> None:
        lines, basis = (json.dumps(bill[name], ensure_ascii=False) for name in ("lines", "basis"))
        with self.state.transaction() as db:
            db.execute(_PUT_BILL, {**bill, "company": self.company.code, "lines": lines})
            if bill["basis"]:
                db.execute(_PUT_BASIS, (self.company.code, bill["bill_no"], basis))
            found = {"account_number": bill["account_number"], **document({**bill, "lines": lines, "basis": basis})}
            db.execute(
                "INSERT INTO company_bill_day (company, day, bill_no, document) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (company, day, bill_no) DO UPDATE SET document = excluded.document",
                (self.company.code, day.isoformat(), bill["bill_no"], json.dumps(found, ensure_ascii=False)),
            )


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A bill as §4 shows it."""
    names = ("bill_no", "period", "issued_on", "due_on", "status", "principal_fen", "late_fee_fen")
    shown = {name: row[name] for name in names}
    measured = {name: row[name] for name in ("usage", "unit") if row[name] is not None}
    basis = {name: value for name, value in json.loads(row.get("basis") or "{}").items() if value is not None}
    shown["payable_fen"] = row["principal_fen"] + row["late_fee_fen"] - basis.get("paid_fen", 0)
    return shown | measured | basis | {"lines": json.loads(row["lines"])}


def latency(span: Any) -> tuple[float, float]:
    """Two numbers of seconds, the smaller first. Raises ``ValueError``, ``TypeError``."""
    least, most = (float(value) for value in span)
    if not 0 <= least <= most <= 60:
        raise ValueError("latency_s: two numbers of seconds, the smaller first")
    return least, most


def _check_bill(bill: Mapping[str, Any]) -> None:
    codes.bill_no(dict(bill))
    codes.period(bill["period"])
    codes.day(bill["issued_on"], "issued_on")
    codes.day(bill["due_on"], "due_on")
    total_fen = codes.fen(dict(bill), "principal_fen")
    codes.fen(dict(bill), "late_fee_fen")
    if bill["status"] not in BILL_STATUSES:
        raise wrong("status")
    if _lines_fen(bill) != total_fen or not 1 <= len(bill["lines"]) <= MAX_LINES:
        raise wrong("lines do not add up to principal_fen")
    for line in bill["lines"]:
        codes.text(line, "name", 200)
        codes.decimal(line, "quantity")
        codes.decimal(line, "unit_price")
    codes.decimal(dict(bill), "usage")
    _check_basis(bill["basis"])
    if bill["unit"] is not None:
        codes.text(dict(bill), "unit", 16)


def _check_basis(basis: Mapping[str, Any]) -> None:
    said = {name: value for name, value in basis.items() if value is not None}
    readings = said.get("readings", {})
    if not isinstance(readings, dict) or not isinstance(readings.get("estimated", False), bool):
        raise wrong("readings")
    for name in ("last", "this"):
        codes.decimal(readings, name)
    codes.decimal(said, "annual_usage_before")
    for days, name in ((readings, "read_on"), (said, "late_fee_through")):
        if name in days:
            codes.day(days[name], name)
    if "class" in said:
        codes.text(said, "class", 40)
    if "household_size" in said and not 1 <= codes.fen(said, "household_size") <= 99:
        raise wrong("household_size")


def _lines_fen(bill: Mapping[str, Any]) -> int:
    lines = bill["lines"]
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise wrong("lines")
    return sum(codes.fen(line, "amount_fen") for line in lines)
