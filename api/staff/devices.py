"""Devices that read ID cards, enrolled and revoked by those who manage a hall."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from models.device import Device


class DeviceEnrolment(Input, frozen=True):
    """A device with the public half of the key pair it has made itself. `unit` null: the caller's own hall."""

    kind: Literal["kiosk", "reader"]
    label: Annotated[str, Meta(min_length=1, max_length=40)]
    public_key: Annotated[str, Meta(min_length=1, max_length=400)]
    unit: Annotated[str, Meta(max_length=40)] | None = None


class DeviceView(Output, frozen=True):
    """A device; `device_id` is the key id under which it signs."""

    device_id: UUID
    kind: str
    unit: str
    label: str
    enrolled_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class DeviceList(Output, frozen=True):
    """A page of them, in the order of their enrolment."""

    devices: list[DeviceView]
    next_after: UUID | None


async def enrol(call: Call) -> Answer:
    body: DeviceEnrolment = call.body
    device = await call.services.devices.enrol(call.staff, body.kind, body.unit, body.label, body.public_key)
    return Answer(_view(device), 201)


async def list_devices(call: Call) -> Answer:
    query: Page = call.query
    views = [_view(row) for row in await call.services.devices.listed(call.staff, query.after, query.limit)]
    return Answer(DeviceList(views, views[-1].device_id if len(views) == query.limit else None))


async def revoke(call: Call) -> Answer:
    await call.services.devices.revoke(call.staff, call.path["device_id"])
    return Answer(None, 204)


def _view(row: Device) -> DeviceView:
    return DeviceView(row.id, row.kind, row.unit, row.label, row.enrolled_at, row.used_at, row.revoked_at)
