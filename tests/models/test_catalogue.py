"""The live catalogue is what the models and :mod:`models.grants` declare, and the application's role can do no more than that."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.indexes import Index
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.migrations.schema_generator.state import State
from tortoise.models import Model

from core.database import APP_ROLE, OWNER_ROLE, configuration, fetch
from core.indexes import PartialIndex
from lianban.schema_state import projected
from models import MODULES
from models.grants import APPEND_ONLY, COMPOSITE_KEYS, GRANTS, TRIGGERS

MIGRATIONS = Path(__file__).parents[2] / "models" / "migrations"
_FOREIGN = ("procrastinate_", "tortoise_")

_CONSTRAINTS = """
select n.nspname as schema, c.relname as table, k.conname as name, k.contype::text as kind, pg_get_constraintdef(k.oid) as text
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'declared') and k.contype in ('c', 'u', 'x', 'f', 'p')
"""
_INDEXES = """
select n.nspname as schema, t.relname as table, i.relname as name, x.indisunique as unique, x.indisvalid as valid,
  replace(pg_get_indexdef(i.oid), n.nspname || '.', '') as text,
  array(select a.attname::text from unnest(x.indkey::int2[]) with ordinality as key (number, place)
        join pg_attribute a on a.attrelid = t.oid and a.attnum = key.number order by key.place) as columns
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid join pg_namespace n on n.oid = t.relnamespace
where n.nspname in ('public', 'declared') and not exists (select 1 from pg_constraint k where k.conindid = i.oid and k.contype in ('u', 'p', 'x'))
"""


@pytest.fixture
async def catalogue(database: None, database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A connection of a superuser, in a transaction that is rolled back."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


def _models() -> Iterator[tuple[str, type[Model]]]:
    assert Tortoise.apps is not None
    for model in Tortoise.apps["models"].values():
        yield model._meta.db_table, model


def _ours(table: str) -> bool:
    return not table.startswith(_FOREIGN)


async def _declare(connection: asyncpg.Connection) -> None:
    """Make every declared constraint anew, on empty copies of the tables, so that the database itself puts both into one form."""
    await connection.execute("create schema declared")
    for table, model in _models():
        await connection.execute(f"create table declared.{table} (like public.{table})")
        for constraint in getattr(model.Meta, "constraints", ()):
            match constraint:
                case CheckConstraint():
                    await connection.execute(
                        f"alter table declared.{table} add constraint {constraint.name} check ({constraint.check})"
                    )
                case UniqueConstraint(condition=None):
                    await connection.execute(
                        f"alter table declared.{table} add constraint {constraint.name} unique ({', '.join(constraint.fields)})"
                    )
                case UniqueConstraint():
                    await connection.execute(
                        f"create unique index {constraint.name} on declared.{table} ({', '.join(constraint.fields)})"
                        f" where {constraint.condition}"
                    )
                case _:
                    raise AssertionError(f"{table}: a kind of constraint this test does not know: {constraint}")
        for index in model._meta.indexes:
            if isinstance(index, PartialIndex):
                await connection.execute(
                    f"create index {index.name} on declared.{table} ({', '.join(index.fields)}) where {index.condition}"
                )


async def test_checks_and_uniques_are_those_the_models_declare(catalogue: asyncpg.Connection) -> None:
    await _declare(catalogue)
    found: dict[str, set[tuple[str, str, str]]] = {"public": set(), "declared": set()}
    for row in await catalogue.fetch(_CONSTRAINTS):
        if _ours(row["table"]) and row["kind"] in ("c", "u", "x"):
            found[row["schema"]].add((row["table"], row["name"], row["text"]))
    assert found["public"] == found["declared"]
    assert len(found["public"]) > 40


async def test_partial_unique_indexes_are_those_the_models_declare(catalogue: asyncpg.Connection) -> None:
    await _declare(catalogue)
    found: dict[str, set[tuple[str, str, str]]] = {"public": set(), "declared": set()}
    for row in await catalogue.fetch(_INDEXES):
        if _ours(row["table"]) and row["unique"]:
            assert row["valid"]
            found[row["schema"]].add((row["table"], row["name"], row["text"]))
    assert found["public"] == found["declared"]
    assert {name for _, name, _ in found["public"]} >= {
        "claim_live_once",
        "posting_bill_live_once",
        "refund_live_once_per_part",
    }


async def test_plain_indexes_are_those_the_models_declare(catalogue: asyncpg.Connection) -> None:
    live = {
        (row["table"], tuple(row["columns"]), " WHERE " in row["text"])
        for row in await catalogue.fetch(_INDEXES)
        if not row["unique"]
    }
    declared = {
        (table, tuple(index.fields if isinstance(index, Index) else index), isinstance(index, PartialIndex))
        for table, model in _models()
        for index in model._meta.indexes
    }
    assert {index for index in live if _ours(index[0])} == declared


async def test_indexes_of_a_part_of_a_table_are_those_the_models_declare(catalogue: asyncpg.Connection) -> None:
    await _declare(catalogue)
    found: dict[str, set[tuple[str, str, str]]] = {"public": set(), "declared": set()}
    for row in await catalogue.fetch(_INDEXES):
        if _ours(row["table"]) and not row["unique"] and " WHERE " in row["text"]:
            assert row["valid"]
            found[row["schema"]].add((row["table"], row["name"], row["text"]))
    assert found["public"] == found["declared"]
    assert {name for _, name, _ in found["public"]} >= {"payment_live", "inbox_unprocessed", "event_undispatched"}


async def test_primary_and_foreign_keys_are_those_of_the_models(catalogue: asyncpg.Connection) -> None:
    live = {
        (row["table"], row["kind"], row["text"])
        for row in await catalogue.fetch(_CONSTRAINTS)
        if _ours(row["table"]) and row["kind"] in ("p", "f")
    }
    declared = {(table, "p", f"PRIMARY KEY ({model._meta.db_pk_column})") for table, model in _models()}
    for table, model in _models():
        for name in model._meta.fk_fields:
            field = model._meta.fields_map[name]
            other = field.related_model._meta  # type: ignore[attr-defined]
            text = f"FOREIGN KEY ({field.source_field}) REFERENCES {other.db_table}({other.db_pk_column})"  # type: ignore[attr-defined]
            declared.add((table, "f", f"{text} ON DELETE {field.on_delete.value}"))  # type: ignore[attr-defined]
    for table, columns, other, theirs in COMPOSITE_KEYS.values():
        declared.add((table, "f", f"FOREIGN KEY ({columns}) REFERENCES {other}({theirs}) ON DELETE RESTRICT"))
    assert live == declared


async def test_triggers_are_those_we_name_and_switched_on(catalogue: asyncpg.Connection) -> None:
    rows = await catalogue.fetch(
        "select t.tgname::text as name, c.relname::text as table, p.proname::text as function, t.tgenabled::text as enabled,"
        " case when t.tginitdeferred then 'deferred' else 'at once' end as judges"
        " from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and not t.tgisinternal"
    )
    ours = {row["name"]: (row["table"], row["function"], row["judges"]) for row in rows if _ours(row["table"])}
    assert ours == TRIGGERS
    assert {row["enabled"] for row in rows} == {"O"}


async def test_the_application_has_the_declared_privileges_and_no_others(catalogue: asyncpg.Connection) -> None:
    tables = await catalogue.fetch("select tablename::text as name from pg_tables where schemaname = 'public'")
    live = {row["name"]: set[str]() for row in tables}
    for row in await catalogue.fetch(
        "select c.relname::text as name, a.privilege_type as privilege, coalesce(r.rolname, 'public')::text as grantee, a.is_grantable"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee"
        " where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm') and a.grantee <> c.relowner"
    ):
        assert row["grantee"] == APP_ROLE
        assert not row["is_grantable"]
        live[row["name"]].add(row["privilege"])
    assert live == GRANTS


async def test_no_column_is_granted_apart(catalogue: asyncpg.Connection) -> None:
    assert await catalogue.fetch("select 1 from pg_attribute where attacl is not null and attrelid > 16384") == []


async def test_the_owner_owns_everything_and_the_application_nothing(catalogue: asyncpg.Connection) -> None:
    rows = await catalogue.fetch(
        "select r.rolname::text as owner, c.relname::text as name from pg_class c join pg_roles r on r.oid = c.relowner"
        " where c.relnamespace = 'public'::regnamespace union all"
        " select r.rolname, p.proname from pg_proc p join pg_roles r on r.oid = p.proowner where p.pronamespace = 'public'::regnamespace"
    )
    assert {row["owner"] for row in rows} == {OWNER_ROLE}
    role = await catalogue.fetchrow("select * from pg_roles where rolname = $1", APP_ROLE)
    assert role is not None
    assert [name for name in role.keys() if name.startswith("rol") and role[name] is True] == ["rolinherit"]  # noqa: SIM118
    assert await catalogue.fetchval("select count(*) from pg_auth_members where member = $1::regrole", APP_ROLE) == 0


FORBIDDEN = (
    *(f"update {table} set id = id" for table in APPEND_ONLY),
    *(f"delete from {table}" for table in (*APPEND_ONLY, "payment", "bill", "refund", "person")),
    *(f"truncate {table} cascade" for table in (*APPEND_ONLY, "payment")),
    "create table mine (id int)",
    "create schema mine",
    "create function mine() returns int language sql as 'select 1'",
    "create role mine",
    "alter table ledger_entry disable trigger ledger_transaction_balanced",
    "alter table ledger_entry disable trigger all",
    "alter table refund drop constraint refund_number_once",
    "alter table journal owner to lianban_app",
    "drop trigger refund_within_part on refund",
    "drop table journal",
    "insert into tortoise_migrations (app, name, applied_at) values ('models', 'x', '2026-01-01Z')",
)


async def test_the_application_can_neither_change_what_is_written_once_nor_give_itself_more(database: None) -> None:
    for attempt in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await fetch(attempt)
        assert refused.value.sqlstate == "42501", attempt


async def test_triggers_cannot_be_gone_around_by_a_login_of_the_application(catalogue: asyncpg.Connection) -> None:
    await catalogue.execute(f"set local session authorization {APP_ROLE}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await catalogue.execute("set session_replication_role = replica")


def test_models_and_migrations_say_the_same(database_url: str) -> None:
    assert asyncio.run(_drift(database_url)) == []


class _Detector(MigrationAutodetector):
    async def _project_state(self) -> State:
        return await projected((self.loader.graph.nodes[key] for key in self._full_plan()), {})


async def _drift(database_url: str) -> list[str]:
    config = configuration(database_url, MODULES)
    async with await Tortoise.init(config=config) as context:
        writers = await _Detector(context.apps, config["apps"]).changes()  # type: ignore[arg-type]
    return [f"{writer.name}: {writer.operations}" for writer in writers]


def test_migrations_are_static_and_numbered_without_gaps() -> None:
    names = sorted(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    for path in MIGRATIONS.glob("[0-9]*.py"):
        text = path.read_text()
        assert "from models" not in text, f"{path.name} would change its meaning with the code"
        assert "import models" not in text
