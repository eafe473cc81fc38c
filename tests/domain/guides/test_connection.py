"""The guide says what the rules that run the cases do, and changes with them."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cities.loader import load, load_city
from cities.schema import City
from domain.deadlines.calendars import Calendars
from domain.deadlines.clocks import Deadlines
from domain.fees.bearing import Fees
from domain.fees.units import Kilowatts
from domain.guides.connection import Asked, Guides
from tests.cities import packs

CITY = load_city("ezhou")
ON = date(2026, 11, 23)


def test_whoever_tells_nothing_sees_every_class() -> None:
    parts = Guides(CITY).connection(Asked(), ON)
    assert [part.service for part in parts] == ["water", "power", "gas", "network"]
    assert [(term.up_to_m, term.days) for term in parts[0].terms] == [(500, 3), (1000, 5), (None, None)]
    assert [(cost.up_to_kw, cost.applicant_fen) for cost in parts[1].costs] == [("160", 0), ("220", 0), (None, None)]
    assert "您选择的运营商" in parts[3].costs[0].words, "no carrier is named before another"
    assert all(part.charges == () for part in parts), "nothing is published yet"


@pytest.mark.parametrize(("distance_m", "kw"), [(0, 1), (500, 160), (501, 161), (1000, 220), (1001, 221)])
def test_the_guide_says_what_the_case_will_be_told(distance_m: int, kw: int) -> None:
    (part,) = Guides(CITY).connection(Asked(("power",), distance_m, Decimal(kw)), ON)
    (term,), (cost,) = part.terms, part.costs
    if distance_m <= 1000:
        promise = Deadlines(CITY, Calendars(CITY.schedules)).promise(distance_m, ON)
        assert (term.days, term.code, term.clause) == promise
    else:
        assert term.days is None
    borne = Fees(CITY).bearer("power", Kilowatts(Decimal(kw)), ON)
    assert (cost.bearer, cost.applicant_fen, cost.clause) == (
        borne.bearing.bearer,
        borne.applicant_fen,
        borne.clause,
    )


def test_a_pushed_project_is_done_the_same_day() -> None:
    (part,) = Guides(CITY).connection(Asked(("water",), 5000, pushed=True), ON)
    assert [(term.days, term.words) for term in part.terms] == [(0, "当天办结")]


def test_changing_a_rule_changes_the_guide(tmp_path: Path) -> None:
    city = load(packs.change(tmp_path, "promises.toml", packs.put("distance.0.bands.0.days", 2)))
    (part,) = Guides(city).connection(Asked(("gas",), 420), ON)
    assert [(term.days, term.words) for term in part.terms] == [(2, "2个工作日内办结")]


def test_the_papers_are_those_the_application_will_ask_for(tmp_path: Path) -> None:
    def papers(city: City, **known: Any) -> dict[str, bool]:
        (part,) = Guides(city).connection(Asked(("water",), **known), ON)
        return {paper.code: paper.conditional for paper in part.papers}

    person = papers(CITY, applicant="person")
    assert person["id_card"] is False
    assert "business_licence" not in person
    assert papers(CITY, applicant="enterprise")["business_licence"] is False
    assert papers(CITY)["id_card"] is True, "it depends on who applies"
    assert papers(CITY, pushed=True) == {}
    assert set(person) <= {paper.code for paper in CITY.materials.papers}
    dropped = packs.change(tmp_path, "materials.toml", packs.put("requirements.0.services", ["gas"]))
    assert "id_card" not in papers(load(dropped), applicant="person")
