"""Who may see and carry on a payment: its payer, and the agents of an organization that pays."""

from tortoise import migrations
from tortoise.migrations import operations as ops

# One select, so that the planner puts it into the query that asks. Whose mandate is for some accounts only sees what he did himself.
PAYMENT_ACCESS = """
create function payment_access(for_person uuid, for_organization uuid, at_moment timestamptz)
returns table (payment_id uuid, may_pay boolean, is_actor boolean)
language sql stable parallel safe as $$
  select p.id, true, true from payment p where for_organization is null and p.person_id = for_person
  union all
  select p.id, m.may_pay, u.id is not null
  from live_mandate(for_person, for_organization, at_moment) m
  join payment p on p.organization_id = m.organization_id
  left join login_user u on u.id = p.actor_user_id and u.person_id = for_person
  where (m.services is null and m.account_ids is null) or u.id is not null
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0018_family")]

    operations = [ops.RunSQL(PAYMENT_ACCESS)]
