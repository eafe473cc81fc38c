"""Nobody learns of another's objects: the answer is that of an object that does not exist."""

from typing import Any
from uuid import uuid4

import pytest

from api.calls import Route
from api.fields import filled, placeholders
from api.routes import ROUTES
from tests.harness.edge import Edge, Person
from tests.harness.operations import OBJECTS, within_reach
from tests.harness.staff import member_for

WITH_ID = [route for route in ROUTES if "_id}" in route.path and route.access.who == "person"]
OF_STAFF = [route for route in ROUTES if "_id}" in route.path and route.access.who == "staff"]
BODIES = {"quotes of an account": ("/v1/quotes", "account_id"), "payments of a quote": ("/v1/payments", "quote_ids")}


@pytest.mark.parametrize("route", WITH_ID, ids=lambda route: route.name)
async def test_an_object_of_another_is_not_found(edge: Edge, route: Route) -> None:
    await edge.forget_limits()
    owner, stranger = await edge.person(), await edge.person()
    (name,) = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    theirs = await OBJECTS[name](edge, owner)
    before = await edge.spine.rows()
    body = filled(route.example, dict.fromkeys(placeholders(route.example), "000000"))

    async def asked(id_: str) -> tuple[int, dict[str, Any], set[str]]:
        response = await edge.call(route.method, route.path.replace(f"{{{name}}}", id_), body, by=stranger)
        content = response.json()
        assert content.pop("request_id") == response.headers["x-request-id"]
        return response.status_code, content, set(response.headers)

    assert (await asked(theirs)) == (await asked(str(uuid4())))
    assert (await asked(theirs))[1]["code"] == "not_found"
    assert await edge.spine.rows() == before


@pytest.mark.parametrize("route", OF_STAFF, ids=lambda route: route.name)
async def test_an_object_of_another_unit_s_staff_is_not_found(edge: Edge, route: Route) -> None:
    await edge.forget_limits()
    services = edge.spine.services
    owner, stranger = await member_for(services, route.access), await member_for(services, route.access, 1)
    theirs = await within_reach(edge, owner, route)
    before = await edge.spine.rows()
    answers = []
    for ids in (theirs, {name: str(uuid4()) for name in theirs}):
        path, body = route.path.format(**ids), filled(route.example, _Any())
        response = await edge.call(route.method, path, body, by=stranger)
        answers.append((response.status_code, {**response.json(), "request_id": ""}, set(response.headers)))
    assert answers[0] == answers[1]
    assert answers[0][1]["code"] == "not_found"
    assert await edge.spine.rows() == before


@pytest.mark.parametrize("kind", BODIES)
async def test_an_object_of_another_named_in_a_body_is_not_found(edge: Edge, kind: str) -> None:
    await edge.forget_limits()
    owner, stranger = await edge.person(), await edge.person()
    path, member = BODIES[kind]
    bound = await edge.bound(owner)
    quote = await edge.told("POST", "/v1/quotes", {"account_id": bound["account_id"]}, by=owner)
    theirs = {"account_id": bound["account_id"], "quote_ids": quote["quote_id"]}[member]
    before = await edge.spine.rows()
    answers = []
    for id_ in (theirs, str(uuid4())):
        response = await edge.call(
            "POST", path, {member: [id_] if member == "quote_ids" else id_}, by=stranger, key=uuid4().hex
        )
        answers.append((response.status_code, {**response.json(), "request_id": ""}))
    assert answers[0] == answers[1]
    assert answers[0][1]["code"] == "not_found"
    assert await edge.spine.rows() == before


async def test_a_page_that_begins_at_another_s_bill_is_not_found(edge: Edge) -> None:
    await edge.forget_limits()
    owner, stranger = await edge.person(), await edge.person()
    theirs, own = await edge.bound(owner), await edge.bound(stranger)
    path = f"/v1/utility-accounts/{own['account_id']}/bills?before="
    answers = [await edge.call("GET", path + id_, by=stranger) for id_ in (theirs["bill_id"], str(uuid4()))]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert {**answers[0].json(), "request_id": ""} == {**answers[1].json(), "request_id": ""}


@pytest.mark.parametrize("path", ["/v1/payments?after=", "/v1/messages?after="])
async def test_a_list_holds_one_s_own_only_wherever_it_begins(edge: Edge, path: str) -> None:
    await edge.forget_limits()
    owner, stranger = await edge.person(), await edge.person()
    await _fill(edge, owner)
    for begin in ("ffffffff-ffff-ffff-ffff-ffffffffffff", str(uuid4())):
        listed = await edge.told("GET", path + begin, by=stranger)
        assert next(value for value in listed.values() if isinstance(value, list)) == []


async def _fill(edge: Edge, person: Person) -> None:
    await edge.payment(person)
    await edge.message(person)


class _Any(dict[str, str]):
    """Something for every placeholder."""

    def __missing__(self, _name: str) -> str:
        return str(uuid4())
