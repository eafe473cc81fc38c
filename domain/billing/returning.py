"""Refunds by hand: for money that has come in, that no company has, and that does not go back by itself any more."""

from uuid import UUID

from core.database import fetch
from core.errors import LianbanError
from domain.billing.telling import refund_reason
from models.payment import PaymentPart
from models.posting import Posting
from models.refund import Refund
from payments.consent import is_agreed
from payments.refunding import ByHand, request

_KEPT = """
select part.id from payment_part part join payment p on p.id = part.payment_id
where p.id = $1 and part.received_fen is not null
  and not exists (select 1 from refund r where r.part_id = part.id and r.status <> 'closed')
  and not exists (select 1 from posting s where s.part_id = part.id and s.status <> 'refused')
  and (p.status = 'received_late' or exists (select 1 from posting s where s.part_id = part.id))
"""


class NothingToReturn(LianbanError):
    """Nothing of this payment is kept: it was not received, a company has it or is being told, or it is going back or has gone."""

    code = "nothing_to_return"


class ApproverMissing(LianbanError):
    """A refund by hand takes a reason of 1 to 200 characters and a second person of 1 to 60, who is not the one who asks for it."""

    code = "approver_missing"


async def return_again(payment_id: UUID, by_hand: ByHand) -> list[UUID]:
    """Request the refund of everything received for a payment that is neither posted nor going back; the refunds' ids.

    Raises:
        NothingToReturn: there is no such money. ApproverMissing: nobody else has agreed, or no reason is given.
    """
    by_hand = by_hand._replace(approver=by_hand.approver.strip(), why=by_hand.why.strip())
    if not is_agreed(by_hand.actor, by_hand.why, by_hand.approver):
        raise ApproverMissing
    requested: list[UUID] = []
    for row in await fetch(_KEPT, payment_id):
        part = await PaymentPart.get(id=row["id"])
        if refund_id := await request(part, await _reason(part), by_hand):
            requested.append(refund_id)
    if not requested:
        raise NothingToReturn
    return requested


async def _reason(part: PaymentPart) -> str:
    """What the payer reads: as before; without an earlier refund, why the money has no other way."""
    if refund := await Refund.filter(part_id=part.id).order_by("-created_at").first():
        return refund.reason
    posting = await Posting.filter(part_id=part.id).order_by("-created_at").first()
    return refund_reason(posting) if posting else "paid_late"
