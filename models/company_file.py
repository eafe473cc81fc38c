"""Files exchanged with companies that have no interface: which came and went, what the last account file says, what waits to go."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex


class CompanyFile(Model):
    """One file under its name. Of theirs: settled once it has been taken whole, `refusal` says why it last was not.

    Of ours (kind postings): settled once it lies at the company's place; `body` is kept sealed, so that it goes out again byte by byte.
    """

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    kind = fields.CharField(max_length=10)
    name = fields.CharField(max_length=100)
    day = fields.DateField()
    number = fields.IntField(null=True)
    sha256 = fields.CharField(max_length=64, null=True)
    rows = fields.IntField(default=0)
    total_fen = fields.BigIntField(default=0)
    body: Any = fields.BinaryField(null=True)
    made_at = fields.DatetimeField()
    settled_at = fields.DatetimeField(null=True)
    refusal = fields.CharField(max_length=30, null=True)
    refused_at = fields.DatetimeField(null=True)
    late_at = fields.DatetimeField(null=True)
    """When it was first said that it, or the answer to it, is overdue."""

    class Meta:
        table = "company_file"
        constraints = (
            UniqueConstraint(name="company_file_once", fields=("company", "name")),
            CheckConstraint(name="company_file_kind_known", check="kind in ('accounts', 'postings', 'answers')"),
            CheckConstraint(name="company_file_settled_has_hash", check="settled_at is null or sha256 is not null"),
            CheckConstraint(name="company_file_ours_is_kept", check="(kind = 'postings') = (body is not null)"),
        )
        indexes = (PartialIndex(name="company_file_unsettled", fields=("company",), condition="settled_at is null"),)


class FiledAccount(Model):
    """What the last account file says of one account, sealed: nothing of it is looked at before somebody proves that he may."""

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    number_index = fields.BinaryField()
    content = fields.BinaryField()
    as_of = fields.DatetimeField()
    """The end of the file's day."""

    class Meta:
        table = "filed_account"
        constraints = (UniqueConstraint(name="filed_account_once", fields=("company", "number_index")),)


class FiledPosting(Model):
    """A posting that goes out by file; its id is the posting's. `file` None: it waits for the next cutoff."""

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    content = fields.BinaryField()
    total_fen = fields.BigIntField()
    made_at = fields.DatetimeField()
    file: Any = fields.ForeignKeyField(
        "models.CompanyFile", related_name="postings", on_delete=fields.RESTRICT, null=True
    )
    file_id: Any
    answer = fields.CharField(max_length=10, null=True)
    serial = fields.CharField(max_length=64, null=True)
    posted_at = fields.DatetimeField(null=True)
    refusal_code = fields.CharField(max_length=20, null=True)
    answered_at = fields.DatetimeField(null=True)

    class Meta:
        table = "filed_posting"
        constraints = (
            CheckConstraint(name="filed_posting_total_positive", check="total_fen > 0"),
            CheckConstraint(
                name="filed_posting_answer_whole",
                check="case when answer is null then answered_at is null and serial is null and posted_at is null and refusal_code is null"
                " when answer = 'posted' then answered_at is not null and serial is not null and posted_at is not null and refusal_code is null"
                " when answer = 'refused' then answered_at is not null and serial is null and posted_at is null and refusal_code is not null"
                " else false end",
            ),
            CheckConstraint(name="filed_posting_answered_was_filed", check="answer is null or file_id is not null"),
        )
        indexes = (
            ("file_id",),
            PartialIndex(name="filed_posting_waiting", fields=("company",), condition="file_id is null"),
        )
