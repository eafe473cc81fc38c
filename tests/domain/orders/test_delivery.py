"""A company is told of its order until it has answered, under one id; it gets its own part and nobody else's."""

import json
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from core.database import fetch
from jobs.orphans import sweep
from models.lifecycle import Event
from models.order_telling import OrderTelling
from models.service_order import ServiceOrder
from tests.harness import cases
from tests.harness.spine import MINUTE, Citizen, Spine


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    found, _ = await spine.resident()
    return found


async def filed(spine: Spine, citizen: Citizen, *services: str) -> dict[str, ServiceOrder]:
    """Company → its order of a case just filed, before any job has run."""
    answers = await cases.answers_of(spine, citizen.caller, list(services))
    application_id = (await cases.file(spine, citizen.caller, answers)).application_id
    return {order.company: order for order in await ServiceOrder.filter(application_id=application_id)}


async def sent(spine: Spine, company: str) -> list[dict[str, Any]]:
    """The orders the company has, with what it was told of them."""
    return (await spine.control("GET", f"/companies/{company}/ledger"))["orders"]


async def statuses(order: ServiceOrder) -> list[str]:
    return [one.status for one in await OrderTelling.filter(order_id=order.id).order_by("number")]


async def test_each_company_gets_its_own_part_and_never_another_s(spine: Spine, citizen: Citizen) -> None:
    orders = await filed(spine, citizen, "water", "network", "gas")
    await spine.jobs.run()
    (water,), (gas,), (ct,) = [await sent(spine, company) for company in ("water", "gas", "telecom_ct")]
    assert water["order_id"] == str(orders["water"].id)
    assert water["content"]["part"]["use"]
    assert "meter_count" not in json.dumps([gas["content"], ct["content"]])
    assert "telecom" not in json.dumps(ct["content"]["part"]), (
        "which other carriers were chosen is not this one's business"
    )
    assert water["content"]["common"] == gas["content"]["common"]
    assert water["content"]["common"]["contact"]["mobile"] == "13812345678"
    for order in orders.values():
        await order.refresh_from_db()
        assert order.status == "received"
    assert await statuses(orders["water"]) == ["told"]


async def test_a_company_without_an_interface_has_it_at_its_desk_from_the_first_minute(
    spine: Spine, citizen: Citizen
) -> None:
    answers = await cases.answers_of(spine, citizen.caller, ["network"])
    answers["network"] |= {"companies": ["telecom_cu"], "primary": "telecom_cu"}
    application_id = (await cases.file(spine, citizen.caller, answers)).application_id
    await spine.jobs.run()
    order = await ServiceOrder.get(application_id=application_id, company="telecom_cu")
    assert (order.status, await statuses(order)) == ("received", ["at_desk"])


async def test_what_is_lost_on_its_way_is_asked_about_and_told_once(spine: Spine, citizen: Citizen) -> None:
    """The answer is lost after the work; the next time the whole call is."""
    await spine.fault("company:water", "send_order", "drop", after=True)
    await spine.fault("company:gas", "send_order", "drop")
    orders = await filed(spine, citizen, "water", "gas")
    await spine.jobs.run()
    assert await statuses(orders["water"]) == await statuses(orders["gas"]) == ["unknown"]
    await spine.jobs.pass_time(MINUTE)
    for company, times in (("water", 1), ("gas", 2)):
        assert await statuses(orders[company]) == ["told"]
        assert (await spine.calls(f"company:{company}", "send_order"))[str(orders[company].id)] == times
        assert len(await sent(spine, company)) == 1


async def test_one_thing_is_told_after_the_other_and_a_withdrawal_last(spine: Spine, citizen: Citizen) -> None:
    await spine.fault("company:water", "send_order", "error", status=503, times=2)
    order = (await filed(spine, citizen, "water"))["water"]
    await spine.jobs.run()
    await spine.services.order_answers.withdraw(citizen.caller, order.id)
    await spine.jobs.run()
    assert await statuses(order) == ["unknown", "pending"], "nothing overtakes the order itself"
    await spine.jobs.pass_time(timedelta(minutes=10))
    assert await statuses(order) == ["told", "told"]
    (kept,) = await sent(spine, "water")
    assert kept["status"] == "withdrawn"


async def test_a_corrected_order_comes_again_whole_under_the_next_revision(spine: Spine, citizen: Citizen) -> None:
    order = (await filed(spine, citizen, "water"))["water"]
    await spine.jobs.run()
    item = cases.Item("/water/caliber_mm", "口径与用量不符")
    await spine.services.orders.send_back(order.id, cases.of("water"), [item])
    await spine.services.order_answers.answer(citizen.caller, order.id, {"/water/caliber_mm": 40}, "按您说的改了")
    await spine.jobs.run()
    (kept,) = await sent(spine, "water")
    assert (kept["revision"], kept["content"]["part"]["caliber_mm"]) == (2, 40)
    assert await statuses(order) == ["told", "told"]


async def test_an_order_heard_of_twice_is_told_once(spine: Spine, citizen: Citizen) -> None:
    order = (await filed(spine, citizen, "water"))["water"]
    await spine.jobs.run()
    await spine.services.order_delivery.heard(await Event.get(subject_id=order.id, kind="service_order.created"))
    assert await statuses(order) == ["told"]


async def test_events_heard_the_wrong_way_round_send_nothing_that_is_over(spine: Spine, citizen: Citizen) -> None:
    order = (await filed(spine, citizen, "water"))["water"]
    await spine.services.order_answers.withdraw(citizen.caller, order.id)
    for kind in ("withdrawn", "created"):
        await spine.services.order_delivery.heard(await Event.get(subject_id=order.id, kind=f"service_order.{kind}"))
    await spine.jobs.run()
    assert (await statuses(order), await sent(spine, "water")) == ([], [])


async def test_a_telling_without_a_job_is_found(spine: Spine, citizen: Citizen) -> None:
    order = (await filed(spine, citizen, "water"))["water"]
    await spine.services.order_delivery.heard(await Event.get(subject_id=order.id, kind="service_order.created"))
    await fetch("update procrastinate_jobs set status = 'failed' where status = 'todo'")
    await fetch("update event set dispatched_at = at")
    assert await sweep(clock.now() + 31 * MINUTE) == 1
    await spine.jobs.run()
    assert await statuses(order) == ["told"]
