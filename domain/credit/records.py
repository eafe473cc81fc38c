"""Credit records: written from a fact, told to the subject, open to objection for some working days, and only then counting.

A broken promise of a paper is such a fact (``tolerance.overdue``); so is deceit, which staff of the city have found where a company refused
an order because what was handed in is not true.
"""

from collections.abc import Awaitable, Callable
from typing import Literal
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import NotFound
from core.workdays import Calendar
from domain.identity.staff_sessions import StaffCaller
from domain.identity.tokens import Caller
from models.access import Principal
from models.credit import CREDIT_RECORD, CreditRecord, CreditStatus
from models.lifecycle import SYSTEM, Event, IllegalMove, born, move
from models.tolerance import Tolerance

_OBJECTION = "credit_record.objection"
_MOST_AT_ONCE = 200
_REFUSED = """
select a.person_id, a.organization_id from service_order o join application a on a.id = o.application_id
where o.id = $1 and o.status in ('refused', 'failed') and o.reason = any($2::text[]) for update of o
"""


class Credit:
    """Writes, shows and decides credit records. `calendar` gives the working days as they are known now."""

    def __init__(self, city: City, vault: Vault, calendar: Callable[[], Awaitable[Calendar]]) -> None:
        self._city = city
        self._vault = vault
        self._calendar = calendar

    async def promise_broken(self, event: Event) -> None:
        """A promised paper did not come by its day. May be repeated: one record for one promise."""
        tolerance = await Tolerance.get(id=event.subject_id)
        today = clock.today()
        days = self._city.materials.credit_rule(today).objection_days
        until = (await self._calendar()).after(today, days)
        subject = Principal(tolerance.person_id, tolerance.organization_id).owned
        async with transaction():
            await fetch("select 1 from tolerance where id = $1 for update", tolerance.id)
            if await CreditRecord.filter(
                event="promise_overdue", evidence_kind="tolerance", evidence_id=tolerance.id
            ).exists():
                return
            record = await CreditRecord.create(
                id=ids.new_id(),
                status=CreditStatus.NOTICED.value,
                event="promise_overdue",
                evidence_kind="tolerance",
                evidence_id=tolerance.id,
                noticed_at=clock.now(),
                objection_until=until,
                **subject,
            )
            await born(CREDIT_RECORD, record, SYSTEM, announces="credit_record.noticed")

    async def deceit(self, staff: StaffCaller, order_id: UUID, reason: str) -> CreditRecord:
        """Staff of the city hold for deceit (弄虚作假, 鄂州工改办〔2023〕11号 四、（四）) what a company has refused as untrue; `reason` is their finding.

        The subject is told first and may object, as always. Again: the same record.

        Raises:
            NotFound: no order that was refused for such a reason, or none of those who decide.
        """
        days = self._city.materials.credit_rule(clock.today()).objection_days
        until = (await self._calendar()).after(clock.today(), days)
        async with transaction():
            row = await fetch_one(_REFUSED, order_id, self._city.applications.untrue())
            if row is None or not self._decides(staff):
                raise NotFound("service_order")
            evidence = {"event": "false_material", "evidence_kind": "service_order", "evidence_id": order_id}
            known = await CreditRecord.get_or_none(**evidence)
            if known is not None:
                return known
            record = await CreditRecord.create(
                id=ids.new_id(), status=CreditStatus.NOTICED.value, noticed_at=clock.now(), objection_until=until,
                person_id=row["person_id"], organization_id=row["organization_id"], **evidence,
            )  # fmt: skip
            await born(CREDIT_RECORD, record, staff.actor, announces="credit_record.noticed", reason=reason)
        return record

    async def of(self, principal: Principal) -> list[CreditRecord]:
        """The principal's own records, newest first."""
        return await CreditRecord.filter(**principal.owned).order_by("-id").limit(100)

    async def object(self, caller: Caller, record_id: UUID, words: str) -> CreditRecord:
        """The subject objects, in time: until it is decided the record does not count.

        Raises:
            NotFound. IllegalMove: it is too late, or was done.
        """
        async with transaction():
            record = await CreditRecord.filter(id=record_id, **caller.principal.owned).select_for_update().get_or_none()
            if record is None:
                raise NotFound("credit_record")
            if clock.today() > record.objection_until:
                raise IllegalMove(subject="credit_record", state=str(record.status), event="object")
            columns = {"objection": self._vault.seal(words, _OBJECTION, record.id)}
            await move(CREDIT_RECORD, record, "object", caller.actor, columns=columns)
        return record

    async def waiting(
        self, staff: StaffCaller, after: UUID | None, limit: int
    ) -> list[tuple[CreditRecord, str | None]]:
        """The records that are not over, oldest first, with the words of an objection: for those who decide."""
        if not self._decides(staff):
            return []
        query = CreditRecord.filter(status__in=("noticed", "objected", "confirmed"))
        rows = await (query.filter(id__gt=after) if after else query).order_by("id").limit(limit)
        return [
            (row, self._vault.open(row.objection, _OBJECTION, row.id) if row.objection is not None else None)
            for row in rows
        ]

    async def decide(
        self,
        staff: StaffCaller,
        record_id: UUID,
        decision: Literal["uphold_objection", "dismiss_objection", "repair"],
        reason: str,
    ) -> CreditRecord:
        """Decide an objection, or repair a record, with the reason in the journal.

        Raises:
            NotFound: no such record, or none of those who decide. IllegalMove.
        """
        async with transaction():
            record = await CreditRecord.filter(id=record_id).select_for_update().get_or_none()
            if record is None or not self._decides(staff):
                raise NotFound("credit_record")
            now = clock.now()
            columns = {"ended_at" if decision != "dismiss_objection" else "decided_at": now}
            await move(CREDIT_RECORD, record, decision, staff.actor, reason=reason, columns=columns)
        return record

    def _decides(self, staff: StaffCaller) -> bool:
        """The platform's own staff, and the office that co-ordinates (鄂州工改办〔2023〕11号 四、（一）): no other bureau."""
        return staff.unit.kind == "city" or staff.unit.code == self._city.promises.city_unit(clock.today())

    async def confirm_due(self) -> None:
        """By the clock: what nobody objected to in time counts from now on."""
        for row in await fetch(
            "select id from credit_record where status = 'noticed' and objection_until < $1 order by objection_until limit $2",
            clock.today(), _MOST_AT_ONCE,
        ):  # fmt: skip
            async with transaction():
                record = await CreditRecord.filter(id=row["id"]).select_for_update().get()
                if record.status == CreditStatus.NOTICED and record.objection_until < clock.today():
                    await move(CREDIT_RECORD, record, "confirm", SYSTEM, columns={"decided_at": clock.now()})
