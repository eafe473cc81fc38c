"""What a provider's word does to a payment: money received, an order closed, money returned.

Paid needs a verified notice or a verified answer to a query, whose merchant, app, order number, amount and currency equal ours.
Applying the same fact again, late or out of order, changes nothing.
"""

from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from models import audit
from models.lifecycle import Actor, move
from models.payment import PAYMENT, Payment, PaymentPart, PaymentStatus
from payments import ledger
from payments.providers.port import ExpectedTrade, Trade, TradeState, trade_matches

log = get_logger(__name__)


class TradeMismatch(LianbanError):
    """A verified word about money that is not ours to the fen; nothing is booked, a person must look."""

    code = "payment_trade_mismatch"


async def free_claims(payment_id: UUID) -> None:
    """End the payment's hold on what it was to pay, in the caller's transaction."""
    await fetch("update claim set freed_at = $2 where payment_id = $1 and freed_at is null", payment_id, clock.now())


class Settling:
    """Applies trades of one platform merchant number."""

    def __init__(self, provider: str, platform_merchant: str, app: str) -> None:
        self._provider = provider
        self._platform_merchant = platform_merchant
        self._app = app

    async def apply(self, trade: Trade) -> str:
        """Apply a verified trade; what it did: ``received``, ``late``, ``already``, ``not_paid`` or ``unknown_order``.

        Raises:
            TradeMismatch: it claims money for one of our orders but differs from our rows.
        """
        part = await PaymentPart.get_or_none(order_number=trade.order_no, provider=self._provider)
        if part is None:
            log.error("payment.unknown_order", provider=self._provider)
            return "unknown_order"
        if not trade.state.was_paid:
            return "not_paid"
        expected = ExpectedTrade(part.order_number, self._platform_merchant, part.merchant, self._app, part.amount_fen)
        wrong = trade_matches(trade, expected)
        if trade.transaction_id is None:
            wrong.append("transaction_id")
        if trade.state is TradeState.REFUNDED and part.received_fen is None:
            # Somebody gave the money back before we ever saw it: nothing of it may be posted.
            wrong.append("trade_state")
        if wrong:
            await self._refuse(part, wrong)
        return await self._receive(part, trade)

    async def _refuse(self, part: PaymentPart, wrong: list[str]) -> None:
        async with transaction():
            await audit.record(
                Actor("provider", self._provider),
                "payment.trade_mismatch",
                "payment_part",
                part.id,
                ",".join(wrong)[:200],
            )
        failpoint("payment.mismatch_committed")
        log.error("payment.trade_mismatch", part_id=str(part.id), fields=wrong)
        raise TradeMismatch(fields=wrong)

    async def _receive(self, part: PaymentPart, trade: Trade) -> str:
        async with transaction():
            payment = await Payment.filter(id=part.payment_id).select_for_update().get()
            if not PAYMENT.allows(str(payment.status), "money_received"):
                return "already"
            await move(
                PAYMENT,
                payment,
                "money_received",
                Actor("provider", self._provider),
                columns={"paid_at": trade.succeeded_at or clock.now()},
            )
            await PaymentPart.filter(id=part.id).update(
                provider_transaction=trade.transaction_id, received_fen=trade.amount_fen
            )
            await ledger.book(
                "received",
                "payment_part",
                part.id,
                provider=self._provider,
                merchant=part.merchant,
                amount_fen=part.amount_fen,
            )
            failpoint("payment.received_before_commit")
        failpoint("payment.received_committed")
        log.info("payment.received", payment_id=str(payment.id), status=str(payment.status))
        return "late" if payment.status == PaymentStatus.RECEIVED_LATE else "received"
