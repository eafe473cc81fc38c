"""Alipay's codes as data: every one says whose fault it is, one that is not in the table is loud."""

import re
from pathlib import Path

import pytest
import structlog

from core.outbound import FailureKind
from payments.providers.alipay.codes import (
    BILL_NOT_EXIST,
    CODES,
    NOT_IN_THIS_STATE,
    SUB_CODES,
    SUCCESS,
    TRADE_NOT_EXIST,
    kind_of,
)

SANDBOX = Path(__file__).parents[3] / "sandbox"
_CODE = re.compile(r"\A[0-9]{5}\Z")
_SUB_CODE = re.compile(r"\A(isv|isp|aop)\.[a-z0-9_-]+\Z|\AACQ\.[A-Z_]+\Z|\Ainvalid_arguments\Z")


@pytest.mark.parametrize("code", list(CODES))
def test_a_code_decides_when_there_is_no_sub_code(code: str) -> None:
    assert _CODE.match(code)
    assert kind_of(code, None) is CODES[code]


@pytest.mark.parametrize("sub_code", list(SUB_CODES))
def test_a_sub_code_decides_whatever_the_code(sub_code: str) -> None:
    assert _SUB_CODE.match(sub_code)
    assert kind_of("40004", sub_code) is kind_of("20000", sub_code) is SUB_CODES[sub_code]


@pytest.mark.parametrize(("code", "sub_code"), [("40004", "ACQ.NEVER_SEEN"), ("49999", None)])
def test_one_that_is_not_in_the_table_is_unknown_and_loud(code: str, sub_code: str | None) -> None:
    with structlog.testing.capture_logs() as logs:
        assert kind_of(code, sub_code) is FailureKind.UNKNOWN
    assert [(line["event"], line["log_level"]) for line in logs] == [("alipay.code_unknown", "error")]


def test_a_fault_of_ours_is_loud_and_an_ordinary_refusal_is_not() -> None:
    with structlog.testing.capture_logs() as logs:
        kind_of("40002", "isv.invalid-signature")
        kind_of("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH")
    assert [line["event"] for line in logs] == ["alipay.code_technical"]


def test_success_is_no_failure_and_what_the_client_asks_for_by_name_is_known() -> None:
    assert SUCCESS not in CODES
    assert NOT_IN_THIS_STATE | {TRADE_NOT_EXIST, BILL_NOT_EXIST} <= SUB_CODES.keys()


def test_whatever_the_sandbox_refuses_with_is_known() -> None:
    source = "".join(path.read_text() for path in SANDBOX.glob("alipay*.py"))
    stated = set(re.findall(r'"((?:isv|isp|aop)\.[a-z_-]+|ACQ\.[A-Z_]+)"', source))
    stated |= {f"ACQ.{name}" for name in re.findall(r'business\("([A-Z_]+)"', source)}
    stated |= {
        f"isv.missing-{name}"
        for name in ("signature", "signature-type", "app-id", "method", "timestamp", "version", "charset")
    }
    stated |= {f"isv.invalid-{name}" for name in re.findall(r'invalid\("([a-z-]+)"', source)}
    assert len(stated) > 20
    assert stated <= SUB_CODES.keys()
