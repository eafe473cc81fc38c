"""Devices that read ID cards, what they read, and sessions at counters opened by a card."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = {
    "Device": (
        UniqueConstraint(name="device_key_once", fields=("public_key",)),
        CheckConstraint(name="device_kind_known", check="kind in ('kiosk', 'reader')"),
        CheckConstraint(name="device_key_whole", check="octet_length(public_key) = 32"),
        CheckConstraint(name="device_revoked_by_somebody", check="(revoked_at is null) = (revoked_by_id is null)"),
    ),
    "DeviceNonce": (UniqueConstraint(name="device_nonce_once", fields=("device_id", "nonce")),),
    "CardRead": (
        UniqueConstraint(name="card_read_code_once", fields=("code_index",)),
        UniqueConstraint(name="card_read_live_once_per_device", fields=("device_id",), condition="ended_at is null"),
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
    ),
}
OF_SESSIONS = (
    UniqueConstraint(name="acting_session_once_per_card_read", fields=("card_read_id",)),
    CheckConstraint(name="acting_session_of_code_or_card", check="num_nonnulls(code_id, card_read_id) = 1"),
)
GRANTS = """
grant select, insert, update on device, card_read to lianban_app;
grant select, insert, update, delete on device_nonce to lianban_app;
"""


def _id() -> fields.Field:
    return fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)


def _moment(*, null: bool = False) -> fields.Field:
    return fields.DatetimeField(null=null, auto_now=False, auto_now_add=False)


def _to(model: str, column: str, related_name: str, *, null: bool = False) -> fields.Field:
    return fields.ForeignKeyField(
        model, source_field=column, db_constraint=True, to_field="id", related_name=related_name, on_delete=OnDelete.RESTRICT, null=null
    )  # fmt: skip


def _options(table: str, model: str, description: str, indexed: str) -> dict:
    return {
        "table": table, "app": "models", "constraints": list(CONSTRAINTS[model]), "indexes": [Index(fields=[indexed])],
        "pk_attr": "id", "table_description": description,
    }  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("models", "0027_applications")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Device",
            fields=[
                ("id", _id()),
                ("kind", fields.CharField(max_length=10)),
                ("unit", fields.CharField(max_length=40)),
                ("label", fields.CharField(max_length=40)),
                ("public_key", fields.BinaryField()),
                ("enrolled_at", _moment()),
                ("enrolled_by", _to("models.StaffUser", "enrolled_by_id", "devices")),
                ("used_at", _moment(null=True)),
                ("revoked_at", _moment(null=True)),
                ("revoked_by_id", fields.UUIDField(null=True)),
            ],
            options=_options(
                "device",
                "Device",
                "A kiosk, at which a citizen stands alone, or the reader of a counter, at which a clerk sits; of one hall, until it is revoked.",
                "unit",
            ),
            bases=["Model"],
        ),
        ops.CreateModel(
            name="DeviceNonce",
            fields=[
                ("id", _id()),
                ("device_id", fields.UUIDField()),
                ("nonce", fields.CharField(max_length=128)),
                ("seen_at", _moment()),
            ],
            options=_options(
                "device_nonce",
                "DeviceNonce",
                "A nonce of a device's request that was used: each serves once.",
                "seen_at",
            ),
            bases=["Model"],
        ),
        ops.CreateModel(
            name="CardRead",
            fields=[
                ("id", _id()),
                ("device", _to("models.Device", "device_id", "reads")),
                ("code_index", fields.BinaryField()),
                ("facts", fields.BinaryField(null=True)),
                ("created_at", _moment()),
                ("expires_at", _moment()),
                ("session", _to("models.Session", "session_id", "card_reads", null=True)),
                ("taken_at", _moment(null=True)),
                ("ended_at", _moment(null=True)),
                ("outcome", fields.CharField(null=True, max_length=12)),
            ],
            options=_options(
                "card_read",
                "CardRead",
                "One card read at a device. `facts` (name and number, sealed) are there while it may still be taken up, and no longer.",
                "session_id",
            ),
            bases=["Model"],
        ),
        *(
            ops.AddConstraint(model_name=model, constraint=constraint)
            for model, constraints in CONSTRAINTS.items()
            for constraint in constraints
        ),
        ops.AlterField(
            model_name="ActingSession", name="code", field=_to("models.CounterCode", "code_id", "sessions", null=True)
        ),
        ops.AddField(
            model_name="ActingSession",
            name="card_read",
            field=_to("models.CardRead", "card_read_id", "acting_sessions", null=True),
        ),
        *(ops.AddConstraint(model_name="ActingSession", constraint=constraint) for constraint in OF_SESSIONS),
        ops.AlterField(model_name="PersonJoin", name="session_id", field=fields.UUIDField(null=True)),
        ops.RunSQL(GRANTS),
    ]
