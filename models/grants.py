"""What the application's role may do with each table, and the triggers that guard what nobody may do by mistake.

The migrations do it; a migration's text stays as it was written, so this is the declaration the live catalogue is compared with:
whoever adds a table says here what `lianban_app` may do with it.
"""

_READ = frozenset({"SELECT"})
_APPEND = _READ | {"INSERT"}
_KEEP = _APPEND | {"UPDATE"}
_TIDY = _KEEP | {"DELETE"}

GRANTS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("tortoise_migrations",), _READ),
    **dict.fromkeys(
        (
            "journal", "audit", "person_join_row", "access_use", "disclosure", "order_paper", "asked_paper",
            "acting_payment",
            "ledger_account", "ledger_transaction", "ledger_entry", "reconciliation_row",
        ),
        _APPEND,
    ),
    **dict.fromkeys(
        (
            "person", "person_join", "organization", "login_user", "session", "staff_user", "staff_session",
            "counter_code", "acting_session", "utility_account", "binding", "qr_code", "bill", "bill_file", "company_file", "filed_posting",
            "payment", "payment_part", "payment_line", "claim", "refund", "posting", "posting_bill", "reconciliation_run", "reconciliation_item",
            "message", "subscription_credit",
            "event", "inbox",
        ),
        _KEEP,
    ),
    **dict.fromkeys(("application", "consent", "service_order"), _KEEP),
    **dict.fromkeys(("platform_push", "platform_report"), _KEEP),
    "push_amendment": _APPEND,
    **dict.fromkeys(("order_telling", "order_report", "order_request", "survey", "survey_slot", "survey_booking"), _KEEP),
    "survey_part": _APPEND,
    "survey_window": _TIDY,
    "follower": _KEEP,
    **dict.fromkeys(("charge", "deadline_change"), _APPEND),
    **dict.fromkeys(("deadline_warning", "fee_claim", "job_run", "permit", "supervision"), _KEEP),
    "published_charge": _READ,
    **dict.fromkeys(("deadline", "deadline_pause", "holiday_schedule"), _KEEP),
    "phone_code": _TIDY,
    **dict.fromkeys(("device", "card_read"), _KEEP),
    **dict.fromkeys(("account_share", "mandate"), _KEEP),
    **dict.fromkeys(("material", "material_use", "evidence_contest", "tolerance", "credit_record"), _KEEP),
    **dict.fromkeys(
        ("idempotent_answer", "quote", "filed_account", "refresh_token", "company_nonce", "device_nonce", "login_attempt", "spent_code"), _TIDY
    ),
    **dict.fromkeys(
        ("procrastinate_jobs", "procrastinate_events", "procrastinate_periodic_defers", "procrastinate_workers"), _TIDY
    ),
}  # fmt: skip
"""Table → privileges of `lianban_app`; a table that is missing here has none."""

COMPOSITE_KEYS = {
    "material_use_application": ("material_use", "application_id", "application", "id"),
    "tolerance_application": ("tolerance", "application_id", "application", "id"),
    "service_order_consent": ("service_order", "application_id, company", "consent", "application_id, company"),
}
"""Foreign keys of more than one column, which models cannot say, and of columns that were plain before: name → table, columns, other table, its columns."""

APPEND_ONLY = tuple(table for table, privileges in GRANTS.items() if privileges == _APPEND)
"""Tables whose rows the application can neither change nor remove."""

TRIGGERS = {
    "ledger_transaction_balanced": ("ledger_entry", "ledger_transaction_is_balanced", "deferred"),
    "payment_no_surcharge": ("payment", "payment_has_no_surcharge", "deferred"),
    "payment_part_no_surcharge": ("payment_part", "payment_has_no_surcharge", "deferred"),
    "payment_line_no_surcharge": ("payment_line", "payment_has_no_surcharge", "deferred"),
    "charge_published_only": ("charge", "charge_is_published", "at once"),
    "deadline_pause_no_overlap": ("deadline_pause", "deadline_pauses_do_not_overlap", "at once"),
    "quote_no_surcharge": ("quote", "quote_is_what_is_owed", "at once"),
    "service_order_gas_has_papers": ("service_order", "gas_has_its_papers", "at once"),
    "tolerance_not_barred": ("tolerance", "tolerance_is_open_to_subject", "at once"),
    "refund_within_part": ("refund", "refund_stays_within_part", "at once"),
}
"""Trigger → its table, its function, and when it judges; procrastinate's own are its schema's."""
