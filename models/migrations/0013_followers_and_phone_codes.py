"""Who follows the official account; codes that prove a phone number."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

GRANTS = """
grant select, insert, update on follower to lianban_app;
grant select, insert, update, delete on phone_code to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0012_acting")]

    operations = [
        ops.CreateModel(
            name="Follower",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("realm", fields.CharField(max_length=64)),
                ("subject", fields.BinaryField()),
                ("subject_index", fields.BinaryField()),
                ("union_subject_index", fields.BinaryField(null=True)),
                ("subscribed", fields.BooleanField()),
                ("changed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "follower",
                "app": "models",
                "constraints": [UniqueConstraint(fields=("realm", "subject_index"), name="follower_once")],
                "indexes": [Index(fields=["union_subject_index"])],
                "pk_attr": "id",
                "table_description": "An openid of the account `realm` (its appid), as the platform's events and answers tell; `subscribed` as of `changed_at`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PhoneCode",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("person_id", fields.UUIDField()),
                ("phone", fields.BinaryField()),
                ("phone_index", fields.BinaryField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("begun_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("outcome", fields.CharField(null=True, max_length=30)),
                ("tries", fields.SmallIntField(default=0)),
                ("used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "phone_code",
                "app": "models",
                "constraints": [CheckConstraint(check="tries between 0 and 10", name="phone_code_tries_counted")],
                "indexes": [
                    Index(fields=["phone_index", "created_at"]),
                    Index(fields=["person_id", "created_at"]),
                    Index(fields=["created_at"]),
                ],
                "pk_attr": "id",
                "table_description": "One code for one person and number. `begun_at` is written before it leaves: it is never sent a second time.",
            },
            bases=["Model"],
        ),
        ops.AddConstraint(
            model_name="Follower", constraint=UniqueConstraint(name="follower_once", fields=("realm", "subject_index"))
        ),
        ops.AddConstraint(
            model_name="PhoneCode",
            constraint=CheckConstraint(name="phone_code_tries_counted", check="tries between 0 and 10"),
        ),
        ops.RunSQL(GRANTS),
    ]
