"""What became of pushed projects, returned to the platform at every node with the official codes, in order, each until it is taken.

The journal is the source: what it holds of a push and of its orders is returned, row by row, so that a node is neither lost nor told twice
however the events that make us look come.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.database import fetch, fetch_one, transaction
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, NotSent, OutcomeUnknown
from core.queue import enqueue
from gateways.construction_platform import ConstructionPlatform, PlatformRefusal, StatusReport
from models.application import Application
from models.lifecycle import SYSTEM, Actor, Event, StaleState, born, move
from models.platform_push import PLATFORM_REPORT, PlatformPush, PlatformReport, ReportStatus
from models.service_order import OFFICIAL_NAMES, OrderStatus, ServiceOrder, official_code

log = get_logger(__name__)

REPORT_TASK = "platform.report"
_PLATFORM = Actor("platform", "construction")
PUSH_CODES = {"file": 1, "dismiss": 4}
"""A push that became a case is 已接件, one that does not is 不受理."""

_ANSWERED = ("answer", "answer_accepted", "answer_surveyed")
_PUSH_STEPS = (
    "select id, event, at from journal where subject = 'platform_push' and subject_id = $1 and event = any($2::text[])"
)
_ORDER_STEPS = """
select j.id, j.subject_id as order_id, j.to_state, j.event, j.reason, j.at from journal j
where j.subject = 'service_order' and j.subject_id = any($1::uuid[])
union all
select j.id, p.order_id, j.to_state, j.event, j.reason, j.at from order_paper p
join journal j on j.subject = 'order_paper' and j.subject_id = p.id
where p.order_id = any($1::uuid[]) and j.event in ('service_order.paused', 'service_order.resumed')
"""
_KNOWN = "select cause_id, number from platform_report where push_id = $1"
_EARLIER = (
    "select 1 from platform_report where push_id = $1 and number < $2 and status not in ('told', 'refused') limit 1"
)
_FOLLOWING = """
select id from platform_report where push_id = $1 and number > $2 and status = 'pending' order by number limit 1
"""
_LATE = """
select count(*) as count, min(created_at) as since from platform_report where status not in ('told', 'refused') and created_at < $1
"""


class Step(NamedTuple):
    """A row of an order's journal, as far as the platform is concerned."""

    id: UUID
    to_state: str
    event: str
    reason: str | None
    at: datetime


class Node(NamedTuple):
    """Something to return: the official code, and what happened in our own word."""

    cause_id: UUID
    code: int
    node: str
    at: datetime


def nodes(steps: Iterable[Step], *, tolerated: bool = False, not_taken: Iterable[str] = ()) -> list[Node]:
    """What an order's journal, oldest first, is to the platform. `not_taken`: the city's reasons that make a refusal 不受理."""
    found: list[Node] = []
    was_accepted = False
    for step in steps:
        was_accepted = was_accepted or step.to_state == OrderStatus.ACCEPTED
        code = _code(step, was_accepted, tolerated, step.reason in set(not_taken))
        if code is not None:
            found.append(Node(step.id, code, step.event.removeprefix("service_order."), step.at))
    return found


@dataclass(frozen=True, slots=True)
class PushReports:
    """Writes down what the platform is to hear, and tells it."""

    city: City
    platform: ConstructionPlatform | None

    async def heard(self, event: Event) -> None:
        """Something became of a push or of one of its orders."""
        if event.subject == "platform_push":
            await self.follow(event.subject_id)
            return
        push = await PlatformPush.get_or_none(application_id=UUID(event.data["application_id"]))
        if push is not None:
            await self.follow(push.id)

    async def follow(self, push_id: UUID) -> int:
        """Write down every node that is not written down yet; how many were new. May be repeated."""
        async with transaction():
            push = await PlatformPush.filter(id=push_id).select_for_update().get()
            known = {row["cause_id"]: row["number"] for row in await fetch(_KNOWN, push.id)}
            number = max(known.values(), default=0)
            fresh = [one for one in await self._nodes(push) if one[1].cause_id not in known]
            for order_id, node in sorted(fresh, key=lambda one: (one[1].at, one[1].cause_id)):
                number += 1
                report = await PlatformReport.create(
                    id=ids.new_id(), status=ReportStatus.PENDING, push_id=push.id, number=number, order_id=order_id, code=node.code,
                    node=node.node, cause_id=node.cause_id, happened_at=node.at, created_at=clock.now(),
                )  # fmt: skip
                await born(PLATFORM_REPORT, report, SYSTEM)
                await enqueue(REPORT_TASK, report_id=report.id, step=0)
        return len(fresh)

    async def tell(self, report_id: UUID, step: int) -> None:
        """One try; plans the next one while it is not over. What stands before it goes first."""
        report = await PlatformReport.get(id=report_id)
        if (
            self.platform is None
            or report.status in PLATFORM_REPORT.terminal
            or await fetch_one(_EARLIER, report.push_id, report.number)
        ):
            return
        try:
            await self._send(self.platform, report_id)
        except (NotSent, PlatformRefusal) as error:
            log.warning("platform_report.postponed", report_id=str(report_id), error_code=error.code)
        except OutcomeUnknown:
            async with transaction():
                report = await _locked(report_id)
                if report.status == ReportStatus.SENDING:
                    await move(PLATFORM_REPORT, report, "lost", SYSTEM)
        except StaleState:
            pass
        await report.refresh_from_db()
        if report.status not in PLATFORM_REPORT.terminal:
            waits = self.city.applications.push_rule(clock.today()).retry_after
            async with transaction():
                at = clock.now() + waits[min(step, len(waits) - 1)]
                await enqueue(REPORT_TASK, at=at, report_id=report_id, step=step + 1)

    async def report_late(self) -> int:
        """Say as an error how many statuses the platform has not taken in time."""
        late_after: timedelta = self.city.applications.push_rule(clock.today()).late_after
        row = await fetch_one(_LATE, clock.now() - late_after)
        assert row is not None
        if row["count"]:
            oldest_s = int((clock.now() - row["since"]).total_seconds())
            log.error("platform_reports.late", count=row["count"], oldest_s=oldest_s)
        return row["count"]

    async def _nodes(self, push: PlatformPush) -> list[tuple[UUID | None, Node]]:
        found: list[tuple[UUID | None, Node]] = [
            (None, Node(row["id"], PUSH_CODES[row["event"]], row["event"], row["at"]))
            for row in await fetch(_PUSH_STEPS, push.id, list(PUSH_CODES))
        ]
        if push.application_id is None:
            return found
        orders = {one.id: one for one in await ServiceOrder.filter(application_id=push.application_id)}
        steps: dict[UUID, list[Step]] = {order_id: [] for order_id in orders}
        rows = await fetch(_ORDER_STEPS, list(orders))
        for row in sorted(rows, key=lambda row: (row["at"], row["id"])):
            steps[row["order_id"]].append(Step(row["id"], row["to_state"], row["event"], row["reason"], row["at"]))
        not_taken = [one.code for one in self.city.applications.refusals if one.not_taken]
        for order_id, order in orders.items():
            told = nodes(steps[order_id], tolerated=order.tolerated, not_taken=not_taken)
            found += [(order_id, node) for node in told]
        return found

    async def _send(self, platform: ConstructionPlatform, report_id: UUID) -> None:
        async with transaction():
            report = await _locked(report_id)
            if report.status == ReportStatus.SENDING:  # a process died here: the same id again changes nothing there
                await move(PLATFORM_REPORT, report, "lost", SYSTEM)
            await move(PLATFORM_REPORT, report, "send", SYSTEM)
        failpoint("platform_report.sending_committed")
        try:
            await platform.report(await self._content(report))
        except NotSent:
            await self._absent(report_id)
            raise
        except PlatformRefusal as refusal:
            if refusal.kind is not FailureKind.PERMANENT:
                await self._absent(report_id)
                raise
            log.error("platform_report.refused", report_id=str(report_id), refusal=refusal.word)
            await self._end(report_id, "refused", {"refusal": refusal.word[:40]})
            return
        failpoint("platform_report.answered")
        await self._end(report_id, "told", {})

    async def _content(self, report: PlatformReport) -> StatusReport:
        push = await PlatformPush.get(id=report.push_id)
        case = await Application.get(id=push.application_id) if push.application_id else None
        order = await ServiceOrder.get(id=report.order_id) if report.order_id else None
        return StatusReport(
            report_id=str(report.id), push_id=push.number, number=report.number, code=report.code, name=OFFICIAL_NAMES[report.code],
            node=report.node, at=report.happened_at, application_number=case.number if case else None,
            order_number=order.number if order else None, company=order.company if order else None,
            service=order.service if order else None,
        )  # fmt: skip

    async def _absent(self, report_id: UUID) -> None:
        async with transaction():
            report = await _locked(report_id)
            if report.status == ReportStatus.SENDING:
                await move(PLATFORM_REPORT, report, "absent", SYSTEM)

    async def _end(self, report_id: UUID, event: str, columns: Mapping[str, Any]) -> None:
        async with transaction():
            report = await _locked(report_id)
            if report.status in PLATFORM_REPORT.terminal:
                return
            await move(PLATFORM_REPORT, report, event, _PLATFORM, columns={**columns, "ended_at": clock.now()})
            for row in await fetch(_FOLLOWING, report.push_id, report.number):
                await enqueue(REPORT_TASK, report_id=row["id"], step=0)


def _code(step: Step, was_accepted: bool, tolerated: bool, not_taken: bool) -> int | None:
    if step.event in _ANSWERED:
        return 7
    if step.event in ("service_order.paused", "service_order.resumed"):
        return 9 if step.event == "service_order.paused" else 10
    if step.to_state == OrderStatus.ARCHIVED:
        return None  # told when it was connected
    status = OrderStatus(step.to_state)
    return official_code(status, was_accepted=was_accepted, tolerated=tolerated, not_taken=not_taken)


async def _locked(report_id: UUID) -> PlatformReport:
    return await PlatformReport.filter(id=report_id).select_for_update().get()
