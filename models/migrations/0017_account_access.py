"""Who may see and pay an account besides its binder: family members, and agents of organizations; the function that says it."""

from uuid import uuid4

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

# A mandate is alive when every one above it is, and gives what all of them give.
LIVE_MANDATE = """
create function live_mandate(for_person uuid, for_organization uuid, at_moment timestamptz)
returns table (mandate_id uuid, organization_id uuid, may_pay boolean, may_file boolean, may_sign boolean, may_appoint boolean,
  services text[], account_ids uuid[], ends_at timestamptz)
language sql stable parallel safe as $$
  select m.id, m.organization_id, whole.may_pay, whole.may_file, whole.may_sign, whole.may_appoint, m.services, m.account_ids, whole.ends_at
  from mandate m cross join lateral (
    select bool_and(above.may_pay) as may_pay, bool_and(above.may_file) as may_file, bool_and(above.may_sign) as may_sign,
      bool_and(above.may_appoint) as may_appoint, min(above.ends_at) as ends_at
    from mandate above where above.id = any(m.chain)
    having bool_and(above.status = 'active' and above.ends_at > at_moment)
  ) whole
  where m.organization_id = for_organization and m.person_id = for_person and m.status = 'active'
$$;
"""

# One select in the language sql, stable and without settings: the planner puts it into the query that asks.
ACCOUNT_ACCESS = """
create function account_access(for_person uuid, for_organization uuid, at_moment timestamptz)
returns table (account_id uuid, via text, may_pay boolean, binding_id uuid, share_id uuid, mandate_id uuid)
language sql stable parallel safe as $$
  select b.account_id, 'binding'::text, true, b.id, null::uuid, null::uuid
  from binding b where for_organization is null and b.person_id = for_person and b.revoked_at is null
  union all
  select b.account_id, 'family'::text, s.may_pay, b.id, s.id, null::uuid
  from account_share s join binding b on b.id = s.binding_id
  where for_organization is null and s.member_id = for_person and s.status = 'active' and b.revoked_at is null
  union all
  select b.account_id, 'agent'::text, m.may_pay, b.id, null::uuid, m.mandate_id
  from live_mandate(for_person, for_organization, at_moment) m
  join binding b on b.organization_id = m.organization_id and b.revoked_at is null
  join utility_account a on a.id = b.account_id
  where (m.services is null or a.service = any(m.services)) and (m.account_ids is null or a.id = any(m.account_ids))
$$;
"""

GRANTS = """
grant select, insert, update on account_share, mandate to lianban_app;
grant select, insert on access_use to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0016_person_join")]

    operations = [
        ops.CreateModel(
            name="Mandate",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "organization",
                    fields.ForeignKeyField(
                        "models.Organization",
                        source_field="organization_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="mandates",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="mandates",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "parent",
                    fields.ForeignKeyField(
                        "models.Mandate",
                        source_field="parent_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="children",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("chain", ArrayField(element_type="UUID")),
                ("may_pay", fields.BooleanField()),
                ("may_file", fields.BooleanField()),
                ("may_sign", fields.BooleanField()),
                ("may_appoint", fields.BooleanField()),
                ("services", ArrayField(null=True, element_type="TEXT")),
                ("account_ids", ArrayField(null=True, element_type="UUID")),
                ("agent_name", fields.BinaryField()),
                ("code_index", fields.BinaryField(null=True)),
                ("actor_user_id", fields.UUIDField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("code_expires_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("accepted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_by", fields.CharField(null=True, max_length=20)),
            ],
            options={
                "table": "mandate",
                "app": "models",
                "indexes": [
                    Index(fields=["organization_id", "person_id"]),
                    Index(fields=["person_id"]),
                    Index(fields=["parent_id"]),
                ],
                "pk_attr": "id",
                "table_description": "What one agent may do for one organization. To read is what every mandate gives; the rest is said one by one.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Share",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "binding",
                    fields.ForeignKeyField(
                        "models.Binding",
                        source_field="binding_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="shares",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "member",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="member_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="shares",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("may_pay", fields.BooleanField()),
                ("label", fields.CharField(max_length=20)),
                ("code_index", fields.BinaryField()),
                ("actor_user_id", fields.UUIDField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("code_expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("accepted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_by", fields.CharField(null=True, max_length=20)),
            ],
            options={
                "table": "account_share",
                "app": "models",
                "indexes": [Index(fields=["binding_id"]), Index(fields=["member_id"])],
                "pk_attr": "id",
                "table_description": "One member's access through one binding, of which it is a part: it never outlives it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="AccessUse",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "share",
                    fields.ForeignKeyField(
                        "models.Share",
                        source_field="share_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="uses",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "mandate",
                    fields.ForeignKeyField(
                        "models.Mandate",
                        source_field="mandate_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="uses",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "person",
                    fields.ForeignKeyField(
                        "models.Person",
                        source_field="person_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="uses",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("action", fields.CharField(max_length=30)),
                ("account_id", fields.UUIDField(null=True)),
                ("subject_id", fields.UUIDField(null=True)),
            ],
            options={
                "table": "access_use",
                "app": "models",
                "indexes": [Index(fields=["share_id", "id"]), Index(fields=["mandate_id", "id"])],
                "pk_attr": "id",
                "table_description": "Somebody did something with an account that is not his own: one row each time, never changed.",
            },
            bases=["Model"],
        ),
        ops.AddIndex(
            model_name="Binding",
            index=Index(fields=["organization_id"]),
        ),
        ops.AddIndex(
            model_name="Payment",
            index=Index(fields=["organization_id", "created_at"]),
        ),
        ops.AddField(
            model_name="Quote",
            name="organization",
            field=fields.ForeignKeyField(
                "models.Organization",
                source_field="organization_id",
                null=True,
                db_constraint=True,
                to_field="id",
                related_name="quotes",
                on_delete=OnDelete.RESTRICT,
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate", constraint=UniqueConstraint(fields=("code_index",), name="mandate_code_once")
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=UniqueConstraint(
                fields=("organization_id", "person_id"),
                name="mandate_first_once",
                condition="parent_id is null and status = 'active'",
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=CheckConstraint(
                check="(person_id is null) = (accepted_at is null) and (status not in ('active', 'expired') or person_id is not null)",
                name="mandate_accepted_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=CheckConstraint(
                check="(status = 'revoked') = (ended_by is not null) and (status in ('revoked', 'expired', 'lapsed')) = (ended_at is not null)",
                name="mandate_end_has_author",
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=CheckConstraint(
                check="ended_by is null or ended_by in ('appointer', 'agent', 'above')", name="mandate_ended_by_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=CheckConstraint(
                check="chain[cardinality(chain)] = id and cardinality(chain) between 1 and 5"
                " and (parent_id is null) = (cardinality(chain) = 1)"
                " and (parent_id is null or chain[cardinality(chain) - 1] = parent_id)",
                name="mandate_chain_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=CheckConstraint(
                check="(code_index is null) = (parent_id is null)", name="mandate_offer_has_code"
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate",
            constraint=CheckConstraint(
                check="(code_index is null) = (code_expires_at is null) and (code_expires_at is null or code_expires_at > created_at)",
                name="mandate_code_expires",
            ),
        ),
        ops.AddConstraint(
            model_name="Mandate", constraint=CheckConstraint(check="ends_at > created_at", name="mandate_lives_forward")
        ),
        ops.AddConstraint(
            model_name="Share", constraint=UniqueConstraint(fields=("code_index",), name="account_share_code_once")
        ),
        ops.AddConstraint(
            model_name="Share",
            constraint=UniqueConstraint(
                fields=("binding_id", "member_id"), name="account_share_active_once", condition="status = 'active'"
            ),
        ),
        ops.AddConstraint(
            model_name="Share",
            constraint=CheckConstraint(
                check="(member_id is null) = (accepted_at is null) and (status <> 'active' or member_id is not null)",
                name="account_share_accepted_whole",
            ),
        ),
        ops.AddConstraint(
            model_name="Share",
            constraint=CheckConstraint(
                check="(status = 'ended') = (ended_by is not null) and (ended_by is null or ended_at is not null) and (status in ('ended', 'lapsed')) = (ended_at is not null)",
                name="account_share_end_has_author",
            ),
        ),
        ops.AddConstraint(
            model_name="Share",
            constraint=CheckConstraint(
                check="ended_by is null or ended_by in ('owner', 'member', 'binding')",
                name="account_share_ended_by_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Share",
            constraint=CheckConstraint(check="code_expires_at > created_at", name="account_share_code_expires"),
        ),
        ops.AddConstraint(
            model_name="AccessUse",
            constraint=CheckConstraint(check="num_nonnulls(share_id, mandate_id) = 1", name="access_use_through_one"),
        ),
        ops.RunSQL(LIVE_MANDATE),
        ops.RunSQL(ACCOUNT_ACCESS),
        ops.RunSQL(GRANTS),
    ]
