"""A company's system that fetches a paper leaves a row as a member of staff does: by its key, with the material."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0036_asked_papers")]

    initial = False

    operations = [
        ops.AddField(model_name="Disclosure", name="keyid", field=fields.CharField(null=True, max_length=64)),
        ops.AddField(model_name="Disclosure", name="material_id", field=fields.UUIDField(null=True)),
        ops.AlterField(
            model_name="Disclosure",
            name="staff",
            field=fields.ForeignKeyField(
                "models.StaffUser",
                source_field="staff_id",
                null=True,
                db_constraint=True,
                to_field="id",
                related_name="disclosures",
                on_delete=OnDelete.RESTRICT,
            ),
        ),
        ops.AddConstraint(
            model_name="Disclosure",
            constraint=CheckConstraint(check="num_nonnulls(staff_id, keyid) = 1", name="disclosure_one_reader"),
        ),
    ]
