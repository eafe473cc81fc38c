"""Materials, what uses them, and what is contested about what stands for one."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

SQL = """
grant select, insert, update on material, material_use, evidence_contest to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0025_fees")]

    initial = False

    operations = [
        ops.CreateModel(
            name="EvidenceContest",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="contests",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "organization",
                    fields.ForeignKeyField(
                        "models.Organization",
                        source_field="organization_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="contests",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("actor_user_id", fields.UUIDField()),
                ("paper", fields.CharField(max_length=40)),
                ("source", fields.CharField(max_length=20)),
                ("note", fields.BinaryField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "evidence_contest",
                "app": "models",
                "constraints": [],
                "indexes": [Index(fields=["person_id"]), Index(fields=["organization_id"])],
                "pk_attr": "id",
                "table_description": "A principal says that what a source told about a paper of his is wrong: from then on it stands for nothing, until he takes it back.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Material",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="materials",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "organization",
                    fields.ForeignKeyField(
                        "models.Organization",
                        source_field="organization_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="materials",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("actor_user_id", fields.UUIDField()),
                ("kind", fields.CharField(max_length=40)),
                ("content_index", fields.BinaryField()),
                ("media_type", fields.CharField(max_length=20)),
                ("size_bytes", fields.IntField()),
                ("width", fields.IntField(null=True)),
                ("height", fields.IntField(null=True)),
                ("pages", fields.IntField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("removed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("erased_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "material",
                "app": "models",
                "constraints": [],
                "indexes": [
                    Index(fields=["person_id", "created_at"]),
                    Index(fields=["organization_id", "created_at"]),
                    PartialIndex(
                        fields=["removed_at"],
                        name="material_to_erase",
                        condition="removed_at is not null and erased_at is null",
                    ),
                ],
                "pk_attr": "id",
                "table_description": "One paper. Its bytes lie in the store under its id, sealed; here stands what they are.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="MaterialUse",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "material",
                    fields.ForeignKeyField(
                        "models.Material",
                        source_field="material_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="uses",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("application_id", fields.UUIDField()),
                ("requirement", fields.CharField(max_length=40)),
                ("actor_user_id", fields.UUIDField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "material_use",
                "app": "models",
                "constraints": [],
                "indexes": [Index(fields=["material_id"]), Index(fields=["application_id", "requirement"])],
                "pk_attr": "id",
                "table_description": "A material serves one requirement of one application, until it is taken away again.",
            },
            bases=["Model"],
        ),
        ops.AddConstraint(
            model_name="EvidenceContest",
            constraint=CheckConstraint(
                check="num_nonnulls(person_id, organization_id) = 1", name="evidence_contest_one_principal"
            ),
        ),
        ops.AddConstraint(
            model_name="Material",
            constraint=CheckConstraint(
                check="num_nonnulls(person_id, organization_id) = 1", name="material_one_principal"
            ),
        ),
        ops.AddConstraint(
            model_name="Material",
            constraint=CheckConstraint(
                check="media_type in ('image/jpeg', 'image/png', 'application/pdf')", name="material_type_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Material", constraint=CheckConstraint(check="size_bytes > 0", name="material_size_sane")
        ),
        ops.AddConstraint(
            model_name="Material",
            constraint=CheckConstraint(
                check="(status = 'removed') = (removed_at is not null) and (erased_at is null or removed_at is not null)",
                name="material_removed_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="Material",
            constraint=UniqueConstraint(
                fields=("person_id", "kind", "content_index"),
                name="material_once_per_person",
                condition="removed_at is null",
            ),
        ),
        ops.AddConstraint(
            model_name="Material",
            constraint=UniqueConstraint(
                fields=("organization_id", "kind", "content_index"),
                name="material_once_per_organization",
                condition="removed_at is null",
            ),
        ),
        ops.AddConstraint(
            model_name="MaterialUse",
            constraint=UniqueConstraint(
                fields=("application_id", "requirement", "material_id"),
                name="material_use_live_once",
                condition="ended_at is null",
            ),
        ),
        ops.RunSQL(SQL),
    ]
