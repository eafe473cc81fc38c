"""What a provider calls its opened order may be an address; a part says what the payer reads about it."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

DESCRIBED = "update payment_part part set description = p.description from payment p where p.id = part.payment_id"


class Migration(migrations.Migration):
    dependencies = [("models", "0006_waiting_indexes")]

    operations = [
        ops.RemoveConstraint(model_name="Payment", name="payment_awaiting_has_prepay"),
        ops.RenameField(model_name="Payment", old_name="prepay_id", new_name="handle"),
        ops.AlterField(model_name="Payment", name="handle", field=fields.TextField(null=True, unique=False)),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                name="payment_awaiting_has_handle", check="status <> 'awaiting_payer' or handle is not null"
            ),
        ),
        ops.AddField(model_name="PaymentPart", name="description", field=fields.CharField(max_length=100, null=True)),
        ops.RunSQL(DESCRIBED),
        ops.AlterField(model_name="PaymentPart", name="description", field=fields.CharField(max_length=100)),
    ]
