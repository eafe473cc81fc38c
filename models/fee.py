"""What a connection costs and who bears it: the published list, charges from that list, and claims on whoever bears the rest."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex


class PublishedCharge(Model):
    """A line of the published list as the city pack has it, put here by the migrator: the application may read it and nothing more."""

    id = fields.UUIDField(primary_key=True)
    code = fields.CharField(max_length=40)
    company = fields.CharField(max_length=30)
    name = fields.CharField(max_length=40)
    unit = fields.CharField(max_length=40)
    price_fen = fields.IntField()
    clause = fields.CharField(max_length=500)
    effective_from = fields.DateField()
    effective_to = fields.DateField(null=True)
    published_at = fields.DatetimeField()

    class Meta:
        table = "published_charge"
        constraints = (
            UniqueConstraint(name="published_charge_once", fields=("code", "effective_from")),
            CheckConstraint(name="published_charge_costs", check="price_fen > 0"),
            CheckConstraint(name="published_charge_runs_forward", check="effective_to >= effective_from"),
        )


class Charge(Model):
    """Something charged inside the red line of one case. A trigger holds it against the published list: company, price and day."""

    id = fields.UUIDField(primary_key=True)
    published: Any = fields.ForeignKeyField("models.PublishedCharge", related_name="charges", on_delete=fields.RESTRICT)
    published_id: Any
    company = fields.CharField(max_length=30)
    subject_kind = fields.CharField(max_length=20)
    subject_id = fields.UUIDField()
    price_fen = fields.IntField()
    quantity = fields.IntField()
    amount_fen = fields.BigIntField()
    charged_on = fields.DateField()
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    created_at = fields.DatetimeField()

    class Meta:
        table = "charge"
        constraints = (
            CheckConstraint(name="charge_adds_up", check="amount_fen = price_fen::bigint * quantity"),
            CheckConstraint(name="charge_quantity_real", check="quantity between 1 and 100000"),
        )
        indexes = (("subject_id",), ("published_id",))


class FeeClaim(Model):
    """Who bears what a case costs outside the red line, by which rule. One at a time: another takes its place, and it stays readable.

    `amount_fen`: what it came to, as the company says when it is known. `doubtful`: the clause may be read in another way.
    """

    id = fields.UUIDField(primary_key=True)
    subject_kind = fields.CharField(max_length=20)
    subject_id = fields.UUIDField()
    company = fields.CharField(max_length=30)
    service = fields.CharField(max_length=20)
    area = fields.CharField(max_length=9, null=True)
    bearer = fields.CharField(max_length=10)
    basis = fields.CharField(max_length=40)
    clause = fields.CharField(max_length=500)
    kw = fields.DecimalField(max_digits=10, decimal_places=3, null=True)
    doubtful = fields.BooleanField(default=False)
    amount_fen = fields.BigIntField(null=True)
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    recorded_at = fields.DatetimeField()
    superseded_at = fields.DatetimeField(null=True)

    class Meta:
        table = "fee_claim"
        constraints = (
            UniqueConstraint(
                name="fee_claim_once", fields=("subject_kind", "subject_id"), condition="superseded_at is null"
            ),
            CheckConstraint(name="fee_claim_bearer_known", check="bearer in ('company', 'government', 'by_rule')"),
            CheckConstraint(name="fee_claim_amount_real", check="amount_fen >= 0"),
            CheckConstraint(name="fee_claim_power_has_kw", check="(service = 'power') = (kw is not null)"),
        )
        indexes = (PartialIndex(name="fee_claim_standing", fields=("recorded_at",), condition="superseded_at is null"),)
