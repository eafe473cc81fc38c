"""Materials: papers of a person or an organization, kept once, and what they are used for."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class MaterialStatus(StrEnum):
    """What is known of a material's harmlessness, and whether it is still kept."""

    UNSCANNED = "unscanned"
    CLEAN = "clean"
    QUARANTINED = "quarantined"
    REMOVED = "removed"


_S = MaterialStatus

MATERIAL = Lifecycle(
    "material",
    MaterialStatus,
    initial=_S.UNSCANNED,
    terminal=(_S.REMOVED,),
    edges=(
        Edge(_S.UNSCANNED, "found_clean", _S.CLEAN, ("system",)),
        Edge(_S.UNSCANNED, "found_infected", _S.QUARANTINED, ("system",), "material.quarantined"),
        Edge(_S.UNSCANNED, "remove", _S.REMOVED, ("person", "system")),
        Edge(_S.CLEAN, "remove", _S.REMOVED, ("person", "system")),
        Edge(_S.QUARANTINED, "remove", _S.REMOVED, ("person", "system")),
    ),
)


class Material(Model):
    """One paper. Its bytes lie in the store under its id, sealed; here stands what they are.

    `content_index` finds the same upload of the same principal: a keyed hash that differs from principal to principal, so that it tells
    nothing about two. `kind` is a code of the city pack.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    person: Any = fields.ForeignKeyField(
        "models.Person", related_name="materials", on_delete=fields.RESTRICT, null=True
    )
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="materials", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    actor_user_id = fields.UUIDField()
    kind = fields.CharField(max_length=40)
    content_index = fields.BinaryField()
    media_type = fields.CharField(max_length=20)
    size_bytes = fields.IntField()
    width = fields.IntField(null=True)
    height = fields.IntField(null=True)
    pages = fields.IntField(null=True)
    created_at = fields.DatetimeField()
    removed_at = fields.DatetimeField(null=True)
    erased_at = fields.DatetimeField(null=True)
    """When the bytes of a removed material were gone from the store; null: they are there."""

    class Meta:
        table = "material"
        constraints = (
            CheckConstraint(name="material_one_principal", check="num_nonnulls(person_id, organization_id) = 1"),
            CheckConstraint(
                name="material_type_known", check="media_type in ('image/jpeg', 'image/png', 'application/pdf')"
            ),
            CheckConstraint(name="material_size_sane", check="size_bytes > 0"),
            CheckConstraint(
                name="material_removed_whole",
                check="(status = 'removed') = (removed_at is not null) and (erased_at is null or removed_at is not null)",
            ),
            UniqueConstraint(
                name="material_once_per_person",
                fields=("person_id", "kind", "content_index"),
                condition="removed_at is null",
            ),
            UniqueConstraint(
                name="material_once_per_organization",
                fields=("organization_id", "kind", "content_index"),
                condition="removed_at is null",
            ),
        )
        indexes = (
            ("person_id", "created_at"),
            ("organization_id", "created_at"),
            PartialIndex(
                name="material_to_erase",
                fields=("removed_at",),
                condition="removed_at is not null and erased_at is null",
            ),
        )


class MaterialUse(Model):
    """A material serves one requirement of one application, until it is taken away again."""

    id = fields.UUIDField(primary_key=True)
    material: Any = fields.ForeignKeyField("models.Material", related_name="uses", on_delete=fields.RESTRICT)
    material_id: Any
    application_id = fields.UUIDField()
    requirement = fields.CharField(max_length=40)
    actor_user_id = fields.UUIDField()
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "material_use"
        constraints = (
            UniqueConstraint(
                name="material_use_live_once",
                fields=("application_id", "requirement", "material_id"),
                condition="ended_at is null",
            ),
        )
        indexes = (("material_id",), ("application_id", "requirement"))


class AskedPaper(Model):
    """What stood for a paper that an application needs when it was filed: written with the case, never changed.

    `basis`: ``material`` (handed in), ``promise`` (容缺), or the source that stood for it (免交). What has become of it since is said
    by the rows of the material, of the promise and of what was contested; the database's function ``papers_missing`` reads them all.
    """

    id = fields.UUIDField(primary_key=True)
    application: Any = fields.ForeignKeyField(
        "models.Application", related_name="asked_papers", on_delete=fields.RESTRICT
    )
    application_id: Any
    requirement = fields.CharField(max_length=40)
    paper = fields.CharField(max_length=40)
    services: Any = ArrayField("text")
    basis = fields.CharField(max_length=20)

    class Meta:
        table = "asked_paper"
        constraints = (
            UniqueConstraint(name="asked_paper_once", fields=("application_id", "requirement")),
            CheckConstraint(name="asked_paper_is_for_a_service", check="cardinality(services) > 0"),
        )


class EvidenceContest(Model):
    """A principal says that what a source told about a paper of his is wrong: from then on it stands for nothing, until he takes it back."""

    id = fields.UUIDField(primary_key=True)
    person: Any = fields.ForeignKeyField("models.Person", related_name="contests", on_delete=fields.RESTRICT, null=True)
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="contests", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    actor_user_id = fields.UUIDField()
    paper = fields.CharField(max_length=40)
    source = fields.CharField(max_length=20)
    note = fields.BinaryField()
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "evidence_contest"
        constraints = (
            CheckConstraint(
                name="evidence_contest_one_principal", check="num_nonnulls(person_id, organization_id) = 1"
            ),
        )
        indexes = (("person_id",), ("organization_id",))
