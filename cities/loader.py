"""Reads and checks a city pack. A pack that loads can be used without doubt; any fault is one `CityPackInvalid`.

TOML was chosen over JSON because the staff of a city edit these files: it has comments and dates, and the format itself
refuses a key given twice.
"""

import json
import re
import tomllib
import unicodedata
from collections import defaultdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from cities import (
    checks,
    fee_checks,
    form_checks,
    holidays,
    material_checks,
    message_checks,
    promise_checks,
    qr_checks,
    staff_checks,
    tariff_checks,
)
from cities.applications import ApplicationsFile, check_applications
from cities.companies import CompaniesFile
from cities.crews import CrewsFile, check_crews
from cities.errors import CityPackInvalid
from cities.fees import FeesFile
from cities.forms import Form, FormFile
from cities.materials import MaterialsFile
from cities.message_texts import Message, MessagesFile
from cities.paying import PaymentsFile
from cities.promises import PromisesFile
from cities.retention import RetentionFile, check_retention
from cities.schema import AreasFile, City, CityFile
from cities.shapes import Duration, TimeOfDay
from cities.staff import StaffFile
from cities.tariffs import Tariff, TariffsFile

FILES = (
    "city.toml",
    "areas.toml",
    "companies.toml",
    "payments.toml",
    "fees.toml",
    "promises.toml",
    "tariffs.toml",
    "staff.toml",
    "materials.toml",
    "applications.toml",
    "crews.toml",
    "retention.toml",
    "messages.toml",
)
DEMO_FILE = "demo.json"
FORMS = "forms"
"""The folder of forms, one JSON file per version."""

T = TypeVar("T")

_CITY_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_AT = re.compile(r"(?P<fault>.*) - at `(?P<path>[^`]*)`", re.DOTALL)


def load_city(code: str) -> City:
    """The pack that comes with us under this code; raises :class:`CityPackInvalid`."""
    if _CITY_CODE.fullmatch(code) is None:
        raise CityPackInvalid(code, "$", "is no code of a city")
    return load(Path(__file__).parent / code)


def load(folder: Path) -> City:
    """The pack in `folder`, which is named like the city's code; raises :class:`CityPackInvalid`."""
    if not folder.is_dir():
        raise CityPackInvalid(folder.name, "$", "there is no such city pack")
    for path in sorted(folder.iterdir()):
        if path.suffix in (".toml", ".json") and path.name not in (*FILES, DEMO_FILE):
            raise CityPackInvalid(path.name, "$", "no file of this name is known")
    city = read(folder / "city.toml", CityFile)
    areas = read(folder / "areas.toml", AreasFile)
    companies = read(folder / "companies.toml", CompaniesFile)
    payments = read(folder / "payments.toml", PaymentsFile)
    fees = read(folder / "fees.toml", FeesFile)
    promises = read(folder / "promises.toml", PromisesFile)
    schedules = holidays.read_schedules(folder, read)
    tariffs = read(folder / "tariffs.toml", TariffsFile)
    staff = read(folder / "staff.toml", StaffFile)
    materials = read(folder / "materials.toml", MaterialsFile)
    applications = read(folder / "applications.toml", ApplicationsFile)
    crews = read(folder / "crews.toml", CrewsFile)
    retention = read(folder / "retention.toml", RetentionFile)
    messages = read(folder / "messages.toml", MessagesFile)
    if city.code != folder.name:
        raise CityPackInvalid("city.toml", "$.code", f"{city.code} is not the name of the folder, {folder.name}")
    checks.check_areas("areas.toml", city, areas)
    checks.check_companies("companies.toml", companies)
    qr_checks.check_qr("companies.toml", companies)
    forms = _forms(folder, areas, companies)
    checks.check_payments("payments.toml", payments)
    fee_checks.check_fees("fees.toml", companies, fees)
    promise_checks.check_promises("promises.toml", promises, staff)
    tariff_checks.check_tariffs("tariffs.toml", companies, tariffs)
    staff_checks.check_staff("staff.toml", staff, areas, companies)
    material_checks.check_materials("materials.toml", materials, forms["application"])
    check_applications("applications.toml", applications, {one.code: one for one in companies.companies})
    check_crews("crews.toml", crews)
    check_retention("retention.toml", retention)
    message_checks.check_messages("messages.toml", messages)
    return City(
        code=city.code,
        name=city.name,
        short_name=city.short_name,
        area_code=city.area_code,
        time_zone=city.time_zone,
        code_page=city.code_page,
        areas=MappingProxyType({area.code: area for area in areas.areas}),
        companies=MappingProxyType({company.code: company for company in companies.companies}),
        payments=payments,
        fees=fees,
        promises=promises,
        schedules=schedules,
        tariffs=MappingProxyType(_timelines(tariffs)),
        staff=staff,
        forms=MappingProxyType(forms),
        materials=materials,
        applications=applications,
        crews=crews,
        retention=retention,
        values=MappingProxyType(messages.values),
        templates=MappingProxyType(messages.templates),
        official_templates=MappingProxyType(messages.official_templates),
        sms_templates=MappingProxyType(messages.sms_templates),
        messages=MappingProxyType(_versions(messages)),
        audiences=MappingProxyType(messages.audiences),
        told=MappingProxyType({told.kind: told for told in messages.told}),
        silent=MappingProxyType({edge.kind: edge for edge in messages.silent if edge.kind is not None}),
        silent_edges=MappingProxyType({name: edge.reason for edge in messages.silent for name in edge.edges}),
    )


def read(path: Path, shape: type[T]) -> T:
    """A TOML or JSON file in its shape; raises :class:`CityPackInvalid`, also for a key given twice."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text, object_pairs_hook=_without_duplicates)
    except FileNotFoundError as error:
        raise CityPackInvalid(path.name, "$", "the file is missing") from error
    except (ValueError, RecursionError) as error:
        raise CityPackInvalid(path.name, "$", f"cannot be read: {error}") from error
    _refuse_control_characters(path.name, "$", raw)
    try:
        return msgspec.convert(raw, shape, dec_hook=_decode)
    except msgspec.ValidationError as error:
        found = _AT.fullmatch(str(error))
        fault, at = (found["fault"], found["path"]) if found is not None else (str(error), "$")
        raise CityPackInvalid(path.name, at, fault) from error


def _forms(folder: Path, areas: AreasFile, companies: CompaniesFile) -> dict[str, tuple[Form, ...]]:
    carriers = frozenset(company.code for company in companies.companies if company.service == "network")
    names: defaultdict[str, list[Form]] = defaultdict(list)
    for path in sorted((folder / FORMS).iterdir()) if (folder / FORMS).is_dir() else ():
        where = f"{FORMS}/{path.name}"
        try:
            file = form_checks.expanded(read(path, FormFile), areas.areas)
        except CityPackInvalid as error:
            raise CityPackInvalid(where, error.path, error.fault) from error
        form_checks.check_form(where, file)
        names[file.name].append(Form(file, carriers))
    for name, forms in names.items():
        forms.sort(key=lambda form: form.version)
        form_checks.check_versions(name, forms)
    if "application" not in names:
        raise CityPackInvalid(FORMS, "$", "there is no form application-1.json")
    return {name: tuple(forms) for name, forms in names.items()}


def _versions(found: MessagesFile) -> dict[str, tuple[Message, ...]]:
    kinds: defaultdict[str, list[Message]] = defaultdict(list)
    for message in found.messages:
        kinds[message.kind].append(message)
    return {kind: tuple(versions) for kind, versions in kinds.items()}


def _timelines(found: TariffsFile) -> dict[tuple[str, str], tuple[Tariff, ...]]:
    classes: defaultdict[tuple[str, str], list[Tariff]] = defaultdict(list)
    for tariff in found.tariffs:
        classes[tariff.company, tariff.user_class].append(tariff)
    return {key: tuple(versions) for key, versions in classes.items()}


def _decode(wanted: type, raw: Any) -> Any:
    if wanted is Duration and isinstance(raw, str):
        return Duration.parse(raw)
    if wanted is TimeOfDay and isinstance(raw, str):
        return TimeOfDay.parse(raw)
    raise ValueError(f"a length of time is written like 15s, 10m, 2h or 30d, not {raw!r}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} is given twice")
        found[key] = value
    return found


def _refuse_control_characters(file: str, path: str, raw: Any) -> None:
    """U+0000 would only fail later, in the database; a line break or tab in the middle of a message to a person."""
    if isinstance(raw, str):
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in raw) or raw != raw.strip():
            raise CityPackInvalid(file, path, "has a control character, or a space at its edge")
    elif isinstance(raw, dict):
        for key, value in raw.items():
            _refuse_control_characters(file, f"{path}.{key}", value)
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            _refuse_control_characters(file, f"{path}[{index}]", value)
