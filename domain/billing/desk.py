"""What a company's staff see: accounts, bills, payments and postings of their own company, masked; unmasked for a purpose and a row."""

from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import NotFound
from domain.billing.accounts import Accounts, AccountView, tidy
from domain.companies import Companies
from domain.identity.staff_sessions import StaffCaller
from models.acting import Disclosure, disclosed_about
from models.bill import Bill
from models.person import Person
from models.utility_account import UtilityAccount

_DAY = timedelta(days=1)

_PAYMENTS = """
select part.id as part_id, p.id as payment_id, p.status, p.provider, p.method, p.created_at, p.paid_at, part.amount_fen, part.order_number,
  s.status as posting_status, s.serial as posting_serial, s.account_id,
  coalesce((select sum(r.amount_fen) from refund r where r.part_id = part.id and r.status = 'succeeded'), 0)::bigint as refunded_fen
from payment_part part join payment p on p.id = part.payment_id
left join lateral (select * from posting where part_id = part.id order by created_at desc limit 1) s on true
where part.payee = $1 and ($2::uuid is null or part.id < $2)
"""
_BY_DAY = _PAYMENTS + " and p.created_at >= $4 and p.created_at < $5 order by part.id desc limit $3"
_OF_ACCOUNT = (
    _PAYMENTS
    + """ and exists (select 1 from quote q where q.id = part.quote_id and q.account_id = $4) order by part.id desc limit $3"""
)

_UNRESOLVED = """
select * from (
  select r.id, 'refund' as kind, r.status, part.payee as company, r.payment_id, r.amount_fen, r.reason as cause, r.created_at
  from refund r join payment_part part on part.id = r.part_id
  where r.status = 'abnormal' or (r.status = 'closed' and not exists (
    select 1 from refund later where later.part_id = r.part_id and later.created_at > r.created_at))
  union all
  select s.id, 'posting', s.status, s.company, s.payment_id, s.total_fen, s.refusal_code, s.created_at
  from posting s where s.status in ('unknown', 'processing')
    or (s.status = 'refused' and not exists (select 1 from refund r where r.part_id = s.part_id and r.status = 'succeeded'))
) found
where ($1::text is null or company = $1) and ($2::uuid is null or id > $2) order by id limit $3
"""


class CompanyDesk:
    """Reads for staff. The company stands in every query: another's object and a missing one are the same."""

    def __init__(self, city: City, companies: Companies, accounts: Accounts, vault: Vault) -> None:
        self._city = city
        self._companies = companies
        self._accounts = accounts
        self._vault = vault

    async def find(self, staff: StaffCaller, number: str) -> AccountView:
        """The account of this number at the caller's company, masked.

        Raises:
            NotFound: we know no such account. CompanyNotJoined.
        """
        account = await self._accounts.known(self._companies.get(_company(staff)), tidy(number))
        if account is None:
            raise NotFound("utility_account")
        return self._accounts.view(account)

    async def bills(self, staff: StaffCaller, account_id: UUID, after: UUID | None, limit: int) -> list[Bill]:
        """An account's bills, the one we heard of last first.

        Raises:
            NotFound: no such account of the caller's company.
        """
        account = await self._account(staff, account_id)
        query = Bill.filter(account_id=account.id)
        return await (query.filter(id__lt=after) if after else query).order_by("-id").limit(limit)

    async def payments_of(
        self, staff: StaffCaller, account_id: UUID, after: UUID | None, limit: int
    ) -> list[dict[str, Any]]:
        """The parts of payments that are for an account's bills, with their postings, newest first; `after` is a part's id.

        Raises:
            NotFound: no such account of the caller's company.
        """
        account = await self._account(staff, account_id)
        return [dict(row) for row in await fetch(_OF_ACCOUNT, account.company, after, limit, account.id)]

    async def payments_on(self, staff: StaffCaller, day: date, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """The company's parts of the payments begun on a day of the city's time, newest first; `after` is a part's id.

        A payment of two accounts at one company has two parts there, so a payment's id would lose one at the edge of a page.
        """
        begin = datetime.combine(day, time(), ZoneInfo(self._city.time_zone))
        return [dict(row) for row in await fetch(_BY_DAY, _company(staff), after, limit, begin, begin + _DAY)]

    async def unresolved(self, staff: StaffCaller, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """Refunds that do not go back by themselves, postings without a known end: of the company, or of all for the city's staff."""
        company = None if staff.unit.kind == "city" else _company(staff)
        return [dict(row) for row in await fetch(_UNRESOLVED, company, after, limit)]

    async def reveal(
        self, staff: StaffCaller, account_id: UUID, field: Literal["number"], purpose: str, note: str, request_id: str
    ) -> str:
        """A personal value of an account in clear; the row that says who saw it and why is there before the answer.

        Raises:
            NotFound: no such account of the caller's company.
        """
        account = await self._account(staff, account_id)
        await self._disclose(staff, "utility_account", account.id, field, purpose, note, request_id)
        return self._accounts.number(account)

    async def reveal_payer(self, staff: StaffCaller, payment_id: UUID, purpose: str, note: str, request_id: str) -> str:
        """The phone of who paid the company, for calling him about his payment; the row is there before the answer.

        Raises:
            NotFound: no such payment to the caller's company, or its payer has no phone here.
        """
        payers = await fetch(
            "select p.person_id from payment p join payment_part part on part.payment_id = p.id where p.id = $1 and part.payee = $2",
            payment_id, _company(staff),
        )  # fmt: skip
        person = await Person.get_or_none(id=payers[0]["person_id"]) if payers else None
        if person is None or person.phone is None:
            raise NotFound("payment")
        await self._disclose(staff, "person", person.id, "phone", purpose, note, request_id)
        return self._vault.open(person.phone, "person.phone", person.id)

    async def disclosures(self, staff: StaffCaller, after: UUID | None, limit: int) -> list[tuple[Disclosure, str]]:
        """Who looked at what and why, with the words given for it, newest first: of one's unit, or of all for the city's auditors."""
        query = Disclosure.all() if staff.unit.kind == "city" else Disclosure.filter(unit=staff.unit.code)
        rows = await (query.filter(id__lt=after) if after else query).order_by("-id").limit(limit)
        return [(row, self._vault.open(row.note, "disclosure.note", row.id)) for row in rows]

    async def disclosures_about(self, person_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """Who saw what concerns this person, newest first; `order_number` where it was an order of his."""
        return [dict(row) for row in await disclosed_about(person_id, after, limit)]

    async def _account(self, staff: StaffCaller, account_id: UUID) -> UtilityAccount:
        account = await UtilityAccount.get_or_none(id=account_id, company=_company(staff))
        if account is None:
            raise NotFound("utility_account")
        return account

    async def _disclose(
        self, staff: StaffCaller, subject: str, subject_id: UUID, field: str, purpose: str, note: str, request_id: str
    ) -> None:
        row_id = ids.new_id()
        async with transaction():
            await Disclosure.create(
                id=row_id,
                at=clock.now(),
                staff_id=staff.staff_id,
                unit=staff.unit.code,
                subject=subject,
                subject_id=subject_id,
                field=field,
                purpose=purpose,
                note=self._vault.seal(note, "disclosure.note", row_id),
                request_id=request_id,
            )


def _company(staff: StaffCaller) -> str:
    """The caller's company; who belongs to none finds nothing."""
    if staff.unit.company is None:
        raise NotFound("company")
    return staff.unit.company
