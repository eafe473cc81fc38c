"""Checks of promises: whoever should be told was, pauses are apart, and what is called kept was kept."""

from models.checks.base import OVERDUE, Check, counted
from models.service_order import OVER

_OVER = ", ".join(f"'{status}'" for status in OVER)
_OF = "d.subject_kind = 'service_order' and d.subject_id = o.id"

DEADLINES = (
    Check(
        "promise_warned",
        9,
        "快到期、超期的承诺都已预警，超期的整件都有督办单；预警任务自己没有停",
        counted("deadline"),
        f"""
select d.id::text as id, 'is ' || d.level || ', but was due at ' || d.due_at as what from deadline d
where d.closed_at is null and d.due_at < check_now() - {OVERDUE} and d.level <> 'red'
union all
select d.id::text, 'is green, but near its end since ' || d.yellow_at from deadline d
where d.closed_at is null and d.yellow_at < check_now() - {OVERDUE} and d.level = 'green'
union all
select d.id::text, 'is ' || d.level || ' and nobody was told' from deadline d
where d.level <> 'green' and not exists (select from deadline_warning w where w.deadline_id = d.id and w.level = d.level)
union all
select d.id::text, 'is over and no bureau asks why' from deadline d
where d.level = 'red' and d.kind = 'promise' and not exists (select from supervision s where s.deadline_id = d.id)
union all
select s.id::text, 'has had no reply since ' || s.reply_due_at || ' and did not climb' from supervision s
where s.status = 'issued' and s.reply_due_at < check_now() - {OVERDUE}
""",
    ),
    Check(
        "promise_pauses_apart",
        9,
        "同一承诺的暂停互不重叠，从不为负，办结后没有还开着的",
        counted("deadline_pause"),
        """
select p.id::text as id, 'overlaps ' || o.id as what from deadline_pause p
join deadline_pause o on o.deadline_id = p.deadline_id and o.id > p.id
  and p.begins_at < coalesce(o.ends_at, 'infinity') and o.begins_at < coalesce(p.ends_at, 'infinity')
union all
select p.id::text, 'ends before it begins' from deadline_pause p where p.ends_at < p.begins_at
union all
select p.id::text, 'is open, its promise is over' from deadline_pause p join deadline d on d.id = p.deadline_id
where p.ends_at is null and d.closed_at is not null
""",
    ),
    Check(
        "promise_outcome_true",
        9,
        "记为按时的都在承诺时限内办结，记为超期的都超过了",
        counted("deadline"),
        """
select d.id::text as id, 'is called ' || d.outcome || ', it ended ' || (d.closed_at - d.due_at) || ' after it was due' as what from deadline d
where d.outcome in ('met', 'missed') and (d.outcome = 'met') is distinct from (d.closed_at <= d.due_at)
union all
select d.id::text, 'is longer than it was, and nobody agreed' from deadline d
where d.extra_days > 0 and not exists (select from deadline_change c where c.deadline_id = d.id and c.kind = 'extension')
""",
    ),
    Check(
        "order_has_its_clock",
        9,
        "受理了、还没办完的子单都有一个在走的承诺；办完的、没受理的没有；等着的审批都有自己的时限",
        counted("service_order", "permit"),
        # Beyond the last distance nothing is promised before the survey; after it the company has a time to commit itself.
        f"""
select o.id::text as id, 'is ' || o.status || ' and nothing is promised' as what from service_order o
where o.accepted_at is not null and o.status not in ({_OVER}) and (o.surveyed_at is not null or o.distance_m is null)
  and not exists (select from deadline d where {_OF} and d.closed_at is null and d.kind in ('promise', 'commitment'))
union all
select d.id::text, d.kind || ' runs for an order that is ' || o.status from deadline d join service_order o on {_OF}
where d.closed_at is null and (o.status in ({_OVER}) or (d.kind = 'promise' and o.accepted_at is null))
union all
select p.id::text, p.kind || ' is waited for, its order is ' || o.status from permit p join service_order o on o.id = p.order_id
where p.ended_at is null and o.status in ({_OVER}) and o.ended_at < check_now() - {OVERDUE}
union all
select p.id::text, p.kind || ' is waited for without a clock' from permit p where p.ended_at is null
  and not exists (select from deadline d where d.subject_kind = 'permit' and d.subject_id = p.id and d.closed_at is null)
""",
    ),
    Check(
        "clock_stands_still_for_a_reason",
        9,
        "停着的承诺都有还在的事由；说是停着的子单，时限确实停着；办完的没有停着的",
        counted("deadline_pause", "service_order"),
        f"""
select p.id::text as id, 'stands still for ' || p.reason || ', its order is ' || o.status as what
from deadline_pause p join deadline d on d.id = p.deadline_id join service_order o on {_OF}
where p.ends_at is null and (p.cap_at is null or p.cap_at > check_now()) and o.paused_reason is distinct from p.reason
  and case p.reason when 'correction' then o.status <> 'correcting' when 'applicant' then o.status not in ('plan_replied', 'plan_confirmed')
      else true end
union all
select o.id::text, 'is said to stand still for ' || o.paused_reason || ', and no clock does' from service_order o
where o.paused_reason is not null and o.status not in ({_OVER}) and not exists (
  select from deadline d join deadline_pause p on p.deadline_id = d.id
  where {_OF} and p.reason = o.paused_reason and (p.ends_at is null or p.ends_at >= o.paused_at))
union all
select o.id::text, 'is ' || o.status || ' and still stands still' from service_order o where o.paused_reason is not null and o.status in ({_OVER})
""",
    ),
)
