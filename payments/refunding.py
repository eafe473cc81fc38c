"""Refunds: requested in the commit that finds the reason, submitted by a job under one number for ever, followed to their end."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.database import transaction, violated_constraint
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import OutboundError
from core.queue import enqueue
from models import audit
from models.lifecycle import SYSTEM, Actor, born, move
from models.payment import PAYMENT, Payment, PaymentPart
from models.refund import MOST_BY_ITSELF, REFUND, Refund, RefundStatus
from payments import ledger
from payments.providers.port import (
    FailureKind,
    ProviderRefused,
    RefundAnswer,
    RefundRequest,
    RefundState,
    refund_matches,
)
from payments.providers.registry import Providers
from payments.settling import free_claims

log = get_logger(__name__)

SUBMIT_TASK = "payments.follow_refund"
_EVENTS = {
    RefundState.SUCCESS: "succeeded",
    RefundState.ABNORMAL: "abnormal",
    RefundState.CLOSED: "closed",
    RefundState.PROCESSING: "accepted",
}


class RefundMismatch(LianbanError):
    """A verified word about a refund that differs from what was asked; nothing is booked, a person must look."""

    code = "payment_refund_mismatch"


class ByHand(NamedTuple):
    """A person asks for a refund: who, who else has agreed, and why."""

    actor: Actor
    approver: str
    why: str


async def request_full(payment: Payment, reason: str) -> None:
    """Request the return of everything received for `payment`, once per part, in a transaction of its own. May be repeated."""
    for part in await PaymentPart.filter(payment_id=payment.id, received_fen__isnull=False):
        await request(part, reason)


async def request(part: PaymentPart, reason: str, by_hand: ByHand | None = None) -> UUID | None:
    """Request the return of what was received for `part`; the refund's id, or None when it has one that is not closed."""
    refund_id = ids.new_id()
    refund = Refund(
        id=refund_id,
        status=RefundStatus.REQUESTED,
        payment_id=part.payment_id,
        part_id=part.id,
        refund_number=refund_id.hex,
        amount_fen=part.received_fen,
        reason=reason,
        created_at=clock.now(),
    )
    try:
        async with transaction():
            await refund.save(force_create=True)
            await _journal(refund, by_hand)
            await enqueue(SUBMIT_TASK, refund_id=refund.id, step=0)
    except Exception as error:
        if violated_constraint(error) not in ("refund_live_once_per_part", "refund_within_part"):
            raise
        return None
    failpoint("refund.requested_committed")
    return refund_id


async def request_again(refund_id: UUID) -> None:
    """After a refund that the provider has closed: a new one under a new number, as long as the part has had few. May be repeated."""
    refund = await Refund.get(id=refund_id)
    if await Refund.filter(part_id=refund.part_id).count() < MOST_BY_ITSELF:
        await request(await PaymentPart.get(id=refund.part_id), refund.reason)
    elif not await Refund.filter(part_id=refund.part_id).exclude(status=RefundStatus.CLOSED).exists():
        log.error("refund.closed_for_good", refund_id=str(refund_id), payment_id=str(refund.payment_id))


async def _journal(refund: Refund, by_hand: ByHand | None) -> None:
    if by_hand is None:
        await born(REFUND, refund, SYSTEM, announces="refund.requested", reason=refund.reason)
        return
    actor, approver, why = by_hand
    await born(REFUND, refund, actor, announces="refund.requested", reason=why, approver=approver)
    await audit.record(actor, "refund.requested_by_hand", "refund", refund.id, f"payment {refund.payment_id}")


class Refunding:
    """Submits refunds and applies the provider's word about them."""

    def __init__(self, providers: Providers, reasons: Mapping[str, str], city: City) -> None:
        """`reasons`: the words a payer reads at the provider, by our reason code."""
        self._providers = providers
        self._reasons = reasons
        self._city = city

    async def follow(self, refund_id: UUID, step: int) -> None:
        """One step of a refund: submit it, or ask about it; plan the next step until it has ended.

        One whose way back is blocked is asked about too: people unblock it at the provider, under the same number.
        """
        refund = await Refund.get(id=refund_id)
        if refund.status in REFUND.terminal:
            return
        is_new = refund.status == RefundStatus.REQUESTED
        if is_new:
            async with transaction():
                await move(REFUND, refund, "submit", SYSTEM)
            failpoint("refund.submitting_committed")
        try:
            answer = await self._asked_or_told(refund, is_new)
            failpoint("refund.answered")
            await self.apply(await self._provider_of(refund), answer)
        except (OutboundError, ProviderRefused, RefundMismatch) as error:
            log.warning(
                "refund.postponed",
                refund_id=str(refund_id),
                error_code=error.code,
                provider_word=getattr(error, "provider_code", None),
            )
            if isinstance(error, ProviderRefused) and error.kind is FailureKind.PERMANENT:
                await self._blocked(refund, error.provider, error.provider_code)
        await refund.refresh_from_db()
        if refund.status not in REFUND.terminal:
            pauses = self._city.payment_rules(clock.today()).refund.retry_after
            next_look = clock.now() + pauses[min(step, len(pauses) - 1)]
            async with transaction():
                await enqueue(SUBMIT_TASK, at=next_look, refund_id=refund_id, step=step + 1)
            failpoint("refund.planned_committed")

    async def _provider_of(self, refund: Refund) -> str:
        return (await PaymentPart.get(id=refund.part_id)).provider

    async def _asked_or_told(self, refund: Refund, is_new: bool) -> RefundAnswer:
        """What the provider knows of the refund; one it has never heard of is submitted, always under the same number."""
        part = await PaymentPart.get(id=refund.part_id)
        provider = self._providers.get(part.provider).provider
        asked = self._asked(refund, part)
        return (None if is_new else await provider.query_refund(asked)) or await provider.refund(asked)

    async def _blocked(self, refund: Refund, provider: str, provider_code: str) -> None:
        """The provider refuses for good what it has not begun: a person must look, and the payer is told."""
        async with transaction():
            refund = await Refund.filter(id=refund.id).select_for_update().get()
            if refund.status != RefundStatus.SUBMITTING:
                return
            await move(REFUND, refund, "abnormal", Actor("provider", provider), reason=provider_code)
        failpoint("refund.blocked_committed")
        log.error("refund.refused", refund_id=str(refund.id), provider_word=provider_code)

    async def apply(self, provider: str, answer: RefundAnswer) -> str:
        """Apply a verified word about a refund; what it did: the lifecycle event, ``already`` or ``unknown_refund``.

        Raises:
            RefundMismatch: it differs from what was asked.
        """
        refund = await Refund.get_or_none(refund_number=answer.refund_no)
        part = None if refund is None else await PaymentPart.get(id=refund.part_id)
        if refund is None or part is None or part.provider != provider:
            log.error("refund.unknown", provider=provider)
            return "unknown_refund"
        if wrong := self._wrong(answer, refund, part):
            log.error("refund.mismatch", refund_id=str(refund.id), fields=wrong)
            raise RefundMismatch(fields=wrong)
        event = _EVENTS[answer.state]
        async with transaction():
            payment = await Payment.filter(id=refund.payment_id).select_for_update().get()
            refund = await Refund.filter(id=refund.id).select_for_update().get()
            if not REFUND.allows(str(refund.status), event):
                return "already"
            ended = {} if event in ("accepted", "abnormal") else {"ended_at": clock.now()}
            await move(
                REFUND,
                refund,
                event,
                Actor("provider", part.provider),
                columns={"provider_refund": answer.refund_id, **ended},
            )
            if event == "succeeded":
                await self._book(payment, part, refund)
            failpoint("refund.applied_before_commit")
        failpoint("refund.applied_committed")
        return event

    def _wrong(self, answer: RefundAnswer, refund: Refund, part: PaymentPart) -> list[str]:
        """The names of all fields in which the word differs from our rows; what the provider may leave out is compared when stated."""
        stated = {
            "platform_merchant": (
                answer.platform_merchant,
                self._providers.get(part.provider).provider.platform_merchant,
            ),
            "transaction_id": (answer.transaction_id, part.provider_transaction),
            "refund_id": (refund.provider_refund, answer.refund_id),
        }
        wrong = [name for name, (one, other) in stated.items() if one is not None and one != other]
        return refund_matches(answer, self._asked(refund, part)) + wrong

    async def _book(self, payment: Payment, part: PaymentPart, refund: Refund) -> None:
        await ledger.book(
            "refunded",
            "refund",
            refund.id,
            provider=part.provider,
            merchant=part.merchant,
            amount_fen=refund.amount_fen,
        )
        returned = await Refund.filter(payment_id=payment.id, status=RefundStatus.SUCCEEDED)
        if sum(row.amount_fen for row in returned if row.part_id == part.id) == part.received_fen:
            await free_claims(payment.id, part.id)
        if sum(row.amount_fen for row in returned) == payment.total_fen:
            await move(PAYMENT, payment, "money_returned", Actor("provider", part.provider))

    def _asked(self, refund: Refund, part: PaymentPart) -> RefundRequest:
        return RefundRequest(
            refund_no=refund.refund_number,
            order_no=part.order_number,
            merchant=part.merchant,
            refund_fen=refund.amount_fen,
            total_fen=part.amount_fen,
            reason=self._reasons[refund.reason],
            notify_url=self._providers.get(part.provider).refund_notify_url,
        )
