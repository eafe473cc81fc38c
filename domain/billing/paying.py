"""Paying bills: the quote becomes a payment, in one commit, or nothing happens.

Who may push whom aside: the same payer replaces his own payment at once; somebody bound to the account displaces somebody who
only scanned its code, never the reverse; everybody else waits until the time of the first is up. The payment that gives way is
closed at the provider before the new one exists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from cities.schema import City, PaymentRules
from core import clock
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.outbound import OutboundError
from domain.billing.accounts import CompanyAway
from domain.billing.refresh import Refresher, is_fresh, open_bills
from domain.companies import Companies
from domain.identity.tokens import Caller
from models.idempotency import Once
from models.lifecycle import Actor
from models.payment import Payment, PaymentStatus
from models.utility_account import UtilityAccount
from payments import opening
from payments.following import Follower
from payments.opening import Line, Opening, TooManyLately
from payments.providers.port import ProviderRefused
from payments.providers.registry import Providers
from payments.settling import TradeMismatch


class QuoteStale(LianbanError):
    """The quote has expired or a bill has changed; nothing was created. data: ``bills`` [{bill_id, payable_fen}], ``total_fen`` as they are now."""

    code = "quote_stale"


class BillNotInQuote(LianbanError):
    """A bill was named that the quote does not hold. data: ``bill_id``."""

    code = "bill_not_in_quote"


class PaymentInProgress(LianbanError):
    """Somebody else is paying one of these bills. data: ``retry_after_s``; never whose it is."""

    code = "payment_in_progress"


class PaymentClosing(LianbanError):
    """One's own earlier payment is being closed and the provider has not answered yet: the same call again later."""

    code = "payment_closing"


class AlreadyPaid(LianbanError):
    """One's own earlier payment has just succeeded. data: ``payment_id``."""

    code = "bill_already_paid"


class TooManyPayments(LianbanError):
    """This person has created too many payments for this bill lately. data: ``retry_after_s``."""

    code = "too_many_payments"


class _Held(Exception):
    """Other payments hold claims on these bills: `holders`, read under the bills' locks. None has to give way for a request that
    will be refused all the same: with `refusal`, or since the quote is `stale`."""

    def __init__(self, holders: Sequence[Any] = (), refusal: LianbanError | None = None, stale: bool = False) -> None:
        self.holders = holders
        self.refusal = refusal
        self.stale = stale


class Way(NamedTuple):
    """How the payer wants to pay: a provider's name and one of its methods."""

    provider: str
    method: str


@dataclass(frozen=True, slots=True)
class Created:
    """A payment that has just been created. `bills`: (bill id, fen)."""

    payment_id: UUID
    company: str
    total_fen: int
    bills: tuple[tuple[UUID, int], ...]
    expires_at: datetime


_QUOTE = """
select q.id, q.account_id, q.basis, q.lines, q.expires_at, a.company
from quote q join utility_account a on a.id = q.account_id
where q.id = $1 and q.person_id = $2
  and (q.basis = 'scan' or exists (select 1 from binding b where b.account_id = q.account_id and b.person_id = $2 and b.revoked_at is null))
"""

# A hot path: quote, account and bills read and locked in one statement. The bills come out of the quote's own row: an array from
# outside would be planned anew at each call, which costs three times the work itself. The account is locked before its bills.
_LOCK_QUOTED = """
with quoted as (
  select q.id, q.account_id, q.basis, q.lines, q.expires_at, a.company from quote q join utility_account a on a.id = q.account_id
  where q.id = $1 and q.person_id = $2
    and (q.basis = 'scan' or exists (select 1 from binding b where b.account_id = q.account_id and b.person_id = $2 and b.revoked_at is null))
  for share of a
), locked as (
  select b.id, b.payable_fen, b.status from bill b
  where b.account_id = (select account_id from quoted) and b.id in (select key::uuid from quoted, jsonb_object_keys(quoted.lines) as key)
    and ($3::uuid[] is null or b.id = any($3)) order by b.id for update of b
)
select quoted.*, locked.id as bill_id, locked.payable_fen, locked.status,
  exists (select 1 from claim c where c.claim_key = 'bill:' || locked.id and c.freed_at is null) as held,
  (select count(*) from payment_line l join payment p on p.id = l.payment_id
   where l.claim_key = 'bill:' || locked.id and p.person_id = $2 and p.created_at > $4) as lately
from quoted left join locked on true
"""

_HOLDERS = """
select distinct p.id, p.person_id, p.basis, p.status, p.expires_at
from claim c join payment p on p.id = c.payment_id where c.claim_key = any($1::text[]) and c.freed_at is null
"""

_DONE = (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED)


class Paying:
    """Creates payments of bills."""

    def __init__(
        self, companies: Companies, refresher: Refresher, follower: Follower, city: City, providers: Providers
    ) -> None:
        self._companies = companies
        self._refresher = refresher
        self._follower = follower
        self._city = city
        self._providers = providers

    async def create(
        self,
        caller: Caller,
        quote_id: UUID,
        bill_ids: Sequence[UUID] | None,
        way: Way,
        once: Once,
        render: Callable[[Created], bytes],
    ) -> bytes:
        """Create a payment of the quote's bills (or of those named), and keep the rendered answer under the client's key.

        Paying another way is creating a payment of the same bills again: the earlier one is closed at its provider first.

        Raises:
            MethodNotOffered: this way to pay is not there.
            NotFound: no such quote of this person. QuoteStale, BillNotInQuote, PaymentInProgress, PaymentClosing, AlreadyPaid,
            TooManyPayments, KeyInFlight, KeyReused.
        """
        self._providers.check(way.provider, way.method, 1)
        for _ in range(3):
            try:
                return await self._create_once(caller, quote_id, bill_ids, way, once, render)
            except _Held as held:
                await self._make_room(caller, quote_id, bill_ids, held)
        raise PaymentInProgress(retry_after_s=5)

    async def _create_once(
        self,
        caller: Caller,
        quote_id: UUID,
        bill_ids: Sequence[UUID] | None,
        way: Way,
        once: Once,
        render: Callable[[Created], bytes],
    ) -> bytes:
        rules = self._city.payment_rules(clock.today())
        try:
            async with transaction():
                if kept := await once.begin():
                    return kept[1]
                since = clock.now() - rules.creation_limit.window
                locked = await fetch(_LOCK_QUOTED, quote_id, caller.person_id, bill_ids or None, since)
                if not locked:
                    raise NotFound("quote")
                quote = locked[0]
                amounts = _wanted(quote["lines"], bill_ids)
                expires_at = min(clock.now() + rules.order.life, quote["expires_at"] - rules.order.quote_margin)
                if expires_at - clock.now() >= rules.order.shortest_life and await _bills_stand(locked, amounts, rules):
                    created = await self._insert(caller, quote, amounts, expires_at, way, rules)
                    body = render(created)
                    await once.keep(201, body)
                    failpoint("payment.created_before_commit")
                else:
                    created, body = None, b""
        except Exception as error:
            if violated_constraint(error) == "claim_live_once":
                raise _Held from error
            raise
        if created is None:
            raise await self._stale(quote["account_id"], _wanted(quote["lines"], bill_ids))
        failpoint("payment.created_committed")
        return body

    async def _insert(
        self, caller: Caller, quote: Any, amounts: dict[UUID, int], expires_at: datetime, way: Way, rules: PaymentRules
    ) -> Created:
        company = self._companies.get(quote["company"])
        payment_id = await self._open(
            Opening(
                person_id=caller.person_id,
                user_id=caller.user_id,
                basis=quote["basis"],
                quote_id=quote["id"],
                provider=way.provider,
                method=way.method,
                payee=company.code,
                merchant=company.merchants[way.provider],
                description=f"{company.rules.short_name}-{company.rules.bill_name}",
                lines=tuple(Line(f"bill:{bill_id}", amount) for bill_id, amount in amounts.items()),
                expires_at=expires_at,
                first_question_in=rules.order.query_after[0],
                most_lately=rules.creation_limit.per_bill_and_person,
                lately=clock.now() - rules.creation_limit.window,
            ),
            rules,
        )
        return Created(payment_id, company.code, sum(amounts.values()), tuple(amounts.items()), expires_at)

    async def _open(self, wanted: Opening, rules: PaymentRules) -> UUID:
        try:
            return await opening.insert(wanted)
        except TooManyLately:
            raise _too_many(rules) from None

    async def _stale(self, account_id: UUID, asked: dict[UUID, int]) -> QuoteStale:
        """The error with today's amounts; the company is asked when our bills are old, without any lock."""
        account = await UtilityAccount.get(id=account_id)
        try:
            if not is_fresh(account, self._city.payment_rules(clock.today()).view.fresh_for):
                await self._refresher.refresh(account, "view")
        except CompanyAway:
            return QuoteStale(bills=None, total_fen=None)
        now = [bill for bill in await open_bills(account_id) if bill.id in asked]
        return QuoteStale(
            bills=[{"bill_id": str(bill.id), "payable_fen": bill.payable_fen} for bill in now],
            total_fen=sum(bill.payable_fen for bill in now),
        )

    async def _make_room(self, caller: Caller, quote_id: UUID, bill_ids: Sequence[UUID] | None, held: _Held) -> None:
        """Close the payments that hold these claims, once it is sure that this caller may push every one of them aside."""
        quote = await fetch_one(_QUOTE, quote_id, caller.person_id)
        if quote is None:
            raise NotFound("quote")
        for holder in held.holders:
            own = holder["person_id"] == caller.person_id
            if holder["status"] in _DONE:
                raise AlreadyPaid(payment_id=str(holder["id"]) if own else None)
            if not own and not (quote["basis"] == "binding" and holder["basis"] == "scan"):
                left = (holder["expires_at"] - clock.now()).total_seconds()
                raise PaymentInProgress(retry_after_s=max(1, int(left) + 1))
        if held.refusal is not None:
            raise held.refusal
        if held.stale:
            raise await self._stale(quote["account_id"], _wanted(quote["lines"], bill_ids))
        for holder in held.holders:
            await self._close(await Payment.get(id=holder["id"]), holder["person_id"] == caller.person_id)

    async def _close(self, payment: Payment, own: bool) -> None:
        try:
            await self._follower.close(payment, Actor("system"))
        except (OutboundError, ProviderRefused, TradeMismatch) as error:
            raise PaymentClosing from error
        if payment.status in _DONE:
            raise AlreadyPaid(payment_id=str(payment.id) if own else None)
        if payment.status != PaymentStatus.CLOSED:
            raise PaymentClosing


def _too_many(rules: PaymentRules) -> TooManyPayments:
    return TooManyPayments(retry_after_s=int(rules.creation_limit.window.total_seconds()))


async def _bills_stand(locked: Sequence[Any], amounts: dict[UUID, int], rules: PaymentRules) -> bool:
    """True when every bill is still open at the quoted amount."""
    stand = {row["bill_id"]: row["payable_fen"] for row in locked if row["status"] == "open"} == amounts
    too_many = None
    if any(row["lately"] >= rules.creation_limit.per_bill_and_person for row in locked):
        too_many = _too_many(rules)
    if any(row["held"] for row in locked):
        holders = await fetch(_HOLDERS, [f"bill:{bill_id}" for bill_id in amounts])
        raise _Held(holders, too_many, stale=not stand)
    if too_many is not None:
        raise too_many
    return stand


def _wanted(lines: Any, bill_ids: Sequence[UUID] | None) -> dict[UUID, int]:
    """{bill id: fen} of the quote's bills, or of those named, in the order of their ids."""
    quoted = {
        UUID(bill_id): amount
        for bill_id, amount in (msgspec.json.decode(lines) if isinstance(lines, str) else lines).items()
    }
    for bill_id in bill_ids or ():
        if bill_id not in quoted:
            raise BillNotInQuote(bill_id=str(bill_id))
    chosen = set(bill_ids) if bill_ids else set(quoted)
    return {bill_id: quoted[bill_id] for bill_id in sorted(chosen)}
