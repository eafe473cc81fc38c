"""Family members and agents ask for quotes too; what was done with something is found by it."""

from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0017_account_access")]

    operations = [
        ops.RemoveConstraint(model_name="Quote", name="quote_basis_known"),
        ops.AddConstraint(
            model_name="Quote",
            constraint=CheckConstraint(
                name="quote_basis_known", check="basis in ('binding', 'family', 'agent', 'scan')"
            ),
        ),
        ops.AddIndex(model_name="AccessUse", index=Index(fields=["subject_id"])),
    ]
