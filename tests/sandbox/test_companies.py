"""The companies over real HTTP: who is let in, how answers are signed, what faults do, what survives a kill -9."""

import asyncio
import json
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox import http_signatures as signatures
from sandbox.http_signatures import PrivateKey, Request, SignatureError
from sandbox.server import Sandbox
from tests.sandbox.companies_support import (
    KEYS,
    NUMBER,
    Client,
    Platform,
    Told,
    configuration,
    http_client,
    posting,
)

VIEW = {"account_number": NUMBER, "purpose": "view"}


class Street:
    """A running sandbox with a client of the water company and the control endpoints."""

    def __init__(self, sandbox: Sandbox, http: httpx.AsyncClient) -> None:
        self.control_url = f"http://127.0.0.1:{sandbox.ports[0]}/control"
        self.client = Client(f"http://127.0.0.1:{sandbox.ports[2]}", http, clock=sandbox.context.clock.timestamp)
        self.http = http

    async def control(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.http.post(f"{self.control_url}/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def fault(self, operation: str, fault: str, **more: Any) -> None:
        described = {"counterpart": "company:water", "operation": operation, "fault": fault, "times": 1}
        await self.control("faults", described | more)

    async def ledger(self, company: str = "water") -> dict[str, Any]:
        return (await self.http.get(f"{self.control_url}/companies/{company}/ledger")).json()


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(configuration(tmp_path_factory.mktemp("street")), 0) as sandbox:
        yield sandbox


@pytest.fixture
async def street(sandbox: Sandbox) -> AsyncIterator[Street]:
    await sandbox.context.reset()
    async with http_client() as http:
        yield Street(sandbox, http)


def is_refused(told: Told, status: int) -> bool:
    return (told.status, told.body["code"], told.keyid) == (status, "EQ0001", None)


async def test_every_operation_answers_signed_and_bound_to_its_request(street: Street) -> None:
    client = street.client
    quote = await client.quote()
    notice = {"notice_id": "n-1", "account_number": NUMBER, "kind": "binding_created", "binding_ref": "B7K2-M9QD",
              "at": "2026-11-23T10:00:00+08:00"}  # fmt: skip
    answers = [
        await client.call("POST", "accounts/find", {"account_number": NUMBER}),
        await client.call("POST", "bills/query", VIEW),
        await client.post(posting(quote["quote_id"])),
        await client.call("GET", "postings/p-1"),
        await client.call("GET", "bill-files/2026-10-28"),
        await client.call("POST", "holder-notices", notice),
    ]
    assert [(told.status, told.keyid) for told in answers] == [(200, "water-2026a")] * 6
    assert answers[3].body == answers[2].body
    assert answers[4].raw.headers["content-type"] == "application/x-ndjson"
    assert answers[4].body.endswith('{"trailer":{"date":"2026-10-28","count":1,"payable_fen":4660}}\n')
    ledger = await street.ledger()
    assert [item["posting_id"] for item in ledger["postings"]] == ["p-1"]
    assert [(item["notice_id"], item["sent_to"]) for item in ledger["holder_notices"]] == [("n-1", "13800000001")]
    assert ledger["posting_calls"] == {"p-1": {"post_payment": 1, "query_posting": 1}}


async def test_errors_404_409_and_422_are_signed_too(street: Street) -> None:
    client = street.client
    quote = await client.quote()
    await client.post(posting(quote["quote_id"]))
    answers = [
        await client.call("POST", "bills/query", VIEW | {"account_number": "9"}),
        await client.call("GET", "postings/p-9"),
        await client.call("GET", "bill-files/2099-01-01"),
        await client.post(posting(quote["quote_id"], total_fen=1)),
        await client.post(posting("Q-unknown", "p-2")),
    ]
    seen = [(told.status, told.body["code"], told.keyid) for told in answers]
    assert seen == [(status, code, "water-2026a") for status, code in
                    ((404, "EQ0006"), (404, "ES0001"), (404, "EF0001"), (409, "EP0005"), (422, "EP0001"))]  # fmt: skip


async def test_an_answer_proves_nothing_about_another_request(street: Street) -> None:
    told = await street.client.call("POST", "bills/query", VIEW)
    response = signatures.Response(told.status, told.raw.headers.multi_items(), told.raw.content)
    other = street.client.request("POST", "bills/query", VIEW)
    keys = {"water-2026a": KEYS["water-2026a"].key.public_key()}
    with pytest.raises(SignatureError, match="signature is wrong"):
        signatures.verify_response(response, other, keys, street.client.clock())


@pytest.mark.parametrize("keyid", ["lianban-2026a", "lianban-2026b"])
async def test_both_keys_of_the_platform_are_right(street: Street, keyid: str) -> None:
    street.client.keyid = keyid
    assert (await street.client.call("POST", "bills/query", VIEW)).status == 200


@pytest.mark.parametrize(
    "more",
    [
        {"key": KEYS["gas-2026a"]},
        {"key": KEYS["water-2026a"]},
        {"key": PrivateKey("lianban-2026a", Ed25519PrivateKey.generate())},
        {"nonce": "too-short"},
        {"created": 1_764_000_000},
    ],
)
async def test_a_stranger_is_refused(street: Street, more: dict[str, Any]) -> None:
    assert is_refused(await street.client.call("POST", "bills/query", VIEW, **more), 401)


@pytest.mark.parametrize("age_s", [-320, 320])
async def test_a_request_from_another_time_is_refused(street: Street, age_s: int) -> None:
    created = int(street.client.clock()) + age_s
    assert is_refused(await street.client.call("POST", "bills/query", VIEW, created=created), 401)


@pytest.mark.parametrize("name", ["Content-Type", "Content-Digest", "Signature-Input", "Signature"])
async def test_a_request_without_one_of_its_fields_is_refused(street: Street, name: str) -> None:
    request = street.client.request("POST", "bills/query", VIEW)
    fields = [pair for pair in request.fields if pair[0] != name]
    assert is_refused(await street.client.send(replace(request, fields=fields)), 401)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"account_number": "0203001234", "purpose": "quote"}'},
        {"target": "/gas/v1/bills/query"},
        {"target": "/nobody/v1/bills/query"},
        {"target": "/water/v1/accounts/find"},
        {"authority": "company.example"},
        {"method": "PUT"},
    ],
)
async def test_a_request_changed_on_its_way_is_refused(street: Street, change: dict[str, Any]) -> None:
    request = street.client.request("POST", "bills/query", VIEW)
    assert is_refused(await street.client.send(replace(request, **change)), 401)


def resigned(request: Request, components: tuple[str, ...]) -> Request:
    fields = [pair for pair in request.fields if not pair[0].startswith("Signature")]
    parameters = dict(request.fields)["Signature-Input"].partition(")")[2]
    text = f"({' '.join(components)}){parameters}"
    base = signatures.signature_base(components, text, signatures.request_values(request, fields))
    sign = signatures.base64.b64encode(KEYS["lianban-2026a"].key.sign(base)).decode()
    added = [("Signature-Input", f"sig1={text}"), ("Signature", f"sig1=:{sign}:")]
    return replace(request, fields=[*fields, *added])


async def test_a_right_signature_over_other_components_is_refused(street: Street) -> None:
    all_of_them = signatures.REQUEST_COMPONENTS
    right = resigned(street.client.request("POST", "bills/query", VIEW), all_of_them)
    assert (await street.client.send(right)).status == 200
    for components in (all_of_them[:4], all_of_them[1:], all_of_them[::-1]):
        request = resigned(street.client.request("POST", "bills/query", VIEW), components)
        assert is_refused(await street.client.send(request), 401), components


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "bills/query?purpose=view", VIEW),
        ("POST", "bills/query", b'{"account_number": "1", "account_number": "2", "purpose": "view"}'),
        ("POST", "bills/query", b"[]"),
        ("POST", "bills/query", {"account_number": NUMBER, "purpose": "pay"}),
        ("POST", "bills/query", VIEW | {"unknown": "x" * 65_536}),
        ("GET", "bills/query", None),
        ("POST", "postings/p-1", {}),
        ("GET", "postings/p%2D1", None),
        ("GET", "bill-files/2026-02-30", None),
        ("POST", "nothing", {}),
    ],
)
async def test_a_signed_request_that_makes_no_sense_is_a_parameter_error(
    street: Street, method: str, path: str, body: Any
) -> None:
    assert is_refused(await street.client.call(method, path, body), 400)


async def test_a_body_must_be_called_json(street: Street) -> None:
    request = street.client.request("POST", "bills/query", VIEW)
    fields = [
        ("Content-Type", "text/json") if name == "Content-Type" else (name, value) for name, value in request.fields
    ]
    request = resigned(replace(request, fields=fields), signatures.REQUEST_COMPONENTS)
    assert is_refused(await street.client.send(request), 400)


async def test_a_replayed_question_is_refused_and_a_replayed_posting_answers_the_same(street: Street) -> None:
    question = street.client.request("POST", "bills/query", VIEW)
    assert (await street.client.send(question)).status == 200
    assert is_refused(await street.client.send(question), 401)
    quote = await street.client.quote()
    request = street.client.request("POST", "postings", posting(quote["quote_id"]))
    first, second = await street.client.send(request), await street.client.send(request)
    assert first.status == second.status == 200
    assert first.body == second.body
    assert (await street.ledger())["posting_calls"] == {"p-1": {"post_payment": 2}}


async def test_twenty_postings_at_once_pay_a_bill_once(street: Street) -> None:
    quote = await street.client.quote()
    calls = (street.client.post(posting(quote["quote_id"], f"p-{number % 10}")) for number in range(20))
    answers = await asyncio.gather(*calls)
    serials = {told.body["serial"] for told in answers if told.status == 200}
    assert len(serials) == 1
    assert sum(told.status == 200 for told in answers) == 2
    assert {told.body["code"] for told in answers if told.status != 200} == {"EP0003"}


async def test_a_company_sees_nothing_of_another(street: Street) -> None:
    street.client.company = "gas"
    told = await street.client.call("POST", "bills/query", VIEW)
    assert told.keyid == "gas-2026a"
    assert [bill["bill_no"] for bill in told.body["bills"]] == ["G1"]
    assert (await street.client.call("GET", "postings/p-1")).body["code"] == "ES0001"


async def test_the_company_signs_with_the_key_it_was_told_to(street: Street) -> None:
    await street.control("companies/water/signing-key", {"keyid": "water-2026b"})
    assert (await street.client.call("POST", "bills/query", VIEW)).keyid == "water-2026b"


async def test_an_error_is_answered_and_nothing_is_done(street: Street) -> None:
    quote = await street.client.quote()
    for status, code in ((500, "EQ0011"), (504, "EQ0010"), (429, "EQ0014"), (422, "EQ0008")):
        await street.fault("post_payment", "error", status=status)
        told = await street.client.post(posting(quote["quote_id"]))
        assert (told.status, told.body["code"]) == (status, code)
        assert told.keyid == ("water-2026a" if status == 422 else None)
    assert (await street.client.call("GET", "postings/p-1")).status == 404


@pytest.mark.parametrize(("after", "status"), [(False, 404), (True, 200)])
async def test_a_dropped_connection_with_the_work_done_or_not(street: Street, after: bool, status: int) -> None:
    quote = await street.client.quote()
    await street.fault("post_payment", "drop", after=after)
    with pytest.raises(httpx.TransportError):
        await street.client.post(posting(quote["quote_id"]))
    assert (await street.client.call("GET", "postings/p-1")).status == status


async def test_a_client_that_gives_up_finds_the_work_done(street: Street) -> None:
    quote = await street.client.quote()
    await street.fault("post_payment", "hang", after=True)
    async with httpx.AsyncClient(timeout=0.3, trust_env=False) as impatient:
        with pytest.raises(httpx.ReadTimeout):
            await Client(street.client.base, impatient).post(posting(quote["quote_id"]))
    assert (await street.client.call("GET", "postings/p-1")).body["status"] == "posted"


@pytest.mark.parametrize("operation", ["find_account", "query_bills", "query_posting", "bill_file", "holder_notice"])
async def test_a_forged_answer_does_not_hold(street: Street, operation: str) -> None:
    calls = {
        "find_account": ("POST", "accounts/find", {"account_number": NUMBER}),
        "query_bills": ("POST", "bills/query", VIEW),
        "query_posting": ("GET", "postings/p-1", None),
        "bill_file": ("GET", "bill-files/2026-10-28", None),
        "holder_notice": ("POST", "holder-notices", {}),
    }
    await street.fault(operation, "forge")
    if operation == "holder_notice":
        assert (await street.client.call(*calls[operation])).status == 400  # unsigned, so there is nothing to forge
    else:
        with pytest.raises(SignatureError, match="signature is wrong"):
            await street.client.call(*calls[operation])


async def test_refused_calls_are_counted_apart(street: Street) -> None:
    await street.client.call("POST", "bills/query", VIEW, created=1)
    await street.client.call("POST", "bills/query", VIEW)
    answer = await street.http.get(f"{street.control_url}/calls", params={"counterpart": "company:water"})
    counted = {call["operation"]: call["count"] for call in answer.json()["calls"]}
    assert counted == {"refused": 1, "query_bills": 1}


async def test_the_staff_can_refuse_postings_of_an_account(street: Street) -> None:
    quote = await street.client.quote()
    await street.control("companies/water/refuse", {"account_number": NUMBER, "code": "EQ0007"})
    assert (await street.client.post(posting(quote["quote_id"]))).body["code"] == "EQ0007"
    await street.control("companies/water/refuse", {"account_number": NUMBER, "code": None})
    assert (await street.client.post(posting(quote["quote_id"]))).body["status"] == "posted"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("companies/nobody/pace", {"factor": 1}, 404),
        ("companies/water/dance", {}, 404),
        ("companies/water/pace", {"factor": 0}, 400),
        ("companies/water/pace", {}, 400),
        ("companies/water/refuse", {"account_number": NUMBER, "code": "E1"}, 400),
        ("companies/water/refuse", {"account_number": "9", "code": None}, 400),
        ("companies/water/signing-key", {"keyid": "gas-2026a"}, 400),
        ("companies/water/bills", {"account_number": NUMBER, "period": "2026-13", "principal_fen": 1}, 400),
        ("companies/water/accounts", {"number": NUMBER, "status": "lost"}, 400),
    ],
)
async def test_a_control_call_that_makes_no_sense_says_so(
    street: Street, path: str, body: dict[str, Any], status: int
) -> None:
    before = await street.ledger()
    answer = await street.http.post(f"{street.control_url}/{path}", json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert await street.ledger() == before


async def test_a_reset_brings_back_the_configuration(street: Street) -> None:
    before = await street.ledger()
    quote = await street.client.quote()
    await street.client.post(posting(quote["quote_id"]))
    await street.control("companies/water/signing-key", {"keyid": "water-2026b"})
    assert (await street.http.post(f"{street.control_url}/reset")).status_code == 204
    assert await street.ledger() == before


async def test_what_was_answered_and_what_is_owed_survive_a_kill_9(tmp_path: Path) -> None:
    async with Platform() as platform, http_client() as http:
        platform.answers = [lambda _: b"HTTP/1.1 500 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
        config = tmp_path / "sandbox.json"
        config.write_text(json.dumps(configuration(tmp_path, platform.url)))
        client = Client("http://127.0.0.1:19222", http)
        async with process(config, http):
            quote = await client.quote()
            told = await client.post(posting(quote["quote_id"]))
            control = "http://127.0.0.1:19220/control/companies/water"
            event = {"account_number": NUMBER, "period": "2026-11", "principal_fen": 100}
            event_id = (await http.post(f"{control}/bills", json=event)).json()["event_id"]
            assert (await platform.next())[1]["event_id"] == event_id
        with sqlite3.connect(tmp_path / "sandbox.sqlite3") as database:
            assert database.execute("SELECT status FROM company_event").fetchall() == [("pending",)]
        database.close()
        (tmp_path / "clock").write_text("16")  # past the first wait of 15 s
        client.clock = lambda: time.time() + 16
        async with process(config, http):
            assert (await platform.next())[1]["event_id"] == event_id
            assert (await client.call("GET", "postings/p-1")).body == told.body
            assert (await client.post(posting(quote["quote_id"]))).body == told.body


@asynccontextmanager
async def process(config: Path, http: httpx.AsyncClient) -> AsyncIterator[None]:
    """The sandbox as a process of its own, killed without warning in the end."""
    command = [sys.executable, "-m", "sandbox", "--config", str(config), "--port", "19220"]
    child = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(15):
            while True:
                try:
                    if (await http.get("http://127.0.0.1:19220/control/health")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)  # a process gives no other sign that it listens
        yield
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
