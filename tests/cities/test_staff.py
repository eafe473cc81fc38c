"""The table of staff: what is wrong in it is refused, what is right gives nobody more than its rows say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from tests.cities import packs

STAFF = load_city("ezhou").staff


def test_every_company_and_district_has_its_units() -> None:
    kinds = [unit.kind for unit in STAFF.units]
    assert {kind: kinds.count(kind) for kind in kinds} == {"city": 1, "company": 6, "hall": 3, "bureau": 8}


def test_duties_are_apart_and_no_role_exists_everywhere() -> None:
    assert all(role.grants == () for role in STAFF.roles if role.duty != "manage")
    assert all(
        {"staff.manage", "devices.manage"} == {*role.permissions} for role in STAFF.roles if role.duty == "manage"
    )


def test_an_unknown_role_or_one_of_another_kind_of_unit_gives_nothing() -> None:
    city, water = STAFF.unit("city"), STAFF.unit("water")
    assert city is not None
    assert water is not None
    assert STAFF.held(water, ["platform_administrator", "nothing"]) == []
    assert not STAFF.may_grant(water, ["platform_administrator"], water, "administrator")
    assert STAFF.may_grant(city, ["platform_administrator"], water, "administrator")
    assert STAFF.unit("nowhere") is None


def _set(where: str, number: int, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda pack: pack[where][number].__setitem__(name, value)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a unit twice": (_set("units", 2, "code", "water"), "$.units[2].code"),
    "a company without a unit": (lambda pack: pack["units"].pop(1), "$.units"),
    "a unit of no company": (_set("units", 1, "company", "heating"), "$.units[1].company"),
    "a hall nowhere": (_set("units", 7, "area", "420799"), "$.units[7].area"),
    "a district without a hall": (lambda pack: pack["units"].pop(8), "$.units"),
    "a district without a bureau": (lambda pack: pack["units"].pop(10), "$.units"),
    "two cities": (lambda pack: pack["units"].append({"code": "again", "kind": "city", "name": "又一个"}), "$.units"),
    "an unknown permission": (_set("roles", 0, "permissions", ["all"]), "$.roles[0].permissions[0]"),
    "giving an unknown role": (_set("roles", 1, "grants", ["king"]), "$.roles[1].grants"),
    "giving more than one has": (_set("roles", 1, "grants", ["platform_administrator"]), "$.roles[1].grants"),
    "idle longer than life": (lambda pack: pack["limits"].__setitem__("idle", "11h"), "$.limits.idle"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_where_it_stands(tmp_path: Path, fault: str) -> None:
    how, path = FAULTS[fault]
    with pytest.raises(CityPackInvalid) as refused:
        load(packs.change(tmp_path, "staff.toml", how))
    assert (refused.value.file, refused.value.path) == ("staff.toml", path), refused.value.fault
