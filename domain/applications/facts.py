"""What the answers of a form say of a case: who applies, where, for what, to whom; and the same place however it is written."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cities.forms import at
from cities.schema import City

SERVICES = ("water", "power", "gas", "network")
LETTERS = {"water": "S", "power": "D", "gas": "Q", "network": "W"}
"""What stands behind the number of the case in an order's number."""

_UNITS = "栋单元号楼层室弄巷组"
_NUMERAL = re.compile(f"[零〇一二两三四五六七八九十百]+(?=[{_UNITS}])")
_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is needed of the answers outside of them; None: not said yet. `companies`: (company, service), each once."""

    subject: str | None
    is_organization: bool
    has_agent: bool
    area: str | None
    address: str | None
    mobile: str | None
    services: tuple[str, ...]
    companies: tuple[tuple[str, str], ...]
    distances_m: Mapping[str, int]


def facts_of(city: City, answers: Mapping[str, Any]) -> Facts:
    """Read from checked answers, or from those of a draft."""
    chosen = at(answers, "/services")
    services = tuple(one for one in SERVICES if isinstance(chosen, list) and one in chosen)
    carriers = at(answers, "/network/companies")
    companies: list[tuple[str, str]] = []
    for company in city.joined_companies():
        is_wanted = company.service in services and (
            company.service != "network" or (isinstance(carriers, list) and company.code in carriers)
        )
        if is_wanted:
            companies.append((company.code, company.service))
    distances = {one: at(answers, f"/{one}/distance_m") for one in services}
    return Facts(
        subject=_text(answers, "/applicant/credit_code") or _text(answers, "/applicant/id_number"),
        is_organization=at(answers, "/applicant/kind") in ("enterprise", "government"),
        has_agent=at(answers, "/agent") is not None,
        area=_text(answers, "/site/area"),
        address=_text(answers, "/site/address"),
        mobile=_text(answers, "/contact/mobile"),
        services=services,
        companies=tuple(companies),
        distances_m={one: value for one, value in distances.items() if isinstance(value, int)},
    )


def tidy_address(city: City, area: str, address: str) -> str:
    """One place, one text: without province, city and area, spaces, punctuation, and the ways of writing a number.

    The district stands before it; streets are left to the text, since people choose them wrongly.
    """
    text = "".join(
        one
        for one in unicodedata.normalize("NFKC", address).upper()
        if unicodedata.category(one)[0] in "LN" or one == "-"
    )
    for name in ("湖北省", city.name, *(one.name for one in city.areas.values() if one.code in (area, area[:6]))):
        text = text.removeprefix(name)
    text = re.sub("号楼|幢|座", "栋", text)
    text = _NUMERAL.sub(lambda found: str(_number(found[0])), text)
    text = re.sub("[室房户]$", "", text)
    return f"{area[:6]}:{re.sub(f'(?<=[0-9])[{_UNITS}-]+(?=[0-9])', '-', text)}"


def check_digit(digits: str) -> str:
    """The last digit of a number, so that one wrong digit is seen (Luhn, ISO/IEC 7812-1).

    >>> check_digit("7992739871")
    '3'
    """
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits)))
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def company_letters(city: City) -> dict[str, str]:
    """Company → what stands behind the case's number: its service's letter, with its place where a service has several."""
    found: dict[str, str] = {}
    for service in SERVICES:
        codes = [one.code for one in city.companies.values() if one.service == service]
        for place, code in enumerate(codes, 1):
            found[code] = LETTERS[service] + (str(place) if len(codes) > 1 else "")
    return found


def _text(answers: Mapping[str, Any], pointer: str) -> str | None:
    value = at(answers, pointer)
    return value if isinstance(value, str) and value else None


def _number(numeral: str) -> int:
    """``二十三`` is 23; without a ten it is read digit by digit."""
    if "十" not in numeral and "百" not in numeral:
        return int("".join(str(_DIGITS[one]) for one in numeral))
    total, digit = 0, 0
    for one in numeral:
        if one in _DIGITS:
            digit = _DIGITS[one]
        else:
            total += (digit or 1) * (100 if one == "百" else 10)
            digit = 0
    return total + digit
