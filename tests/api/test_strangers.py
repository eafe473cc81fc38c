"""The stranger matrix: nobody learns of another's objects, wherever a call may name one; the answer is that of an object that is not there.

The places are read from the OpenAPI document: whatever is an id (``format: uuid``) in a path, a query, a header or a body. An operation
that is added without its place here is red, and one without any id must be open, signed, a list of one's own, or stand in `OF_ONESELF`.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest

from api.calls import Route
from api.fields import filled, placeholders
from api.openapi import document
from api.routes import ROUTES
from core import clock
from tests.harness import cases, desks, staff
from tests.harness.edge import Caller, Edge, Person
from tests.harness.operations import OBJECTS, REAL_NAME_OBJECTS, acting_for, late_promise, surveyed_order, within_reach
from tests.harness.staff import Member, member_for

BY_NAME = {route.name: route for route in ROUTES}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NOT_FOUND = (404, "not_found")


class Place(NamedTuple):
    """Where an operation takes the id of an object; ``[]`` behind a name: in a list."""

    operation: str
    where: Literal["path", "query", "header", "body"]
    name: str


def places_of(contract: Mapping[str, Any]) -> Iterator[Place]:
    """Every place of a contract."""
    for item in contract["paths"].values():
        for operation in item.values():
            name = operation["operationId"]
            for parameter in operation.get("parameters", ()):
                if any(True for _ in _ids(contract, parameter["schema"], "")):
                    yield Place(name, parameter["in"], parameter["name"])
            for media in operation.get("requestBody", {}).get("content", {}).values():
                yield from (Place(name, "body", found) for found in _ids(contract, media["schema"], ""))


def _ids(contract: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    while "$ref" in schema:
        schema = contract["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("format") == "uuid":
        yield path
    for kind in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(kind, ()):
            yield from _ids(contract, inner, path)
    if "items" in schema:
        yield from _ids(contract, schema["items"], f"{path}[]")
    for name, inner in schema.get("properties", {}).items():
        yield from _ids(contract, inner, f"{path}.{name}" if path else name)


CONTRACT = json.loads(json.dumps(document(ROUTES)))
PLACES = sorted(set(places_of(CONTRACT)))
OF_PERSONS = [place for place in PLACES if BY_NAME[place.operation].access.who == "person"]
OF_STAFF = [
    route for route in ROUTES if route.access.who == "staff" and any(route.name == place.operation for place in PLACES)
]
LISTS = [
    route for route in ROUTES
    if route.method == "GET" and route.access.who in ("person", "staff") and "_id}" not in route.path
]  # fmt: skip

ANSWERS: dict[Place, tuple[int, str]] = {
    Place("mandates_appoint", "body", "account_ids[]"): (422, "mandate_exceeds"),
    Place("payments_create", "body", "bill_ids[]"): (422, "bill_not_in_quote"),
    Place("payments_create_quote", "body", "account_ids[]"): (201, ""),
}
"""Where a stranger's id has another answer than ``not_found``: the same that an id of nothing gets."""
OF_ONESELF = {
    "sessions_end_current": "one's own session",
    "me_prove_phone": "one's own phone",
    "drafts_begin": "a new draft of one's own",
    "me_request_phone_code": "one's own phone",
    "identities_prove": "one's own login",
    "identities_start": "one's own session",
    "identities_join": "the handover code is bound to its session: tests/domain/identity/test_joining.py",
    "counters_new_code": "one's own code",
    "card_reads_take": "a code that a kiosk shows to whoever stands before it: tests/domain/identity/test_cards.py",
    "utility_accounts_scan": "a printed code, which whoever holds the bill may show",
    "shares_accept": "a code that its owner hands on: tests/domain/billing/test_sharing.py",
    "mandates_claim_organization": "the organization that the source has vouched for in one's own session",
    "mandates_accept": "a code for one name: tests/domain/identity/test_mandates.py",
    "staff_sessions_renew": "one's own session",
    "staff_sessions_end_current": "one's own session",
    "staff_sessions_change_password": "one's own password",
    "staff_survey_slots_change_slots": "free times of one's own company's crews",
    "staff_users_create": "a new login in one's own unit",
    "staff_desk_find_account": "a number, looked for at one's own company",
    "staff_acting_open_session": "a code or a card that the citizen shows",
    "staff_devices_enrol": "a new device in one's own hall",
}
"""Operations that change something and name no object by its id, and what they are about instead."""


def unplaced(contract: Mapping[str, Any]) -> set[str]:
    """Operations for which nobody has said what a stranger must not reach."""
    named = {place.operation for place in places_of(contract)}
    listed = {route.name for route in LISTS} | OF_ONESELF.keys()
    closed = {route.name for route in ROUTES if route.access.who in ("anybody", "company", "platform", "device")}
    every = {operation["operationId"] for item in contract["paths"].values() for operation in item.values()}
    return every - named - listed - closed


def test_every_operation_has_its_row_in_the_matrix() -> None:
    assert unplaced(CONTRACT) == set()
    assert OF_ONESELF.keys() <= BY_NAME.keys() - {place.operation for place in PLACES if place.where != "header"}
    assert ANSWERS.keys() <= set(PLACES)
    taken = {*((place.name) for place in OF_PERSONS)}
    assert taken <= THEIRS.keys(), "no way is known by which an owner comes by such an object"


def test_an_operation_added_without_its_row_is_seen() -> None:
    added = json.loads(json.dumps(CONTRACT))
    added["paths"]["/v1/secrets"] = {"post": {"operationId": "secrets_show", "requestBody": {"content": {}}}}
    assert unplaced(added) == {"secrets_show"}
    schema = {
        "anyOf": [
            {"type": "array", "items": {"type": "object", "properties": {"bill_id": {"format": "uuid"}}}},
            {"type": "null"},
        ]
    }
    added["paths"]["/v1/secrets"]["post"]["requestBody"]["content"] = {
        "application/json": {"schema": {"properties": {"of": schema}}}
    }
    assert set(places_of(added)) - set(PLACES) == {Place("secrets_show", "body", "of[].bill_id")}


# How an owner comes by what a stranger names


async def _quote(edge: Edge, person: Person) -> str:
    account_id = await OBJECTS["account_id"](edge, person)
    return (await edge.told("POST", "/v1/quotes", {"account_id": account_id}, by=person))["quote_id"]


THEIRS: dict[str, Callable[[Edge, Person], Awaitable[str]]] = {
    **OBJECTS,
    "account_ids[]": OBJECTS["account_id"],
    "bill_ids[]": OBJECTS["bill_id"],
    "quote_ids[]": _quote,
    "On-Behalf-Of": Edge.agent,
    "before": OBJECTS["bill_id"],
    "after": OBJECTS["payment_id"],
}
_REAL_NAME = {*REAL_NAME_OBJECTS, "On-Behalf-Of"}
POSITIONS = {
    "materials_list_materials": "material_id",
    "messages_list_messages": "message_id",
    "counters_list_acting": "acting_id",
    "shares_list_uses": "share_id",
    "mandates_list_uses": "mandate_id",
}
"""Lists that begin behind an object of this kind; the others behind a payment."""


_MADE_UP = {"property_material_id": str(uuid4()), "promised_for": "2099-12-31", "statement_sha256": "0" * 64}
"""What fits the shape of a body without being anything."""


class Folk:
    """A stranger with objects of his own, and objects of others; each is made once, for no call here may change any."""

    def __init__(self, edge: Edge, stranger: Person) -> None:
        self.edge = edge
        self.stranger = stranger
        self._theirs: dict[str, str] = {}
        self._own: dict[str, str] = {}

    async def theirs(self, name: str) -> str:
        """An object of somebody else."""
        if name not in self._theirs:
            owner = await self.edge.person(3 if name in _REAL_NAME else 2)
            self._theirs[name] = await THEIRS[name](self.edge, owner)
        return self._theirs[name]

    async def own(self, name: str) -> str:
        """An object of the stranger's."""
        if name not in self._own:
            # What joining gives would make another person of the stranger: nothing of his own is asked for there.
            self._own[name] = (
                str(uuid4()) if name in ("join_id", "code_id") else await THEIRS[name](self.edge, self.stranger)
            )
        return self._own[name]

    async def call(self, place: Place, id_: str, by: Caller | None) -> httpx.Response:
        """The operation, all of whose places name the stranger's own objects but this one."""
        route = BY_NAME[place.operation]
        path, query, headers = route.path, {}, {}
        for name in [part[1:-1] for part in route.path.split("/") if part.startswith("{")]:
            path = path.replace(f"{{{name}}}", id_ if place.where == "path" else await self.own(name))
        moments = {"starts_at": desks.at(9).isoformat(), "ends_at": desks.at(12).isoformat()}
        made_up = _MADE_UP | moments
        body = filled(route.example, {name: made_up.get(name, "000000") for name in placeholders(route.example)})
        if place.where == "query":
            query[place.name] = id_
        if place.operation == "materials_read":
            query["link"] = f"{int(clock.timestamp()) + 60}.somebody-s"
        if place.where == "header" or place.operation in ("mandates_appoint", "mandates_list_agents"):
            headers["On-Behalf-Of"] = id_ if place.where == "header" else await self.own("On-Behalf-Of")
        if place.where == "body":
            name = place.name.removesuffix("[]")
            body = {name: [id_] if place.name.endswith("[]") else id_}
            if place.operation == "papers_attach":
                body["requirement"] = "property"
            if place.operation == "mandates_appoint":
                body |= {"agent_name": "某人", "scopes": ["read"], "ends_at": (clock.now() + DAY).isoformat()}
            if place == ("payments_create", "body", "bill_ids[]"):
                body["quote_ids"] = [await self.own("quote_ids[]")]
        key = uuid4().hex if route.idempotent else None
        return await self.edge.call(route.method, path, body, by=by, key=key, params=query or None, headers=headers)


DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def folk(edge: Edge) -> Folk:
    return Folk(edge, await edge.person(3))


def _neighbour(id_: str) -> str:
    """An id of nothing, as near as can be: made in the same millisecond."""
    return str(UUID(int=UUID(id_).int ^ 1))


def _compared(response: httpx.Response, id_: str) -> tuple[int, str, set[str]]:
    """An answer without its number and without the id that was asked for."""
    number = response.headers["x-request-id"]
    return response.status_code, response.text.replace(number, "").replace(id_, "the id"), set(response.headers)


@pytest.mark.parametrize("place", OF_PERSONS, ids=lambda place: "-".join(place))
async def test_an_object_of_another_is_answered_like_one_that_is_not_there(
    edge: Edge, folk: Folk, place: Place
) -> None:
    await edge.forget_limits()
    kind = POSITIONS.get(place.operation, place.name) if place.where == "query" else place.name
    theirs = await folk.theirs(kind)
    await folk.call(place, _neighbour(theirs), folk.stranger)  # whatever of his own the call needs is there from now on
    before = await edge.spine.rows()
    answers = [(await folk.call(place, id_, folk.stranger), id_) for id_ in (theirs, _neighbour(theirs))]
    nobody = [(await folk.call(place, id_, None), id_) for id_ in (theirs, _neighbour(theirs))]
    assert _compared(*answers[0]) == _compared(*answers[1])
    assert _compared(*nobody[0]) == _compared(*nobody[1])
    assert (nobody[0][0].status_code, nobody[0][0].json()["code"]) == (401, "token_refused")
    said = (answers[0][0].status_code, answers[0][0].json().get("code", ""))
    assert (
        said == (200, "") if place.where == "query" and place.name == "after" else said == ANSWERS.get(place, NOT_FOUND)
    )
    assert await edge.spine.rows() == before


@pytest.mark.parametrize("route", OF_STAFF, ids=lambda route: route.name)
async def test_an_object_of_another_unit_s_staff_is_answered_like_one_that_is_not_there(
    edge: Edge, route: Route
) -> None:
    await edge.forget_limits()
    services = edge.spine.services
    owner, stranger = await member_for(services, route.access), await member_for(services, route.access, 1)
    theirs = await within_reach(edge, owner, route)
    cursor = None if theirs else await OBJECTS["payment_id"](edge, await edge.person())
    before = await edge.spine.rows(_OF_STAFF)
    answers: list[tuple[int, str, set[str]]] = []
    for near in (False, True):
        ids = {name: _neighbour(id_) if near else id_ for name, id_ in theirs.items()}
        query = {"after": _neighbour(cursor) if near else cursor} if cursor else None
        if route.name == "staff_desk_list_payments":
            query = {**(query or {}), "day": clock.today().isoformat()}
        if route.name == "staff_papers_read":
            query = {"link": f"{int(clock.timestamp()) + 60}.somebody-s"}
        path, body = route.path.format(**ids), filled(route.example, _Any())
        key = uuid4().hex if route.idempotent else None
        response = await edge.call(route.method, path, body, by=stranger, params=query, key=key)
        answers.append(_compared(response, next(iter(ids.values()), "-")))
        nobody = await edge.call(route.method, path, body, params=query)
        assert (nobody.status_code, nobody.json()["code"]) == (401, "token_refused")
    assert answers[0] == answers[1]
    assert answers[0][0] == (200 if cursor else 404)
    assert await edge.spine.rows(_OF_STAFF) == before


_OF_STAFF = ("acting_session", "disclosure", "binding", "payment", "staff_user", "login_user", "person", "message")

# Lists of one's own

SEES_NOTHING = {
    "identities_list_identities": "no ids but of joinings",
    "mandates_list_agents": "asked for an organization: the header is a place of the matrix",
    "staff_devices_list_devices": "devices are of halls: tests/domain/identity/test_cards.py",
    "staff_files_list_files": "no file is overdue here; tests/domain/billing/test_exchange.py asks for another company's",
    "staff_deadlines_show_figures": "counts, no ids; tests/domain/deadlines/test_watching.py looks at whose",
    "staff_pushes_export_demand": "counts, no ids; tests/domain/applications/test_push_reports.py looks at whose",
    "staff_desk_list_unresolved": "nothing hangs here; tests/domain/billing/test_desk.py lets something hang",
}
"""Lists in which this owner has nothing that a stranger could see, and where else it is looked at."""


@pytest.fixture(scope="module")
async def rich(edge: Edge) -> Person:
    """Somebody who has something of everything."""
    person = await edge.person(3)
    await edge.payment(person)
    await edge.message(person)
    for name in ("share_id", "mandate_id", "acting_id", "material_id", "application_id", "record_id"):
        await OBJECTS[name](edge, person)
    clerk = await member_for(edge.spine.services, BY_NAME["staff_desk_reveal_account"].access)
    body = filled(BY_NAME["staff_desk_reveal_account"].example, _Any())
    await edge.told("POST", f"/staff/v1/utility-accounts/{person.bound['account_id']}/reveal", body, by=clerk)
    await late_promise(edge, await _of_company(edge, BY_NAME["staff_deadlines_list_warnings"], "water"))
    await edge.spine.services.permits.ask(await surveyed_order(edge), cases.of("water"), ["traffic"], "占道许可申请")
    return person


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.name)
async def test_a_list_holds_nothing_of_another_s(edge: Edge, folk: Folk, rich: Person, route: Route) -> None:
    await edge.forget_limits()
    owner: Caller = rich
    stranger: Caller = folk.stranger
    if route.access.who == "staff":
        owner, stranger = [await _of_company(edge, route, company) for company in ("water", "gas")]
    today = clock.today().isoformat()
    query = {"day": today} if route.name in ("staff_desk_list_payments", "staff_deadlines_show_fees") else None
    if route.name in ("staff_deadlines_show_figures", "staff_pushes_export_demand"):
        query = {"first": today, "last": today}
    if route.name in (
        "mandates_list_agents",
        "staff_credit_list_records",
        "staff_pushes_list_pushes",
    ):  # one office of the city decides all records, one reads all pushes
        return
    seen = [
        set(_ID.findall((await edge.call("GET", route.path, by=by, params=query)).text)) for by in (owner, stranger)
    ]
    numbers = seen[0] & seen[1]
    assert not numbers
    assert bool(seen[0]) != (route.name in SEES_NOTHING)


async def _of_company(edge: Edge, route: Route, company: str) -> Member:
    roles = edge.spine.services.city.staff.roles
    needed = route.access.permission
    role = next((r for r in roles if "company" in r.units and (needed is None or needed in r.permissions)), None)
    return await staff.member(edge.spine.services, company if role else "city", *([role.code] if role else []))


# Companies


@pytest.mark.parametrize("path", ["/company/v1/qr-codes/revoke", "/company/v1/qr-codes/wechat"])
async def test_a_code_of_another_company_is_answered_like_one_that_nobody_issued(edge: Edge, path: str) -> None:
    await edge.forget_limits()
    theirs = await edge.spine.qr(await edge.spine.account(4199))
    before = await edge.spine.rows(("qr_code",))
    answers = []
    for token in (theirs, "0" * len(theirs)):
        query, headers, body = edge.senders.company("gas", "POST", path, {"token": token})
        response = await edge.http.request("POST", path, params=query, headers=headers, content=body)
        answers.append((response.status_code, {**response.json(), "request_id": ""}))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert await edge.spine.rows(("qr_code",)) == before


async def test_whoever_acts_for_a_citizen_reaches_that_citizen_s_accounts_only(edge: Edge) -> None:
    await edge.forget_limits()
    clerk = await staff.member(edge.spine.services, "hall_420704", "clerk")
    citizen, other = await edge.person(), await edge.person()
    await edge.bound(citizen)
    acting_id = await acting_for(edge, clerk, citizen)
    theirs = (await edge.bound(other))["account_id"]
    path = f"/staff/v1/acting-sessions/{acting_id}/utility-accounts/"
    answers = [
        _compared(await edge.call("GET", f"{path}{id_}/owed", by=clerk), id_) for id_ in (theirs, _neighbour(theirs))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


class _Any(dict[str, str]):
    """Something for every placeholder."""

    def __missing__(self, _name: str) -> str:
        return str(uuid4())
