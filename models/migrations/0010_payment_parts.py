"""A payment of several companies: every part says how its payer came to it and on whose word its amount is; no surcharge is possible.

国办函〔2020〕129号: nothing may be charged beyond the price of water, power and gas. A payment is the sum of its parts, a part of its
lines, a line what the company has quoted, and a quote no more than the bills it names.
"""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

MOVED = """
update payment_part part set basis = p.basis, quote_id = p.quote_id from payment p where p.id = part.payment_id
"""

NO_SURCHARGE = """
create function payment_has_no_surcharge() returns trigger language plpgsql as $$
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
        and (part.payment_id is distinct from which or l.amount_fen is distinct from (q.lines ->> substr(l.claim_key, 6))::bigint))
  then
    raise exception 'payment % is not what was quoted', which
      using errcode = 'check_violation', constraint = 'payment_no_surcharge';
  end if;
  return null;
end $$;
create constraint trigger payment_no_surcharge after insert or update of total_fen on payment
  deferrable initially deferred for each row execute function payment_has_no_surcharge();
create constraint trigger payment_part_no_surcharge after insert or update of amount_fen, payment_id, quote_id on payment_part
  deferrable initially deferred for each row execute function payment_has_no_surcharge();
create constraint trigger payment_line_no_surcharge after insert or update of amount_fen, payment_id, part_id, claim_key on payment_line
  deferrable initially deferred for each row execute function payment_has_no_surcharge();
"""

QUOTED_IS_OWED = """
create function quote_is_what_is_owed() returns trigger language plpgsql as $$
begin
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
create trigger quote_no_surcharge before insert or update of lines, total_fen, account_id on quote
  for each row execute function quote_is_what_is_owed();
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0009_reconciliation")]

    operations = [
        ops.AddField(model_name="PaymentPart", name="basis", field=fields.CharField(max_length=10, null=True)),
        ops.AddField(model_name="PaymentPart", name="quote_id", field=fields.UUIDField(null=True)),
        ops.RunSQL(MOVED),
        ops.AlterField(model_name="PaymentPart", name="basis", field=fields.CharField(max_length=10)),
        ops.AlterField(model_name="PaymentPart", name="quote_id", field=fields.UUIDField()),
        ops.AddIndex(model_name="PaymentPart", index=Index(fields=["quote_id"])),
        ops.RemoveField(model_name="Payment", name="basis"),
        ops.RemoveField(model_name="Payment", name="quote_id"),
        ops.RunSQL(NO_SURCHARGE),
        ops.RunSQL(QUOTED_IS_OWED),
    ]
