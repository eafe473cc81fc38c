"""A person with many bills that only wait to be paid, written straight into the tables."""

import secrets
from typing import NamedTuple
from uuid import UUID

from core import clock, ids
from core.database import fetch
from domain.identity.tokens import Caller
from domain.services import Services
from models.person import Person, User

BILL_FEN = 4199

_STOCK = """
with numbered as (
  select n, gen_random_uuid() as account_id, gen_random_uuid() as bill_id from generate_series(1, $1::int) n
), accounts as (
  insert into utility_account (id, company, service, number, number_index, company_state, bills_checked_at, created_at)
  select account_id, 'water', 'water', '\\x00', sha256(account_id::text::bytea), 'open', $3, $3 from numbered
), bills as (
  insert into bill (id, account_id, company, bill_no, period, status, issued_on, principal_fen, late_fee_fen, payable_fen, paid_fen, lines, checked_at)
  select bill_id, account_id, 'water', 'S-' || bill_id, '2026-10', 'open', '2026-11-01', $4, 0, $4, 0, '[]', $3 from numbered
), bindings as (
  insert into binding (id, account_id, person_id, actor_user_id, reference, created_at)
    select gen_random_uuid(), account_id, $2, $5, substr(md5(account_id::text), 1, 9), $3 from numbered where n = 1
)
select bill_id from numbered
"""

# Apart from its bills: a quote is held against what is owed, which a statement cannot see that is about to say it.
_QUOTES = """
insert into quote (id, account_id, person_id, basis, purpose, company_quote_id, lines, total_fen, created_at, expires_at)
select gen_random_uuid(), account_id, $2, 'scan', 'bills', 'Q' || bill_no, jsonb_build_object(id::text, payable_fen), payable_fen, $3, $4
from bill where id = any($1::uuid[])
returning id
"""


class Stock(NamedTuple):
    """An access token of the person, the quotes, and one account the person is bound to."""

    token: str
    quotes: list[UUID]
    account_id: UUID

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def lay_in(services: Services, count: int) -> Stock:
    """Write `count` accounts with one bill and one quote each; the quotes stand for half an hour."""
    now = clock.now()
    person = await Person.create(
        id=ids.new_id(), level=2, phone_index=secrets.token_bytes(16), phone=b"-", phone_proved_at=now, created_at=now
    )
    user_id = ids.new_id()
    user = await User.create(
        id=user_id,
        person_id=person.id,
        source="wechat_mini_program",
        realm=services.settings.wechat.appid,
        subject=services.vault.seal("openid", "login_user.subject", user_id),
        subject_index=secrets.token_bytes(16),
        created_at=now,
    )
    later = now + services.city.payment_rules(clock.today()).order.life * 3
    bills = await fetch(_STOCK, count, person.id, now, BILL_FEN, user.id)
    rows = await fetch(_QUOTES, [row["bill_id"] for row in bills], person.id, now, later)
    bound = await fetch("select account_id from binding where person_id = $1", person.id)
    caller = Caller(person.id, user.id, ids.new_id(), 2, clock.timestamp())
    token, _ = services.access_tokens.issue(caller, str(ids.new_id()))
    return Stock(token, [row["id"] for row in rows], bound[0]["account_id"])


ORPHANS = """
select p.id from payment p where
     (select count(*) from payment_part where payment_id = p.id) <> 1
  or (select count(*) from payment_line where payment_id = p.id) <> 1
  or (select count(*) from claim where payment_id = p.id and freed_at is null) <> 1
  or (select count(*) from journal where subject = 'payment' and subject_id = p.id and event = 'created') <> 1
  or not exists (select 1 from procrastinate_jobs where task_name = 'payments.watch' and args->>'payment_id' = p.id::text)
union all select payment_id from payment_part t where not exists (select 1 from payment where id = t.payment_id)
union all select payment_id from payment_line t where not exists (select 1 from payment where id = t.payment_id)
union all select payment_id from claim t where not exists (select 1 from payment where id = t.payment_id)
union all select subject_id from journal t where subject = 'payment' and not exists (select 1 from payment where id = t.subject_id)
"""
"""Payments without one of their rows, and rows without their payment."""
