"""Bringing our bills up to date with the company: on view when old, always before a quote, and by the daily file."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from core import clock, ids
from core.database import fetch, transaction
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, OutboundError
from domain.billing.accounts import COPIED, Accounts, CompanyAway
from domain.companies import Companies, JoinedCompany
from domain.companies.filed import FiledBills, FiledCompany
from gateways.companies import Bill as CompanyBill
from gateways.companies import Bills, CompanyRefusal, FileBill
from models.bill import BILL, Bill, BillFile, BillStatus
from models.lifecycle import Actor, born, move
from models.utility_account import UtilityAccount

log = get_logger(__name__)

_EVENTS = {
    (BillStatus.OPEN, "paid"): "pay_elsewhere",
    (BillStatus.OPEN, "void"): "void",
    (BillStatus.PAID_ELSEWHERE, "open"): "correct_to_open",
    (BillStatus.VOID, "open"): "correct_to_open",
}
_REASONS = {"correct_to_open": "open again in the company's answer"}


class AccountRefused(CompanyAway):
    """The company answers, but has nothing to say about this account, now or later: what is owed is unknown."""


class FileOverdue(CompanyAway):
    """The company sends its bills by file, and the newest one that should be here has not come: what is owed now is unknown."""


class Refresher:
    """Asks companies for bills and writes them down."""

    def __init__(self, companies: Companies, accounts: Accounts) -> None:
        self._companies = companies
        self._accounts = accounts

    async def look(self, account: UtilityAccount) -> Bills:
        """:meth:`refresh` for somebody who looks, not too often for one account. Raises the same."""
        await self._accounts.count_look(account)
        return await self.refresh(account, "view")

    async def refresh(self, account: UtilityAccount, purpose: Literal["view", "quote"]) -> Bills:
        """Ask the company for all bills of `account`, write what changed, return its answer.

        Raises:
            CompanyAway: it does not answer, or refuses for now: what is owed is unknown. AccountRefused: it refuses for good.
            FileOverdue: what its last file said has been written, but is old.
        """
        company = self._companies.get(account.company)
        asked_at = clock.now()
        try:
            answer = await company.gateway.query_bills(self._accounts.number(account), purpose)
        except (OutboundError, CompanyRefusal) as error:
            log.warning(
                "bills.company_away",
                company=company.code,
                error_code=error.code,
                company_code=getattr(error, "company_code", None),
            )
            for_good = isinstance(error, CompanyRefusal) and error.kind is FailureKind.PERMANENT
            raise (AccountRefused if for_good else CompanyAway)(company=company.code) from error
        failpoint("bills.answered")
        as_of = answer.as_of if isinstance(answer, FiledBills) else None
        async with transaction():
            locked = await UtilityAccount.filter(id=account.id).select_for_update(no_key=True).get()
            # Whoever asked later and wrote first knows better.
            if locked.bills_checked_at is None or locked.bills_checked_at <= (as_of or asked_at):
                await self._write(company, locked, answer.bills, as_of)
                await self._close_missing(company, locked, answer)
                locked.bills_checked_at = as_of or asked_at
                self._accounts.copy(locked, answer.account)
                await locked.save(update_fields=["bills_checked_at", *COPIED])
        failpoint("bills.committed")
        for name in ("bills_checked_at", *COPIED):
            setattr(account, name, getattr(locked, name))
        if isinstance(answer, FiledBills) and not answer.is_current:
            raise FileOverdue(company=company.code)
        return answer

    async def take_file(self, company_code: str, day: date) -> int:
        """Take a company's daily file; the number of bills written. Bills of accounts we do not know are left out.

        Files may come in any order, however late: a bill that a later file or answer has told us of stays as that one said.

        Raises:
            CompanyAway: no file, or not ready.
        """
        company = self._companies.get(company_code)
        if isinstance(company.gateway, FiledCompany):
            raise CompanyAway(company=company.code)  # its account files hold the bills: domain.billing.exchange
        try:
            file = await company.gateway.bill_file(day)
        except (OutboundError, CompanyRefusal) as error:
            raise CompanyAway(company=company.code) from error
        # Bills stand in the file as they were at the end of its day: an answer asked for since then says more.
        as_of = datetime.combine(day + timedelta(days=1), time(), clock.SHANGHAI)
        by_number: dict[str, list[FileBill]] = {}
        for bill in file.bills:
            by_number.setdefault(bill.account_number, []).append(bill)
        written = 0
        for number, bills in by_number.items():
            async with transaction():
                account = await self._accounts.known(company, number, lock=True)
                if account is not None and (account.bills_checked_at is None or account.bills_checked_at < as_of):
                    written += await self._write(company, account, bills, as_of)
            failpoint("bill_file.account_committed")
        await BillFile.create(
            id=ids.new_id(),
            company=company.code,
            day=day,
            bills=len(file.bills),
            payable_fen=file.payable_fen,
            taken_at=clock.now(),
        )
        failpoint("bill_file.committed")
        return written

    async def _write(
        self,
        company: JoinedCompany,
        account: UtilityAccount,
        bills: Iterable[CompanyBill],
        as_of: datetime | None = None,
    ) -> int:
        """Insert and update the bills of a locked account, as they stood at `as_of` (None: now); how many of them said something newer."""
        wanted = list(bills)
        known = {
            bill.bill_no: bill
            for bill in await Bill.filter(company=company.code, bill_no__in=[bill.bill_no for bill in wanted])
        }
        actor = Actor("company", company.code)
        written = 0
        for said in wanted:
            row = known.get(said.bill_no)
            if row is None:
                row = await self._insert(company, account, said, actor, as_of)
            elif as_of is not None and row.checked_at >= as_of:
                continue
            elif row.account_id != account.id:
                log.error("bills.number_of_another_account", company=company.code, bill_id=str(row.id))
                continue
            elif _differs(row, said):
                await _amend(row, said, as_of)
            elif as_of is not None:
                row.checked_at = as_of
                await row.save(update_fields=["checked_at"])
            written += 1
            event = _EVENTS.get((BillStatus(row.status), str(said.status)))
            if event is not None:
                await move(BILL, row, event, actor, reason=_REASONS.get(event), columns=_paid_at(event))
        return written

    async def _insert(
        self, company: JoinedCompany, account: UtilityAccount, said: CompanyBill, actor: Actor, as_of: datetime | None
    ) -> Bill:
        row = Bill(
            id=ids.new_id(), account_id=account.id, company=company.code, bill_no=said.bill_no, status=BillStatus.OPEN
        )
        _copy(row, said, as_of)
        await row.save(force_create=True)
        await born(BILL, row, actor)
        return row

    async def _close_missing(self, company: JoinedCompany, account: UtilityAccount, answer: Bills) -> None:
        """The answer holds every open bill: one of ours that is not in it is no longer owed."""
        said = {bill.bill_no for bill in answer.bills}
        for row in await Bill.filter(account_id=account.id, status=BillStatus.OPEN):
            if row.bill_no not in said:
                await move(BILL, row, "void", Actor("company", company.code), reason="not in the company's answer")


BEING_RECORDED = """exists (
  select 1 from claim c join payment p on p.id = c.payment_id
  where c.claim_key = 'bill:' || bill.id and c.freed_at is null and p.status = 'succeeded'
)"""
"""An open bill that has been paid here, and that its company has not recorded yet: nobody owes it any more."""

_OWED = f"""
select count(*) as bills, coalesce(sum(payable_fen), 0)::bigint as fen
from bill where account_id = $1 and status = 'open' and not {BEING_RECORDED}
"""  # noqa: S608  constants of ours


async def owed(account_id: UUID) -> tuple[int, int]:
    """What our rows say is still to be paid on an account: in fen, and how many bills."""
    (row,) = await fetch(_OWED, account_id)
    return row["fen"], row["bills"]


async def open_bills(account_id: UUID) -> list[Bill]:
    """The open bills of an account, oldest first."""
    return await Bill.filter(account_id=account_id, status=BillStatus.OPEN).order_by("period", "bill_no").limit(500)


def is_fresh(account: UtilityAccount, fresh_for: timedelta) -> bool:
    """True when the company told us everything within `fresh_for`."""
    return account.bills_checked_at is not None and clock.now() - account.bills_checked_at <= fresh_for


def _paid_at(event: str) -> dict[str, datetime | None] | None:
    return {"pay_elsewhere": {"paid_at": clock.now()}, "correct_to_open": {"paid_at": None}}.get(event)


def _lines(said: CompanyBill) -> list[dict[str, object]]:
    return msgspec.to_builtins(said.lines)


def _basis(said: CompanyBill) -> dict[str, object] | None:
    return msgspec.to_builtins(said.basis)


def _differs(row: Bill, said: CompanyBill) -> bool:
    return (
        row.period, row.issued_on, row.due_on, row.principal_fen, row.late_fee_fen, row.paid_fen, row.usage, row.unit, row.lines, row.basis,
    ) != (
        said.period, said.issued_on, said.due_on, said.principal_fen, said.late_fee_fen, said.paid_fen, said.usage, said.unit, _lines(said),
        _basis(said),
    )  # fmt: skip


def _copy(row: Bill, said: CompanyBill, as_of: datetime | None) -> None:
    row.period, row.issued_on, row.due_on = said.period, said.issued_on, said.due_on
    row.principal_fen, row.late_fee_fen, row.payable_fen = said.principal_fen, said.late_fee_fen, said.payable_fen
    row.paid_fen = said.paid_fen
    row.usage, row.unit, row.lines, row.basis = said.usage, said.unit, _lines(said), _basis(said)
    row.checked_at = as_of or clock.now()


async def _amend(row: Bill, said: CompanyBill, as_of: datetime | None) -> None:
    """A bill we have posted keeps its amounts: they are what was paid."""
    if row.status == BillStatus.POSTED:
        return
    _copy(row, said, as_of)
    await row.save(
        update_fields=[
            "period",
            "issued_on",
            "due_on",
            "principal_fen",
            "late_fee_fen",
            "paid_fen",
            "payable_fen",
            "usage",
            "unit",
            "lines",
            "basis",
            "checked_at",
        ]
    )
