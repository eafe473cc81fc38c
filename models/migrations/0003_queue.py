"""procrastinate's schema, a checked-in copy, so that one transaction makes the whole database."""

from pathlib import Path

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0002_constraints")]

    operations = [ops.RunSQL((Path(__file__).parent / "procrastinate_3_10.sql").read_text())]
