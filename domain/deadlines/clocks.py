"""Running promises: opened, stopped, made longer, ended and explained. Every verb works inside the caller's transaction.

A promise belongs to a subject (a service order, a permit); the verbs find it by that, lock its row, and write with it the instants
that alarms go by, so that the alarm itself needs no calendar.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from cities.promises import PAUSE_REASONS, Node, PauseReason, Promise
from cities.schema import City, in_force
from core import clock, ids
from core.clock import SHANGHAI
from core.errors import LianbanError
from core.workdays import Calendar
from domain.deadlines.calendars import Calendars
from domain.deadlines.counting import Due, Pause, due, level, yellow_at
from models.deadline import Deadline, DeadlineChange, DeadlinePause
from models.lifecycle import SYSTEM, Actor


class DeadlineNotRunning(LianbanError):
    """The subject has no running promise of this kind."""

    code = "deadline_not_running"


class DeadlinePaused(LianbanError):
    """The promise stands still already. data: ``reason``."""

    code = "deadline_paused"


class DeadlineNotPaused(LianbanError):
    """The promise is not standing still for this reason."""

    code = "deadline_not_paused"


class ApproverNeeded(LianbanError):
    """This needs the consent of a supervisor who is not the one who asks. data: ``what``."""

    code = "deadline_approver_needed"


class ExtensionRefused(LianbanError):
    """The promise is over, or was made longer before, or by more than the city allows. data: ``why``."""

    code = "deadline_extension_refused"


class CommitmentNeeded(LianbanError):
    """So far from the main nothing is promised in advance: the company commits itself after the survey. data: ``distance_m``."""

    code = "deadline_commitment_needed"


class Subject(NamedTuple):
    """What a promise is about: a kind (``service_order``) and its id."""

    kind: str
    id: UUID


class Explanation(NamedTuple):
    """A promise with everything that makes its due date. `level`: how urgent it is at this moment; None once it has ended."""

    deadline: Deadline
    clause: str
    due: Due
    pauses: tuple[DeadlinePause, ...]
    changes: tuple[DeadlineChange, ...]
    level: str | None


class Deadlines:
    """The verbs of promises, by the rules of one city."""

    def __init__(self, city: City, calendars: Calendars) -> None:
        self._city = city
        self._calendars = calendars

    def promise(self, distance_m: int, on: date, *, main_laid: bool = False) -> Promise:
        """What is promised on that day for a main so far away; `main_laid`: pushed by the platform, the main laid beforehand.

        Raises:
            CommitmentNeeded: it is farther than the last band.
        """
        promise = self._city.promises.by_distance(distance_m, on, main_laid=main_laid)
        if promise is not None:
            return promise
        raise CommitmentNeeded(distance_m=distance_m)

    def committed(self, days: int, on: date) -> Promise:
        """What a company commits itself to beyond the last band; the caller keeps its reason and the supervisor's consent.

        Raises:
            ExtensionRefused: more days than the city allows, or none.
        """
        rule = self._city.promises.commitment_on(on)
        if not 1 <= days <= rule.most_days:
            raise ExtensionRefused(why="too_many_days", most=rule.most_days)
        return Promise(days, "committed", rule.source)

    async def open_deadline(
        self,
        subject: Subject,
        promise: Promise,
        accepted_at: datetime,
        *,
        company: str | None = None,
        area: str | None = None,
        kind: str = "promise",
        node: str = "",
    ) -> Deadline:
        """Begin a promise. `area`: the district, for whose bureau a warning is. The caller's transaction fails where one runs already."""
        row = Deadline(
            id=ids.new_id(),
            subject_kind=subject.kind,
            subject_id=subject.id,
            kind=kind,
            node=node,
            basis=promise.basis,
            company=company,
            area=area,
            days=promise.days,
            accepted_at=accepted_at,
            opened_at=clock.now(),
        )
        await self._reckon(row, ())
        await row.save(force_create=True)
        return row

    async def open_commitment(
        self, subject: Subject, surveyed_at: datetime, *, company: str | None = None, area: str | None = None
    ) -> Deadline:
        """Begin the time in which the company must commit itself to days, after the survey of a site beyond the last band."""
        rule = self._city.promises.commitment_on(surveyed_at.astimezone(SHANGHAI).date())
        promise = Promise(rule.within_days, "commit", rule.source)
        return await self.open_deadline(subject, promise, surveyed_at, company=company, area=area, kind="commitment")

    async def enter_node(
        self, subject: Subject, node: Node, *, company: str | None = None, area: str | None = None
    ) -> Deadline | None:
        """The case comes to this step: the clock of the step before ends, and this one's begins where the city sets it a limit."""
        now = clock.now()
        for row in await self._live(subject, "node"):
            await self._end(row, now, None)
        versions = tuple(rule for rule in self._city.promises.node if rule.node == node)
        if not versions:
            return None
        rule = in_force(versions, now.astimezone(SHANGHAI).date(), f"node {node}")
        promise = Promise(rule.days, f"node_{node}", rule.source)
        return await self.open_deadline(subject, promise, now, company=company, area=area, kind="node", node=node)

    async def pause(
        self, subject: Subject, reason: PauseReason, evidence: str, actor: Actor, *, approver: str | None = None
    ) -> None:
        """Stop everything that runs about the subject, for a reason of the closed list, by this evidence.

        Raises:
            DeadlineNotRunning. DeadlinePaused: it stands still already. ApproverNeeded: it was stopped for this too often.
        """
        assert reason in PAUSE_REASONS
        now, rows = clock.now(), await self._live(subject)
        if not any(row.kind == "promise" for row in rows):
            raise DeadlineNotRunning
        rules = tuple(rule for rule in self._city.promises.pause if rule.reason == reason)
        for row in rows:
            before = await DeadlinePause.filter(deadline_id=row.id)
            for pause in before:
                if pause.ends_at is None and (pause.cap_at is None or pause.cap_at > now):
                    raise DeadlinePaused(reason=pause.reason)
                if pause.ends_at is None:
                    pause.ends_at = pause.cap_at
                    await pause.save(update_fields=["ends_at"])
            rule = in_force(rules, now.astimezone(SHANGHAI).date(), f"pause {reason}")
            too_often = sum(pause.reason == reason for pause in before) >= rule.times
            if row.kind == "promise" and too_often and approver in (None, actor.id):
                raise ApproverNeeded(what="pause")
            begun = await DeadlinePause.create(
                id=ids.new_id(), deadline_id=row.id, reason=reason, evidence=evidence, actor_kind=actor.kind, actor_id=actor.id,
                approver=approver, begins_at=now, cap_at=now + rule.cap if rule.cap else None,
            )  # fmt: skip
            await self._reckon(row, [*before, begun])
            await row.save(update_fields=_RECKONED)

    async def resume(self, subject: Subject, reason: PauseReason) -> None:
        """Let everything about the subject run on.

        Raises:
            DeadlineNotPaused: it does not stand still for this reason.
        """
        now, resumed = clock.now(), False
        for row in await self._live(subject):
            pauses = await DeadlinePause.filter(deadline_id=row.id).order_by("begins_at")
            for pause in pauses:
                if pause.ends_at is None and pause.reason == reason:
                    pause.ends_at = max(now, pause.begins_at)
                    await pause.save(update_fields=["ends_at"])
                    resumed = True
            await self._reckon(row, pauses)
            await row.save(update_fields=_RECKONED)
        if not resumed:
            raise DeadlineNotPaused

    async def extend(self, subject: Subject, days: int, reason: str, actor: Actor, approver: str) -> Deadline:
        """Make a promise longer by so many working days, before it is over.

        Raises:
            DeadlineNotRunning. ApproverNeeded: nobody else agreed. ExtensionRefused: over, too often, or too long.
        """
        row = await self._one(subject, "promise")
        rule = in_force(self._city.promises.extension, clock.today(), "extension")
        times = await DeadlineChange.filter(deadline_id=row.id, kind="extension").count()
        if approver == actor.id:
            raise ApproverNeeded(what="extension")
        if row.due_at is not None and clock.now() > row.due_at:
            raise ExtensionRefused(why="over")
        if times >= rule.times:
            raise ExtensionRefused(why="extended_before")
        if not 1 <= days <= rule.most_days:
            raise ExtensionRefused(why="too_many_days", most=rule.most_days)
        row.extra_days += days
        await self._changed(row, "extension", row.days + row.extra_days - days, reason, actor, approver)
        return row

    async def revise(
        self, subject: Subject, promise: Promise, reason: str, actor: Actor, approver: str | None = None
    ) -> Deadline:
        """Put another promise in the place of a provisional one, as the survey found; a longer one needs a supervisor.

        Raises:
            DeadlineNotRunning. ApproverNeeded: it is longer and nobody else agreed.
        """
        row = await self._one(subject, "promise")
        if promise.days > row.days and approver in (None, actor.id):
            raise ApproverNeeded(what="revision")
        before = row.days + row.extra_days
        row.days, row.basis = promise.days, promise.basis
        await self._changed(row, "revision", before, reason, actor, approver)
        return row

    async def close(self, subject: Subject, *, void: bool = False) -> str | None:
        """End everything that runs about the subject; ``met``, ``missed`` or (`void`: withdrawn, refused) ``void`` of the promise.

        None when nothing was running: ending twice is no harm.
        """
        now, outcome = clock.now(), None
        for row in await self._live(subject):
            await self._end(row, now, "void" if void else None)
            outcome = row.outcome if row.kind == "promise" else outcome
        return outcome

    async def end_commitment(self, subject: Subject) -> None:
        """The company has committed itself."""
        for row in await self._live(subject, "commitment"):
            await self._end(row, clock.now(), None)

    async def explain(self, subject: Subject) -> Explanation | None:
        """The subject's promise, running or the last that ran, as it looks now; None when there never was one."""
        found = Deadline.filter(subject_kind=subject.kind, subject_id=subject.id, kind="promise")
        row = await found.order_by("-opened_at").first()
        if row is None:
            return None
        pauses = await DeadlinePause.filter(deadline_id=row.id).order_by("begins_at")
        changes = await DeadlineChange.filter(deadline_id=row.id).order_by("at")
        counted = self._count(await self._calendars.current(), row, pauses, row.closed_at or clock.now())
        urgency = None
        if row.closed_at is None:
            urgency = _level(row, clock.now())
        return Explanation(row, self._clause(row), counted, tuple(pauses), tuple(changes), urgency)

    async def recount(self, row: Deadline) -> bool:
        """Count a locked, running promise by the calendar of today; True when its end is another, and written down."""
        pauses = await DeadlinePause.filter(deadline_id=row.id)
        before = (row.due_on, row.due_at, row.yellow_at, row.provisional)
        await self._reckon(row, pauses)
        if (row.due_on, row.due_at, row.yellow_at, row.provisional) == before:
            return False
        await row.save(update_fields=_RECKONED)
        if row.due_on != before[0]:
            days = row.days + row.extra_days
            await _write(row, "recount", days, before[0], "节假日安排公布或变更", SYSTEM, None)
        return True

    async def _changed(
        self, row: Deadline, kind: str, days: int, reason: str, actor: Actor, approver: str | None
    ) -> None:
        before = row.due_on
        await self._reckon(row, await DeadlinePause.filter(deadline_id=row.id))
        await row.save(update_fields=[*_RECKONED, "days", "extra_days", "basis"])
        await _write(row, kind, days, before, reason, actor, approver)

    async def _reckon(self, row: Deadline, pauses: Sequence[DeadlinePause]) -> None:
        """Set what follows from days, pauses and calendar: the due date as of now, and the instants of the latest possible end."""
        calendar, now = await self._calendars.current(), clock.now()
        open_pause = next((pause for pause in pauses if pause.ends_at is None), None)
        found = self._count(calendar, row, pauses, now)
        row.due_on, row.provisional = found.due_on, found.provisional
        row.due_at = row.yellow_at = None
        if open_pause is None or open_pause.cap_at is not None:
            latest = found
            if open_pause is not None and open_pause.cap_at is not None:
                latest = self._count(calendar, row, pauses, open_pause.cap_at)
            day = row.accepted_at.astimezone(SHANGHAI).date()
            warning = in_force(self._city.promises.warning, day, "warning")
            counting = in_force(self._city.promises.counting, day, "counting")
            row.due_at = latest.due_at
            row.yellow_at = min(yellow_at(warning, counting, latest, row.accepted_at), latest.due_at)
        row.level = min(row.level, _level(row, now), key=_URGENCY.index)

    def _count(self, calendar: Calendar, row: Deadline, pauses: Sequence[DeadlinePause], at: datetime) -> Due:
        rule = in_force(self._city.promises.counting, row.accepted_at.astimezone(SHANGHAI).date(), "counting")
        return due(rule, row.days + row.extra_days, row.accepted_at, [_as_pause(each) for each in pauses], calendar, at)

    async def _end(self, row: Deadline, now: datetime, outcome: str | None) -> None:
        pauses = await DeadlinePause.filter(deadline_id=row.id)
        for pause in pauses:
            if pause.ends_at is None:
                pause.ends_at = max(now, pause.begins_at)
                await pause.save(update_fields=["ends_at"])
        await self._reckon(row, pauses)
        now = max(now, row.opened_at)  # the clocks of two machines differ a little
        counted = self._count(await self._calendars.current(), row, pauses, now)
        row.closed_at, row.used_days, row.lived_days = now, counted.used_days, max(counted.lived_days, 0)
        row.outcome = outcome or ("met" if now <= counted.due_at else "missed")
        await row.save(update_fields=[*_RECKONED, "closed_at", "outcome", "used_days", "lived_days"])

    async def _live(self, subject: Subject, kind: str | None = None) -> list[Deadline]:
        found = Deadline.filter(subject_kind=subject.kind, subject_id=subject.id, closed_at=None)
        if kind is not None:
            found = found.filter(kind=kind)
        return await found.order_by("id").select_for_update()

    async def _one(self, subject: Subject, kind: str) -> Deadline:
        rows = await self._live(subject, kind)
        if not rows:
            raise DeadlineNotRunning
        return rows[0]

    def _clause(self, row: Deadline) -> str:
        rules, day = self._city.promises, row.accepted_at.astimezone(SHANGHAI).date()
        if row.basis == "committed":
            return in_force(rules.commitment, day, "commitment").source
        pushed = in_force(rules.push, day, "push")
        return pushed.source if row.basis == pushed.code else in_force(rules.distance, day, "distance").source


_RECKONED = ["due_on", "due_at", "yellow_at", "provisional", "level"]
_URGENCY = ("green", "yellow", "red")


def _level(row: Deadline, at: datetime) -> str:
    """What stands still for an unknown time is not urgent."""
    return level(row.yellow_at, row.due_at, at).value if row.yellow_at and row.due_at else "green"


async def _write(
    row: Deadline, kind: str, from_days: int, from_due_on: date, reason: str, actor: Actor, approver: str | None
) -> None:
    await DeadlineChange.create(
        id=ids.new_id(), deadline_id=row.id, kind=kind, from_days=from_days, to_days=row.days + row.extra_days,
        from_due_on=from_due_on, to_due_on=row.due_on, reason=reason, actor_kind=actor.kind, actor_id=actor.id,
        approver=approver, at=clock.now(),
    )  # fmt: skip


def _as_pause(row: DeadlinePause) -> Pause:
    cap: timedelta | None = row.cap_at - row.begins_at if row.cap_at else None
    return Pause(row.reason, row.begins_at, row.ends_at, cap)
