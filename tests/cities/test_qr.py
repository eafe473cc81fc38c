"""Patterns of foreign codes: only a small language passes, and what passes recognises exactly its own codes, at once."""

import time
from pathlib import Path

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from cities.qr_checks import MAX_TEXT, hostile, qr_fault
from cities.schema import Company, QrPattern
from tests.cities import packs

CITY = load_city("ezhou")
WATER = CITY.company("water")
PLAIN, ADDRESS = WATER.qr


def fault(pattern: str, example: str = "0203001234") -> str | None:
    return qr_fault(QrPattern(pattern=pattern, example=example, source="某处"), WATER)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?P<number>[0-9]{10})", "begins with ^"),
        ("^[0-9]{10}$", "one group (?P<number>"),
        ("^(?P<number>[0-9]{10})(?P<number>[0-9])$", "one group (?P<number>"),
        ("^(?P<number>[0-9]+)$", "'+' at 18 is not allowed"),
        ("^(?P<number>[0-9]*)$", "'*' at"),
        ("^(?P<number>.{10})$", "'.' at"),
        (r"^(?P<number>\d{10})$", r"'\\' at"),
        ("^(?P<number>[^x]{10})$", "'[' at"),
        ("^(?P<number>[０-９]{10})$", "'[' at"),
        ("^(?P<number>[0-9]{10,})$", "'{' at"),
        ("^(?P<number>[0-9]{10}){1,9}$", "only a character or a class is repeated"),
        ("^(?P<number>[0-9]{1,9}{1,9})$", "only a character or a class is repeated"),
        ("^(?:(?:[0-9]{1,9}){1,9}(?P<number>[0-9]))$", "only a character or a class is repeated"),
        ("^(?P<number>[0-9]{65})$", "at most 64 times"),
        ("^(?P<number>[0-9]{9,3})$", "only a character"),
        ("^(?P<number>[0-9]{1,9}[0-9]{1,9}[0-9]{1,9})$", "more than 2 repetitions"),
        ("^(?P<number>[0-9]{10})|x$", "alternatives stand in brackets"),
        ("^x)(?P<number>[0-9]{10}$", "brackets come in pairs"),
        ("^(?P<number>[0-9]{10}$", "brackets come in pairs"),
        ("^(?=x)(?P<number>[0-9]{10})$", "'(' at"),
        ("^(?P<number>[0-9]{10})(?P=number)$", "'(' at"),
        ("^(?P<number>[0-9]{9})$", "does not fit its own example"),
        ("^(?P<number>[0-9]{4})[0-9]{6}$", "no account number of water"),
        ("^https://(?:water[.]example|evil[.]example)/(?P<number>[0-9]{10})$", "an address is written out"),
        ("^https://[a-z]{1,9}[.]example/(?P<number>[0-9]{10})$", "an address is written out"),
        ("^https://water[.]example(?:/|@)(?P<number>[0-9]{10})$", "an address is written out"),
        ("^[a-z]{1,9}://water[.]example/(?P<number>[0-9]{10})$", "an address is written out"),
        ("^(?P<number>[0-9]{10})" + "x" * 200 + "$", "at most 200 characters"),
    ],
)
def test_everything_else_is_refused(pattern: str, said: str) -> None:
    found = fault(pattern)
    assert found is not None
    assert said in found


def test_a_fault_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(CityPackInvalid) as refused:
        load(packs.change(tmp_path, "companies.toml", packs.put("companies.0.qr.1.pattern", "^(?P<number>[0-9]+)$")))
    assert (refused.value.file, refused.value.path) == ("companies.toml", "$.companies[0].qr[1].pattern")


def test_the_slowest_that_is_allowed_is_fast() -> None:
    pattern = "^(?P<number>[0-9]{1,64}[0-9]{1,64})(?:0|00|000|0000|00000|000000|0000000|00000000)x$"
    slow = QrPattern(pattern=pattern, example="0203001234" + "0x", source="某处")
    began = time.thread_time()
    for text in hostile(slow.example):
        slow.number(text)
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("company", CITY.companies.values(), ids=lambda company: company.code)
def test_the_patterns_of_the_pack_fit_their_examples_and_no_hostile_text(company: Company) -> None:
    for code in company.qr:
        number = code.number(code.example)
        assert number is not None
        assert company.account.fits(number)
        for text in hostile(code.example):
            assert len(text) <= MAX_TEXT
            assert (found := code.number(text)) is None or company.account.fits(found)


@pytest.mark.parametrize(
    "text",
    [
        "https://water.example/pay?account=0203001234&from=bill\n",
        "https://water.example/pay?account=0203001234&from=bill ",
        " https://water.example/pay?account=0203001234",
        "https://water.example/pay?account=０２０３００１２３４",
        "https://waterxexample/pay?account=0203001234",
        "https://wаter.example/pay?account=0203001234",  # Cyrillic а
        "https://water。example/pay?account=0203001234",
        "https://water.example.evil.example/pay?account=0203001234",
        "https://water.example@evil.example/pay?account=0203001234",
        "https://evil.example/https://water.example/pay?account=0203001234",
        "https://water.example\\@evil.example/pay?account=0203001234",
        "https://water.example:444/pay?account=0203001234",
        "http://water.example/pay?account=0203001234",
        "javascript://water.example/pay?account=0203001234",
        "https://water.example/pay?account=0203001234&account=0203005678",
        "https://water.example/pay?account=02030012345",
        "https://water.example/pay?account=0203001234\0",
    ],
)
def test_what_only_looks_like_the_company_s_address_is_not_its_code(text: str) -> None:
    assert (PLAIN.number(text), ADDRESS.number(text)) == (None, None)


@pytest.mark.parametrize(
    "text", ["0203001234\n", "０２０３００１２３４", "0203001234 ", "٠٢٠٣٠٠١٢٣٤", "020300123", "0203001234\r\n", ""]
)
def test_a_plain_number_is_its_digits_and_nothing_else(text: str) -> None:
    assert PLAIN.number(text) is None
    assert PLAIN.number("0203001234") == "0203001234"
