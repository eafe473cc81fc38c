"""What must hold of applications, consents, service orders, their surveys, papers and costs (rule 10), as SQL."""

from models.checks.base import OVERDUE, Check, counted
from models.service_order import OVER

_OVER = ", ".join(f"'{status}'" for status in OVER)
_NOTHING = "'refused', 'failed', 'withdrawn', 'reassigned'"
"""Of an order that came to nothing."""
_GIVEN_BACK = "'withdrawn', 'reassigned'"
_SAID = "'told', 'refused', 'at_desk'"
_OWED = "'promised', 'overdue'"

CASES = (
    Check(
        "order_once_under_consent",
        10,
        "每件申请对每家企业的每项服务恰有一个子单，都有指名这家企业、先于子单给出的同意；同意收回了就不再办",
        counted("service_order", "consent"),
        f"""
select min(id::text) as id, company || ' has ' || count(*) || ' orders of one application and service' as what
from service_order group by application_id, company, service having count(*) > 1
union all
select o.id::text, 'of ' || o.company || ' has no consent that names it'
from service_order o where not exists (select 1 from consent c where c.application_id = o.application_id and c.company = o.company)
union all
select o.id::text, 'of ' || o.company || ' is older than its consent'
from service_order o join consent c on c.application_id = o.application_id and c.company = o.company where c.given_at > o.created_at
union all
select o.id::text, 'of ' || o.company || ' is ' || o.status || ' and the consent was taken back'
from service_order o join consent c on c.application_id = o.application_id and c.company = o.company
where c.withdrawn_at is not null and o.status not in ({_OVER})
union all
select o.id::text, 'announced ' || count(e.id) || ' times'
from service_order o left join event e on e.subject = 'service_order' and e.subject_id = o.id and e.kind = 'service_order.created'
group by o.id having count(e.id) <> 1
union all
select o.id::text, 'was withdrawn and its consent lives on'
from service_order o join consent c on c.application_id = o.application_id and c.company = o.company and c.withdrawn_at is null
where exists (select from journal j where j.subject = 'service_order' and j.subject_id = o.id
  and j.event in ('withdraw', 'agree_withdrawal', 'reassign'))
""",
    ),
    Check(
        "application_is_its_orders",
        10,
        "提交的申请，要办的每项服务都有子单，编号同源；草稿没有子单；撤回的申请没有还在办的子单",
        counted("application"),
        f"""
select a.id::text as id, 'has no order for ' || wanted.service as what
from application a cross join unnest(a.services) as wanted (service)
where a.status <> 'draft' and not exists (select 1 from service_order o where o.application_id = a.id and o.service = wanted.service)
union all
select o.id::text, 'is an order of a draft' from service_order o join application a on a.id = o.application_id where a.status = 'draft'
union all
select o.id::text, 'is not numbered after its application' from service_order o join application a on a.id = o.application_id
where o.number not like a.number || '-%'
union all
select o.id::text, 'is ' || o.status || ' of a withdrawn application' from service_order o join application a on a.id = o.application_id
where a.status = 'withdrawn' and o.status not in ({_OVER})
""",
    ),
    Check(
        "order_told_to_its_company",
        10,
        "每个子单都已送到企业或企业的工作台，还没送到的有任务在送；企业的回报按次序都已处理",
        counted("service_order", "order_telling", "order_report"),
        f"""
select o.id::text as id, 'was never laid before ' || o.company as what from service_order o
where o.status not in ({_GIVEN_BACK}) and o.created_at < check_now() - {OVERDUE}
  and not exists (select from order_telling t where t.order_id = o.id and t.kind = 'order')
union all
select o.id::text, 'was corrected and ' || o.company || ' was not told' from event e join service_order o on o.id = e.subject_id
where e.kind = 'service_order.corrected' and e.at < check_now() - {OVERDUE} and o.status not in ({_GIVEN_BACK})
  and not exists (select from order_telling t where t.order_id = o.id and t.cause_id = e.id)
union all
select t.id::text, t.kind || ' for ' || t.company || ' waits and no job will tell it' from order_telling t
where t.status not in ({_SAID}) and t.created_at < check_now() - {OVERDUE}
  and not exists (select from order_telling b where b.order_id = t.order_id and b.number < t.number and b.status not in ({_SAID}))
  and not exists (select from procrastinate_jobs j where j.task_name = 'orders.tell' and j.status in ('todo', 'doing')
                  and j.args->>'telling_id' = t.id::text)
union all
select r.id::text, 'report ' || r.sequence || ' of ' || r.kind || ' has had its turn and was not worked' from order_report r
where r.worked_at is null and r.came_at < check_now() - {OVERDUE}
  and r.sequence = (select coalesce(max(w.sequence), 0) + 1 from order_report w where w.order_id = r.order_id and w.worked_at is not null)
""",
    ),
    Check(
        "promised_paper_comes_or_is_broken",
        10,
        "容缺承诺的材料，到期不是补齐就是违诺；违诺的都有信用记录，没有违诺的没有；不再办的不再欠；缺材料的不通气",
        counted("tolerance", "credit_record", "service_order where service = 'gas'"),
        f"""
select t.id::text as id, 'was due on ' || t.due_on || ' and is still ' || t.status as what from tolerance t
where t.status = 'promised' and t.due_on < ((check_now() - {OVERDUE}) at time zone interval '8 hours')::date
union all
select t.id::text, 'was broken and nobody wrote it down'
from tolerance t join journal j on j.subject = 'tolerance' and j.subject_id = t.id and j.event = 'pass_due'
where j.at < check_now() - {OVERDUE}
  and not exists (select from credit_record c where (c.event, c.evidence_kind, c.evidence_id) = ('promise_overdue', 'tolerance', t.id))
union all
select c.id::text, 'is of a promise that was never broken' from credit_record c where c.event = 'promise_overdue'
  and not exists (select from journal j where j.subject = 'tolerance' and j.subject_id = c.evidence_id and j.event = 'pass_due')
union all
select t.id::text, 'is owed for services nobody asks for any more' from tolerance t
where t.status in ({_OWED}) and t.signed_at < check_now() - {OVERDUE}
  and exists (select from service_order o where o.application_id = t.application_id and o.service = any(t.services))
  and not exists (select from service_order o where o.application_id = t.application_id and o.service = any(t.services)
                  and (o.status not in ({_NOTHING}) or o.ended_at > check_now() - {OVERDUE}))
union all
select o.id::text, 'has its gas on, and ' || t.requirement || ' is only promised'
from service_order o join tolerance t on t.application_id = o.application_id and t.status in ({_OWED}) and 'gas' = any(t.services)
where o.service = 'gas' and o.status in ('connected', 'archived')
""",
    ),
    Check(
        "survey_holds_its_crews",
        10,
        "提交的申请都有人安排踏勘；占着的人员时段都属于正约着的那一次；约定的踏勘各方都已确认",
        counted("survey", "survey_booking"),
        f"""
select b.id::text as id, 'holds a crew for round ' || b.round || ' of a survey that is ' || s.status || ' in round ' || s.round as what
from survey_booking b join survey s on s.id = b.survey_id
where b.released_at is null and (s.status in ('gathering', 'cancelled') or b.round <> s.round)
union all
select s.id::text, 'is fixed and not everybody has confirmed' from survey s
where s.status = 'fixed' and (s.applicant_confirmed_at is null or exists (
  select from survey_booking b where b.survey_id = s.id and b.released_at is null and b.answer <> 'confirmed'))
union all
select s.id::text, 'is held, and was to be answered by ' || s.answer_by from survey s
where s.status = 'held' and s.answer_by < check_now() - {OVERDUE}
union all
select a.id::text, 'was filed and nobody arranges its survey' from application a
where a.status = 'filed' and a.access_point <> 'platform_push' and a.filed_at < check_now() - {OVERDUE}
  and not exists (select from survey s where s.application_id = a.id)
""",
    ),
    Check(
        "cost_of_order_is_borne",
        10,
        "受理了的子单都记有由谁承担费用；没有办成的没有",
        counted("service_order", "fee_claim"),
        f"""
select o.id::text as id, 'was accepted and nobody bears its cost' as what from service_order o
where o.accepted_at < check_now() - {OVERDUE} and o.status not in ({_NOTHING})
  and not exists (select from fee_claim c where c.subject_kind = 'service_order' and c.subject_id = o.id and c.superseded_at is null)
union all
select c.id::text, 'is borne for an order that is ' || o.status
from fee_claim c join service_order o on o.id = c.subject_id and c.subject_kind = 'service_order'
where c.superseded_at is null and o.status in ({_NOTHING}) and o.ended_at < check_now() - {OVERDUE}
""",
    ),
)
