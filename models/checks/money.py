"""What must hold of money: every fen is booked, each bill is paid and posted once, what is paid stands on a verified word (rules 1 to 4)."""

from models import payment
from models.checks.base import OVERDUE, Check, counted

_LIVE = ", ".join(f"'{status}'" for status in payment.LIVE_STATUSES)
_PAID = "'succeeded', 'received_late', 'refunded'"

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
