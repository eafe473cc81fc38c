"""The parts of a payment, and what its order is called at the provider."""

from collections.abc import Sequence
from uuid import UUID

from models.payment import PaymentPart
from payments.providers.port import OrderName


async def parts_of(payment_id: UUID) -> list[PaymentPart]:
    """The parts in the order in which they were made, which is the order of every list sent to a provider."""
    return await PaymentPart.filter(payment_id=payment_id).order_by("id")


def order_name(payment_id: UUID, parts: Sequence[PaymentPart]) -> OrderName:
    """One part: its own number. Several: a combined order, whose number is made from the payment's id, never from the time."""
    number = parts[0].order_number if len(parts) == 1 else payment_id.hex
    return OrderName(number, tuple((part.order_number, part.merchant) for part in parts))
