"""The constraints of 0001: Tortoise keeps them in its state but writes no SQL for them when it creates a table."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0001_tables")]

    operations = [
        ops.AddConstraint(
            model_name="Person", constraint=CheckConstraint(name="person_level_known", check="level between 1 and 3")
        ),
        ops.AddConstraint(
            model_name="Person",
            constraint=CheckConstraint(
                name="person_phone_whole",
                check="(phone is null) = (phone_index is null) and (phone is null) = (phone_proved_at is null)",
            ),
        ),
        ops.AddConstraint(
            model_name="Person",
            constraint=CheckConstraint(
                name="person_level_proved",
                check="level < 2 or phone_proved_at is not null or id_number_index is not null",
            ),
        ),
        ops.AddConstraint(
            model_name="Person", constraint=UniqueConstraint(name="person_id_number_once", fields=("id_number_index",))
        ),
        ops.AddConstraint(
            model_name="Organization",
            constraint=UniqueConstraint(name="organization_credit_code_once", fields=("credit_code_index",)),
        ),
        ops.AddConstraint(
            model_name="User",
            constraint=UniqueConstraint(name="login_user_subject_once", fields=("source", "realm", "subject_index")),
        ),
        ops.AddConstraint(
            model_name="Session",
            constraint=CheckConstraint(
                name="session_end_has_reason", check="(ended_at is null) = (end_reason is null)"
            ),
        ),
        ops.AddConstraint(
            model_name="RefreshToken", constraint=UniqueConstraint(name="refresh_token_once", fields=("token_hash",))
        ),
        ops.AddConstraint(
            model_name="UtilityAccount",
            constraint=UniqueConstraint(name="utility_account_number_once", fields=("company", "number_index")),
        ),
        ops.AddConstraint(
            model_name="UtilityAccount",
            constraint=CheckConstraint(
                name="utility_account_company_state_known", check="company_state in ('open', 'frozen', 'closed')"
            ),
        ),
        ops.AddConstraint(
            model_name="Binding",
            constraint=CheckConstraint(
                name="binding_one_principal", check="num_nonnulls(person_id, organization_id) = 1"
            ),
        ),
        ops.AddConstraint(
            model_name="Binding",
            constraint=UniqueConstraint(
                name="binding_live_once_per_person", fields=("account_id", "person_id"), condition="revoked_at is null"
            ),
        ),
        ops.AddConstraint(
            model_name="Binding",
            constraint=UniqueConstraint(
                name="binding_live_once_per_organization",
                fields=("account_id", "organization_id"),
                condition="revoked_at is null",
            ),
        ),
        ops.AddConstraint(
            model_name="Binding", constraint=UniqueConstraint(name="binding_reference_once", fields=("reference",))
        ),
        ops.AddConstraint(
            model_name="Binding",
            constraint=CheckConstraint(
                name="binding_end_has_author", check="(revoked_at is null) = (revoked_by is null)"
            ),
        ),
        ops.AddConstraint(
            model_name="Bill", constraint=UniqueConstraint(name="bill_number_once", fields=("company", "bill_no"))
        ),
        ops.AddConstraint(
            model_name="Bill",
            constraint=CheckConstraint(
                name="bill_amounts_add_up",
                check="payable_fen = principal_fen + late_fee_fen and principal_fen >= 0 and late_fee_fen >= 0",
            ),
        ),
        ops.AddConstraint(
            model_name="Bill",
            constraint=CheckConstraint(name="bill_period_shape", check="period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'"),
        ),
        ops.AddConstraint(
            model_name="Bill",
            constraint=CheckConstraint(
                name="bill_paid_has_time", check="status not in ('posted', 'paid_elsewhere') or paid_at is not null"
            ),
        ),
        ops.AddConstraint(
            model_name="Quote", constraint=CheckConstraint(name="quote_total_positive", check="total_fen > 0")
        ),
        ops.AddConstraint(
            model_name="Quote",
            constraint=CheckConstraint(name="quote_basis_known", check="basis in ('binding', 'scan')"),
        ),
        ops.AddConstraint(
            model_name="Quote", constraint=CheckConstraint(name="quote_lives_forward", check="expires_at > created_at")
        ),
        ops.AddConstraint(
            model_name="BillFile", constraint=UniqueConstraint(name="bill_file_once", fields=("company", "day"))
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                name="payment_one_principal", check="num_nonnulls(person_id, organization_id) = 1"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(name="payment_amount_sane", check="total_fen between 1 and 1000000000"),
        ),
        ops.AddConstraint(
            model_name="Payment", constraint=CheckConstraint(name="payment_currency_known", check="currency = 'CNY'")
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                name="payment_paid_has_time",
                check="status not in ('succeeded', 'received_late', 'refunded') or paid_at is not null",
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                name="payment_awaiting_has_prepay", check="status <> 'awaiting_payer' or prepay_id is not null"
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentPart",
            constraint=UniqueConstraint(name="payment_part_order_number_once", fields=("order_number",)),
        ),
        ops.AddConstraint(
            model_name="PaymentPart",
            constraint=UniqueConstraint(
                name="payment_part_provider_transaction_once", fields=("provider", "provider_transaction")
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentPart",
            constraint=CheckConstraint(name="payment_part_amount_positive", check="amount_fen > 0"),
        ),
        ops.AddConstraint(
            model_name="PaymentPart",
            constraint=CheckConstraint(
                name="payment_part_received_whole",
                check="received_fen is null or (received_fen = amount_fen and provider_transaction is not null)",
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentLine",
            constraint=CheckConstraint(name="payment_line_amount_positive", check="amount_fen > 0"),
        ),
        ops.AddConstraint(
            model_name="Claim",
            constraint=UniqueConstraint(name="claim_live_once", fields=("claim_key",), condition="freed_at is null"),
        ),
        ops.AddConstraint(
            model_name="Refund", constraint=UniqueConstraint(name="refund_number_once", fields=("refund_number",))
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=UniqueConstraint(
                name="refund_live_once_per_part", fields=("part_id",), condition="status <> 'closed'"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund", constraint=CheckConstraint(name="refund_amount_positive", check="amount_fen > 0")
        ),
        ops.AddConstraint(
            model_name="LedgerAccount",
            constraint=UniqueConstraint(name="ledger_account_once", fields=("kind", "provider", "merchant")),
        ),
        ops.AddConstraint(
            model_name="LedgerAccount",
            constraint=CheckConstraint(
                name="ledger_account_kind_known", check="kind in ('clearing', 'suspense', 'posted')"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerTransaction",
            constraint=UniqueConstraint(name="ledger_transaction_once", fields=("kind", "subject", "subject_id")),
        ),
        ops.AddConstraint(
            model_name="LedgerTransaction",
            constraint=CheckConstraint(
                name="ledger_transaction_kind_known", check="kind in ('received', 'posted', 'refunded')"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerEntry", constraint=CheckConstraint(name="ledger_entry_not_zero", check="amount_fen <> 0")
        ),
        ops.AddConstraint(
            model_name="Posting",
            constraint=UniqueConstraint(
                name="posting_live_once_per_part", fields=("part_id",), condition="status <> 'refused'"
            ),
        ),
        ops.AddConstraint(
            model_name="Posting", constraint=CheckConstraint(name="posting_total_positive", check="total_fen > 0")
        ),
        ops.AddConstraint(
            model_name="Posting",
            constraint=CheckConstraint(
                name="posting_end_has_time", check="(status in ('posted', 'refused')) = (ended_at is not null)"
            ),
        ),
        ops.AddConstraint(
            model_name="PostingBill",
            constraint=UniqueConstraint(name="posting_bill_live_once", fields=("bill_id",), condition="live"),
        ),
        ops.AddConstraint(
            model_name="PostingBill",
            constraint=CheckConstraint(name="posting_bill_amount_positive", check="amount_fen > 0"),
        ),
        ops.AddConstraint(
            model_name="Message",
            constraint=UniqueConstraint(name="message_once", fields=("event_id", "person_id", "channel")),
        ),
        ops.AddConstraint(
            model_name="SubscriptionCredit",
            constraint=UniqueConstraint(name="subscription_credit_granted_once", fields=("grant_key",)),
        ),
        ops.AddConstraint(
            model_name="SubscriptionCredit",
            constraint=UniqueConstraint(name="subscription_credit_spent_once", fields=("spent_by",)),
        ),
        ops.AddConstraint(
            model_name="InboxItem", constraint=UniqueConstraint(name="inbox_once", fields=("source", "key"))
        ),
        ops.AddConstraint(
            model_name="StaffUser", constraint=UniqueConstraint(name="staff_user_login_once", fields=("login",))
        ),
        ops.AddConstraint(
            model_name="StaffUser",
            constraint=CheckConstraint(name="staff_user_login_plain", check="login ~ '^[a-z][a-z0-9._-]{2,39}$'"),
        ),
    ]
