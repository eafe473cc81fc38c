"""The platform hears of every node, in order, once; each night its list and ours are compared; planners get sums of their own service."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from core import clock, ids
from core.database import fetch
from domain.applications.demand import COLUMNS, PeriodTooLong
from domain.applications.order_desk import Scope
from domain.applications.push_reports import Step, nodes
from models.lifecycle import Actor
from models.platform_push import PlatformPush, PlatformReport
from tests.harness import cases, pushes
from tests.harness.spine import MINUTE, Spine

CLERK = Actor("staff", "city:wang")


def steps(*told: tuple[str, str] | tuple[str, str, str]) -> list[Step]:
    return [Step(ids.new_id(), one[0], one[1], one[2] if len(one) > 2 else None, clock.now()) for one in told]


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        ([("created", "created"), ("received", "receive"), ("accepted", "accept")], [1, 3]),
        ([("received", "receive"), ("correcting", "send_back"), ("corrected", "answer"), ("accepted", "accept")], [1, 6, 7, 3]),
        ([("accepted", "accept"), ("correcting", "send_back"), ("accepted", "answer_accepted")], [3, 6, 7]),
        ([("accepted", "accept"), ("-", "service_order.paused"), ("-", "service_order.resumed"), ("surveyed", "survey")], [3, 9, 10, 8]),
        ([("refused", "refuse", "outside_area")], [4]),
        ([("refused", "refuse", "papers_not_true")], [5]),
        ([("accepted", "accept"), ("withdrawn", "withdraw")], [3, 14]),
        ([("withdrawn", "withdraw")], [2]),
        ([("accepted", "accept"), ("failed", "fail", "cannot_supply")], [3, 13]),
        ([("connected", "connect"), ("archived", "archive")], [11]),
        ([("reassigned", "reassign")], [15]),
    ],
    ids=["accepted", "corrected", "corrected-late", "paused", "not-taken", "refused", "withdrawn", "taken-back", "failed", "connected", "reassigned"],
)  # fmt: skip
def test_every_node_has_its_official_code(told: Sequence[Any], codes: list[int]) -> None:
    assert [node.code for node in nodes(steps(*told), not_taken=["outside_area"])] == codes


async def pushed(spine: Spine, **more: Any) -> str:
    """A clerk of the platform files a project; its id there, once we have stored it."""
    made = await spine.control("POST", "/construction/pushes", {"content": pushes.content(spine), **more})
    if more.get("deliver", True):
        await spine.until_inbox(1, "construction_platform")
    return made["push_id"]


async def reported(spine: Spine) -> list[dict[str, Any]]:
    return (await spine.control("GET", "/construction/reports"))["reports"]


async def test_over_the_wire_a_project_is_taken_once_and_every_node_comes_back_in_order(spine: Spine) -> None:
    """The push comes twice, the answer to a status is lost, the platform fails for a while: once each, in order, under one id."""
    await spine.let_speak(("construction", "push", "duplicate"))
    number = await pushed(spine)
    (sent,) = (await spine.control("GET", "/construction/pushes"))["pushes"]
    await spine.until(lambda: _receipt(spine), "a receipt that verifies")
    assert sent["push_id"] == number
    await spine.fault("construction", "status_report", "drop", after=True)
    await spine.fault("construction", "status_report", "error", status=503)
    await spine.fault("construction", "status_report", "forge")
    await spine.jobs.run()
    water = (await pushes.case_of(b'{"push_id": "%s"}' % number.encode()))[1]["water"]
    by = cases.of("water")
    await spine.services.orders.accept(water.id, by)
    await spine.services.orders.suspend(water.id, by, "permit", "占道挖掘许可 17 号")
    await spine.services.orders.resume(water.id, by)
    await spine.services.orders.survey(water.id, by, cases.FOUND)
    await spine.jobs.pass_time(5 * MINUTE)
    told = await reported(spine)
    assert [one["number"] for one in told] == list(range(1, len(told) + 1))
    assert (told[0]["code"], told[0]["name"], told[0].get("order_number")) == (1, "已接件", None)
    mine = [(one["code"], one["node"]) for one in told if one.get("order_number") == water.number]
    assert mine == [(1, "receive"), (3, "accept"), (9, "paused"), (10, "resumed"), (8, "survey")]
    assert max(one["came"] for one in told) > 1, "asked again under the same id"
    assert {row.status for row in await PlatformReport.all()} == {"told"}
    assert not {"示范", "139"} & set(str(told).split())
    for row in await PlatformReport.all():
        await spine.services.push_reports.tell(row.id, 0)
    assert len(await reported(spine)) == len(told)


async def _receipt(spine: Spine) -> bool:
    (sent,) = (await spine.control("GET", "/construction/pushes"))["pushes"]
    return sent["receipt"] is not None and sent["sendings"][0]["status"] == "accepted"


async def test_what_is_dismissed_is_told_as_not_taken(spine: Spine) -> None:
    await spine.let_speak()
    content = pushes.content(spine) | {"schema": "7"}
    await spine.control("POST", "/construction/pushes", {"content": content})
    await spine.until_inbox(1, "construction_platform")
    await spine.jobs.run()
    (push,) = await PlatformPush.filter(status="stuck")
    await spine.services.pushes.dismiss(push.id, CLERK, "项目已撤销")
    await spine.jobs.run()
    assert [(one["code"], one["push_id"]) for one in await reported(spine)] == [(4, push.number)]


async def test_at_night_what_never_came_and_what_the_platform_does_not_list_are_staff_s(spine: Spine) -> None:
    await spine.let_speak()
    lost = await pushed(spine, deliver=False)
    came = await pushed(spine)
    await spine.jobs.run()
    await spine.control("POST", f"/construction/pushes/{came}/listed", {"listed": False})
    await spine.travel(timedelta(days=1))
    compare = spine.services.push_reconciling.nightly
    assert await compare() == 2
    assert await compare() == 1, "what has been found is not found again; what is missing stays so"
    listed = {row["number"]: row for row in await spine.services.push_desk.listed(None, None, 10)}
    assert (listed[lost]["status"], listed[came]["difference"]) == ("expected", "unlisted")
    await spine.control("POST", f"/construction/pushes/{lost}/again")
    await spine.jobs.run()
    await spine.control("POST", f"/construction/pushes/{came}/listed", {"listed": True})
    assert await compare() == 0
    rows = await PlatformPush.filter(number__in=[lost, came])
    assert {(row.status, row.difference) for row in rows} == {("filed", None)}
    await fetch("update platform_push set sha256 = repeat('0', 64) where number = $1", came)
    assert await compare() == 1
    assert (await PlatformPush.get(number=came)).difference == "content"


async def test_planners_get_sums_by_area_of_their_own_service_and_nobody_s_name(spine: Spine) -> None:
    for _ in range(2):
        assert await spine.services.pushes.take(pushes.sent(spine)) == "filed"
    today, demand = clock.today(), spine.services.demand
    whole = (await demand.csv(Scope(None, "420700"), today, today)).removeprefix("\ufeff").split("\r\n")
    assert whole[0] == ",".join(COLUMNS)
    assert whole[3] == "420703400,葛店经开区,power,2026-12,2,0,0,360,,,,20000,"
    assert len(whole) == 6
    for scope, services in (
        (Scope("gas", None), ["gas"]), (Scope("telecom_ct", None), []), (Scope(None, "420703"), ["gas", "network", "power", "water"]),
        (Scope(None, "420704"), []),
    ):  # fmt: skip
        lines = (await demand.csv(scope, today, today)).strip().split("\r\n")[1:]
        assert [line.split(",")[2] for line in lines] == services
    assert not [word for word in ("示范", "李四", "创业", "91350100M000100Y43") if word in str(whole)]
    with pytest.raises(PeriodTooLong):
        await demand.csv(Scope(None, None), today - timedelta(days=400), today)
