"""The file of the companies: how their accounts look, what proves one, how their systems are called."""

import re
from typing import Annotated, Literal

from msgspec import Meta

from cities.shapes import Code, Duration, Service, Shape, Text, TimeOfDay

ProofKind = Literal["holder_id_last4", "holder_name", "meter_number", "last_bill_fen"]


class AccountFormat(Shape, frozen=True, kw_only=True):
    """How account numbers of a company look. `pattern` is anchored, so that a browser may use it as it stands."""

    label: Text
    pattern: Text
    explanation: Text
    where: Text
    example: Text

    def fits(self, number: str) -> bool:
        """True when the whole of `number` has the format; a trailing newline or full-width digits do not."""
        return re.fullmatch(self.pattern, number) is not None


class QrPattern(Shape, frozen=True, kw_only=True):
    """A code that a company prints by itself: its own address, or the plain number. The language: :mod:`cities.qr_checks`."""

    pattern: Annotated[str, Meta(min_length=3, max_length=200)]
    example: Annotated[str, Meta(min_length=1, max_length=120)]
    source: Text

    def number(self, text: str) -> str | None:
        """The account number in `text`, when the whole of it fits."""
        found = re.fullmatch(self.pattern, text)
        return found["number"] if found else None


class Proof(Shape, frozen=True, kw_only=True):
    """What somebody must know of an account to bind it."""

    kind: ProofKind
    label: Text
    hint: Text
    pattern: Text
    explanation: Text
    example: Text

    def fits(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None


class CircuitRule(Shape, frozen=True, kw_only=True):
    """The circuit opens when `failure_share` of the last `window` calls failed, and lets a probe pass each `pause`."""

    window: Annotated[int, Meta(ge=5, le=1000)]
    failure_share: Annotated[float, Meta(gt=0, le=1)]
    pause: Duration


class FileRule(Shape, frozen=True, kw_only=True):
    """How a company without an interface exchanges files with us (docs/company-gateway.md §10).

    Its account file of a day is there from `ready_at` of the next and overdue at `late_at`. What has been paid leaves at each of the
    `cutoffs`; it has `answered_within` to answer a file, then it is a delay that the payer hears of.
    """

    ready_at: TimeOfDay
    late_at: TimeOfDay
    cutoffs: Annotated[tuple[TimeOfDay, ...], Meta(min_length=1, max_length=24)]
    answered_within: Duration


class Gateway(Shape, frozen=True, kw_only=True):
    """How we call a company. `quotes`: its bills come with a quote that fixes the amounts for a while.

    `mode`: ``api`` answers calls; ``file`` has no interface, and `files` says when its files come and go.

    `errors`: where its system writes an error: in the HTTP status with a code (``status``), or in an answer 200 (``inside``).
    """

    mode: Literal["api", "file"] = "api"
    timeout: Duration
    quotes: bool
    files: FileRule | None = None
    errors: Literal["status", "inside"] = "status"
    circuit: CircuitRule


class TopUpRule(Shape, frozen=True, kw_only=True):
    """What may be paid in advance at once: from `least_fen` to `most_fen`, in steps. `suggested_fen` are the amounts a page offers.

    A balance under `low_fen` is called low.
    """

    least_fen: Annotated[int, Meta(ge=1)]
    most_fen: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    step_fen: Annotated[int, Meta(ge=1)]
    suggested_fen: Annotated[tuple[int, ...], Meta(min_length=1, max_length=8)]
    low_fen: Annotated[int, Meta(ge=0)]
    source: Text


class Company(Shape, frozen=True, kw_only=True):
    """A public-service company. `hotline` None: not known, never invented. Settings may override `sub_mchid`
    and `alipay_seller_id`, its merchant numbers at WeChat Pay and at Alipay."""

    code: Code
    service: Service
    name: Text
    short_name: Annotated[str, Meta(min_length=1, max_length=10)]
    bill_name: Annotated[str, Meta(min_length=1, max_length=6)]
    hotline: Annotated[str, Meta(pattern=r"\A[0-9-]{5,13}\Z")] | None = None
    joined: bool
    partial_payment: bool
    any_order: bool = False
    """Whether a newer bill may be paid while an older one is open."""
    top_up: TopUpRule | None = None
    """None: nothing is paid in advance there."""
    sub_mchid: Annotated[str, Meta(pattern=r"\A[0-9]{8,10}\Z")] | None = None
    alipay_seller_id: Annotated[str, Meta(pattern=r"\A2088[0-9]{12}\Z")] | None = None
    source: Text
    account: AccountFormat
    proof: Proof
    qr: Annotated[tuple[QrPattern, ...], Meta(max_length=10)] = ()
    gateway: Gateway


class CompaniesFile(Shape, frozen=True, kw_only=True):
    companies: Annotated[tuple[Company, ...], Meta(min_length=1)]
