"""Natural and legal persons, who own objects, and the login identities that act for them."""

from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

REAL_NAME_SOURCES = ("unified_identity", "id_card", "clerk")
"""The closed list: the province's unified identity, a card read at an enrolled device, a clerk with the card before him."""


class Person(Model):
    """A natural person. Exists from the first login, unverified; levels: 1 WeChat, 2 phone, 3 real name."""

    id = fields.UUIDField(primary_key=True)
    level = fields.SmallIntField()
    phone = fields.BinaryField(null=True)
    phone_index = fields.BinaryField(null=True)
    phone_proved_at = fields.DatetimeField(null=True)
    name = fields.BinaryField(null=True)
    id_number = fields.BinaryField(null=True)
    id_number_index = fields.BinaryField(null=True)
    real_name_source = fields.CharField(max_length=20, null=True)
    """Who vouched for name and ID number: one of `REAL_NAME_SOURCES`. Nothing else leads to level 3."""
    created_at = fields.DatetimeField()

    @property
    def proved_level(self) -> int:
        """The level that what is written here proves."""
        return 3 if self.id_number_index is not None else 2 if self.phone_proved_at is not None else 1

    class Meta:
        table = "person"
        constraints = (
            CheckConstraint(name="person_level_known", check="level between 1 and 3"),
            CheckConstraint(
                name="person_phone_whole",
                check="(phone is null) = (phone_index is null) and (phone is null) = (phone_proved_at is null)",
            ),
            CheckConstraint(
                name="person_level_proved",
                check="level < 2 or phone_proved_at is not null or id_number_index is not null",
            ),
            CheckConstraint(
                name="person_real_name_listed",
                check="level < 3 or real_name_source in ('unified_identity', 'id_card', 'clerk')",
            ),
            CheckConstraint(
                name="person_real_name_whole",
                check="num_nulls(name, id_number, id_number_index, real_name_source) in (0, 4)",
            ),
            UniqueConstraint(name="person_id_number_once", fields=("id_number_index",)),
        )
        indexes = (("phone_index",),)


class Organization(Model):
    """A legal person, known by its unified social credit code (GB 32100)."""

    id = fields.UUIDField(primary_key=True)
    name = fields.BinaryField()
    credit_code = fields.BinaryField()
    credit_code_index = fields.BinaryField()
    legal_representative = fields.BinaryField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "organization"
        constraints = (UniqueConstraint(name="organization_credit_code_once", fields=("credit_code_index",)),)


class User(Model):
    """A login identity of a person at one identity source; `realm` is the source's own space of subjects (an appid)."""

    id = fields.UUIDField(primary_key=True)
    person: Any = fields.ForeignKeyField("models.Person", related_name="users", on_delete=fields.RESTRICT)
    person_id: Any
    source = fields.CharField(max_length=30)
    realm = fields.CharField(max_length=64)
    subject = fields.BinaryField()
    subject_index = fields.BinaryField()
    union_subject_index = fields.BinaryField(null=True)
    id_number_index = fields.BinaryField(null=True)
    """The ID number the source vouched for with this identity, though another identity's person may be the one who has it."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "login_user"
        constraints = (UniqueConstraint(name="login_user_subject_once", fields=("source", "realm", "subject_index")),)
        indexes = (("person_id",), ("union_subject_index",))
