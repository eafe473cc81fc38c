"""Cases as their applicants see them: one's own, one with its timeline and both clocks, what one has already, progress by code."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from cities.schema import City
from core import clock
from core.crypto import Vault
from core.database import fetch
from core.errors import LianbanError, NotFound
from core.redis import Limiter
from domain.applications.drafts import Drafts
from domain.applications.filing import CODE, PHONE, progress_index
from domain.applications.state import Joint, Standing, joint
from domain.deadlines.clocks import Explanation
from domain.identity.tokens import Caller
from domain.orders.clock import OrderClock
from domain.orders.papers import Paper, Papers
from models.access import Principal
from models.application import Application, ApplicationStatus, way_to_application
from models.service_order import OrderStatus, ServiceOrder, official_code
from models.share import note_use

_MINE = """
select a.id from application a
where a.discarded_at is null and ($4::uuid is null or a.id < $4)
  and (($2::uuid is null and a.person_id = $1) or exists (
    select 1 from live_mandate($1, $2, $3) m where m.organization_id = a.organization_id and m.account_ids is null
      and (m.services is null or a.services <@ m.services)))
order by a.id desc limit $5
"""
_STEPS = """
select subject_id, event, to_state, actor_kind, at from journal
where subject = 'service_order' and subject_id = any($1::uuid[]) order by at, id
"""
_SAME = """
select a.id from application a
where a.status = 'filed' and a.id <> $4 and (a.subject_index = $5 or a.address_index = $6)
  and (($2::uuid is null and a.person_id = $1) or exists (
    select 1 from live_mandate($1, $2, $3) m where m.organization_id = a.organization_id and m.account_ids is null))
order by a.id desc limit 20
"""


class ProgressRefused(LianbanError):
    """No such code, dead by now, or other digits: one answer for all."""

    code = "progress_refused"


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """One order with its steps, what was said, and its promise with the explanation; None: nothing is promised yet."""

    order: ServiceOrder
    official: int | None
    steps: tuple[asyncpg.Record, ...]
    papers: tuple[Paper, ...]
    promise: Explanation | None


@dataclass(frozen=True, slots=True)
class Case:
    """An application with its orders and their joint state."""

    application: Application
    joint: Joint
    orders: tuple[OrderSeen, ...]
    answers: dict[str, Any]
    progress_code: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """An application in a list. A draft has no joint state."""

    application: Application
    joint: Joint | None
    orders: tuple[ServiceOrder, ...]


class Cases:
    """Reads cases; changes nothing."""

    def __init__(
        self, city: City, vault: Vault, limiter: Limiter, drafts: Drafts, papers: Papers, order_clock: OrderClock
    ) -> None:
        self._city = city
        self._vault = vault
        self._limiter = limiter
        self._drafts = drafts
        self._papers = papers
        self._clock = order_clock

    async def mine(self, principal: Principal, after: UUID | None, limit: int) -> list[Summary]:
        """One's drafts and cases, newest first."""
        rows = await fetch(_MINE, *principal, clock.now(), after, limit)
        return await _summaries([row["id"] for row in rows])

    async def show(self, caller: Caller, application_id: UUID) -> Case:
        """A case of the caller's with everything that happened to it.

        Raises:
            NotFound: a draft is no case yet.
        """
        way = await way_to_application(application_id, caller.principal)
        application = await Application.get_or_none(id=application_id) if way else None
        if way is None or application is None or application.status == ApplicationStatus.DRAFT:
            raise NotFound("application")
        await note_use(way, caller.person_id, "application.seen", None, application_id)
        orders = await ServiceOrder.filter(application_id=application_id).order_by("number")
        assert application.progress_code is not None
        return Case(
            application,
            _joint(orders),
            await self._seen(orders),
            self._drafts.answers_of(application),
            self._vault.open(application.progress_code, CODE, application.id),
        )

    async def same(self, caller: Caller, draft_id: UUID) -> list[Summary]:
        """The caller's own filed cases of the same subject or place as this draft. Of other people's he is told nothing.

        Raises:
            NotFound.
        """
        draft = (await self._drafts.show(caller, draft_id)).application
        rows = await fetch(_SAME, *caller.principal, clock.now(), draft_id, draft.subject_index, draft.address_index)
        return await _summaries([row["id"] for row in rows])

    async def progress(self, code: str, last4: str) -> Summary:
        """How a case stands, by its code and the last digits of the contact's phone, without a login.

        Raises:
            RateLimited, LimiterAway: tried too often. ProgressRefused.
        """
        index, rule = progress_index(self._vault, code), self._city.applications.rule(clock.today())
        await self._limiter.take(f"progress:{index.hex()}", rule.progress_tries, rule.progress_window)
        application = await Application.get_or_none(progress_code_index=index)
        phone = ""
        if application is not None and application.phone is not None:
            phone = self._vault.open(application.phone, PHONE, application.id)
        if application is None or not phone or phone[-4:] != last4:
            raise ProgressRefused
        (summary,) = await _summaries([application.id])
        ended = [order.ended_at for order in summary.orders if order.ended_at is not None]
        is_finished = summary.joint is not None and summary.joint.finished
        if is_finished and ended and clock.now() > max(ended) + rule.progress_life:
            raise ProgressRefused
        return summary

    async def _seen(self, orders: Sequence[ServiceOrder]) -> tuple[OrderSeen, ...]:
        ids = [order.id for order in orders]
        steps: defaultdict[UUID, list[asyncpg.Record]] = defaultdict(list)
        for row in await fetch(_STEPS, ids):
            steps[row["subject_id"]].append(row)
        papers: defaultdict[UUID, list[Paper]] = defaultdict(list)
        for paper in await self._papers.of(ids):
            papers[paper.order_id].append(paper)
        return tuple(
            [
                OrderSeen(
                    order, official_of(self._city, order), tuple(steps[order.id]), tuple(papers[order.id]),
                    await self._clock.explain(order.id),
                )
                for order in orders
            ]
        )  # fmt: skip


def official_of(city: City, order: ServiceOrder) -> int | None:
    """The official code of an order as it stands."""
    listed = city.applications.refusal(order.reason, "acceptance") if order.reason else None
    return official_code(
        OrderStatus(order.status),
        paused=order.paused_reason is not None,
        resumed=order.resumed_at is not None and (order.surveyed_at is None or order.resumed_at > order.surveyed_at),
        was_accepted=order.accepted_at is not None,
        tolerated=order.tolerated,
        not_taken=listed is not None and listed.not_taken,
    )


def _joint(orders: Sequence[ServiceOrder]) -> Joint:
    return joint(Standing(order.company, OrderStatus(order.status)) for order in orders)


async def _summaries(ids: Sequence[UUID]) -> list[Summary]:
    orders: defaultdict[UUID, list[ServiceOrder]] = defaultdict(list)
    for order in await ServiceOrder.filter(application_id__in=ids).order_by("number"):
        orders[order.application_id].append(order)
    found = await Application.filter(id__in=ids).order_by("-id")
    return [Summary(one, _joint(orders[one.id]) if orders[one.id] else None, tuple(orders[one.id])) for one in found]
