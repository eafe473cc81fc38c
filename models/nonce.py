"""Nonces of companies' requests that have no id of their own (docs/company-gateway.md §1): each serves once."""

from datetime import timedelta

from tortoise import fields
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model

from core import clock, ids
from core.database import fetch

KEPT = timedelta(seconds=600)
"""A signature is believed for 300 s either way: an older nonce cannot come again."""


class CompanyNonce(Model):
    """A nonce that was used."""

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    nonce = fields.CharField(max_length=128)
    seen_at = fields.DatetimeField()

    class Meta:
        table = "company_nonce"
        constraints = (UniqueConstraint(name="company_nonce_once", fields=("company", "nonce")),)
        indexes = (("seen_at",),)


async def use(company: str, nonce: str) -> bool:
    """Remember a nonce; False when it has served before."""
    rows = await fetch(
        "insert into company_nonce (id, company, nonce, seen_at) values ($1, $2, $3, $4)"
        " on conflict (company, nonce) do nothing returning id",
        ids.new_id(), company, nonce, clock.now(),
    )  # fmt: skip
    return bool(rows)


async def tidy() -> None:
    """Forget what can no longer come again."""
    for table in ("company_nonce", "device_nonce"):
        await fetch(f"delete from {table} where seen_at < $1", clock.now() - KEPT)
