"""Devices that read ID cards, and what they have read: kept for minutes, until the citizen at the device has taken it up.

A device is enrolled by staff of a hall with a public key of its own; its private key never leaves it.
"""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock, ids
from core.database import fetch


class Device(Model):
    """A kiosk, at which a citizen stands alone, or the reader of a counter, at which a clerk sits; of one hall, until it is revoked."""

    id = fields.UUIDField(primary_key=True)
    kind = fields.CharField(max_length=10)
    unit = fields.CharField(max_length=40)
    label = fields.CharField(max_length=40)
    public_key = fields.BinaryField()
    enrolled_at = fields.DatetimeField()
    enrolled_by: Any = fields.ForeignKeyField("models.StaffUser", related_name="devices", on_delete=fields.RESTRICT)
    enrolled_by_id: Any
    used_at = fields.DatetimeField(null=True)
    """Its last signed call."""
    revoked_at = fields.DatetimeField(null=True)
    revoked_by_id = fields.UUIDField(null=True)

    class Meta:
        table = "device"
        constraints = (
            UniqueConstraint(name="device_key_once", fields=("public_key",)),
            CheckConstraint(name="device_kind_known", check="kind in ('kiosk', 'reader')"),
            CheckConstraint(name="device_key_whole", check="octet_length(public_key) = 32"),
            CheckConstraint(name="device_revoked_by_somebody", check="(revoked_at is null) = (revoked_by_id is null)"),
        )
        indexes = (("unit",),)


class DeviceNonce(Model):
    """A nonce of a device's request that was used: each serves once."""

    id = fields.UUIDField(primary_key=True)
    device_id = fields.UUIDField()
    nonce = fields.CharField(max_length=128)
    seen_at = fields.DatetimeField()

    class Meta:
        table = "device_nonce"
        constraints = (UniqueConstraint(name="device_nonce_once", fields=("device_id", "nonce")),)
        indexes = (("seen_at",),)


class CardRead(Model):
    """One card read at a device. `facts` (name and number, sealed) are there while it may still be taken up, and no longer.

    `outcome`: raised (the session's person has the card's real name), elsewhere (another login of his has it already), contradicts
    (his login stands for another number), acted (a clerk acts for the card's owner), refused (the citizen said no), lapsed.
    """

    id = fields.UUIDField(primary_key=True)
    device: Any = fields.ForeignKeyField("models.Device", related_name="reads", on_delete=fields.RESTRICT)
    device_id: Any
    code_index = fields.BinaryField()
    facts = fields.BinaryField(null=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    session: Any = fields.ForeignKeyField(
        "models.Session", related_name="card_reads", on_delete=fields.RESTRICT, null=True
    )
    session_id: Any
    """The citizen's session that has taken it up."""
    taken_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=12, null=True)

    class Meta:
        table = "card_read"
        constraints = (
            UniqueConstraint(name="card_read_code_once", fields=("code_index",)),
            UniqueConstraint(
                name="card_read_live_once_per_device", fields=("device_id",), condition="ended_at is null"
            ),
            CheckConstraint(
                name="card_read_short",
                check="expires_at > created_at and expires_at <= created_at + interval '5 minutes'",
            ),
            CheckConstraint(name="card_read_facts_end", check="(ended_at is null) = (facts is not null)"),
            CheckConstraint(name="card_read_taken_whole", check="(session_id is null) = (taken_at is null)"),
            CheckConstraint(
                name="card_read_end_has_outcome",
                check="(ended_at is null) = (outcome is null) and (outcome is null"
                " or outcome in ('raised', 'elsewhere', 'contradicts', 'acted', 'refused', 'lapsed'))",
            ),
            CheckConstraint(
                name="card_read_raises_who_took_part",
                check="outcome is null or outcome not in ('raised', 'elsewhere', 'contradicts') or session_id is not null",
            ),
        )
        indexes = (("session_id",),)


_LIVE_KEY = "update device set used_at = greatest(used_at, $2) where id = $1 and revoked_at is null returning id"


async def use_nonce(device_id: UUID, nonce: str) -> bool:
    """Remember a nonce of a live device; False when it has served before, or the device has just been revoked."""
    if not await fetch(_LIVE_KEY, device_id, clock.now()):
        return False
    rows = await fetch(
        "insert into device_nonce (id, device_id, nonce, seen_at) values ($1, $2, $3, $4)"
        " on conflict (device_id, nonce) do nothing returning id",
        ids.new_id(), device_id, nonce, clock.now(),
    )  # fmt: skip
    return bool(rows)
