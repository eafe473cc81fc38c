"""What the shape alone cannot say about ``staff.toml``: nobody grants more than he has, every company has one unit."""

from datetime import timedelta

from cities.checks import unique
from cities.companies import CompaniesFile
from cities.errors import CityPackInvalid
from cities.schema import AreasFile
from cities.staff import StaffFile, StaffRole

LONGEST_CODE = timedelta(minutes=5)
LONGEST_ACTING = timedelta(minutes=15)
"""The database allows no longer card and session either."""


def check_staff(file: str, found: StaffFile, areas: AreasFile, companies: CompaniesFile) -> None:
    """Raises :class:`CityPackInvalid` at the first fault."""
    unique(file, "$.units[{}].code", (unit.code for unit in found.units))
    unique(file, "$.units[{}].name", (unit.name for unit in found.units))
    unique(file, "$.roles[{}].code", (role.code for role in found.roles))
    if found.limits.idle >= found.limits.life:
        raise CityPackInvalid(file, "$.limits.idle", "is shorter than life")
    if max(found.acting.code_life, found.acting.card_life) > LONGEST_CODE or found.acting.life > LONGEST_ACTING:
        raise CityPackInvalid(file, "$.acting", "a code lives at most 5m, acting for somebody at most 15m")
    _check_units(file, found, areas, companies)
    roles = {role.code: role for role in found.roles}
    for index, role in enumerate(found.roles):
        if role.grants and role.duty != "manage":
            raise CityPackInvalid(file, f"$.roles[{index}].grants", "only who manages gives roles")
        for granted in role.grants:
            if granted not in roles:
                raise CityPackInvalid(file, f"$.roles[{index}].grants", f"there is no role {granted}")
    for index, role in enumerate(found.roles):
        for granted in role.grants:
            if roles[granted].duty == "manage" and not _covers(role, roles[granted]):
                raise CityPackInvalid(file, f"$.roles[{index}].grants", f"{granted} may do more than {role.code}")


def _check_units(file: str, found: StaffFile, areas: AreasFile, companies: CompaniesFile) -> None:
    districts = {area.code for area in areas.areas if area.kind == "district"}
    whole = {area.parent for area in areas.areas if area.kind == "district"}
    known = {company.code for company in companies.companies}
    for index, unit in enumerate(found.units):
        path = f"$.units[{index}]"
        if (unit.kind == "company") != (unit.company is not None) or (unit.company or next(iter(known))) not in known:
            raise CityPackInvalid(file, f"{path}.company", "a company's unit, and no other, names one of the companies")
        served = districts | whole if unit.kind == "bureau" else districts
        if (unit.kind in ("hall", "bureau")) != (unit.area is not None) or not served >= ({unit.area} - {None}):
            raise CityPackInvalid(
                file, f"{path}.area", "a hall or a bureau, and no other, names its district; a bureau may be the city's"
            )
    for kind in ("hall", "bureau"):
        # 鄂州工改办〔2023〕11号 二、5: a shared hall in each district at least; and a late promise has a bureau it is told to.
        if lacking := districts - {unit.area for unit in found.units if unit.kind == kind}:
            raise CityPackInvalid(file, "$.units", f"no {kind} in {', '.join(sorted(lacking))}: every district has one")
    of_companies = [unit.company for unit in found.units if unit.company]
    if sorted(of_companies) != sorted(known):
        raise CityPackInvalid(file, "$.units", "every company has exactly one unit")
    if [unit.kind for unit in found.units].count("city") != 1:
        raise CityPackInvalid(file, "$.units", "there is exactly one unit of the city")


def _covers(granter: StaffRole, granted: StaffRole) -> bool:
    return (
        {*granter.permissions} >= {*granted.permissions}
        and {*granter.grants} >= {*granted.grants} - {granter.code}
        and (granter.reach == "all" or granted.reach == "unit")
    )
