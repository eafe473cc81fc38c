"""The shapes of the files of a city pack. Unknown fields are refused, nothing can be changed after loading.

Everything that may change over time is a :class:`Rule`: it names its source and the days it is in force. Further rules
(promises, fees, materials, forms, tariffs, guides, holidays) are further files of such rules.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from cities.companies import Company, FileRule, Gateway, QrPattern, TopUpRule
from cities.errors import NotInForce, UnknownCompany
from cities.message_texts import (
    AccountNumberValue,
    Audience,
    ChoiceValue,
    DateTimeValue,
    DateValue,
    FenValue,
    Message,
    Placeholder,
    ReferenceValue,
    SilentEdge,
    SmsTemplate,
    Template,
    TextValue,
    Told,
)
from cities.paying import (
    BillFileRule,
    FamilyRule,
    MandateRule,
    MessageRule,
    PaymentRules,
    PaymentsFile,
    PostingRule,
    ReconciliationRule,
)
from cities.shapes import Code, Duration, Rule, Service, Shape, Text, TimeOfDay, Title, in_force

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

__all__ = [
    "AccountNumberValue",
    "Area",
    "AreasFile",
    "BillFileRule",
    "ChoiceValue",
    "City",
    "CityFile",
    "Code",
    "Company",
    "DateTimeValue",
    "DateValue",
    "Duration",
    "FamilyRule",
    "FenValue",
    "FileRule",
    "Gateway",
    "MandateRule",
    "MessageRule",
    "PaymentRules",
    "Placeholder",
    "PostingRule",
    "QrPattern",
    "ReconciliationRule",
    "ReferenceValue",
    "Rule",
    "Service",
    "Shape",
    "Template",
    "Text",
    "TextValue",
    "TimeOfDay",
    "Title",
    "TopUpRule",
    "in_force",
]


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
