"""Scanned texts of others: recognised or refused like any wrong code, never fetched, and nothing is shown without a proof."""

import msgspec
import pytest

from cities.loader import load_city
from cities.qr_checks import MAX_TEXT
from cities.schema import QrPattern
from domain.billing.foreign import Candidate, number_in, recognised
from models.utility_account import UtilityAccount
from tests.harness.spine import WATER, Spine

CITY = load_city("ezhou")
ALL = CITY.companies.values()


def test_a_plain_number_and_an_address_lead_to_their_company() -> None:
    assert recognised([CITY.company("water")], "0203001234") == (Candidate("water", "0203001234"),)
    assert recognised(ALL, "https://water.example/pay?account=0203001234") == (Candidate("water", "0203001234"),)
    assert recognised(ALL, "https://gas.example/u/Q20301234") == (Candidate("gas", "Q20301234"),)
    assert Candidate("water", "0203001234").number_masked == "******1234"


@pytest.mark.parametrize(
    ("text", "companies"),
    [
        ("4200012345678", {"power"}),
        ("0012345678", {"water", "power"}),
        ("Q20301234", {"gas"}),
        ("07110012345678", {"telecom_ct", "telecom_cu"}),
        ("13800000001", {"telecom_ct", "telecom_cm", "telecom_cu"}),
        ("https://power.example/bill/4200012345678?month=202610", {"power"}),
        ("https://ct.example/pay?no=07110012345678", {"telecom_ct"}),
        ("https://cm.example/pay?no=13800000002", {"telecom_cm"}),
        ("https://cu.example/pay?no=07110087654321", {"telecom_cu"}),
        ("420001234567", set()),
        ("42000123456789", set()),
        ("https://power.example/bill/420001234567", set()),
        ("https://cu.example/pay?no=07110087654321&no=1", set()),
        ("12800000001", set()),
    ],
)
def test_every_company_s_own_codes_are_known_and_doubtful_ones_name_all_who_may_be_meant(
    text: str, companies: set[str]
) -> None:
    assert {one.company for one in recognised(ALL, text)} == companies


def test_several_companies_are_listed_in_an_order_that_favours_none() -> None:
    mobiles = [f"1380000{tail:04}" for tail in range(200)]
    firsts: dict[str, int] = {}
    for mobile in mobiles:
        found = recognised(ALL, mobile)
        assert {one.company for one in found} == {"telecom_ct", "telecom_cm", "telecom_cu"}
        assert found == recognised(reversed(list(ALL)), mobile), "the same code, the same list"
        firsts[found[0].company] = firsts.get(found[0].company, 0) + 1
    assert min(firsts.values()) > 40
    assert {one.company for one in recognised(ALL, "0203001234")} == {"water", "power"}


def test_a_company_is_listed_once_however_many_of_its_patterns_fit() -> None:
    again = QrPattern(pattern="^(?P<number>[0-9]{8,10})$", example="0203001234", source="某处")
    water = msgspec.structs.replace(CITY.company("water"), qr=(again, *CITY.company("water").qr))
    assert recognised([water], "0203001234") == (Candidate("water", "0203001234"),)
    assert recognised([water], "02030012") == (), "no account number of this company"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "０２０３００１２３４",
        "0203001234\n",
        "https://wаter.example/pay?account=0203001234",
        "0" * (MAX_TEXT + 1),
    ],
)
def test_anything_else_is_nobody_s(text: str) -> None:
    assert recognised(ALL, text) == ()
    assert all(number_in(company, text) is None for company in ALL)


async def test_a_code_of_ours_is_never_taken_for_another_s(spine: Spine) -> None:
    quotes, address = spine.services.quotes, spine.services.settings.public_url
    token = await spine.qr(await spine.account(4199))
    for text in (token, f"{address}/q/{token}", "A" * 32, f"{address}/q/0203001234"):
        assert quotes.foreign(text) == ()


async def test_recognising_asks_nobody_and_knows_nothing(spine: Spine) -> None:
    number = await spine.account(4199)
    assert spine.services.quotes.foreign(f"https://water.example/pay?account={number}") == (Candidate(WATER, number),)
    assert set(spine.services.quotes.foreign(number)) == {Candidate(WATER, number), Candidate("power", number)}
    assert await spine.calls(f"company:{WATER}", "find_account") == {}
    assert await spine.calls(f"company:{WATER}", "query_bills") == {}
    assert await UtilityAccount.all().count() == 0


async def test_an_account_is_added_with_the_scanned_text_and_its_proof(spine: Spine) -> None:
    citizen, number = await spine.citizen(), await spine.account(4199)
    typed = await spine.bind(citizen, number)
    scanned = await spine.services.accounts.bind(
        citizen.caller, WATER, f"https://water.example/pay?account={number}&from=bill", "123X", None
    )
    assert scanned.id == typed.id
