"""Permits are asked for all at once, each with its bureau's clock; the order's promise stands still until the last is answered."""

from pathlib import Path

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load
from core.errors import NotFound
from domain.deadlines.clocks import DeadlinePaused, Explanation, Subject
from domain.orders.permits import PermitKindUnknown, PermitOpen
from jobs.events import LISTENERS
from models.deadline import Deadline
from models.lifecycle import Actor, IllegalMove
from models.permit import Permit
from models.service_order import ServiceOrder
from tests.cities import packs
from tests.harness import cases
from tests.harness.spine import Spine

WATER = cases.of("water")
CITY, POLICE = Actor("staff", "urban:liu"), Actor("staff", "police:sun")
EVIDENCE = "占道许可申请 2026-118"


async def _working(spine: Spine) -> ServiceOrder:
    citizen, _ = await spine.resident()
    answers = await cases.answers_of(spine, citizen.caller, ["water"])
    order = await cases.order_of(await cases.file(spine, citizen.caller, answers), "water")
    await cases.brought_to(spine, citizen.caller, order, "surveyed")
    return order


async def _promise(spine: Spine, order: ServiceOrder) -> Explanation:
    found = await spine.services.deadlines.explain(Subject("service_order", order.id))
    assert found is not None
    return found


async def test_the_promise_stands_still_until_the_last_bureau_has_answered(spine: Spine) -> None:
    permits, order = spine.services.permits, await _working(spine)
    digging, traffic = await permits.ask(order.id, WATER, ["road_digging", "traffic", "traffic"], EVIDENCE)
    assert [(row["unit"], row["status"]) for row in (digging, traffic)] == [
        ("urban_management", "asked"), ("traffic_police", "asked"),
    ]  # fmt: skip
    assert [pause.ends_at for pause in (await _promise(spine, order)).pauses] == [None]
    clocks = await Deadline.filter(subject_kind="permit", closed_at=None)
    assert {(row.company, row.days, row.area) for row in clocks} == {
        ("urban_management", 3, "420704"), ("traffic_police", 3, "420704"),
    }  # fmt: skip
    await spine.jobs.run()
    with pytest.raises(PermitOpen):
        await permits.ask(order.id, WATER, ["traffic"], EVIDENCE)
    with pytest.raises(NotFound):
        await permits.answer(digging["id"], "traffic_police", POLICE, True, "不是我们的")
    await permits.answer(digging["id"], "urban_management", CITY, True, "鄂城管占道〔2026〕118号")
    assert [pause.ends_at for pause in (await _promise(spine, order)).pauses] == [None], "one is still open"
    with pytest.raises(IllegalMove):
        await permits.answer(digging["id"], "urban_management", CITY, False, "又不同意了")
    answered = await permits.answer(traffic["id"], "traffic_police", POLICE, False, "高峰时段不得占道")
    assert (answered["status"], answered["answer"]) == ("refused", "高峰时段不得占道")
    (pause,) = (await _promise(spine, order)).pauses
    assert pause.ends_at is not None
    assert await Deadline.filter(subject_kind="permit", closed_at=None).count() == 0
    assert await permits.listed("water", None, None, 20) == []
    assert len(await permits.listed("water", None, None, 20, over=True)) == 2


async def test_what_is_not_theirs_not_known_or_stands_still_already_is_refused(spine: Spine) -> None:
    permits, order = spine.services.permits, await _working(spine)
    with pytest.raises(NotFound):
        await permits.ask(order.id, cases.of("gas"), ["traffic"], EVIDENCE)
    with pytest.raises(PermitKindUnknown):
        await permits.ask(order.id, WATER, ["traffic", "anything"], EVIDENCE)
    await spine.services.orders.suspend(order.id, WATER, "applicant", "等申请人腾出场地")
    with pytest.raises(DeadlinePaused):
        await permits.ask(order.id, WATER, ["traffic"], EVIDENCE)
    assert await Permit.all().count() == 0, "nothing half written"


async def test_an_order_that_comes_to_nothing_needs_no_permits(spine: Spine) -> None:
    permits, order = spine.services.permits, await _working(spine)
    await permits.ask(order.id, WATER, ["traffic"], EVIDENCE)
    for _ in range(2):
        await permits.drop(order.id)
    (permit,) = await Permit.all()
    (row,) = await Deadline.filter(subject_kind="permit")
    assert (permit.status, row.outcome) == ("dropped", "void")


async def test_what_has_ended_neither_waits_for_bureaus_nor_stands_still(spine: Spine) -> None:
    permits, order = spine.services.permits, await _working(spine)
    (asked,) = await permits.ask(order.id, WATER, ["traffic"], EVIDENCE)
    await spine.services.orders.refuse(order.id, WATER, "site_not_ready")
    await permits.answer(asked["id"], "traffic_police", POLICE, True, "来晚了")
    await spine.jobs.run()
    order = await ServiceOrder.get(id=order.id)
    assert (order.status, order.paused_reason, order.resumed_at) == ("failed", None, None)
    assert "permits.drop_connected" in LISTENERS["service_order.connected"]


def test_whose_a_permit_is_and_how_long_it_takes_is_the_citys_to_say(tmp_path: Path) -> None:
    city = load(packs.change(tmp_path / "days", "promises.toml", packs.put("permit.0.days", 2)))
    assert city.promises.permit[0].days == 2
    with pytest.raises(CityPackInvalid, match="there is no bureau"):
        load(packs.change(tmp_path / "unit", "promises.toml", packs.put("permit.0.unit", "water")))
