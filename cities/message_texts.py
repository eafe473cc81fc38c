"""The file of messages: typed values, templates, the texts made of them, and who is told what of which event."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cities.shapes import Code, Rule, Shape, Text

Kind = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z", max_length=60)]
EdgeName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\.(?:[a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*\Z", max_length=120)]
"""``lifecycle.state.event``, or ``lifecycle.born``."""
Audience = Literal[
    "payer", "binder", "earlier_binders", "user", "owner", "holder", "member", "applicant", "company", "staff"
]


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
    otherwise: dict[Audience, Text] = msgspec.field(default_factory=dict)


class SilentEdge(Shape, frozen=True, kw_only=True):
    """Something of which nobody is told, and why: an event (`kind`), or moves that announce none (`edges`)."""

    kind: Kind | None = None
    edges: tuple[EdgeName, ...] = ()
    reason: Text


class MessagesFile(Shape, frozen=True, kw_only=True):
    values: dict[Code, Placeholder]
    templates: dict[Code, Template]
    official_templates: dict[Code, Template] = msgspec.field(default_factory=dict)
    sms_templates: dict[Code, SmsTemplate] = msgspec.field(default_factory=dict)
    messages: tuple[Message, ...]
    audiences: dict[Code, tuple[Audience, ...]] = msgspec.field(default_factory=dict)
    told: tuple[Told, ...] = ()
    silent: tuple[SilentEdge, ...] = ()
