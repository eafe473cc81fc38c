"""Service orders (子单): the part of an application that goes to one company, with the law of its way from filing to connection."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core.indexes import PartialIndex
from models.lifecycle import Edge, Lifecycle


class OrderStatus(StrEnum):
    """Where a service order stands. A pause is no state: whatever the order is in, its promise may be paused (`paused_reason`)."""

    CREATED = "created"
    RECEIVED = "received"
    CORRECTING = "correcting"
    CORRECTED = "corrected"
    RETURNED = "returned"
    ACCEPTED = "accepted"
    SURVEYED = "surveyed"
    PLAN_REPLIED = "plan_replied"
    PLAN_CONFIRMED = "plan_confirmed"
    CONTRACTED = "contracted"
    CONSTRUCTING = "constructing"
    RECTIFYING = "rectifying"
    RECTIFIED = "rectified"
    INSPECTED = "inspected"
    CONNECTED = "connected"
    ARCHIVED = "archived"
    REFUSED = "refused"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    REASSIGNED = "reassigned"


_S = OrderStatus
_COMPANY = ("company", "staff")
"""Through its own system or through the staff pages: both give the same rows."""

BEFORE_ACCEPTANCE = (_S.CREATED, _S.RECEIVED, _S.CORRECTING, _S.CORRECTED, _S.RETURNED)
BEFORE_CONSTRUCTION = (
    *BEFORE_ACCEPTANCE, _S.ACCEPTED, _S.SURVEYED, _S.PLAN_REPLIED, _S.PLAN_CONFIRMED, _S.CONTRACTED,
)  # fmt: skip
"""Until here the applicant withdraws by himself; after it the company has to agree."""
UNDER_CONSTRUCTION = (_S.CONSTRUCTING, _S.RECTIFYING, _S.RECTIFIED, _S.INSPECTED)
WORKING = (*BEFORE_CONSTRUCTION[5:], *UNDER_CONSTRUCTION)
ENDS = (_S.ARCHIVED, _S.REFUSED, _S.FAILED, _S.WITHDRAWN, _S.REASSIGNED)
OVER = (_S.CONNECTED, *ENDS)
"""Nothing more is to be done for the applicant."""
APPLICANTS_TURN = (_S.CORRECTING, _S.PLAN_REPLIED, _S.PLAN_CONFIRMED)

SERVICE_ORDER = Lifecycle(
    "service_order",
    OrderStatus,
    initial=_S.CREATED,
    terminal=ENDS,
    edges=(
        Edge(_S.CREATED, "receive", _S.RECEIVED, ("system", *_COMPANY)),
        *(Edge(s, "accept", _S.ACCEPTED, _COMPANY, "service_order.accepted") for s in (_S.RECEIVED, _S.CORRECTED)),
        *(
            Edge(s, "send_back", _S.CORRECTING, _COMPANY, "service_order.sent_back")
            for s in (_S.RECEIVED, _S.CORRECTED, _S.ACCEPTED, _S.SURVEYED)
        ),
        Edge(_S.CORRECTING, "answer", _S.CORRECTED, ("person",), "service_order.corrected"),
        Edge(_S.CORRECTING, "answer_accepted", _S.ACCEPTED, ("person",), "service_order.corrected"),
        Edge(_S.CORRECTING, "answer_surveyed", _S.SURVEYED, ("person",), "service_order.corrected"),
        Edge(_S.CORRECTING, "lapse", _S.WITHDRAWN, ("system",), "service_order.lapsed"),
        *(Edge(s, "refuse", _S.REFUSED, _COMPANY, "service_order.refused") for s in (_S.RECEIVED, _S.CORRECTED)),
        *(Edge(s, "fail", _S.FAILED, _COMPANY, "service_order.failed") for s in WORKING),
        *(Edge(s, "return", _S.RETURNED, _COMPANY, "service_order.returned") for s in (_S.RECEIVED, _S.CORRECTED)),
        Edge(_S.RETURNED, "redispatch", _S.RECEIVED, ("staff",), "service_order.redispatched"),
        Edge(_S.RETURNED, "reassign", _S.REASSIGNED, ("person",), "service_order.reassigned"),
        Edge(_S.ACCEPTED, "survey", _S.SURVEYED, _COMPANY, "service_order.surveyed"),
        *(
            Edge(s, "reply_plan", _S.PLAN_REPLIED, _COMPANY, "service_order.plan_replied")
            for s in (_S.ACCEPTED, _S.SURVEYED)
        ),
        Edge(_S.PLAN_REPLIED, "confirm_plan", _S.PLAN_CONFIRMED, ("person",), "service_order.plan_confirmed"),
        Edge(_S.PLAN_REPLIED, "question_plan", _S.ACCEPTED, ("person",), "service_order.plan_questioned"),
        Edge(_S.PLAN_REPLIED, "question_plan_surveyed", _S.SURVEYED, ("person",), "service_order.plan_questioned"),
        Edge(_S.PLAN_CONFIRMED, "sign_contract", _S.CONTRACTED, ("person",), "service_order.contracted"),
        Edge(_S.CONTRACTED, "construct", _S.CONSTRUCTING, _COMPANY, "service_order.constructing"),
        *(
            Edge(s, "inspect", _S.INSPECTED, _COMPANY, "service_order.inspected")
            for s in (_S.CONTRACTED, _S.CONSTRUCTING, _S.RECTIFIED)
        ),
        *(
            Edge(s, "find_fault", _S.RECTIFYING, _COMPANY, "service_order.faulted")
            for s in (_S.CONTRACTED, _S.CONSTRUCTING, _S.RECTIFIED)
        ),
        Edge(_S.RECTIFYING, "rectify", _S.RECTIFIED, _COMPANY, "service_order.rectified"),
        Edge(_S.INSPECTED, "connect", _S.CONNECTED, _COMPANY, "service_order.connected"),
        Edge(_S.CONNECTED, "archive", _S.ARCHIVED, (*_COMPANY, "system")),
        *(Edge(s, "withdraw", _S.WITHDRAWN, ("person",), "service_order.withdrawn") for s in BEFORE_CONSTRUCTION),
        *(Edge(s, "agree_withdrawal", _S.WITHDRAWN, _COMPANY, "service_order.withdrawn") for s in UNDER_CONSTRUCTION),
    ),
)

OFFICIAL_NAMES = {
    1: "已接件", 2: "已撤件", 3: "已受理", 4: "不受理", 5: "不予受理", 6: "补正（开始）", 7: "补正（结束）", 8: "部门开始办理",
    9: "特别程序（开始）", 10: "特别程序（结束）", 11: "办结（通过）", 12: "办结（容缺通过）", 13: "办结（不通过）", 14: "撤回", 15: "撤销",
}  # fmt: skip
"""The codes of the construction-approval platform, as joint systems use them (工程建设项目审批, 1 to 15)."""

_OFFICIAL: dict[OrderStatus, int | None] = {
    _S.CREATED: None, _S.RECEIVED: 1, _S.RETURNED: 1, _S.CORRECTING: 6, _S.CORRECTED: 7, _S.ACCEPTED: 3,
    **dict.fromkeys((*BEFORE_CONSTRUCTION[6:], *UNDER_CONSTRUCTION), 8),
    _S.CONNECTED: 11, _S.ARCHIVED: 11, _S.REFUSED: 5, _S.FAILED: 13, _S.WITHDRAWN: 2, _S.REASSIGNED: 15,
}  # fmt: skip
_RUNNING = frozenset({3, 8})


def official_code(
    status: OrderStatus, *, paused: bool = False, resumed: bool = False, was_accepted: bool = False, tolerated: bool = False,
    not_taken: bool = False,
) -> int | None:  # fmt: skip
    """The official code of an order; None before the company has it.

    `paused`, `resumed`: a special procedure runs, or was the last thing that happened. `was_accepted`: what ends then is 撤回, not 撤件.
    `tolerated`: connected while an item was still promised (容缺). `not_taken`: refused because it is none of the company's business.

    >>> official_code(OrderStatus.CONSTRUCTING, paused=True), official_code(OrderStatus.CONNECTED, tolerated=True)
    (9, 12)
    """
    code = _OFFICIAL[status]
    if code in _RUNNING and (paused or resumed):
        return 9 if paused else 10
    if status in (_S.CONNECTED, _S.ARCHIVED) and tolerated:
        return 12
    if status == _S.WITHDRAWN and was_accepted:
        return 14
    return 4 if status == _S.REFUSED and not_taken else code


class ServiceOrder(Model):
    """What one company is to do for one application, in one service. Everything said on the way is an :class:`OrderPaper`."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    application: Any = fields.ForeignKeyField("models.Application", related_name="orders", on_delete=fields.RESTRICT)
    application_id: Any
    company = fields.CharField(max_length=30)
    service = fields.CharField(max_length=20)
    number = fields.CharField(max_length=30)
    revision = fields.SmallIntField(default=1)
    """Of what the company has been sent: an answered correction is the next one."""
    received_at = fields.DatetimeField(null=True)
    accepted_at = fields.DatetimeField(null=True)
    surveyed_at = fields.DatetimeField(null=True)
    corrections = fields.SmallIntField(default=0)
    late_corrections = fields.SmallIntField(default=0)
    """Of them, those that asked for something visible the first time: each needed a supervisor."""
    correction_ends_on = fields.DateField(null=True)
    """The last day to answer; then the order is withdrawn by itself. None: nothing is asked."""
    plan_version = fields.SmallIntField(default=0)
    inspections = fields.SmallIntField(default=0)
    rectify_by = fields.DateField(null=True)
    reason = fields.CharField(max_length=40, null=True)
    """Why it was refused, or failed: a code of the city pack."""
    distance_m = fields.IntField(null=True)
    distance_source = fields.CharField(max_length=10, null=True)
    paused_reason = fields.CharField(max_length=30, null=True)
    paused_at = fields.DatetimeField(null=True)
    resumed_at = fields.DatetimeField(null=True)
    extension_asked_days = fields.SmallIntField(null=True)
    """Asked for and not decided yet."""
    extended_days = fields.SmallIntField(null=True)
    withdrawal_asked_at = fields.DatetimeField(null=True)
    tolerated = fields.BooleanField(default=False)
    pushed = fields.BooleanField(default=False)
    """Of a project that the construction platform has pushed: its company comes by itself (主动上门)."""
    main_laid = fields.BooleanField(default=False)
    """Its main was laid beforehand, so that it is promised for the same day."""
    created_at = fields.DatetimeField()
    connected_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "service_order"
        constraints = (
            UniqueConstraint(name="service_order_once", fields=("application_id", "company", "service")),
            UniqueConstraint(name="service_order_number_once", fields=("number",)),
            CheckConstraint(
                name="service_order_distance_has_source",
                check="(distance_m is null) = (distance_source is null) and distance_m >= 0"
                " and distance_source in ('declared', 'gis', 'surveyed')",
            ),
            CheckConstraint(name="service_order_laid_was_pushed", check="pushed or not main_laid"),
            CheckConstraint(name="service_order_pause_whole", check="(paused_reason is null) = (paused_at is null)"),
            CheckConstraint(
                name="service_order_counts_sane",
                check="late_corrections between 0 and corrections and plan_version >= 0 and inspections >= 0"
                " and revision >= 1",
            ),
            CheckConstraint(
                name="service_order_extended_forward",
                check="extended_days between 1 and 250 and extension_asked_days between 1 and 250",
            ),
            CheckConstraint(
                name="service_order_end_has_time",
                check="(status in ('connected', 'archived', 'refused', 'failed', 'withdrawn', 'reassigned')) = (ended_at is not null)",
            ),
            CheckConstraint(
                name="service_order_connected_has_time",
                check="(status in ('connected', 'archived')) = (connected_at is not null)",
            ),
            CheckConstraint(
                name="service_order_refusal_has_reason",
                check="(status in ('refused', 'failed', 'returned', 'reassigned')) <= (reason is not null)",
            ),
            CheckConstraint(
                name="service_order_correction_has_day",
                check="(status = 'correcting') = (correction_ends_on is not null)",
            ),
            CheckConstraint(name="service_order_gas_is_never_tolerated", check="service <> 'gas' or not tolerated"),
            CheckConstraint(
                name="service_order_inspected_before_connected",
                check="status not in ('inspected', 'connected', 'archived') or inspections > 0",
            ),
        )
        indexes = (
            ("company", "id"),
            PartialIndex(
                name="service_order_correcting", fields=("correction_ends_on",), condition="status = 'correcting'"
            ),
        )


KINDS = (
    "correction", "answer", "refusal", "return", "survey", "commitment", "plan", "plan_question", "contract", "construction", "fault", "rectification",
    "inspection", "connection", "archive", "extension_asked", "extension", "extension_refused", "pause", "resumption", "withdrawal",
)  # fmt: skip
"""What can be said about an order."""


class OrderPaper(Model):
    """What was said at one step, encrypted, never changed: the list of what is missing, the answer, a plan, a contract, a finding.

    Later ones of a kind are later versions.
    """

    id = fields.UUIDField(primary_key=True)
    order: Any = fields.ForeignKeyField("models.ServiceOrder", related_name="papers", on_delete=fields.RESTRICT)
    order_id: Any
    kind = fields.CharField(max_length=20)
    version = fields.SmallIntField()
    content = fields.BinaryField()
    actor_kind = fields.CharField(max_length=20)
    actor_id = fields.CharField(max_length=60)
    at = fields.DatetimeField()

    class Meta:
        table = "order_paper"
        constraints = (
            UniqueConstraint(name="order_paper_version_once", fields=("order_id", "kind", "version")),
            CheckConstraint(name="order_paper_version_counts", check="version >= 1"),
            CheckConstraint(
                name="order_paper_kind_known",
                check="kind in (" + ", ".join(f"'{kind}'" for kind in KINDS) + ")",
            ),
        )
