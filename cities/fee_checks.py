"""What the shapes alone cannot say about ``fees.toml``: every service has one rule for every day, bands rise, charges have a company.

Raises :class:`CityPackInvalid` at the first fault.
"""

from decimal import Decimal
from itertools import pairwise
from typing import get_args

from cities.checks import check_days, unique
from cities.companies import CompaniesFile
from cities.errors import CityPackInvalid
from cities.fees import FeesFile
from cities.shapes import Service


def check_fees(file: str, companies: CompaniesFile, found: FeesFile) -> None:
    """Who bears what is said for every service and day; a charge is published once at a time, by a company of the city."""
    for name in ("company", "by_rule"):
        if "{company}" not in getattr(found.words, name):
            raise CityPackInvalid(file, f"$.words.{name}", "says which company: {company}")
    for service in get_args(Service):
        check_days(file, f"$.bearer ({service})", [rule for rule in found.bearer if rule.service == service])
    for index, rule in enumerate(found.bearer):
        path = f"$.bearer[{index}]"
        unique(file, path + ".bands[{}].code", [*(band.code for band in rule.bands), rule.otherwise.code])
        if rule.bands and rule.service != "power":
            raise CityPackInvalid(file, f"{path}.bands", "only power is borne by kilowatts")
        for smaller, larger in pairwise(rule.bands):
            if Decimal(larger.up_to_kw) <= Decimal(smaller.up_to_kw):
                raise CityPackInvalid(file, f"{path}.bands", "bands rise")
    known = {company.code for company in companies.companies}
    for index, charge in enumerate(found.charges):
        path = f"$.charges[{index}]"
        if charge.company not in known:
            raise CityPackInvalid(file, f"{path}.company", f"the city has no company {charge.company}")
        for earlier in found.charges[:index]:
            ends = earlier.effective_to
            if earlier.code == charge.code and (ends is None or ends >= charge.effective_from):
                raise CityPackInvalid(file, path, f"{charge.code} has two prices from {charge.effective_from}")
