"""Codes mean the same with and without underscores."""

import pytest

from core.outbound import FailureKind
from payments.providers.wechat_pay.codes import CODES, canonical, kind_of


@pytest.mark.parametrize("code", list(CODES))
def test_both_spellings_and_either_case_are_known(code: str) -> None:
    plain = code.replace("_", "")
    assert canonical(code) == canonical(plain) == canonical(plain.lower()) == code
    assert kind_of(plain) is CODES[code]


def test_no_two_codes_share_a_spelling() -> None:
    assert len({code.replace("_", "") for code in CODES}) == len(CODES)


def test_a_code_outside_the_table_stays_as_it_came_and_is_unknown() -> None:
    assert canonical("NEVER_SEEN") == "NEVER_SEEN"
    assert kind_of("NEVER_SEEN") is FailureKind.UNKNOWN
