"""Codes sent by text message to prove a phone number. The code itself is kept nowhere: it follows from the row's id and a key."""

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint
from tortoise.models import Model


class PhoneCode(Model):
    """One code for one person and number. `begun_at` is written before it leaves: it is never sent a second time."""

    id = fields.UUIDField(primary_key=True)
    person_id = fields.UUIDField()
    phone = fields.BinaryField()
    phone_index = fields.BinaryField()
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    begun_at = fields.DatetimeField(null=True)
    outcome = fields.CharField(max_length=30, null=True)
    tries = fields.SmallIntField(default=0)
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "phone_code"
        constraints = (CheckConstraint(name="phone_code_tries_counted", check="tries between 0 and 10"),)
        indexes = (("phone_index", "created_at"), ("person_id", "created_at"), ("created_at",))
