"""Service orders as staff see them: a company's people their own, a hall's and a bureau's those of their district, the city's all.

Who and where are masked; in clear only for a purpose, and with a row that says who looked and why.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import NotFound
from domain.applications.drafts import Drafts
from domain.identity.staff_sessions import StaffCaller
from domain.orders.content import own_part
from domain.orders.papers import Paper, Papers
from domain.surveys.parts import Parts, SignedPart
from models.acting import Disclosure
from models.application import Application
from models.order_request import OrderRequest, RequestStatus
from models.service_order import OrderStatus, ServiceOrder, official_code

_LIST = """
select o.id, o.number, o.company, o.service, o.status, o.created_at, o.received_at, o.accepted_at, o.connected_at, o.ended_at, o.distance_m,
  o.distance_source, o.corrections, o.reason, o.paused_reason, o.withdrawal_asked_at, o.extension_asked_days, o.tolerated, o.resumed_at,
  a.id as application_id, a.number as application_number, a.area, a.access_point, a.filed_at, d.due_on, d.provisional, d.level,
  (select count(*) from order_request r where r.order_id = o.id and r.status = 'asked') as requests
from service_order o join application a on a.id = o.application_id
left join deadline d on d.subject_kind = 'service_order' and d.subject_id = o.id and d.kind = 'promise' and d.closed_at is null
where ($1::text is null or o.company = $1) and ($2::text is null or starts_with(a.area, $2))
"""
_PAGE = (
    _LIST
    + """ and ($3::text is null or o.status = $3) and ($4::text is null or o.service = $4) and ($5::text is null or d.level = $5)
  and ($6::text is null or $6 in (o.number, a.number)) and ($7::uuid is null or o.id < $7) order by o.id desc limit $8"""
)
_ONE = _LIST + " and o.id = $3"
_REPORTS = "select sequence, kind, came_at, worked_at, outcome from order_report where order_id = $1 order by sequence"
_TELLINGS = """
select number, kind, notice, revision, status, created_at, ended_at, refusal_code from order_telling where order_id = $1 order by number
"""
_REQUESTS = """
select r.id, r.order_id, r.company, r.kind, r.status, r.asked_by_kind, r.asked_at, o.number
from order_request r join service_order o on o.id = r.order_id join application a on a.id = o.application_id
where r.status = $3 and ($1::text is null or r.company = $1) and ($2::text is null or starts_with(a.area, $2))
  and ($4::uuid is null or r.id > $4) order by r.id limit $5
"""

_AT_ADDRESS = """
with other as (
  select a.id, a.filed_at, a.person_id = here.person_id or a.organization_id = here.organization_id or a.subject_index = here.subject_index as own
  from application here join application a on a.address_index = here.address_index and a.id <> here.id
  where here.id = $1 and a.status = 'filed' and exists (select 1 from service_order o where o.application_id = a.id and o.status <> all($2::text[]))
)
select (select count(*) from other) as cases, o.number, o.company, o.service, o.status, other.filed_at, coalesce(other.own, false) as own
from (select 1) as always left join (other join service_order o on o.application_id = other.id and o.status <> all($2::text[])
  join application a on a.id = other.id and ($3::text is null or o.company = $3) and ($4::text is null or starts_with(a.area, $4))) on true
order by other.filed_at desc, o.number limit 50
"""
_GONE = [OrderStatus.WITHDRAWN.value, OrderStatus.REFUSED.value, OrderStatus.REASSIGNED.value, OrderStatus.FAILED.value]


class Scope(NamedTuple):
    """Whose orders: of this company, in this district; None: whichever."""

    company: str | None
    area: str | None


class OtherOrder(NamedTuple):
    """An order of another case at the same place that the reader may see; `own`: of the same applicant."""

    number: str
    company: str
    service: str
    status: str
    filed_at: datetime
    own: bool


class AtAddress(NamedTuple):
    """How many other cases there are at the place of an order, and those of their orders that the reader may see, newest first."""

    cases: int
    orders: tuple[OtherOrder, ...]


@dataclass(frozen=True, slots=True)
class DeskOrder:
    """One order with what was said of it. `part` is what its company was asked; people and places are masked."""

    row: dict[str, Any]
    code: int | None
    applicant_masked: str
    phone_masked: str
    address_masked: str
    part: dict[str, Any]
    papers: list[Paper]
    finding: SignedPart | None
    reports: list[dict[str, Any]]
    tellings: list[dict[str, Any]]
    at_address: AtAddress


class OrderDesk:
    """Reads for staff. The scope stands in every query: another's order and a missing one are the same."""

    def __init__(self, vault: Vault, drafts: Drafts, papers: Papers, parts: Parts) -> None:
        self._vault = vault
        self._drafts = drafts
        self._papers = papers
        self._parts = parts

    async def listed(
        self,
        staff: StaffCaller,
        filters: tuple[str | None, str | None, str | None, str | None],
        after: UUID | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """A page of orders, newest first; `filters`: status, service, level of the promise, number of order or application."""
        return [dict(row) for row in await fetch(_PAGE, *scope_of(staff), *filters, after, limit)]

    async def one(self, staff: StaffCaller, order_id: UUID) -> DeskOrder:
        """Raises NotFound: not within the caller's reach."""
        row = await self._row(staff, order_id)
        application = await Application.get(id=row["application_id"])
        answers = self._drafts.answers_of(application)
        parts = await self._parts.of([order_id])
        return DeskOrder(
            row=row,
            code=code_of(row),
            applicant_masked=masked_name(answers["applicant"]["name"]),
            phone_masked=masked_phone(answers["contact"]["mobile"]),
            address_masked=masked_address(answers["site"]["address"]),
            part=own_part(answers, row["service"]),
            papers=await self._papers.of([order_id]),
            finding=parts.get(order_id),
            reports=[dict(one) for one in await fetch(_REPORTS, order_id)],
            tellings=[dict(one) for one in await fetch(_TELLINGS, order_id)],
            at_address=await self._at_address(staff, application.id),
        )

    async def reveal(
        self, staff: StaffCaller, order_id: UUID, purpose: str, note: str, request_id: str
    ) -> dict[str, Any]:
        """Applicant, contact and site in clear; the row that says who saw them and why is there before the answer.

        Raises:
            NotFound: not an order of the caller's company.
        """
        row = await self._row(staff, order_id)
        row_id = ids.new_id()
        async with transaction():
            await Disclosure.create(
                id=row_id,
                at=clock.now(),
                staff_id=staff.staff_id,
                unit=staff.unit.code,
                subject="service_order",
                subject_id=order_id,
                field="applicant",
                purpose=purpose,
                note=self._vault.seal(note, "disclosure.note", row_id),
                request_id=request_id,
            )
        answers = self._drafts.answers_of(await Application.get(id=row["application_id"]))
        return {name: answers.get(name, {}) for name in ("applicant", "agent", "contact", "site")}

    async def requests(
        self, staff: StaffCaller, status: RequestStatus, after: UUID | None, limit: int
    ) -> list[dict[str, Any]]:
        """What waits for a supervisor, oldest first."""
        return [dict(row) for row in await fetch(_REQUESTS, *scope_of(staff), status.value, after, limit)]

    async def reachable(self, staff: StaffCaller, order_id: UUID) -> ServiceOrder:
        """The order, for whoever may see it.

        Raises:
            NotFound: not within the caller's reach.
        """
        await self._row(staff, order_id)
        return await ServiceOrder.get(id=order_id)

    async def request(self, staff: StaffCaller, request_id: UUID) -> OrderRequest:
        """One request, for whoever may see its order. Raises NotFound."""
        request = await OrderRequest.get_or_none(id=request_id)
        if request is None:
            raise NotFound("order_request")
        await self._row(staff, request.order_id)
        return request

    async def _at_address(self, staff: StaffCaller, application_id: UUID) -> AtAddress:
        """That others have a case at this place is the handler's to know; of whose it is he sees what he may see of their orders."""
        rows = await fetch(_AT_ADDRESS, application_id, _GONE, *scope_of(staff))
        names = OtherOrder._fields
        return AtAddress(
            rows[0]["cases"],
            tuple(OtherOrder(*(row[name] for name in names)) for row in rows if row["number"] is not None),
        )

    async def _row(self, staff: StaffCaller, order_id: UUID) -> dict[str, Any]:
        row = await fetch_one(_ONE, *scope_of(staff), order_id)
        if row is None:
            raise NotFound("service_order")
        return dict(row)


def scope_of(staff: StaffCaller) -> Scope:
    """What the caller's unit may see.

    Raises:
        NotFound: a unit of neither a company, a district nor the city.
    """
    if staff.unit.kind != "city" and staff.unit.company is None and staff.unit.area is None:
        raise NotFound("service_order")
    # A bureau of the whole city has the city's code, whose last two digits are zero where a district's are not (GB/T 2260).
    return Scope(staff.unit.company, staff.unit.area and staff.unit.area.removesuffix("00"))


def code_of(row: dict[str, Any]) -> int | None:
    """The official code of an order."""
    paused_at: datetime | None = row["resumed_at"]
    return official_code(
        OrderStatus(row["status"]),
        paused=row["paused_reason"] is not None,
        resumed=paused_at is not None,
        was_accepted=row["accepted_at"] is not None,
        tolerated=row["tolerated"],
    )


def masked_name(name: str) -> str:
    """The first character.

    >>> masked_name("王小明"), masked_name("鄂州示范制造有限公司")
    ('王**', '鄂州******公司')
    """
    return name[0] + "*" * (len(name) - 1) if len(name) <= 4 else name[:2] + "*" * (len(name) - 4) + name[-2:]


def masked_phone(phone: str) -> str:
    """The first three and the last four digits.

    >>> masked_phone("13812345678")
    '138****5678'
    """
    return f"{phone[:3]}****{phone[-4:]}"


def masked_address(address: str) -> str:
    """Its beginning, without any digit.

    >>> masked_address("滨湖南路18号3栋201")
    '滨湖南路***'
    """
    words = "".join(character for character in address[:6] if not character.isdecimal())
    return f"{words[: max(1, len(address) // 2)]}***"
