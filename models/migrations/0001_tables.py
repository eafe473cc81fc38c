from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from json import dumps, loads
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("action", fields.CharField(max_length=60)),
                ("subject", fields.CharField(max_length=40)),
                ("subject_id", fields.CharField(max_length=60)),
                ("detail", fields.CharField(null=True, max_length=200)),
                ("request_id", fields.CharField(null=True, max_length=40)),
            ],
            options={
                "table": "audit",
                "app": "models",
                "indexes": [Index(fields=["subject", "subject_id"]), Index(fields=["at"])],
                "pk_attr": "id",
                "table_description": "One row, never changed. `detail` holds codes and ids, never personal values.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Event",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("kind", fields.CharField(max_length=60)),
                ("subject", fields.CharField(max_length=40)),
                ("subject_id", fields.UUIDField()),
                (
                    "data",
                    fields.JSONField(
                        default=dict, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("dispatched_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "event",
                "app": "models",
                "indexes": [Index(fields=["subject", "subject_id"])],
                "pk_attr": "id",
                "table_description": "Something happened that others listen to; `data` holds ids and codes only.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="IdempotentAnswer",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ("fingerprint", fields.BinaryField()),
                ("status_code", fields.SmallIntField()),
                ("body", fields.BinaryField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "idempotent_answer",
                "app": "models",
                "pk_attr": "id",
                "table_description": "The stored answer: status and encrypted body.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="InboxItem",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("source", fields.CharField(max_length=40)),
                ("key", fields.CharField(max_length=120)),
                ("kind", fields.CharField(max_length=60)),
                ("content", fields.BinaryField()),
                ("received_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("processed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("outcome", fields.CharField(null=True, max_length=40)),
            ],
            options={
                "table": "inbox",
                "app": "models",
                "constraints": [UniqueConstraint(fields=("source", "key"), name="inbox_once")],
                "indexes": [Index(fields=["received_at"])],
                "pk_attr": "id",
                "table_description": "One delivery. `source` names the counterpart, `key` its own id of the delivery; the pair is unique.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="JournalEntry",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("subject", fields.CharField(max_length=40)),
                ("subject_id", fields.UUIDField()),
                ("from_state", fields.CharField(null=True, max_length=40)),
                ("to_state", fields.CharField(max_length=40)),
                ("event", fields.CharField(max_length=60)),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("reason", fields.CharField(null=True, max_length=200)),
                ("approver", fields.CharField(null=True, max_length=60)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "journal",
                "app": "models",
                "indexes": [Index(fields=["subject", "subject_id", "at"])],
                "pk_attr": "id",
                "table_description": "One row per move, never changed: who, from, to, event, when, why.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="LedgerAccount",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("kind", fields.CharField(max_length=20)),
                ("provider", fields.CharField(max_length=20)),
                ("merchant", fields.CharField(max_length=32)),
            ],
            options={
                "table": "ledger_account",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("kind", "provider", "merchant"), name="ledger_account_once"),
                    CheckConstraint(
                        check="kind in ('clearing', 'suspense', 'posted')", name="ledger_account_kind_known"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "A bookkeeping account: `kind` clearing (what the provider holds for the merchant), suspense, or posted (with the company).",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="LedgerTransaction",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("kind", fields.CharField(max_length=20)),
                ("subject", fields.CharField(max_length=40)),
                ("subject_id", fields.UUIDField()),
                ("reverses_id", fields.UUIDField(null=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "ledger_transaction",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("kind", "subject", "subject_id"), name="ledger_transaction_once"),
                    CheckConstraint(
                        check="kind in ('received', 'posted', 'refunded')", name="ledger_transaction_kind_known"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "One booking of `kind` (received, posted, refunded) about one row; the pair is unique, so nothing is booked twice.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "transaction",
                    fields.ForeignKeyField(
                        "models.LedgerTransaction",
                        source_field="transaction_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="entries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "account",
                    fields.ForeignKeyField(
                        "models.LedgerAccount",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="entries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("amount_fen", fields.BigIntField()),
            ],
            options={
                "table": "ledger_entry",
                "app": "models",
                "constraints": [CheckConstraint(check="amount_fen <> 0", name="ledger_entry_not_zero")],
                "indexes": [Index(fields=["transaction_id"]), Index(fields=["account_id"])],
                "pk_attr": "id",
                "table_description": "One leg. Positive is debit; the legs of a transaction sum to 0 (deferred constraint trigger).",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Organization",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("name", fields.BinaryField()),
                ("credit_code", fields.BinaryField()),
                ("credit_code_index", fields.BinaryField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "organization",
                "app": "models",
                "constraints": [UniqueConstraint(fields=("credit_code_index",), name="organization_credit_code_once")],
                "pk_attr": "id",
                "table_description": "A legal person, known by its unified social credit code (GB 32100).",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Person",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("level", fields.SmallIntField()),
                ("phone", fields.BinaryField(null=True)),
                ("phone_index", fields.BinaryField(null=True)),
                ("phone_proved_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("name", fields.BinaryField(null=True)),
                ("id_number", fields.BinaryField(null=True)),
                ("id_number_index", fields.BinaryField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "person",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="level between 1 and 3", name="person_level_known"),
                    CheckConstraint(
                        check="(phone is null) = (phone_index is null) and (phone is null) = (phone_proved_at is null)",
                        name="person_phone_whole",
                    ),
                    CheckConstraint(
                        check="level < 2 or phone_proved_at is not null or id_number_index is not null",
                        name="person_level_proved",
                    ),
                    UniqueConstraint(fields=("id_number_index",), name="person_id_number_once"),
                ],
                "indexes": [Index(fields=["phone_index"])],
                "pk_attr": "id",
                "table_description": "A natural person. Exists from the first login, unverified; levels: 1 WeChat, 2 phone, 3 real name.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Message",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                ("event_id", fields.UUIDField()),
                ("kind", fields.CharField(max_length=60)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="messages",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("channel", fields.CharField(max_length=20)),
                ("text", fields.BinaryField()),
                ("page", fields.CharField(null=True, max_length=200)),
                ("provider_message", fields.CharField(null=True, max_length=64)),
                ("failure", fields.CharField(null=True, max_length=30)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("read_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "message",
                "app": "models",
                "constraints": [UniqueConstraint(fields=("event_id", "person_id", "channel"), name="message_once")],
                "indexes": [Index(fields=["person_id", "created_at"]), Index(fields=["provider_message"])],
                "pk_attr": "id",
                "table_description": "One message intent. `text` is the rendered content, encrypted (title and body, or the template's data).",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Payment",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="payments",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "organization",
                    fields.ForeignKeyField(
                        "models.Organization",
                        source_field="organization_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="payments",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("actor_user_id", fields.UUIDField()),
                ("basis", fields.CharField(max_length=10)),
                ("quote_id", fields.UUIDField(null=True)),
                ("provider", fields.CharField(max_length=20)),
                ("method", fields.CharField(max_length=20)),
                ("total_fen", fields.BigIntField()),
                ("currency", fields.CharField(default="CNY", max_length=3)),
                ("description", fields.CharField(max_length=100)),
                ("prepay_id", fields.CharField(null=True, max_length=128)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("paid_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "payment",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="num_nonnulls(person_id, organization_id) = 1", name="payment_one_principal"),
                    CheckConstraint(check="total_fen between 1 and 1000000000", name="payment_amount_sane"),
                    CheckConstraint(check="currency = 'CNY'", name="payment_currency_known"),
                    CheckConstraint(
                        check="status not in ('succeeded', 'received_late', 'refunded') or paid_at is not null",
                        name="payment_paid_has_time",
                    ),
                    CheckConstraint(
                        check="status <> 'awaiting_payer' or prepay_id is not null", name="payment_awaiting_has_prepay"
                    ),
                ],
                "indexes": [Index(fields=["person_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "One act of paying through one provider. The principal owns it, the actor's login did it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Claim",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "payment",
                    fields.ForeignKeyField(
                        "models.Payment",
                        source_field="payment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="claims",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("claim_key", fields.CharField(max_length=80)),
                ("freed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "claim",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("claim_key",), name="claim_live_once", condition="freed_at is null")
                ],
                "indexes": [Index(fields=["payment_id"])],
                "pk_attr": "id",
                "table_description": "A line's hold on what it pays: at most one live claim per key, freed only by closed, failed or fully refunded.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PaymentPart",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "payment",
                    fields.ForeignKeyField(
                        "models.Payment",
                        source_field="payment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="parts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("provider", fields.CharField(max_length=20)),
                ("payee", fields.CharField(max_length=30)),
                ("merchant", fields.CharField(max_length=32)),
                ("order_number", fields.CharField(max_length=32)),
                ("amount_fen", fields.BigIntField()),
                ("provider_transaction", fields.CharField(null=True, max_length=64)),
                ("received_fen", fields.BigIntField(null=True)),
            ],
            options={
                "table": "payment_part",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("order_number",), name="payment_part_order_number_once"),
                    UniqueConstraint(
                        fields=("provider", "provider_transaction"), name="payment_part_provider_transaction_once"
                    ),
                    CheckConstraint(check="amount_fen > 0", name="payment_part_amount_positive"),
                    CheckConstraint(
                        check="received_fen is null or (received_fen = amount_fen and provider_transaction is not null)",
                        name="payment_part_received_whole",
                    ),
                ],
                "indexes": [Index(fields=["payment_id"])],
                "pk_attr": "id",
                "table_description": "What goes to one merchant. `order_number` is our number at the provider, from the part's id, never from the time.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PaymentLine",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "part",
                    fields.ForeignKeyField(
                        "models.PaymentPart",
                        source_field="part_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="lines",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("payment_id", fields.UUIDField()),
                ("claim_key", fields.CharField(max_length=80)),
                ("amount_fen", fields.BigIntField()),
            ],
            options={
                "table": "payment_line",
                "app": "models",
                "constraints": [CheckConstraint(check="amount_fen > 0", name="payment_line_amount_positive")],
                "indexes": [Index(fields=["part_id"]), Index(fields=["payment_id"]), Index(fields=["claim_key"])],
                "pk_attr": "id",
                "table_description": "What is paid for: an opaque `claim_key` of the one who asked (billing passes ``bill:<id>``), and its amount.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Refund",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "payment",
                    fields.ForeignKeyField(
                        "models.Payment",
                        source_field="payment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="refunds",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "part",
                    fields.ForeignKeyField(
                        "models.PaymentPart",
                        source_field="part_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="refunds",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("refund_number", fields.CharField(max_length=64)),
                ("amount_fen", fields.BigIntField()),
                ("reason", fields.CharField(max_length=30)),
                ("provider_refund", fields.CharField(null=True, max_length=64)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "refund",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("refund_number",), name="refund_number_once"),
                    UniqueConstraint(
                        fields=("part_id",), name="refund_live_once_per_part", condition="status <> 'closed'"
                    ),
                    CheckConstraint(check="amount_fen > 0", name="refund_amount_positive"),
                ],
                "indexes": [Index(fields=["payment_id"])],
                "pk_attr": "id",
                "table_description": "Money on its way back. A retry reuses `refund_number`; a new number would be a second refund.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="users",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("source", fields.CharField(max_length=30)),
                ("realm", fields.CharField(max_length=64)),
                ("subject", fields.BinaryField()),
                ("subject_index", fields.BinaryField()),
                ("union_subject_index", fields.BinaryField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "login_user",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("source", "realm", "subject_index"), name="login_user_subject_once")
                ],
                "indexes": [Index(fields=["person_id"])],
                "pk_attr": "id",
                "table_description": "A login identity of a person at one identity source; `realm` is the source's own space of subjects (an appid).",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Session",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("access_point", fields.CharField(max_length=30)),
                ("client_index", fields.BinaryField()),
                ("client_label", fields.CharField(max_length=80)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("used_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("end_reason", fields.CharField(null=True, max_length=30)),
            ],
            options={
                "table": "session",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="(ended_at is null) = (end_reason is null)", name="session_end_has_reason")
                ],
                "indexes": [Index(fields=["person_id", "created_at"]), Index(fields=["ended_at"])],
                "pk_attr": "id",
                "table_description": "One login at one client. `client_index` is a keyed hash of the id that the client made for itself.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="RefreshToken",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "session",
                    fields.ForeignKeyField(
                        "models.Session",
                        source_field="session_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="refresh_tokens",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("token_hash", fields.BinaryField()),
                ("issued_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "refresh_token",
                "app": "models",
                "constraints": [UniqueConstraint(fields=("token_hash",), name="refresh_token_once")],
                "indexes": [Index(fields=["session_id"])],
                "pk_attr": "id",
                "table_description": "Only a hash is kept. `used_at` is set once; presenting a used token again ends the session.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SubscriptionCredit",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="credits",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("template_id", fields.CharField(max_length=64)),
                ("grant_key", fields.CharField(max_length=120)),
                ("granted_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("spent_by", fields.UUIDField(null=True)),
                ("withdrawn_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "subscription_credit",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("grant_key",), name="subscription_credit_granted_once"),
                    UniqueConstraint(fields=("spent_by",), name="subscription_credit_spent_once"),
                ],
                "indexes": [Index(fields=["user_id", "template_id"])],
                "pk_attr": "id",
                "table_description": "One accepted one-off subscription buys one message. `spent_by` is the message it was spent on, once.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="UtilityAccount",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("company", fields.CharField(max_length=30)),
                ("service", fields.CharField(max_length=20)),
                ("number", fields.BinaryField()),
                ("number_index", fields.BinaryField()),
                ("holder_masked", fields.BinaryField(null=True)),
                ("address_masked", fields.BinaryField(null=True)),
                ("company_state", fields.CharField(default="open", max_length=10)),
                ("bills_checked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "utility_account",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("company", "number_index"), name="utility_account_number_once"),
                    CheckConstraint(
                        check="company_state in ('open', 'frozen', 'closed')",
                        name="utility_account_company_state_known",
                    ),
                ],
                "pk_attr": "id",
                "table_description": "A customer number at a company, as far as we know it. Number, holder and address are encrypted.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Bill",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "models.UtilityAccount",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="bills",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("bill_no", fields.CharField(max_length=64)),
                ("period", fields.CharField(max_length=7)),
                ("status", fields.CharField(max_length=20)),
                ("issued_on", fields.DateField()),
                ("due_on", fields.DateField(null=True)),
                ("principal_fen", fields.BigIntField()),
                ("late_fee_fen", fields.BigIntField()),
                ("payable_fen", fields.BigIntField()),
                ("usage", fields.CharField(null=True, max_length=20)),
                ("unit", fields.CharField(null=True, max_length=10)),
                (
                    "lines",
                    fields.JSONField(
                        default=list, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("checked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("paid_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "bill",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("company", "bill_no"), name="bill_number_once"),
                    CheckConstraint(
                        check="payable_fen = principal_fen + late_fee_fen and principal_fen >= 0 and late_fee_fen >= 0",
                        name="bill_amounts_add_up",
                    ),
                    CheckConstraint(check="period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="bill_period_shape"),
                    CheckConstraint(
                        check="status not in ('posted', 'paid_elsewhere') or paid_at is not null",
                        name="bill_paid_has_time",
                    ),
                ],
                "indexes": [Index(fields=["account_id", "period"])],
                "pk_attr": "id",
                "table_description": "One bill. `payable_fen` = `principal_fen` + `late_fee_fen`; `lines` are the company's, they add up to the principal.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Binding",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "models.UtilityAccount",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="bindings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="bindings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "organization",
                    fields.ForeignKeyField(
                        "models.Organization",
                        source_field="organization_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="bindings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("actor_user_id", fields.UUIDField()),
                ("reference", fields.CharField(max_length=9)),
                ("label", fields.CharField(null=True, max_length=20)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoked_by", fields.CharField(null=True, max_length=20)),
            ],
            options={
                "table": "binding",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="num_nonnulls(person_id, organization_id) = 1", name="binding_one_principal"),
                    UniqueConstraint(
                        fields=("account_id", "person_id"),
                        name="binding_live_once_per_person",
                        condition="revoked_at is null",
                    ),
                    UniqueConstraint(
                        fields=("account_id", "organization_id"),
                        name="binding_live_once_per_organization",
                        condition="revoked_at is null",
                    ),
                    UniqueConstraint(fields=("reference",), name="binding_reference_once"),
                    CheckConstraint(check="(revoked_at is null) = (revoked_by is null)", name="binding_end_has_author"),
                ],
                "indexes": [Index(fields=["person_id"]), Index(fields=["account_id"])],
                "pk_attr": "id",
                "table_description": "A person or an organization may look at and pay an account. Ends by `revoked_at`; never deleted.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Posting",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                ("payment_id", fields.UUIDField()),
                ("part_id", fields.UUIDField()),
                ("company", fields.CharField(max_length=30)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "models.UtilityAccount",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="postings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company_quote_id", fields.CharField(max_length=64)),
                ("total_fen", fields.BigIntField()),
                ("serial", fields.CharField(null=True, max_length=64)),
                ("refusal_code", fields.CharField(null=True, max_length=20)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "posting",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("part_id",), name="posting_live_once_per_part", condition="status <> 'refused'"
                    ),
                    CheckConstraint(check="total_fen > 0", name="posting_total_positive"),
                    CheckConstraint(
                        check="(status in ('posted', 'refused')) = (ended_at is not null)", name="posting_end_has_time"
                    ),
                ],
                "indexes": [Index(fields=["payment_id"]), Index(fields=["account_id"])],
                "pk_attr": "id",
                "table_description": "One telling, under one id for ever. The company keeps the id, so asking again cannot post twice.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PostingBill",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "posting",
                    fields.ForeignKeyField(
                        "models.Posting",
                        source_field="posting_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="bills",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "bill",
                    fields.ForeignKeyField(
                        "models.Bill",
                        source_field="bill_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="postings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("amount_fen", fields.BigIntField()),
                ("live", fields.BooleanField(default=True)),
            ],
            options={
                "table": "posting_bill",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("bill_id",), name="posting_bill_live_once", condition="live"),
                    CheckConstraint(check="amount_fen > 0", name="posting_bill_amount_positive"),
                ],
                "indexes": [Index(fields=["posting_id"])],
                "pk_attr": "id",
                "table_description": "A bill of a posting; `live` until the posting is refused, so a bill has at most one live posting.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="QrCode",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=16)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "models.UtilityAccount",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="qr_codes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("label", fields.CharField(max_length=40)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "qr_code",
                "app": "models",
                "indexes": [Index(fields=["account_id"])],
                "pk_attr": "id",
                "table_description": "A printed code; the token is made from the id and a key, so only the id is kept.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Quote",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "models.UtilityAccount",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="quotes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="quotes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("basis", fields.CharField(max_length=10)),
                ("company_quote_id", fields.CharField(max_length=64)),
                ("lines", fields.JSONField(encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("total_fen", fields.BigIntField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "quote",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="total_fen > 0", name="quote_total_positive"),
                    CheckConstraint(check="basis in ('binding', 'scan')", name="quote_basis_known"),
                    CheckConstraint(check="expires_at > created_at", name="quote_lives_forward"),
                ],
                "indexes": [Index(fields=["account_id"])],
                "pk_attr": "id",
                "table_description": "Amounts a company has fixed until `expires_at`; `lines` is {bill id: fen}. It must accompany a payment.",
            },
            bases=["Model"],
        ),
    ]
