"""Mandates say when their end was told ahead."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0031_warnings")]

    initial = False

    operations = [ops.AddField(model_name="Mandate", name="warned_at", field=fields.DatetimeField(null=True))]
