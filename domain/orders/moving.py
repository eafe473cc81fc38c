"""What the verbs of both sides share: who acts, the locked order, and a move that says whose it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from core import clock
from core.database import fetch
from core.errors import LianbanError, NotFound
from models.lifecycle import Actor, move
from models.service_order import SERVICE_ORDER, ServiceOrder


class ReasonNotListed(LianbanError):
    """The city's list has no such reason for this stage. data: ``reason``."""

    code = "reason_not_listed"


class SupervisorNeeded(LianbanError):
    """This is only done with a supervisor's approval, who is somebody else than the one who asks. data: ``why``."""

    code = "supervisor_needed"


class TooLate(LianbanError):
    """The time in which this could have been done is over."""

    code = "order_too_late"


class OncePerOrder(LianbanError):
    """What is done once has been done, or is being decided. data: ``what``."""

    code = "once_per_order"


class PapersMissing(LianbanError):
    """Gas is never turned on while a paper is missing. data: ``missing``."""

    code = "papers_missing"


class Handler(NamedTuple):
    """Who acts for a company: its own system, or a member of its staff; `supervisor` is who approved, when somebody has."""

    actor: Actor
    company: str
    supervisor: str | None = None

    @property
    def is_approved(self) -> bool:
        """True when somebody else than the one who acts has approved."""
        if not (self.supervisor or "").strip():
            return False
        return str(self.supervisor).strip().casefold() != self.actor.id.strip().casefold()


async def locked(order_id: UUID, company: str | None = None) -> ServiceOrder:
    """The order, locked until the end of the caller's transaction: who comes second sees what the first has done.

    Raises:
        NotFound: there is none, or it is another company's.
    """
    more = {} if company is None else {"company": company}
    order = await ServiceOrder.filter(id=order_id, **more).select_for_update().get_or_none()
    if order is None:
        raise NotFound("service_order")
    return order


async def moved(
    order: ServiceOrder,
    event: str,
    actor: Actor,
    *,
    reason: str | None = None,
    approver: str | None = None,
    columns: Mapping[str, Any] | None = None,
) -> ServiceOrder:
    """Move a locked order; the event names its application and company. What has ended (`ended_at`) does not stand still any more.

    Raises:
        IllegalMove: not from where it stands.
    """
    if columns is not None and "ended_at" in columns:
        columns = {**columns, "paused_reason": None, "paused_at": None}
    await move(
        SERVICE_ORDER, order, event, actor, reason=reason, approver=approver, columns=columns, data=event_data(order)
    )
    return order


async def take_consent_back(order: ServiceOrder) -> None:
    """With an order that is withdrawn or handed on its company's consent ends (个人信息保护法 第十五条)."""
    await fetch(
        "update consent set withdrawn_at = $3 where application_id = $1 and company = $2 and withdrawn_at is null",
        order.application_id, order.company, clock.now(),
    )  # fmt: skip


def event_data(order: ServiceOrder) -> dict[str, Any]:
    """What listeners need to know without asking."""
    data: dict[str, Any] = {
        "order_id": str(order.id), "application_id": str(order.application_id), "company": order.company,
    }  # fmt: skip
    return data | {"pushed": True} if order.pushed else data
