"""What must always hold of those who act for others: mandates lie within each other, and whoever used one, or a share, had it then."""

from models.checks.base import OVERDUE, Check, counted

JOINED = """
step (a, b) as (
  select survivor_id, absorbed_id from person_join union select absorbed_id, survivor_id from person_join
), joined (a, b) as (
  select a, b from step union select joined.a, step.b from joined join step on step.a = joined.b
)
"""
"""Pairs of persons that are, or once were, one human's joined identities; stands behind ``with recursive``."""

_SLACK = "interval '10 seconds'"
"""The longest transaction: one that read a right may have been written after another has ended it."""

ACCESS = (
    Check(
        "mandate_within_its_granter",
        11,
        "每份任命都在它所出自的那份之内：事项、业务、户号、期限；首位经办人的什么都有",
        counted("mandate"),
        """
select m.id::text as id, said.what from mandate m left join mandate p on p.id = m.parent_id
cross join lateral (select case
  when m.parent_id is null then case
    when not (m.may_pay and m.may_file and m.may_sign and m.may_appoint) or num_nonnulls(m.services, m.account_ids) > 0 then 'first and not whole' end
  when p.id is null or p.organization_id <> m.organization_id or m.chain <> p.chain || m.id then 'hangs on another chain'
  when not p.may_appoint or m.may_pay > p.may_pay or m.may_file > p.may_file or m.may_sign > p.may_sign or m.may_appoint > p.may_appoint
    then 'gives more than it was given'
  when p.services is not null and (m.services is null or not m.services <@ p.services) then 'is for more services'
  when p.account_ids is not null and (m.account_ids is null or not m.account_ids <@ p.account_ids) then 'is for more accounts'
  when m.ends_at > p.ends_at then 'ends after what it hangs on' end as what) said
where said.what is not null
""",
    ),
    Check(
        "mandate_ends_with_those_above",
        11,
        "上面的任命收回，下面的同时收回；到期的在十五分钟内写明",
        counted("mandate"),
        f"""
select m.id::text as id, 'is ' || m.status || ' below one that is ' || a.status as what
from mandate m join mandate a on a.id = any(m.chain) and a.id <> m.id
where m.status in ('offered', 'active') and a.status in ('revoked', 'lapsed')
union all
select id::text, 'is ' || status || ' beyond its time' from mandate
where (status = 'active' and ends_at < check_now() - {OVERDUE})
  or (status = 'offered' and least(ends_at, code_expires_at) < check_now() - {OVERDUE})
""",
    ),
    Check(
        "used_what_he_had",
        11,
        "经办人和家人每次所做，当时确有其权：本人、期限、事项、户号",
        counted("access_use"),
        f"""
with recursive {JOINED}
select u.id::text as id, u.action || ' ' || said.what as what
from access_use u join mandate m on m.id = u.mandate_id left join utility_account account on account.id = u.account_id
cross join lateral (
  select bool_and(coalesce(a.accepted_at, 'infinity') <= u.at + {_SLACK} and coalesce(a.ended_at, 'infinity') >= u.at - {_SLACK}
      and a.ends_at >= u.at - {_SLACK}) as live, bool_and(a.may_pay) as may_pay, bool_and(a.may_appoint) as may_appoint
  from mandate a where a.id = any(m.chain)
) whole cross join lateral (select case
  when u.person_id <> m.person_id and (u.person_id, m.person_id) not in (select a, b from joined) then 'by the mandate of another'
  when not whole.live then 'by a mandate that was not alive'
  when (u.action in ('payment.created', 'binding.created', 'binding.revoked') and not whole.may_pay)
    or (u.action = 'mandate.offered' and not whole.may_appoint) then 'by a mandate without the scope'
  when account.service <> all(m.services) or account.id <> all(m.account_ids) then 'with an account out of its mandate' end as what) said
where said.what is not null
union all
select u.id::text, u.action || ' ' || said.what
from access_use u join account_share s on s.id = u.share_id join binding b on b.id = s.binding_id
cross join lateral (select case
  when u.person_id <> s.member_id and (u.person_id, s.member_id) not in (select a, b from joined) then 'by the share of another'
  when coalesce(s.accepted_at, 'infinity') > u.at + {_SLACK} or s.ended_at < u.at - {_SLACK} then 'by a share that was not alive'
  when u.action = 'payment.created' and not s.may_pay then 'by a share to read'
  when u.account_id is distinct from b.account_id then 'with another account' end as what) said
where said.what is not null
""",
    ),
    Check(
        "counter_payment_within_its_session",
        11,
        "窗口替市民发起的缴费：是那位市民的、那位窗口人员办的，扫码付款，在那次代办里开始，不晚于它结束",
        counted("acting_payment"),
        f"""
with recursive {JOINED}
select begun.id::text as id, 'payment ' || p.id || ' ' || said.what as what
from acting_payment begun join acting_session s on s.id = begun.acting_id join payment p on p.id = begun.payment_id
cross join lateral (select case
  when p.person_id is distinct from s.person_id and (p.person_id, s.person_id) not in (select a, b from joined) then 'is another citizen''s'
  when p.actor_user_id <> s.staff_id then 'is another clerk''s'
  when p.method <> 'native' or s.purpose <> 'pay' then 'is not paid by a code on a screen'
  when begun.created_at < s.created_at or begun.created_at > least(s.expires_at, s.ended_at) + {_SLACK}
    then 'was begun outside its session'
  when p.expires_at > s.expires_at then 'outlives its session' end as what) said
where said.what is not null
""",
    ),
    Check(
        "card_names_were_read",
        11,
        "凭身份证实名的人，都有一台登记过的设备读过他的身份证",
        counted("person where real_name_source = 'id_card'"),
        f"""
with recursive {JOINED}
select p.id::text as id, 'has a real name by card that no device has read' as what from person p
where p.real_name_source = 'id_card' and not exists (
  select 1 from audit a join device d on d.id::text = a.actor_id
  where a.actor_kind = 'device' and a.action = 'person.real_name_proved' and a.subject = 'person'
    and (a.subject_id = p.id::text or (p.id, a.subject_id::uuid) in (select a, b from joined)))
""",
    ),
    Check(
        "others_money_is_written_down",
        11,
        "替家人、替单位发起的缴费，都记给了给权的人看",
        counted("payment_part"),
        """
select part.id::text as id, 'paid as ' || part.basis || case when p.organization_id is null then '' else ' for an organization' end
  || ' and not written down' as what
from payment_part part join payment p on p.id = part.payment_id join quote q on q.id = part.quote_id
where (part.basis in ('family', 'agent') or p.organization_id is not null) and not exists (
  select 1 from access_use u where u.subject_id = p.id and u.action = 'payment.created' and u.account_id = q.account_id
    and (u.mandate_id is null) = (p.organization_id is null))
""",
    ),
)

SHARES = (
    Check(
        "share_ends_with_its_binding",
        14,
        "家人代办随绑定同时结束；没人接受的邀请在十五分钟内作废",
        counted("account_share"),
        f"""
select s.id::text as id, 'is ' || s.status || ' on a binding that has ended' as what
from account_share s join binding b on b.id = s.binding_id where s.status in ('offered', 'active') and b.revoked_at is not null
union all
select id::text, 'is offered beyond its time' from account_share where status = 'offered' and code_expires_at < check_now() - {OVERDUE}
""",
    ),
)
