"""The shapes of the files of a city pack. Unknown fields are refused, nothing can be changed after loading.

Everything that may change over time is a :class:`Rule`: it names its source and the days it is in force. Further rules
(promises, fees, materials, forms, tariffs, guides, holidays) are further files of such rules.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from cities.errors import NotInForce, UnknownCompany

if TYPE_CHECKING:
    from cities.applications import ApplicationsFile
    from cities.crews import CrewsFile
    from cities.fees import FeesFile
    from cities.forms import Form
    from cities.materials import MaterialsFile
    from cities.promises import PromisesFile
    from cities.retention import RetentionFile
    from cities.staff import StaffFile
    from cities.tariffs import Tariffs
    from core.workdays import Schedule

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Title = Annotated[str, Meta(min_length=1, max_length=40)]
Code = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]
Kind = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z", max_length=60)]
Service = Literal["water", "power", "gas", "network"]
ProofKind = Literal["holder_id_last4", "holder_name", "meter_number", "last_bill_fen"]
EdgeName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\.(?:[a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*\Z", max_length=120)]
"""``lifecycle.state.event``, or ``lifecycle.born``."""
Audience = Literal[
    "payer", "binder", "earlier_binders", "user", "owner", "holder", "member", "applicant", "company", "staff"
]

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(timedelta):
    """A length of time as people write it in a pack: ``15s``, ``10m``, ``2h``, ``30d``."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Raises `ValueError` for anything but a whole number above 0 and one unit."""
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValueError(f"a length of time is written like 15s, 10m, 2h or 30d, not {text!r}")
        return cls(seconds=int(found[1]) * _SECONDS[found[2]])


class TimeOfDay(time):
    """A time of the city's day as people write it in a pack: ``02:00``."""

    @classmethod
    def parse(cls, text: str) -> "TimeOfDay":
        """Raises `ValueError` for anything but hours and minutes."""
        if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is None:
            raise ValueError(f"a time of day is written like 02:00, not {text!r}")
        return cls(int(text[:2]), int(text[3:]))


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of everything read from a pack."""


class Rule(Shape, frozen=True, kw_only=True):
    """Something in force from `effective_from` up to and including `effective_to` (None: until further notice)."""

    effective_from: date
    effective_to: date | None = None
    source: Text

    def in_force(self, day: date) -> bool:
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


R = TypeVar("R", bound=Rule)


def in_force(rules: Iterable[R], day: date, name: str) -> R:
    """The version in force on `day`; raises :class:`NotInForce`."""
    for rule in rules:
        if rule.in_force(day):
            return rule
    raise NotInForce(f"{name} on {day}")


class Area(Shape, frozen=True, kw_only=True):
    """A district (GB/T 2260), a street, town or township (statistical code), or a functional area: no district."""

    code: Annotated[str, Meta(pattern=r"\A[0-9]{6}([0-9]{3})?\Z")]
    name: Text
    kind: Literal["district", "street", "town", "township", "functional"]
    parent: str


class AreasFile(Shape, frozen=True, kw_only=True):
    source: Text
    areas: Annotated[tuple[Area, ...], Meta(min_length=1)]


class CityFile(Shape, frozen=True, kw_only=True):
    code: Code
    name: Text
    short_name: Text
    area_code: Annotated[str, Meta(pattern=r"\A[0-9]{6}\Z")]
    time_zone: Literal["Asia/Shanghai"]
    code_page: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]+(?:/[0-9A-Za-z_-]+)*\Z", max_length=128)]
    """The page of the mini-program that a code leads to; the token is its scene."""


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


class OrderRule(Rule, frozen=True, kw_only=True):
    """How long a payment may be paid, and how we ask the provider meanwhile.

    A provider order ends after `life`, but at least `quote_margin` before the company's quote ends; with less than
    `shortest_life` left a new quote is asked for first. `query_after` are the pauses between queries; the last repeats
    until the order ends. Quotes of several accounts are answered after `quotes_within` at the latest, with those that have come.
    """

    quotes_within: Duration
    life: Duration
    shortest_life: Duration
    quote_margin: Duration
    query_after: Annotated[tuple[Duration, ...], Meta(min_length=1)]


class CreationLimit(Rule, frozen=True, kw_only=True):
    """How many payments one person may create for one bill within `window`."""

    per_bill_and_person: Annotated[int, Meta(ge=1, le=100)]
    window: Duration


class BindingLimit(Rule, frozen=True, kw_only=True):
    """How many proofs may be tried within `window`, for one account by anybody and by one person for any account."""

    per_account: Annotated[int, Meta(ge=1, le=100)]
    per_person: Annotated[int, Meta(ge=1, le=100)]
    window: Duration


class FamilyRule(Rule, frozen=True, kw_only=True):
    """Family members of one binding: how long an invitation may be accepted, how many there may be, how many codes one person may try."""

    invitation_life: Duration
    most_members: Annotated[int, Meta(ge=1, le=20)]
    tries_per_person: Annotated[int, Meta(ge=1, le=100)]
    window: Duration


class MandateRule(Rule, frozen=True, kw_only=True):
    """Agents of organizations: how long the first one and any other may be appointed for, and how many may hang on each other.

    `warn_before`: how long before its end a mandate's end is told.
    """

    invitation_life: Duration
    first_life: Duration
    longest_life: Duration
    warn_before: Duration
    longest_chain: Annotated[int, Meta(ge=1, le=5)]
    most_live: Annotated[int, Meta(ge=1, le=1000)]
    tries_per_person: Annotated[int, Meta(ge=1, le=100)]
    window: Duration


class ViewRule(Rule, frozen=True, kw_only=True):
    """How old bills may be when somebody only looks; to pay they are always asked for anew.

    `answer_within`: how long somebody who looks at all his accounts waits for the slowest company. `asks_per_minute`: how often it is
    asked about one account for those who look, while it does not answer.
    """

    fresh_for: Duration
    answer_within: Duration
    asks_per_minute: Annotated[int, Meta(ge=1, le=100)]


class BillFileRule(Rule, frozen=True, kw_only=True):
    """The companies' daily files. A day's file is ready at `ready_at` of the next, and overdue at `late_at`.

    What is missing is asked for again for `look_back`, so that no day is lost when a company, or we, were away for longer.
    """

    ready_at: TimeOfDay
    late_at: TimeOfDay
    look_back: Duration


class SurchargeRule(Rule, frozen=True, kw_only=True):
    """Whether anything may be added to what the company is owed. `notice` is shown before paying."""

    allowed: bool
    clause: Text
    notice: Text


class PostingRule(Rule, frozen=True, kw_only=True):
    """How long a company may take to record what was paid.

    `retry_after` are the pauses between our questions; the last repeats. After `delayed_after` the payer is told; what the company
    has not recorded after `give_up_after` goes back to him.
    """

    delayed_after: Duration
    give_up_after: Duration
    retry_after: Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=20)]


class RefundRule(Rule, frozen=True, kw_only=True):
    """`retry_after` are the pauses between questions about a refund that has not ended; the last repeats."""

    retry_after: Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=20)]


class MessageRule(Rule, frozen=True, kw_only=True):
    """For how long a message that surely did not leave is tried again, and how long its receipt is waited for.

    What did not reach the person goes out on the next channel while it is younger than `fall_back_within`.
    """

    retry_for: Duration
    receipt_within: Duration
    fall_back_within: Duration


class SmsRule(Rule, frozen=True, kw_only=True):
    """How many text messages may leave in a day of Ezhou, to one person and in all, codes not counted (they have limits of their own).

    `ask_after` are the pauses between our questions what became of one.
    """

    per_person_and_day: Annotated[int, Meta(ge=1, le=50)]
    per_city_and_day: Annotated[int, Meta(ge=1, le=10_000_000)]
    ask_after: Annotated[tuple[Duration, ...], Meta(min_length=1, max_length=20)]


class PhoneCodeRule(Rule, frozen=True, kw_only=True):
    """Codes that prove a phone number: how long one lives, how often it may be tried, how many are sent to a number."""

    life: Duration
    tries: Annotated[int, Meta(ge=1, le=10)]
    pause: Duration
    per_number_and_hour: Annotated[int, Meta(ge=1, le=20)]
    per_number_and_day: Annotated[int, Meta(ge=1, le=50)]
    per_person_and_day: Annotated[int, Meta(ge=1, le=50)]
    per_city_and_hour: Annotated[int, Meta(ge=1, le=1_000_000)]


class ReconciliationRule(Rule, frozen=True, kw_only=True):
    """When the files of a day are asked for and what is done about what differs. Times count from the end of that day.

    Files are asked for from `ready_after` on, for `look_back` days; one that is missing at `late_after` is reported, as are
    differences nobody has explained for `old_after`. `most_fee_rate` is the highest share of a payment that a provider may keep.
    """

    ready_after: Duration
    late_after: Duration
    look_back: Duration
    old_after: Duration
    most_fee_rate: Annotated[str, Meta(pattern=r"\A0\.[0-9]{1,6}\Z")]


class PaymentsFile(Shape, frozen=True, kw_only=True):
    order: tuple[OrderRule, ...]
    creation_limit: tuple[CreationLimit, ...]
    binding_limit: tuple[BindingLimit, ...]
    family: tuple[FamilyRule, ...]
    mandate: tuple[MandateRule, ...]
    view: tuple[ViewRule, ...]
    bill_file: tuple[BillFileRule, ...]
    surcharge: tuple[SurchargeRule, ...]
    posting: tuple[PostingRule, ...]
    refund: tuple[RefundRule, ...]
    message: tuple[MessageRule, ...]
    reconciliation: tuple[ReconciliationRule, ...]
    sms: tuple[SmsRule, ...]
    phone_code: tuple[PhoneCodeRule, ...]


class PaymentRules(Shape, frozen=True, kw_only=True):
    """The rules of paying that are in force on one day."""

    order: OrderRule
    creation_limit: CreationLimit
    binding_limit: BindingLimit
    family: FamilyRule
    mandate: MandateRule
    view: ViewRule
    bill_file: BillFileRule
    surcharge: SurchargeRule
    posting: PostingRule
    refund: RefundRule
    message: MessageRule
    reconciliation: ReconciliationRule
    sms: SmsRule
    phone_code: PhoneCodeRule


class FenValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="fen"):
    """An int of fen, shown as ``46.60元``."""


class DateTimeValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="datetime"):
    """An aware datetime, shown as ``2026年11月23日 10:02`` in Ezhou's time."""


class DateValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="date"):
    """A date, shown as ``2026年11月23日``."""


class TextValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A str, cut to `max` characters."""

    max: Annotated[int, Meta(ge=2, le=100)]


class AccountNumberValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="account_number"):
    """An account number, of which only the last four characters are shown: ``****1234``."""


class ReferenceValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="reference"):
    """An identifier of ours, 1 to `max` of ``[0-9A-Za-z_-]``; belongs into page addresses, a case's number into texts as well."""

    max: Annotated[int, Meta(ge=1, le=36)] = 36


class ChoiceValue(Shape, frozen=True, kw_only=True, tag_field="type", tag="choice"):
    """A code from a closed list, shown as the words beside it."""

    options: Annotated[dict[Code, Text], Meta(min_length=1)]


Placeholder = FenValue | DateTimeValue | DateValue | TextValue | AccountNumberValue | ReferenceValue | ChoiceValue


class Template(Shape, frozen=True, kw_only=True):
    """A mini-program template as picked from the public library: its title there and its typed keys."""

    title: Text
    keys: Annotated[tuple[str, ...], Meta(min_length=1, max_length=10)]


class SmsTemplate(Shape, frozen=True, kw_only=True):
    """A text as the supplier has reviewed it, without the signature: ``{1}``, ``{2}`` … are its variables."""

    text: Text


class InboxText(Shape, frozen=True, kw_only=True):
    title: Text
    body: Text


class TemplateData(Shape, frozen=True, kw_only=True):
    """Which template a message uses, and the text of each of its keys."""

    template: Code
    data: dict[str, Text]


class SmsText(Shape, frozen=True, kw_only=True):
    """Which text message a message uses, and what its variables are, in their order."""

    template: Code
    params: Annotated[tuple[Text, ...], Meta(max_length=10)] = ()


class Message(Rule, frozen=True, kw_only=True):
    """One kind of message: to whom, which values the program gives for it (just these), the texts made of them.

    The inbox always has it. Of the others the first that reaches the person is used: mini-program, official account, text message.
    """

    kind: Kind
    audience: Audience
    values: tuple[Code, ...]
    page: Text | None = None
    inbox: InboxText
    mini_program: TemplateData | None = None
    official_account: TemplateData | None = None
    sms: SmsText | None = None


class Told(Shape, frozen=True, kw_only=True):
    """Who is told what of an event: for each audience the kinds of messages, or why it gets none of ours."""

    kind: Kind
    messages: dict[Audience, Annotated[tuple[Kind, ...], Meta(min_length=1)]]
    otherwise: dict[Audience, Text] = {}


class SilentEdge(Shape, frozen=True, kw_only=True):
    """Something of which nobody is told, and why: an event (`kind`), or moves that announce none (`edges`)."""

    kind: Kind | None = None
    edges: tuple[EdgeName, ...] = ()
    reason: Text


class MessagesFile(Shape, frozen=True, kw_only=True):
    values: dict[Code, Placeholder]
    templates: dict[Code, Template]
    official_templates: dict[Code, Template] = {}
    sms_templates: dict[Code, SmsTemplate] = {}
    messages: tuple[Message, ...]
    audiences: dict[Code, tuple[Audience, ...]] = {}
    told: tuple[Told, ...] = ()
    silent: tuple[SilentEdge, ...] = ()


class City(Shape, frozen=True, kw_only=True):
    """A whole pack, checked. `areas` and `companies` by code; `messages` the versions of each kind, oldest first.

    `audiences` by subject; `told` and `silent` by event; `silent_edges`: ``lifecycle.state.event`` → why nobody is told.
    """

    code: str
    name: str
    short_name: str
    area_code: str
    time_zone: str
    code_page: str
    areas: Mapping[str, Area]
    companies: Mapping[str, Company]
    payments: PaymentsFile
    fees: "FeesFile"
    promises: "PromisesFile"
    schedules: "tuple[Schedule, ...]"
    """Holidays and make-up working days as the pack has them; what was imported since comes on top (domain/deadlines/calendars.py)."""
    tariffs: "Tariffs"
    staff: "StaffFile"
    forms: Mapping[str, "tuple[Form, ...]"]
    materials: "MaterialsFile"
    applications: "ApplicationsFile"
    crews: "CrewsFile"
    retention: "RetentionFile"
    values: Mapping[str, Placeholder]
    templates: Mapping[str, Template]
    official_templates: Mapping[str, Template]
    sms_templates: Mapping[str, SmsTemplate]
    messages: Mapping[str, tuple[Message, ...]]
    audiences: Mapping[str, tuple[Audience, ...]]
    told: Mapping[str, Told]
    silent: Mapping[str, SilentEdge]
    silent_edges: Mapping[str, str]

    def company(self, code: str) -> Company:
        """Raises :class:`UnknownCompany`."""
        found = self.companies.get(code)
        if found is None:
            raise UnknownCompany(code)
        return found

    def form(self, name: str, on: date) -> "Form":
        """The version of a form under which cases are filed on that day; raises :class:`NotInForce`."""
        for form in self.forms.get(name, ()):
            if form.in_force(on):
                return form
        raise NotInForce(f"form {name} on {on}")

    def form_version(self, name: str, version: int) -> "Form":
        """A version of a form, in force or not: an old case is read with its own; raises :class:`NotInForce`."""
        for form in self.forms.get(name, ()):
            if form.version == version:
                return form
        raise NotInForce(f"form {name} version {version}")

    def joined_companies(self) -> tuple[Company, ...]:
        """The companies whose systems are connected today, in the order of the file."""
        return tuple(company for company in self.companies.values() if company.joined)

    def fresh_for(self, on: date) -> timedelta:
        """How long what a company has said about its bills is not asked about again; raises :class:`NotInForce`."""
        return in_force(self.payments.view, on, "view").fresh_for

    def payment_rules(self, on: date) -> PaymentRules:
        """The rules of paying on that day; raises :class:`NotInForce` for a day before the first of them."""
        every = self.payments
        return PaymentRules(
            order=in_force(every.order, on, "order"),
            creation_limit=in_force(every.creation_limit, on, "creation_limit"),
            binding_limit=in_force(every.binding_limit, on, "binding_limit"),
            family=in_force(every.family, on, "family"),
            mandate=in_force(every.mandate, on, "mandate"),
            view=in_force(every.view, on, "view"),
            bill_file=in_force(every.bill_file, on, "bill_file"),
            surcharge=in_force(every.surcharge, on, "surcharge"),
            posting=in_force(every.posting, on, "posting"),
            refund=in_force(every.refund, on, "refund"),
            message=in_force(every.message, on, "message"),
            reconciliation=in_force(every.reconciliation, on, "reconciliation"),
            sms=in_force(every.sms, on, "sms"),
            phone_code=in_force(every.phone_code, on, "phone_code"),
        )
