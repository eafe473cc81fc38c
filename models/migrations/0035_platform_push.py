"""Projects pushed by the construction platform: consents and orders of theirs, statuses returned."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table platform_push add constraint platform_push_number_once unique (number);
alter table platform_push add constraint platform_push_application_once unique (application_id);
alter table platform_push add constraint platform_push_has_come_whole check (num_nulls(sha256, content, received_at) = 0 or status in ('expected', 'dismissed') and num_nonnulls(sha256, content, received_at) = 0);
alter table platform_push add constraint platform_push_stuck_says_why check ((status = 'stuck') <= (problem is not null));
alter table platform_push add constraint platform_push_filed_is_a_case check ((status = 'filed') = (application_id is not null));
alter table platform_push add constraint platform_push_end_has_time check ((status in ('filed', 'dismissed')) = (ended_at is not null));
alter table platform_push add constraint platform_push_difference_known check (difference in ('unlisted', 'content'));
alter table platform_report add constraint platform_report_number_once unique (push_id, number);
alter table platform_report add constraint platform_report_cause_once unique (cause_id);
alter table platform_report add constraint platform_report_code_official check (code between 1 and 15);
alter table platform_report add constraint platform_report_end_has_time check ((status in ('told', 'refused')) = (ended_at is not null));
alter table push_amendment add constraint push_amendment_version_once unique (push_id, version);
alter table push_amendment add constraint push_amendment_version_counts check (version >= 1);
alter table push_amendment add constraint push_amendment_says_why check (length(btrim(reason)) >= 4);
"""
STANDING = """
alter table consent alter column basis set default 'applicant';
alter table service_order alter column pushed set default false;
alter table service_order alter column main_laid set default false;
"""
GRANTS = """
grant select, insert, update on platform_push, platform_report to lianban_app;
grant select, insert on push_amendment to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0034_permits")]

    initial = False

    operations = [
        ops.CreateModel(
            name="PlatformPush",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                ("number", fields.CharField(max_length=80)),
                ("sha256", fields.CharField(null=True, max_length=64)),
                ("content", fields.BinaryField(null=True)),
                ("project_code", fields.CharField(null=True, max_length=30)),
                ("pushed_on", fields.DateField()),
                ("received_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("problem", fields.CharField(null=True, max_length=40)),
                ("difference", fields.CharField(null=True, max_length=20)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="pushes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "platform_push",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("number",), name="platform_push_number_once"),
                    UniqueConstraint(fields=("application_id",), name="platform_push_application_once"),
                    CheckConstraint(
                        check="num_nulls(sha256, content, received_at) = 0 or status in ('expected', 'dismissed') and num_nonnulls(sha256, content, received_at) = 0",
                        name="platform_push_has_come_whole",
                    ),
                    CheckConstraint(
                        check="(status = 'stuck') <= (problem is not null)", name="platform_push_stuck_says_why"
                    ),
                    CheckConstraint(
                        check="(status = 'filed') = (application_id is not null)", name="platform_push_filed_is_a_case"
                    ),
                    CheckConstraint(
                        check="(status in ('filed', 'dismissed')) = (ended_at is not null)",
                        name="platform_push_end_has_time",
                    ),
                    CheckConstraint(
                        check="difference in ('unlisted', 'content')", name="platform_push_difference_known"
                    ),
                ],
                "indexes": [
                    Index(fields=["pushed_on"]),
                    PartialIndex(
                        fields=["received_at"],
                        name="platform_push_open",
                        condition="status not in ('filed', 'dismissed') or difference is not null",
                    ),
                    PartialIndex(
                        fields=["project_code"], name="platform_push_project", condition="application_id is not null"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "One push under the platform's own id. The original is never changed: what staff amend are :class:`PushAmendment`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PlatformReport",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "push",
                    fields.ForeignKeyField(
                        "models.PlatformPush",
                        source_field="push_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="reports",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("number", fields.SmallIntField()),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="platform_reports",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("code", fields.SmallIntField()),
                ("node", fields.CharField(max_length=30)),
                ("cause_id", fields.UUIDField()),
                ("happened_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("refusal", fields.CharField(null=True, max_length=40)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "platform_report",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("push_id", "number"), name="platform_report_number_once"),
                    UniqueConstraint(fields=("cause_id",), name="platform_report_cause_once"),
                    CheckConstraint(check="code between 1 and 15", name="platform_report_code_official"),
                    CheckConstraint(
                        check="(status in ('told', 'refused')) = (ended_at is not null)",
                        name="platform_report_end_has_time",
                    ),
                ],
                "indexes": [
                    PartialIndex(
                        fields=["created_at"],
                        name="platform_report_open",
                        condition="status not in ('told', 'refused')",
                    )
                ],
                "pk_attr": "id",
                "table_description": "One status returned to the platform, under its own id for ever; those of a push leave one after the other, by `number`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PushAmendment",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "push",
                    fields.ForeignKeyField(
                        "models.PlatformPush",
                        source_field="push_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="amendments",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("version", fields.SmallIntField()),
                ("content", fields.BinaryField()),
                ("staff_id", fields.UUIDField()),
                ("reason", fields.CharField(max_length=200)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "push_amendment",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("push_id", "version"), name="push_amendment_version_once"),
                    CheckConstraint(check="version >= 1", name="push_amendment_version_counts"),
                    CheckConstraint(check="length(btrim(reason)) >= 4", name="push_amendment_says_why"),
                ],
                "pk_attr": "id",
                "table_description": "What a member of staff has put in the place of a push's content, and why; later ones are later versions.",
            },
            bases=["Model"],
        ),
        ops.AlterField(
            model_name="Application",
            name="actor_user_id",
            field=fields.UUIDField(null=True),
        ),
        ops.AddConstraint(
            model_name="Application",
            constraint=CheckConstraint(
                check="(actor_user_id is null) = (access_point = 'platform_push') and (access_point <> 'platform_push' or organization_id is not null)",
                name="application_has_actor_or_was_pushed",
            ),
        ),
        ops.AlterField(
            model_name="Consent",
            name="person_id",
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name="Consent",
            name="basis",
            field=fields.CharField(default="applicant", max_length=20),
        ),
        ops.AddField(
            model_name="Consent",
            name="push_id",
            field=fields.UUIDField(null=True),
        ),
        ops.AddConstraint(
            model_name="Consent",
            constraint=CheckConstraint(
                check="basis in ('applicant', 'platform_push') and (basis = 'applicant') = (person_id is not null) and (basis = 'platform_push') = (push_id is not null)",
                name="consent_basis_whole",
            ),
        ),
        ops.RemoveConstraint(
            model_name="Disclosure",
            name="disclosure_subject_known",
            fields=None,
        ),
        ops.AddConstraint(
            model_name="Disclosure",
            constraint=CheckConstraint(
                check="subject in ('utility_account', 'person', 'service_order', 'platform_push')",
                name="disclosure_subject_known",
            ),
        ),
        ops.AddField(
            model_name="ServiceOrder",
            name="main_laid",
            field=fields.BooleanField(default=False),
        ),
        ops.AddField(
            model_name="ServiceOrder",
            name="pushed",
            field=fields.BooleanField(default=False),
        ),
        ops.AddConstraint(
            model_name="ServiceOrder",
            constraint=CheckConstraint(check="pushed or not main_laid", name="service_order_laid_was_pushed"),
        ),
        ops.RunSQL(CONSTRAINTS + STANDING + GRANTS),
    ]
