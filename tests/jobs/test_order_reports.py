"""Reports of a company: whatever the order they come in, and however often, they leave the same rows; nobody reports of another's order."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from core import clock
from core.database import fetch
from gateways.company_order_types import AnyReport
from jobs import order_reports
from models.lifecycle import Actor
from models.order_report import OrderReport
from models.order_request import OrderRequest
from models.service_order import ServiceOrder
from tests.harness import cases
from tests.harness.spine import Citizen, Spine

WAY: tuple[dict[str, Any], ...] = (
    {"report": "accepted"},
    {"report": "surveyed", "can_supply": True, "distance_m": 420, "plan": "由滨湖南路主管接入"},
    {"report": "plan_replied", "plan": "DN20 水表，从楼道立管接入"},
)
AFTER: tuple[dict[str, Any], ...] = (
    {"report": "construction_started"},
    {
        "report": "inspected",
        "passed": False,
        "items": [{"subject": "valve", "note": "阀门渗水"}],
        "again_by": "2030-01-02",
    },
    {"report": "rectified"},
    {"report": "inspected", "passed": True},
    {"report": "connected", "account_number": "0209012345"},
    {"report": "archived"},
)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    found, _ = await spine.resident()
    return found


async def water_order(spine: Spine, citizen: Citizen) -> ServiceOrder:
    answers = await cases.answers_of(spine, citizen.caller, ["water"])
    order = await cases.order_of(await cases.file(spine, citizen.caller, answers), "water")
    await spine.jobs.run()
    return order


def reports(order: ServiceOrder, said: Sequence[dict[str, Any]], first: int = 1) -> list[AnyReport]:
    return [
        msgspec.convert(one | {"order_id": str(order.id), "sequence": number, "at": clock.now()}, AnyReport)
        for number, one in enumerate(said, first)
    ]


async def journal(order: ServiceOrder) -> list[tuple[Any, ...]]:
    rows = await fetch(
        "select from_state, to_state, event, actor_kind from journal where subject = 'service_order' and subject_id = $1 order by at, id",
        order.id,
    )
    return [tuple(row) for row in rows]


async def signs(spine: Spine, citizen: Citizen, order: ServiceOrder) -> None:
    """The applicant does his part between plan and construction."""
    await spine.services.order_answers.confirm_plan(citizen.caller, order.id, 1)
    await spine.services.order_answers.sign_contract(citizen.caller, order.id, 1)


async def test_out_of_order_and_twice_leave_the_same_rows_as_once(spine: Spine, citizen: Citizen) -> None:
    """Whatever comes before its turn waits for it, also over the applicant's own part in between."""
    straight, shuffled = await water_order(spine, citizen), await water_order(spine, citizen)
    for report in reports(straight, WAY):
        assert await order_reports.take(spine.services, "water", report) == "done"
    await signs(spine, citizen, straight)
    for report in reports(straight, AFTER, 4):
        assert await order_reports.take(spine.services, "water", report) == "done"

    first, then = reports(shuffled, WAY) * 2, reports(shuffled, AFTER, 4) * 2
    chance = random.Random(20261123)
    chance.shuffle(first)
    chance.shuffle(then)
    for report in first:
        await order_reports.take(spine.services, "water", report)
    await signs(spine, citizen, shuffled)
    for report in then:
        await order_reports.take(spine.services, "water", report)

    assert await journal(shuffled) == await journal(straight)
    assert (await ServiceOrder.get(id=shuffled.id)).status == "archived"
    for order in (straight, shuffled):
        kept = await OrderReport.filter(order_id=order.id).order_by("sequence")
        assert [(one.sequence, one.outcome) for one in kept] == [(number, "done") for number in range(1, 10)]


async def test_nobody_reports_of_another_s_order(spine: Spine, citizen: Citizen) -> None:
    order = await water_order(spine, citizen)
    (report,) = reports(order, WAY[:1])
    assert await order_reports.take(spine.services, "gas", report) == "unknown_order"
    stranger = msgspec.structs.replace(report, order_id=str(uuid4()))
    assert await order_reports.take(spine.services, "water", stranger) == "unknown_order"
    assert not await OrderReport.exists(order_id=order.id)
    assert (await ServiceOrder.get(id=order.id)).status == "received"


async def test_what_does_not_fit_changes_nothing_and_the_next_is_worked(spine: Spine, citizen: Citizen) -> None:
    order = await water_order(spine, citizen)
    said = ({"report": "connected"}, {"report": "refused", "reason": "no_such_reason"}, {"report": "accepted"})
    outcomes = [await order_reports.take(spine.services, "water", report) for report in reports(order, said)]
    assert outcomes == ["illegal_move", "reason_not_listed", "done"]
    assert (await ServiceOrder.get(id=order.id)).status == "accepted"


async def test_a_second_send_back_waits_for_a_supervisor_who_is_somebody_else(spine: Spine, citizen: Citizen) -> None:
    order = await water_order(spine, citizen)
    asked = {"report": "correction_asked", "items": [{"subject": "/water/use", "note": "用水性质与房屋不符"}]}
    first, second = reports(order, (asked, asked))
    assert await order_reports.take(spine.services, "water", first) == "done"
    await spine.services.order_answers.answer(citizen.caller, order.id, {}, "是自住")
    assert await order_reports.take(spine.services, "water", second) == "asked"
    assert (await ServiceOrder.get(id=order.id)).status == "corrected", "nothing has happened yet"
    request = await OrderRequest.get(order_id=order.id)
    supervisor = Actor("staff", str(uuid4()))
    await spine.services.company_work.decide(request.id, supervisor, agreed=True, reason=None)
    order = await ServiceOrder.get(id=order.id)
    assert (order.status, order.corrections, order.late_corrections) == ("correcting", 2, 1)
    (row,) = await fetch(
        "select approver from journal where subject_id = $1 and event = 'send_back' and approver is not null", order.id
    )
    assert row["approver"] == supervisor.id


async def test_a_report_that_was_lost_is_asked_for(spine: Spine, citizen: Citizen) -> None:
    """The sandbox's company has reported three times; only the last one has come."""
    order = await water_order(spine, citizen)
    bodies = [{"order_id": str(order.id), "event": False, **said} for said in WAY]
    *_, last = [(await spine.control("POST", "/companies/water/report", body))["report"] for body in bodies]
    assert await order_reports.take(spine.services, "water", msgspec.convert(last, AnyReport)) == "waits"
    assert await order_reports.ask_for_missing(spine.services) == 0, "it may still be on its way"
    await spine.travel(timedelta(minutes=11))
    assert await order_reports.ask_for_missing(spine.services) == 1
    assert (await ServiceOrder.get(id=order.id)).status == "plan_replied"


async def test_what_a_company_reports_comes_in_by_its_signed_events(spine: Spine, citizen: Citizen) -> None:
    """Slow line: each event twice, the first held until the second has left."""
    order = await water_order(spine, citizen)
    await spine.let_speak(("company:water", "event", "reorder"), ("company:water", "event", "duplicate"))
    for said in WAY:
        await spine.control("POST", "/companies/water/report", {"order_id": str(order.id), **said})
    await spine.until_inbox(3, "company:water")
    await spine.jobs.run()
    assert (await ServiceOrder.get(id=order.id)).status == "plan_replied"
