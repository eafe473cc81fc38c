"""An old system answers 200 with an error inside: read as the error it is, where the pack says so, and nowhere else."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from core.outbound import FailureKind, MalformedAnswer, NotSent, OutcomeUnknown
from gateways.companies import CompanyGateway, CompanyRefusal, Posting, PostingBill, Refused
from tests.gateways.company import NUMBER, FakeCompany, Reply, account, bill, json_reply

POSTING = Posting(
    "p-1", NUMBER, "Q-1", 4660, (PostingBill("W1", 4660),), datetime(2026, 11, 23, tzinfo=UTC), "wechat_pay", "19", "42"
)


def error(code: str, **more: Any) -> Reply:
    return json_reply(200, {"code": code, "message": "系统超时"}, **more)


@pytest.fixture
def company() -> FakeCompany:
    return FakeCompany()


@pytest.fixture
def gateway(company: FakeCompany) -> CompanyGateway:
    return company.gateway(errors_inside=True)


async def test_a_success_is_a_success(company: FakeCompany, gateway: CompanyGateway) -> None:
    company.replies(json_reply(200, {"account": account(), "bills": [bill()]}))
    assert [one.bill_no for one in (await gateway.query_bills(NUMBER, "view")).bills] == ["W202610-0001"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [("EQ0006", FailureKind.PERMANENT), ("EQ0007", FailureKind.TEMPORARY), ("EQ0001", FailureKind.TECHNICAL)],
)
async def test_a_known_code_is_the_refusal_of_the_table(
    company: FakeCompany, gateway: CompanyGateway, code: str, kind: FailureKind
) -> None:
    company.replies(error(code))
    with pytest.raises(CompanyRefusal) as refused:
        await gateway.query_bills(NUMBER, "quote")
    assert (refused.value.company_code, refused.value.kind) == (code, kind)


@pytest.mark.parametrize("code", ["EQ0010", "EQ0011", "E-WHATEVER", "XX9999"])
async def test_a_time_out_inside_or_a_code_nobody_knows_leaves_the_outcome_unknown(
    company: FakeCompany, gateway: CompanyGateway, code: str
) -> None:
    company.replies(error(code))
    with pytest.raises(OutcomeUnknown):
        await gateway.post_payment(POSTING)


async def test_a_refused_posting_is_refused_and_a_missing_one_is_missing(
    company: FakeCompany, gateway: CompanyGateway
) -> None:
    company.replies(error("EP0003"))
    assert await gateway.post_payment(POSTING) == Refused("p-1", "EP0003", FailureKind.PERMANENT, "系统超时")
    company.replies(error("ES0001"))
    assert await gateway.query_posting("p-1") is None
    company.replies(error("EF0001"))
    with pytest.raises(CompanyRefusal, match="EF0001"):
        await gateway.bill_file(date(2026, 11, 22))


async def test_an_error_nobody_signed_is_no_fact(company: FakeCompany, gateway: CompanyGateway) -> None:
    company.replies(error("EQ0006", signed=False))
    with pytest.raises(MalformedAnswer):
        await gateway.find_account(NUMBER)


async def test_without_the_agreement_an_error_inside_is_no_answer_at_all(company: FakeCompany) -> None:
    company.replies(error("EQ0006"))
    with pytest.raises(MalformedAnswer):
        await company.gateway().find_account(NUMBER)


async def test_time_outs_inside_open_the_circuit_and_other_errors_do_not(
    company: FakeCompany, gateway: CompanyGateway
) -> None:
    company.replies(error("EQ0006"))
    for _ in range(40):
        with pytest.raises(CompanyRefusal):
            await gateway.find_account(NUMBER)
    company.replies(error("EQ0010"))
    for _ in range(40):
        with pytest.raises((NotSent, OutcomeUnknown)):
            await gateway.find_account(NUMBER)
    with pytest.raises(NotSent, match="circuit_open"):
        await gateway.find_account(NUMBER)
