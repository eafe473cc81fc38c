"""What a company says a bill was made from. Units may be as long as the company gateway allows."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0004_guards")]

    operations = [
        ops.AddField(
            model_name="Bill",
            name="basis",
            field=fields.JSONField(null=True, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads),
        ),
        ops.AlterField(model_name="Bill", name="unit", field=fields.CharField(null=True, max_length=16)),
    ]
