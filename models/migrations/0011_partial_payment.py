"""Bills that a company takes in parts."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0010_payment_parts")]

    operations = [
        ops.AddField(model_name="Bill", name="paid_fen", field=fields.BigIntField(default=0)),
        ops.RemoveConstraint(model_name="Bill", name="bill_amounts_add_up"),
        ops.AddConstraint(
            model_name="Bill",
            constraint=CheckConstraint(
                name="bill_amounts_add_up",
                check="payable_fen = principal_fen + late_fee_fen - paid_fen and principal_fen >= 0 and late_fee_fen >= 0 and paid_fen >= 0",
            ),
        ),
        ops.AddField(model_name="Quote", name="partial_bill_id", field=fields.UUIDField(null=True)),
        ops.AddField(model_name="PostingBill", name="whole", field=fields.BooleanField(default=True)),
    ]
