"""Lifecycles: the law of a case is one table, and :func:`move` is the only writer of a ``status`` column.

A move checks the table, writes the state, a journal row and (where the table says so) an event with its dispatch job, all in one
statement, hence in one transaction with whatever the caller writes around it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from tortoise import fields
from tortoise.models import Model

from core import clock, ids
from core.database import fetch
from core.errors import LianbanError
from core.indexes import PartialIndex
from core.queue import defer_sql

DISPATCH_TASK = "events.dispatch"


class IllegalMove(LianbanError):
    """The table has no such edge, or this actor may not take it. data: ``subject``, ``state``, ``event``."""

    code = "illegal_move"


class StaleState(LianbanError):
    """Somebody else moved the row first: read it again and decide anew."""

    code = "stale_state"


class Actor(NamedTuple):
    """Who acts: `kind` is one of person, company, device, provider, platform, staff, system; `id` a row id or code."""

    kind: str
    id: str = ""


SYSTEM = Actor("system")


class Edge(NamedTuple):
    """One row of a lifecycle table."""

    state: str
    event: str
    next_state: str
    who: tuple[str, ...]
    announces: str | None = None
    """The event that is recorded and dispatched to listeners (jobs/events.py); None: only the journal."""


class Lifecycle:
    """A status enum with its edges.

    `subject` is the table; `initial` the states a row may be created in; `terminal` the states nobody leaves by himself.
    """

    def __init__(
        self, subject: str, states: type[StrEnum], *, initial: str, terminal: Iterable[str], edges: Iterable[Edge]
    ) -> None:
        self.subject = subject
        self.states = states
        self.initial = initial
        self.terminal = frozenset(terminal)
        self.edges = tuple(edges)
        self._law = {(edge.state, edge.event): edge for edge in self.edges}
        if len(self._law) != len(self.edges):
            raise ValueError(f"{subject}: two edges for one state and event")
        LIFECYCLES[subject] = self

    def edge(self, state: str, event: str, actor: Actor) -> Edge:
        """The edge to take.

        Raises:
            IllegalMove: there is none, or `actor` may not take it.
        """
        edge = self._law.get((state, event))
        if edge is None or actor.kind not in edge.who:
            raise IllegalMove(
                f"{self.subject}: {event} in {state} by {actor.kind}", subject=self.subject, state=state, event=event
            )
        return edge

    def allows(self, state: str, event: str) -> bool:
        """True when the table has this edge for somebody."""
        return (state, event) in self._law


LIFECYCLES: dict[str, Lifecycle] = {}
"""All lifecycles by table name; the diagrams in docs/lifecycles.md and the tests walk it."""


class JournalEntry(Model):
    """One row per move, never changed: who, from, to, event, when, why."""

    id = fields.UUIDField(primary_key=True)
    subject = fields.CharField(max_length=40)
    subject_id = fields.UUIDField()
    from_state = fields.CharField(max_length=40, null=True)
    to_state = fields.CharField(max_length=40)
    event = fields.CharField(max_length=60)
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    reason = fields.CharField(max_length=200, null=True)
    approver = fields.CharField(max_length=60, null=True)
    at = fields.DatetimeField()

    class Meta:
        table = "journal"
        indexes = (("subject", "subject_id", "at"),)


class Event(Model):
    """Something happened that others listen to; `data` holds ids and codes only."""

    id = fields.UUIDField(primary_key=True)
    kind = fields.CharField(max_length=60)
    subject = fields.CharField(max_length=40)
    subject_id = fields.UUIDField()
    data = fields.JSONField(default=dict)
    at = fields.DatetimeField()
    dispatched_at = fields.DatetimeField(null=True)

    class Meta:
        table = "event"
        indexes = (
            ("subject", "subject_id"),
            ("kind", "at"),
            PartialIndex(name="event_undispatched", fields=("at",), condition="dispatched_at is null"),
        )


_DISPATCH = defer_sql(f"'{DISPATCH_TASK}'", "jsonb_build_object('event_id', id)")

_MOVE = """
with moved as (
  update {table} set status = $3::text{sets} where id = $1 and status = $2::text returning id
), journal_row as (
  insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, reason, approver, at)
  select $4, '{table}', id, $2::text, $3::text, $5, $6, $7, $8, $9, $10 from moved
), event_row as (
  insert into event (id, kind, subject, subject_id, data, at)
  select $11, $12::text, '{table}', id, $13::text::jsonb, $10 from moved where $12::text is not null
  returning id
)
select (select count(*) from moved) as moved,
       (select {dispatch}
        from event_row) as job
"""


async def move(
    lifecycle: Lifecycle,
    row: Any,
    event: str,
    actor: Actor,
    *,
    reason: str | None = None,
    approver: str | None = None,
    data: dict[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> None:
    """Move `row` (a model instance with ``id`` and ``status``) along `event`, writing `columns` with it.

    `columns` are attributes of the model with scalar values. The instance is brought up to date.

    Raises:
        IllegalMove: the table has no such edge, or not for this actor.
        StaleState: the row's state in the database is not the one of `row`.
    """
    edge = lifecycle.edge(str(row.status), event, actor)
    columns = columns or {}
    sets = "".join(f", {name} = ${14 + number}" for number, name in enumerate(columns))
    found = await fetch(
        _MOVE.format(table=lifecycle.subject, sets=sets, dispatch=_DISPATCH),
        row.id, edge.state, edge.next_state, ids.new_id(), event, actor.kind, actor.id, reason, approver, clock.now(),
        ids.new_id(), edge.announces, msgspec.json.encode(data or {}).decode(), *columns.values(),
    )  # fmt: skip
    if found[0]["moved"] != 1:
        raise StaleState(f"{lifecycle.subject} is no longer {edge.state}", subject=lifecycle.subject)
    row.status = lifecycle.states(edge.next_state)
    for name, value in columns.items():
        setattr(row, name, value)


_BORN = f"""
with journal_row as (
  insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, reason, at, approver)
  values ($1, $2::text, $3, null, $4, $5, $6, $7, $8, $9, $13)
), event_row as (
  insert into event (id, kind, subject, subject_id, data, at)
  select $10, $11::text, $2::text, $3, $12::text::jsonb, $9 where $11::text is not null returning id
)
select (select {_DISPATCH}
        from event_row) as job
"""


async def born(
    lifecycle: Lifecycle,
    row: Any,
    actor: Actor,
    *,
    event: str = "created",
    announces: str | None = None,
    reason: str | None = None,
    approver: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Journal the creation of `row` in its initial state, in the caller's transaction."""
    if str(row.status) != lifecycle.initial:
        raise IllegalMove(f"{lifecycle.subject} is not born {row.status}", subject=lifecycle.subject)
    await _record(lifecycle.subject, row.id, str(row.status), event, actor, announces, reason, data, approver)


_BORN_ALL = f"""
with row (row_id, journal_id, event_id, data) as (
  select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])
), journal_row as (
  insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, reason, at, approver)
  select journal_id, $5::text, row_id, null, $6, 'created', $7, $8, null, $9, null from row
), event_row as (
  insert into event (id, kind, subject, subject_id, data, at)
  select event_id, $10::text, $5::text, row_id, data::jsonb, $9 from row where $10::text is not null returning id
)
select (select {_DISPATCH}) as job from event_row
"""


async def born_all(
    lifecycle: Lifecycle,
    rows: Sequence[Any],
    actor: Actor,
    *,
    announces: str | None = None,
    data: Callable[[Any], dict[str, Any]] = lambda row: {},
) -> None:
    """Journal the creation of several rows in their initial state, in one statement of the caller's transaction."""
    if any(str(row.status) != lifecycle.initial for row in rows):
        raise IllegalMove(f"{lifecycle.subject} is not born so", subject=lifecycle.subject)
    await fetch(
        _BORN_ALL, [row.id for row in rows], [ids.new_id() for _ in rows], [ids.new_id() for _ in rows],
        [msgspec.json.encode(data(row)).decode() for row in rows], lifecycle.subject, str(lifecycle.initial), actor.kind,
        actor.id, clock.now(), announces,
    )  # fmt: skip


async def announce(kind: str, subject: str, subject_id: UUID, actor: Actor, data: dict[str, Any] | None = None) -> None:
    """Record and dispatch an event of something that has no lifecycle (a binding was made, a session ended)."""
    await _record(subject, subject_id, "-", kind, actor, kind, None, data)


async def _record(
    subject: str,
    subject_id: UUID,
    state: str,
    event: str,
    actor: Actor,
    announces: str | None,
    reason: str | None,
    data: dict[str, Any] | None,
    approver: str | None = None,
) -> None:
    await fetch(
        _BORN, ids.new_id(), subject, subject_id, state, event, actor.kind, actor.id, reason, clock.now(),
        ids.new_id(), announces, msgspec.json.encode(data or {}).decode(), approver,
    )  # fmt: skip
