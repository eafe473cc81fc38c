"""What stood for each paper when a case was filed; gas is turned on only when nothing of it is missing, promised or not."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table asked_paper add constraint asked_paper_once unique (application_id, requirement);
alter table asked_paper add constraint asked_paper_is_for_a_service check (cardinality(services) > 0);
alter table material_use add constraint material_use_application foreign key (application_id) references application (id) on delete restrict;
alter table tolerance add constraint tolerance_application foreign key (application_id) references application (id) on delete restrict;
grant select, insert on asked_paper to lianban_app;
"""
# Handed in is what lies there and is not withheld; a source that stood for a paper stands for it until its owner says that it is wrong.
PAPERS = """
create function papers_missing(of_application uuid, for_service text) returns setof text language sql stable as $$
  select a.requirement::text from asked_paper a join application c on c.id = a.application_id
  where a.application_id = of_application and for_service = any(a.services)
    and not exists (select 1 from material_use u join material m on m.id = u.material_id
      where u.application_id = a.application_id and u.requirement = a.requirement and u.ended_at is null and m.status <> 'quarantined')
    and (a.basis in ('material', 'promise') or exists (select 1 from evidence_contest e
      where e.ended_at is null and e.paper = a.paper and e.source = a.basis
        and (e.person_id = c.person_id or e.organization_id = c.organization_id)))
  union
  select t.requirement::text from tolerance t
  where t.application_id = of_application and t.status in ('promised', 'overdue') and for_service = any(t.services)
$$;
create or replace function gas_has_its_papers() returns trigger language plpgsql as $$
begin
  if exists (select 1 from papers_missing(new.application_id, 'gas')) then
    raise exception 'gas is not turned on while papers are missing'
      using errcode = 'check_violation', constraint = 'service_order_gas_has_papers';
  end if;
  return new;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0035_platform_push")]

    initial = False

    operations = [
        ops.CreateModel(
            name="AskedPaper",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="asked_papers",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("requirement", fields.CharField(max_length=40)),
                ("paper", fields.CharField(max_length=40)),
                ("services", ArrayField(element_type="text")),
                ("basis", fields.CharField(max_length=20)),
            ],
            options={
                "table": "asked_paper",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("application_id", "requirement"), name="asked_paper_once"),
                    CheckConstraint(check="cardinality(services) > 0", name="asked_paper_is_for_a_service"),
                ],
                "pk_attr": "id",
                "table_description": "What stood for a paper that an application needs when it was filed: written with the case, never changed.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + PAPERS),
    ]
