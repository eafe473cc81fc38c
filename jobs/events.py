"""Who listens to which event: all couplings between the rooms, in one table.

An event is dispatched by a job that enqueues one job per listener, each with the event's id, in the commit that marks the event as
dispatched.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from core import clock
from core.database import transaction
from core.failpoint import failpoint
from core.queue import enqueue
from domain.billing.telling import refund_reason
from domain.services import Services
from models.lifecycle import Event
from models.payment import Payment, PaymentPart
from models.posting import Posting
from payments import refunding

Listener = Callable[[Services, Event], Awaitable[None]]


async def open_posting(services: Services, event: Event) -> None:
    """Money has come in time: the company is to be told."""
    await services.posting.open(event.subject_id)


async def refund_late_money(services: Services, event: Event) -> None:
    """Money has come after the payment ended: it goes back."""
    await refunding.request_full(await Payment.get(id=event.subject_id), "paid_late")


async def refund_refused_posting(services: Services, event: Event) -> None:
    """The company has not taken the money: it goes back."""
    posting = await Posting.get(id=event.subject_id)
    await refunding.request(await PaymentPart.get(id=posting.part_id), refund_reason(posting))


async def refund_again(services: Services, event: Event) -> None:
    """The provider has closed a refund, with its number: the money goes back under another, a few times."""
    await refunding.request_again(event.subject_id)


async def tell_order(services: Services, event: Event) -> None:
    """Somebody has done something with an order: its applicant hears of it."""
    await services.application_telling.order(event)


async def follow_withdrawal(services: Services, event: Event) -> None:
    """An order is withdrawn: so is its case, when nothing else is left of it."""
    await services.withdrawing.follow(UUID(event.data["application_id"]))


async def tell_company(services: Services, event: Event) -> None:
    """Something became of an order, or of the appointment for it: its company is to hear."""
    await services.order_delivery.heard(event)


async def survey_follows(services: Services, event: Event) -> None:
    """An order came, was surveyed or ended: the appointment follows."""
    await services.surveys.orders_changed(UUID(event.data["application_id"]))


async def tell_survey(services: Services, event: Event) -> None:
    """Something became of an appointment: the applicant hears of it."""
    await services.survey_telling.survey(event)


async def record_cost(services: Services, event: Event) -> None:
    """An order was accepted, or what it asks for has changed: who bears its cost is recorded."""
    await services.order_costs.record(event.subject_id)


async def drop_cost(services: Services, event: Event) -> None:
    """An order comes to nothing: nobody bears anything."""
    await services.order_costs.drop(event.subject_id)


async def release_papers(services: Services, event: Event) -> None:
    """An order comes to nothing: a paper that was promised for it alone is not owed."""
    await services.tolerances.release_unneeded(UUID(event.data["application_id"]))


async def drop_permits(services: Services, event: Event) -> None:
    """An order has ended: its bureaus need not answer."""
    await services.permits.drop(event.subject_id)


async def return_status(services: Services, event: Event) -> None:
    """Something became of a pushed project, or of an order of one: the platform is to hear."""
    await services.push_reports.heard(event)


LISTENERS: dict[str, dict[str, Listener]] = {
    "payment.succeeded": {
        "billing.open_posting": open_posting,
        "telling.payment_succeeded": lambda services, event: services.telling.payment_succeeded(event),
        "telling.share_paid": lambda services, event: services.share_telling.paid(event),
    },
    "payment.received_late": {"payments.refund_late": refund_late_money},
    "payment.closed": {},
    "payment.failed": {},
    "payment.given_up": {"telling.payment_given_up": lambda services, event: services.telling.payment_given_up(event)},
    "posting.posted": {"telling.posting_posted": lambda services, event: services.telling.posting_posted(event)},
    "posting.delayed": {"telling.posting_delayed": lambda services, event: services.telling.posting_delayed(event)},
    "posting.refused": {"payments.refund_refused": refund_refused_posting},
    "refund.requested": {"telling.refund_requested": lambda services, event: services.telling.refund_requested(event)},
    "refund.succeeded": {"telling.refund_succeeded": lambda services, event: services.telling.refund_succeeded(event)},
    "refund.abnormal": {"telling.refund_abnormal": lambda services, event: services.telling.refund_stuck(event)},
    "refund.closed": {
        "payments.refund_again": refund_again,
        "telling.refund_closed": lambda services, event: services.telling.refund_closed(event),
    },
    "binding.created": {
        "telling.binding_created": lambda services, event: services.telling.binding_created(event),
        "telling.holder_of_binding": lambda services, event: services.telling.holder_of_binding(event),
    },
    "binding.revoked": {"telling.binding_revoked": lambda services, event: services.telling.binding_revoked(event)},
    "acting.ended": {
        "billing.close_acting_payments": lambda services, event: services.acting_payments.close_all(event.subject_id)
    },
    "acting.opened": {"telling.acting_opened": lambda services, event: services.telling.acting_opened(event)},
    "identity.proved_by_card": {"identity.tell_proved": lambda services, event: services.cards.tell(event)},
    "identity.joined": {"identity.tell_joined": lambda services, event: services.joining.tell(event)},
    "identity.parted": {"identity.tell_parted": lambda services, event: services.joining.tell(event)},
    "account_share.accepted": {
        "telling.share_accepted": lambda services, event: services.share_telling.accepted(event)
    },
    "account_share.ended": {"telling.share_ended": lambda services, event: services.share_telling.ended(event)},
    "mandate.accepted": {"telling.mandate_accepted": lambda services, event: services.mandate_telling.accepted(event)},
    "mandate.revoked": {"telling.mandate_revoked": lambda services, event: services.mandate_telling.revoked(event)},
    "mandate.ending": {"telling.mandate_ending": lambda services, event: services.mandate_telling.ending(event)},
    "mandate.expired": {"telling.mandate_expired": lambda services, event: services.mandate_telling.expired(event)},
    "material.quarantined": {
        "telling.material_quarantined": lambda services, event: services.material_telling.quarantined(event)
    },
    "application.filed": {
        "telling.application_filed": lambda services, event: services.application_telling.filed(event),
        "surveys.open": lambda services, event: services.surveys.open(event.subject_id),
    },
    "application.withdrawn": {
        "materials.release_promises": lambda services, event: services.tolerances.release_all(event.subject_id)
    },
    "platform_push.filed": {"platform.return_push_filed": return_status},
    "platform_push.stuck": {},
    "platform_push.dismissed": {"platform.return_push_dismissed": return_status},
    "application.paper_added": {"orders.tell_paper_added": tell_company},
    "service_order.created": {
        "orders.tell_order_created": tell_company,
        "surveys.follow_order_created": survey_follows,
    },
    "service_order.received": {},
    "service_order.accepted": {"telling.order_accepted": tell_order, "costs.record_accepted": record_cost},
    "service_order.sent_back": {"telling.order_sent_back": tell_order},
    "service_order.refused": {
        "telling.order_refused": tell_order,
        "materials.release_refused": release_papers,
        "surveys.follow_order_refused": survey_follows,
    },
    "service_order.failed": {
        "telling.order_failed": tell_order,
        "costs.drop_failed": drop_cost,
        "materials.release_failed": release_papers,
        "permits.drop_failed": drop_permits,
        "surveys.follow_order_failed": survey_follows,
    },
    "service_order.returned": {"telling.order_returned": tell_order, "surveys.follow_order_returned": survey_follows},
    "service_order.redispatched": {
        "telling.order_redispatched": tell_order,
        "orders.tell_order_redispatched": tell_company,
        "surveys.follow_order_redispatched": survey_follows,
    },
    "service_order.surveyed": {"telling.order_surveyed": tell_order, "surveys.follow_order_surveyed": survey_follows},
    "service_order.committed": {"telling.order_committed": tell_order},
    "service_order.plan_replied": {
        "telling.order_plan_replied": tell_order,
        "surveys.follow_order_plan_replied": survey_follows,
    },
    "service_order.constructing": {"telling.order_constructing": tell_order},
    "service_order.faulted": {"telling.order_faulted": tell_order},
    "service_order.rectified": {"telling.order_rectified": tell_order},
    "service_order.inspected": {"telling.order_inspected": tell_order},
    "service_order.connected": {"telling.order_connected": tell_order, "permits.drop_connected": drop_permits},
    "service_order.extended": {"telling.order_extended": tell_order, "orders.tell_order_extended": tell_company},
    "service_order.paused": {"telling.order_paused": tell_order, "orders.tell_order_paused": tell_company},
    "service_order.resumed": {"telling.order_resumed": tell_order, "orders.tell_order_resumed": tell_company},
    "service_order.withdrawn": {
        "telling.order_withdrawn": tell_order,
        "costs.drop_withdrawn": drop_cost,
        "materials.release_withdrawn": release_papers,
        "permits.drop_withdrawn": drop_permits,
        "applications.follow_withdrawn": follow_withdrawal,
        "orders.tell_order_withdrawn": tell_company,
        "surveys.follow_order_withdrawn": survey_follows,
    },
    "service_order.lapsed": {
        "telling.order_lapsed": tell_order,
        "costs.drop_lapsed": drop_cost,
        "materials.release_lapsed": release_papers,
        "permits.drop_lapsed": drop_permits,
        "applications.follow_lapsed": follow_withdrawal,
        "orders.tell_order_lapsed": tell_company,
        "surveys.follow_order_lapsed": survey_follows,
    },
    "service_order.corrected": {"orders.tell_order_corrected": tell_company, "costs.record_corrected": record_cost},
    "service_order.plan_confirmed": {"orders.tell_order_plan_confirmed": tell_company},
    "service_order.plan_questioned": {"orders.tell_order_plan_questioned": tell_company},
    "service_order.contracted": {"orders.tell_order_contracted": tell_company},
    "service_order.withdrawal_asked": {"orders.tell_order_withdrawal_asked": tell_company},
    "service_order.reassigned": {
        "orders.tell_order_reassigned": tell_company,
        "surveys.follow_order_reassigned": survey_follows,
    },
    "service_order.extension_asked": {},
    "service_order.extension_refused": {"orders.tell_order_extension_refused": tell_company},
    "survey.opened": {"telling.survey_opened": tell_survey},
    "survey.held": {"telling.survey_held": tell_survey, "orders.tell_survey_held": tell_company},
    "survey.fixed": {"telling.survey_fixed": tell_survey, "orders.tell_survey_fixed": tell_company},
    "survey.released": {"telling.survey_released": tell_survey, "orders.tell_survey_released": tell_company},
    "survey.finished": {},
    "survey.cancelled": {"orders.tell_survey_cancelled": tell_company},
    "order_request.asked": {},
    "order_request.approved": {"orders.tell_request_approved": tell_company},
    "order_request.refused": {"orders.tell_request_refused": tell_company},
    "order_request.lapsed": {},
    "tolerance.due_soon": {
        "telling.tolerance_due_soon": lambda services, event: services.material_telling.due_soon(event)
    },
    "tolerance.fulfilled": {},
    "tolerance.fulfilled_late": {
        "telling.tolerance_late": lambda services, event: services.material_telling.fulfilled_late(event)
    },
    "tolerance.overdue": {
        "credit.promise_broken": lambda services, event: services.credit.promise_broken(event),
        "telling.tolerance_overdue": lambda services, event: services.material_telling.overdue(event),
    },
    "tolerance.released": {
        "telling.tolerance_released": lambda services, event: services.material_telling.released(event)
    },
    "credit_record.noticed": {"telling.credit_noticed": lambda services, event: services.credit_telling.noticed(event)},
    "credit_record.objected": {},
    "credit_record.confirmed": {
        "telling.credit_confirmed": lambda services, event: services.credit_telling.confirmed(event)
    },
    "credit_record.revoked": {"telling.credit_revoked": lambda services, event: services.credit_telling.revoked(event)},
    "credit_record.repaired": {
        "telling.credit_repaired": lambda services, event: services.credit_telling.repaired(event)
    },
    "session.reuse_detected": {"telling.session_reuse": lambda services, event: services.telling.session_reuse(event)},
}
"""Event kind → {task name: listener}. An event without listeners stands here too, so that forgetting one is loud."""


_RETURNED = (
    "received", "accepted", "sent_back", "corrected", "refused", "failed", "returned", "redispatched", "reassigned", "surveyed",
    "plan_replied", "plan_questioned", "plan_confirmed", "contracted", "constructing", "faulted", "rectified", "inspected", "connected",
    "paused", "resumed", "withdrawn", "lapsed",
)  # fmt: skip
OF_PUSHED = frozenset(f"platform.return_order_{node}" for node in _RETURNED)
"""Tasks that concern orders of pushed projects only: for any other they are not even enqueued."""
for _node in _RETURNED:
    LISTENERS[f"service_order.{_node}"][f"platform.return_order_{_node}"] = return_status


async def dispatch(event_id: UUID) -> None:
    """Enqueue the listeners of an event, once.

    Raises:
        KeyError: the event's kind is not in the table.
    """
    async with transaction():
        event = await Event.filter(id=event_id).select_for_update().get()
        if event.dispatched_at is not None:
            return
        for task in LISTENERS[event.kind]:
            if task in OF_PUSHED and not event.data.get("pushed"):
                continue
            await enqueue(task, event_id=event.id)
        event.dispatched_at = clock.now()
        await event.save(update_fields=["dispatched_at"])
    failpoint("events.dispatched")
