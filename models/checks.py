"""What must always hold, as SQL over our tables; ``lianban check`` runs it, in one snapshot and with read access only.

Each check counts the rows it examines and selects ``(id, what)`` of every violation. ``check_now()`` in the text stands for the
moment the caller gave (see :data:`NOW`); work that a job does within moments is a violation only once it is overdue.
"""

from models import (
    application,
    bill,
    credit,
    mandate,
    material,
    message,
    order_request,
    order_telling,
    payment,
    permit,
    posting,
    reconciliation,
    refund,
    service_order,
    share,
    supervision,
    survey,
    tolerance,
)
from models.access_checks import ACCESS, JOINED, SHARES
from models.application_checks import CASES
from models.check import OVERDUE, Check, counted
from models.deadline_checks import DEADLINES
from models.lifecycle import LIFECYCLES, Lifecycle

NOW = "lianban.check_now"
"""The transaction's setting that holds the moment to judge by, as text with its offset."""

_LIVE = ", ".join(f"'{status}'" for status in payment.LIVE_STATUSES)
_PAID = "'succeeded', 'received_late', 'refunded'"
_RECEIPT = "interval '25 hours'"
"""WeChat's receipts come within 24 h; the timetable ends those without one every ten minutes."""

_BY_HIMSELF = "lower(approver) = lower(regexp_replace(actor_id, '^.*:', ''))"
"""Of a row of the journal: its second person is the first (payments/consent.py)."""


def _now(text: str) -> str:
    return text.replace("check_now()", f"current_setting('{NOW}')::timestamptz")


def _literal(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def _edges() -> str:
    """Every edge, once per actor who may take it: subject, state, event, next state, actor, announced event."""
    rows = [
        (law.subject, edge.state, edge.event, edge.next_state, who, edge.announces)
        for law in LIFECYCLES.values()
        for edge in law.edges
        for who in edge.who
    ]
    return ",\n  ".join(f"({', '.join(_literal(value) for value in row)})" for row in rows)


def _births() -> str:
    return ", ".join(f"({_literal(law.subject)}, {_literal(law.initial)})" for law in LIFECYCLES.values())


def _standing(law: Lifecycle) -> str:
    return f"select '{law.subject}' as subject, id, status as state, -1 as entered from {law.subject}"


_LAW = f"""law (subject, from_state, event, to_state, actor_kind, announces) as (values
  {_edges()})"""

MONEY = (
    Check(
        "ledger_transaction_whole",
        1,
        "每笔记账恰有一借一贷，合计为零，记在同一商户该种记账应记的两个科目上",
        counted("ledger_transaction"),
        """
select t.id::text as id, t.kind || ' of ' || t.subject || ' ' || t.subject_id as what
from ledger_transaction t left join ledger_entry e on e.transaction_id = t.id left join ledger_account a on a.id = e.account_id
group by t.id
having count(e.id) <> 2 or sum(e.amount_fen) <> 0
  or min(a.provider) <> max(a.provider) or min(a.merchant) <> max(a.merchant)
  or max(a.kind) filter (where e.amount_fen > 0) is distinct from case t.kind when 'received' then 'clearing' else 'suspense' end
  or max(a.kind) filter (where e.amount_fen < 0) is distinct from
     case t.kind when 'received' then 'suspense' when 'posted' then 'posted' else 'clearing' end
""",
    ),
    Check(
        "ledger_day_adds_up",
        1,
        "每家商户截至每日日终：收到 = 已销账 + 已退款 + 待处理，一分不差",
        counted("ledger_entry"),
        """
with movement as (
  select a.provider, a.merchant, (t.at at time zone interval '8 hours')::date as day,
    coalesce(sum(e.amount_fen) filter (where a.kind = 'clearing' and t.kind = 'received'), 0) as received,
    coalesce(-sum(e.amount_fen) filter (where a.kind = 'posted'), 0) as posted,
    coalesce(-sum(e.amount_fen) filter (where a.kind = 'clearing' and t.kind <> 'received'), 0) as refunded,
    coalesce(-sum(e.amount_fen) filter (where a.kind = 'suspense'), 0) as suspense
  from ledger_entry e join ledger_transaction t on t.id = e.transaction_id join ledger_account a on a.id = e.account_id
  group by 1, 2, 3
), balance as (
  select provider, merchant, day, sum(received) over days as received, sum(posted) over days as posted,
    sum(refunded) over days as refunded, sum(suspense) over days as suspense
  from movement window days as (partition by provider, merchant order by day)
)
select provider || ' ' || merchant || ' ' || day as id,
  'received ' || received || ', posted ' || posted || ', refunded ' || refunded || ', suspense ' || suspense as what
from balance where received <> posted + refunded + suspense or least(received, posted, refunded, suspense) < 0
""",
    ),
    Check(
        "ledger_says_what_happened",
        1,
        "收到的每一分、销账的每一分、退回的每一分都恰好记账一次，记账的也都确有其事",
        counted("ledger_transaction", "payment_part", "posting", "refund"),
        """
with fact as (
  select 'received'::text as kind, 'payment_part'::text as subject, id, provider::text, merchant::text, received_fen as fen
    from payment_part where received_fen is not null
  union all select 'posted', 'posting', s.id, part.provider, part.merchant, s.total_fen
    from posting s join payment_part part on part.id = s.part_id where s.status = 'posted'
  union all select 'refunded', 'refund', r.id, part.provider, part.merchant, r.amount_fen
    from refund r join payment_part part on part.id = r.part_id where r.status = 'succeeded'
), booked as (
  select t.kind::text, t.subject::text, t.subject_id, a.provider::text, a.merchant::text, e.amount_fen
  from ledger_transaction t join ledger_entry e on e.transaction_id = t.id and e.amount_fen > 0 join ledger_account a on a.id = e.account_id
)
select id::text as id, kind || ' of ' || subject || ' is not booked: ' || fen as what from (table fact except all table booked) missing
union all
select subject_id::text, kind || ' of ' || subject || ' is booked and is not so: ' || amount_fen from (table booked except all table fact) extra
""",
    ),
    Check(
        "file_kept_whole",
        1,
        "每份对账文件留存的行数和金额，逐行相加等于取来时所记的合计",
        counted("reconciliation_run", "reconciliation_row"),
        """
with kept as (
  select run_id, count(*) as rows, sum(fee_millifen) as fee,
    coalesce(sum(amount_fen) filter (where kind in ('trade', 'posting') and state not in ('failed', 'revoked')), 0) as paid,
    coalesce(sum(amount_fen) filter (where kind = 'refund' and state not in ('failed', 'revoked')), 0) as refunded
  from reconciliation_row group by run_id
)
select run.id::text as id, run.source || ' ' || run.party || ' ' || run.day || ' says ' || coalesce(run.paid_fen, 0) || ' and '
  || coalesce(run.refunded_fen, 0) || ', its rows ' || coalesce(kept.paid, 0) || ' and ' || coalesce(kept.refunded, 0) as what
from reconciliation_run run left join kept on kept.run_id = run.id
where (coalesce(run.rows_taken, 0), coalesce(run.paid_fen, 0), coalesce(run.refunded_fen, 0), coalesce(run.fee_millifen, 0))
  <> (coalesce(kept.rows, 0), coalesce(kept.paid, 0), coalesce(kept.refunded, 0), coalesce(kept.fee, 0))
""",
    ),
)

BILLS = (
    Check(
        "claim_once",
        2,
        "一张账单同时最多被一笔缴费占用；占用只随缴费关闭、失败或全额退回而解除",
        counted("claim", "payment_line"),
        f"""
select claim_key::text as id, count(*) || ' live claims' as what from claim where freed_at is null group by claim_key having count(*) > 1
union all
select c.id::text, 'claim ' || case when c.freed_at is null then 'held' else 'freed' end || ' by a payment that is ' || p.status
  || case when back.whole then ', its part is returned' else '' end
from claim c join payment p on p.id = c.payment_id left join payment_line l on l.id = c.id
left join lateral (select sum(r.amount_fen) = part.received_fen as whole from refund r join payment_part part on part.id = r.part_id
                   where r.part_id = l.part_id and r.status = 'succeeded' group by part.id) back on true
left join lateral (select true as done from posting s join posting_bill pb on pb.posting_id = s.id
                   where s.part_id = l.part_id and s.status = 'posted' and not pb.whole and 'bill:' || pb.bill_id = l.claim_key) partly on true
where (c.freed_at is null) <> (p.status in ({_LIVE}, 'succeeded') and back.whole is not true and partly.done is not true)
union all
select l.id::text, 'line without a claim' from payment_line l
where not exists (select 1 from claim c where c.id = l.id and c.payment_id = l.payment_id and c.claim_key = l.claim_key)
""",
    ),
    Check(
        "bill_posted_once",
        2,
        "一张账单最多销账一次；已销账的账单与企业入账的销账单一一对应",
        counted("bill", "posting_bill"),
        """
select pb.bill_id::text as id, count(*) || ' postings are live or posted' as what
from posting_bill pb join posting s on s.id = pb.posting_id where pb.live or (s.status = 'posted' and pb.whole) group by pb.bill_id having count(*) > 1
union all
select pb.id::text, 'live is ' || pb.live || ', its posting is ' || s.status
from posting_bill pb join posting s on s.id = pb.posting_id where pb.live <> (s.status <> 'refused' and (pb.whole or s.status <> 'posted'))
union all
select b.id::text, 'bill is ' || b.status || ', its posting is ' || coalesce(s.status, 'none')
from bill b left join (posting_bill pb join posting s on s.id = pb.posting_id and s.status = 'posted' and pb.whole) on pb.bill_id = b.id
where (b.status = 'posted') <> (s.id is not null)
""",
    ),
    Check(
        "posting_says_what_was_paid",
        2,
        "销账单的账单、金额与缴费明细一致",
        counted("posting", "filed_posting"),
        """
with told as (
  select s.id, s.part_id, 'bill:' || pb.bill_id as claim_key, pb.amount_fen from posting s join posting_bill pb on pb.posting_id = s.id
), paid as (
  select s.id, s.part_id, l.claim_key::text, l.amount_fen from posting s join payment_line l on l.part_id = s.part_id
  where l.claim_key not like 'fund:%'
)
select id::text as id, claim_key || ' is told and not paid: ' || amount_fen as what from (table told except all table paid) more
union all
select id::text, claim_key || ' is paid and not told: ' || amount_fen from (table paid except all table told) less
union all
select s.id::text, 'its total is not the part''s' from posting s join payment_part part on part.id = s.part_id
where (s.total_fen, s.payment_id, s.company) is distinct from (part.amount_fen, part.payment_id, part.payee)
union all
select f.id::text, 'its company''s file says ' || coalesce(f.answer, 'nothing') || ', it is ' || s.status
from filed_posting f join posting s on s.id = f.id
where case when s.status in ('posted', 'refused') then s.status is distinct from f.answer else f.answered_at < check_now() - """
        + OVERDUE
        + """ end
union all
select c.id::text, 'its file says ' || c.rows || ' postings of ' || c.total_fen || ', it holds ' || count(f.id) || ' of ' || coalesce(sum(f.total_fen), 0)
from company_file c left join filed_posting f on f.file_id = c.id where c.kind = 'postings' group by c.id
having (c.rows, c.total_fen) is distinct from (count(f.id)::int, coalesce(sum(f.total_fen), 0)::bigint)
""",
    ),
    Check(
        "money_has_a_way",
        2,
        "收到的钱都有去处：正在销账、已销账、正在退或已退；迟到的和重复的都在退",
        counted("payment_part where received_fen is not null"),
        f"""
with back as (
  select part_id, bool_or(status <> 'closed') as live from refund group by part_id
), told as (
  select part_id, bool_or(status <> 'refused') as live, max(ended_at) as ended_at from posting group by part_id
)
select part.id::text as id, 'in suspense with no way out, payment ' || p.id || ' is ' || p.status as what
from payment_part part join payment p on p.id = part.payment_id
left join ledger_transaction t on t.kind = 'received' and t.subject = 'payment_part' and t.subject_id = part.id
left join back on back.part_id = part.id left join told on told.part_id = part.id
where part.received_fen is not null and back.live is not true and (p.status = 'received_late' or told.live is not true)
  and coalesce(greatest(t.at, told.ended_at), '-infinity') < check_now() - {OVERDUE}
union all
select l.claim_key, 'paid ' || count(*) || ' times and kept: payments ' || string_agg(p.id::text, ', ')
from payment_line l join payment p on p.id = l.payment_id
where p.status = 'succeeded' and not exists (select 1 from refund r where r.part_id = l.part_id and r.status <> 'closed')
  and not exists (select 1 from posting s join posting_bill pb on pb.posting_id = s.id
                  where s.part_id = l.part_id and not pb.whole and 'bill:' || pb.bill_id = l.claim_key)
group by l.claim_key having count(*) > 1
""",
    ),
)

_UNMATCHED = Check(
    "unmatched_word_is_seen_to",
    4,
    "支付机构说的和我方对不上的缴费，过期一天之内由两个人结束，不会一直占着账单",
    counted("payment"),
    f"""
select p.id::text as id, 'is ' || p.status || ', a verified word about it does not match: ' || a.detail as what
from payment p join payment_part part on part.payment_id = p.id
join audit a on a.subject = 'payment_part' and a.subject_id = part.id::text and a.action = 'payment.trade_mismatch'
where p.status in ({_LIVE}) and greatest(p.expires_at, a.at) < check_now() - interval '1 day'
""",
)

REFUNDS = (
    Check(
        "refund_within_part",
        3,
        "一笔缴费退回的加上销账的不超过收到的；缴费为已退款，当且仅当全额已退",
        counted("refund"),
        """
with back as (
  select part_id, sum(amount_fen) as fen from refund where status <> 'closed' group by part_id
)
select part.id::text as id, 'received ' || coalesce(part.received_fen, 0) || ', going back ' || back.fen
  || ', going to the company ' || coalesce(s.total_fen, 0) as what
from back join payment_part part on part.id = back.part_id
left join posting s on s.part_id = part.id and s.status <> 'refused'
where back.fen + coalesce(s.total_fen, 0) > coalesce(part.received_fen, 0)
union all
select p.id::text, 'payment of ' || p.total_fen || ' is ' || p.status || ', returned ' || coalesce(returned.fen, 0)
from payment p left join (select payment_id, sum(amount_fen) as fen from refund where status = 'succeeded' group by payment_id) returned
  on returned.payment_id = p.id
where (p.status = 'refunded') <> (coalesce(returned.fen, 0) = p.total_fen)
""",
    ),
    Check(
        "refund_number_once",
        3,
        "一笔退款从始至终只有一个退款单号，由它自己的编号而来",
        counted("refund"),
        """
select min(id::text) as id, refund_number || ' stands ' || count(*) || ' times' as what from refund group by refund_number having count(*) > 1
union all
select id::text, 'its number is ' || refund_number from refund where refund_number <> replace(id::text, '-', '')
union all
select r.id::text, 'of a part of another payment' from refund r join payment_part part on part.id = r.part_id where part.payment_id <> r.payment_id
""",
    ),
)

PAID = (
    _UNMATCHED,
    Check(
        "paid_on_word",
        4,
        "已支付必有凭据：支付机构的单号、实收等于应收、币种相符，且由验签的通知或查询入账",
        counted(f"payment where status in ({_PAID})"),
        f"""
select p.id::text as id, 'payment is ' || p.status || ', ' || case
    when p.currency <> 'CNY' then 'in ' || p.currency
    when p.paid_at is null then 'at no time'
    when part.parts is distinct from part.whole then 'a part has no transaction or another amount'
    else 'on nobody''s word' end as what
from payment p
left join (select payment_id, count(*) as parts,
    count(*) filter (where provider_transaction is not null and received_fen = amount_fen) as whole
  from payment_part group by payment_id) part on part.payment_id = p.id
where p.status in ({_PAID}) and (p.currency <> 'CNY' or p.paid_at is null or part.parts is null or part.parts <> part.whole
  or not exists (select 1 from journal j where j.subject = 'payment' and j.subject_id = p.id
                 and j.event = 'money_received' and j.actor_kind = 'provider' and j.actor_id = p.provider))
union all
select part.id::text, 'received ' || part.received_fen || ', the payment is ' || p.status
from payment_part part join payment p on p.id = part.payment_id
where (part.received_fen is not null or part.provider_transaction is not null) and p.status not in ({_PAID})
union all
select min(id::text), provider || ' ' || provider_transaction || ' pays ' || count(*) || ' parts'
from payment_part where provider_transaction is not null group by provider, provider_transaction having count(*) > 1
""",
    ),
    Check(
        "amount_is_ours",
        4,
        "金额出自我们自己的记录：缴费 = 各商户部分之和 = 明细之和，每行明细等于报价",
        counted("payment", "payment_part", "payment_line"),
        """
select p.id::text as id, 'total ' || p.total_fen || ', parts ' || coalesce(sum(part.amount_fen), 0) as what
from payment p left join payment_part part on part.payment_id = p.id
group by p.id having p.total_fen is distinct from sum(part.amount_fen) or bool_or(part.provider <> p.provider)
union all
select part.id::text, 'part ' || part.amount_fen || ', lines ' || coalesce(sum(l.amount_fen), 0)
from payment_part part left join payment_line l on l.part_id = part.id
group by part.id having part.amount_fen is distinct from sum(l.amount_fen) or bool_or(l.payment_id <> part.payment_id)
union all
select l.id::text, 'line ' || l.amount_fen || ', quoted ' || coalesce(q.lines ->> substr(l.claim_key, 6), 'nothing')
from payment_line l join payment_part part on part.id = l.part_id left join quote q on q.id = part.quote_id
where (q.lines ->> substr(l.claim_key, 6))::bigint is distinct from l.amount_fen
""",
    ),
)

OUTSIDE = (
    Check(
        "inbox_once_and_soon",
        5,
        "外来的每件消息只收一次，并在十五分钟内处理完",
        counted("inbox"),
        f"""
select min(id::text) as id, source || ' ' || key || ' stands ' || count(*) || ' times' as what from inbox group by source, key having count(*) > 1
union all
select id::text, source || ' ' || kind || ' waits since ' || received_at
from inbox where processed_at is null and received_at < check_now() - {OVERDUE}
union all
select id::text, 'processed without an outcome' from inbox where (processed_at is null) <> (outcome is null)
""",
    ),
    Check(
        "announced_once",
        5,
        "每一步该宣布的事都宣布了恰好一次，并在十五分钟内派发",
        counted("event"),
        f"""
with {_LAW}, announced as (
  select distinct subject, from_state, event, announces from law where announces is not null
), wanted as (
  select j.subject::text, j.subject_id, a.announces as kind, count(*) as times
  from journal j join announced a on (a.subject, a.from_state, a.event) = (j.subject, j.from_state, j.event) group by 1, 2, 3
), told as (
  select subject::text, subject_id, kind::text, count(*) as times from event
  where (subject, kind) in (select subject, announces from announced) group by 1, 2, 3
)
select subject_id::text as id, kind || ' of ' || subject || ': ' || coalesce(told.times, 0) || ' events for ' || coalesce(wanted.times, 0) || ' steps' as what
from wanted full join told using (subject, subject_id, kind) where wanted.times is distinct from told.times
union all
select id::text, kind || ' waits since ' || at from event where dispatched_at is null and at < check_now() - {OVERDUE}
""",
    ),
)

STATES = (
    Check(
        "step_in_the_table",
        6,
        "流水里的每一步都在规则表内，由有权的一方所走；出生在初始状态",
        counted("journal"),
        f"""
with {_LAW}, birth (subject, state) as (values {_births()})
select j.id::text as id,
  j.subject || ' ' || j.subject_id || ': ' || coalesce(j.from_state, 'nothing') || ' -' || j.event || '-> ' || j.to_state || ' by ' || j.actor_kind as what
from journal j
where not exists (select 1 from law where (law.subject, law.from_state, law.event, law.to_state, law.actor_kind)
                  = (j.subject, j.from_state, j.event, j.to_state, j.actor_kind))
  and not (j.from_state is null and case when j.subject in (select subject from birth)
             then (j.subject, j.to_state) in (select subject, state from birth) else j.to_state = '-' end)
""",
    ),
    Check(
        "state_is_where_steps_led",
        6,
        "每个对象所处的状态就是它的流水走到的状态",
        counted(*LIFECYCLES),
        # The order of two steps of one row is not needed, and clocks of two machines could not give it: whoever is born once and
        # left every state as often as he entered it, but the one he stands in, stands where his steps have led.
        f"""
with step as (
  {" union all ".join(_standing(law) for law in LIFECYCLES.values())}
  union all select subject, subject_id, to_state, 1 from journal where to_state <> '-'
  union all select subject, subject_id, from_state, -1 from journal where from_state is not null
)
select id::text as id, subject || ' ' || string_agg(state || case when entered > 0 then ' entered' else ' left or claimed' end
  || ' ' || abs(entered) || ' times too often', ', ' order by state) as what
from (select subject, id, state, sum(entered) as entered from step group by subject, id, state having sum(entered) <> 0) uneven
group by subject, id
""",
    ),
    Check(
        "correction_has_reason",
        6,
        "往回走的更正都有理由；工作人员的更正另有批准人",
        counted("journal where event like 'correct\\_%'"),
        f"""
select id::text as id, subject || ' ' || subject_id || ': ' || event || ' without ' || case when reason is null then 'a reason' else 'an approver' end as what
from journal where event like 'correct\\_%' and (reason is null or (actor_kind = 'staff' and (approver is null or {_BY_HIMSELF})))
""",
    ),
    Check(
        "difference_ends_on_two_words",
        6,
        "对账差异由人了结的，都有理由和另一位批准人；自行消除的由系统记录",
        counted("reconciliation_item"),
        f"""
select i.id::text as id, i.kind || ' of ' || i.number || ' is ' || i.status || ' on nobody''s word' as what
from reconciliation_item i where i.status in ('resolved', 'explained') and not exists (
  select 1 from journal j where j.subject = 'reconciliation_item' and j.subject_id = i.id and j.to_state = i.status and j.reason is not null
    and (j.event = 'explain' or (j.approver is not null and not {_BY_HIMSELF})))
""",
    ),
)

MESSAGES = (
    Check(
        "message_once_and_ends",
        8,
        "一件事对一个人在一个渠道只有一条消息，并在期限内有终局",
        counted("message"),
        f"""
select min(id::text) as id, count(*) || ' messages of event ' || event_id || ' on ' || channel as what
from message group by event_id, person_id, channel having count(*) > 1
union all
select id::text, channel || ' ' || kind || ' is still ' || status from message
where status not in ({", ".join(f"'{state}'" for state in sorted(message.MESSAGE.terminal))})
  and coalesce(sent_at, created_at) < check_now() - {_RECEIPT}
union all
select m.id::text, 'of no event' from message m where not exists (select 1 from event e where e.id = m.event_id)
""",
    ),
    Check(
        "credit_spent_once",
        8,
        "一次订阅授权最多用在一条消息上；发出的订阅消息恰好用去一次授权",
        counted("subscription_credit"),
        """
select min(id::text) as id, grant_key || ' stands ' || count(*) || ' times' as what from subscription_credit group by grant_key having count(*) > 1
union all
select spent_by::text, count(*) || ' credits spent' from subscription_credit where spent_by is not null group by spent_by having count(*) > 1
union all
select c.id::text, 'spent on a message that is ' || coalesce(m.status, 'missing') || case when u.person_id <> m.person_id then ', of another person' else '' end
from subscription_credit c join login_user u on u.id = c.user_id left join message m on m.id = c.spent_by
where c.spent_by is not null
  and (m.id is null or m.channel <> 'mini_program' or m.status in ('pending', 'skipped')
    or (m.person_id <> u.person_id and not exists (
      select 1 from person_join j where (j.survivor_id, j.absorbed_id) in ((m.person_id, u.person_id), (u.person_id, m.person_id)))))
union all
select m.id::text, 'is ' || m.status || ' and no credit was spent' from message m
where m.channel = 'mini_program' and m.status in ('sending', 'accepted', 'delivered', 'unknown')
  and not exists (select 1 from subscription_credit c where c.spent_by = m.id)
""",
    ),
)

ACCOUNTS = (
    Check(
        "binding_once",
        14,
        "一人（一单位）对一个户号最多一个有效绑定；绑定与解绑都有时间、有来由、已告知",
        counted("binding"),
        """
select min(id::text) as id, count(*) || ' live bindings of one principal' as what
from binding where revoked_at is null group by account_id, person_id, organization_id having count(*) > 1
union all
select id::text, 'has no principal, or two' from binding where num_nonnulls(person_id, organization_id) <> 1
union all
select id::text, 'ended without time or author' from binding where (revoked_at is null) <> (revoked_by is null) or revoked_at < created_at
union all
select b.id::text, 'announced ' || count(*) filter (where e.kind = 'binding.created') || ' times, its end '
  || count(*) filter (where e.kind = 'binding.revoked') || ' times'
from binding b left join event e on e.subject = 'binding' and e.subject_id = b.id
group by b.id
having count(*) filter (where e.kind = 'binding.created') <> 1
  or count(*) filter (where e.kind = 'binding.revoked') <> (b.revoked_at is not null)::int
""",
    ),
    Check(
        "paid_by_a_binder",
        14,
        "凭绑定缴费的人，缴费时确有对该户号的有效绑定，或者家人给的代缴",
        counted("payment_part where basis <> 'scan'"),
        # Ten seconds are the longest transaction: one that read the binding may have been written after another has ended it.
        # Identities that have been joined are one human's: what was bound as one may be paid as the other.
        f"""
with recursive {JOINED}
select p.id::text as id, 'paid on a binding he did not have' as what
from payment p join payment_part part on part.payment_id = p.id left join quote q on q.id = part.quote_id
where part.basis <> 'scan' and not exists (
  select 1 from binding b where b.account_id = q.account_id
    and b.created_at <= p.created_at + interval '10 seconds' and (b.revoked_at is null or b.revoked_at >= p.created_at - interval '10 seconds')
    and (b.person_id = p.person_id or b.organization_id = p.organization_id or (b.person_id, p.person_id) in (select a, b from joined) or exists (
      select 1 from account_share s where s.binding_id = b.id and s.may_pay
        and (s.member_id = p.person_id or (s.member_id, p.person_id) in (select a, b from joined))
        and s.accepted_at <= p.created_at + interval '10 seconds' and (s.ended_at is null or s.ended_at >= p.created_at - interval '10 seconds'))))
""",
    ),
)

CHECKS = tuple(
    check._replace(violations=_now(check.violations))
    for check in (
        *MONEY,
        *BILLS,
        *REFUNDS,
        *PAID,
        *OUTSIDE,
        *STATES,
        *MESSAGES,
        *DEADLINES,
        *CASES,
        *ACCESS,
        *ACCOUNTS,
        *SHARES,
    )
)
"""All checks in the order of the rules."""

NOT_EXAMINED = {
    14: "还没有户主的表：“任一时刻恰有一位户主”无从核对，这里核对的是绑定",
}
"""What the rule of this number says beyond the checks above, and why it is not examined."""

_LAWS = (
    application.APPLICATION,
    service_order.SERVICE_ORDER,
    order_telling.ORDER_TELLING,
    order_request.ORDER_REQUEST,
    survey.SURVEY,
    bill.BILL,
    payment.PAYMENT,
    posting.POSTING,
    reconciliation.RECONCILIATION_RUN,
    reconciliation.RECONCILIATION_ITEM,
    refund.REFUND,
    message.MESSAGE,
    share.ACCOUNT_SHARE,
    mandate.MANDATE,
    material.MATERIAL,
    supervision.SUPERVISION,
    permit.PERMIT,
    tolerance.TOLERANCE,
    credit.CREDIT_RECORD,
)
assert set(LIFECYCLES.values()) == set(_LAWS), "a lifecycle is registered by importing its module: import it above"
