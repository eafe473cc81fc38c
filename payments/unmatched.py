"""Payments that the provider calls paid in words that never match our rows: nothing is booked, and only people can end them.

Whoever has looked at the provider's own pages says what it was, another agrees, and the payment ends as failed: its bills are free.
A word that matches after all is money that comes late, and goes back by itself.
"""

from typing import Any
from uuid import UUID

from core import clock
from core.database import fetch, transaction
from core.errors import LianbanError
from core.log import get_logger
from models import audit
from models.lifecycle import Actor, move
from models.payment import LIVE_STATUSES, PAYMENT, Payment
from payments.consent import is_agreed
from payments.settling import free_claims

log = get_logger(__name__)

_UNMATCHED = """
select p.id, p.status, p.provider, p.total_fen, p.expires_at, min(a.at) as since, string_agg(distinct a.detail, ',') as fields
from payment p join payment_part part on part.payment_id = p.id
join audit a on a.subject = 'payment_part' and a.subject_id = part.id::text and a.action = 'payment.trade_mismatch'
where p.status = any($1::text[]) and p.expires_at <= $2 and ($3::uuid is null or p.id = $3)
group by p.id order by since
"""


class NothingUnmatched(LianbanError):
    """This payment is over, can still be paid, or nothing was said about it that does not match."""

    code = "nothing_unmatched"


class AgreementMissing(LianbanError):
    """A payment ends by hand with a reason of 1 to 200 characters, and with the consent of a second person, named in 1 to 60."""

    code = "payment_consent_missing"


async def unmatched(payment_id: UUID | None = None) -> list[dict[str, Any]]:
    """Live payments whose time is up and about which a verified word did not match, oldest first.

    Each with `id`, `status`, `provider`, `total_fen`, `expires_at`, `since` (the first such word) and `fields`, what did not match.
    """
    return [dict(row) for row in await fetch(_UNMATCHED, list(LIVE_STATUSES), clock.now(), payment_id)]


async def give_up(payment_id: UUID, actor: Actor, reason: str, approver: str) -> None:
    """End such a payment as failed, and free its bills. What became of the money at the provider is for people to see to.

    Raises:
        AgreementMissing: nobody else has agreed, or no reason is given. NothingUnmatched: see there.
        models.lifecycle.StaleState: it has just gone on by itself.
    """
    reason, approver = reason.strip(), approver.strip()
    if not is_agreed(actor, reason, approver):
        raise AgreementMissing
    async with transaction():
        payment = await Payment.filter(id=payment_id).select_for_update().get_or_none()
        if payment is None or not await unmatched(payment_id):
            raise NothingUnmatched
        await move(PAYMENT, payment, "correct_to_failed", actor, reason=reason, approver=approver)
        await free_claims(payment.id)
        await audit.record(actor, "payment.given_up", "payment", payment.id, reason)
    log.warning("payment.given_up", payment_id=str(payment_id))
