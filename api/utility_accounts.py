"""Utility accounts: scanning a code, binding with a proof, who is bound, what is owed, bills."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from api.calls import Answer, Call
from api.explanations import ExplanationView, explanation_view
from api.texts import CompanyCode, Fen, Input, Label, Output
from core import clock
from core.errors import NotFound
from domain.billing.accounts import SeenAccount
from domain.billing.explaining import explained
from domain.billing.quotes import Owed, last_bills
from models.access import Principal, way_to
from models.bill import Bill, Standing
from models.share import note_use
from models.utility_account import Binding, UtilityAccount

_END_OF_TIME = ("9999-12", UUID(int=(1 << 128) - 1))


class Scan(Input, frozen=True):
    """A code as scanned: the token or the whole address of ours, or what a company printed by itself."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]


class ScanView(Output, frozen=True, tag_field="kind", tag="bill"):
    """What anybody sees who scans a code of ours. `total_fen` null: unknown, because the company did not answer; never 0 for that."""

    company: str
    company_name: str
    bill_name: str
    holder_masked: str | None
    total_fen: int | None
    checked_at: datetime | None


class ScanCandidate(Output, frozen=True):
    """A company that may have printed the code. What it holds is not known before somebody has proved that he may know it."""

    company: str
    number_masked: str
    needs: Literal["binding_proof"] = "binding_proof"


class ForeignScanView(Output, frozen=True, tag_field="kind", tag="foreign"):
    """A code that a company printed by itself: add the account with its proof, `number` being the scanned text as it is."""

    candidates: list[ScanCandidate]


class BindRequest(Input, frozen=True):
    """Number and proof, as on the bill; in place of the number also the text of a scanned code."""

    company: CompanyCode
    number: Annotated[str, Meta(min_length=1, max_length=200)]
    proof: Annotated[str, Meta(min_length=1, max_length=60)]
    label: Label | None = None


class BindingView(Output, frozen=True):
    """Somebody is bound to an account. `reference` is what the holder sees at the company; `is_mine` tells one's own."""

    binding_id: UUID
    account_id: UUID
    reference: str
    is_mine: bool
    created_at: datetime
    label: str | None = None


class AccountView(Output, frozen=True):
    """An account one may see: `via` one's own binding, a family member's, or as agent of an organization."""

    account_id: UUID
    via: Literal["binding", "family", "agent"]
    may_pay: bool
    binding_id: UUID | None
    share_id: UUID | None
    company: str
    service: str
    number_masked: str
    holder_masked: str | None
    address_masked: str | None
    company_state: str
    label: str | None
    bills_checked_at: datetime | None


class AccountList(Output, frozen=True):
    """The accounts one may see, in the order of binding."""

    accounts: list[AccountView]


class BindingList(Output, frozen=True):
    """Everybody bound to an account, oldest first; others without any hint who they are."""

    bindings: list[BindingView]


class OwedView(Output, frozen=True):
    """What is owed on an account. `total_fen` null: unknown."""

    account_id: UUID
    total_fen: int | None
    bill_count: int | None
    checked_at: datetime | None


class BillQuery(Input, frozen=True):
    """Paging by the last bill of the page before."""

    limit: Annotated[int, Meta(ge=1, le=60)] = 12
    before: UUID | None = None


class BillView(Output, frozen=True):
    """One bill in a list. `paid_fen`, `left_fen`: what has been paid of it and what is left, of a bill paid in parts too."""

    bill_id: UUID
    bill_no: str
    period: str
    status: str
    issued_on: date
    due_on: date | None
    principal_fen: Fen
    late_fee_fen: Fen
    payable_fen: Fen
    paid_fen: Fen
    left_fen: Fen
    usage: str | None
    unit: str | None
    paid_at: datetime | None


class BillLineView(Output, frozen=True):
    """One line of a bill."""

    name: str
    amount_fen: int
    quantity: str | None = None
    unit_price: str | None = None


class BillDetail(BillView, frozen=True, kw_only=True):
    """One bill with its lines, which add up to the principal, and how they come about."""

    account_id: UUID
    lines: list[BillLineView]
    explanation: ExplanationView


class BillList(Output, frozen=True):
    """A page of bills, newest first. `is_fresh` false: the company could not be asked, these are older words of it."""

    bills: list[BillView]
    checked_at: datetime | None
    is_fresh: bool
    next_before: UUID | None


async def scan(call: Call) -> Answer:
    body: Scan = call.body
    if candidates := call.services.quotes.foreign(body.token):
        return Answer(ForeignScanView([ScanCandidate(one.company, one.number_masked) for one in candidates]))
    owed = await call.services.quotes.scan(body.token)
    return Answer(scan_view(call, owed))


async def bind(call: Call) -> Answer:
    body: BindRequest = call.body
    binding = await call.services.accounts.bind(call.caller, body.company, body.number, body.proof, body.label)
    return Answer(_binding(binding, call.caller.principal), 201)


async def list_accounts(call: Call) -> Answer:
    return Answer(AccountList([_account(seen) for seen in await call.services.accounts.mine(call.caller.principal)]))


async def list_bindings(call: Call) -> Answer:
    bindings = await call.services.accounts.binders(call.path["account_id"], call.caller.principal)
    return Answer(BindingList([_binding(binding, call.caller.principal) for binding in bindings]))


async def revoke_binding(call: Call) -> Answer:
    await call.services.accounts.revoke(call.path["binding_id"], call.caller.principal)
    return Answer(None, 204)


async def show_owed(call: Call) -> Answer:
    owed = await call.services.quotes.owed(call.path["account_id"], call.caller.principal)
    return Answer(OwedView(owed.account.id, owed.total_fen, owed.bill_count, owed.checked_at))


async def list_bills(call: Call) -> Answer:
    query: BillQuery = call.query
    account_id, principal = call.path["account_id"], call.caller.principal
    before = await _position(query.before, account_id) if query.before else _END_OF_TIME
    rows = await last_bills(account_id, principal, before, query.limit)
    if not rows:
        raise NotFound("utility_account")
    fresh_for = call.services.city.fresh_for(clock.today())
    checked_at, fresh = rows[0]["bills_checked_at"], True
    if checked_at is None or clock.now() - checked_at > fresh_for:
        account = await UtilityAccount.get(id=account_id)
        fresh = await call.services.quotes.keep_fresh(account)
        rows = await last_bills(account_id, principal, before, query.limit)
        if not rows:
            raise NotFound("utility_account")
        checked_at = rows[0]["bills_checked_at"]
    await note_use(rows[0], principal.person_id, "bills.listed", account_id)
    bills = [_bill_row(row) for row in rows if row["id"] is not None]
    return Answer(BillList(bills, checked_at, fresh, bills[-1].bill_id if len(bills) == query.limit else None))


async def show_bill(call: Call) -> Answer:
    bill = await Bill.get_or_none(id=call.path["bill_id"])
    way = await way_to(bill.account_id if bill else call.path["bill_id"], call.caller.principal)
    if bill is None or way is None:
        raise NotFound("bill")
    await note_use(way, call.caller.person_id, "bill.opened", bill.account_id, bill.id)
    found, basis = await explained(call.services.city, bill)
    stands = Standing.of(bill.status, bill.principal_fen, bill.late_fee_fen, bill.paid_fen, bill.payable_fen)
    return Answer(
        BillDetail(
            bill.id,
            bill.bill_no,
            bill.period,
            bill.status,
            bill.issued_on,
            bill.due_on,
            bill.principal_fen,
            bill.late_fee_fen,
            bill.payable_fen,
            stands.paid_fen,
            stands.left_fen,
            bill.usage,
            bill.unit,
            bill.paid_at,
            account_id=bill.account_id,
            lines=msgspec.convert(bill.lines, list[BillLineView]),
            explanation=explanation_view(found, basis),
        )
    )


def scan_view(call: Call, owed: Owed) -> ScanView:
    """What a scan shows: nothing but the amount, the masked holder and whom one would pay."""
    account: UtilityAccount = owed.account
    company = call.services.city.company(account.company)
    return ScanView(
        account.company,
        company.name,
        company.bill_name,
        owed.holder_masked,
        owed.total_fen,
        owed.checked_at,
    )


async def _position(bill_id: UUID, account_id: UUID) -> tuple[str, UUID]:
    bill = await Bill.get_or_none(id=bill_id, account_id=account_id)
    if bill is None:
        raise NotFound("bill")
    return bill.period, bill.id


def _bill_row(r: asyncpg.Record) -> BillView:
    stands = Standing.of(r["status"], r["principal_fen"], r["late_fee_fen"], r["paid_fen"], r["payable_fen"])
    return BillView(
        r["id"], r["bill_no"], r["period"], r["status"], r["issued_on"], r["due_on"], r["principal_fen"], r["late_fee_fen"],
        r["payable_fen"], stands.paid_fen, stands.left_fen, r["usage"], r["unit"], r["paid_at"],
    )  # fmt: skip


def _account(seen: SeenAccount) -> AccountView:
    view, account = seen.view, seen.view.account
    binding_id = None if seen.via == "family" else seen.binding_id
    return AccountView(
        account.id, msgspec.convert(seen.via, Literal["binding", "family", "agent"]), seen.may_pay, binding_id, seen.share_id, account.company,
        account.service, view.number_masked, view.holder_masked, view.address_masked, account.company_state, seen.label,
        account.bills_checked_at,
    )  # fmt: skip


def _binding(binding: Binding, principal: Principal) -> BindingView:
    mine = binding.belongs_to(principal)
    return BindingView(
        binding.id, binding.account_id, binding.reference, mine, binding.created_at, binding.label if mine else None
    )
