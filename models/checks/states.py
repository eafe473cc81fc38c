"""What must hold of everything that comes in, moves and is told: heard once, along the tables, in messages that end (rules 5, 6 and 8)."""

from models import message
from models.checks.base import OVERDUE, Check, counted
from models.lifecycle import LIFECYCLES, Lifecycle

_RECEIPT = "interval '25 hours'"
"""WeChat's receipts come within 24 h; the timetable ends those without one every ten minutes."""

_BY_HIMSELF = "lower(approver) = lower(regexp_replace(actor_id, '^.*:', ''))"
"""Of a row of the journal: its second person is the first (payments/consent.py)."""


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
