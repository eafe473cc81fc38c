"""The file of paying: limits and times of payments, of who may act for whom, of messages and of reconciliation."""

from typing import Annotated

from msgspec import Meta

from cities.shapes import Duration, Rule, Shape, Text, TimeOfDay


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
