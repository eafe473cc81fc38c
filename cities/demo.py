"""Invented accounts and bills for the sandbox (``demo.json`` of a pack), in the shape ``docs/sandbox.md`` describes.

`accounts` of each company go into the sandbox's configuration as they stand: ``msgspec.to_builtins(demo.companies)``.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cities.errors import CityPackInvalid
from cities.loader import DEMO_FILE, read
from cities.schema import City
from cities.shapes import Code, Shape, Text

Fen = Annotated[int, Meta(ge=0, le=9_999_999_999)]
Quantity = Annotated[str, Meta(pattern=r"\A[0-9]{1,9}(\.[0-9]{1,6})?\Z")]
Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]

_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class DemoLine(Shape, frozen=True, kw_only=True):
    name: Text
    quantity: Quantity
    unit_price: Quantity
    amount_fen: Fen


class DemoReadings(Shape, frozen=True, kw_only=True, omit_defaults=True):
    last: Quantity | None = None
    this: Quantity | None = None
    read_on: Day | None = None
    estimated: bool | None = None


class DemoBill(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A bill as in the company gateway protocol, §4."""

    bill_no: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]
    period: str
    issued_on: Day
    due_on: Day
    status: Literal["open", "paid", "void"]
    principal_fen: Fen
    late_fee_fen: Fen
    payable_fen: Fen
    usage: Quantity | None = None
    unit: Text | None = None
    lines: Annotated[tuple[DemoLine, ...], Meta(min_length=1)]
    readings: DemoReadings | None = None
    household_size: Annotated[int, Meta(ge=1, le=99)] | None = None
    annual_usage_before: Quantity | None = None
    user_class: Code | None = msgspec.field(name="class", default=None)
    late_fee_through: Day | None = None


class DemoAccount(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """`balance_fen` is what was paid in advance; `meter_number` a proof where the company asks for it."""

    number: str
    holder_name: Text
    holder_id_last4: Annotated[str, Meta(pattern=r"\A[0-9]{3}[0-9X]\Z")]
    holder_mobile: Annotated[str, Meta(pattern=r"\A1[3-9][0-9]{9}\Z")]
    address: Text
    address_masked: Text
    status: Literal["open", "frozen", "closed"]
    balance_fen: Fen
    meter_number: Annotated[str, Meta(pattern=r"\A[0-9A-Z]{6,20}\Z")] | None = None
    bills: tuple[DemoBill, ...]


class DemoQuirks(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """How the sandbox plays a company's system. `latency_s`: each answer takes between these; `errors` as in the pack's gateway; `files`: it has
    no interface and exchanges files only."""

    latency_s: tuple[float, float] | None = None
    errors: Literal["inside"] | None = None
    files: bool | None = None


class DemoCompany(Shape, frozen=True, kw_only=True):
    code: Code
    quirks: DemoQuirks = DemoQuirks()
    accounts: Annotated[tuple[DemoAccount, ...], Meta(min_length=1)]


class DemoOrganization(Shape, frozen=True, kw_only=True):
    name: Text
    credit_code: Annotated[str, Meta(pattern=r"\A[0-9A-HJ-NPQRTUWXY]{18}\Z")]
    legal_representative: Text


class DemoPerson(Shape, frozen=True, kw_only=True):
    """Somebody whom the unified identity of the sandbox knows, and the organizations for which he can log in there."""

    person_id: Annotated[str, Meta(pattern=r"\A[a-z][a-z-]{0,29}\Z")]
    name: Text
    id_number: Annotated[str, Meta(pattern=r"\A[0-9]{17}[0-9X]\Z")]
    phone: Annotated[str, Meta(pattern=r"\A1[3-9][0-9]{9}\Z")]
    is_real_name: bool
    organizations: tuple[DemoOrganization, ...]


class Demo(Shape, frozen=True, kw_only=True):
    """`invented` can only be true: no real person's data may ever stand in a pack."""

    invented: bool
    note: Text
    people: tuple[DemoPerson, ...]
    companies: tuple[DemoCompany, ...]


def load_demo(city: City, folder: Path | None = None) -> Demo:
    """The demo data of a city, by default of the pack that comes with us; raises :class:`CityPackInvalid`."""
    demo = read((folder or Path(__file__).parent / city.code) / DEMO_FILE, Demo)
    if not demo.invented:
        raise CityPackInvalid(DEMO_FILE, "$.invented", "demo data is invented")
    _unique("$.people[{}].person_id", [person.person_id for person in demo.people])
    _unique("$.people[{}].id_number", [person.id_number for person in demo.people])
    _unique("$.companies[{}].code", [company.code for company in demo.companies])
    for index, company in enumerate(demo.companies):
        _check_company(city, f"$.companies[{index}]", company)
    return demo


def _check_company(city: City, path: str, found: DemoCompany) -> None:
    company = city.companies.get(found.code)
    if company is None:
        raise CityPackInvalid(DEMO_FILE, f"{path}.code", f"the city has no company {found.code}")
    if (found.quirks.errors == "inside") != (company.gateway.errors == "inside"):
        raise CityPackInvalid(DEMO_FILE, f"{path}.quirks.errors", "is not what companies.toml says of its gateway")
    if bool(found.quirks.files) != (company.gateway.mode == "file"):
        raise CityPackInvalid(DEMO_FILE, f"{path}.quirks.files", "is not what companies.toml says of its gateway")
    _unique(path + ".accounts[{}].number", [account.number for account in found.accounts])
    bill_nos = [bill.bill_no for account in found.accounts for bill in account.bills]
    if len(set(bill_nos)) != len(bill_nos):
        repeated = next(number for number in bill_nos if bill_nos.count(number) > 1)
        raise CityPackInvalid(DEMO_FILE, f"{path}.accounts", f"the bill {repeated} appears twice")
    for index, account in enumerate(found.accounts):
        at = f"{path}.accounts[{index}]"
        if not company.account.fits(account.number):
            raise CityPackInvalid(DEMO_FILE, f"{at}.number", f"{account.number} is no account number of {company.code}")
        _unique(at + ".bills[{}].period", [bill.period for bill in account.bills if bill.status != "void"])
        for position, bill in enumerate(account.bills):
            _check_bill(f"{at}.bills[{position}]", bill)


def _check_bill(path: str, bill: DemoBill) -> None:
    found = _PERIOD.fullmatch(bill.period)
    if found is None:
        raise CityPackInvalid(DEMO_FILE, f"{path}.period", "a period is written YYYY-MM")
    try:
        issued, due = date.fromisoformat(bill.issued_on), date.fromisoformat(bill.due_on)
    except ValueError as error:
        raise CityPackInvalid(DEMO_FILE, f"{path}.issued_on", str(error)) from error
    first = date(int(found[1]), int(found[2]), 1)
    if issued < (first + timedelta(days=31)).replace(day=1):
        raise CityPackInvalid(DEMO_FILE, f"{path}.issued_on", "a bill is issued after its period")
    if due < issued:
        raise CityPackInvalid(DEMO_FILE, f"{path}.due_on", "a bill is due after it is issued")
    for index, line in enumerate(bill.lines):
        exact = Decimal(line.quantity) * Decimal(line.unit_price) * 100
        if int(exact.quantize(Decimal(1), ROUND_HALF_UP)) != line.amount_fen:
            fault = f"quantity times unit price is {exact.normalize():f} fen"
            raise CityPackInvalid(DEMO_FILE, f"{path}.lines[{index}].amount_fen", fault)
    total = sum(line.amount_fen for line in bill.lines)
    if total != bill.principal_fen:
        raise CityPackInvalid(DEMO_FILE, f"{path}.principal_fen", f"the lines add up to {total} fen")
    total += bill.late_fee_fen
    if total != bill.payable_fen:
        raise CityPackInvalid(DEMO_FILE, f"{path}.payable_fen", f"principal and late fee are {total} fen")


def _unique(path: str, values: Sequence[str]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise CityPackInvalid(DEMO_FILE, path.format(index), f"{value} appears twice")
