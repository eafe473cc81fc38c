"""Family members: what the owner of a binding lets somebody else do with its account, and what that one did with it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg
from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock, ids
from core.database import fetch
from models.lifecycle import Edge, Lifecycle


class ShareStatus(StrEnum):
    """Where a share stands."""

    OFFERED = "offered"
    ACTIVE = "active"
    ENDED = "ended"
    LAPSED = "lapsed"


_S = ShareStatus

ACCOUNT_SHARE = Lifecycle(
    "account_share",
    ShareStatus,
    initial=_S.OFFERED,
    terminal=(_S.ENDED, _S.LAPSED),
    edges=(
        Edge(_S.OFFERED, "accept", _S.ACTIVE, ("person",), "account_share.accepted"),
        Edge(_S.OFFERED, "withdraw", _S.ENDED, ("person", "company", "system")),
        Edge(_S.OFFERED, "lapse", _S.LAPSED, ("system",)),
        Edge(_S.ACTIVE, "end", _S.ENDED, ("person", "company", "system"), "account_share.ended"),
    ),
)


class Share(Model):
    """One member's access through one binding, of which it is a part: it never outlives it.

    `code_index` is a keyed hash of the invitation's code, which is shown once, to the owner; `label` is his word for the member.
    """

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    binding: Any = fields.ForeignKeyField("models.Binding", related_name="shares", on_delete=fields.RESTRICT)
    binding_id: Any
    member: Any = fields.ForeignKeyField("models.Person", related_name="shares", on_delete=fields.RESTRICT, null=True)
    member_id: Any
    may_pay = fields.BooleanField()
    label = fields.CharField(max_length=20)
    code_index = fields.BinaryField()
    actor_user_id = fields.UUIDField()
    created_at = fields.DatetimeField()
    code_expires_at = fields.DatetimeField()
    accepted_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)
    ended_by = fields.CharField(max_length=20, null=True)
    """owner, member, or binding: the binding it hung on has ended."""

    class Meta:
        table = "account_share"
        constraints = (
            UniqueConstraint(name="account_share_code_once", fields=("code_index",)),
            UniqueConstraint(
                name="account_share_active_once", fields=("binding_id", "member_id"), condition="status = 'active'"
            ),
            CheckConstraint(
                name="account_share_accepted_whole",
                check="(member_id is null) = (accepted_at is null) and (status <> 'active' or member_id is not null)",
            ),
            CheckConstraint(
                name="account_share_end_has_author",
                check="(status = 'ended') = (ended_by is not null) and (ended_by is null or ended_at is not null)"
                " and (status in ('ended', 'lapsed')) = (ended_at is not null)",
            ),
            CheckConstraint(
                name="account_share_ended_by_known",
                check="ended_by is null or ended_by in ('owner', 'member', 'binding')",
            ),
            CheckConstraint(name="account_share_code_expires", check="code_expires_at > created_at"),
        )
        indexes = (("binding_id",), ("member_id",))


class AccessUse(Model):
    """Somebody did something with an account that is not his own: one row each time, never changed.

    Through a share or a mandate; `action` is a word of a closed list, `subject_id` what it was done with.
    """

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    share: Any = fields.ForeignKeyField("models.Share", related_name="uses", on_delete=fields.RESTRICT, null=True)
    share_id: Any
    mandate: Any = fields.ForeignKeyField("models.Mandate", related_name="uses", on_delete=fields.RESTRICT, null=True)
    mandate_id: Any
    person: Any = fields.ForeignKeyField("models.Person", related_name="uses", on_delete=fields.RESTRICT)
    person_id: Any
    action = fields.CharField(max_length=30)
    account_id = fields.UUIDField(null=True)
    subject_id = fields.UUIDField(null=True)

    class Meta:
        table = "access_use"
        constraints = (CheckConstraint(name="access_use_through_one", check="num_nonnulls(share_id, mandate_id) = 1"),)
        indexes = (("share_id", "id"), ("mandate_id", "id"), ("subject_id",))


OWN: Mapping[str, Any] = {"share_id": None, "mandate_id": None}
"""The way of somebody who does it with what is his own."""

_NOTE = """
insert into access_use (id, at, share_id, mandate_id, person_id, action, account_id, subject_id)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def note_use(
    way: asyncpg.Record | Mapping[str, Any],
    person_id: UUID,
    action: str,
    account_id: UUID | None,
    subject_id: UUID | None = None,
) -> None:
    """Write down what somebody did with an account that he came to by `way` (share_id, mandate_id); one's own goes unwritten.

    Stands before the answer: what was not written down is not shown.
    """
    share_id, mandate_id = way["share_id"], way["mandate_id"]
    if share_id is not None or mandate_id is not None:
        await fetch(_NOTE, ids.new_id(), clock.now(), share_id, mandate_id, person_id, action, account_id, subject_id)
