"""One place is one text however it is written, and a case's number shows a wrong digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cities.loader import load_city
from domain.applications.facts import check_digit, company_letters, facts_of, tidy_address
from tests.cities.answers import FACTORY, PERSON

CITY = load_city("ezhou")


@pytest.mark.parametrize(
    "written",
    [
        "滨湖南路18号3栋201", "湖北省鄂州市鄂城区滨湖南路１８号 3 栋 201 室", "鄂城区 滨湖南路18号，三幢201", "滨湖南路十八号3号楼201房", "滨湖南路18-3-201",
    ],
    ids=["plain", "with the city", "numerals", "numerals of the house", "dashes"],
)  # fmt: skip
def test_one_place_is_one_text(written: str) -> None:
    assert tidy_address(CITY, "420704001", written) == tidy_address(CITY, "420704002", "滨湖南路18号3栋201")


@pytest.mark.parametrize("other", ["滨湖南路18号3栋202", "滨湖南路183栋201", "滨湖北路18号3栋201"])
def test_other_places_are_other_texts(other: str) -> None:
    assert tidy_address(CITY, "420704001", other) != tidy_address(CITY, "420704001", "滨湖南路18号3栋201")
    assert tidy_address(CITY, "420703100", other) != tidy_address(CITY, "420704001", other)


@given(st.text(alphabet="0123456789", min_size=2, max_size=20), st.data())
def test_one_wrong_digit_is_seen(digits: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != digits[place]]))
    assert check_digit(digits[:place] + wrong + digits[place + 1 :]) != check_digit(digits)


def test_companies_follow_from_services_and_the_chosen_carriers() -> None:
    assert [company for company, _ in facts_of(CITY, PERSON).companies] == ["water", "telecom_ct", "telecom_cm"]
    factory = facts_of(CITY, FACTORY)
    assert factory.companies == (("water", "water"), ("power", "power"), ("gas", "gas"), ("telecom_cu", "network"))
    assert factory.distances_m == {"water": 420, "power": 420, "gas": 420}
    assert facts_of(CITY, {"services": "gas", "network": []}).companies == (), "whatever a draft holds"


def test_every_company_has_letters_of_its_own() -> None:
    letters = company_letters(CITY)
    assert len(set(letters.values())) == len(CITY.companies)
    assert {code: letters[code] for code in ("water", "telecom_cm")} == {"water": "S", "telecom_cm": "W2"}
