"""The data of the bench: a city's worth of accounts and bills, kept between runs, and what every run starts from.

Ids are made from a kind and a number, so that nothing has to be looked up. What the product encrypts holds as many bytes as the
real thing, but no workload opens it.
"""

import hashlib
from pathlib import Path
from uuid import UUID

import asyncpg

from lianban.migrate import migrate

PERSONS = 20_000
ACCOUNTS = 4 * PERSONS
MONTHS = 12
ACTIVE = 2_000
"""The first persons are those who are there today: they read and pay, and all their bills are open."""
QUOTES = ACTIVE * 4 * (MONTHS // 2)
"""One quote for every two bills of theirs: no bill is paid twice in a run."""

PERSON, USER, ACCOUNT, BINDING, BILL, QUOTE, PAYMENT, PART, LINE = range(1, 10)

_ROOT = Path(__file__).parents[1]


def row_id(kind: int, number: int) -> UUID:
    """The id of a seeded row; SQL makes the same with ``pg_temp.row_id``."""
    return UUID(int=0x0193_0000_0000_7000_8000 << 48 | kind << 64 | number)


_ROW_ID = """
create function pg_temp.row_id(kind int, number bigint) returns uuid language sql immutable as $$
  select ('01930000-0000-7' || lpad(to_hex(kind), 3, '0') || '-8000-' || lpad(to_hex(number), 12, '0'))::uuid
$$
"""
_FEN = "(3000 + (a * 31 + m * 977) % 9000)"

_FILL = (
    f"""
insert into person (id, level, phone, phone_index, phone_proved_at, created_at)
select pg_temp.row_id({PERSON}, p), 2, sha256(('p' || p)::bytea) || '\\x00'::bytea, sha256(('i' || p)::bytea), now(), now()
from generate_series(0, {PERSONS - 1}) p
""",
    f"""
insert into login_user (id, person_id, source, realm, subject, subject_index, created_at)
select pg_temp.row_id({USER}, p), pg_temp.row_id({PERSON}, p), 'wechat', 'wx', sha256(('s' || p)::bytea), sha256(('u' || p)::bytea), now()
from generate_series(0, {PERSONS - 1}) p
""",
    f"""
insert into utility_account (id, company, service, number, number_index, holder_masked, address_masked, company_state, created_at)
select pg_temp.row_id({ACCOUNT}, a), 'water', 'water', sha256(('n' || a)::bytea), sha256(('x' || a)::bytea),
       sha256(('h' || a)::bytea), sha256(('d' || a)::bytea), 'open', now()
from generate_series(0, {ACCOUNTS - 1}) a
""",
    f"""
insert into binding (id, account_id, person_id, actor_user_id, reference, created_at)
select pg_temp.row_id({BINDING}, a), pg_temp.row_id({ACCOUNT}, a), pg_temp.row_id({PERSON}, a / 4), pg_temp.row_id({USER}, a / 4),
       'B' || lpad(to_hex(a), 8, '0'), now()
from generate_series(0, {ACCOUNTS - 1}) a
""",
    # Month by month, as bills come: those of one account lie on twelve pages.
    f"""
insert into bill (id, account_id, company, bill_no, period, status, issued_on, due_on, principal_fen, late_fee_fen, payable_fen, paid_fen,
                  usage, unit, lines, checked_at, paid_at)
select pg_temp.row_id({BILL}, m * {ACCOUNTS} + a), pg_temp.row_id({ACCOUNT}, a), 'water', 'W' || (m * {ACCOUNTS} + a),
       to_char(date '2025-12-01' + make_interval(months => m), 'YYYY-MM'),
       case when a < {ACTIVE * 4} then 'open' else 'posted' end,
       (date '2025-12-01' + make_interval(months => m))::date, (date '2025-12-20' + make_interval(months => m))::date,
       {_FEN}, 0, {_FEN}, 0, '12.5', 'm3', ('[{{"name":"水费","amount_fen":' || {_FEN} || '}}]')::jsonb, now(),
       case when a < {ACTIVE * 4} then null else now() end
from generate_series(0, {MONTHS - 1}) m, generate_series(0, {ACCOUNTS - 1}) a order by m, a
""",
)

_CLEAR = """
truncate payment, payment_part, payment_line, claim, refund, posting, posting_bill, journal, event, inbox, idempotent_answer, quote,
  procrastinate_jobs, procrastinate_events cascade
"""

# Times lie ahead, so that nothing grows old during a run: bills told just now need no call to the company.
_QUOTES = f"""
insert into quote (id, account_id, person_id, basis, purpose, company_quote_id, lines, total_fen, created_at, expires_at)
select pg_temp.row_id({QUOTE}, a * {MONTHS // 2} + pair), pg_temp.row_id({ACCOUNT}, a), pg_temp.row_id({PERSON}, a / 4), 'binding', 'bills',
       'Q' || a || '-' || pair, jsonb_object_agg(pg_temp.row_id({BILL}, m * {ACCOUNTS} + a)::text, {_FEN}), sum({_FEN}),
       now(), now() + interval '6 hours'
from generate_series(0, {ACTIVE * 4 - 1}) a, generate_series(0, {MONTHS // 2 - 1}) pair, generate_series(2 * pair, 2 * pair + 1) m
group by a, pair
"""
# What was paid before: a planner that has only seen empty tables plans for empty tables.
HISTORY = 50_000
_HISTORY = (
    f"""
insert into payment (id, status, person_id, actor_user_id, provider, method, total_fen, currency, description, created_at, expires_at)
select pg_temp.row_id({PAYMENT}, n), 'closed', pg_temp.row_id({PERSON}, n % {PERSONS}), pg_temp.row_id({USER}, n % {PERSONS}),
       'wechat_pay', 'jsapi', 9000, 'CNY', '水务集团-水费', now() - interval '30 days', now() - interval '29 days'
from generate_series(0, {HISTORY - 1}) n
""",
    f"""
insert into quote (id, account_id, person_id, basis, purpose, company_quote_id, lines, total_fen, created_at, expires_at)
select pg_temp.row_id({QUOTE}, {QUOTES} + n), b.account_id, pg_temp.row_id({PERSON}, n % {PERSONS}), 'binding', 'bills', 'H' || n,
       jsonb_build_object(pg_temp.row_id({BILL}, {ACCOUNTS - 1} - n % {ACCOUNTS // 2})::text, 4500,
                          pg_temp.row_id({BILL}, {2 * ACCOUNTS - 1} - n % {ACCOUNTS // 2})::text, 4500),
       9000, now() - interval '30 days', now() - interval '29 days'
from generate_series(0, {HISTORY - 1}) n join bill b on b.id = pg_temp.row_id({BILL}, {ACCOUNTS - 1} - n % {ACCOUNTS // 2})
""",
    f"""
insert into payment_part (id, payment_id, provider, payee, merchant, order_number, description, basis, quote_id, amount_fen)
select pg_temp.row_id({PART}, n), pg_temp.row_id({PAYMENT}, n), 'wechat_pay', 'water', '1900000101',
       replace(pg_temp.row_id({PART}, n)::text, '-', ''), '水务集团-水费', 'binding', pg_temp.row_id({QUOTE}, {QUOTES} + n), 9000
from generate_series(0, {HISTORY - 1}) n
""",
    f"""
insert into payment_line (id, part_id, payment_id, claim_key, amount_fen)
select pg_temp.row_id({LINE}, 2 * n + i), pg_temp.row_id({PART}, n), pg_temp.row_id({PAYMENT}, n),
       'bill:' || pg_temp.row_id({BILL}, {ACCOUNTS - 1} - n % {ACCOUNTS // 2} + i * {ACCOUNTS}), 4500
from generate_series(0, {HISTORY - 1}) n, generate_series(0, 1) i
""",
    "insert into claim (id, payment_id, claim_key, freed_at) select id, payment_id, claim_key, now() from payment_line",
    """
insert into journal (id, subject, subject_id, to_state, event, actor_kind, actor_id, at)
select id, 'payment', id, 'created', 'created', 'person', person_id::text, created_at from payment
""",
    """
insert into idempotent_answer (id, fingerprint, status_code, body, created_at)
select encode(sha256(id::text::bytea), 'hex'), sha256(id::text::bytea), 201, sha512(id::text::bytea), created_at from payment
""",
    """
insert into inbox (id, source, key, kind, content, received_at, processed_at, outcome)
select id, 'wechat_pay', id::text, 'TRANSACTION.SUCCESS', sha512(id::text::bytea), created_at, created_at, 'done' from payment
""",
)
_FRESH = """
update utility_account set bills_checked_at = now() + interval '6 hours'
where bills_checked_at is null or bills_checked_at < now() + interval '3 hours'
"""


async def seed(database_url: str, var_dir: Path) -> bool:
    """Fill the database, unless it holds these data already; True when it was filled."""
    stamp, wanted = var_dir / "seeded", _digest()
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    stamp.unlink(missing_ok=True)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "drop schema public cascade; create schema public; grant all on schema public to public"
        )
        await migrate(database_url)
        await connection.execute(_ROW_ID)
        for statement in _FILL:
            await connection.execute(statement)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()
    stamp.write_text(wanted)
    return True


async def reset(database_url: str) -> None:
    """What every run starts from: nothing paid, no notice received, every quote fresh."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_ROW_ID)
        await connection.execute(_CLEAR)
        # A hundred thousand rows at once, as they are: their constraint triggers would take longer than a run.
        await connection.execute("set session_replication_role = replica")
        for statement in _HISTORY:
            await connection.execute(statement)
        await connection.execute("reset session_replication_role")
        for statement in (_QUOTES, _FRESH, "vacuum analyze", "checkpoint"):
            await connection.execute(statement)
    finally:
        await connection.close()


def _digest() -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted((_ROOT / "models" / "migrations").iterdir()):
        if path.suffix in (".py", ".sql"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
