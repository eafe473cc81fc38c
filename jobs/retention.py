"""Blanking and removing what has been kept for as long as the city pack says: at night, in batches, each its own commit.

Ledger, journal, audit and payments are not touched, nor could they be: the application may not. Rows that stay keep what proves that
they were there (numbers, times, outcome), and what keeps the same thing from being taken twice.
"""

from datetime import datetime, timedelta
from uuid import UUID

from cities.retention import RetentionRule
from core import clock
from core.apart import Apart
from core.database import fetch, fetch_one
from core.ids import first_of
from core.log import get_logger
from models.message import MESSAGE

log = get_logger(__name__)

AT_ONCE = 1000
"""Rows looked at, or removed, in one statement."""
_OVERLAP = timedelta(days=7)
"""So much of what the last round has walked is walked again: what was still in use then is not forgotten."""
_OVER = ", ".join(f"'{status}'" for status in sorted(MESSAGE.terminal))

_BLANK = """
with walked as (
  select id from {table} where id >= $1 and id < $2 order by id limit $3
), blanked as (
  update {table} t set {sets} from walked where t.id = walked.id and {condition} returning t.id
)
select (select id from walked order by id desc limit 1) as last, (select count(*) from walked) as walked, (select count(*) from blanked) as blanked
"""
_RECEIVED = {
    "table": "inbox",
    "sets": "content = ''",
    "condition": "octet_length(content) > 0 and processed_at is not null",
}
_MESSAGE = f"octet_length(text) > 0 and status in ({_OVER}) and channel"
_SENT = {"table": "message", "sets": "text = ''", "condition": f"{_MESSAGE} <> 'inbox'"}
_INBOX = {
    "table": "message",
    "sets": "text = '', read_at = coalesce(read_at, t.created_at)",
    "condition": f"{_MESSAGE} = 'inbox'",
}

_WALKED_TO = "select ran_at from job_run where name = $1"
_WALKED = """
insert into job_run (name, ran_at, took_ms) values ($1, $2, $3)
on conflict (name) do update set ran_at = greatest(job_run.ran_at, $2), took_ms = $3
"""

_FORGET = "update {table} set client_label = '' where id in (select id from {table} where client_label <> '' and coalesce(ended_at, expires_at) < $1 limit $2) returning id"  # noqa: E501
_REMOVE = "delete from {table} where id in (select id from {table} row where {condition} limit $2) returning id"
_UNPAID = "expires_at < $1 and not exists (select 1 from payment_part part where part.quote_id = row.id)"
_OUTLIVED = "exists (select 1 from session s where s.id = row.session_id and s.expires_at < $1)"


async def sweep(rule: RetentionRule, at_once: int = AT_ONCE) -> None:
    """Everything that is due, `at_once` rows in a statement. One kind that fails keeps no other waiting; the first failure is raised in the end."""
    now, apart = clock.now(), Apart("retention.failed")
    for name, statement, kept in (
        ("received", _RECEIVED, rule.received),
        ("sent_messages", _SENT, rule.sent_messages),
        ("inbox_messages", _INBOX, rule.inbox_messages),
    ):
        with apart.one(what=name):
            await _blank(name, _BLANK.format(**statement), now - kept, at_once)
    for name, statement, kept in (
        ("sessions", _FORGET.format(table="session"), rule.sessions),
        ("staff_sessions", _FORGET.format(table="staff_session"), rule.sessions),
        ("phone_codes", _REMOVE.format(table="phone_code", condition="expires_at < $1"), rule.phone_codes),
        ("quotes", _REMOVE.format(table="quote", condition=_UNPAID), rule.quotes),
        ("login_attempts", _REMOVE.format(table="login_attempt", condition="created_at < $1"), rule.login_attempts),
        ("spent_codes", _REMOVE.format(table="spent_code", condition="spent_at < $1"), rule.spent_codes),
        ("refresh_tokens", _REMOVE.format(table="refresh_token", condition=_OUTLIVED), rule.refresh_tokens),
    ):
        with apart.one(what=name):
            await _all(name, statement, now - kept, at_once)
    apart.end()


async def _blank(name: str, statement: str, until: datetime, at_once: int) -> None:
    """Walk the rows made before `until` in their order, from where the last round ended."""
    began, job = clock.monotonic(), f"retention.{name}"
    row = await fetch_one(_WALKED_TO, job)
    cursor = first_of(row["ran_at"] - _OVERLAP) if row else UUID(int=0)
    end, blanked = first_of(until), 0
    while True:
        batch = await fetch_one(statement, cursor, end, at_once)
        assert batch is not None
        blanked += batch["blanked"]
        if batch["walked"] < at_once:
            break
        cursor = UUID(int=batch["last"].int + 1)
    await fetch(_WALKED, job, until, round((clock.monotonic() - began) * 1000))
    log.info("retention.blanked", what=name, count=blanked)


async def _all(name: str, statement: str, before: datetime, at_once: int) -> None:
    """Batch after batch, until there is nothing more."""
    count = 0
    while rows := len(await fetch(statement, before, at_once)):
        count += rows
        if rows < at_once:
            break
    log.info("retention.removed", what=name, count=count)
