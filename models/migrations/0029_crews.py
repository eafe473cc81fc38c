"""What companies are told of their orders and report of them, what a supervisor decides, and the joint survey with its crews' free times."""

from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from core.indexes import PartialIndex
from json import dumps, loads
from tortoise.fields.base import OnDelete
from uuid import uuid4
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

CONSTRAINTS = """
alter table order_telling add constraint order_telling_number_once unique (order_id, number);
alter table order_telling add constraint order_telling_cause_once unique (order_id, cause_id);
alter table order_telling add constraint order_telling_revision_once unique (order_id, revision);
alter table order_telling add constraint order_telling_kind_whole check (kind in ('order', 'withdrawal', 'notice') and (kind = 'order') = (revision is not null) and (kind <> 'order') = (notice is not null));
alter table order_telling add constraint order_telling_end_has_time check ((status in ('told', 'refused', 'at_desk')) = (ended_at is not null));
alter table order_report add constraint order_report_sequence_once unique (order_id, sequence);
alter table order_report add constraint order_report_sequence_counts check (sequence >= 1);
alter table order_report add constraint order_report_worked_whole check ((worked_at is null) = (outcome is null));
create unique index order_request_live_once on order_request (order_id, kind) where status = 'asked';
alter table order_request add constraint order_request_end_has_time check ((status = 'asked') = (decided_at is null));
alter table order_request add constraint order_request_two_people check (status not in ('approved', 'refused') or (decided_by is not null and decided_by <> asked_by));
create unique index survey_live_once on survey (application_id) where status <> 'cancelled';
alter table survey add constraint survey_time_whole check (num_nulls(starts_at, ends_at) <> 1 and ends_at > starts_at and (status not in ('held', 'fixed') or starts_at is not null) and (status <> 'gathering' or starts_at is null));
alter table survey add constraint survey_fixed_is_confirmed check (status <> 'fixed' or applicant_confirmed_at is not null);
alter table survey add constraint survey_end_has_time check ((status in ('surveyed', 'cancelled')) = (ended_at is not null));
alter table survey_window add constraint survey_window_runs_forward check (ends_at > starts_at);
alter table survey_slot add constraint survey_slot_code_once unique (company, code);
alter table survey_slot add constraint survey_slot_whole check (ends_at > starts_at and (withdrawn_at is not null or num_nulls(area, starts_at, ends_at) = 0));
create unique index survey_booking_slot_once on survey_booking (slot_id) where released_at is null;
alter table survey_booking add constraint survey_booking_order_once unique (survey_id, round, order_id);
alter table survey_booking add constraint survey_booking_answer_known check (answer in ('asked', 'confirmed', 'declined'));
alter table survey_booking add constraint survey_booking_answered_whole check ((answer = 'asked') = (answered_at is null));
alter table survey_booking add constraint survey_booking_declined_is_released check (answer <> 'declined' or released_at is not null);
alter table survey_part add constraint survey_part_version_once unique (order_id, version);
alter table survey_part add constraint survey_part_says_why_not check (can_supply or reason is not null);
alter table survey_part add constraint survey_part_distance_whole check ((distance_m is null) = (distance_source is null) and distance_m between 0 and 100000 and distance_source in ('declared', 'gis', 'surveyed') and (distance_m is not null or not can_supply));
"""
GRANTS = """
grant select, insert, update on order_telling, order_report, order_request, survey, survey_slot, survey_booking to lianban_app;
grant select, insert on survey_part to lianban_app;
grant select, insert, update, delete on survey_window to lianban_app;
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0028_devices")]

    initial = False

    operations = [
        ops.CreateModel(
            name="OrderReport",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="reports",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("sequence", fields.SmallIntField()),
                ("kind", fields.CharField(max_length=30)),
                ("content", fields.BinaryField()),
                ("came_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("worked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("outcome", fields.CharField(null=True, max_length=40)),
            ],
            options={
                "table": "order_report",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("order_id", "sequence"), name="order_report_sequence_once"),
                    CheckConstraint(check="sequence >= 1", name="order_report_sequence_counts"),
                    CheckConstraint(check="(worked_at is null) = (outcome is null)", name="order_report_worked_whole"),
                ],
                "indexes": [
                    PartialIndex(fields=["came_at"], name="order_report_waiting", condition="worked_at is null")
                ],
                "pk_attr": "id",
                "table_description": "One report. The same number again is the same report, whatever it says; one that came early waits for those before it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OrderRequest",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="requests",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("kind", fields.CharField(max_length=30)),
                ("content", fields.BinaryField()),
                ("asked_by_kind", fields.CharField(max_length=20)),
                ("asked_by", fields.CharField(max_length=60)),
                ("asked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("decided_by", fields.CharField(null=True, max_length=60)),
                ("decided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("reason", fields.CharField(null=True, max_length=200)),
            ],
            options={
                "table": "order_request",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("order_id", "kind"), name="order_request_live_once", condition="status = 'asked'"
                    ),
                    CheckConstraint(
                        check="(status = 'asked') = (decided_at is null)", name="order_request_end_has_time"
                    ),
                    CheckConstraint(
                        check="status not in ('approved', 'refused') or (decided_by is not null and decided_by <> asked_by)",
                        name="order_request_two_people",
                    ),
                ],
                "indexes": [
                    PartialIndex(fields=["asked_at"], name="order_request_waiting", condition="status = 'asked'")
                ],
                "pk_attr": "id",
                "table_description": "One thing asked. `content`: the report as it would be done, encrypted. `asked_by` is never who decides.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OrderTelling",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="tellings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("number", fields.SmallIntField()),
                ("kind", fields.CharField(max_length=12)),
                ("revision", fields.SmallIntField(null=True)),
                ("notice", fields.CharField(null=True, max_length=30)),
                (
                    "data",
                    fields.JSONField(
                        default=dict, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("cause_id", fields.UUIDField()),
                ("company_number", fields.CharField(null=True, max_length=64)),
                ("refusal_code", fields.CharField(null=True, max_length=20)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "order_telling",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("order_id", "number"), name="order_telling_number_once"),
                    UniqueConstraint(fields=("order_id", "cause_id"), name="order_telling_cause_once"),
                    UniqueConstraint(fields=("order_id", "revision"), name="order_telling_revision_once"),
                    CheckConstraint(
                        check="kind in ('order', 'withdrawal', 'notice') and (kind = 'order') = (revision is not null) and (kind <> 'order') = (notice is not null)",
                        name="order_telling_kind_whole",
                    ),
                    CheckConstraint(
                        check="(status in ('told', 'refused', 'at_desk')) = (ended_at is not null)",
                        name="order_telling_end_has_time",
                    ),
                ],
                "indexes": [
                    PartialIndex(
                        fields=["created_at"],
                        name="order_telling_open",
                        condition="status not in ('told', 'refused', 'at_desk')",
                    )
                ],
                "pk_attr": "id",
                "table_description": "One thing to tell, under its own id for ever; of an order they leave one after the other, by `number`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Survey",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("status", fields.CharField(max_length=20)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="surveys",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("round", fields.SmallIntField(default=0)),
                ("starts_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("answer_by", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("applicant_confirmed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "survey",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("application_id",), name="survey_live_once", condition="status <> 'cancelled'"
                    ),
                    CheckConstraint(
                        check="num_nulls(starts_at, ends_at) <> 1 and ends_at > starts_at and (status not in ('held', 'fixed') or starts_at is not null) and (status <> 'gathering' or starts_at is null)",
                        name="survey_time_whole",
                    ),
                    CheckConstraint(
                        check="status <> 'fixed' or applicant_confirmed_at is not null",
                        name="survey_fixed_is_confirmed",
                    ),
                    CheckConstraint(
                        check="(status in ('surveyed', 'cancelled')) = (ended_at is not null)",
                        name="survey_end_has_time",
                    ),
                ],
                "indexes": [PartialIndex(fields=["id"], name="survey_gathering", condition="status = 'gathering'")],
                "pk_attr": "id",
                "table_description": "The appointment of one application. `round` counts the times that were held; `answer_by`: until when a held one must be confirmed.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SurveyPart",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="survey_parts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "survey",
                    fields.ForeignKeyField(
                        "models.Survey",
                        source_field="survey_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="parts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("version", fields.SmallIntField()),
                ("company", fields.CharField(max_length=30)),
                ("can_supply", fields.BooleanField()),
                ("reason", fields.CharField(null=True, max_length=40)),
                ("distance_m", fields.IntField(null=True)),
                ("distance_source", fields.CharField(null=True, max_length=10)),
                ("content", fields.BinaryField()),
                ("signed_by_kind", fields.CharField(max_length=20)),
                ("signed_by", fields.CharField(max_length=60)),
                ("signed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "survey_part",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("order_id", "version"), name="survey_part_version_once"),
                    CheckConstraint(check="can_supply or reason is not null", name="survey_part_says_why_not"),
                    CheckConstraint(
                        check="(distance_m is null) = (distance_source is null) and distance_m between 0 and 100000 and distance_source in ('declared', 'gis', 'surveyed') and (distance_m is not null or not can_supply)",
                        name="survey_part_distance_whole",
                    ),
                ],
                "indexes": [Index(fields=["survey_id"])],
                "pk_attr": "id",
                "table_description": "What one company found at the site, signed by it: can it supply, how far is its main, by which plan. Never changed; a later one is a new version.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SurveySlot",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("company", fields.CharField(max_length=30)),
                ("code", fields.CharField(max_length=64)),
                ("area", fields.CharField(null=True, max_length=12)),
                ("starts_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("offered_by", fields.CharField(max_length=60)),
                ("offered_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("withdrawn_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "survey_slot",
                "app": "models",
                "constraints": [
                    UniqueConstraint(fields=("company", "code"), name="survey_slot_code_once"),
                    CheckConstraint(
                        check="ends_at > starts_at and (withdrawn_at is not null or num_nulls(area, starts_at, ends_at) = 0)",
                        name="survey_slot_whole",
                    ),
                ],
                "indexes": [
                    PartialIndex(
                        fields=["company", "starts_at"], name="survey_slot_free", condition="withdrawn_at is null"
                    )
                ],
                "pk_attr": "id",
                "table_description": "When a crew of a company could come to a district; never changed. `code` is the company's own id of it, never used again.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SurveyBooking",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "survey",
                    fields.ForeignKeyField(
                        "models.Survey",
                        source_field="survey_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="bookings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "slot",
                    fields.ForeignKeyField(
                        "models.SurveySlot",
                        source_field="slot_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="bookings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "order",
                    fields.ForeignKeyField(
                        "models.ServiceOrder",
                        source_field="order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="bookings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("company", fields.CharField(max_length=30)),
                ("round", fields.SmallIntField()),
                ("answer", fields.CharField(default="asked", max_length=10)),
                ("answered_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("released_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "survey_booking",
                "app": "models",
                "constraints": [
                    UniqueConstraint(
                        fields=("slot_id",), name="survey_booking_slot_once", condition="released_at is null"
                    ),
                    UniqueConstraint(fields=("survey_id", "round", "order_id"), name="survey_booking_order_once"),
                    CheckConstraint(
                        check="answer in ('asked', 'confirmed', 'declined')", name="survey_booking_answer_known"
                    ),
                    CheckConstraint(
                        check="(answer = 'asked') = (answered_at is null)", name="survey_booking_answered_whole"
                    ),
                    CheckConstraint(
                        check="answer <> 'declined' or released_at is not null",
                        name="survey_booking_declined_is_released",
                    ),
                ],
                "pk_attr": "id",
                "table_description": "A crew's slot held for a survey's round. One live booking per slot, by constraint: of two applicants at once one gets the crew.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SurveyWindow",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "survey",
                    fields.ForeignKeyField(
                        "models.Survey",
                        source_field="survey_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="windows",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("starts_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "survey_window",
                "app": "models",
                "constraints": [CheckConstraint(check="ends_at > starts_at", name="survey_window_runs_forward")],
                "indexes": [Index(fields=["survey_id"])],
                "pk_attr": "id",
                "table_description": "When it suits the applicant; a new list takes the place of the old one.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(CONSTRAINTS + GRANTS),
        ops.RemoveConstraint(model_name="Disclosure", name="disclosure_subject_known"),
        ops.AddConstraint(
            model_name="Disclosure",
            constraint=CheckConstraint(
                name="disclosure_subject_known", check="subject in ('utility_account', 'person', 'service_order')"
            ),
        ),
    ]
