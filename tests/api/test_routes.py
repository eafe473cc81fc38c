"""Nothing is served that the table does not name, and nobody comes in whom his row does not let in."""

from collections import Counter
from datetime import timedelta
from typing import get_args
from uuid import UUID

import pytest

from api.calls import Access, Route, Who
from api.routes import ROUTES
from cities.staff import Permission
from core import clock
from domain.identity.tokens import Caller
from tests.harness import staff
from tests.harness.edge import Edge, Person
from tests.harness.operations import Operations, made_up

PERSONS = [route for route in ROUTES if route.access.who == "person"]
STAFF = [route for route in ROUTES if route.access.who == "staff"]
SIGNED = [route for route in ROUTES if route.access.who in ("company", "platform", "device")]
OPEN = {
    "sessions_login_by_wechat", "sessions_refresh", "companies_list_companies", "payment_methods_list_methods", "scanned_show",
    "keys_publish", "docs_openapi",
    "guides_show_connection", "forms_show_application", "drafts_show_notice", "applications_show_progress",
    "docs_show", "health_alive", "staff_sessions_enrol", "staff_sessions_confirm", "staff_sessions_log_in",
    "unified_start", "unified_come_back", "unified_finish", "identities_go", "web_lead", "web_show", "web_asset",
}  # fmt: skip


async def test_what_is_served_is_the_table(edge: Edge) -> None:
    served = {
        (method, "/" + route.path.replace("<", "{").replace(":str>", "}"))
        for route in edge.app.router.routes
        for method in route.methods
    }
    assert served == {(route.method, route.path) for route in ROUTES}


def test_every_row_is_there_once_and_has_its_own_name() -> None:
    assert [key for key, count in Counter((route.method, route.path) for route in ROUTES).items() if count > 1] == []
    assert [name for name, count in Counter(route.name for route in ROUTES).items() if count > 1] == []


def test_only_these_operations_are_open_to_anybody() -> None:
    assert {route.name for route in ROUTES if route.access.who == "anybody"} == OPEN


def test_a_row_cannot_be_half_filled() -> None:
    wrongs: tuple[tuple[Who, int, bool], ...] = (
        ("person", 0, False), ("person", 4, False), ("anybody", 1, False), ("company", 0, True),
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match="level"):
            Access(*wrong)
    with pytest.raises(ValueError, match="permissions"):
        Access("anybody", permission="staff.manage")


def test_what_takes_money_is_idempotent_and_what_asks_for_a_secret_is_limited_and_closed() -> None:
    assert {route.name for route in ROUTES if route.idempotent} >= {"payments_create"}
    closed = {route.name for route in ROUTES if route.limit is not None and route.limit.closed}
    assert closed == {
        "sessions_login_by_wechat", "me_prove_phone", "staff_sessions_enrol", "staff_sessions_confirm", "staff_sessions_log_in",
        "staff_sessions_change_password", "staff_desk_reveal_account", "staff_desk_reveal_payer", "staff_acting_open_session",
        "staff_service_orders_reveal", "staff_pushes_reveal",
        "me_request_phone_code", "me_prove_phone_by_code",
        "card_reads_take", "staff_acting_prove_real_name",
        "unified_start", "unified_come_back", "unified_finish",
        "identities_go", "identities_start", "identities_join", "identities_prove",
    }  # fmt: skip


def test_staff_have_doors_of_their_own_and_only_their_own() -> None:
    assert {route.name for route in ROUTES if route.path.startswith("/staff/")} == {route.name for route in STAFF} | {
        name for name in OPEN if name.startswith("staff_")
    }
    needed = {route.access.permission for route in STAFF} - {None}
    assert needed == set(get_args(Permission))


@pytest.mark.parametrize("route", STAFF, ids=lambda route: route.name)
async def test_a_citizen_s_token_opens_no_door_of_staff(edge: Edge, route: Route) -> None:
    answers = [await edge.call(route.method, _any(route), route.example, by=by) for by in (None, await edge.person())]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "token_refused")] * 2


@pytest.mark.parametrize("route", PERSONS, ids=lambda route: route.name)
async def test_a_token_of_staff_opens_no_door_of_citizens(edge: Edge, route: Route) -> None:
    member = await staff.member(edge.spine.services, "city", "platform_administrator")
    response = await edge.call(route.method, _any(route), route.example, by=member)
    assert (response.status_code, response.json()["code"]) == (401, "token_refused")


@pytest.mark.parametrize("route", [route for route in STAFF if route.access.permission], ids=lambda route: route.name)
async def test_without_a_role_that_allows_it_no_staff_come_in(edge: Edge, route: Route) -> None:
    services = edge.spine.services
    others = [role for role in services.city.staff.roles if route.access.permission not in role.permissions]
    members = [await staff.member(services, staff.unit_of(services, role), role.code) for role in others]
    members += [await staff.member(services, "water"), await staff.member(services, "water", "no_such_role")]
    for member in members:
        response = await edge.call(route.method, _any(route), route.example, by=member)
        assert (response.status_code, response.json()["code"]) == (403, "permission_missing")


@pytest.mark.parametrize("route", PERSONS, ids=lambda route: route.name)
async def test_without_a_login_nobody_comes_in(edge: Edge, route: Route) -> None:
    response = await edge.call(route.method, _any(route), route.example)
    assert (response.status_code, response.json()["code"]) == (401, "token_refused")


@pytest.mark.parametrize("route", [route for route in PERSONS if route.access.level > 1], ids=lambda route: route.name)
async def test_below_his_level_nobody_comes_in(edge: Edge, route: Route) -> None:
    below = await edge.person(route.access.level - 1)
    response = await edge.call(route.method, _any(route), route.example, by=below)
    assert (response.status_code, response.json()["code"]) == (403, "level_too_low")
    assert response.json()["data"] == {"level": route.access.level - 1, "needed": route.access.level}


async def test_with_an_old_proof_nobody_comes_in_where_a_fresh_one_is_asked(edge: Edge) -> None:
    person = await edge.person()
    known = person.citizen.caller
    for route in [route for route in PERSONS if route.access.fresh]:
        old = Caller(known.person_id, known.user_id, known.session_id, route.access.level, clock.timestamp() - 301)
        token, _ = edge.spine.services.access_tokens.issue(old, "old")
        response = await edge.call(route.method, _any(route), route.example, by=Person(person.citizen, token))
        assert (response.status_code, response.json()["code"]) == (403, "proof_too_old")


@pytest.mark.parametrize("route", SIGNED, ids=lambda route: route.name)
@pytest.mark.parametrize("how", ["unsigned", "with a person's login", "altered", "late"])
async def test_without_its_signature_nobody_is_believed(edge: Edge, route: Route, how: str) -> None:
    query, headers, body = await Operations(edge).signed(route)
    if how in ("unsigned", "with a person's login"):
        query, headers = {}, {name: value for name, value in headers.items() if name == "Content-Type"}
        body = body.partition(b"&sign=")[0]  # Alipay signs inside its form
    if how == "with a person's login":
        headers |= (await edge.person()).headers
    if how == "altered":
        middle = len(body) // 2
        body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body
        query |= {"signature": "0" * 40} if "echostr" in query else {}
    before = await edge.spine.rows((*_STORED,))
    try:
        if how == "late":
            clock.travel(_LATER if route.path == "/callbacks/alipay" else _LATE)
        path = made_up(route.path)
        if how == "altered" and not body:
            path = path.replace(str(UUID(int=7)), str(UUID(int=8)))
        response = await edge.http.request(route.method, path, params=query, headers=headers, content=body)
    finally:
        clock.travel(_LATE * 0)
    assert response.status_code == 401
    assert response.json()["code"] in ("signature_wrong", "FAIL")
    assert await edge.spine.rows((*_STORED,)) == before


async def test_a_company_s_signature_opens_no_other_company_s_door(edge: Edge) -> None:
    path = "/callbacks/companies/gas"
    query, headers, body = edge.senders.company(
        "water", "POST", path, {"event_id": "e", "type": "t", "at": "", "data": {}}
    )
    response = await edge.http.request("POST", path, params=query, headers=headers, content=body)
    assert (response.status_code, response.json()["code"]) == (401, "signature_wrong")


def _any(route: Route) -> str:
    """Its address with ids of nothing."""
    parts = ["00000000-0000-0000-0000-000000000000" if part.startswith("{") else part for part in route.path.split("/")]
    return "/".join(parts)


_LATE = timedelta(seconds=301)
_LATER = timedelta(hours=26, minutes=1)
"""Alipay repeats a notice for 25 hours."""
_STORED = ("inbox", "qr_code", "utility_account", "card_read", "device_nonce")
