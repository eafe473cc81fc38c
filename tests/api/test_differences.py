"""What reconciliation has found to differ, for those who must explain it: their own, oldest first, ended by two people."""

from datetime import timedelta
from typing import Any

from core import clock
from core.database import fetch
from tests.harness.differences import differing
from tests.harness.edge import Edge
from tests.harness.staff import Member, member

PATH = "/staff/v1/differences"


async def _listed(edge: Edge, by: Member, query: str = "") -> list[str]:
    return [one["difference_id"] for one in (await edge.told("GET", f"{PATH}?limit=100{query}", by=by))["differences"]]


async def _code(edge: Edge, path: str, by: Member, body: Any = None) -> tuple[int, str]:
    response = await edge.call("POST", f"{PATH}/{path}", body, by=by)
    return response.status_code, response.json().get("code", "")


async def test_each_sees_what_he_must_explain_and_the_city_sees_all(edge: Edge) -> None:
    services = edge.spine.services
    yesterday = clock.today() - timedelta(days=1)
    first = await differing("gas")
    second = await differing("gas", day=yesterday)
    platform = await differing("gas", owner="platform_operator")
    of_power = await differing("power")
    city, gas = await member(services, "city", "operator"), await member(services, "gas", "finance")
    assert {str(one.id) for one in (first, second, platform, of_power)} <= set(await _listed(edge, city))
    assert await _listed(edge, gas) == [str(first.id), str(second.id)]
    assert await _listed(edge, gas, f"&day={yesterday}") == [str(second.id)]
    assert await _listed(edge, gas, "&state=resolved") == []
    page = await edge.told("GET", f"{PATH}?limit=1", by=gas)
    assert [one["difference_id"] for one in page["differences"]] == [str(first.id)]
    assert (page["differences"][0]["age_s"] >= 0, page["differences"][0]["owner"]) == (True, "company_finance")
    assert await _listed(edge, gas, f"&after={page['next_after']}") == [str(second.id)]
    assert await _code(edge, f"{platform.id}/take-up", gas) == (404, "not_found")
    for role in ("reader", "service"):
        assert (await edge.call("GET", PATH, by=await member(services, "gas", role))).status_code == 403
    assert (await edge.call("GET", PATH, by=await edge.person())).status_code == 401
    for wrong in ("state=new", "day=2026-13-01", "limit=0"):
        assert (await edge.call("GET", f"{PATH}?{wrong}", by=gas)).status_code == 400


async def test_one_takes_it_up_and_says_what_it_was_and_another_agrees(edge: Edge) -> None:
    services, item = edge.spine.services, await differing("water")
    one, other = [await member(services, "water", "finance") for _ in range(2)]
    reason = {"reason": "企业系统切换，次日补记"}
    assert await _code(edge, f"{item.id}/explanation", one, reason) == (409, "illegal_move")
    taken = await edge.told("POST", f"{PATH}/{item.id}/take-up", by=one)
    assert (taken["state"], taken["taken_by"]) == ("in_hand", str(one.staff_id))
    assert await _code(edge, f"{item.id}/take-up", other) == (409, "illegal_move")
    assert await _code(edge, f"{item.id}/close", other) == (409, "illegal_move")
    assert await _code(edge, f"{item.id}/explanation", one, {"reason": "短"}) == (400, "request_malformed")
    await edge.told("POST", f"{PATH}/{item.id}/explanation", {"reason": "不清楚，先这样"}, by=one)
    back = await edge.told("POST", f"{PATH}/{item.id}/send-back", {"reason": "这不是原因"}, by=other)
    assert (back["state"], back["proposal"], back["taken_by"]) == ("in_hand", None, str(one.staff_id))
    told = await edge.told("POST", f"{PATH}/{item.id}/explanation", reason, by=one)
    assert (told["state"], told["proposal"], told["proposed_by"]) == ("proposed", reason["reason"], str(one.staff_id))
    assert str(item.id) in await _listed(edge, other)
    assert await _code(edge, f"{item.id}/close", one) == (409, "reconciliation_another_must_agree")
    closed = await edge.told("POST", f"{PATH}/{item.id}/close", by=other)
    assert (closed["state"], closed["ended_at"] is not None) == ("resolved", True)
    assert await _code(edge, f"{item.id}/close", other) == (409, "illegal_move")
    assert str(item.id) not in await _listed(edge, one)
    assert str(item.id) in await _listed(edge, one, "&state=resolved")
    journal = await fetch(
        "select event, actor_id, reason, approver from journal where subject_id = $1 order by at", item.id
    )
    assert [tuple(row) for row in journal[1:]] == [
        ("take_up", str(one.staff_id), None, None),
        ("propose", str(one.staff_id), "不清楚，先这样", None),
        ("send_back", str(other.staff_id), "这不是原因", None),
        ("propose", str(one.staff_id), reason["reason"], None),
        ("resolve", str(one.staff_id), reason["reason"], str(other.staff_id)),
    ]
    (audited,) = await fetch("select actor_id, action from audit where subject_id = $1", str(item.id))
    assert tuple(audited) == (str(other.staff_id), "reconciliation.resolved")
