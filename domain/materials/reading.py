"""A company's staff read the papers of their own orders: listed plainly, opened for a purpose that stands on record before the link does."""

from typing import Any, NamedTuple
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import NotFound
from domain.identity.staff_sessions import StaffCaller
from domain.materials.materials import Link, Materials, MaterialWithheld
from models.acting import Disclosure
from models.material import Material, MaterialStatus


class OrderPaper(NamedTuple):
    """A material that an order's company may read, and what it serves."""

    material: Material
    requirement: str


class StaffReading:
    """What staff of a company see of the materials of their orders: those whose requirement is asked for by the order's service."""

    def __init__(self, city: City, vault: Vault, materials: Materials) -> None:
        self._city = city
        self._vault = vault
        self._materials = materials

    async def of_order(self, staff: StaffCaller, order_id: UUID) -> list[OrderPaper]:
        """The papers of an order of the caller's company; not what is in them.

        Raises:
            NotFound: no such order of this company.
        """
        rows = await self._rows(staff, order_id)
        found = {row.id: row for row in await Material.filter(id__in=[row["material_id"] for row in rows])}
        return [OrderPaper(found[row["material_id"]], row["requirement"]) for row in rows]

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
                purpose=purpose,
                note=self._vault.seal(f"{note}（材料 {material_id}）", "disclosure.note", row_id),
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
        if material_id not in {row["material_id"] for row in await self._rows(staff, order_id)}:
            raise NotFound("material")
        material = await Material.get(id=material_id)
        if material.status == MaterialStatus.QUARANTINED:
            raise MaterialWithheld
        return material

    async def _rows(self, staff: StaffCaller, order_id: UUID) -> list[Any]:
        orders = await fetch(
            "select application_id, service from service_order where id = $1 and company = $2",
            order_id,
            staff.unit.company,
        )
        if not orders:
            raise NotFound("service_order")
        asked = {rule.code for rule in self._city.materials.requirements if orders[0]["service"] in rule.services}
        return await fetch(_OF_ORDER, orders[0]["application_id"], list(asked))


_OF_ORDER = """
select u.material_id, u.requirement from material_use u join material m on m.id = u.material_id
where u.application_id = $1 and u.requirement = any($2::text[]) and u.ended_at is null and m.removed_at is null order by u.id
"""
