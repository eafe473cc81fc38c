"""Who has a difference in hand, and what somebody says it was until another agrees."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

from core.indexes import PartialIndex


class Migration(migrations.Migration):
    dependencies = [("models", "0019_payment_access")]

    operations = [
        ops.AddField(model_name="ReconciliationItem", name="taken_by", field=fields.UUIDField(null=True)),
        ops.AddField(model_name="ReconciliationItem", name="proposed_by", field=fields.UUIDField(null=True)),
        ops.AddField(
            model_name="ReconciliationItem", name="proposal", field=fields.CharField(max_length=200, null=True)
        ),
        ops.AddConstraint(
            model_name="ReconciliationItem",
            constraint=CheckConstraint(
                name="reconciliation_item_proposal_has_author", check="(proposal is null) = (proposed_by is null)"
            ),
        ),
        ops.AddConstraint(
            model_name="ReconciliationItem",
            constraint=CheckConstraint(
                name="reconciliation_item_proposed_says_what", check="status <> 'proposed' or proposal is not null"
            ),
        ),
        ops.RemoveIndex(model_name="ReconciliationItem", name="reconciliation_item_open"),
        ops.AddIndex(
            model_name="ReconciliationItem",
            index=PartialIndex(
                name="reconciliation_item_open",
                fields=["opened_at"],
                condition="status not in ('explained', 'resolved')",
            ),
        ),
    ]
