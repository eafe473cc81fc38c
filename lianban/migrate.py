"""``lianban migrate``: the only migrator. One transaction, one advisory lock, its ledger row included.

Tortoise's own runner commits a migration and records it in two transactions, without a lock; its command line is for making
migrations only. Roles are made first when the connecting user may: `lianban_owner` owns everything, `lianban_app` owns nothing.
"""

import argparse
import asyncio

from tortoise import Tortoise
from tortoise.connection import get_connections
from tortoise.migrations.executor import MigrationTarget
from tortoise.transactions import in_transaction

from cities.errors import CityPackInvalid
from cities.loader import load_city
from cities.schema import City
from core import clock, ids
from core import settings as settings_module
from core.database import APP_ROLE, OWNER_ROLE, configuration, connect, until_answered
from lianban.schema_state import Executor
from models import MODULES

_LOCK = 742_001

_ROLES = f"""
do $$
begin
  perform pg_advisory_xact_lock({_LOCK});
  if not exists (select 1 from pg_roles where rolname = '{OWNER_ROLE}') then create role {OWNER_ROLE} nologin; end if;
  if not exists (select 1 from pg_roles where rolname = '{APP_ROLE}') then create role {APP_ROLE} nologin; end if;
exception when duplicate_object or unique_violation then null;
end $$;
grant usage, create on schema public to {OWNER_ROLE};
"""


async def migrate(database_url: str, *, wait_s: float = 0.0) -> list[str]:
    """Bring the database at `database_url` up to date; the names of the migrations applied now, in order.

    The connecting user must be a member of `lianban_owner`, or a superuser (who also makes the two roles when they are missing).
    A database that does not take connections yet is waited for, `wait_s` at most.

    Raises:
        core.database.DatabaseAway: it does not answer within that time.
    """
    await until_answered(database_url, wait_s)
    connection = await connect(database_url)
    try:
        if await connection.fetchval("select rolsuper or rolcreaterole from pg_roles where rolname = current_user"):
            await connection.execute(_ROLES)
    finally:
        await connection.close()
    config = configuration(database_url, MODULES, role=OWNER_ROLE, pool_size=2)
    config["connections"]["default"]["credentials"]["server_settings"] |= {
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
    }
    config["connections"]["default"]["credentials"]["command_timeout"] = 300
    async with await Tortoise.init(config=config):
        async with in_transaction("default") as transaction:
            await transaction.execute_query("set local lock_timeout = '30s'")
            await transaction.execute_query(f"select pg_advisory_xact_lock({_LOCK})")
            executor = Executor(get_connections().get("default"), config["apps"])
            # Without the ledger table the runner's first look at it would abort our transaction.
            await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
            before = set(await executor.recorder.applied_migrations())
            await executor.migrate([MigrationTarget("models", "__latest__")])
            after = await executor.recorder.applied_migrations()
        return [migration.name for migration in sorted(set(after) - before, key=lambda migration: migration.name)]


_PUBLISH = """
insert into published_charge (id, code, company, name, unit, price_fen, clause, effective_from, effective_to, published_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (code, effective_from) do update set effective_to = excluded.effective_to
where (published_charge.company, published_charge.unit, published_charge.price_fen)
    = (excluded.company, excluded.unit, excluded.price_fen)
returning id
"""


async def publish(database_url: str, city: City) -> int:
    """Put the pack's list of charges into the database, as its owner: the application itself can add nothing to it. How many there are.

    Raises:
        CityPackInvalid: the pack has another price for a version that is published already: a new price is a new version.
    """
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"set local role {OWNER_ROLE}")
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            for charge in city.fees.charges:
                row = await connection.fetchval(
                    _PUBLISH, ids.new_id(), charge.code, charge.company, charge.name, charge.unit, charge.price_fen, charge.clause,
                    charge.effective_from, charge.effective_to, clock.now(),
                )  # fmt: skip
                if row is None:
                    raise CityPackInvalid("fees.toml", f"$.charges ({charge.code})", "is published at another price")
    finally:
        await connection.close()
    return len(city.fees.charges)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: addresses come from the settings."""


def run(_arguments: argparse.Namespace) -> int:
    """Migrate the database of the settings and say what was applied."""
    settings = settings_module.load()
    owner_url = settings.database_owner_url or settings.database_url
    applied = asyncio.run(migrate(owner_url, wait_s=settings.database_wait_s))
    asyncio.run(publish(owner_url, load_city(settings.city)))
    print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return 0
