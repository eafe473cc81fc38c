"""What quotes say now: read and locked for a payment, accounts first, then bills by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core import clock
from core.database import fetch
from core.errors import LianbanError, NotFound
from models.access import ANY_ACCOUNT, Principal


class BillNotInQuote(LianbanError):
    """A bill was named that no quote holds. data: ``bill_id``."""

    code = "bill_not_in_quote"


class QuoteTwice(LianbanError):
    """Two of the quotes are about the same account, or one was named twice. data: ``quote_id``."""

    code = "quote_twice"


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote with what is to be paid of it: `amounts` {bill id: fen} in the order of the ids. `stands`: all of it is as quoted.

    `held`: a payment has a claim on one of these bills; `most_lately` is how often a held one has been in this person's payments lately
    (what is free is counted when the payment is written); `skips_older` that an older open bill of the account, which nobody is paying, is left out.
    """

    id: UUID
    account_id: UUID
    company: str
    basis: str
    expires_at: datetime
    amounts: dict[UUID, int]
    stands: bool = True
    most_lately: int = 0
    held: bool = False
    skips_older: bool = False


_QUOTE = """
select q.id, q.account_id, q.basis, q.lines, q.partial_bill_id, q.expires_at, a.company from quote q join utility_account a on a.id = q.account_id
where q.id {which} and q.purpose = 'bills' and q.person_id = $2 and q.organization_id is not distinct from $3
  and case when q.basis <> 'scan'
    then exists (select 1 from account_access($2, $3, $4) way where way.account_id = q.account_id and way.may_pay and way.via = q.basis)
    else $3::uuid is null or exists ({any_account}) end
"""

# A hot path: quotes, accounts and bills read and locked in one statement. The bills come out of the quotes' own rows: an array from
# outside would be planned anew at each call, which costs three times the work itself; one quote is therefore not asked for by an array.
# All accounts are locked, in the order of their ids, before the first bill is: the bills are sorted by their ids first.
_LOCK = """
with quoted as (
{quote} order by a.id for share of a
), locked as (
  select b.id, b.account_id, b.period, b.bill_no, b.payable_fen, b.status from bill b
  where b.account_id in (select account_id from quoted)
    and b.id in (select key::uuid from quoted, jsonb_object_keys(quoted.lines) as key)
    and ($5::uuid[] is null or b.id = any($5)) order by b.id for update of b
)
select quoted.*, locked.id as bill_id, locked.payable_fen, locked.status,
  claimed.held,
  case when claimed.held then (
    select count(*) from payment_line l join payment p on p.id = l.payment_id
    where l.claim_key = 'bill:' || locked.id and (p.organization_id = $3 or $3 is null and p.person_id = $2) and p.created_at > $6
  ) else 0 end as lately,
  $5::uuid[] is not null and exists (
    select 1 from bill o where o.account_id = locked.account_id and o.status = 'open' and o.payable_fen > 0
      and (o.period, o.bill_no) < (locked.period, locked.bill_no) and o.id <> all($5)
      and not exists (select 1 from claim c where c.claim_key = 'bill:' || o.id and c.freed_at is null)) as skips
from quoted left join locked on locked.account_id = quoted.account_id
left join lateral (
  select exists (select 1 from claim c where c.claim_key = 'bill:' || locked.id and c.freed_at is null) as held
) claimed on true
"""
_ONE, _SEVERAL = "= $1", "= any($1::uuid[])"
_AGENT = ANY_ACCOUNT.format(person="$2", organization="$3", moment="$4", service="a.service")
_QUOTE_ONE, _QUOTE_SEVERAL = (
    _QUOTE.replace("{any_account}", _AGENT).replace("{which}", which) for which in (_ONE, _SEVERAL)
)
_LOCK_ONE, _LOCK_SEVERAL = _LOCK.replace("{quote}", _QUOTE_ONE), _LOCK.replace("{quote}", _QUOTE_SEVERAL)

_HOLDERS = """
select c.claim_key, p.id, p.person_id, p.organization_id, part.basis, p.status, p.expires_at
from claim c join payment p on p.id = c.payment_id join payment_line l on l.id = c.id join payment_part part on part.id = l.part_id
where c.claim_key = any($1::text[]) and c.freed_at is null
"""


async def lock(
    quote_ids: Sequence[UUID], principal: Principal, bill_ids: Sequence[UUID] | None, since: datetime
) -> list[Quoted]:
    """What is to be paid, with its accounts and bills locked, in the caller's transaction.

    Raises:
        NotFound: not all quotes are his, or he may not pay any more. QuoteTwice, BillNotInQuote.
    """
    if len(quote_ids) == 1:
        rows = await fetch(_LOCK_ONE, quote_ids[0], *principal, clock.now(), bill_ids or None, since)
    else:
        rows = await fetch(_LOCK_SEVERAL, list(quote_ids), *principal, clock.now(), bill_ids or None, since)
    return _chosen(quote_ids, bill_ids, rows)


async def read(quote_ids: Sequence[UUID], principal: Principal, bill_ids: Sequence[UUID] | None) -> list[Quoted]:
    """What is to be paid, without any lock and without judging whether it stands.

    Raises:
        NotFound: not all quotes are his, or he may not pay any more. QuoteTwice, BillNotInQuote.
    """
    if len(quote_ids) == 1:
        rows = await fetch(_QUOTE_ONE, quote_ids[0], *principal, clock.now())
    else:
        rows = await fetch(_QUOTE_SEVERAL, list(quote_ids), *principal, clock.now())
    return _chosen(quote_ids, bill_ids, rows)


async def holders_of(quoted: Sequence[Quoted]) -> list[Any]:
    """The payments that hold claims on these bills, a row for each claim."""
    return list(await fetch(_HOLDERS, [f"bill:{bill_id}" for one in quoted for bill_id in one.amounts]))


def _chosen(quote_ids: Sequence[UUID], bill_ids: Sequence[UUID] | None, rows: Sequence[Any]) -> list[Quoted]:
    """The quotes in the order in which they were named; of those without a named bill nothing is paid."""
    by_quote: dict[UUID, list[Any]] = {}
    for row in rows:
        by_quote.setdefault(row["id"], []).append(row)
    if by_quote.keys() != set(quote_ids):
        raise NotFound("quote")
    accounts: set[UUID] = set()
    for number, quote_id in enumerate(quote_ids):
        account_id = by_quote[quote_id][0]["account_id"]
        if quote_id in quote_ids[:number] or account_id in accounts:
            raise QuoteTwice(quote_id=str(quote_id))
        accounts.add(account_id)
    lines = {quote_id: _lines(by_quote[quote_id][0]["lines"]) for quote_id in quote_ids}
    for bill_id in bill_ids or ():
        if not any(bill_id in amounts for amounts in lines.values()):
            raise BillNotInQuote(bill_id=str(bill_id))
    wanted = set(bill_ids or ())
    found = (
        _quoted(by_quote[quote_id], {bill: fen for bill, fen in amounts.items() if not wanted or bill in wanted})
        for quote_id, amounts in lines.items()
    )
    return [one for one in found if one.amounts]


def _quoted(rows: Sequence[Any], amounts: dict[UUID, int]) -> Quoted:
    quote = rows[0]
    same = (quote["id"], quote["account_id"], quote["company"], quote["basis"], quote["expires_at"], amounts)
    if "bill_id" not in quote:
        return Quoted(*same)
    bills = [row for row in rows if row["bill_id"] is not None]
    return Quoted(
        *same,
        stands={row["bill_id"]: _standing(row) for row in bills if row["status"] == "open"} == amounts,
        most_lately=max((row["lately"] for row in bills), default=0),
        held=any(row["held"] for row in bills),
        skips_older=any(row["skips"] for row in bills),
    )


def _standing(row: Any) -> int:
    """What may be paid of a bill as quoted: all of it, or the part that was asked for while it is still owed more."""
    if row["bill_id"] == row["partial_bill_id"]:
        asked = _lines(row["lines"])[row["bill_id"]]
        return asked if asked < row["payable_fen"] else 0
    return row["payable_fen"]


def _lines(lines: Any) -> dict[UUID, int]:
    said = msgspec.json.decode(lines) if isinstance(lines, str) else lines
    return {UUID(bill_id): amount for bill_id, amount in sorted(said.items())}
