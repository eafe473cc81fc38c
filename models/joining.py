"""Two identities of one human joined: whose rows became whose, so that it can be taken back row by row."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock
from core.database import fetch
from models.lifecycle import SYSTEM, move
from models.share import ACCOUNT_SHARE, Share, ShareStatus


class Owned(NamedTuple):
    """A table whose rows belong to a person by `column`.

    A row stays with the absorbed person where the survivor has one with the same `same` columns already (`while_` says which rows
    count): it would break a unique constraint, and says nothing the survivor does not have.
    """

    table: str
    same: tuple[str, ...] = ()
    while_: str = "true"
    column: str = "person_id"


OWNED = (
    Owned("login_user"),
    Owned("binding", ("account_id",), "revoked_at is null"),
    Owned("account_share", ("binding_id",), "status = 'active'", "member_id"),
    Owned("mandate", ("organization_id",), "parent_id is null and status = 'active'"),
    Owned("material", ("kind", "content_index"), "removed_at is null"),
    Owned("evidence_contest"),
    Owned("application"),
    Owned("tolerance"),
    Owned("credit_record"),
    Owned("quote"),
    Owned("payment"),
    Owned("message", ("event_id", "channel")),
)
"""What moves. Every foreign key to a person stands here or in `STAYS`; a test compares both with the live catalogue."""

STAYS = {
    "access_use.person_id": "who did it then; it is never changed",
    "session.person_id": "the sessions of before have ended; they say who he was then",
    "counter_code.person_id": "a code for a counter lives minutes, and was shown as who he was then",
    "acting_session.person_id": "who stood at the counter then",
    "person_join.survivor_id": "the record of joining itself",
    "person_join.absorbed_id": "the record of joining itself",
}
"""Foreign keys to a person that do not follow, and why."""


class PersonJoin(Model):
    """One joining. Live while `undone_at` is empty; a person is absorbed by at most one other at a time."""

    id = fields.UUIDField(primary_key=True)
    survivor: Any = fields.ForeignKeyField("models.Person", related_name="joins", on_delete=fields.RESTRICT)
    survivor_id: Any
    absorbed: Any = fields.ForeignKeyField("models.Person", related_name="joined_by", on_delete=fields.RESTRICT)
    absorbed_id: Any
    session_id = fields.UUIDField(null=True)
    """The session that had just proved both; None: the absorbed one was known at counters only, by his card."""
    took_phone = fields.BooleanField()
    """The survivor had no phone and got the other's."""
    joined_at = fields.DatetimeField()
    undo_until = fields.DatetimeField()
    undone_at = fields.DatetimeField(null=True)

    class Meta:
        table = "person_join"
        constraints = (
            CheckConstraint(name="person_join_of_two", check="survivor_id <> absorbed_id"),
            UniqueConstraint(name="person_join_absorbed_once", fields=("absorbed_id",), condition="undone_at is null"),
        )
        indexes = (("survivor_id",), ("absorbed_id",))


class PersonJoinRow(Model):
    """One row that went over."""

    id = fields.UUIDField(primary_key=True)
    join: Any = fields.ForeignKeyField("models.PersonJoin", related_name="rows", on_delete=fields.RESTRICT)
    join_id: Any
    table_name = fields.CharField(max_length=40)
    row_id = fields.UUIDField()

    class Meta:
        table = "person_join_row"
        constraints = (UniqueConstraint(name="person_join_row_once", fields=("join_id", "table_name", "row_id")),)


_SHARES = "account_share.binding"
_BOTH_BOUND = """
binding x join binding y on y.account_id = x.account_id and y.person_id = $2 and y.revoked_at is null
where x.person_id = $1 and x.revoked_at is null
"""
_SHARES_OVER = f"""
update account_share s set binding_id = b.survivors from (select x.id, y.id as survivors from {_BOTH_BOUND}) b
where s.binding_id = b.id and s.status in ('offered', 'active') and not exists (
  select 1 from account_share z where z.binding_id = b.survivors and z.member_id = s.member_id and z.status = 'active')
returning s.id
"""
_SHARES_TWICE = f"""
select s.id from (select x.id from {_BOTH_BOUND}) b join account_share s on s.binding_id = b.id where s.status in ('offered', 'active') for update of s
"""
_SHARES_BACK = f"""
update account_share s set binding_id = b.id from (select x.id, y.id as survivors from {_BOTH_BOUND}) b
where s.binding_id = b.survivors and s.id in (select row_id from person_join_row where join_id = $3 and table_name = $4)
"""


async def present(person_id: UUID) -> UUID:
    """Who this person is now: himself, or whom he has been joined with."""
    row = await _absorbed_by(person_id)
    while row is not None:
        person_id = row
        row = await _absorbed_by(person_id)
    return person_id


async def hand_over(join: PersonJoin) -> int:
    """Move the absorbed person's rows that have not moved yet, writing each down; how many went."""
    moved = 0
    for owned in OWNED:
        rows = await fetch(_MOVE[owned.table], join.absorbed_id, join.survivor_id)
        await _write_down(join, owned.table, rows)
        moved += len(rows)
    return moved + await _hand_over_shares(join)


async def hand_back(join: PersonJoin) -> None:
    """Every row that went over belongs to the absorbed person again, unless it has gone further or is no more."""
    await fetch(_SHARES_BACK, join.absorbed_id, join.survivor_id, join.id, _SHARES)
    for owned in OWNED:
        await fetch(
            f"update {owned.table} set {owned.column} = $1 where {owned.column} = $2"
            " and id in (select row_id from person_join_row where join_id = $3 and table_name = $4)",
            join.absorbed_id, join.survivor_id, join.id, owned.table,
        )  # fmt: skip


async def _hand_over_shares(join: PersonJoin) -> int:
    """What the absorbed person lets family members do with an account to which the survivor has a binding of his own.

    His binding stays behind, where nobody could take the shares back any more: they hang on the survivor's from now on, and end
    where the same member has one there already.
    """
    rows = await fetch(_SHARES_OVER, join.absorbed_id, join.survivor_id)
    await _write_down(join, _SHARES, rows)
    for row in await fetch(_SHARES_TWICE, join.absorbed_id, join.survivor_id):
        share = await Share.get(id=row["id"])
        event = "end" if share.status == ShareStatus.ACTIVE else "withdraw"
        await move(ACCOUNT_SHARE, share, event, SYSTEM, columns={"ended_at": clock.now(), "ended_by": "binding"})
    return len(rows)


async def _write_down(join: PersonJoin, table: str, rows: Sequence[asyncpg.Record]) -> None:
    await fetch(
        "insert into person_join_row (id, join_id, table_name, row_id) select gen_random_uuid(), $1, $2, row_id"
        " from unnest($3::uuid[]) as went (row_id) on conflict do nothing",
        join.id, table, [row["id"] for row in rows],
    )  # fmt: skip


async def _absorbed_by(person_id: UUID) -> UUID | None:
    rows = await fetch("select survivor_id from person_join where absorbed_id = $1 and undone_at is null", person_id)
    return rows[0]["survivor_id"] if rows else None


def _move(owned: Owned) -> str:
    same = " and ".join(f"y.{column} = x.{column}" for column in owned.same)
    there = (
        f" and not (x.{owned.while_} and exists (select 1 from {owned.table} y where y.{owned.column} = $2 and {same} and y.{owned.while_}))"
        if owned.while_ != "true"
        else f" and not exists (select 1 from {owned.table} y where y.{owned.column} = $2 and {same})"
    )
    return f"update {owned.table} x set {owned.column} = $2 where x.{owned.column} = $1{there if owned.same else ''} returning x.id"


_MOVE = {owned.table: _move(owned) for owned in OWNED}
