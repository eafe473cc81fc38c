"""Two identities of one human joined: whose rows became whose, so that it can be taken back row by row."""

from typing import Any, NamedTuple
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import ids
from core.database import fetch


class Owned(NamedTuple):
    """A table whose rows belong to a person by `person_id`.

    A row stays with the absorbed person where the survivor has one with the same `same` columns already (`while_` says which rows
    count): it would break a unique constraint, and says nothing the survivor does not have.
    """

    table: str
    same: tuple[str, ...] = ()
    while_: str = "true"


OWNED = (
    Owned("login_user"),
    Owned("binding", ("account_id",), "revoked_at is null"),
    Owned("quote"),
    Owned("payment"),
    Owned("message", ("event_id", "channel")),
)
"""What moves. Every foreign key to a person stands here or in `STAYS`; a test compares both with the live catalogue."""

STAYS = {
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
    session_id = fields.UUIDField()
    """The session that had just proved both."""
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
        for row in rows:
            await fetch(
                "insert into person_join_row (id, join_id, table_name, row_id) values ($1, $2, $3, $4)",
                ids.new_id(), join.id, owned.table, row["id"],
            )  # fmt: skip
        moved += len(rows)
    return moved


async def hand_back(join: PersonJoin) -> None:
    """Every row that went over belongs to the absorbed person again, unless it has gone further or is no more."""
    for owned in OWNED:
        await fetch(
            f"update {owned.table} set person_id = $1 where person_id = $2"
            " and id in (select row_id from person_join_row where join_id = $3 and table_name = $4)",
            join.absorbed_id, join.survivor_id, join.id, owned.table,
        )  # fmt: skip


async def _absorbed_by(person_id: UUID) -> UUID | None:
    rows = await fetch("select survivor_id from person_join where absorbed_id = $1 and undone_at is null", person_id)
    return rows[0]["survivor_id"] if rows else None


def _move(owned: Owned) -> str:
    same = " and ".join(f"y.{column} = x.{column}" for column in owned.same)
    there = (
        f" and not (x.{owned.while_} and exists (select 1 from {owned.table} y where y.person_id = $2 and {same} and y.{owned.while_}))"
        if owned.while_ != "true"
        else f" and not exists (select 1 from {owned.table} y where y.person_id = $2 and {same})"
    )
    return (
        f"update {owned.table} x set person_id = $2 where x.person_id = $1{there if owned.same else ''} returning x.id"
    )


_MOVE = {owned.table: _move(owned) for owned in OWNED}
