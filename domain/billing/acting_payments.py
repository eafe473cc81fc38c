"""Payments that clerks have begun at a counter: which are whose, and that they end with the session they were begun in."""

from uuid import UUID

from core.errors import NotFound
from models.acting import ActingPayment
from models.lifecycle import SYSTEM
from models.payment import LIVE_STATUSES, Payment
from payments.following import Follower


class ActingPayments:
    """What was begun in sessions at counters."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    async def require(self, acting_id: UUID, payment_id: UUID) -> None:
        """That this payment was begun in this session.

        Raises:
            NotFound: it was not, or there is none.
        """
        if not await ActingPayment.filter(acting_id=acting_id, payment_id=payment_id).exists():
            raise NotFound("payment")

    async def close_all(self, acting_id: UUID) -> None:
        """The session is over: what nobody has paid is closed at its provider. Paid in the meantime, it stays paid.

        Raises:
            OutboundError, ProviderRefused, TradeMismatch: no clear answer; the job asks again.
        """
        begun = await ActingPayment.filter(acting_id=acting_id).values_list("payment_id", flat=True)
        for payment in await Payment.filter(id__in=begun, status__in=LIVE_STATUSES).order_by("id"):
            await self._follower.close(payment, SYSTEM)
