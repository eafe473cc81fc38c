"""What must hold of utility accounts and those who are bound to them (rule 14)."""

from models.checks.access import JOINED
from models.checks.base import Check, counted

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
