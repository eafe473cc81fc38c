"""Triggers and grants: what the application role may do, and what nobody may do by mistake."""

from tortoise import migrations
from tortoise.migrations import operations as ops

LEDGER_BALANCED = """
create function ledger_transaction_is_balanced() returns trigger language plpgsql as $$
begin
  if (select sum(amount_fen) from ledger_entry where transaction_id = new.transaction_id) <> 0 then
    raise exception 'ledger transaction % does not sum to 0', new.transaction_id
      using errcode = 'check_violation', constraint = 'ledger_transaction_balanced';
  end if;
  return null;
end $$;
create constraint trigger ledger_transaction_balanced after insert on ledger_entry
  deferrable initially deferred for each row execute function ledger_transaction_is_balanced();
"""

REFUND_WITHIN_PART = """
create function refund_stays_within_part() returns trigger language plpgsql as $$
declare
  whole bigint;
  back bigint;
begin
  select amount_fen into whole from payment_part where id = new.part_id for update;
  select coalesce(sum(amount_fen), 0) into back from refund where part_id = new.part_id and status <> 'closed' and id <> new.id;
  if new.status <> 'closed' and back + new.amount_fen > whole then
    raise exception 'refunds of part % exceed it', new.part_id
      using errcode = 'check_violation', constraint = 'refund_within_part';
  end if;
  return new;
end $$;
create trigger refund_within_part before insert or update on refund
  for each row execute function refund_stays_within_part();
"""

GRANTS = """
grant usage on schema public to lianban_app;
grant select on all tables in schema public to lianban_app;
grant insert on journal, audit, ledger_account, ledger_transaction, ledger_entry to lianban_app;
grant insert, update on person, organization, login_user, session, utility_account, binding, qr_code, bill, payment, payment_part,
  payment_line, claim, refund, posting, posting_bill, message, subscription_credit, event, inbox, bill_file, staff_user to lianban_app;
grant insert, update, delete on idempotent_answer, quote, refresh_token to lianban_app;
grant insert, update, delete on procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers to lianban_app;
grant usage on all sequences in schema public to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0003_queue")]

    operations = [ops.RunSQL(LEDGER_BALANCED), ops.RunSQL(REFUND_WITHIN_PART), ops.RunSQL(GRANTS)]
