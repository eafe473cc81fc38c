"""Files exchanged with companies that have no interface."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table company_file add constraint company_file_once unique (company, name);
alter table company_file add constraint company_file_kind_known check (kind in ('accounts', 'postings', 'answers'));
alter table company_file add constraint company_file_settled_has_hash check (settled_at is null or sha256 is not null);
alter table company_file add constraint company_file_ours_is_kept check ((kind = 'postings') = (body is not null));
alter table filed_account add constraint filed_account_once unique (company, number_index);
alter table filed_posting add constraint filed_posting_total_positive check (total_fen > 0);
alter table filed_posting add constraint filed_posting_answer_whole check (case when answer is null then answered_at is null and serial is null and posted_at is null and refusal_code is null when answer = 'posted' then answered_at is not null and serial is not null and posted_at is not null and refusal_code is null when answer = 'refused' then answered_at is not null and serial is null and posted_at is null and refusal_code is not null else false end);
alter table filed_posting add constraint filed_posting_answered_was_filed check (answer is null or file_id is not null);
"""
GRANTS = """
grant select, insert, update on company_file, filed_posting to lianban_app;
grant select, insert, update, delete on filed_account to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0020_differences_in_hand")]

    initial = False

    operations = [
        ops.CreateModel(
            name="CompanyFile",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("company", fields.CharField(max_length=30)),
                ("kind", fields.CharField(max_length=10)),
                ("name", fields.CharField(max_length=100)),
                ("day", fields.DateField()),
                ("number", fields.IntField(null=True)),
                ("sha256", fields.CharField(null=True, max_length=64)),
                ("rows", fields.IntField(default=0)),
                ("total_fen", fields.BigIntField(default=0)),
                ("body", fields.BinaryField(null=True)),
                ("made_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("settled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("refusal", fields.CharField(null=True, max_length=30)),
                ("refused_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("late_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "company_file",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("company", "name"), name="company_file_once"),
                    CheckConstraint(
                        check="kind in ('accounts', 'postings', 'answers')", name="company_file_kind_known"
                    ),
                    CheckConstraint(
                        check="settled_at is null or sha256 is not null", name="company_file_settled_has_hash"
                    ),
                    CheckConstraint(check="(kind = 'postings') = (body is not null)", name="company_file_ours_is_kept"),
                ],
                "indexes": [
                    PartialIndex(fields=["company"], name="company_file_unsettled", condition="settled_at is null")
                ],
                "pk_attr": "id",
                "table_description": "One file under its name. Of theirs: settled once it has been taken whole, `refusal` says why it last was not.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="FiledAccount",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("company", fields.CharField(max_length=30)),
                ("number_index", fields.BinaryField()),
                ("content", fields.BinaryField()),
                ("as_of", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "filed_account",
                "app": "models",
                "constraints": [UniqueConstraint(fields=("company", "number_index"), name="filed_account_once")],
                "pk_attr": "id",
                "table_description": "What the last account file says of one account, sealed: nothing of it is looked at before somebody proves that he may.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="FiledPosting",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("company", fields.CharField(max_length=30)),
                ("content", fields.BinaryField()),
                ("total_fen", fields.BigIntField()),
                ("made_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "file",
                    fields.ForeignKeyField(
                        "models.CompanyFile",
                        source_field="file_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="postings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("answer", fields.CharField(null=True, max_length=10)),
                ("serial", fields.CharField(null=True, max_length=64)),
                ("posted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("refusal_code", fields.CharField(null=True, max_length=20)),
                ("answered_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "filed_posting",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="total_fen > 0", name="filed_posting_total_positive"),
                    CheckConstraint(
                        check="case when answer is null then answered_at is null and serial is null and posted_at is null and refusal_code is null when answer = 'posted' then answered_at is not null and serial is not null and posted_at is not null and refusal_code is null when answer = 'refused' then answered_at is not null and serial is null and posted_at is null and refusal_code is not null else false end",
                        name="filed_posting_answer_whole",
                    ),
                    CheckConstraint(
                        check="answer is null or file_id is not null", name="filed_posting_answered_was_filed"
                    ),
                ],
                "indexes": [
                    Index(fields=["file_id"]),
                    PartialIndex(fields=["company"], name="filed_posting_waiting", condition="file_id is null"),
                ],
                "pk_attr": "id",
                "table_description": "A posting that goes out by file; its id is the posting's. `file` None: it waits for the next cutoff.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + GRANTS),
    ]
