"""Permits of bureaus, all asked at once, each with a clock of its own; while any is open the order's promise stands still.

鄂州工改办〔2023〕11号 四、（一）: the bureaus handle what they share together. Which kinds there are, whose they are and how long
they take stands in the city pack.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cities.promises import PermitRule, Promise
from cities.schema import City, in_force
from core import clock, ids
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from domain.deadlines.clocks import ApproverNeeded, DeadlinePaused, Deadlines, Subject
from domain.orders.handling import Orders
from domain.orders.moving import Handler, OncePerOrder, SupervisorNeeded, locked
from models.lifecycle import SYSTEM, Actor, born, move
from models.permit import PERMIT, Permit, PermitStatus
from models.service_order import ServiceOrder

KIND = "permit"
_AREA = "select left(area, 6) as area from application where id = $1"
_LIST = """
select p.id, p.status, p.order_id, o.number, p.company, p.kind, p.unit, p.evidence, p.asked_at, p.answer, p.ended_at,
  d.due_on, d.due_at, d.level
from permit p join service_order o on o.id = p.order_id
left join lateral (select due_on, due_at, level from deadline where subject_id = p.id order by opened_at desc limit 1) d on true
where ($1::text is null or p.company = $1) and ($2::text is null or p.unit = $2) and ($3 or p.ended_at is null)
  and ($4::uuid is null or p.id > $4) and ($6::uuid is null or p.id = $6)
order by p.id limit $5
"""


class PermitKindUnknown(LianbanError):
    """The city has no permit of this kind. data: ``kind``."""

    code = "permit_kind_unknown"


class PermitOpen(LianbanError):
    """A permit of this kind has been asked for and not been answered. data: ``kinds``."""

    code = "permit_open"


class Permits:
    """Asks bureaus, takes their answers, and lets the promise stand still in between."""

    def __init__(self, city: City, orders: Orders, deadlines: Deadlines) -> None:
        self._city = city
        self._orders = orders
        self._deadlines = deadlines

    async def ask(self, order_id: UUID, by: Handler, kinds: Sequence[str], evidence: str) -> list[Any]:
        """Ask the bureaus of all these kinds at once; from the first open permit on the promise stands still.

        Raises:
            NotFound: no order of theirs. PermitKindUnknown. PermitOpen: one of this kind is open. IllegalMove: the order is not
            being worked on. DeadlinePaused: it stands still for something else. ApproverNeeded: it stood still too often.
        """
        rules = [self._rule(kind) for kind in dict.fromkeys(kinds)]
        async with transaction():
            order = await locked(order_id, by.company)
            open_kinds = {permit.kind for permit in await self._open(order_id)}
            if twice := sorted(open_kinds & {rule.kind for rule in rules}):
                raise PermitOpen(kinds=twice)
            if not open_kinds:
                await self._stand_still(order_id, by, evidence)
            row = await fetch_one(_AREA, order.application_id)
            made = [
                await self._ask_one(order, rule, evidence, by.actor, row["area"] if row else None) for rule in rules
            ]
        return [await self.one(permit_id, by.company, None) for permit_id in made]

    async def answer(self, permit_id: UUID, unit: str, actor: Actor, granted: bool, answer: str) -> Any:
        """The bureau says yes, with the permit's number, or no, with the reason. With the last of them the promise runs on.

        Raises:
            NotFound: none of theirs. IllegalMove: it has been answered. StaleState.
        """
        async with transaction():
            found = await Permit.get_or_none(id=permit_id, unit=unit)
            if found is None:
                raise NotFound("permit")
            order = await locked(found.order_id)
            await self._end(await Permit.get(id=permit_id), "grant" if granted else "refuse", actor, answer)
            await self._go_on(order, actor)
        return await self.one(permit_id, None, unit)

    async def drop(self, order_id: UUID) -> None:
        """The order has ended: nobody needs its permits any more."""
        async with transaction():
            await locked(order_id)
            for permit in await self._open(order_id):
                await self._end(permit, "drop", SYSTEM, None)

    async def listed(
        self, company: str | None, unit: str | None, after: UUID | None, limit: int, *, over: bool = False
    ) -> Sequence[Any]:
        """Permits of a company's orders, or those a unit has to answer; open ones, or (`over`) all."""
        return await fetch(_LIST, company, unit, over, after, limit, None)

    async def one(self, permit_id: UUID, company: str | None, unit: str | None) -> Any:
        """One of them; raises :class:`NotFound`."""
        rows = await fetch(_LIST, company, unit, True, None, 1, permit_id)
        if not rows:
            raise NotFound("permit")
        return rows[0]

    async def _stand_still(self, order_id: UUID, by: Handler, evidence: str) -> None:
        try:
            await self._orders.suspend(order_id, by, "permit", evidence)
        except OncePerOrder as paused:
            raise DeadlinePaused(reason="special") from paused
        except SupervisorNeeded as needed:
            raise ApproverNeeded(what="pause") from needed

    async def _ask_one(
        self, order: ServiceOrder, rule: PermitRule, evidence: str, actor: Actor, area: str | None
    ) -> UUID:
        permit = await Permit.create(
            id=ids.new_id(), status=PermitStatus.ASKED, order_id=order.id, company=order.company, kind=rule.kind, unit=rule.unit,
            evidence=evidence, asked_at=clock.now(),
        )  # fmt: skip
        await born(PERMIT, permit, actor)
        promise = Promise(rule.days, rule.kind, rule.source)
        # Its clock is the bureau's: warnings and orders about it are that unit's.
        await self._deadlines.open_deadline(
            Subject(KIND, permit.id), promise, permit.asked_at, company=rule.unit, area=area
        )
        return permit.id

    async def _end(self, permit: Permit, event: str, actor: Actor, answer: str | None) -> None:
        await move(PERMIT, permit, event, actor, columns={"answer": answer, "ended_at": clock.now()})
        await self._deadlines.close(Subject(KIND, permit.id), void=event == "drop")

    async def _go_on(self, order: ServiceOrder, actor: Actor) -> None:
        """The last permit is answered: the promise runs on, unless it stands still for something else by now."""
        order = await ServiceOrder.get(id=order.id)
        if order.paused_reason == "permit" and not await self._open(order.id):
            await self._orders.resume(order.id, Handler(actor, order.company), "各项审批都有了结果")

    async def _open(self, order_id: UUID) -> list[Permit]:
        return await Permit.filter(order_id=order_id, ended_at=None).order_by("id")

    def _rule(self, kind: str) -> PermitRule:
        versions = tuple(rule for rule in self._city.promises.permit if rule.kind == kind)
        if not versions:
            raise PermitKindUnknown(kind=kind)
        return in_force(versions, clock.today(), f"permit {kind}")
