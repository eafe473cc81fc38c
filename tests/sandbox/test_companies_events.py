"""What a company sends: signed, until it is taken, through every outgoing fault."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import http_signatures as signatures
from sandbox.companies_events import RETRIES_S, due_s
from sandbox.http_signatures import Request, Response, SignatureError
from sandbox.server import Sandbox
from tests.sandbox.companies_support import (
    KEYS,
    NUMBER,
    Client,
    Platform,
    configuration,
    http_answer,
    http_client,
    posting,
)

QR = {"account_number": NUMBER, "label": "2026-10 账单"}


class Street:
    """A sandbox whose companies send to a bare platform."""

    def __init__(self, sandbox: Sandbox, platform: Platform, http: httpx.AsyncClient) -> None:
        self.platform = platform
        self.clock = sandbox.context.clock.timestamp
        self.client = Client(f"http://127.0.0.1:{sandbox.ports[2]}", http, clock=self.clock)
        self.control_url = f"http://127.0.0.1:{sandbox.ports[0]}/control"
        self.http = http

    async def control(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.http.post(f"{self.control_url}/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def fault(self, kind: str, times: int = 1) -> None:
        body = {"counterpart": "company:water", "operation": "event", "fault": kind, "times": times}
        await self.control("faults", body)

    async def send(self, number: int) -> str:
        data = {"account_number": str(number)}
        return (await self.control("companies/water/events", {"type": "bills.changed", "data": data}))["event_id"]

    async def pace(self, factor: float) -> None:
        await self.control("companies/water/pace", {"factor": factor})

    async def events(self) -> list[dict[str, Any]]:
        return (await self.http.get(f"{self.control_url}/companies/water/ledger")).json()["events"]

    async def settled(self, status: str) -> dict[str, Any]:
        """The only event, as soon as it has reached `status`: each look is a round through the sandbox's own loop."""
        seen = ""
        for _ in range(2000):
            (event,) = await self.events()
            seen = event["status"]
            if seen == status:
                return event
        raise AssertionError(f"still {seen}")

    def prove(self, request: Request, keyid: str = "water-2026a") -> signatures.Proof:
        return signatures.verify_request(request, {keyid: KEYS[keyid].key.public_key()}, self.clock())


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with (
        Platform() as platform,
        Sandbox(configuration(tmp_path, platform.url), 0) as sandbox,
        http_client() as http,
    ):
        yield Street(sandbox, platform, http)


async def test_a_bill_that_is_issued_is_announced_and_can_be_quoted(street: Street) -> None:
    wanted = {"account_number": NUMBER, "period": "2026-11", "principal_fen": 1200}
    issued = await street.control("companies/water/bills", wanted)
    request, event = await street.platform.next()
    assert (request.method, request.target) == ("POST", "/callbacks/companies/water")
    assert street.prove(request).keyid == "water-2026a"
    assert event == {"event_id": issued["event_id"], "type": "bills.changed", "at": event["at"],
                     "data": {"account_number": NUMBER}}  # fmt: skip
    assert (await street.settled("delivered"))["attempts"] == 1
    told = await street.client.call("POST", "bills/query", {"account_number": NUMBER, "purpose": "quote"})
    assert told.body["bills"][0] == issued["bill"]
    assert told.body["quote"]["total_fen"] == 4660 + 3015 + 1200


async def test_an_event_not_answered_with_204_is_sent_again_with_a_new_signature(street: Street) -> None:
    await street.pace(1e8)
    street.platform.answers = [lambda _: http_answer(500), lambda _: http_answer(200), lambda _: http_answer(401)]
    event_id = await street.send(1)
    sendings = [await street.platform.next() for _ in range(4)]
    assert {event["event_id"] for _, event in sendings} == {event_id}
    assert len({request.body for request, _ in sendings}) == 1
    assert len({street.prove(request).nonce for request, _ in sendings}) == 4
    assert (await street.settled("delivered"))["attempts"] == 4


async def test_an_event_nobody_takes_is_given_up_after_a_day(street: Street) -> None:
    refuse: Callable[[Request], bytes] = lambda _: http_answer(503)  # noqa: E731
    street.platform.answers = [refuse] * 100
    await street.pace(1e8)
    await street.send(1)
    event = await street.settled("given_up")
    assert (event["attempts"], event["last_answer"]) == (1 + len(RETRIES_S), "503")
    assert RETRIES_S[:5] == (15, 60, 300, 1800, 3600)
    assert sum(RETRIES_S[4:]) == 24 * 3600


def test_waits_follow_the_schedule_at_its_pace() -> None:
    def row(attempts: int) -> dict[str, Any]:
        return {"attempts": attempts, "tried_at": 1000.0}

    assert due_s({"attempts": 0, "tried_at": None}, 1) == 0
    assert [due_s(row(attempts), 1) for attempts in (1, 2, 3, 4, 5, 28)] == [1015, 1060, 1300, 2800, 4600, 4600]
    assert due_s(row(2), 60) == 1001


async def test_a_pending_event_waits_for_its_time(street: Street) -> None:
    street.platform.answers = [lambda _: http_answer(500)]
    await street.send(1)
    await street.platform.next()
    await street.send(2)
    _, second = await street.platform.next()
    assert second["data"] == {"account_number": "2"}
    first, _ = await street.events()
    assert (first["status"], first["attempts"], first["last_answer"]) == ("pending", 1, "500")


async def test_an_event_sent_twice(street: Street) -> None:
    await street.fault("duplicate")
    event_id = await street.send(1)
    assert [(await street.platform.next())[1]["event_id"] for _ in range(2)] == [event_id] * 2


async def test_an_event_never_sent(street: Street) -> None:
    await street.fault("silence")
    await street.send(1)
    await street.settled("silenced")
    await street.send(2)
    assert (await street.platform.next())[1]["data"] == {"account_number": "2"}


async def test_an_event_overtaken_by_the_next(street: Street) -> None:
    await street.fault("reorder")
    first = await street.send(1)
    second = await street.send(2)
    assert [(await street.platform.next())[1]["event_id"] for _ in range(2)] == [second, first]


async def test_a_forged_event_is_followed_by_a_right_one(street: Street) -> None:
    await street.pace(1e8)
    await street.fault("forge")
    street.platform.answers = [lambda _: http_answer(401)]
    await street.send(1)
    forged, _ = await street.platform.next()
    with pytest.raises(SignatureError, match="signature is wrong"):
        street.prove(forged)
    right, _ = await street.platform.next()
    assert street.prove(right).keyid == "water-2026a"


async def test_the_staff_may_send_any_event_and_the_same_id_twice(street: Street) -> None:
    revoked = {"type": "binding.revoked", "event_id": "e-1",
               "data": {"account_number": NUMBER, "binding_ref": "B7K2-M9QD"}}  # fmt: skip
    for _ in range(2):
        await street.control("companies/water/events", revoked)
        _, event = await street.platform.next()
        assert {name: event[name] for name in revoked} == revoked


async def test_events_are_signed_with_the_chosen_key(street: Street) -> None:
    await street.control("companies/water/signing-key", {"keyid": "water-2026b"})
    await street.send(1)
    request, _ = await street.platform.next()
    assert street.prove(request, "water-2026b").keyid == "water-2026b"


@pytest.mark.parametrize(("code", "status"), [(None, "posted"), ("EQ0012", "refused")])
async def test_a_posting_in_processing_is_answered_by_an_event(street: Street, code: str | None, status: str) -> None:
    quote = await street.client.quote()
    await street.control("companies/water/processing", {"account_number": NUMBER, "seconds": 0.2, "code": code})
    told = await street.client.post(posting(quote["quote_id"]))
    assert told.body == {"posting_id": "p-1", "status": "processing"}
    request, event = await street.platform.next()
    street.prove(request)
    assert (event["type"], event["data"]["status"]) == ("posting.answered", status)
    assert (await street.client.call("GET", "postings/p-1")).body == event["data"]


async def test_a_reset_forgets_an_event_that_is_held_back(street: Street) -> None:
    await street.fault("reorder")
    await street.send(1)
    await street.http.post(f"{street.control_url}/reset")
    second = await street.send(2)
    assert (await street.platform.next())[1]["event_id"] == second
    third = await street.send(3)
    assert (await street.platform.next())[1]["event_id"] == third


def signed_answer(status: int, body: dict[str, Any], keyid: str = "lianban-2026a") -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        response = Response(status, [("Content-Type", "application/json")], json.dumps(body).encode())
        sent = signatures.field(request.fields, "signature-input") or ""
        created = int(sent.partition("created=")[2].partition(";")[0])
        added = signatures.sign_response(response, request, KEYS[keyid], created)
        return http_answer(status, [*response.fields, *added], response.body)

    return answer


async def test_the_company_asks_for_a_qr_code_and_checks_the_answer(street: Street) -> None:
    token = {"token": "A1", "url": "https://x/q/A1", "created_at": "2026-11-23T10:00:00+08:00"}
    street.platform.answers = [signed_answer(200, token)]
    got = await street.control("companies/water/qr-codes", QR)
    assert got == {"status": 200, "answer": token, "signature_error": None}
    request, body = await street.platform.next()
    assert (request.target, body) == ("/company/v1/qr-codes", QR)
    assert street.prove(request).keyid == "water-2026a"


async def test_the_company_notices_an_answer_that_is_not_the_platforms(street: Street) -> None:
    street.platform.answers = [
        signed_answer(200, {}, "gas-2026a"),
        lambda _: http_answer(200, [("Content-Type", "application/json")], b"{}"),
        lambda _: http_answer(503),
    ]
    errors = [(await street.control("companies/water/qr-codes", QR))["signature_error"] for _ in range(3)]
    assert errors == ["unknown keyid", "Content-Digest is missing", None]


async def test_the_company_ends_a_qr_code(street: Street) -> None:
    street.platform.answers = [signed_answer(200, {})]
    await street.control("companies/water/qr-codes/revoke", {"token": "A1"})
    request, body = await street.platform.next()
    assert (request.target, body) == ("/company/v1/qr-codes/revoke", {"token": "A1"})


async def test_a_platform_that_is_away_is_reported_and_waited_for(street: Street) -> None:
    street.platform.answers = [lambda _: b"", lambda _: b""]
    got = await street.control("companies/water/qr-codes", QR)
    assert (got["status"], got["answer"]) == (0, "RemoteProtocolError")
    await street.send(1)
    await street.platform.next()
    await street.platform.next()
    (event,) = await street.events()
    assert event["status"] == "pending"
