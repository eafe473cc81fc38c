"""Payments, their parts (one per merchant), lines, and the claims that keep two payments from paying one thing."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from core import clock
from core.database import fetch_one
from core.indexes import PartialIndex
from models.access import Principal
from models.lifecycle import Edge, Lifecycle

ORDER_NUMBER_CHARS = 32
"""Our numbers at providers: as long as WeChat Pay lets them be."""


class PaymentStatus(StrEnum):
    """Where a payment stands; every call to the provider has a state before it and one for its unknown outcome."""

    CREATED = "created"
    ORDERING = "ordering"
    ORDER_UNKNOWN = "order_unknown"
    AWAITING_PAYER = "awaiting_payer"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    RECEIVED_LATE = "received_late"
    REFUNDED = "refunded"


_S = PaymentStatus
_PROVIDER = ("provider",)
_CLOSERS = ("person", "staff", "system")

PAYMENT = Lifecycle(
    "payment",
    PaymentStatus,
    initial=_S.CREATED,
    terminal=(_S.CLOSED, _S.FAILED, _S.SUCCEEDED, _S.REFUNDED),
    edges=(
        Edge(_S.CREATED, "order", _S.ORDERING, ("person", "staff")),
        Edge(_S.CREATED, "abandon", _S.CLOSED, _CLOSERS, "payment.closed"),
        Edge(_S.ORDERING, "order_opened", _S.AWAITING_PAYER, _PROVIDER),
        Edge(_S.ORDERING, "order_lost", _S.ORDER_UNKNOWN, ("system",)),
        Edge(_S.ORDERING, "order_refused", _S.FAILED, _PROVIDER, "payment.failed"),
        Edge(_S.ORDER_UNKNOWN, "order_opened", _S.AWAITING_PAYER, _PROVIDER),
        Edge(_S.ORDER_UNKNOWN, "order_refused", _S.FAILED, _PROVIDER, "payment.failed"),
        *(Edge(state, "close", _S.CLOSING, _CLOSERS) for state in (_S.ORDERING, _S.ORDER_UNKNOWN, _S.AWAITING_PAYER)),
        Edge(_S.CLOSING, "order_closed", _S.CLOSED, _PROVIDER, "payment.closed"),
        Edge(_S.CLOSING, "lapse", _S.CLOSED, ("system",), "payment.closed"),
        *(
            Edge(state, "correct_to_failed", _S.FAILED, ("staff",), "payment.given_up")
            for state in (_S.ORDERING, _S.ORDER_UNKNOWN, _S.AWAITING_PAYER, _S.CLOSING)
        ),
        *(
            Edge(state, "money_received", _S.SUCCEEDED, _PROVIDER, "payment.succeeded")
            for state in (_S.CREATED, _S.ORDERING, _S.ORDER_UNKNOWN, _S.AWAITING_PAYER, _S.CLOSING)
        ),
        *(
            Edge(state, "money_received", _S.RECEIVED_LATE, _PROVIDER, "payment.received_late")
            for state in (_S.CLOSED, _S.FAILED)
        ),
        *(Edge(state, "money_returned", _S.REFUNDED, _PROVIDER) for state in (_S.SUCCEEDED, _S.RECEIVED_LATE)),
    ),
)

LIVE_STATUSES = (_S.CREATED, _S.ORDERING, _S.ORDER_UNKNOWN, _S.AWAITING_PAYER, _S.CLOSING)
"""States in which money may still arrive in time."""


class Payment(Model):
    """One act of paying through one provider. The principal owns it, the actor's login did it."""

    id = fields.UUIDField(primary_key=True)
    status = fields.CharField(max_length=20)
    person: Any = fields.ForeignKeyField("models.Person", related_name="payments", on_delete=fields.RESTRICT, null=True)
    person_id: Any
    organization: Any = fields.ForeignKeyField(
        "models.Organization", related_name="payments", on_delete=fields.RESTRICT, null=True
    )
    organization_id: Any
    actor_user_id = fields.UUIDField()
    provider = fields.CharField(max_length=20)
    method = fields.CharField(max_length=20)
    total_fen = fields.BigIntField()
    currency = fields.CharField(max_length=3, default="CNY")
    description = fields.CharField(max_length=100)
    handle = fields.TextField(null=True)
    """What the provider calls its opened order: a prepay id, the address of a code or of a page."""
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    paid_at = fields.DatetimeField(null=True)

    class Meta:
        table = "payment"
        constraints = (
            CheckConstraint(name="payment_one_principal", check="num_nonnulls(person_id, organization_id) = 1"),
            CheckConstraint(name="payment_amount_sane", check="total_fen between 1 and 1000000000"),
            CheckConstraint(name="payment_currency_known", check="currency = 'CNY'"),
            CheckConstraint(
                name="payment_paid_has_time",
                check="status not in ('succeeded', 'received_late', 'refunded') or paid_at is not null",
            ),
            CheckConstraint(
                name="payment_awaiting_has_handle", check="status <> 'awaiting_payer' or handle is not null"
            ),
        )
        indexes = (
            ("person_id", "created_at"),
            ("paid_at",),
            ("organization_id", "created_at"),
            PartialIndex(
                name="payment_live",
                fields=("created_at",),
                condition="status in ('created', 'ordering', 'order_unknown', 'awaiting_payer', 'closing')",
            ),
        )


_MAY = """
select bool_or(may_pay) as may_pay, bool_or(is_actor) as is_actor from payment_access($2, $3, $4) where payment_id = $1 having count(*) > 0
"""


async def payment_for(payment_id: UUID, principal: Principal, *, pays: bool = False) -> Payment | None:
    """The payment, if `principal` may see it; with `pays`, if he may carry it on: the order at the provider is its actor's."""
    row = await fetch_one(_MAY, payment_id, *principal, clock.now())
    if row is None or (pays and not (row["may_pay"] and row["is_actor"])):
        return None
    return await Payment.get(id=payment_id)


class PaymentPart(Model):
    """What goes to one merchant. `order_number` is our number at the provider, from the part's id, never from the time.

    `basis` (binding or scan) is how the payer came to what he pays, `quote_id` on whose word its amounts are: both opaque here. Two
    accounts at one company are two parts.
    """

    id = fields.UUIDField(primary_key=True)
    payment: Any = fields.ForeignKeyField("models.Payment", related_name="parts", on_delete=fields.RESTRICT)
    payment_id: Any
    provider = fields.CharField(max_length=20)
    payee = fields.CharField(max_length=30)
    merchant = fields.CharField(max_length=32)
    order_number = fields.CharField(max_length=ORDER_NUMBER_CHARS)
    basis = fields.CharField(max_length=10)
    quote_id = fields.UUIDField()
    description = fields.CharField(max_length=100)
    """What the payer reads at the provider about this part."""
    amount_fen = fields.BigIntField()
    provider_transaction = fields.CharField(max_length=64, null=True)
    received_fen = fields.BigIntField(null=True)

    class Meta:
        table = "payment_part"
        constraints = (
            UniqueConstraint(name="payment_part_order_number_once", fields=("order_number",)),
            UniqueConstraint(
                name="payment_part_provider_transaction_once", fields=("provider", "provider_transaction")
            ),
            CheckConstraint(name="payment_part_amount_positive", check="amount_fen > 0"),
            CheckConstraint(
                name="payment_part_received_whole",
                check="received_fen is null or (received_fen = amount_fen and provider_transaction is not null)",
            ),
        )
        indexes = (("payment_id",), ("quote_id",))


class PaymentLine(Model):
    """What is paid for: an opaque `claim_key` of the one who asked (billing passes ``bill:<id>``), and its amount."""

    id = fields.UUIDField(primary_key=True)
    part: Any = fields.ForeignKeyField("models.PaymentPart", related_name="lines", on_delete=fields.RESTRICT)
    part_id: Any
    payment_id = fields.UUIDField()
    claim_key = fields.CharField(max_length=80)
    amount_fen = fields.BigIntField()

    class Meta:
        table = "payment_line"
        constraints = (CheckConstraint(name="payment_line_amount_positive", check="amount_fen > 0"),)
        indexes = (("part_id",), ("payment_id",), ("claim_key",))


class Claim(Model):
    """A line's hold on what it pays: at most one live claim per key, freed only by closed, failed or fully refunded.

    It has its line's id; "refunded" is the line's part, the other parts of the payment keep theirs.
    """

    id = fields.UUIDField(primary_key=True)
    payment: Any = fields.ForeignKeyField("models.Payment", related_name="claims", on_delete=fields.RESTRICT)
    payment_id: Any
    claim_key = fields.CharField(max_length=80)
    freed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "claim"
        constraints = (UniqueConstraint(name="claim_live_once", fields=("claim_key",), condition="freed_at is null"),)
        indexes = (("payment_id",),)
