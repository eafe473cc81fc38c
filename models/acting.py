"""Acting for a citizen at a counter: the code he shows, the session it opens for one clerk, and looks behind a mask."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock, ids
from core.database import fetch
from models.lifecycle import Actor


class AtCounter(NamedTuple):
    """A clerk acts for whoever is calling: in which session, who, and when it is over."""

    acting_id: UUID
    clerk: Actor
    ends_at: datetime


class CounterCode(Model):
    """A one-time code on a citizen's phone. A new one ends the one before; opening a session uses it up."""

    id = fields.UUIDField(primary_key=True)
    person: Any = fields.ForeignKeyField("models.Person", related_name="counter_codes", on_delete=fields.RESTRICT)
    person_id: Any
    code_index = fields.BinaryField()
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "counter_code"
        constraints = (
            UniqueConstraint(name="counter_code_live_once", fields=("code_index",), condition="ended_at is null"),
            UniqueConstraint(
                name="counter_code_live_once_per_person", fields=("person_id",), condition="ended_at is null"
            ),
            CheckConstraint(name="counter_code_lives_forward", check="expires_at > created_at"),
        )


class ActingSession(Model):
    """One clerk acts for one citizen, for one purpose, a few minutes long. Ended by either of them, or by time."""

    id = fields.UUIDField(primary_key=True)
    person: Any = fields.ForeignKeyField("models.Person", related_name="acting_sessions", on_delete=fields.RESTRICT)
    person_id: Any
    staff: Any = fields.ForeignKeyField("models.StaffUser", related_name="acting_sessions", on_delete=fields.RESTRICT)
    staff_id: Any
    code: Any = fields.ForeignKeyField(
        "models.CounterCode", related_name="sessions", on_delete=fields.RESTRICT, null=True
    )
    code_id: Any
    card_read: Any = fields.ForeignKeyField(
        "models.CardRead", related_name="acting_sessions", on_delete=fields.RESTRICT, null=True
    )
    card_read_id: Any
    unit = fields.CharField(max_length=40)
    purpose = fields.CharField(max_length=20)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    ended_by = fields.CharField(max_length=10, null=True)

    class Meta:
        table = "acting_session"
        constraints = (
            UniqueConstraint(name="acting_session_once_per_code", fields=("code_id",)),
            UniqueConstraint(name="acting_session_once_per_card_read", fields=("card_read_id",)),
            CheckConstraint(name="acting_session_of_code_or_card", check="num_nonnulls(code_id, card_read_id) = 1"),
            UniqueConstraint(
                name="acting_session_live_once_per_clerk", fields=("staff_id",), condition="ended_at is null"
            ),
            CheckConstraint(
                name="acting_session_short",
                check="expires_at > created_at and expires_at <= created_at + interval '15 minutes'",
            ),
            CheckConstraint(
                name="acting_session_end_has_author",
                check="(ended_at is null) = (ended_by is null) and (ended_by is null or ended_by in ('clerk', 'citizen', 'time'))",
            ),
        )
        indexes = (("person_id", "created_at"),)


class ActingPayment(Model):
    """A payment that a clerk began for the citizen he acts for, who pays it with his own phone. Never changed."""

    id = fields.UUIDField(primary_key=True)
    acting: Any = fields.ForeignKeyField("models.ActingSession", related_name="payments", on_delete=fields.RESTRICT)
    acting_id: Any
    payment: Any = fields.ForeignKeyField("models.Payment", related_name="acting", on_delete=fields.RESTRICT)
    payment_id: Any
    created_at = fields.DatetimeField()

    class Meta:
        table = "acting_payment"
        constraints = (UniqueConstraint(name="acting_payment_once", fields=("payment_id",)),)
        indexes = (("acting_id",),)


_BEGUN = """
insert into acting_payment (id, acting_id, payment_id, created_at)
select $1, s.id, $3, $4 from acting_session s where s.id = $2 and s.ended_at is null and s.expires_at > $4 for share
returning id
"""


async def note_payment(acting_id: UUID, payment_id: UUID) -> bool:
    """Write down that a payment was begun in this session, in its transaction; False when the session is over.

    The session's row is held: whoever ends it comes before, or finds this payment.
    """
    return bool(await fetch(_BEGUN, ids.new_id(), acting_id, payment_id, clock.now()))


class Disclosure(Model):
    """A member of staff has seen a personal value unmasked: who, whose, which, why. Never changed.

    Or a company's system has, which signed with the key `keyid`; `unit` is where he works, or the company.
    """

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    staff: Any = fields.ForeignKeyField(
        "models.StaffUser", related_name="disclosures", on_delete=fields.RESTRICT, null=True
    )
    staff_id: Any
    keyid = fields.CharField(max_length=64, null=True)
    unit = fields.CharField(max_length=40)
    subject = fields.CharField(max_length=20)
    subject_id = fields.UUIDField()
    field = fields.CharField(max_length=20)
    material_id = fields.UUIDField(null=True)
    """Which material, where one was read."""
    purpose = fields.CharField(max_length=20)
    note = fields.BinaryField()
    request_id = fields.CharField(max_length=40)

    class Meta:
        table = "disclosure"
        constraints = (
            CheckConstraint(name="disclosure_one_reader", check="num_nonnulls(staff_id, keyid) = 1"),
            CheckConstraint(
                name="disclosure_subject_known",
                check="subject in ('utility_account', 'person', 'service_order', 'platform_push')",
            ),
        )
        indexes = (("subject", "subject_id", "at"), ("unit", "id"))


CONCERNS = {
    "person": "d.subject_id = $1",
    "utility_account": """exists (select 1 from binding b where b.account_id = d.subject_id and b.person_id = $1 and b.created_at <= d.at
      and (b.revoked_at is null or b.revoked_at > d.at))""",
    "service_order": """exists (select 1 from service_order o join application a on a.id = o.application_id where o.id = d.subject_id
      and (a.person_id = $1 or a.actor_user_id in (select u.id from login_user u where u.person_id = $1)))""",
    "platform_push": """exists (select 1 from platform_push p join application a on a.id = p.application_id
      join mandate m on m.organization_id = a.organization_id where p.id = d.subject_id and m.person_id = $1 and m.status = 'active')""",
}
"""Subject of a disclosure → whom it concerns: the person, who was bound to the account then, who applied or filed as an agent, who acts for
the enterprise whose project was pushed."""
_ABOUT = f"""
select d.id, d.at, d.unit, d.subject, d.field, d.purpose, (d.staff_id is null) as by_system,
  (select m.kind from material m where m.id = d.material_id) as paper,
  (select o.number from service_order o where d.subject = 'service_order' and o.id = d.subject_id) as order_number
from disclosure d
where ({" or ".join(f"(d.subject = '{subject}' and {concerns})" for subject, concerns in CONCERNS.items())})
  and ($2::uuid is null or d.id < $2)
order by d.id desc limit $3
"""


async def disclosed_about(person_id: UUID, after: UUID | None, limit: int) -> list[Any]:
    """Who saw what concerns this person, newest first."""
    return await fetch(_ABOUT, person_id, after, limit)
