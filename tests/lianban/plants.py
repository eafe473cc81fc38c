"""What is planted to see that ``lianban check`` reports it: each breaks one rule in rows that keep all of them."""

import uuid
from typing import NamedTuple

from tests.harness.spine import WATER


class Plant(NamedTuple):
    """Statements that break what `check` guards, and a part of what it then says."""

    check: str
    says: str
    statements: tuple[str, ...]


ALSO = str(uuid.UUID(int=7))


def _plant(check: str, says: str, *statements: str) -> Plant:
    return Plant(check, says, statements)


def _again(table: str, which: str = "true") -> str:
    """Insert a row a second time, under another id."""
    return f"insert into {table} select (jsonb_populate_record(t, jsonb_build_object('id', '{ALSO}'))).* from {table} t where {which} limit 1"


def _tolerance(status: str, service: str) -> str:
    """A paper of the filed application that is only promised."""
    return (
        "insert into tolerance (id, status, application_id, requirement, services, person_id, signer_id, actor_user_id, due_on, statement,"
        f" statement_sha256, proved_at, signed_at) select '{ALSO}', '{status}', id, 'x', '{{{service}}}', person_id, person_id, actor_user_id,"
        " '2026-01-01', 'x'::bytea, decode(repeat('00', 32), 'hex'), filed_at - interval '2 hours', filed_at - interval '2 hours' from application"
    )


def _booking(round_: int) -> str:
    """A crew that is held for the application's survey."""
    return (
        "insert into survey_booking (id, survey_id, slot_id, order_id, company, round, answer)"
        f" select '{ALSO}', s.id, '{ALSO}', o.id, o.company, {round_}, 'asked' from survey s join service_order o"
        " on o.application_id = s.application_id and o.company = 'water'"
    )


def _permit(company: str) -> str:
    """A permit that is waited for."""
    return (
        f"insert into permit (id, status, order_id, company, kind, unit, evidence, asked_at) select '{ALSO}', 'asked', id, company, 'road',"
        f" 'city_bureau', '2026-118', now() from service_order where company = '{company}'"
    )


PLANTS = (
    _plant("ledger_transaction_whole", "received of payment_part",
        "update ledger_entry set amount_fen = amount_fen + 1 where id ="
        " (select e.id from ledger_entry e join ledger_transaction t on t.id = e.transaction_id where t.kind = 'received' limit 1)"),
    _plant("ledger_transaction_whole", "posted of posting",
        "delete from ledger_entry where transaction_id in (select id from ledger_transaction where kind = 'posted')"),
    _plant("ledger_transaction_whole", "posted of posting",
        f"insert into ledger_account (kind, provider, merchant) values ('posted', 'wechat_pay', '{ALSO[:8]}')",
        f"update ledger_entry e set account_id = (select id from ledger_account where merchant = '{ALSO[:8]}') from ledger_account own"
        " where own.id = e.account_id and own.kind = 'posted'"),
    _plant("ledger_day_adds_up", "suspense",
        "update ledger_entry e set amount_fen = amount_fen - 100 from ledger_account a where a.id = e.account_id and a.kind = 'posted'"),
    _plant("ledger_day_adds_up", "suspense -",
        "update ledger_transaction set at = at - interval '1 day' where kind = 'posted'"),
    _plant("ledger_says_what_happened", "received of payment_part is not booked",
        "delete from ledger_entry", "delete from ledger_transaction where kind = 'received'"),
    _plant("ledger_says_what_happened", "posted of posting is booked and is not so", "update posting set status = 'pending', ended_at = null"),
    _plant("ledger_says_what_happened", "refunded of refund", "update refund set amount_fen = amount_fen - 1"),
    _plant("file_kept_whole", "its rows", "update reconciliation_row set amount_fen = amount_fen + 1 where kind = 'trade'"),
    _plant("file_kept_whole", "its rows", "delete from reconciliation_row where kind = 'posting'"),
    _plant("difference_ends_on_two_words", "on nobody's word", "update reconciliation_item set status = 'resolved', ended_at = now()"),
    _plant("claim_once", "2 live claims",
        "drop index claim_live_once", _again("claim", "freed_at is null")),
    _plant("claim_once", "claim freed by a payment that is succeeded", "update claim set freed_at = now() where freed_at is null"),
    _plant("claim_once", "claim held by a payment that is refunded", "update claim set freed_at = null"),
    _plant("claim_once", "line without a claim", "delete from claim"),
    _plant("bill_posted_once", "2 postings are live or posted",
        "drop index posting_bill_live_once",
        _again("posting_bill", "live")),
    _plant("bill_posted_once", "live is true, its posting is refused", "update posting_bill set live = true"),
    _plant("bill_posted_once", "bill is open, its posting is posted", "update bill set status = 'open' where status = 'posted'"),
    _plant("bill_posted_once", "bill is posted, its posting is none", "update bill set status = 'posted', paid_at = now()"),
    _plant("posting_says_what_was_paid", "its company's file says nothing, it is posted",
        "insert into filed_posting (id, company, content, total_fen, made_at)"
        " select id, company, 'x'::bytea, total_fen, created_at from posting where status = 'posted' limit 1"),
    _plant("posting_says_what_was_paid", "its file says 1 postings of 7, it holds 0 of 0",
        "insert into company_file (id, company, kind, name, day, sha256, rows, total_fen, body, made_at)"
        f" values ('{ALSO}', 'telecom_cu', 'postings', 'n', '2026-01-01', 'h', 1, 7, 'x'::bytea, now())"),
    _plant("posting_says_what_was_paid", "is told and not paid", "update posting_bill set amount_fen = amount_fen + 1"),
    _plant("posting_says_what_was_paid", "is paid and not told", "delete from posting_bill"),
    _plant("posting_says_what_was_paid", "its total is not the part's", "update posting set total_fen = total_fen + 1"),
    _plant("money_has_a_way", "in suspense with no way out", "delete from refund"),
    _plant("money_has_a_way", "in suspense with no way out", "update payment set status = 'received_late' where status = 'succeeded'"),
    _plant("money_has_a_way", "paid 2 times and kept",
        "update payment_line set claim_key = 'bill:x'", "update payment set status = 'succeeded'", "delete from refund"),
    _plant("refund_within_part", "going back", "update refund set amount_fen = amount_fen + 1"),
    _plant("refund_within_part", "going to the company 4199",
        "update refund set part_id = (select part_id from posting where status = 'posted')"),
    _plant("refund_within_part", "is succeeded, returned", "update payment set status = 'succeeded'"),
    _plant("refund_number_once", "stands 2 times",
        "alter table refund drop constraint refund_number_once", "drop index refund_live_once_per_part",
        _again("refund")),
    _plant("refund_number_once", "its number is R2", "update refund set refund_number = 'R2'"),
    _plant("refund_number_once", "of a part of another payment",
        "update refund set payment_id = (select payment_id from posting where status = 'posted')"),
    _plant("unmatched_word_is_seen_to", "does not match: amount",
        "update payment set status = 'closing', expires_at = now() - interval '2 days' where id = (select payment_id from payment_part limit 1)",
        f"insert into audit (id, at, actor_kind, actor_id, action, subject, subject_id, detail) select '{ALSO}', now() - interval '2 days', 'provider',"
        " 'wechat_pay', 'payment.trade_mismatch', 'payment_part', part.id::text, 'amount' from payment_part part join payment p on p.id = part.payment_id"
        " where p.status = 'closing'"),
    _plant("paid_on_word", "on nobody's word", "delete from journal where event = 'money_received'"),
    _plant("paid_on_word", "on nobody's word", "update journal set actor_kind = 'person' where event = 'money_received'"),
    _plant("paid_on_word", "a part has no transaction or another amount", "update payment_part set provider_transaction = null, received_fen = null"),
    _plant("paid_on_word", "a part has no transaction or another amount",
        "alter table payment_part drop constraint payment_part_received_whole", "update payment_part set received_fen = received_fen - 1"),
    _plant("paid_on_word", "in USD", "alter table payment drop constraint payment_currency_known", "update payment set currency = 'USD'"),
    _plant("paid_on_word", "at no time", "alter table payment drop constraint payment_paid_has_time", "update payment set paid_at = null"),
    _plant("paid_on_word", "the payment is awaiting_payer", "update payment set status = 'awaiting_payer'"),
    _plant("paid_on_word", "pays 2 parts",
        "alter table payment_part drop constraint payment_part_provider_transaction_once", "update payment_part set provider_transaction = '42'"),
    _plant("amount_is_ours", "parts", "update payment set total_fen = total_fen + 1"),
    _plant("amount_is_ours", "lines", "update payment_part set amount_fen = amount_fen + 1, received_fen = amount_fen + 1"),
    _plant("amount_is_ours", "quoted", "update quote set lines = (select jsonb_object_agg(key, value::text::bigint + 1) from jsonb_each(lines))"),
    _plant("amount_is_ours", "quoted nothing", "delete from quote"),
    _plant("inbox_once_and_soon", "stands 2 times",
        "alter table inbox drop constraint inbox_once",
        _again("inbox")),
    _plant("inbox_once_and_soon", "waits since", "update inbox set processed_at = null, outcome = null, received_at = now() - interval '16 minutes'"),
    _plant("inbox_once_and_soon", "processed without an outcome", "update inbox set outcome = null"),
    _plant("announced_once", "payment.succeeded of payment: 0 events for 1 steps", "delete from event where kind = 'payment.succeeded'"),
    _plant("announced_once", "posting.posted of posting: 2 events for 1 steps",
        _again("event", "kind = 'posting.posted'")),
    _plant("announced_once", "waits since", "update event set dispatched_at = null, at = now() - interval '16 minutes'"),
    _plant("step_in_the_table", "created -teleport-> succeeded by system",
        f"insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, at)"
        f" values ('{ALSO}', 'payment', '{ALSO}', 'created', 'succeeded', 'teleport', 'system', '', now())"),
    _plant("step_in_the_table", "-money_received-> succeeded by person", "update journal set actor_kind = 'person' where event = 'money_received'"),
    _plant("step_in_the_table", "nothing -created-> posted", "update journal set to_state = 'posted' where subject = 'bill' and from_state is null"),
    _plant("step_in_the_table", "binding", "update journal set to_state = 'bound' where subject = 'binding'"),
    _plant("state_is_where_steps_led", "bill open left or claimed 1 times too often, posted entered 1",
        "update bill set status = 'open' where status = 'posted'"),
    _plant("state_is_where_steps_led", "message", "delete from journal where subject = 'message'"),
    _plant("state_is_where_steps_led", "payment",
        _again("journal", "event = 'money_received'")),
    _plant("state_is_where_steps_led", "refund", "delete from refund"),
    _plant("correction_has_reason", "correct_to_open without a reason",
        f"insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, at)"
        f" values ('{ALSO}', 'bill', '{ALSO}', 'void', 'open', 'correct_to_open', 'company', '{WATER}', now())"),
    _plant("correction_has_reason", "correct_to_open without an approver",
        f"insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, reason, approver, at)"
        f" values ('{ALSO}', 'bill', '{ALSO}', 'void', 'open', 'correct_to_open', 'staff', 'console:wang', 'typed wrong', 'Wang', now())"),
    _plant("message_once_and_ends", "2 messages of event",
        "alter table message drop constraint message_once",
        _again("message")),
    _plant("message_once_and_ends", "is still accepted", "update message set status = 'accepted', sent_at = now() - interval '26 hours'"),
    _plant("message_once_and_ends", "is still pending",
        "update message set status = 'pending', sent_at = null, created_at = now() - interval '26 hours'"),
    _plant("message_once_and_ends", "of no event", "delete from event"),
    _plant("credit_spent_once", "2 credits spent",
        "alter table subscription_credit drop constraint subscription_credit_spent_once",
        "update subscription_credit set spent_by = (select id from message where channel = 'mini_program' limit 1)"),
    _plant("credit_spent_once", "spent on a message that is missing",
        f"update subscription_credit set spent_by = '{ALSO}' where id = (select id from subscription_credit limit 1)"),
    _plant("credit_spent_once", "of another person",
        "update message set person_id = (select p.id from person p where p.id <> message.person_id limit 1)"),
    _plant("credit_spent_once", "no credit was spent", "update subscription_credit set spent_by = null"),
    _plant("credit_spent_once", "stands 2 times",
        "alter table subscription_credit drop constraint subscription_credit_granted_once", "update subscription_credit set grant_key = 'same'"),
    _plant("mandate_within_its_granter", "first and not whole", "update mandate set services = '{gas}' where parent_id is null"),
    _plant("mandate_within_its_granter", "is for more services", "update mandate set services = '{gas}' where parent_id is null"),
    _plant("mandate_within_its_granter", "gives more than it was given", "update mandate set may_appoint = false where parent_id is null"),
    _plant("mandate_within_its_granter", "ends after what it hangs on",
        "update mandate set ends_at = ends_at + interval '2 years' where parent_id is not null"),
    _plant("mandate_within_its_granter", "hangs on another chain",
        "alter table mandate drop constraint mandate_chain_whole", "update mandate set chain = array[id] where parent_id is not null"),
    _plant("mandate_ends_with_those_above", "is active below one that is revoked",
        "update mandate set status = 'revoked', ended_by = 'agent', ended_at = now() where parent_id is null"),
    _plant("mandate_ends_with_those_above", "is active beyond its time", "update mandate set ends_at = created_at + interval '1 second'"),
    _plant("used_what_he_had", "mandate.offered by a mandate that was not alive",
        "update mandate set status = 'revoked', ended_by = 'agent', ended_at = accepted_at",
        "update access_use set at = at + interval '1 minute'"),
    _plant("used_what_he_had", "binding.created by a mandate without the scope", "update mandate set may_pay = false"),
    _plant("used_what_he_had", "binding.created with an account out of its mandate", "update mandate set services = '{gas}'"),
    _plant("used_what_he_had", "by the mandate of another", "update access_use u set person_id = (select id from person p where p.id <> u.person_id limit 1)"),
    _plant("used_what_he_had", "by the share of another", "update access_use u set person_id = (select id from person p where p.id <> u.person_id limit 1)"),
    _plant("used_what_he_had", "owed.seen by a share that was not alive", "update account_share set accepted_at = accepted_at + interval '1 day'"),
    _plant("used_what_he_had", "payment.created by a share to read", "update access_use set action = 'payment.created' where share_id is not null"),
    _plant("counter_payment_within_its_session", "is another clerk's",
        "update payment set actor_user_id = gen_random_uuid() where id in (select payment_id from acting_payment)"),
    _plant("counter_payment_within_its_session", "is another citizen's",
        "update acting_session s set person_id = (select id from person p where p.id <> s.person_id limit 1)"),
    _plant("counter_payment_within_its_session", "outlives its session",
        "update acting_session set expires_at = expires_at - interval '10 minutes'"),
    _plant("counter_payment_within_its_session", "was begun outside",
        "update acting_session set ended_at = created_at - interval '1 minute', ended_by = 'clerk'"),
    _plant("counter_payment_within_its_session", "is not paid by a code", "update acting_session set purpose = 'look_up'"),
    _plant("card_names_were_read", "no device has read", "delete from audit where action = 'person.real_name_proved'"),
    _plant("others_money_is_written_down", "paid as family and not written down", "update payment_part set basis = 'family' where basis = 'binding'"),
    _plant("promise_warned", "is green, but was due at", "update deadline set level = 'green' where level = 'red'"),
    _plant("promise_warned", "is green, but near its end since",
        "update deadline set yellow_at = now() - interval '1 hour', due_at = now() + interval '1 day' where level = 'green' and closed_at is null"),
    _plant("promise_warned", "is red and nobody was told", "delete from deadline_warning"),
    _plant("promise_warned", "is over and no bureau asks why", "delete from supervision"),
    _plant("promise_warned", "and did not climb", "update supervision set reply_due_at = now() - interval '1 hour'"),
    _plant("promise_pauses_apart", "overlaps", "update deadline_pause set ends_at = ends_at + interval '1 hour'", _again("deadline_pause")),
    _plant("promise_pauses_apart", "ends before it begins",
        "alter table deadline_pause drop constraint deadline_pause_runs_forward", "update deadline_pause set ends_at = begins_at - interval '1 hour'"),
    _plant("promise_pauses_apart", "is open, its promise is over", "update deadline_pause set ends_at = null"),
    _plant("promise_outcome_true", "is called met",
        "update deadline set due_at = closed_at - interval '1 hour', yellow_at = opened_at - interval '1 day' where outcome = 'met'"),
    _plant("promise_outcome_true", "nobody agreed", "update deadline set extra_days = 1"),
    _plant("order_once_under_consent", "2 orders of one application",
        "alter table service_order drop constraint service_order_once", "alter table service_order drop constraint service_order_number_once",
        _again("service_order", "company = 'water'")),
    _plant("order_once_under_consent", "has no consent that names it", "delete from consent where company = 'water'"),
    _plant("order_once_under_consent", "is older than its consent", "update consent set given_at = given_at + interval '1 minute' where company = 'water'"),
    _plant("order_once_under_consent", "the consent was taken back", "update consent set withdrawn_at = given_at where company = 'water'"),
    _plant("order_once_under_consent", "announced 0 times", "delete from event where kind = 'service_order.created'"),
    _plant("application_is_its_orders", "has no order for gas", "delete from service_order where company = 'gas'"),
    _plant("application_is_its_orders", "is an order of a draft",
        "update application set status = 'draft', number = null, progress_code = null, progress_code_index = null, filed_at = null"),
    _plant("application_is_its_orders", "is not numbered after its application", "update service_order set number = 'x' || number"),
    _plant("application_is_its_orders", "of a withdrawn application", "update application set status = 'withdrawn', withdrawn_at = now()"),
    _plant("order_once_under_consent", "its consent lives on", "update consent set withdrawn_at = null"),
    _plant("order_told_to_its_company", "was never laid before water", "delete from order_telling where company = 'water'"),
    _plant("order_told_to_its_company", "was corrected and water was not told",
        f"insert into event (id, subject, subject_id, kind, data, at, dispatched_at) select '{ALSO}', 'service_order', id,"
        " 'service_order.corrected', '{}', now() - interval '1 hour', now() from service_order where company = 'water'"),
    _plant("order_told_to_its_company", "order for water waits and no job will tell it",
        "update order_telling set status = 'unknown', ended_at = null, created_at = now() - interval '1 hour' where company = 'water' and kind = 'order'",
        "delete from procrastinate_jobs where task_name = 'orders.tell'"),
    _plant("order_told_to_its_company", "report 1 of accepted has had its turn",
        f"insert into order_report (id, order_id, sequence, kind, content, came_at) select '{ALSO}', id, 1, 'accepted', 'x'::bytea,"
        " now() - interval '1 hour' from service_order where company = 'water'"),
    _plant("promised_paper_comes_or_is_broken", "was due on 2026-01-01 and is still promised", _tolerance("promised", "water")),
    _plant("promised_paper_comes_or_is_broken", "was broken and nobody wrote it down", _tolerance("overdue", "water"),
        f"insert into journal (id, subject, subject_id, from_state, to_state, event, actor_kind, actor_id, at)"
        f" values ('{ALSO}', 'tolerance', '{ALSO}', 'promised', 'overdue', 'pass_due', 'system', '', now() - interval '1 hour')"),
    _plant("promised_paper_comes_or_is_broken", "is of a promise that was never broken",
        f"insert into credit_record (id, status, person_id, event, evidence_kind, evidence_id, noticed_at, objection_until)"
        f" select '{ALSO}', 'noticed', id, 'promise_overdue', 'tolerance', '{ALSO}', now(), '2026-12-01' from person limit 1"),
    _plant("promised_paper_comes_or_is_broken", "is owed for services nobody asks for any more", _tolerance("promised", "gas")),
    _plant("promised_paper_comes_or_is_broken", "has its gas on, and x is only promised", _tolerance("promised", "gas"),
        "alter table service_order drop constraint service_order_inspected_before_connected",
        "update service_order set status = 'connected', connected_at = ended_at where company = 'gas'"),
    _plant("survey_holds_its_crews", "holds a crew for round 1 of a survey that is cancelled", _booking(1)),
    _plant("survey_holds_its_crews", "is fixed and not everybody has confirmed", _booking(1),
        "update survey set status = 'fixed', ended_at = null, round = 1, starts_at = now(), ends_at = now() + interval '1 hour', answer_by = now(),"
        " applicant_confirmed_at = now()"),
    _plant("survey_holds_its_crews", "was to be answered by",
        "update survey set status = 'held', ended_at = null, round = 1, starts_at = now(), ends_at = now() + interval '1 hour',"
        " answer_by = now() - interval '1 hour'"),
    _plant("survey_holds_its_crews", "nobody arranges its survey", "delete from survey"),
    _plant("cost_of_order_is_borne", "nobody bears its cost", "delete from fee_claim"),
    _plant("cost_of_order_is_borne", "is borne for an order that is withdrawn",
        "update fee_claim set subject_id = (select id from service_order where company = 'gas'), superseded_at = null",
        "update service_order set ended_at = ended_at - interval '1 hour' where company = 'gas'"),
    _plant("order_has_its_clock", "is contracted and nothing is promised",
        "update deadline set kind = 'node', node = 'plan' where kind = 'promise' and subject_id in (select id from service_order)"),
    _plant("order_has_its_clock", "promise runs for an order that is withdrawn",
        "update deadline set subject_id = (select id from service_order where company = 'gas') where subject_id in (select id from service_order)"
        " and kind = 'promise'"),
    _plant("order_has_its_clock", "promise runs for an order that is contracted", "update service_order set accepted_at = null"),
    _plant("order_has_its_clock", "road is waited for, its order is withdrawn", _permit("gas"),
        "update service_order set ended_at = ended_at - interval '1 hour' where company = 'gas'"),
    _plant("order_has_its_clock", "road is waited for without a clock", _permit("water")),
    _plant("clock_stands_still_for_a_reason", "stands still for permit, its order is contracted",
        "update deadline_pause set deadline_id = (select d.id from deadline d join service_order o on o.id = d.subject_id where d.kind = 'promise' limit 1),"
        " ends_at = null, cap_at = null where reason = 'permit'"),
    _plant("clock_stands_still_for_a_reason", "is said to stand still for permit, and no clock does",
        "update service_order set paused_reason = 'permit', paused_at = now() where company = 'water'"),
    _plant("clock_stands_still_for_a_reason", "is withdrawn and still stands still",
        "update service_order set paused_reason = 'permit', paused_at = now() where company = 'gas'"),
    _plant("binding_once", "2 live bindings",
        "drop index binding_live_once_per_person", "alter table binding drop constraint binding_reference_once",
        _again("binding", "revoked_at is null")),
    _plant("binding_once", "ended without time or author",
        "alter table binding drop constraint binding_end_has_author", "update binding set revoked_by = null"),
    _plant("binding_once", "has no principal, or two",
        "alter table binding drop constraint binding_one_principal", "update binding set person_id = null"),
    _plant("binding_once", "announced 0 times", "delete from event where kind = 'binding.created'"),
    _plant("binding_once", "its end 0 times", "delete from event where kind = 'binding.revoked'"),
    _plant("paid_by_a_binder", "on a binding he did not have", "delete from binding"),
    _plant("paid_by_a_binder", "on a binding he did not have",
        "update binding set revoked_at = created_at + interval '1 second', revoked_by = 'holder', created_at = created_at - interval '1 hour'",
        "update payment set created_at = created_at + interval '1 minute'"),
    _plant("share_ends_with_its_binding", "is active on a binding that has ended",
        "update binding set revoked_at = now(), revoked_by = 'owner' where id in (select binding_id from account_share)"),
    _plant("share_ends_with_its_binding", "is offered beyond its time",
        "update account_share set status = 'offered', member_id = null, accepted_at = null, code_expires_at = created_at + interval '1 minute'"),
)  # fmt: skip
