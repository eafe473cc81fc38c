"""What has been paid in advance, accounts of one address, proofs that came by file; nonces of companies that serve once."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0013_followers_and_phone_codes")]

    operations = [
        ops.AddField(model_name="UtilityAccount", name="address_index", field=fields.BinaryField(null=True)),
        ops.AddField(model_name="UtilityAccount", name="balance_fen", field=fields.BigIntField(null=True)),
        ops.AddField(model_name="UtilityAccount", name="proof_index", field=fields.BinaryField(null=True)),
        ops.CreateModel(
            name="CompanyNonce",
            fields=[
                ("id", fields.UUIDField(primary_key=True)),
                ("company", fields.CharField(max_length=30)),
                ("nonce", fields.CharField(max_length=128)),
                ("seen_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "company_nonce",
                "app": "models",
                "indexes": [Index(fields=["seen_at"])],
                "pk_attr": "id",
                "table_description": "A nonce that was used.",
            },
            bases=["Model"],
        ),
        ops.AddConstraint(
            model_name="CompanyNonce",
            constraint=UniqueConstraint(fields=("company", "nonce"), name="company_nonce_once"),
        ),
        ops.AddConstraint(
            model_name="UtilityAccount",
            constraint=CheckConstraint(check="balance_fen >= 0", name="utility_account_balance_sane"),
        ),
        ops.RunSQL(
            "grant select, insert, update, delete on company_nonce to lianban_app;",
            "revoke all on company_nonce from lianban_app;",
        ),
    ]
