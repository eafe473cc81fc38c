"""Devices that read ID cards: enrolled and revoked by those who manage a hall, each with a key pair of its own."""

from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cities.schema import City
from core import clock, ids
from core.database import fetch, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from domain.identity.staff_sessions import StaffCaller
from gateways.message_signatures import load_public_key
from models import audit
from models.device import Device


class DeviceRefused(LianbanError):
    """No device is enrolled so. data: ``why``: unit (not a hall within the caller's reach), key (no Ed25519 public key, or one in use)."""

    code = "device_refused"


class Devices:
    """Enrols, lists, revokes and finds devices."""

    def __init__(self, city: City) -> None:
        self._city = city

    async def enrol(self, by: StaffCaller, kind: str, unit: str | None, label: str, public_key: str) -> Device:
        """Enrol a device of a hall with the PEM of its Ed25519 public key.

        Raises:
            DeviceRefused.
        """
        found = by.unit if unit is None else self._city.staff.unit(unit)
        if found is None or found.kind != "hall" or not (found.code == by.unit.code or self._reaches_all(by)):
            raise DeviceRefused(why="unit")
        try:
            key = load_public_key(public_key).public_bytes(Encoding.Raw, PublicFormat.Raw)
        except ValueError as error:
            raise DeviceRefused(why="key") from error
        device = Device(
            id=ids.new_id(), kind=kind, unit=found.code, label=label, public_key=key, enrolled_at=clock.now(), enrolled_by_id=by.staff_id
        )  # fmt: skip
        try:
            async with transaction():
                await device.save(force_create=True)
                await audit.record(by.actor, "device.enrolled", "device", device.id, f"{kind}@{found.code}")
        except Exception as error:
            if violated_constraint(error) == "device_key_once":
                raise DeviceRefused(why="key") from error
            raise
        return device

    async def listed(self, by: StaffCaller, after: UUID | None, limit: int) -> list[Device]:
        """The devices within the caller's reach, revoked ones too, in the order of their enrolment."""
        query = Device.all() if self._reaches_all(by) else Device.filter(unit=by.unit.code)
        return await (query.filter(id__gt=after) if after else query).order_by("id").limit(limit)

    async def revoke(self, by: StaffCaller, device_id: UUID) -> None:
        """From now on nothing it signs is believed, and what it has read is gone; revoking it again changes nothing.

        Raises:
            NotFound: no device within the caller's reach.
        """
        async with transaction():
            query = Device.all() if self._reaches_all(by) else Device.filter(unit=by.unit.code)
            device = await query.filter(id=device_id).select_for_update().get_or_none()
            if device is None:
                raise NotFound("device")
            if device.revoked_at is None:
                device.revoked_at, device.revoked_by_id = clock.now(), by.staff_id
                await device.save(update_fields=["revoked_at", "revoked_by_id"])
                await end_reads_of(device.id)
                await audit.record(by.actor, "device.revoked", "device", device.id)

    async def live(self, keyid: str) -> tuple[Device, Ed25519PublicKey] | None:
        """The device a request says it comes from, with the key that has to prove it; None: there is none, or not any more."""
        try:
            device_id = UUID(keyid)
        except ValueError:
            return None
        device = await Device.get_or_none(id=device_id, revoked_at=None)
        if device is None or str(device_id) != keyid:
            return None
        return device, Ed25519PublicKey.from_public_bytes(bytes(device.public_key))

    def _reaches_all(self, by: StaffCaller) -> bool:
        return any(role.reach == "all" for role in self._city.staff.held(by.unit, by.roles))


async def end_reads_of(device_id: UUID) -> None:
    """What a device has read and nobody has used ends, in the caller's transaction."""
    await fetch(
        "update card_read set ended_at = $2, outcome = 'lapsed', facts = null where device_id = $1 and ended_at is null",
        device_id, clock.now(),
    )  # fmt: skip
