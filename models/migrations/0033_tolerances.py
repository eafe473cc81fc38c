"""Promised papers and credit records; who has a confirmed fault or owes a paper promises no more."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

# The subject's row first, so that a promise and the record that would forbid it come one after the other.
SQL = """
create function tolerance_is_open_to_subject() returns trigger language plpgsql as $$
begin
  perform 1 from person where id = new.person_id for key share;
  perform 1 from organization where id = new.organization_id for key share;
  if exists (select 1 from credit_record c where c.status = 'confirmed'
      and (c.person_id = new.person_id or c.organization_id = new.organization_id))
    or exists (select 1 from tolerance t where t.status = 'overdue'
      and (t.person_id = new.person_id or t.organization_id = new.organization_id)) then
    raise exception 'who broke a promise makes no other before it is repaired'
      using errcode = 'check_violation', constraint = 'tolerance_not_barred';
  end if;
  return new;
end $$;
create trigger tolerance_not_barred before insert on tolerance for each row execute function tolerance_is_open_to_subject();
create function gas_has_its_papers() returns trigger language plpgsql as $$
begin
  if exists (select 1 from tolerance t where t.application_id = new.application_id and t.status in ('promised', 'overdue')
      and 'gas' = any(t.services)) then
    raise exception 'gas is not turned on while papers are missing'
      using errcode = 'check_violation', constraint = 'service_order_gas_has_papers';
  end if;
  return new;
end $$;
create trigger service_order_gas_has_papers before update of status on service_order for each row
  when (new.service = 'gas' and new.status = 'connected' and old.status <> 'connected') execute function gas_has_its_papers();
grant select, insert, update on tolerance, credit_record to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0032_mandate_warnings")]

    initial = False

    operations = [
        ops.CreateModel(
            name="CreditRecord",
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
                        related_name="credit_records",
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
                        related_name="credit_records",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("event", fields.CharField(max_length=30)),
                ("evidence_kind", fields.CharField(max_length=40)),
                ("evidence_id", fields.UUIDField()),
                ("noticed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("objection_until", fields.DateField()),
                ("objection", fields.BinaryField(null=True)),
                ("decided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "credit_record",
                "app": "models",
                "constraints": [],
                "indexes": [
                    Index(fields=["person_id"]),
                    Index(fields=["organization_id"]),
                    PartialIndex(
                        fields=["objection_until"], name="credit_record_waiting", condition="status = 'noticed'"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "What a subject is held to have done. `evidence_kind` and `evidence_id` name the row that shows it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Tolerance",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                ("application_id", fields.UUIDField()),
                ("requirement", fields.CharField(max_length=40)),
                ("services", ArrayField(element_type="TEXT")),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="tolerances",
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
                        related_name="tolerances",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("signer_id", fields.UUIDField()),
                ("actor_user_id", fields.UUIDField()),
                ("due_on", fields.DateField()),
                ("statement", fields.BinaryField()),
                ("statement_sha256", fields.BinaryField()),
                ("proved_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("signed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("reminded_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "material",
                    fields.ForeignKeyField(
                        "models.Material",
                        source_field="material_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="fulfilled",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
            ],
            options={
                "table": "tolerance",
                "app": "models",
                "constraints": [],
                "indexes": [
                    Index(fields=["application_id"]),
                    Index(fields=["person_id"]),
                    Index(fields=["organization_id"]),
                    PartialIndex(
                        fields=["due_on"], name="tolerance_open", condition="status in ('promised', 'overdue')"
                    ),
                ],
                "pk_attr": "id",
                "table_description": "One promised paper of one application. `statement_sha256` is the hash of the exact text that was signed, which can be made again",
            },
            bases=["Model"],
        ),
        ops.AddConstraint(
            model_name="CreditRecord",
            constraint=CheckConstraint(
                check="num_nonnulls(person_id, organization_id) = 1", name="credit_record_one_subject"
            ),
        ),
        ops.AddConstraint(
            model_name="CreditRecord",
            constraint=CheckConstraint(
                check="event in ('promise_overdue', 'false_material')", name="credit_record_event_known"
            ),
        ),
        ops.AddConstraint(
            model_name="CreditRecord",
            constraint=CheckConstraint(
                check="(status in ('revoked', 'repaired')) = (ended_at is not null)", name="credit_record_end_has_time"
            ),
        ),
        ops.AddConstraint(
            model_name="CreditRecord",
            constraint=CheckConstraint(
                check="status <> 'objected' or objection is not null", name="credit_record_objection_said"
            ),
        ),
        ops.AddConstraint(
            model_name="CreditRecord",
            constraint=UniqueConstraint(fields=("event", "evidence_kind", "evidence_id"), name="credit_record_once"),
        ),
        ops.AddConstraint(
            model_name="Tolerance",
            constraint=CheckConstraint(
                check="num_nonnulls(person_id, organization_id) = 1", name="tolerance_one_principal"
            ),
        ),
        ops.AddConstraint(
            model_name="Tolerance",
            constraint=CheckConstraint(
                check="(status in ('fulfilled', 'late', 'released')) = (ended_at is not null)",
                name="tolerance_end_has_time",
            ),
        ),
        ops.AddConstraint(
            model_name="Tolerance",
            constraint=CheckConstraint(
                check="length(statement_sha256) = 32 and proved_at <= signed_at", name="tolerance_signed_whole"
            ),
        ),
        ops.AddConstraint(
            model_name="Tolerance",
            constraint=UniqueConstraint(
                fields=("application_id", "requirement"),
                name="tolerance_open_once",
                condition="status in ('promised', 'overdue')",
            ),
        ),
        ops.RunSQL(SQL),
    ]
