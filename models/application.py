"""Applications (报装申请): the joint case of one applicant at one site. Its progress is a fold over its service orders, never a column."""

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

import asyncpg
from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock
from core.database import fetch_one
from core.indexes import PartialIndex
from models.access import Principal
from models.lifecycle import Edge, Lifecycle

ACCESS_POINTS = (
    "platform_push", "hubei_portal", "ehuiban", "kiosk", "hall", "community", "operator_app", "mini_program", "official_account",
)  # fmt: skip
"""Where a person comes in; the place in this list, from 1, is the digit in an application's number: only ever append."""


class ApplicationStatus(StrEnum):
    """What the applicant has done; how far the companies are is asked of the orders."""

    DRAFT = "draft"
    FILED = "filed"
    WITHDRAWN = "withdrawn"


_S = ApplicationStatus

APPLICATION = Lifecycle(
    "application",
    ApplicationStatus,
    initial=_S.DRAFT,
    terminal=(_S.WITHDRAWN,),
    edges=(
        Edge(_S.DRAFT, "file", _S.FILED, ("person", "platform"), "application.filed"),
        Edge(_S.FILED, "withdraw", _S.WITHDRAWN, ("person", "system"), "application.withdrawn"),
    ),
)


class Application(Model):
    """A draft, or what was filed: then the answers stand still, under the version of the form they were given to.

    `answers` is one encrypted JSON object. `version` counts saves, so that who saves over something he has not seen is told. The
    blind indexes find other applications of the same applicant and of the same place. A draft that was thrown away keeps its row
    without its answers.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    person: Any = fields.ForeignKeyField(
        "models.Person", related_name="applications", on_delete=fields.RESTRICT, null=True
    )
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="applications", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    actor_user_id = fields.UUIDField(null=True)
    """Null of a pushed project: nobody has logged in for it."""
    access_point = fields.CharField(max_length=20)
    form_version = fields.SmallIntField()
    answers = fields.BinaryField(null=True)
    version = fields.IntField()
    area = fields.CharField(max_length=9, null=True)
    services: Any = ArrayField("text")
    subject_index = fields.BinaryField(null=True)
    address_index = fields.BinaryField(null=True)
    number = fields.CharField(max_length=24, null=True)
    phone = fields.BinaryField(null=True)
    """The contact's, with whose last digits progress may be looked up without a login."""
    progress_code = fields.BinaryField(null=True)
    progress_code_index = fields.BinaryField(null=True)
    created_at = fields.DatetimeField()
    saved_at = fields.DatetimeField()
    filed_at = fields.DatetimeField(null=True)
    withdrawn_at = fields.DatetimeField(null=True)
    discarded_at = fields.DatetimeField(null=True)

    class Meta:
        table = "application"
        constraints = (
            CheckConstraint(name="application_one_owner", check="num_nonnulls(person_id, organization_id) = 1"),
            CheckConstraint(
                name="application_has_actor_or_was_pushed",
                check="(actor_user_id is null) = (access_point = 'platform_push')"
                " and (access_point <> 'platform_push' or organization_id is not null)",
            ),
            CheckConstraint(name="application_version_counts", check="version >= 1"),
            CheckConstraint(
                name="application_filed_whole",
                check="status = 'draft' or num_nulls(answers, area, subject_index, address_index, number, phone,"
                " progress_code, progress_code_index, filed_at) = 0 and cardinality(services) > 0",
            ),
            CheckConstraint(
                name="application_draft_has_no_number",
                check="status <> 'draft' or num_nonnulls(number, progress_code, progress_code_index, filed_at) = 0",
            ),
            CheckConstraint(
                name="application_withdrawn_has_time", check="(status = 'withdrawn') = (withdrawn_at is not null)"
            ),
            CheckConstraint(
                name="application_discarded_is_empty",
                check="discarded_at is null or status = 'draft' and num_nonnulls(answers, subject_index, address_index, phone) = 0",
            ),
            UniqueConstraint(name="application_number_once", fields=("number",)),
            UniqueConstraint(name="application_progress_code_once", fields=("progress_code_index",)),
        )
        indexes = (
            ("person_id", "id"),
            ("organization_id", "id"),
            ("subject_index",),
            ("address_index",),
            PartialIndex(
                name="application_open_draft",
                fields=("saved_at",),
                condition="status = 'draft' and discarded_at is null",
            ),
        )


_WAY = """
select null::uuid as share_id, null::uuid as mandate_id from application a
where a.id = $1 and a.discarded_at is null and $3::uuid is null and a.person_id = $2
union all
select null, m.mandate_id from application a join live_mandate($2, $3, $4) m on m.organization_id = a.organization_id
where a.id = $1 and a.discarded_at is null and m.account_ids is null and (m.services is null or a.services <@ m.services)
  and case $5 when 'file' then m.may_file when 'sign' then m.may_sign else true end
limit 1
"""


async def way_to_application(
    application_id: UUID, principal: Principal, scope: Literal["read", "file", "sign"] = "read"
) -> asyncpg.Record | None:
    """How `principal` comes to an application: ``share_id`` (None), ``mandate_id``; None when he does not, or there is none.

    A family member never does. An agent does by a mandate of this scope that is not for some accounts only and covers every service
    that is applied for.
    """
    return await fetch_one(_WAY, application_id, *principal, clock.now(), scope)
