"""Service orders at a company: what it answers is a receipt, a standing, a refusal, or nothing at all; what it reports is of one known form."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from core.outbound import FailureKind, MalformedAnswer
from gateways.companies import CompanyRefusal, EventRefused, parse_event
from gateways.company_order_types import (
    Accepted,
    CorrectionAsked,
    CrewSlots,
    Item,
    OrderNotice,
    SentOrder,
    Surveyed,
)
from tests.gateways.company import FakeCompany, json_reply

AT = datetime(2026, 11, 23, 2, 2, 11, tzinfo=UTC)
ORDER = SentOrder(
    order_id="019ab0c2-1",
    revision=1,
    number="EZ1-W1",
    application_number="EZ1",
    service="water",
    area="420704001",
    form_version="application-1",
    filed_at=AT,
    notice_version="1",
    consented_at=AT,
    common={"applicant": {"name": "王小明"}},
    part={"caliber": "DN20"},
)
RECEIPT = {
    "order_id": ORDER.order_id,
    "revision": 1,
    "status": "received",
    "company_number": "W-000017",
    "received_at": "2026-11-23T10:02:13+08:00",
}
NOTICE = OrderNotice("019ab0c2-n", ORDER.order_id, "plan_confirmed", AT)


def report(kind: str, sequence: int = 1, **more: Any) -> dict[str, Any]:
    said = {"order_id": ORDER.order_id, "sequence": sequence, "at": "2026-11-23T10:02:13+08:00", "report": kind}
    return said | more


def event(data: dict[str, Any], kind: str = "order.report") -> bytes:
    return json.dumps({"event_id": "e1", "type": kind, "at": "2026-11-23T10:02:13+08:00", "data": data}).encode()


@pytest.fixture
def company() -> FakeCompany:
    return FakeCompany()


async def test_an_order_is_sent_whole_and_its_receipt_is_of_this_revision(company: FakeCompany) -> None:
    company.replies(json_reply(200, RECEIPT))
    assert (await company.gateway().send_order(ORDER)).company_number == "W-000017"
    assert company.seen == [("POST", "/v1/service-orders", msgspec.to_builtins(ORDER))]
    with pytest.raises(MalformedAnswer, match="other_order"):
        await company.gateway().send_order(msgspec.structs.replace(ORDER, revision=2))


@pytest.mark.parametrize(
    "wrong", [{"order_id": "other"}, {"status": "withdrawn"}, {"status": "accepted"}, {"company_number": ""}], ids=str
)
async def test_a_wrong_receipt_is_no_receipt(company: FakeCompany, wrong: dict[str, Any]) -> None:
    company.replies(json_reply(200, RECEIPT | wrong))
    with pytest.raises(MalformedAnswer):
        await company.gateway().send_order(ORDER)


async def test_asked_about_an_order_it_never_got_a_company_says_so(company: FakeCompany) -> None:
    company.replies(json_reply(404, {"code": "EO0001", "message": "没有这个子单"}))
    assert await company.gateway().query_order(ORDER.order_id) is None


async def test_asked_about_an_order_it_says_everything_it_has_reported(company: FakeCompany) -> None:
    asked = report("correction_asked", 2, items=[{"subject": "/water/caliber", "note": "口径与用量不符"}])
    company.replies(json_reply(200, RECEIPT | {"reports": [report("accepted"), asked]}))
    standing = await company.gateway().query_order(ORDER.order_id)
    assert standing is not None
    first, second = standing.reports
    assert isinstance(first, Accepted)
    assert isinstance(second, CorrectionAsked)
    assert second.items == (Item("/water/caliber", "口径与用量不符"),)


@pytest.mark.parametrize(
    "reports",
    [[report("accepted"), report("refused", reason="no_supply")], [report("accepted", order_id="other")]],
    ids=["number_twice", "another_order"],
)
async def test_reports_that_contradict_themselves_are_no_answer(company: FakeCompany, reports: list[Any]) -> None:
    company.replies(json_reply(200, RECEIPT | {"reports": reports}))
    with pytest.raises(MalformedAnswer):
        await company.gateway().query_order(ORDER.order_id)


async def test_an_order_is_withdrawn_unless_construction_has_begun(company: FakeCompany) -> None:
    company.replies(json_reply(200, RECEIPT | {"status": "withdrawn"}))
    assert (await company.gateway().withdraw_order(ORDER.order_id, "withdrawn_by_applicant")).status == "withdrawn"
    company.replies(json_reply(422, {"code": "EO0003", "message": "已经开工"}))
    with pytest.raises(CompanyRefusal) as caught:
        await company.gateway().withdraw_order(ORDER.order_id, "withdrawn_by_applicant")
    assert (caught.value.company_code, caught.value.kind) == ("EO0003", FailureKind.PERMANENT)


async def test_a_notice_is_taken_by_its_own_id(company: FakeCompany) -> None:
    company.replies(json_reply(200, {"notice_id": NOTICE.notice_id, "status": "taken"}))
    await company.gateway().order_notice(NOTICE)
    company.replies(json_reply(200, {"notice_id": "another", "status": "taken"}))
    with pytest.raises(MalformedAnswer):
        await company.gateway().order_notice(NOTICE)


async def test_an_error_inside_a_200_is_a_refusal_where_that_was_agreed(company: FakeCompany) -> None:
    company.replies(json_reply(200, {"code": "EO0002", "message": "该编号已用于其他内容"}))
    with pytest.raises(CompanyRefusal) as caught:
        await company.gateway(errors_inside=True).send_order(ORDER)
    assert caught.value.company_code == "EO0002"
    with pytest.raises(MalformedAnswer):
        await company.gateway().send_order(ORDER)


def test_an_event_carries_one_report_of_one_order() -> None:
    said = report("surveyed", 3, can_supply=True, distance_m=420, photos=["a" * 64])
    data = parse_event(event(said), "water").data
    assert isinstance(data, Surveyed)
    assert (data.sequence, data.distance_m, data.distance_source) == (3, 420, "surveyed")


def test_free_times_of_crews_are_read() -> None:
    slot = {"slot_id": "s1", "area": "420704", "starts_at": "2026-11-24T09:00:00+08:00", "ends_at": "2026-11-24T11:00:00+08:00"}  # fmt: skip
    data = parse_event(event({"slots": [slot], "withdrawn": ["s0"]}, "crew.slots"), "water").data
    assert isinstance(data, CrewSlots)
    assert (data.slots[0].slot_id, data.withdrawn) == ("s1", ("s0",))


@pytest.mark.parametrize(
    "wrong",
    [
        report("demolished"),
        report("accepted", 0),
        report("accepted", 1001),
        report("correction_asked", items=[]),
        report("correction_asked", items=[{"subject": "两个 字", "note": "x"}]),
        report("refused"),
        report("refused", reason="因为"),
        report("surveyed", can_supply=True, distance_m=-1),
        report("surveyed", can_supply=True, distance_m=420.5),
        report("surveyed", can_supply=True, distance_source="declared"),
        report("surveyed", can_supply=True, photos=["../etc"]),
        report("extension_asked", days=31, note="雨"),
        report("connected", account_number="0 or 1"),
        report("accepted", at="2026-11-23T10:02:13"),
        {"sequence": 1, "report": "accepted"},
    ],
    ids=lambda wrong: f"{wrong.get('report')}-{len(str(wrong))}",
)
def test_what_is_not_a_report_is_refused_whole(wrong: dict[str, Any]) -> None:
    with pytest.raises(EventRefused):
        parse_event(event(wrong), "water")
