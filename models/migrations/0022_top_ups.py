"""Money paid in advance: a quote says what it is for, and a top-up is a payment of its own, never mixed with bills.

国办函〔2020〕129号 as before: a top-up is exactly what was quoted, and goes as a whole to the company's balance.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

NO_SURCHARGE = """
create or replace function payment_has_no_surcharge() returns trigger language plpgsql as $$
declare
  which uuid;
begin
  if tg_table_name = 'payment' then which := new.id; else which := new.payment_id; end if;
  if (select total_fen from payment where id = which) is distinct from (select sum(amount_fen) from payment_part where payment_id = which)
    or exists (
      select from payment_part part where part.payment_id = which
        and part.amount_fen is distinct from (select sum(amount_fen) from payment_line where part_id = part.id))
    or exists (
      select from payment_line l left join payment_part part on part.id = l.part_id left join quote q on q.id = part.quote_id
      where l.payment_id = which
        and (part.payment_id is distinct from which or l.amount_fen is distinct from (q.lines ->> substr(l.claim_key, 6))::bigint
          or left(l.claim_key, 5) is distinct from case q.purpose when 'top_up' then 'fund:' else 'bill:' end))
    or (exists (select from payment_part part join quote q on q.id = part.quote_id where part.payment_id = which and q.purpose = 'top_up')
        and (select count(*) from payment_part where payment_id = which) > 1)
  then
    raise exception 'payment % is not what was quoted', which
      using errcode = 'check_violation', constraint = 'payment_no_surcharge';
  end if;
  return null;
end $$;
"""

QUOTED_IS_OWED = """
create or replace function quote_is_what_is_owed() returns trigger language plpgsql as $$
begin
  if new.purpose = 'top_up' then
    if new.lines::jsonb is distinct from jsonb_build_object(new.id::text, new.total_fen) or new.partial_bill_id is not null then
      raise exception 'quote % is no top-up', new.id using errcode = 'check_violation', constraint = 'quote_no_surcharge';
    end if;
    return new;
  end if;
  if new.total_fen is distinct from (select sum(value::bigint) from jsonb_each_text(new.lines))
    or exists (
      select from jsonb_each_text(new.lines) line left join bill b on b.id = line.key::uuid and b.account_id = new.account_id
      where b.id is null or line.value::bigint not between 1 and b.payable_fen)
  then
    raise exception 'quote % is more than what is owed', new.id
      using errcode = 'check_violation', constraint = 'quote_no_surcharge';
  end if;
  return new;
end $$;
drop trigger quote_no_surcharge on quote;
create trigger quote_no_surcharge before insert or update of lines, total_fen, account_id, purpose on quote
  for each row execute function quote_is_what_is_owed();
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0021_company_files")]

    operations = [
        ops.AddField(model_name="Quote", name="purpose", field=fields.CharField(max_length=10, default="bills")),
        ops.AddConstraint(
            model_name="Quote",
            constraint=CheckConstraint(name="quote_purpose_known", check="purpose in ('bills', 'top_up')"),
        ),
        ops.AddField(model_name="UtilityAccount", name="balance_low_since", field=fields.DatetimeField(null=True)),
        ops.RunSQL(NO_SURCHARGE),
        ops.RunSQL(QUOTED_IS_OWED),
    ]
