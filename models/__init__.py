"""Tables: one noun per file, with its status enum, its lifecycle table and its constraints."""

MODULES = (
    "models.person",
    "models.session",
    "models.login_attempt",
    "models.joining",
    "models.utility_account",
    "models.share",
    "models.mandate",
    "models.bill",
    "models.payment",
    "models.refund",
    "models.ledger",
    "models.posting",
    "models.company_file",
    "models.reconciliation",
    "models.message",
    "models.follower",
    "models.phone_code",
    "models.lifecycle",
    "models.inbox",
    "models.idempotency",
    "models.nonce",
    "models.audit",
    "models.staff",
    "models.acting",
)
"""What Tortoise loads; the composition root hands it to core.database."""
