"""Utility accounts (户号), who is bound to them, and the QR codes that find them."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from models.access import Principal


class UtilityAccount(Model):
    """A customer number at a company, as far as we know it. Number, holder and address are encrypted."""

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    service = fields.CharField(max_length=20)
    number = fields.BinaryField()
    number_index = fields.BinaryField()
    holder_masked = fields.BinaryField(null=True)
    address_masked = fields.BinaryField(null=True)
    address_index = fields.BinaryField(null=True)
    """Finds the accounts of one address among a person's own; None: the company has not named it in full."""
    balance_fen = fields.BigIntField(null=True)
    """What has been paid in advance; None: the company keeps no such balance, or does not say."""
    balance_low_since = fields.DatetimeField(null=True)
    """Since when the balance has been, whenever the company told it, lower than the city pack calls low; None: it is not, or unknown."""
    proof_index = fields.BinaryField(null=True)
    """Of a company that sends files only: what proves the account, as a blind index; None: it has to be asked."""
    company_state = fields.CharField(max_length=10, default="open")
    """What the company says: open, frozen, closed."""
    bills_checked_at = fields.DatetimeField(null=True)
    """When the company last told us all its bills; None: never, so what is owed is unknown."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "utility_account"
        constraints = (
            UniqueConstraint(name="utility_account_number_once", fields=("company", "number_index")),
            CheckConstraint(
                name="utility_account_company_state_known", check="company_state in ('open', 'frozen', 'closed')"
            ),
            CheckConstraint(name="utility_account_balance_sane", check="balance_fen >= 0"),
        )


class Binding(Model):
    """A person or an organization may look at and pay an account. Ends by `revoked_at`; never deleted."""

    id = fields.UUIDField(primary_key=True)
    account: Any = fields.ForeignKeyField("models.UtilityAccount", related_name="bindings", on_delete=fields.RESTRICT)
    account_id: Any
    person: Any = fields.ForeignKeyField("models.Person", related_name="bindings", on_delete=fields.RESTRICT, null=True)
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="bindings", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    actor_user_id = fields.UUIDField()
    reference = fields.CharField(max_length=9)
    label = fields.CharField(max_length=20, null=True)
    created_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)
    revoked_by = fields.CharField(max_length=20, null=True)

    class Meta:
        table = "binding"
        constraints = (
            CheckConstraint(name="binding_one_principal", check="num_nonnulls(person_id, organization_id) = 1"),
            UniqueConstraint(
                name="binding_live_once_per_person", fields=("account_id", "person_id"), condition="revoked_at is null"
            ),
            UniqueConstraint(
                name="binding_live_once_per_organization",
                fields=("account_id", "organization_id"),
                condition="revoked_at is null",
            ),
            UniqueConstraint(name="binding_reference_once", fields=("reference",)),
            CheckConstraint(name="binding_end_has_author", check="(revoked_at is null) = (revoked_by is null)"),
        )
        indexes = (("person_id",), ("organization_id",), ("account_id",))

    @classmethod
    async def live(cls, account_id: UUID, principal: Principal) -> "Binding | None":
        """The live binding to `account_id` that is the principal's own, if any."""
        return await cls.get_or_none(account_id=account_id, revoked_at=None, **principal.owned)

    def belongs_to(self, principal: Principal) -> bool:
        """True when it is the principal's own."""
        if principal.organization_id is not None:
            return self.organization_id == principal.organization_id
        return self.person_id == principal.person_id


class QrCode(Model):
    """A printed code; the token is made from the id and a key, so only the id is kept."""

    id = fields.CharField(max_length=16, primary_key=True)
    account: Any = fields.ForeignKeyField("models.UtilityAccount", related_name="qr_codes", on_delete=fields.RESTRICT)
    account_id: Any
    label = fields.CharField(max_length=40)
    created_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "qr_code"
        indexes = (("account_id",),)
