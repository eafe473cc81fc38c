"""The list of companies favours no carrier."""

import random

from api.companies import neutral_order
from cities.loader import load_city

COMPANIES = tuple(load_city("ezhou").companies.values())
CARRIERS = {"telecom_ct", "telecom_cm", "telecom_cu"}


def test_services_keep_their_order_and_carriers_take_turns() -> None:
    chance = random.Random(20261123)
    firsts: dict[str, int] = {}
    for _ in range(300):
        codes = [company.code for company in neutral_order(COMPANIES, chance)]
        assert codes[:3] == ["water", "power", "gas"]
        assert set(codes[3:]) == CARRIERS
        firsts[codes[3]] = firsts.get(codes[3], 0) + 1
    assert set(firsts) == CARRIERS
    assert min(firsts.values()) > 70
