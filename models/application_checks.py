"""What must hold of applications, consents and service orders (rule 10), as SQL."""

from models.check import Check, counted
from models.service_order import OVER

_OVER = ", ".join(f"'{status}'" for status in OVER)

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
)
