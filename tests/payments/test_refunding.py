"""Refunds: asked for once under one number, followed to their end also when their way back is blocked, never given up in silence."""

import pytest

from models.payment import Claim, Payment
from models.refund import Refund
from tests.harness.spine import MINUTE, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _paid_late(spine: Spine, citizen: Citizen) -> Payment:
    """A payment whose money has come after its end, its refund requested."""
    payment = await spine.payment(citizen, await spine.account(FEN))
    order_no = await spine.pay(citizen, payment)
    await Payment.filter(id=payment.id).update(status="closed")
    await Claim.filter(payment_id=payment.id).update(freed_at=payment.expires_at)
    await spine.notify(order_no)
    return payment
