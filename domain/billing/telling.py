"""Telling people what became of their payments and bindings: from an event to the values of a message of the city's catalogue."""

from datetime import datetime
from typing import Any
from uuid import UUID

from cities.schema import City
from core import clock
from core.database import fetch
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import OutboundError
from domain.billing.accounts import Accounts
from domain.companies import Companies
from gateways.companies import CompanyRefusal, HolderNotice
from models.acting import ActingSession
from models.bill import TOP_UP, Quote
from models.lifecycle import Event
from models.mandate import agents_of
from models.payment import Payment, PaymentPart
from models.posting import POSTING, Posting
from models.refund import MOST_BY_ITSELF, Refund
from models.session import Session
from models.utility_account import Binding, UtilityAccount
from notifications.intents import Intents

log = get_logger(__name__)

REFUND_REASONS = {
    "EP0001": "quote_expired",
    "EP0002": "amount_changed",
    "EP0003": "already_paid",
    "EP0004": "account_closed",
}
"""A company's refusal code → the reason the payer reads."""

_REVOKED_BY = {"holder": "holder_objected", "earlier_binder": "earlier_binder"}

_PARTS = """
select q.account_id, q.purpose, part.payee, part.amount_fen from payment_part part join quote q on q.id = part.quote_id
where part.payment_id = $1 and ($2::uuid is null or part.id = $2) order by part.id
"""


def refund_reason(posting: Posting) -> str:
    """Why the payer gets his money back when the company did not take it."""
    if posting.refusal_code is None:
        return "no_answer"
    return REFUND_REASONS.get(posting.refusal_code, "company_refused")


class Telling:
    """Turns events into message intents."""

    def __init__(self, city: City, companies: Companies, accounts: Accounts, intents: Intents) -> None:
        self._city = city
        self._companies = companies
        self._accounts = accounts
        self._intents = intents

    async def payment_succeeded(self, event: Event) -> None:
        """The payer: received, being posted."""
        payment = await Payment.get(id=event.subject_id)
        await self._tell_payer(event, "payment.succeeded", payment.id, payment.paid_at)

    async def payment_given_up(self, event: Event) -> None:
        """The payer: people have ended it, since what the provider says of it does not match."""
        await self._tell_payer(event, "payment.given_up", event.subject_id, event.at)

    async def posting_posted(self, event: Event) -> None:
        """The payer: the company has recorded it."""
        posting = await Posting.get(id=event.subject_id)
        await self._tell_payer(event, "payment.posted", posting.payment_id, posting.ended_at, part_id=posting.part_id)

    async def posting_delayed(self, event: Event) -> None:
        """The payer: received, but the company takes longer than usual; not when it has answered meanwhile."""
        posting = await Posting.get(id=event.subject_id)
        if posting.status not in POSTING.terminal:
            payment = await Payment.get(id=posting.payment_id)
            await self._tell_payer(
                event, "payment.posting_delayed", payment.id, payment.paid_at, part_id=posting.part_id
            )

    async def refund_requested(self, event: Event) -> None:
        """The payer: his money is on its way back, and why; not of those that we ask for by ourselves after a closed one."""
        refund = await Refund.get(id=event.subject_id)
        if 1 < await refund.place() <= MOST_BY_ITSELF:
            return
        await self._tell_payer(
            event,
            "payment.refund_started",
            refund.payment_id,
            refund.created_at,
            part_id=refund.part_id,
            refund_reason=refund.reason,
            refund_next=await self._purpose(refund.part_id),
        )

    async def refund_succeeded(self, event: Event) -> None:
        """The payer: his money is back."""
        refund = await Refund.get(id=event.subject_id)
        await self._tell_payer(event, "payment.refunded", refund.payment_id, refund.ended_at, part_id=refund.part_id)

    async def refund_stuck(self, event: Event) -> None:
        """The payer: the way back is blocked, people are on it."""
        refund = await Refund.get(id=event.subject_id)
        await self._tell_payer(event, "payment.refund_stuck", refund.payment_id, event.at, part_id=refund.part_id)

    async def refund_closed(self, event: Event) -> None:
        """The payer, when no other refund follows by itself: the way back is blocked."""
        refund = await Refund.get(id=event.subject_id)
        if await refund.place() >= MOST_BY_ITSELF:
            await self.refund_stuck(event)

    async def binding_created(self, event: Event) -> None:
        """The earlier binders, on our side; the holder, through his company."""
        binding = await Binding.get(id=event.subject_id).prefetch_related("account")
        account: UtilityAccount = binding.account
        values = {
            "company": self._short_name(account),
            "account_number": self._accounts.number(account),
            "at": binding.created_at,
            "account_id": str(account.id),
        }
        for earlier in await Binding.filter(account_id=account.id, revoked_at=None, created_at__lt=binding.created_at):
            for person_id in await _people_of(earlier):
                if person_id != binding.person_id:
                    await self._intents.intend("binding.created", event.id, person_id, values)

    async def holder_of_binding(self, event: Event) -> None:
        """The company tells the holder on its record; raises what the gateway raises, so the job is tried again."""
        binding = await Binding.get(id=event.subject_id).prefetch_related("account")
        company = self._companies.get(binding.account.company)
        notice = HolderNotice(
            notice_id=str(event.id),
            account_number=self._accounts.number(binding.account),
            kind="binding_created",
            binding_ref=binding.reference,
            at=binding.created_at,
        )
        try:
            await company.gateway.holder_notice(notice)
        except (OutboundError, CompanyRefusal) as error:
            log.warning("holder_notice.postponed", binding_id=str(binding.id), error_code=error.code)
            raise
        failpoint("holder_notice.accepted")

    async def binding_revoked(self, event: Event) -> None:
        """The binder, unless he ended it himself."""
        binding = await Binding.get(id=event.subject_id).prefetch_related("account")
        reason = _REVOKED_BY.get(binding.revoked_by or "")
        if reason is None:
            return
        account: UtilityAccount = binding.account
        values = {
            "company": self._short_name(account),
            "account_number": self._accounts.number(account),
            "at": binding.revoked_at,
            "revocation_reason": reason,
        }
        for person_id in await _people_of(binding):
            await self._intents.intend("binding.revoked", event.id, person_id, values)

    async def session_reuse(self, event: Event) -> None:
        """The owner of a session whose refresh token was used twice."""
        session = await Session.get(id=event.subject_id)
        await self._intents.intend(
            "session.reuse_detected", event.id, session.person_id, {"at": session.ended_at or clock.now()}
        )

    async def acting_opened(self, event: Event) -> None:
        """The citizen for whom a clerk begins to act."""
        session = await ActingSession.get(id=event.subject_id)
        unit = self._city.staff.unit(session.unit)
        values = {"hall": unit.name if unit else session.unit, "at": session.created_at}
        await self._intents.intend("acting.opened", event.id, session.person_id, values)

    async def _tell_payer(
        self,
        event: Event,
        kind: str,
        payment_id: UUID,
        at: datetime | None,
        *,
        part_id: UUID | None = None,
        **more: Any,
    ) -> None:
        """Tell the payer about a payment, or about one of its parts; of several companies at once the message names the first."""
        payment = await Payment.get(id=payment_id)
        rows = await fetch(_PARTS, payment.id, part_id)
        if not rows:
            log.error("telling.no_account", payment_id=str(payment.id))
            return
        account = await UtilityAccount.get(id=rows[0]["account_id"])
        company = self._short_name(account)
        bill_names = list(dict.fromkeys(self._paid_for(row["payee"], row["purpose"]) for row in rows))
        values = {
            "company": company if len(rows) == 1 else f"{company[:6]}等{len(rows)}笔",
            "bill_name": bill_names[0] if len(bill_names) == 1 else "水电气网费",
            "account_number": self._accounts.number(account),
            "amount_fen": sum(row["amount_fen"] for row in rows),
            "at": at or event.at,
            "payment_id": str(payment.id),
        }
        for person_id in await _people_of(payment, payment.actor_user_id):
            await self._intents.intend(kind, event.id, person_id, values | more)

    async def _purpose(self, part_id: UUID) -> str:
        """What a part was for: bills or top_up."""
        part = await PaymentPart.get(id=part_id)
        return (await Quote.get(id=part.quote_id)).purpose

    def _paid_for(self, company: str, purpose: str) -> str:
        bill_name = self._city.company(company).bill_name
        return f"预存{bill_name}" if purpose == TOP_UP else bill_name

    def _short_name(self, account: UtilityAccount) -> str:
        return self._city.company(account.company).short_name


async def _people_of(row: Payment | Binding, actor_user_id: UUID | None = None) -> list[UUID]:
    """Whom something concerns: the person it belongs to, or those who act for the organization now."""
    if row.organization_id is not None:
        return await agents_of(row.organization_id, actor_user_id)
    return [row.person_id]
