"""A foreign reader of the contract calls every operation with what the contract allows, and with what it forbids.

Each operation is first carried out once, so that it is known to succeed, then called with generated requests as one citizen with
bindings, bills, payments and messages; companies and WeChat Pay sign what is generated. Bounded and the same on every run.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from api.calls import Route
from api.routes import ROUTES
from tests.harness import devices
from tests.harness.devices import Reader
from tests.harness.edge import Edge, Person
from tests.harness.operations import OBJECTS, REAL_NAME_OBJECTS, Operations, within_reach
from tests.harness.staff import Member, member_for

EXAMPLES = {GenerationMode.POSITIVE: 12, GenerationMode.NEGATIVE: 9}
"""Generated requests of each operation, by kind: half as many where there is no body, only an id and a few words to vary."""
load_all_checks()
JUDGES: Any = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
_NO_HEALTH_CHECK: Any = list(HealthCheck)
Prepare = Callable[[requests.PreparedRequest], None]


@pytest.mark.timeout(300)  # every operation, and there are many
async def test_every_operation_succeeds_and_no_request_makes_it_fail_or_break_its_word(edge: Edge) -> None:
    schema = schemathesis.openapi.from_dict(edge.contract.document)
    described = {
        _operation(found).definition.raw["operationId"]: _operation(found) for found in schema.get_all_operations()
    }
    assert set(described) == {route.name for route in ROUTES}
    statuses: dict[str, set[int]] = {}
    readers: list[Person] = []
    for route in ROUTES:
        await edge.forget_limits()
        first = await Operations(edge).carry_out(route)
        assert first.status_code == route.status, f"{route.name}: {first.text}"
        person = await _caller(edge, route, readers) if route.access.who == "person" else None
        member = await member_for(edge.spine.services, route.access) if route.access.who == "staff" else None
        seeds = await (_of_staff(edge, route, member) if member else _seeds(edge, route, person))
        device = await devices.enrolled(edge.spine.services) if route.access.who == "device" else None
        if device is not None:
            seeds["card_read_id"] = await devices.taken(edge, device, await edge.person())
        prepare = _prepare(edge, route, member or person, device)
        calling = _Calling(described[route.name], str(edge.http.base_url), seeds, prepare)
        # What takes nothing but optional headers cannot be asked wrongly.
        modes = list(EXAMPLES) if route.body or route.query or "_id}" in route.path else [GenerationMode.POSITIVE]
        for mode in modes:
            await edge.forget_limits()
            await asyncio.to_thread(calling.run, mode)
        statuses[route.name] = calling.statuses
    assert [name for name, seen in statuses.items() if max(seen) >= 500] == []
    # The generated requests are not all turned away at the door.
    reached = {name for name, seen in statuses.items() if seen & {200, 201, 204}}
    assert len(reached) >= len(ROUTES) * 2 // 3, sorted(set(statuses) - reached)


async def _caller(edge: Edge, route: Route, readers: list[Person]) -> Person:
    """A citizen of its own for what changes something; one for all that only read."""
    if any(f"{{{name}}}" in route.path for name in REAL_NAME_OBJECTS):
        return await edge.person(3)
    if route.method != "GET":
        return await edge.person()
    if not readers:
        readers.append(await edge.person())
        await edge.bound(readers[0])
    return readers[0]


def _operation(found: Any) -> APIOperation:
    return found.ok()


class _Calling:
    """Generated calls of one operation."""

    def __init__(self, operation: APIOperation, base_url: str, seeds: dict[str, str], prepare: Prepare) -> None:
        self._operation = operation
        self._base_url = base_url.rstrip("/")
        self._seeds = seeds
        self._prepare = prepare
        self.statuses: set[int] = set()

    def run(self, mode: GenerationMode) -> None:
        """Call it; raises what schemathesis finds, with the request that shows it."""
        examples = EXAMPLES[mode] if self._operation.body else EXAMPLES[mode] // 2
        bounded = settings(
            max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=_NO_HEALTH_CHECK,
        )  # fmt: skip
        strategy = self._operation.as_strategy(generation_mode=mode)

        @bounded
        @given(case=strategy, is_seeded=st.integers(0, 3))
        def call(case: Case, is_seeded: int) -> None:
            if is_seeded:
                self._put_seeds(case)
            self._send(case)

        with requests.Session() as self._session:
            self._session.trust_env = False
            call()

    def _put_seeds(self, case: Case) -> None:
        """Ids and secrets of what really exists, where the generated ones would hit nothing."""
        for name in case.path_parameters or ():
            if name in self._seeds:
                case.path_parameters[name] = self._seeds[name]
        if isinstance(case.body, dict):
            for name in case.body:
                if name in self._seeds:
                    case.body[name] = self._seeds[name]

    def _send(self, case: Case) -> None:
        wanted: dict[str, Any] = case.as_transport_kwargs(base_url=self._base_url)
        wanted = {
            name: wanted[name]
            for name in ("method", "url", "params", "headers", "data", "json", "cookies")
            if wanted.get(name) is not None
        }
        request = self._session.prepare_request(requests.Request(**wanted))
        self._prepare(request)
        response = self._session.send(request, timeout=20, allow_redirects=False)
        self.statuses.add(response.status_code)
        case.validate_response(response, checks=JUDGES)


async def _seeds(edge: Edge, route: Route, person: Person | None) -> dict[str, str]:
    """What the citizen of this operation has, by the name under which a request names it."""
    if route.access.who == "company":
        number = await edge.spine.account(4199)
        return {"company": "water", "account_number": number, "token": await edge.spine.qr(number)}
    if person is None:
        return {}
    number = (person.bound or await edge.bound(person))["number"]
    quote = await edge.told("POST", "/v1/quotes", {"account_id": person.bound["account_id"]}, by=person)
    made = {name: await OBJECTS[name](edge, person) for name in OBJECTS if f"{{{name}}}" in route.path}
    return {
        "number": number, "company": "water", "proof": "123X", "token": await edge.spine.qr(number), "quote_id": quote["quote_id"],
        "account_id": person.bound["account_id"], **made,
    }  # fmt: skip


async def _of_staff(edge: Edge, route: Route, member: Member) -> dict[str, str]:
    """What there is within the reach of this member of staff."""
    number = await edge.spine.account(4199)
    reached = await within_reach(edge, member, route)
    return {"unit": "water", "company": "water", "number": number, "proof": "123X", **reached}


def _prepare(edge: Edge, route: Route, caller: Person | Member | None, device: Reader | None) -> Prepare:
    """Logs in, or signs, whatever was generated."""
    senders = edge.senders

    def as_caller(request: requests.PreparedRequest) -> None:
        assert caller is not None
        request.headers.update(caller.headers)

    def as_company(request: requests.PreparedRequest) -> None:
        _, headers, _ = senders.company("water", request.method or "", request.path_url, _body(request))
        request.headers.update(headers)

    def as_wechat_pay(request: requests.PreparedRequest) -> None:
        request.headers.update(senders.wechat_pay_signature(_body(request)))

    if route.name == "callbacks_wechat_pay_receive":
        return as_wechat_pay

    def as_device(request: requests.PreparedRequest) -> None:
        assert device is not None
        headers, _ = device.signed_bytes(edge, request.method or "", request.path_url, _body(request))
        request.headers.update(headers)

    signs: dict[str, Prepare] = {
        "person": as_caller, "staff": as_caller, "company": as_company, "device": as_device,
    }  # fmt: skip
    return signs.get(route.access.who, lambda _request: None)


def _body(request: requests.PreparedRequest) -> bytes:
    body: Any = request.body or b""
    return body if isinstance(body, bytes) else body.encode()
