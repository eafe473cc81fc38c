"""A fault in the demo data is refused: what the sandbox shows has to add up."""

from pathlib import Path

import pytest

from cities.demo import load_demo
from cities.errors import CityPackInvalid
from cities.loader import load
from tests.cities.packs import Fault, again, change, copy, put

BILL = "companies.0.accounts.0.bills.0"
AT_BILL = "$.companies[0].accounts[0].bills[0]"


@pytest.mark.parametrize(
    ("fault", "path", "words"),
    [
        (put("invented", False), "$.invented", "demo data is invented"),
        (put("companies.0.code", "heating"), "$.companies[0].code", "no company heating"),
        (again("companies"), "$.companies[6].code", "water appears twice"),
        (
            put("companies.0.accounts.0.number", "123"),
            "$.companies[0].accounts[0].number",
            "no account number of water",
        ),
        (put("companies.0.accounts.1.number", "0203001234"), "$.companies[0].accounts[1].number", "appears twice"),
        (put("companies.0.accounts.0.holder_id_last4", "00X2"), "$.companies[0].accounts[0].holder_id_last4", "regex"),
        (put("companies.0.accounts.0.holder_mobile", "12345"), "$.companies[0].accounts[0].holder_mobile", "regex"),
        (put("companies.0.accounts.0.status", "asleep"), "$.companies[0].accounts[0].status", "enum"),
        (put(f"{BILL}.bill_no", "W202609-0001"), "$.companies[0].accounts", "W202609-0001 appears twice"),
        (put(f"{BILL}.period", "2026-09"), "$.companies[0].accounts[0].bills[1].period", "2026-09 appears twice"),
        (put(f"{BILL}.period", "2026-13"), f"{AT_BILL}.period", "YYYY-MM"),
        (put(f"{BILL}.issued_on", "2026-02-30"), f"{AT_BILL}.issued_on", "day is out of range"),
        (put(f"{BILL}.issued_on", "2026-10-31"), f"{AT_BILL}.issued_on", "after its period"),
        (put(f"{BILL}.due_on", "2026-10-31"), f"{AT_BILL}.due_on", "after it is issued"),
        (put(f"{BILL}.lines.0.amount_fen", 2585), f"{AT_BILL}.lines[0].amount_fen", "is 2584 fen"),
        (put(f"{BILL}.principal_fen", 4661), f"{AT_BILL}.principal_fen", "add up to 4660"),
        (put(f"{BILL}.late_fee_fen", 1), f"{AT_BILL}.payable_fen", "are 4661 fen"),
        (put(f"{BILL}.payable_fen", 46.6), f"{AT_BILL}.payable_fen", "Expected `int`"),
        (put(f"{BILL}.owner", "x"), AT_BILL, "unknown field `owner`"),
    ],
)
def test_a_fault_in_the_demo_data_is_named(tmp_path: Path, fault: Fault, path: str, words: str) -> None:
    pack = change(tmp_path, "demo.json", fault)

    with pytest.raises(CityPackInvalid) as caught:
        load_demo(load(pack), pack)

    assert (caught.value.file, caught.value.path) == ("demo.json", path)
    assert words in caught.value.fault


def test_a_json_key_given_twice_is_refused(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    path = pack / "demo.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"invented": true', '"invented": true, "invented": true'),
        encoding="utf-8",
    )

    with pytest.raises(CityPackInvalid, match="invented is given twice"):
        load_demo(load(pack), pack)
