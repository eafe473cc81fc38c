"""Who works an order reads its papers: the company's staff for a purpose they state, its system while the order is open.

Both see the same: materials of the order's case whose requirement is asked for by the order's service, under the consent that names
the company. Who reads is on record before a link (staff) or before the bytes (system).
"""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import NotFound
from domain.identity.staff_sessions import StaffCaller
from domain.materials.materials import Link, Materials, MaterialWithheld
from domain.materials.needs import Need, Needs
from models.acting import Disclosure
from models.application import Application
from models.material import Material, MaterialStatus
from models.service_order import ENDS, OrderStatus

_TAKEN_BACK = (OrderStatus.WITHDRAWN, OrderStatus.REASSIGNED)
"""Nothing is read any more; of other orders that are over, staff may read for a complaint what is still there."""


class OrderPaper(NamedTuple):
    """A material that an order's company may read, and what it serves."""

    material: Material
    requirement: str


class LinkedPaper(NamedTuple):
    """The same with a link; no link to what the scanner has found something in."""

    paper: OrderPaper
    link: Link | None


class SystemReader(NamedTuple):
    """A company's system: which company, and the id of the key that signed its call."""

    company: str
    keyid: str


class StaffReading:
    """What staff of a company see of the materials of their orders."""

    def __init__(self, city: City, vault: Vault, materials: Materials, needs: Needs) -> None:
        self._city = city
        self._vault = vault
        self._materials = materials
        self._needs = needs

    async def of_order(self, staff: StaffCaller, order_id: UUID) -> tuple[list[OrderPaper], list[Need]]:
        """The papers of an order of the caller's company, and what stands for those that were not handed in; not what is in them.

        Raises:
            NotFound: no such order of this company.
        """
        found = await _readable(self._city, order_id, staff.unit.company, _TAKEN_BACK)
        return found, await _not_handed_in(self._needs, order_id)

    async def link(
        self, staff: StaffCaller, order_id: UUID, material_id: UUID, purpose: str, note: str, request_id: str
    ) -> Link:
        """A link for this reader; who reads it and why is on record before the link exists.

        Raises:
            NotFound. MaterialWithheld.
        """
        await self._one(staff, order_id, material_id)
        row_id = ids.new_id()
        async with transaction():
            await Disclosure.create(
                id=row_id,
                at=clock.now(),
                staff_id=staff.staff_id,
                unit=staff.unit.code,
                subject="service_order",
                subject_id=order_id,
                field="material",
                material_id=material_id,
                purpose=purpose,
                note=self._vault.seal(note, "disclosure.note", row_id),
                request_id=request_id,
            )
        return self._materials.link_for(material_id, f"staff:{staff.staff_id}", f"order:{order_id}")

    async def read(self, staff: StaffCaller, order_id: UUID, material_id: UUID, text: str) -> tuple[Material, bytes]:
        """The material behind the reader's own link.

        Raises:
            NotFound. MaterialWithheld. LinkRefused. StoreAway.
        """
        material = await self._one(staff, order_id, material_id)
        self._materials.check_link(text, material_id, f"staff:{staff.staff_id}", f"order:{order_id}")
        return material, await self._materials.content(material)

    async def _one(self, staff: StaffCaller, order_id: UUID, material_id: UUID) -> Material:
        return _picked(await _readable(self._city, order_id, staff.unit.company, _TAKEN_BACK), material_id)


class CompanyReading:
    """What a company's system fetches of its orders' materials (docs/company-gateway.md §11.5)."""

    def __init__(self, city: City, vault: Vault, materials: Materials, needs: Needs) -> None:
        self._city = city
        self._vault = vault
        self._materials = materials
        self._needs = needs

    async def of_order(self, company: str, order_id: UUID) -> tuple[list[LinkedPaper], list[Need]]:
        """The papers of an open order of this company, each with a link for its system, and what stands for the others.

        Raises:
            NotFound: no such order of this company, or it is over.
        """
        papers = await _readable(self._city, order_id, company, ENDS)
        linked = [LinkedPaper(one, self._link(company, order_id, one.material)) for one in papers]
        return linked, await _not_handed_in(self._needs, order_id)

    async def read(
        self, reader: SystemReader, order_id: UUID, material_id: UUID, text: str, request_id: str
    ) -> tuple[Material, bytes]:
        """The material behind the company's link; that it was fetched, and under which key, is on record before the bytes leave.

        Raises:
            NotFound. MaterialWithheld. LinkRefused. StoreAway.
        """
        material = _picked(await _readable(self._city, order_id, reader.company, ENDS), material_id)
        self._materials.check_link(text, material_id, f"company:{reader.company}", f"order:{order_id}")
        content = await self._materials.content(material)
        row_id = ids.new_id()
        async with transaction():
            await Disclosure.create(
                id=row_id,
                at=clock.now(),
                keyid=reader.keyid,
                unit=reader.company,
                subject="service_order",
                subject_id=order_id,
                field="material",
                material_id=material_id,
                purpose="handling",
                note=self._vault.seal("企业系统按子单领取", "disclosure.note", row_id),
                request_id=request_id,
            )
        return material, content

    def _link(self, company: str, order_id: UUID, material: Material) -> Link | None:
        if material.status == MaterialStatus.QUARANTINED:
            return None
        return self._materials.link_for(material.id, f"company:{company}", f"order:{order_id}")


async def _readable(
    city: City, order_id: UUID, company: str | None, closed: Collection[OrderStatus]
) -> list[OrderPaper]:
    """Raises NotFound: no such order of this company, not under its consent any more, or where `closed` says that it is over."""
    order = await fetch_one(_ORDER, order_id, company, [status.value for status in closed])
    if order is None:
        raise NotFound("service_order")
    asked = {rule.code for rule in city.materials.requirements if order["service"] in rule.services}
    rows = await fetch(_OF_ORDER, order["application_id"], list(asked))
    found = {row.id: row for row in await Material.filter(id__in=[row["material_id"] for row in rows])}
    return [OrderPaper(found[row["material_id"]], row["requirement"]) for row in rows]


async def _not_handed_in(needs: Needs, order_id: UUID) -> list[Need]:
    row = await fetch_one("select application_id, service from service_order where id = $1", order_id)
    assert row is not None, "looked up before"
    application = await Application.get(id=row["application_id"])
    return [
        need
        for need in await needs.of(application)
        if need.state != "attached" and row["service"] in need.requirement.services
    ]


def _picked(papers: list[OrderPaper], material_id: UUID) -> Material:
    found = next((one.material for one in papers if one.material.id == material_id), None)
    if found is None:
        raise NotFound("material")
    if found.status == MaterialStatus.QUARANTINED:
        raise MaterialWithheld
    return found


_ORDER = """
select o.application_id, o.service from service_order o join consent c on c.application_id = o.application_id and c.company = o.company
where o.id = $1 and o.company = $2 and o.status <> all($3::text[]) and c.withdrawn_at is null
"""
_OF_ORDER = """
select u.material_id, u.requirement from material_use u join material m on m.id = u.material_id
where u.application_id = $1 and u.requirement = any($2::text[]) and u.ended_at is null and m.removed_at is null order by u.id
"""
