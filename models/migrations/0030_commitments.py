"""A company's commitment to days is a paper of its order."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0029_crews")]

    initial = False

    operations = [
        ops.RemoveConstraint(
            model_name="OrderPaper",
            name="order_paper_kind_known",
            fields=None,
        ),
        ops.AddConstraint(
            model_name="OrderPaper",
            constraint=CheckConstraint(
                check="kind in ('correction', 'answer', 'refusal', 'return', 'survey', 'commitment', 'plan', 'plan_question', 'contract', 'construction', 'fault', 'rectification', 'inspection', 'connection', 'archive', 'extension_asked', 'extension', 'extension_refused', 'pause', 'resumption', 'withdrawal')",
                name="order_paper_kind_known",
            ),
        ),
    ]
