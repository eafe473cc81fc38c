"""What a provider's word does to a payment: money received, an order closed, money returned.

Paid needs a verified notice or a verified answer to a query, whose merchant, app, order number, amount and currency equal ours.
Applying the same fact again, late or out of order, changes nothing.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from models import audit
from models.lifecycle import Actor, move
from models.payment import ORDER_NUMBER_CHARS, PAYMENT, Payment, PaymentPart, PaymentStatus
from payments import ledger
from payments.parts import order_name, parts_of
from payments.providers.port import ExpectedTrade, OrderTrades, Trade, TradeState, trade_matches
from payments.providers.registry import Providers

log = get_logger(__name__)


class TradeMismatch(LianbanError):
    """A verified word about money that is not ours to the fen; nothing is booked, a person must look."""

    code = "payment_trade_mismatch"


_FREE = """
update claim set freed_at = $2 where payment_id = $1 and freed_at is null
  and ($3::uuid is null or id in (select id from payment_line where part_id = $3))
"""


async def free_claims(payment_id: UUID, part_id: UUID | None = None) -> None:
    """End the hold of a payment, or of one of its parts, on what it was to pay, in the caller's transaction."""
    await fetch(_FREE, payment_id, clock.now(), part_id)


class Settling:
    """Applies the providers' words about orders."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def apply(self, provider: str, order: OrderTrades) -> str:
        """Apply a verified word; what it did: ``received``, ``late``, ``already``, ``not_paid`` or ``unknown_order``.

        All parts of a payment are paid together or not at all, so all are received in one commit, or none is.

        Raises:
            TradeMismatch: it claims money for one of our orders but differs from our rows.
        """
        # A merchant of its own may have other systems whose numbers are longer than ours: they are none of ours.
        named = {trade.order_no for trade in order.trades if len(trade.order_no) <= ORDER_NUMBER_CHARS}
        known = await PaymentPart.filter(order_number__in=list(named), provider=provider).first()
        if known is None:
            log.error("payment.unknown_order", provider=provider)
            return "unknown_order"
        if not any(trade.state.was_paid for trade in order.trades):
            return "not_paid"
        parts = await parts_of(known.payment_id)
        wrong = self._wrong(provider, order, parts)
        if wrong:
            await self._refuse(provider, known, sorted(set(wrong)))
        return await self._receive(provider, {trade.order_no: trade for trade in order.trades}, parts)

    def _wrong(self, provider: str, order: OrderTrades, parts: Sequence[PaymentPart]) -> list[str]:
        """The names of all fields in which the word differs from our rows."""
        ours = self._providers.get(provider).provider
        said = {trade.order_no: trade for trade in order.trades}
        wrong: list[str] = []
        if order.number != order_name(parts[0].payment_id, parts).number:
            wrong.append("order_number")
        if len(said) != len(order.trades) or said.keys() != {part.order_number for part in parts}:
            return [*wrong, "parts"]
        for part in parts:
            trade = said[part.order_number]
            expected = ExpectedTrade(
                part.order_number, ours.platform_merchant, part.merchant, ours.app, part.amount_fen
            )
            wrong += trade_matches(trade, expected)
            if trade.transaction_id is None:
                wrong.append("transaction_id")
            if not trade.state.was_paid or (trade.state is TradeState.REFUNDED and part.received_fen is None):
                # Paid in part only, or given back before we ever saw it: nothing of it may be posted.
                wrong.append("trade_state")
        return wrong

    async def _refuse(self, provider: str, part: PaymentPart, wrong: list[str]) -> None:
        detail = ",".join(wrong)[:200]
        async with transaction():
            # Asked again and again, it says the same: that is one fact.
            known = await audit.AuditEntry.exists(
                action="payment.trade_mismatch", subject="payment_part", subject_id=str(part.id), detail=detail
            )
            if not known:
                await audit.record(
                    Actor("provider", provider), "payment.trade_mismatch", "payment_part", part.id, detail
                )
        failpoint("payment.mismatch_committed")
        log.error("payment.trade_mismatch", part_id=str(part.id), fields=wrong)
        raise TradeMismatch(fields=wrong)

    async def _receive(self, provider: str, trades: Mapping[str, Trade], parts: Sequence[PaymentPart]) -> str:
        last = max((trade.succeeded_at for trade in trades.values() if trade.succeeded_at), default=clock.now())
        async with transaction():
            payment = await Payment.filter(id=parts[0].payment_id).select_for_update().get()
            if not PAYMENT.allows(str(payment.status), "money_received"):
                return "already"
            await move(PAYMENT, payment, "money_received", Actor("provider", provider), columns={"paid_at": last})
            for part in parts:
                trade = trades[part.order_number]
                await PaymentPart.filter(id=part.id).update(
                    provider_transaction=trade.transaction_id, received_fen=trade.amount_fen
                )
                await ledger.book(
                    "received",
                    "payment_part",
                    part.id,
                    provider=provider,
                    merchant=part.merchant,
                    amount_fen=part.amount_fen,
                )
            failpoint("payment.received_before_commit")
        failpoint("payment.received_committed")
        log.info("payment.received", payment_id=str(payment.id), status=str(payment.status))
        return "late" if payment.status == PaymentStatus.RECEIVED_LATE else "received"
