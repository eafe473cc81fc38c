"""The joint survey (一体踏勘): one appointment of all companies of an application, from the free times of their crews and the applicant's windows."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class SurveyStatus(StrEnum):
    """Where a survey stands."""

    GATHERING = "gathering"
    """No time suits all of them yet, or the applicant has to offer other windows."""
    HELD = "held"
    FIXED = "fixed"
    SURVEYED = "surveyed"
    CANCELLED = "cancelled"


_S = SurveyStatus

SURVEY = Lifecycle(
    "survey",
    SurveyStatus,
    initial=_S.GATHERING,
    terminal=(_S.SURVEYED, _S.CANCELLED),
    edges=(
        Edge(_S.GATHERING, "hold", _S.HELD, ("system",), "survey.held"),
        Edge(_S.HELD, "fix", _S.FIXED, ("person", "company", "staff", "system"), "survey.fixed"),
        *(
            Edge(state, "release", _S.GATHERING, ("person", "company", "staff", "system"), "survey.released")
            for state in (_S.HELD, _S.FIXED)
        ),
        *(
            Edge(state, "finish", _S.SURVEYED, ("company", "staff", "system"), "survey.finished")
            for state in (_S.GATHERING, _S.HELD, _S.FIXED)
        ),
        *(
            Edge(state, "cancel", _S.CANCELLED, ("system",), "survey.cancelled")
            for state in (_S.GATHERING, _S.HELD, _S.FIXED)
        ),
    ),
)


class Survey(Model):
    """The appointment of one application. `round` counts the times that were held; `answer_by`: until when a held one must be confirmed."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    application: Any = fields.ForeignKeyField("models.Application", related_name="surveys", on_delete=fields.RESTRICT)
    application_id: Any
    round = fields.SmallIntField(default=0)
    starts_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)
    answer_by = fields.DatetimeField(null=True)
    applicant_confirmed_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "survey"
        constraints = (
            UniqueConstraint(name="survey_live_once", fields=("application_id",), condition="status <> 'cancelled'"),
            CheckConstraint(
                name="survey_time_whole",
                check="num_nulls(starts_at, ends_at) <> 1 and ends_at > starts_at"
                " and (status not in ('held', 'fixed') or starts_at is not null)"
                " and (status <> 'gathering' or starts_at is null)",
            ),
            CheckConstraint(
                name="survey_fixed_is_confirmed", check="status <> 'fixed' or applicant_confirmed_at is not null"
            ),
            CheckConstraint(
                name="survey_end_has_time", check="(status in ('surveyed', 'cancelled')) = (ended_at is not null)"
            ),
        )
        indexes = (PartialIndex(name="survey_gathering", fields=("id",), condition="status = 'gathering'"),)


class SurveyWindow(Model):
    """When it suits the applicant; a new list takes the place of the old one."""

    id = fields.UUIDField(primary_key=True)
    survey: Any = fields.ForeignKeyField("models.Survey", related_name="windows", on_delete=fields.RESTRICT)
    survey_id: Any
    starts_at = fields.DatetimeField()
    ends_at = fields.DatetimeField()

    class Meta:
        table = "survey_window"
        constraints = (CheckConstraint(name="survey_window_runs_forward", check="ends_at > starts_at"),)
        indexes = (("survey_id",),)


class SurveySlot(Model):
    """When a crew of a company could come to a district; never changed. `code` is the company's own id of it, never used again.

    A withdrawal that came before its slot is a slot that was withdrawn from the beginning (`starts_at` None).
    """

    id = fields.UUIDField(primary_key=True)
    company = fields.CharField(max_length=30)
    code = fields.CharField(max_length=64)
    area = fields.CharField(max_length=12, null=True)
    starts_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)
    offered_by = fields.CharField(max_length=60)
    offered_at = fields.DatetimeField()
    withdrawn_at = fields.DatetimeField(null=True)

    class Meta:
        table = "survey_slot"
        constraints = (
            UniqueConstraint(name="survey_slot_code_once", fields=("company", "code")),
            CheckConstraint(
                name="survey_slot_whole",
                check="ends_at > starts_at and (withdrawn_at is not null or num_nulls(area, starts_at, ends_at) = 0)",
            ),
        )
        indexes = (
            PartialIndex(name="survey_slot_free", fields=("company", "starts_at"), condition="withdrawn_at is null"),
        )


class SurveyBooking(Model):
    """A crew's slot held for a survey's round. One live booking per slot, by constraint: of two applicants at once one gets the crew.

    `answer`: asked, confirmed, declined. `released_at`: the slot is free again, or gone.
    """

    id = fields.UUIDField(primary_key=True)
    survey: Any = fields.ForeignKeyField("models.Survey", related_name="bookings", on_delete=fields.RESTRICT)
    survey_id: Any
    slot: Any = fields.ForeignKeyField("models.SurveySlot", related_name="bookings", on_delete=fields.RESTRICT)
    slot_id: Any
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="bookings", on_delete=fields.RESTRICT)
    order_id: Any
    company = fields.CharField(max_length=30)
    round = fields.SmallIntField()
    answer = fields.CharField(max_length=10, default="asked")
    answered_at = fields.DatetimeField(null=True)
    released_at = fields.DatetimeField(null=True)

    class Meta:
        table = "survey_booking"
        constraints = (
            UniqueConstraint(name="survey_booking_slot_once", fields=("slot_id",), condition="released_at is null"),
            UniqueConstraint(name="survey_booking_order_once", fields=("survey_id", "round", "order_id")),
            CheckConstraint(name="survey_booking_answer_known", check="answer in ('asked', 'confirmed', 'declined')"),
            CheckConstraint(name="survey_booking_answered_whole", check="(answer = 'asked') = (answered_at is null)"),
            CheckConstraint(
                name="survey_booking_declined_is_released", check="answer <> 'declined' or released_at is not null"
            ),
        )


class SurveyPart(Model):
    """What one company found at the site, signed by it: can it supply, how far is its main, by which plan. Never changed; a later one is a new version.

    `content`: plan, reason in words, photos; encrypted.
    """

    id = fields.UUIDField(primary_key=True)
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="survey_parts", on_delete=fields.RESTRICT)
    order_id: Any
    survey: Any = fields.ForeignKeyField("models.Survey", related_name="parts", on_delete=fields.RESTRICT, null=True)
    survey_id: Any
    """None: signed without a joint appointment."""
    version = fields.SmallIntField()
    company = fields.CharField(max_length=30)
    can_supply = fields.BooleanField()
    reason = fields.CharField(max_length=40, null=True)
    distance_m = fields.IntField(null=True)
    distance_source = fields.CharField(max_length=10, null=True)
    content = fields.BinaryField()
    signed_by_kind = fields.CharField(max_length=20)
    signed_by = fields.CharField(max_length=60)
    signed_at = fields.DatetimeField()

    class Meta:
        table = "survey_part"
        constraints = (
            UniqueConstraint(name="survey_part_version_once", fields=("order_id", "version")),
            CheckConstraint(name="survey_part_says_why_not", check="can_supply or reason is not null"),
            CheckConstraint(
                name="survey_part_distance_whole",
                check="(distance_m is null) = (distance_source is null) and distance_m between 0 and 100000"
                " and distance_source in ('declared', 'gis', 'surveyed') and (distance_m is not null or not can_supply)",
            ),
        )
        indexes = (("survey_id",),)
