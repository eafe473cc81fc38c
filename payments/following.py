"""Following a payment until it ends, also when no notice ever comes; and closing it, which asks the provider first."""

from datetime import timedelta
from uuid import UUID

from cities.schema import City
from core import clock
from core.database import transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import MalformedAnswer, OutboundError
from core.queue import enqueue
from models.lifecycle import SYSTEM, Actor, StaleState, move
from models.payment import LIVE_STATUSES, PAYMENT, Payment, PaymentStatus
from payments.opening import WATCH_TASK
from payments.parts import order_name, parts_of
from payments.providers.port import UNKNOWN_ORDER_UNVERIFIED, CloseOutcome, ProviderRefused
from payments.providers.registry import MethodNotOffered, Providers
from payments.settling import Settling, TradeMismatch, free_claims

log = get_logger(__name__)

LAST_LOOK_TASK = "payments.last_look"
LAST_LOOK_AFTER = timedelta(minutes=1)
"""After the end of the order, for a payer who confirmed at its last moment."""


class PaymentUnclear(LianbanError):
    """The provider gave no answer, or none that can be believed: whether the payment was paid is not known yet."""

    code = "payment_unclear"


class Follower:
    """Asks the provider about open orders, and closes those whose time is up."""

    def __init__(self, providers: Providers, settling: Settling, city: City) -> None:
        self._providers = providers
        self._settling = settling
        self._city = city

    async def watch(self, payment_id: UUID, step: int) -> None:
        """One look at a payment: query it, close it when its time is up, and plan the next look while it is live."""
        payment = await Payment.get_or_none(id=payment_id)
        if payment is None or payment.status not in LIVE_STATUSES:
            return
        try:
            if payment.expires_at <= clock.now() or payment.status == PaymentStatus.CLOSING:
                await self.close(payment, Actor("system"))
            elif payment.status != PaymentStatus.CREATED:
                await self.query(payment)
        except (OutboundError, ProviderRefused, TradeMismatch, MethodNotOffered) as error:
            log.warning("payment.watch_postponed", payment_id=str(payment_id), error_code=error.code)
            if isinstance(error, MalformedAnswer) and error.reason == UNKNOWN_ORDER_UNVERIFIED:
                await self._lapse(payment)
        await payment.refresh_from_db()
        if payment.status in LIVE_STATUSES:
            # A payment whose time is up by the next look is looked at just when it is.
            now = clock.now()
            pauses = self._city.payment_rules(clock.today()).order.query_after
            next_look = now + pauses[min(step + 1, len(pauses) - 1)]
            if payment.expires_at > now:
                next_look = min(next_look, payment.expires_at)
            async with transaction():
                await enqueue(WATCH_TASK, at=next_look, payment_id=payment_id, step=step + 1)
            failpoint("payment.watch_planned_committed")

    async def query(self, payment: Payment) -> None:
        """Ask the provider what became of the order and apply the answer."""
        provider = self._providers.get(payment.provider).provider
        trades = await provider.query(order_name(payment.id, await parts_of(payment.id)))
        failpoint("payment.queried")
        if trades is not None:
            await self._settling.apply(payment.provider, trades)
        await payment.refresh_from_db()

    async def close(self, payment: Payment, actor: Actor) -> None:
        """Close a live payment: at the provider first, then here. Paid in the meantime, it succeeds instead; over, it stays as it is.

        Afterwards `payment.status` says which: closed, succeeded, or still closing.

        Raises:
            OutboundError: the provider did not answer; the payment stays in ``closing`` and is tried again.
        """
        if payment.status not in LIVE_STATUSES:
            return
        try:
            if payment.status == PaymentStatus.CREATED:
                async with transaction():
                    await move(PAYMENT, payment, "abandon", actor)
                    await free_claims(payment.id)
                failpoint("payment.abandoned_committed")
                return
            if payment.status != PaymentStatus.CLOSING:
                async with transaction():
                    await move(PAYMENT, payment, "close", actor)
                failpoint("payment.closing_committed")
            await self._close_at_provider(payment)
        except StaleState:
            await payment.refresh_from_db()

    async def last_look(self, payment_id: UUID) -> None:
        """Ask once more about an order that the provider did not know when it was closed here, when nobody can open it any more.

        Its address may have been opened and paid meanwhile and the notice lost: then the money is late, and goes back by itself.

        Raises:
            OutboundError, ProviderRefused: no answer; the job is tried again.
        """
        payment = await Payment.get(id=payment_id)
        if payment.status != PaymentStatus.CLOSED:
            return
        try:
            await self.query(payment)
        except TradeMismatch:
            return  # recorded, and a person's to look at
        except MalformedAnswer as error:
            if error.reason != UNKNOWN_ORDER_UNVERIFIED:
                raise

    async def _lapse(self, payment: Payment) -> None:
        """End a payment whose time is up and whose order the provider does not know, though it does not sign that.

        Unsigned it is no fact, and waiting for one could hold the bills for ever. Nobody can open or pay the order any more; money
        that came all the same would be late and go back by itself.
        """
        if payment.expires_at > clock.now():
            return
        try:
            async with transaction():
                await move(PAYMENT, payment, "lapse", SYSTEM, reason=UNKNOWN_ORDER_UNVERIFIED)
                await free_claims(payment.id)
        except StaleState:
            await payment.refresh_from_db()
        failpoint("payment.lapsed_committed")

    async def _close_at_provider(self, payment: Payment) -> None:
        provider = self._providers.get(payment.provider).provider
        outcome = await provider.close(order_name(payment.id, await parts_of(payment.id)))
        failpoint("payment.close_answered")
        if outcome is CloseOutcome.ALREADY_PAID:
            await self.query(payment)
            return
        async with transaction():
            await move(PAYMENT, payment, "order_closed", Actor("provider", payment.provider))
            await free_claims(payment.id)
            if outcome is CloseOutcome.UNKNOWN_ORDER:
                await enqueue(LAST_LOOK_TASK, at=payment.expires_at + LAST_LOOK_AFTER, payment_id=payment.id)
        failpoint("payment.closed_committed")
