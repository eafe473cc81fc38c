"""Who bears what a connection costs, and charges that exist only where the published list has them."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from core.indexes import PartialIndex
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table published_charge add constraint published_charge_once unique (code, effective_from);
alter table published_charge add constraint published_charge_costs check (price_fen > 0);
alter table published_charge add constraint published_charge_runs_forward check (effective_to >= effective_from);
alter table charge add constraint charge_adds_up check (amount_fen = price_fen::bigint * quantity);
alter table charge add constraint charge_quantity_real check (quantity between 1 and 100000);
create unique index fee_claim_once on fee_claim (subject_kind, subject_id) where superseded_at is null;
alter table fee_claim add constraint fee_claim_bearer_known check (bearer in ('company', 'government', 'by_rule'));
alter table fee_claim add constraint fee_claim_amount_real check (amount_fen >= 0);
alter table fee_claim add constraint fee_claim_power_has_kw check ((service = 'power') = (kw is not null));
"""
PUBLISHED_ONLY = """
create function charge_is_published() returns trigger language plpgsql as $$
begin
  if not exists (
    select from published_charge p where p.id = new.published_id and p.company = new.company and p.price_fen = new.price_fen
      and new.charged_on >= p.effective_from and (p.effective_to is null or new.charged_on <= p.effective_to))
  then
    raise exception 'charge % is not in the published list', new.id
      using errcode = 'check_violation', constraint = 'charge_published_only';
  end if;
  return new;
end $$;
create trigger charge_published_only before insert or update on charge
  for each row execute function charge_is_published();
"""
GRANTS = """
grant select on published_charge to lianban_app;
grant select, insert on charge to lianban_app;
grant select, insert, update on fee_claim to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0024_deadlines")]

    initial = False

    operations = [
        ops.CreateModel(
            name="FeeClaim",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("subject_kind", fields.CharField(max_length=20)),
                ("subject_id", fields.UUIDField()),
                ("company", fields.CharField(max_length=30)),
                ("service", fields.CharField(max_length=20)),
                ("area", fields.CharField(null=True, max_length=9)),
                ("bearer", fields.CharField(max_length=10)),
                ("basis", fields.CharField(max_length=40)),
                ("clause", fields.CharField(max_length=500)),
                ("kw", fields.DecimalField(null=True, max_digits=10, decimal_places=3)),
                ("doubtful", fields.BooleanField(default=False)),
                ("amount_fen", fields.BigIntField(null=True)),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("recorded_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("superseded_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "fee_claim",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("subject_kind", "subject_id"), name="fee_claim_once", condition="superseded_at is null"
                    ),
                    CheckConstraint(
                        check="bearer in ('company', 'government', 'by_rule')", name="fee_claim_bearer_known"
                    ),
                    CheckConstraint(check="amount_fen >= 0", name="fee_claim_amount_real"),
                    CheckConstraint(check="(service = 'power') = (kw is not null)", name="fee_claim_power_has_kw"),
                ],
                "indexes": [
                    PartialIndex(fields=["recorded_at"], name="fee_claim_standing", condition="superseded_at is null")
                ],
                "pk_attr": "id",
                "table_description": "Who bears what a case costs outside the red line, by which rule. One at a time: another takes its place, and it stays readable.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PublishedCharge",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("code", fields.CharField(max_length=40)),
                ("company", fields.CharField(max_length=30)),
                ("name", fields.CharField(max_length=40)),
                ("unit", fields.CharField(max_length=40)),
                ("price_fen", fields.IntField()),
                ("clause", fields.CharField(max_length=500)),
                ("effective_from", fields.DateField()),
                ("effective_to", fields.DateField(null=True)),
                ("published_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "published_charge",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("code", "effective_from"), name="published_charge_once"),
                    CheckConstraint(check="price_fen > 0", name="published_charge_costs"),
                    CheckConstraint(check="effective_to >= effective_from", name="published_charge_runs_forward"),
                ],
                "pk_attr": "id",
                "table_description": "A line of the published list as the city pack has it, put here by the migrator: the application may read it and nothing more.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Charge",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "published",
                    fields.ForeignKeyField(
                        "models.PublishedCharge",
                        source_field="published_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="charges",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("subject_kind", fields.CharField(max_length=20)),
                ("subject_id", fields.UUIDField()),
                ("price_fen", fields.IntField()),
                ("quantity", fields.IntField()),
                ("amount_fen", fields.BigIntField()),
                ("charged_on", fields.DateField()),
                ("actor_kind", fields.CharField(max_length=20)),
                ("actor_id", fields.CharField(max_length=60)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "charge",
                "app": "models",
                "constraints": [
                    CheckConstraint(check="amount_fen = price_fen::bigint * quantity", name="charge_adds_up"),
                    CheckConstraint(check="quantity between 1 and 100000", name="charge_quantity_real"),
                ],
                "indexes": [Index(fields=["subject_id"]), Index(fields=["published_id"])],
                "pk_attr": "id",
                "table_description": "Something charged inside the red line of one case. A trigger holds it against the published list: company, price and day.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + PUBLISHED_ONLY + GRANTS),
    ]
