"""The table of codes is the contract's, row by row."""

import re
from pathlib import Path

from core.outbound import FailureKind
from gateways.company_codes import COMPANY_CODES, CompanyCode

CONTRACT = Path(__file__).parents[2] / "docs" / "company-gateway.md"
ROW = re.compile(r"^\| (E[A-Z]{1,2}[0-9]{4}) \| ([0-9, ]+) \| [^|]+ \| ([a-z]+)([^|]*) \|$", re.MULTILINE)


def test_the_table_in_the_code_is_the_table_in_the_contract() -> None:
    contract = {
        code: CompanyCode(
            frozenset(int(status) for status in statuses.split(",")), FailureKind(kind), alarms="alarm" in more
        )
        for code, statuses, kind, more in ROW.findall(CONTRACT.read_text())
    }
    assert len(contract) == 26
    assert contract == COMPANY_CODES


def test_the_empty_list_is_no_error() -> None:
    assert "EQ0005" not in COMPANY_CODES
