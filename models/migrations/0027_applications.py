"""Applications, consents and service orders: an order cannot exist without the consent that names its company."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table application add constraint application_one_owner check (num_nonnulls(person_id, organization_id) = 1);
alter table application add constraint application_version_counts check (version >= 1);
alter table application add constraint application_filed_whole check (status = 'draft' or num_nulls(answers, area, subject_index, address_index, number, phone, progress_code, progress_code_index, filed_at) = 0 and cardinality(services) > 0);
alter table application add constraint application_draft_has_no_number check (status <> 'draft' or num_nonnulls(number, progress_code, progress_code_index, filed_at) = 0);
alter table application add constraint application_withdrawn_has_time check ((status = 'withdrawn') = (withdrawn_at is not null));
alter table application add constraint application_discarded_is_empty check (discarded_at is null or status = 'draft' and num_nonnulls(answers, subject_index, address_index, phone) = 0);
alter table application add constraint application_number_once unique (number);
alter table application add constraint application_progress_code_once unique (progress_code_index);
alter table consent add constraint consent_once unique (application_id, company);
alter table consent add constraint consent_withdrawn_later check (withdrawn_at >= given_at);
alter table service_order add constraint service_order_once unique (application_id, company, service);
alter table service_order add constraint service_order_number_once unique (number);
alter table service_order add constraint service_order_distance_has_source check ((distance_m is null) = (distance_source is null) and distance_m >= 0 and distance_source in ('declared', 'gis', 'surveyed'));
alter table service_order add constraint service_order_pause_whole check ((paused_reason is null) = (paused_at is null));
alter table service_order add constraint service_order_counts_sane check (late_corrections between 0 and corrections and plan_version >= 0 and inspections >= 0 and revision >= 1);
alter table service_order add constraint service_order_extended_forward check (extended_days between 1 and 250 and extension_asked_days between 1 and 250);
alter table service_order add constraint service_order_end_has_time check ((status in ('connected', 'archived', 'refused', 'failed', 'withdrawn', 'reassigned')) = (ended_at is not null));
alter table service_order add constraint service_order_connected_has_time check ((status in ('connected', 'archived')) = (connected_at is not null));
alter table service_order add constraint service_order_refusal_has_reason check ((status in ('refused', 'failed', 'returned', 'reassigned')) <= (reason is not null));
alter table service_order add constraint service_order_correction_has_day check ((status = 'correcting') = (correction_ends_on is not null));
alter table service_order add constraint service_order_gas_is_never_tolerated check (service <> 'gas' or not tolerated);
alter table service_order add constraint service_order_inspected_before_connected check (status not in ('inspected', 'connected', 'archived') or inspections > 0);
alter table order_paper add constraint order_paper_version_once unique (order_id, kind, version);
alter table order_paper add constraint order_paper_version_counts check (version >= 1);
alter table order_paper add constraint order_paper_kind_known check (kind in ('correction', 'answer', 'refusal', 'return', 'survey', 'plan', 'plan_question', 'contract', 'construction', 'fault', 'rectification', 'inspection', 'connection', 'archive', 'extension_asked', 'extension', 'extension_refused', 'pause', 'resumption', 'withdrawal'));
"""
GRANTS = """
alter table service_order add constraint service_order_consent foreign key (application_id, company) references consent (application_id, company) on delete restrict;
create sequence application_number as int minvalue 1 maxvalue 99999 cycle;
grant usage on sequence application_number to lianban_app;
grant select, insert, update on application, consent, service_order to lianban_app;
grant select, insert on order_paper to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0026_materials")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Application",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="applications",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "organization",
                    fields.ForeignKeyField(
                        "models.Organization",
                        source_field="organization_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="applications",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("actor_user_id", fields.UUIDField()),
                ("access_point", fields.CharField(max_length=20)),
                ("form_version", fields.SmallIntField()),
                ("answers", fields.BinaryField(null=True)),
                ("version", fields.IntField()),
                ("area", fields.CharField(null=True, max_length=9)),
                ("services", ArrayField(element_type="TEXT")),
                ("subject_index", fields.BinaryField(null=True)),
                ("address_index", fields.BinaryField(null=True)),
                ("number", fields.CharField(null=True, max_length=24)),
                ("phone", fields.BinaryField(null=True)),
                ("progress_code", fields.BinaryField(null=True)),
                ("progress_code_index", fields.BinaryField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("saved_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("filed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("withdrawn_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("discarded_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "application",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="num_nonnulls(person_id, organization_id) = 1", name="application_one_owner"),
                    CheckConstraint(check="version >= 1", name="application_version_counts"),
                    CheckConstraint(
                        check="status = 'draft' or num_nulls(answers, area, subject_index, address_index, number, phone, progress_code, progress_code_index, filed_at) = 0 and cardinality(services) > 0",
                        name="application_filed_whole",
                    ),
                    CheckConstraint(
                        check="status <> 'draft' or num_nonnulls(number, progress_code, progress_code_index, filed_at) = 0",
                        name="application_draft_has_no_number",
                    ),
                    CheckConstraint(
                        check="(status = 'withdrawn') = (withdrawn_at is not null)",
                        name="application_withdrawn_has_time",
                    ),
                    CheckConstraint(
                        check="discarded_at is null or status = 'draft' and num_nonnulls(answers, subject_index, address_index, phone) = 0",
                        name="application_discarded_is_empty",
                    ),
                    UniqueConstraint(fields=("number",), name="application_number_once"),
                    UniqueConstraint(fields=("progress_code_index",), name="application_progress_code_once"),
                ],
                "indexes": [
                    Index(fields=["person_id", "id"]),
                    Index(fields=["organization_id", "id"]),
                    Index(fields=["subject_index"]),
                    Index(fields=["address_index"]),
                    PartialIndex(
                        fields=["saved_at"],
                        name="application_open_draft",
                        condition="status = 'draft' and discarded_at is null",
                    ),
                ],
                "pk_attr": "id",
                "table_description": "A draft, or what was filed: then the answers stand still, under the version of the form they were given to.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Consent",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="consents",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("notice_version", fields.CharField(max_length=40)),
                ("notice_sha256", fields.CharField(max_length=64)),
                ("person_id", fields.UUIDField()),
                ("given_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("withdrawn_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "consent",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("application_id", "company"), name="consent_once"),
                    CheckConstraint(check="withdrawn_at >= given_at", name="consent_withdrawn_later"),
                ],
                "pk_attr": "id",
                "table_description": "An applicant has agreed that this company gets its part of this application.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ServiceOrder",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="orders",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("service", fields.CharField(max_length=20)),
                ("number", fields.CharField(max_length=30)),
                ("revision", fields.SmallIntField(default=1)),
                ("received_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("accepted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("surveyed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("corrections", fields.SmallIntField(default=0)),
                ("late_corrections", fields.SmallIntField(default=0)),
                ("correction_ends_on", fields.DateField(null=True)),
                ("plan_version", fields.SmallIntField(default=0)),
                ("inspections", fields.SmallIntField(default=0)),
                ("rectify_by", fields.DateField(null=True)),
                ("reason", fields.CharField(null=True, max_length=40)),
                ("distance_m", fields.IntField(null=True)),
                ("distance_source", fields.CharField(null=True, max_length=10)),
                ("paused_reason", fields.CharField(null=True, max_length=30)),
                ("paused_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("resumed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("extension_asked_days", fields.SmallIntField(null=True)),
                ("extended_days", fields.SmallIntField(null=True)),
                ("withdrawal_asked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("tolerated", fields.BooleanField(default=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("connected_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "service_order",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("application_id", "company", "service"), name="service_order_once"),
                    UniqueConstraint(fields=("number",), name="service_order_number_once"),
                    CheckConstraint(
                        check="(distance_m is null) = (distance_source is null) and distance_m >= 0 and distance_source in ('declared', 'gis', 'surveyed')",
                        name="service_order_distance_has_source",
                    ),
                    CheckConstraint(
                        check="(paused_reason is null) = (paused_at is null)", name="service_order_pause_whole"
                    ),
                    CheckConstraint(
                        check="late_corrections between 0 and corrections and plan_version >= 0 and inspections >= 0 and revision >= 1",
                        name="service_order_counts_sane",
                    ),
                    CheckConstraint(
                        check="extended_days between 1 and 250 and extension_asked_days between 1 and 250",
                        name="service_order_extended_forward",
                    ),
                    CheckConstraint(
                        check="(status in ('connected', 'archived', 'refused', 'failed', 'withdrawn', 'reassigned')) = (ended_at is not null)",
                        name="service_order_end_has_time",
                    ),
                    CheckConstraint(
                        check="(status in ('connected', 'archived')) = (connected_at is not null)",
                        name="service_order_connected_has_time",
                    ),
                    CheckConstraint(
                        check="(status in ('refused', 'failed', 'returned', 'reassigned')) <= (reason is not null)",
                        name="service_order_refusal_has_reason",
                    ),
                    CheckConstraint(
                        check="(status = 'correcting') = (correction_ends_on is not null)",
                        name="service_order_correction_has_day",
                    ),
                    CheckConstraint(
                        check="service <> 'gas' or not tolerated", name="service_order_gas_is_never_tolerated"
                    ),
                    CheckConstraint(
                        check="status not in ('inspected', 'connected', 'archived') or inspections > 0",
                        name="service_order_inspected_before_connected",
                    ),
                ],
                "indexes": [
                    Index(fields=["company", "id"]),
                    PartialIndex(
                        fields=["correction_ends_on"],
                        name="service_order_correcting",
                        condition="status = 'correcting'",
                    ),
                ],
                "pk_attr": "id",
                "table_description": "What one company is to do for one application, in one service. Everything said on the way is an :class:`OrderPaper`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OrderPaper",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="papers",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("kind", fields.CharField(max_length=20)),
                ("version", fields.SmallIntField()),
                ("content", fields.BinaryField()),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "order_paper",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("order_id", "kind", "version"), name="order_paper_version_once"),
                    CheckConstraint(check="version >= 1", name="order_paper_version_counts"),
                    CheckConstraint(
                        check="kind in ('correction', 'answer', 'refusal', 'return', 'survey', 'plan', 'plan_question', 'contract', 'construction', 'fault', 'rectification', 'inspection', 'connection', 'archive', 'extension_asked', 'extension', 'extension_refused', 'pause', 'resumption', 'withdrawal')",
                        name="order_paper_kind_known",
                    ),
                ],
                "pk_attr": "id",
                "table_description": "What was said at one step, encrypted, never changed: the list of what is missing, the answer, a plan, a contract, a finding.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + GRANTS),
    ]
