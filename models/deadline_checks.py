"""Checks of promises: whoever should be told was, pauses are apart, and what is called kept was kept."""

from models.check import OVERDUE, Check, counted

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
)
