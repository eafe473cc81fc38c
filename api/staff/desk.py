"""What a company's staff look up: accounts, bills, payments and what is stuck, masked; a value in clear for a purpose."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from domain.billing.accounts import AccountView
from models.bill import Bill, Standing

RevealPurpose = Literal["refund_contact", "complaint", "correction", "authority_request"]
Note = Annotated[str, Meta(min_length=4, max_length=200)]


class AccountSearch(Input, frozen=True):
    """An account's number, in full; in the body, since numbers belong in no address."""

    number: Annotated[str, Meta(min_length=1, max_length=60)]


class DeskAccount(Output, frozen=True):
    """An account of one's company, masked."""

    account_id: UUID
    number_masked: str
    holder_masked: str | None
    address_masked: str | None
    company_state: str
    bills_checked_at: datetime | None


class DeskBill(Output, frozen=True):
    """One bill as we know it."""

    bill_id: UUID
    bill_no: str
    period: str
    status: str
    payable_fen: int
    paid_fen: int
    left_fen: int
    paid_at: datetime | None


class DeskBills(Output, frozen=True):
    """A page of bills, newest first."""

    bills: list[DeskBill]
    next_after: UUID | None


class DeskPayment(Output, frozen=True):
    """The company's part of a payment, and what became of its posting; null: it has none yet."""

    payment_id: UUID
    status: str
    provider: str
    method: str
    amount_fen: int
    order_number: str
    created_at: datetime
    paid_at: datetime | None
    posting_status: str | None
    posting_serial: str | None
    refunded_fen: int


class DeskPayments(Output, frozen=True):
    """A page of the company's parts of payments, newest first; one payment may have several."""

    payments: list[DeskPayment]
    next_after: UUID | None


class DayPage(Page, frozen=True, kw_only=True):
    """A day of the city's time, in pages."""

    day: date


class UnresolvedItem(Output, frozen=True):
    """Something that waits for a person or an answer: a refund that does not go back, a posting without a known end."""

    item_id: UUID
    kind: str
    status: str
    company: str
    payment_id: UUID
    amount_fen: int
    cause: str | None
    created_at: datetime


class UnresolvedList(Output, frozen=True):
    """A page of them, oldest first."""

    items: list[UnresolvedItem]
    next_after: UUID | None


class AccountReveal(Input, frozen=True):
    """Which value, for which purpose, in words."""

    field: Literal["number"]
    purpose: RevealPurpose
    note: Note


class PayerReveal(Input, frozen=True):
    """For which purpose the payer's phone is needed, in words."""

    purpose: RevealPurpose
    note: Note


class Revealed(Output, frozen=True):
    """A value in clear; that it was seen, and why, is on record, and the people concerned can see it."""

    value: str


class DisclosureView(Output, frozen=True):
    """Who saw which value, when and why: a member of staff, or a company's system by its key `keyid`."""

    disclosure_id: UUID
    at: datetime
    staff_id: UUID | None
    keyid: str | None
    unit: str
    subject: str
    subject_id: UUID
    field: str
    purpose: str
    note: str
    material_id: UUID | None


class DisclosureList(Output, frozen=True):
    """A page of them, newest first."""

    disclosures: list[DisclosureView]
    next_after: UUID | None


async def find_account(call: Call) -> Answer:
    return Answer(_account(await call.services.desk.find(call.staff, call.body.number)))


async def list_bills(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.desk.bills(call.staff, call.path["account_id"], query.after, query.limit)
    views = [_bill(row) for row in rows]
    return Answer(DeskBills(views, views[-1].bill_id if len(rows) == query.limit else None))


async def list_account_payments(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.desk.payments_of(call.staff, call.path["account_id"], query.after, query.limit)
    return Answer(_payments(rows, query.limit))


async def list_payments(call: Call) -> Answer:
    query: DayPage = call.query
    return Answer(
        _payments(await call.services.desk.payments_on(call.staff, query.day, query.after, query.limit), query.limit)
    )


async def list_unresolved(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.desk.unresolved(call.staff, query.after, query.limit)
    views = [
        UnresolvedItem(
            row["id"], row["kind"], row["status"], row["company"], row["payment_id"], row["amount_fen"], row["cause"], row["created_at"]
        )
        for row in rows
    ]  # fmt: skip
    return Answer(UnresolvedList(views, views[-1].item_id if len(rows) == query.limit else None))


async def reveal_account(call: Call) -> Answer:
    body: AccountReveal = call.body
    value = await call.services.desk.reveal(
        call.staff, call.path["account_id"], body.field, body.purpose, body.note, call.request_id
    )
    return Answer(Revealed(value))


async def reveal_payer(call: Call) -> Answer:
    body: PayerReveal = call.body
    value = await call.services.desk.reveal_payer(
        call.staff, call.path["payment_id"], body.purpose, body.note, call.request_id
    )
    return Answer(Revealed(value))


async def list_disclosures(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.desk.disclosures(call.staff, query.after, query.limit)
    views = [
        DisclosureView(
            row.id,
            row.at,
            row.staff_id,
            row.keyid,
            row.unit,
            row.subject,
            row.subject_id,
            row.field,
            row.purpose,
            note,
            row.material_id,
        )
        for row, note in rows
    ]
    return Answer(DisclosureList(views, views[-1].disclosure_id if len(rows) == query.limit else None))


def _account(view: AccountView) -> DeskAccount:
    account = view.account
    return DeskAccount(
        account.id, view.number_masked, view.holder_masked, view.address_masked, account.company_state, account.bills_checked_at
    )  # fmt: skip


def _bill(row: Bill) -> DeskBill:
    stands = Standing.of(row.status, row.principal_fen, row.late_fee_fen, row.paid_fen, row.payable_fen)
    return DeskBill(
        row.id, row.bill_no, row.period, row.status, row.payable_fen, stands.paid_fen, stands.left_fen, row.paid_at
    )


def _payments(rows: list[dict[str, Any]], limit: int) -> DeskPayments:
    views = [
        DeskPayment(
            row["payment_id"], row["status"], row["provider"], row["method"], row["amount_fen"], row["order_number"], row["created_at"],
            row["paid_at"], row["posting_status"], row["posting_serial"], row["refunded_fen"],
        )
        for row in rows
    ]  # fmt: skip
    return DeskPayments(views, rows[-1]["part_id"] if len(rows) == limit else None)
