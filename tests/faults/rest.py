"""When everything is at rest, and whether all is well then."""

import asyncio
import time
from typing import Any
from uuid import UUID

from core.database import fetch, fetch_one
from lianban.check import examine
from tests.faults.customer import COMPANY, Customer
from tests.faults.journeys import Outcome
from tests.faults.world import World
from tests.harness.invariants import violations

WITHIN_S = 60.0
_INBOX_ONLY = {"payment.posting_delayed", "acting.opened", "identity.proved_by_card"}

# A receipt of a message whose id died with the process that sent it: it waits two minutes for the id, and nothing waits for it.
_BUSY = """
with early_receipt as (
  select i.id from inbox i join procrastinate_jobs j on j.task_name = 'inbox.process' and j.args->>'inbox_id' = i.id::text
  where i.source = 'wechat_push' and i.kind = 'SubscribeSent' and i.processed_at is null and j.attempts > 0
)
select 'a job: ' || task_name || ' ' || status || ' ' || attempts as what from procrastinate_jobs
  where (status = 'doing' or (status = 'todo' and (attempts > 0 or scheduled_at is null or scheduled_at <= now())))
    and coalesce(args->>'inbox_id', '') not in (select id::text from early_receipt)
union all select 'a failed job: ' || task_name from procrastinate_jobs where status in ('failed', 'aborted', 'cancelled')
union all select 'an event: ' || kind from event where dispatched_at is null
union all select 'the inbox: ' || source || ' ' || kind from inbox
  where processed_at is null and id not in (select id from early_receipt)
union all select 'a payment: ' || status from payment
  where status in ('created', 'ordering', 'order_unknown', 'awaiting_payer', 'closing', 'received_late')
union all select 'a posting: ' || status from posting where status not in ('posted', 'refused')
union all select 'a refund: ' || status from refund where status in ('requested', 'submitting', 'processing')
union all select 'a refused posting without refund' from posting s
  where s.status = 'refused' and not exists (select 1 from refund r where r.part_id = s.part_id and r.status = 'succeeded')
union all select 'a message: ' || status from message where status in ('pending', 'sending')
"""


async def until_at_rest(world: World, since: float) -> float:
    """Wait until nothing is left to be done, inside or outside; the seconds from `since` (monotonic) until then.

    Raises:
        AssertionError: there still is after a minute; it says what.
    """
    quiet = 0
    busy: list[str] = []
    while (spent := time.monotonic() - since) < WITHIN_S:
        busy = [row["what"] for row in await fetch(_BUSY)]
        if unsent := world.unsent():
            if not busy:
                await world.hurry_others()
            busy.append(f"{unsent} notices on their way")
        # Twice, since what has just arrived may not have become a job yet.
        quiet = 0 if busy else quiet + 1
        if quiet == 2:
            return spent
        await asyncio.sleep(0.1)
    raise AssertionError(f"{world.log_end('worker')}\nnot at rest after a minute: {busy}")


async def assert_all_holds(world: World, customer: Customer, outcome: Outcome, *, maybe_unknown: bool) -> None:
    """Every rule, over all rows; and for this customer exactly one of everything, by our rows and by those of the others."""
    wrong = await violations()
    assert wrong == [], wrong
    broken = [
        (found.check, found.violations) for found in await examine(world.settings.database_url) if found.violations
    ]
    assert broken == []
    payments = await fetch("select id, status from payment where id = any($1::uuid[]) order by id", _uuids(customer))
    assert [row["status"] for row in payments] == list(outcome.payments)
    await _assert_no_other_payments(customer)
    await _assert_money(customer, outcome)
    await _assert_claims(customer, outcome)
    await _assert_told(customer, outcome, maybe_unknown=maybe_unknown)


async def _assert_no_other_payments(customer: Customer) -> None:
    """What the client was told of is all there is: a lost answer made nothing twice."""
    row = await fetch_one(
        "select count(distinct l.payment_id) as payments from payment_line l join payment_part part on part.id = l.part_id"
        " left join bill b on l.claim_key = 'bill:' || b.id left join quote q on q.id = part.quote_id and q.purpose = 'top_up'"
        " where b.bill_no = $1 or q.account_id = $2::uuid",
        customer.bill_no,
        customer.account_id or None,
    )
    assert row is not None
    assert row["payments"] == len(customer.payments)


async def _assert_money(customer: Customer, outcome: Outcome) -> None:
    rows = await fetch("select order_number from payment_part where payment_id = any($1::uuid[])", _uuids(customer))
    numbers = {row["order_number"] for row in rows}
    orders = (await customer.control("GET", "/wechat-pay/orders"))["orders"]
    own = [order for order in orders if order["out_trade_no"] in numbers]
    assert len({order["out_trade_no"] for order in own}) == len(own)
    trades = (await customer.control("GET", "/alipay/trades"))["trades"]
    paid = [trade for trade in trades if trade["out_trade_no"] in numbers and trade["paid_at"] is not None]
    at_wechat = sum(1 for order in own if order["trade_state"] in ("SUCCESS", "REFUND"))
    assert at_wechat + len(paid) == outcome.paid_orders
    refunds = (await customer.control("GET", "/wechat-pay/refunds"))["refunds"]
    returned = [refund["status"] for refund in refunds if refund["out_trade_no"] in numbers]
    returned += ["SUCCESS" if refund["moved"] else "waits" for trade in paid for refund in trade["refunds"]]
    assert returned == ["SUCCESS"] * outcome.refunds
    own = {COMPANY: customer.number, **{company: number for company, (number, _) in customer.elsewhere.items()}}
    posted = [
        posting["posting_id"]
        for company, number in own.items()
        for posting in (await customer.company_ledger(company))["postings"]
        if posting["status"] == "posted" and posting["content"]["account_number"] == number
    ]
    assert len(posted) == outcome.posted
    (ours,) = await fetch(
        "select count(*) filter (where status = 'posted') as posted, count(*) as all from posting where payment_id = any($1::uuid[])",
        _uuids(customer),
    )
    assert ours["posted"] == outcome.posted


async def _assert_claims(customer: Customer, outcome: Outcome) -> None:
    rows = await fetch(
        "select freed_at is null as live from claim where payment_id = any($1::uuid[])", _uuids(customer)
    )
    lines = await fetch("select 1 from payment_line where payment_id = any($1::uuid[])", _uuids(customer))
    assert len(rows) == len(lines) >= len(customer.payments)
    assert sum(row["live"] for row in rows) == outcome.posted


async def _assert_told(customer: Customer, outcome: Outcome, *, maybe_unknown: bool) -> None:
    """Once per event and channel; unknown is allowed where the kill stood between sending and noting it."""
    if not customer.tokens:
        return
    rows = await fetch(
        "select m.kind, m.channel, m.status from message m join session s on s.person_id = m.person_id where s.id = $1"
        " order by m.created_at, m.kind",
        UUID(customer.tokens["session_id"]),
    )
    inbox = [row for row in rows if row["channel"] == "inbox"]
    sent = [row for row in rows if row["channel"] == "mini_program"]
    kinds = sorted(row["kind"] for row in inbox)
    assert kinds == sorted(outcome.told), kinds
    kinds = sorted(row["kind"] for row in sent)
    assert kinds == sorted(kind for kind in outcome.told if kind not in _INBOX_ONLY), kinds
    assert {row["status"] for row in inbox} <= {"delivered"}
    arrived = len(await customer.messages()) - outcome.arrived_for_others
    statuses = [row["status"] for row in sent]
    unknown = statuses.count("unknown")
    if outcome.unsent:
        assert arrived == 0
        assert set(statuses) <= {"failed", "skipped", "unknown"}
        return
    assert set(statuses) <= {"accepted", "delivered", "unknown"}, statuses
    assert unknown <= (1 if maybe_unknown else 0), statuses
    lost = unknown + (outcome.arrived_for_others if maybe_unknown else 0)
    assert len(statuses) - lost <= arrived <= len(statuses)


def _uuids(customer: Customer) -> list[Any]:
    return [UUID(payment) for payment in customer.payments]
