"""What waits is found by the sweeps without reading what is done: indexes over the rows that wait."""

from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.indexes import PartialIndex


class Migration(migrations.Migration):
    dependencies = [("models", "0005_bill_basis")]

    operations = [
        ops.AddIndex(
            model_name="Payment",
            index=PartialIndex(
                name="payment_live",
                fields=["created_at"],
                condition="status in ('created', 'ordering', 'order_unknown', 'awaiting_payer', 'closing')",
            ),
        ),
        ops.AddIndex(
            model_name="Refund",
            index=PartialIndex(
                name="refund_open", fields=["created_at"], condition="status not in ('succeeded', 'closed')"
            ),
        ),
        ops.AddIndex(
            model_name="Posting",
            index=PartialIndex(
                name="posting_open", fields=["created_at"], condition="status not in ('posted', 'refused')"
            ),
        ),
        ops.AddIndex(
            model_name="Message",
            index=PartialIndex(
                name="message_waiting", fields=["created_at"], condition="status in ('pending', 'sending')"
            ),
        ),
        ops.AddIndex(
            model_name="Message",
            index=PartialIndex(name="message_accepted", fields=["sent_at"], condition="status = 'accepted'"),
        ),
        ops.AddIndex(
            model_name="Event",
            index=PartialIndex(name="event_undispatched", fields=["at"], condition="dispatched_at is null"),
        ),
        ops.AddIndex(model_name="Event", index=Index(fields=["kind", "at"])),
        ops.AddIndex(
            model_name="InboxItem",
            index=PartialIndex(name="inbox_unprocessed", fields=["received_at"], condition="processed_at is null"),
        ),
        ops.RemoveIndex(model_name="InboxItem", fields=["received_at"]),
        ops.AddIndex(model_name="IdempotentAnswer", index=Index(fields=["created_at"])),
    ]
