"""Service orders between us and a company, as typed values: docs/company-gateway.md §11–§13.

What we send names the applicant, so it stands in bodies only. What a company reports of an order is a :class:`Report` with a number:
the first is 1, none is left out, so that the same reports leave the same rows however they arrive.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateways.company_types import AccountNumber, Instant, Serial

OrderId = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]
Sequence = Annotated[int, Meta(ge=1, le=1000)]
Reason = Annotated[str, Meta(pattern=r"\A[a-z_]{1,40}\Z")]
Note = Annotated[str, Meta(max_length=500)]
Words = Annotated[str, Meta(min_length=1, max_length=500)]
Metres = Annotated[int, Meta(ge=0, le=100_000)]
AreaCode = Annotated[str, Meta(pattern=r"\A[0-9]{6,12}\Z")]
SlotId = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]

MAX_REPORTS = 1000


class Lead(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a pushed project: the company goes to the enterprise by itself (主动上门), before these days."""

    planned_start: str | None = None
    planned_on: str | None = None
    main_laid: bool = False


class SentOrder(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A service order for its company: the part all companies get, and its own part; never another's.

    The same `order_id` and `revision` always carry the same content. A corrected order comes again under the next revision.
    """

    order_id: str
    revision: int
    number: str
    application_number: str
    service: str
    area: str
    form_version: str
    filed_at: datetime
    notice_version: str
    consented_at: datetime
    common: dict[str, Any]
    part: dict[str, Any]
    source: Literal["applicant", "platform_push"] = "applicant"
    lead: Lead | None = None
    """With the source ``platform_push`` only."""


class OrderReceipt(msgspec.Struct, frozen=True):
    """The company has the order, or has taken it back: nothing is decided by that. `company_number` is its own."""

    order_id: OrderId
    revision: Annotated[int, Meta(ge=1)]
    status: Literal["received", "withdrawn"]
    company_number: Serial
    received_at: Instant


class OrderNotice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the order on our side, for the company to act on; `data` holds codes, numbers and times only."""

    notice_id: str
    order_id: str
    kind: Literal[
        "plan_confirmed",
        "plan_questioned",
        "contract_signed",
        "redispatched",
        "withdrawal_asked",
        "extension_approved",
        "extension_refused",
        "request_approved",
        "request_refused",
        "paused",
        "resumed",
        "material_added",
        "appointment_held",
        "appointment_fixed",
        "appointment_cancelled",
    ]
    at: datetime
    data: dict[str, str | int | bool | None] = {}


class Item(msgspec.Struct, frozen=True):
    """One thing to put right. `subject` is a pointer into the form, a requirement's code, or a word of the site; `note` says what and how."""

    subject: Annotated[str, Meta(pattern=r"\A[!-~]{1,120}\Z")]
    note: Words


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="report"):
    """What every report says: of which order, its number among that order's reports, when it happened."""

    order_id: OrderId
    sequence: Sequence
    at: Instant


class Accepted(Report, frozen=True, kw_only=True, tag="accepted"):
    """受理: from here the promise counts."""


class CorrectionAsked(Report, frozen=True, kw_only=True, tag="correction_asked"):
    """补正, all of it at once (一次性告知)."""

    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=20)]


class OrderRefused(Report, frozen=True, kw_only=True, tag="refused"):
    """不予受理, before it was accepted; `reason` is of the city's list."""

    reason: Reason
    note: Note = ""


class OrderFailed(Report, frozen=True, kw_only=True, tag="failed"):
    """办结（不通过）, after it was accepted: it cannot be supplied after all. `reason` is of the city's list."""

    reason: Reason
    note: Note = ""


class WithdrawalAgreed(Report, frozen=True, kw_only=True, tag="withdrawal_agreed"):
    """The applicant asked to withdraw after construction had begun; the company agrees."""


class HandedBack(Report, frozen=True, kw_only=True, tag="handed_back"):
    """Not this company's order: for us to hand to the right one, within one working day."""

    note: Words


class Surveyed(Report, frozen=True, kw_only=True, tag="surveyed"):
    """This company's own part of the survey. `distance_m` to its main; without supply a reason of the list instead."""

    can_supply: bool
    distance_m: Metres | None = None
    distance_source: Literal["gis", "surveyed"] = "surveyed"
    reason: Reason | None = None
    plan: Note = ""
    photos: Annotated[tuple[Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")], ...], Meta(max_length=20)] = ()
    """SHA-256 of each, under which they were handed in."""
    committed_days: Annotated[int, Meta(ge=1, le=365)] | None = None
    """Beyond the longest promised distance: the working days it commits itself to."""
    commitment_reason: Note = ""


class PlanReplied(Report, frozen=True, kw_only=True, tag="plan_replied"):
    """方案答复, for the applicant to confirm."""

    plan: Words
    needs_permits: Annotated[tuple[Reason, ...], Meta(max_length=8)] = ()


class ConstructionStarted(Report, frozen=True, kw_only=True, tag="construction_started"):
    """外线施工 has begun: from here the applicant cannot withdraw alone."""


class Inspected(Report, frozen=True, kw_only=True, tag="inspected"):
    """验收. Not passed: what to put right."""

    passed: bool
    items: Annotated[tuple[Item, ...], Meta(max_length=20)] = ()
    again_by: date | None = None


class Rectified(Report, frozen=True, kw_only=True, tag="rectified"):
    """整改 is done: to be inspected again."""


class Connected(Report, frozen=True, kw_only=True, tag="connected"):
    """接通: water, power, gas or line is on. `account_number`: the new utility account."""

    account_number: AccountNumber | None = None


class Archived(Report, frozen=True, kw_only=True, tag="archived"):
    """归档."""

    file_number: Serial | None = None


class ExtensionAsked(Report, frozen=True, kw_only=True, tag="extension_asked"):
    """The company asks for more days, once, before the promise is over."""

    days: Annotated[int, Meta(ge=1, le=30)]
    note: Words


class DaysCommitted(Report, frozen=True, kw_only=True, tag="days_committed"):
    """Beyond the longest promised distance: the working days the company commits itself to; a supervisor agrees."""

    days: Annotated[int, Meta(ge=1, le=365)]
    note: Words


class PauseAsked(Report, frozen=True, kw_only=True, tag="pause_asked"):
    """特别程序: the promise pauses for a reason of the closed list, with its evidence."""

    reason: Reason
    note: Words


class PauseOver(Report, frozen=True, kw_only=True, tag="pause_over"):
    """What the promise was paused for is over."""


AnyReport = (
    Accepted
    | CorrectionAsked
    | OrderRefused
    | OrderFailed
    | WithdrawalAgreed
    | HandedBack
    | Surveyed
    | PlanReplied
    | ConstructionStarted
    | Inspected
    | Rectified
    | Connected
    | Archived
    | ExtensionAsked
    | DaysCommitted
    | PauseAsked
    | PauseOver
)


class OrderStanding(msgspec.Struct, frozen=True):
    """What the company answers when it is asked about an order: its receipt and everything it has reported."""

    order_id: OrderId
    revision: Annotated[int, Meta(ge=1)]
    status: Literal["received", "withdrawn"]
    company_number: Serial
    received_at: Instant
    reports: Annotated[tuple[AnyReport, ...], Meta(max_length=MAX_REPORTS)]


class FreeSlot(msgspec.Struct, frozen=True):
    """When a crew of the company could come, in which district."""

    slot_id: SlotId
    area: AreaCode
    starts_at: Instant
    ends_at: Instant


class CrewSlots(msgspec.Struct, frozen=True):
    """Free times of crews: new ones, and those that are withdrawn for ever. A slot never changes; its id is never used again."""

    slots: Annotated[tuple[FreeSlot, ...], Meta(max_length=200)] = ()
    withdrawn: Annotated[tuple[SlotId, ...], Meta(max_length=200)] = ()


class AppointmentAnswer(msgspec.Struct, frozen=True):
    """What the company says to an appointment that is held for it."""

    survey_id: OrderId
    round: Annotated[int, Meta(ge=1, le=1000)]
    answer: Literal["confirmed", "declined"]
    note: Note = ""


CODES_OF_ORDERS = ("EO0001", "EO0002", "EO0003", "EO0004")
NO_SUCH_ORDER, ORDER_DIFFERS, TOO_LATE_TO_WITHDRAW, NOT_OURS = CODES_OF_ORDERS
