"""Opening a payment: rows and claims in one commit, then the order at the provider, then fresh parameters for the payer's client."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from core import clock, ids
from core.crypto import Vault
from core.database import fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.outbound import NotSent, OutboundError, OutcomeUnknown
from core.queue import defer_sql
from models.access import Principal
from models.lifecycle import SYSTEM, Actor, StaleState, move
from models.payment import PAYMENT, Payment, PaymentStatus, payment_for
from models.person import User
from payments.parts import order_name, parts_of
from payments.providers.port import FailureKind, HandleStale, Method, OrderPart, OrderRequest, ProviderRefused
from payments.providers.registry import MethodNotOffered, Providers
from payments.settling import free_claims

WATCH_TASK = "payments.watch"


class PaymentNotPayable(LianbanError):
    """The payment is over or its time is up. data: ``status``."""

    code = "payment_not_payable"


class ProviderBusy(LianbanError):
    """The provider gave no answer, or asked to wait: the same call again later finds or makes the order."""

    code = "payment_provider_busy"


class OrderRefused(LianbanError):
    """The provider refused the order for good; the payment has failed and frees its bills."""

    code = "payment_order_refused"


class TooManyLately(Exception):
    """This person has opened as many payments for one of these claims as he may."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is paid for. `claim_key` is the caller's, opaque here."""

    claim_key: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PartOpening:
    """What goes to one merchant on the word of one quote. `basis` and `quote_id` are the caller's, opaque here."""

    payee: str
    merchant: str
    description: str
    basis: str
    quote_id: UUID
    lines: tuple[Line, ...]

    @property
    def amount_fen(self) -> int:
        """Sum of the lines."""
        return sum(line.amount_fen for line in self.lines)


@dataclass(frozen=True, slots=True)
class Opening:
    """Everything about a payment that is decided before it exists."""

    person_id: UUID
    user_id: UUID
    provider: str
    method: str
    description: str
    parts: tuple[PartOpening, ...]
    expires_at: datetime
    first_question_in: timedelta
    most_lately: int
    """How many payments of this person may have named one of these claims since `lately`."""
    lately: datetime
    actor: Actor
    """Who creates it: the payer, or the clerk who acts for him."""
    organization_id: UUID | None = None

    @property
    def total_fen(self) -> int:
        """Sum of the parts."""
        return sum(part.amount_fen for part in self.parts)


_WATCH = defer_sql(f"'{WATCH_TASK}'", "$9::text::jsonb", at="$10::timestamptz")

_INSERT = f"""
with payment_row as (
  insert into payment (id, status, person_id, organization_id, actor_user_id, provider, method, total_fen, currency, description, created_at, expires_at)
  select $1, 'created', case when $26::uuid is null then $2::uuid end, $26::uuid, $3, $4, $5, $6, 'CNY', $7, $8, $11
  where not exists (
    select from payment_line l join payment p on p.id = l.payment_id
    where l.claim_key = any($21::text[]) and (p.organization_id = $26::uuid or ($26::uuid is null and p.person_id = $2::uuid))
      and p.created_at > $24 group by l.claim_key having count(*) >= $25
  ) returning id
), part_rows as (
  insert into payment_part (id, payment_id, provider, payee, merchant, order_number, description, basis, quote_id, amount_fen)
  select part.id, $1, $4, payee, merchant, replace(part.id::text, '-', ''), description, basis, quote_id, amount_fen
  from payment_row, unnest($12::uuid[], $13::text[], $14::text[], $15::text[], $16::text[], $17::uuid[], $18::bigint[])
    as part (id, payee, merchant, description, basis, quote_id, amount_fen)
), line_rows as (
  insert into payment_line (id, part_id, payment_id, claim_key, amount_fen)
  select line.id, part_id, $1, claim_key, amount_fen
  from payment_row, unnest($19::uuid[], $20::uuid[], $21::text[], $22::bigint[]) as line (id, part_id, claim_key, amount_fen)
), claim_rows as (
  insert into claim (id, payment_id, claim_key)
  select line.id, $1, claim_key from payment_row, unnest($19::uuid[], $21::text[]) as line (id, claim_key)
), journal_row as (
  insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, at)
  select $23, 'payment', id, null, 'created', 'created', $27, $28, $8 from payment_row
)
select {_WATCH} as job from payment_row
"""


async def insert(opening: Opening) -> UUID:
    """Write a payment with its parts, lines, claims, journal row and first watch job, in the caller's transaction.

    A hot path: one statement in place of seven models and an enqueue.

    Raises:
        TooManyLately: counted here again, under the caller's locks, since a statement that waits for a lock has counted before.
        IntegrityConstraintViolationError: ``claim_live_once``, when another payment holds one of the claims.
    """
    payment_id, now = ids.new_id(), clock.now()
    parts = [(ids.new_id(), part) for part in opening.parts]
    lines = [(ids.new_id(), part_id, line) for part_id, part in parts for line in part.lines]
    inserted = await fetch_one(
        _INSERT,
        payment_id, opening.person_id, opening.user_id, opening.provider, opening.method, opening.total_fen, opening.description, now,
        msgspec.json.encode({"payment_id": payment_id, "step": 0}).decode(), clock.to_real(now + opening.first_question_in),
        opening.expires_at,
        [id_ for id_, _ in parts], [part.payee for _, part in parts], [part.merchant for _, part in parts],
        [part.description for _, part in parts], [part.basis for _, part in parts], [part.quote_id for _, part in parts],
        [part.amount_fen for _, part in parts],
        [id_ for id_, _, _ in lines], [part_id for _, part_id, _ in lines], [line.claim_key for _, _, line in lines],
        [line.amount_fen for _, _, line in lines],
        ids.new_id(), opening.lately, opening.most_lately, opening.organization_id, *opening.actor,
    )  # fmt: skip
    if inserted is None:
        raise TooManyLately
    return payment_id


class Cashier:
    """Opens orders at a provider and hands out what the payer's client needs."""

    def __init__(self, providers: Providers, vault: Vault, return_url: str) -> None:
        """`return_url`: our page for a payer whose browser comes back from the provider; it is told which payment he comes from."""
        self._providers = providers
        self._vault = vault
        self._return_url = return_url

    async def client_params(
        self, payment_id: UUID, principal: Principal, payer_ip: str | None = None, actor: Actor | None = None
    ) -> dict[str, str]:
        """The parameters of the cashier, signed fresh; opens the order at the provider first, if that is still to do.

        `payer_ip` is the address the payer's device comes from, for the methods that ask for it; `actor` who asks, when it is not he.
        May be called again after any failure: the order keeps its number, so it is opened once.

        Raises:
            NotFound: no such payment that he may carry on. PaymentNotPayable: it is over.
            MethodNotOffered: the method needs a login at the provider that this payer has not.
            ProviderBusy: no answer or a temporary refusal. OrderRefused: refused for good.
        """
        payment = await payment_for(payment_id, principal, pays=True)
        if payment is None:
            raise NotFound("payment")
        # Asked for later, the order would be refused as malformed, which is no fault of the payer.
        provider = self._providers.get(payment.provider).provider
        to_open = (PaymentStatus.CREATED, PaymentStatus.ORDERING, PaymentStatus.ORDER_UNKNOWN)
        if payment.status in to_open and payment.expires_at - clock.now() > provider.shortest_order:
            order = await self._order(payment, payer_ip)
            if payment.status == PaymentStatus.CREATED:
                await self._begin(payment, actor or Actor("person", str(principal.person_id)))
            if payment.status in to_open:
                await self._open(payment, order)
        if payment.status != PaymentStatus.AWAITING_PAYER or payment.expires_at <= clock.now() or not payment.handle:
            raise PaymentNotPayable(status=str(payment.status))
        try:
            return provider.client_params(Method(payment.method), payment.handle)
        except HandleStale:
            return await self._again(payment, payer_ip)

    async def _again(self, payment: Payment, payer_ip: str | None) -> dict[str, str]:
        """Parameters from a fresh handle of an order that is open: the same order asked for again.

        When the provider does not take it for the same any more (the payer's address has changed, there is hardly any time left), the
        payer needs another payment, which closes this one.
        """
        provider = self._providers.get(payment.provider).provider
        try:
            opened = await provider.create_order(await self._order(payment, payer_ip))
        except OutboundError as error:
            raise ProviderBusy from error
        except ProviderRefused as error:
            if error.kind in (FailureKind.TEMPORARY, FailureKind.UNKNOWN):
                raise ProviderBusy from error
            raise PaymentNotPayable(status=str(payment.status)) from error
        await Payment.filter(id=payment.id, status=PaymentStatus.AWAITING_PAYER).update(handle=opened.handle)
        failpoint("payment.handle_renewed_committed")
        return provider.client_params(Method(payment.method), opened.handle)

    async def _begin(self, payment: Payment, actor: Actor) -> None:
        try:
            async with transaction():
                await move(PAYMENT, payment, "order", actor)
        except StaleState:
            await payment.refresh_from_db()
        failpoint("payment.ordering_committed")

    async def _order(self, payment: Payment, payer_ip: str | None) -> OrderRequest:
        """The order as the provider is to open it; the same each time, so that asking again cannot open a second one."""
        parts = await parts_of(payment.id)
        connected, method = self._providers.get(payment.provider), Method(payment.method)
        payer = None
        if method is Method.JSAPI:
            user = await User.get(id=payment.actor_user_id)
            if user.realm != connected.provider.app:
                # Logged in elsewhere: the provider does not know him by this login, so he takes another method.
                raise MethodNotOffered(provider=payment.provider, method=payment.method)
            payer = self._vault.open(user.subject, "login_user.subject", user.id)
        return OrderRequest(
            number=order_name(payment.id, parts).number,
            method=method,
            parts=tuple(
                OrderPart(part.order_number, part.merchant, part.amount_fen, part.description) for part in parts
            ),
            expires_at=payment.expires_at,
            notify_url=connected.notify_url,
            payer=payer,
            payer_ip=payer_ip if method is Method.H5 else None,
            return_url=f"{self._return_url}?payment={payment.id}" if method in (Method.H5, Method.WAP) else None,
        )

    async def _open(self, payment: Payment, order: OrderRequest) -> None:
        try:
            opened = await self._providers.get(payment.provider).provider.create_order(order)
        except NotSent as error:
            raise ProviderBusy from error
        except OutcomeUnknown as error:
            await self._note(payment, "order_lost", SYSTEM)
            failpoint("payment.order_lost_committed")
            raise ProviderBusy from error
        except ProviderRefused as error:
            if error.kind in (FailureKind.TEMPORARY, FailureKind.UNKNOWN):
                raise ProviderBusy from error
            await self._note(payment, "order_refused", Actor("provider", payment.provider), reason=error.provider_code)
            failpoint("payment.order_refused_committed")
            if payment.status != PaymentStatus.FAILED:
                return  # A second call has opened it, or a close has ended it, meanwhile: that stands.
            raise OrderRefused(provider_code=error.provider_code) from error
        failpoint("payment.order_answered")
        await self._note(
            payment, "order_opened", Actor("provider", payment.provider), columns={"handle": opened.handle}
        )
        failpoint("payment.awaiting_committed")

    async def _note(
        self,
        payment: Payment,
        event: str,
        actor: Actor,
        reason: str | None = None,
        columns: dict[str, str] | None = None,
    ) -> None:
        """Write what became of the order, unless the payment has gone on meanwhile (a notice, a close, a second call)."""
        if not PAYMENT.allows(str(payment.status), event):
            return
        try:
            async with transaction():
                await move(PAYMENT, payment, event, actor, reason=reason, columns=columns)
                if event == "order_refused":
                    await free_claims(payment.id)
        except StaleState:
            await payment.refresh_from_db()
