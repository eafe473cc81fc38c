"""Paying bills: quotes of one company or of several become one payment, in one commit, or nothing happens.

Who may push whom aside: the same payer replaces his own payment at once; somebody bound to the account displaces somebody who
only scanned its code, never the reverse; everybody else waits until the time of the first is up. The payment that gives way is
closed at the provider before the new one exists. A family member who may pay, and an agent, are as the one who is bound.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from cities.schema import City, PaymentRules
from core import clock
from core.database import transaction, violated_constraint
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.outbound import OutboundError
from domain.billing.accounts import CompanyAway
from domain.billing.quoted import Quoted, holders_of, lock, read
from domain.billing.quotes import MAX_TOTAL_FEN, AmountTooLarge
from domain.billing.refresh import Refresher, is_fresh, open_bills
from domain.companies import Companies
from domain.identity.tokens import Caller
from models.access import way_to, way_to_any
from models.acting import note_payment
from models.bill import BILLS, Bill
from models.idempotency import Once
from models.lifecycle import Actor
from models.payment import Payment, PaymentStatus
from models.share import note_use
from models.utility_account import UtilityAccount
from payments import opening
from payments.following import Follower
from payments.opening import Line, Opening, PartOpening, TooManyLately
from payments.providers.port import ProviderRefused
from payments.providers.registry import MethodNotOffered, Providers
from payments.settling import TradeMismatch


class QuoteStale(LianbanError):
    """The quote has expired or a bill has changed; nothing was created. data: ``bills`` [{bill_id, payable_fen}], ``total_fen`` as they are now."""

    code = "quote_stale"


class OlderBillOpen(LianbanError):
    """An older bill of the account is open and not among those to be paid, and the company takes the oldest first. data: ``company``,
    ``account_id``."""

    code = "older_bill_open"


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


class ActingEndsSoon(LianbanError):
    """The clerk's session for this citizen ends before anybody could pay; the citizen opens another."""

    code = "acting_ends_soon"


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
class CreatedPart:
    """What goes to one company for one account. `bills`: (bill id, fen), none of a top-up."""

    company: str
    amount_fen: int
    bills: tuple[tuple[UUID, int], ...]
    purpose: str = BILLS


@dataclass(frozen=True, slots=True)
class Created:
    """A payment that has just been created."""

    payment_id: UUID
    total_fen: int
    parts: tuple[CreatedPart, ...]
    expires_at: datetime


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
        quote_ids: Sequence[UUID],
        bill_ids: Sequence[UUID] | None,
        way: Way,
        once: Once,
        render: Callable[[Created], bytes],
    ) -> bytes:
        """Create one payment of the quotes' bills (or of those named), and keep the rendered answer under the client's key.

        Paying another way is creating a payment of the same bills again: the earlier one is closed at its provider first.

        Raises:
            MethodNotOffered: this way to pay is not there, or not for so many companies at once.
            NotFound: no such quote of this person. QuoteTwice, QuoteStale, BillNotInQuote, OlderBillOpen, AmountTooLarge,
            PaymentInProgress, PaymentClosing, AlreadyPaid, TooManyPayments, ActingEndsSoon, KeyInFlight, KeyReused.
        """
        self._providers.check(way.provider, way.method, len(quote_ids))
        for rounds_left in (2, 1, 0):
            try:
                return await self._create_once(caller, quote_ids, bill_ids, way, once, render)
            except _Held as held:
                closing = await self._who_gives_way(caller, quote_ids, bill_ids, held)
                if rounds_left:  # nobody gives way for a request that is not tried again
                    await self._make_room(closing)
        raise PaymentInProgress(retry_after_s=5)

    async def _create_once(
        self,
        caller: Caller,
        quote_ids: Sequence[UUID],
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
                quoted = await lock(quote_ids, caller.principal, bill_ids, since)
                if any(one.held for one in quoted):
                    # Claims and counts were read before the locks were waited for: once more, now that nobody can change them.
                    quoted = await lock(quote_ids, caller.principal, bill_ids, since)
                for one in quoted:  # before anything gives way for a payment that cannot be made so
                    self._merchant(one.company, way)
                expires_at = min(
                    _latest(caller, rules), min(one.expires_at for one in quoted) - rules.order.quote_margin
                )
                if expires_at - clock.now() >= rules.order.shortest_life and await self._bills_stand(quoted, rules):
                    created = await self._insert(caller, quoted, expires_at, way, rules)
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
            raise await self._stale(quoted)
        failpoint("payment.created_committed")
        return body

    async def _insert(
        self, caller: Caller, quoted: Sequence[Quoted], expires_at: datetime, way: Way, rules: PaymentRules
    ) -> Created:
        parts = tuple(self._part(one, way) for one in quoted)
        total_fen = sum(part.amount_fen for part in parts)
        if total_fen > MAX_TOTAL_FEN:
            raise AmountTooLarge(limit_fen=MAX_TOTAL_FEN)
        several = f"{self._companies.get(parts[0].payee).rules.short_name}等{len(parts)}项缴费"
        wanted = Opening(
            person_id=caller.person_id,
            organization_id=caller.organization_id,
            user_id=caller.user_id,
            provider=way.provider,
            method=way.method,
            description=parts[0].description if len(parts) == 1 else several,
            parts=parts,
            expires_at=expires_at,
            first_question_in=rules.order.query_after[0],
            most_lately=rules.creation_limit.per_bill_and_person,
            lately=clock.now() - rules.creation_limit.window,
            actor=caller.actor,
        )
        try:
            payment_id = await opening.insert(wanted)
        except TooManyLately:
            raise _too_many(rules) from None
        if caller.counter is not None and not await note_payment(caller.counter.acting_id, payment_id):
            raise NotFound("acting_session")
        for one in quoted:
            if one.basis in ("family", "agent") or caller.organization_id is not None:
                await self._note(caller, one, payment_id)
        made = (CreatedPart(one.company, sum(one.amounts.values()), tuple(one.amounts.items())) for one in quoted)
        return Created(payment_id, total_fen, tuple(made), expires_at)

    async def _note(self, caller: Caller, quoted: Quoted, payment_id: UUID) -> None:
        """For whoever gave him the right; it is asked for once more, and with it gone nothing is created."""
        if quoted.basis == "scan":
            way = await way_to_any(self._companies.get(quoted.company).rules.service, caller.principal)
        else:
            way = await way_to(quoted.account_id, caller.principal, quoted.basis)
            way = way if way is not None and way["may_pay"] else None
        if way is None:
            raise NotFound("quote")
        await note_use(way, caller.person_id, "payment.created", quoted.account_id, payment_id)

    def _merchant(self, company: str, way: Way) -> str:
        """The company's own number at the provider."""
        merchant = self._companies.get(company).merchants.get(way.provider)
        if merchant is None:
            raise MethodNotOffered(provider=way.provider, method=way.method)
        return merchant

    def _part(self, quoted: Quoted, way: Way) -> PartOpening:
        company = self._companies.get(quoted.company)
        return PartOpening(
            payee=company.code,
            merchant=self._merchant(company.code, way),
            description=f"{company.rules.short_name}-{company.rules.bill_name}",
            basis=quoted.basis,
            quote_id=quoted.id,
            lines=tuple(Line(f"bill:{bill_id}", amount) for bill_id, amount in quoted.amounts.items()),
        )

    async def _bills_stand(self, quoted: Sequence[Quoted], rules: PaymentRules) -> bool:
        """True when every bill is still open at the quoted amount."""
        stand = all(one.stands for one in quoted)
        refusal: LianbanError | None = None
        if any(one.most_lately >= rules.creation_limit.per_bill_and_person for one in quoted):
            refusal = _too_many(rules)
        skipping = [one for one in quoted if one.skips_older and not self._companies.get(one.company).rules.any_order]
        if refusal is None and stand and skipping:
            refusal = OlderBillOpen(company=skipping[0].company, account_id=str(skipping[0].account_id))
        if any(one.held for one in quoted):
            raise _Held(await holders_of(quoted), refusal, stale=not stand)
        if refusal is not None:
            raise refusal
        return stand

    async def _stale(self, quoted: Sequence[Quoted]) -> QuoteStale:
        """The error with today's amounts; companies are asked when our bills are old, without any lock, all at once."""
        found = await asyncio.gather(*(self._today(one) for one in quoted))  # noqa: TID251 -- outside any transaction
        known = [bills for bills in found if bills is not None]
        if len(known) < len(found):
            return QuoteStale(bills=None, total_fen=None)
        now = [bill for bills in known for bill in bills]
        return QuoteStale(
            bills=[{"bill_id": str(bill.id), "payable_fen": bill.payable_fen} for bill in now],
            total_fen=sum(bill.payable_fen for bill in now),
        )

    async def _today(self, quoted: Quoted) -> list[Bill] | None:
        """The quoted bills that are open now; None when the company cannot be asked."""
        account = await UtilityAccount.get(id=quoted.account_id)
        try:
            if not is_fresh(account, self._city.fresh_for(clock.today())):
                await self._refresher.refresh(account, "view")
        except CompanyAway:
            return None
        return [bill for bill in await open_bills(account.id) if bill.id in quoted.amounts]

    async def _who_gives_way(
        self, caller: Caller, quote_ids: Sequence[UUID], bill_ids: Sequence[UUID] | None, held: _Held
    ) -> dict[UUID, bool]:
        """The payments that hold these claims, each with whether it is the caller's own: he may push every one of them aside."""
        quoted = await read(quote_ids, caller.principal, bill_ids)
        basis = {f"bill:{bill_id}": one.basis for one in quoted for bill_id in one.amounts}
        for holder in held.holders:
            own = _is_own(holder, caller)
            if holder["status"] in _DONE:
                raise AlreadyPaid(payment_id=str(holder["id"]) if own else None)
            if not own and not (basis.get(holder["claim_key"]) not in (None, "scan") and holder["basis"] == "scan"):
                left = (holder["expires_at"] - clock.now()).total_seconds()
                raise PaymentInProgress(retry_after_s=max(1, int(left) + 1))
        if held.refusal is not None:
            raise held.refusal
        if held.stale:
            raise await self._stale(quoted)
        return {holder["id"]: _is_own(holder, caller) for holder in held.holders}

    async def _make_room(self, closing: dict[UUID, bool]) -> None:
        for payment_id, own in closing.items():
            await self._close(await Payment.get(id=payment_id), own)

    async def _close(self, payment: Payment, own: bool) -> None:
        try:
            await self._follower.close(payment, Actor("system"))
        except (OutboundError, ProviderRefused, TradeMismatch, MethodNotOffered) as error:
            raise PaymentClosing from error
        if payment.status in _DONE:
            raise AlreadyPaid(payment_id=str(payment.id) if own else None)
        if payment.status != PaymentStatus.CLOSED:
            raise PaymentClosing


def _is_own(holder: Any, caller: Caller) -> bool:
    if caller.organization_id is not None:
        return holder["organization_id"] == caller.organization_id
    return holder["person_id"] == caller.person_id


def _latest(caller: Caller, rules: PaymentRules) -> datetime:
    """The latest end of a payment made now: begun at a counter, that of the clerk's session."""
    now = clock.now()
    if caller.counter is None:
        return now + rules.order.life
    if caller.counter.ends_at - now < rules.order.shortest_life:
        raise ActingEndsSoon
    return min(now + rules.order.life, caller.counter.ends_at)


def _too_many(rules: PaymentRules) -> TooManyPayments:
    return TooManyPayments(retry_after_s=int(rules.creation_limit.window.total_seconds()))
