"""Many may stand behind one address: one of them who tries too often shuts nobody else out."""

import hashlib
from typing import Any
from uuid import uuid4

import pytest

from api.calls import Limit
from api.limits import by_caller, by_device
from api.routes import ROUTES
from tests.harness.edge import Edge

START = next(route for route in ROUTES if route.path == "/v1/sessions/unified/start")


class _Call:
    """As much of a call as is counted."""

    def __init__(self, client_ip: str, caller_id: str | None = None, body: Any = None) -> None:
        self.client_ip, self.caller_id, self.body = client_ip, caller_id, body


class _Vault:
    def index(self, name: str, value: str) -> bytes:
        return hashlib.sha256(f"{name}:{value}".encode()).digest()


def _counted(*arguments: Any) -> tuple[str, int]:
    key, count, _ = by_caller(START, Limit(60), _Call(*arguments), _Vault(), 50)  # type: ignore[arg-type]
    return key, count


def test_an_address_may_call_many_times_as_often_as_one_who_is_known() -> None:
    assert _counted("203.0.113.7", "person-1") == (f"call:{START.name}:person-1", 60)
    assert _counted("203.0.113.7")[1] == 60 * 50


def test_the_addresses_of_one_connection_count_as_one() -> None:
    assert _counted("2001:db8:1:2::1") == _counted("2001:db8:1:2:ffff::9") != _counted("2001:db8:1:3::1")
    assert _counted("203.0.113.7") != _counted("203.0.113.8")


@pytest.mark.parametrize("caller_id", [None, "person-1"], ids=["nobody is logged in", "somebody is"])
def test_what_names_no_device_is_counted_by_none(caller_id: str | None) -> None:
    assert by_device(START, Limit(60), _Call("203.0.113.7", caller_id), _Vault()) is None  # type: ignore[arg-type]


async def test_a_device_that_logs_in_too_often_is_refused_and_its_neighbour_is_not(edge: Edge) -> None:
    assert START.limit is not None
    start = {"source": "ehuiban", "return_url": edge.spine.services.settings.return_urls[0]}

    async def status(device: str) -> int:
        return (await edge.call("POST", START.path, {**start, "client_id": device})).status_code

    eager, neighbour = uuid4().hex, uuid4().hex
    assert {await status(eager) for _ in range(START.limit.count)} == {START.status}
    assert await status(eager) == 429
    assert await status(neighbour) == START.status
