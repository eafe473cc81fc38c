"""Looking at bills, and quotes: the company's word that these bills may be paid at these amounts for a while."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from cities.schema import City
from core import clock, ids
from core.database import fetch
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.log import get_logger
from domain.billing.accounts import Accounts, CompanyAway
from domain.billing.foreign import Candidate
from domain.billing.qr import QrCodes
from domain.billing.refresh import AccountRefused, Refresher, is_fresh, open_bills, owed
from domain.companies import CompanyNotJoined
from domain.identity.mandates import ScopeMissing
from domain.identity.tokens import Caller
from models.access import OWN_BINDING, Principal, way_to, way_to_any
from models.bill import Bill, Quote
from models.share import note_use
from models.utility_account import UtilityAccount

log = get_logger(__name__)


class NothingOwed(LianbanError):
    """The company says that nothing is open on this account now."""

    code = "nothing_owed"


class AccountNotPayable(LianbanError):
    """The account is frozen or closed at the company. data: ``company``, ``state``."""

    code = "account_not_payable"


class PartialNotAllowed(LianbanError):
    """The company takes whole bills only, and the amount is not that of its oldest bills. data: ``company``."""

    code = "partial_not_allowed"


class MayOnlyRead(LianbanError):
    """A family member who may look at the account and not pay it, or an agent without the scope to."""

    code = "may_only_read"


class AmountTooLarge(LianbanError):
    """The oldest open bill alone is more than one payment may carry. data: ``limit_fen``."""

    code = "amount_too_large"


MAX_BILLS = 100
"""Bills of one quote; the oldest ones, the rest waits for the next."""
MAX_TOTAL_FEN = 1_000_000_000
"""Ten million yuan: the largest payment (constraint ``payment_amount_sane``, and WeChat Pay's own limit of an order)."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed on an account. `total_fen` None: unknown, since the company could not be asked; never 0 for that."""

    account: UtilityAccount
    holder_masked: str | None
    total_fen: int | None
    bill_count: int | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenQuote:
    """A quote with its bills, oldest first."""

    quote: Quote
    bills: list[Bill]


_BILLS = """
select way.share_id, way.mandate_id, a.bills_checked_at, a.company, b.id, b.bill_no, b.period, b.status, b.issued_on, b.due_on, b.principal_fen, b.late_fee_fen,
       b.payable_fen, b.paid_fen, b.usage, b.unit, b.paid_at
from utility_account a
join lateral ({way}) way on true
left join lateral (
  select * from bill where account_id = a.id and (period, id) < ($2, $3) order by period desc, id desc limit $4
) b on true
where a.id = $1
"""
_OWN_BILLS = _BILLS.format(way=OWN_BINDING.format(account="$1", person="$5"))
_ANY_BILLS = _BILLS.format(
    way="select * from account_access($5, $6, $7) where account_id = $1 order by may_pay desc, via limit 1"
)


async def last_bills(
    account_id: UUID, principal: Principal, before: tuple[str, UUID], limit: int
) -> list[asyncpg.Record]:
    """A page of bills, newest first; one row without a bill when the account has none, none when he may not see it.

    A hot path: the check of his access, the account and its bills in one statement, no models. Most look at what is their own.
    """
    if principal.organization_id is None:
        rows = await fetch(_OWN_BILLS, account_id, *before, limit, principal.person_id)
        if rows:
            return rows
    return await fetch(_ANY_BILLS, account_id, *before, limit, *principal, clock.now())


class Quotes:
    """Shows what is owed and asks for quotes."""

    def __init__(self, accounts: Accounts, refresher: Refresher, qr_codes: QrCodes, city: City) -> None:
        self._accounts = accounts
        self._refresher = refresher
        self._qr_codes = qr_codes
        self._city = city

    async def keep_fresh(self, account: UtilityAccount) -> bool:
        """Ask the company when our bills are too old to be looked at; False when it could not be asked."""
        if is_fresh(account, self._city.fresh_for(clock.today())):
            return True
        try:
            await self._refresher.look(account)
        except (CompanyAway, CompanyNotJoined):
            return False
        return True

    async def scan(self, token: str) -> Owed:
        """What anybody sees who scans a code: the amount and the masked holder, nothing else.

        Raises:
            QrCodeRefused: the code leads nowhere.
        """
        return await self._owed(await self._qr_codes.account_of(token))

    def foreign(self, text: str) -> tuple[Candidate, ...]:
        """Which companies may have printed a code that is none of ours, and for which number: nothing more without a proof."""
        return () if self._qr_codes.looks_ours(text) else self._accounts.candidates(text)

    async def owed(self, account_id: UUID, principal: Principal) -> Owed:
        """What is owed on an account one may see.

        Raises:
            NotFound: one may not.
        """
        way = await way_to(account_id, principal)
        if way is None:
            raise NotFound("utility_account")
        await note_use(way, principal.person_id, "owed.seen", account_id)
        return await self._owed(await UtilityAccount.get(id=account_id))

    async def for_binding(self, caller: Caller, account_id: UUID, amount_fen: int | None = None) -> OpenQuote:
        """A quote for an account one may pay: of everything, or of `amount_fen`, which goes to the oldest bills first.

        Raises:
            NotFound: he may not see it. MayOnlyRead, CompanyAway, NothingOwed, AccountNotPayable, PartialNotAllowed.
        """
        way = await way_to(account_id, caller.principal)
        if way is None:
            raise NotFound("utility_account")
        if not way["may_pay"]:
            raise MayOnlyRead
        return await self._quote(caller, await UtilityAccount.get(id=account_id), way["via"], amount_fen)

    async def for_accounts(self, caller: Caller, account_ids: Sequence[UUID]) -> list[OpenQuote | LianbanError]:
        """A quote, or why there is none, for each of several accounts one is bound to, in their order.

        The companies are asked at once; one that is away, slow or refuses never holds up the others.
        """
        within = self._city.payment_rules(clock.today()).order.quotes_within
        # Outside any transaction: a task made inside one would share its connection.
        tasks = [asyncio.create_task(self.for_binding(caller, account_id)) for account_id in account_ids]  # noqa: TID251
        try:
            await asyncio.wait(tasks, timeout=within.total_seconds())
            return [await self._outcome(task, account_id) for task, account_id in zip(tasks, account_ids, strict=True)]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # noqa: TID251 -- outside any transaction

    async def _outcome(self, task: asyncio.Task[OpenQuote], account_id: UUID) -> OpenQuote | LianbanError:
        if not task.done():
            account = await UtilityAccount.get(id=account_id)
            log.warning("quote.late", company=account.company)
            return CompanyAway(company=account.company)
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(
            error,
            NotFound | MayOnlyRead | CompanyAway | CompanyNotJoined | NothingOwed | AmountTooLarge | AccountNotPayable,
        ):
            raise error
        return error

    async def for_scan(self, caller: Caller, token: str, amount_fen: int | None = None) -> OpenQuote:
        """A quote for the account a code leads to; whoever may pay it anyhow quotes as its binder.

        Raises:
            QrCodeRefused, CompanyAway, NothingOwed, AccountNotPayable, PartialNotAllowed.
            ScopeMissing: an agent whose mandate is for some accounts only, and not for this one.
        """
        account = await self._qr_codes.account_of(token)
        way = await way_to(account.id, caller.principal)
        if way is not None and way["may_pay"]:
            return await self._quote(caller, account, way["via"], amount_fen)
        if caller.organization_id is not None and await way_to_any(account.service, caller.principal) is None:
            raise ScopeMissing(scope="pay")
        return await self._quote(caller, account, "scan", amount_fen)

    async def _owed(self, account: UtilityAccount) -> Owed:
        known = await self.keep_fresh(account)
        holder = self._accounts.view(account).holder_masked
        if not known:
            return Owed(account, holder, None, None, account.bills_checked_at)
        fen, bills = await owed(account.id)
        return Owed(account, holder, fen, bills, account.bills_checked_at)

    async def _quote(
        self, caller: Caller, account: UtilityAccount, basis: str, amount_fen: int | None = None
    ) -> OpenQuote:
        try:
            answer = await self._refresher.refresh(account, "quote")
        except AccountRefused as error:
            # Its bills may still be looked at, which tells us whether it is frozen or closed.
            with suppress(CompanyAway):
                await self._refresher.refresh(account, "view")
            raise AccountNotPayable(company=account.company, state=account.company_state) from error
        if account.company_state != "open":
            raise AccountNotPayable(company=account.company, state=account.company_state)
        said = {bill.bill_no: bill.payable_fen for bill in answer.bills}
        bills = [
            bill
            for bill in await open_bills(account.id)
            if said.get(bill.bill_no) == bill.payable_fen and bill.payable_fen > 0
        ]
        if answer.quote is None or not bills:
            raise NothingOwed
        lines = _lines(_payable_at_once(bills), amount_fen)
        bills = [bill for bill in bills if bill.id in lines]
        partial = next((bill.id for bill in bills if lines[bill.id] < bill.payable_fen), None)
        if partial is not None and not self._city.company(account.company).partial_payment:
            raise PartialNotAllowed(company=account.company)
        quote = await Quote.create(
            id=ids.new_id(),
            account_id=account.id,
            person_id=caller.person_id,
            organization_id=caller.organization_id,
            basis=basis,
            company_quote_id=answer.quote.quote_id,
            lines={str(bill_id): fen for bill_id, fen in lines.items()},
            partial_bill_id=partial,
            total_fen=sum(lines.values()),
            created_at=clock.now(),
            expires_at=answer.quote.expires_at,
        )
        failpoint("quote.committed")
        return OpenQuote(quote, bills)


def _lines(bills: list[Bill], amount_fen: int | None) -> dict[UUID, int]:
    """What is paid of each bill: everything, or `amount_fen` (or everything, if that is less) given to the oldest first."""
    left = MAX_TOTAL_FEN if amount_fen is None else amount_fen
    lines: dict[UUID, int] = {}
    for bill in bills:
        if left > 0:
            lines[bill.id] = min(left, bill.payable_fen)
            left -= lines[bill.id]
    return lines


def _payable_at_once(bills: list[Bill]) -> list[Bill]:
    """The oldest bills, as many as one payment carries."""
    chosen: list[Bill] = []
    total_fen = 0
    for bill in bills[:MAX_BILLS]:
        total_fen += bill.payable_fen
        if total_fen > MAX_TOTAL_FEN:
            break
        chosen.append(bill)
    if not chosen:
        raise AmountTooLarge(limit_fen=MAX_TOTAL_FEN)
    return chosen
