"""Who follows the official account: only they can be told there, and only while they do."""

from tortoise import fields
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model


class Follower(Model):
    """An openid of the account `realm` (its appid), as the platform's events and answers tell; `subscribed` as of `changed_at`.

    Who it is among our persons is found by the same openid or the same unionid of a login identity.
    """

    id = fields.UUIDField(primary_key=True)
    realm = fields.CharField(max_length=64)
    subject = fields.BinaryField()
    subject_index = fields.BinaryField()
    union_subject_index = fields.BinaryField(null=True)
    subscribed = fields.BooleanField()
    changed_at = fields.DatetimeField()

    class Meta:
        table = "follower"
        constraints = (UniqueConstraint(name="follower_once", fields=("realm", "subject_index")),)
        indexes = (("union_subject_index",),)
