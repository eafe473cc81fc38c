"""What is malformed is refused in the same words everywhere, before anything has changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.app import BODY_BYTES
from api.routes import ROUTES
from tests.harness.edge import Edge, Person
from tests.harness.operations import caller_for
from tests.harness.spine import BUSINESS

STORED = (*BUSINESS, "inbox", "qr_code", "audit", "idempotent_answer")
BODIES = [route for route in ROUTES if route.body and not route.raw]
IDS = [route for route in ROUTES if "_id}" in route.path]


def _any(route: Any) -> str:
    """Its address with an id in each place."""
    return "/".join(str(uuid4()) if part.startswith("{") else part for part in route.path.split("/"))


NO_JSON: dict[str, bytes] = {
    "nothing": b"",
    "blank": b"  ",
    "cut": b'{"code": "a"',
    "two values": b"{}{}",
    "single quotes": b"{'code': 'a'}",
    "a comment": b'{"code": "a"} // x',
    "NaN": b'{"code": NaN}',
    "Infinity": b'{"code": -Infinity}',
    "a BOM": b'\xef\xbb\xbf{"code": "a"}',
    "UTF-16": '{"code": "a"}'.encode("utf-16"),
    "not UTF-8": b'{"code": "\xff"}',
    "a lone surrogate in UTF-8": b'{"code": "\xed\xa0\x80"}',
    "a raw NUL": b'{"code": "a\0"}',
    "depth 5000": b'{"code": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "depth 600 with an escape": b'{"code": ' + b"[" * 600 + b'"\\u0041"' + b"]" * 600 + b"}",
    "an integer of 5000 digits": b'{"code": ' + b"9" * 5_000 + b"}",
    "an integer of 4000 digits": b'{"code": ' + b"9" * 4_000 + b"}",
    "a number without end": b'{"code": 1e999}',
}
WRONG: dict[str, bytes] = {
    "an array": b"[]",
    "a text": b'"code"',
    "null": b"null",
    "a duplicate key": b'{"code": "a", "code": "b"}',
    "a duplicate key by escape": b'{"code": "a", "\\u0063ode": "b"}',
    "an escaped NUL": b'{"code": "a\\u0000"}',
    "an escaped NUL in a key": b'{"code": "a", "\\u0000": 1}',
    "a lone surrogate": b'{"code": "\\ud800"}',
    "an unknown member": b'{"code": "a", "admin": true}',
    "a wrong type": b'{"code": 1}',
    "nothing of what is needed": b"{}",
    "an empty text": b'{"code": ""}',
    "a text too long": json.dumps({"code": "x" * 257}).encode(),
}


@pytest.fixture(scope="module")
async def person(edge: Edge) -> Person:
    person = await edge.person()
    await edge.bound(person)
    return person


@pytest.fixture(scope="module")
async def resident(edge: Edge) -> Person:
    return await edge.person(3)


async def _refused(
    edge: Edge, expected: tuple[int, str], method: str, path: str, body: Any = None, **more: Any
) -> httpx.Response:
    before = await edge.spine.rows(STORED)
    await edge.forget_limits()
    response = await edge.call(method, path, body, **more)
    assert (response.status_code, response.json()["code"]) == expected, response.text
    assert await edge.spine.rows(STORED) == before
    return response


@pytest.mark.parametrize("name", [*NO_JSON, *WRONG])
async def test_a_body_with_no_meaning_or_another_is_refused(edge: Edge, person: Person, name: str) -> None:
    body = {**NO_JSON, **WRONG}[name]
    response = await _refused(edge, (400, "request_malformed"), "POST", "/v1/me/phone", body, by=person)
    assert response.json()["data"]["where"] == "body"


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.name)
async def test_every_operation_refuses_unknown_members_duplicates_and_other_types(
    edge: Edge, person: Person, route: Any
) -> None:
    by, key = await caller_for(edge, route), (uuid4().hex if route.idempotent else None)
    sample = json.dumps({name: str(uuid4()) for name in route.example} | {"one_more": 1}).encode()
    first = next(iter(route.example))
    for body in (
        sample,
        f'{{"{first}": "a", "{first}": "b"}}'.encode(),
        f'{{"{first}": [[{{}}]]}}'.encode(),
        b"[1]",
        b"x",
    ):
        await _refused(edge, (400, "request_malformed"), route.method, _any(route), body, by=by, key=key)


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.name)
async def test_another_media_type_is_refused(edge: Edge, person: Person, route: Any, media_type: str) -> None:
    by, key = await caller_for(edge, route), (uuid4().hex if route.idempotent else None)
    await _refused(
        edge,
        (415, "media_type_unsupported"),
        route.method,
        _any(route),
        route.example,
        by=by,
        key=key,
        headers={"Content-Type": media_type},
    )


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_other_spellings_of_the_media_type_are_taken(edge: Edge, person: Person, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    assert (await edge.call("POST", "/v1/me/phone", {"code": "x"}, by=person, headers=headers)).status_code == 422


@pytest.mark.parametrize(
    "path", ["/v1/me/phone", "/callbacks/wechat-pay", "/company/v1/qr-codes", "/callbacks/wechat/mini-program"]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_one_byte_more_than_allowed_is_too_large(edge: Edge, person: Person, path: str, chunked: bool) -> None:
    content = b'{"code": "' + b"x" * (BODY_BYTES - 11) + b'"}'
    assert len(content) == BODY_BYTES + 1

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 8_192):
            yield content[start : start + 8_192]

    before = await edge.spine.rows(STORED)
    response = await edge.http.post(
        path, content=pieces() if chunked else content, headers={**person.headers, "Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert await edge.spine.rows(STORED) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/callbacks/wechat/mini-program", 401), ("GET", "/v1/sessions/unified/ehuiban/callback", 303)],
)
async def test_an_address_with_very_many_names_is_no_fault_of_ours(
    edge: Edge, method: str, path: str, status: int
) -> None:
    response = await edge.http.request(method, f"{path}?{'&'.join(f'n{number}=1' for number in range(60))}")
    assert response.status_code == status


async def test_a_body_of_just_the_allowed_size_is_read(edge: Edge, person: Person) -> None:
    content = b'{"code": "a", "x": "' + b"x" * (BODY_BYTES - 22) + b'"}'
    assert len(content) == BODY_BYTES
    await _refused(edge, (400, "request_malformed"), "POST", "/v1/me/phone", content, by=person)


async def test_a_body_where_none_belongs_is_refused(edge: Edge, person: Person) -> None:
    path = f"/v1/payments/{uuid4()}/close"
    await _refused(edge, (400, "request_malformed"), "POST", path, b'{"amount": 1}', by=person)
    await _refused(edge, (404, "not_found"), "POST", path, b"{}", by=person)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/me/",
        "/v2/me",
        "/v1/ME",
        "/metrics",
        "/readyz",
        "/static/x",
        "/v1/%2e%2e/me",
        "/favicon.ico",
        "/q/",
        "/q/a/b",
        "//v1/me",
    ],
)
async def test_an_unknown_address_is_not_found(edge: Edge, path: str) -> None:
    await _refused(edge, (404, "not_found"), "GET", str(edge.http.base_url).rstrip("/") + path)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
async def test_a_wrong_method_says_which_are_right(edge: Edge, method: str) -> None:
    response = await edge.http.request(method, "/v1/payments")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert {name.strip() for name in response.headers["allow"].split(",")} == {"GET", "POST"}


@pytest.mark.parametrize(
    "malformed",
    [
        "1",
        "x",
        "00000000-0000-0000-0000-00000000000",
        "{}",
        "%00",
        "%ff",
        "null",
        "A" * 300,
        "９",
        "00000000000000000000000000000000",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000-00000000000A",
    ],
)
@pytest.mark.parametrize("route", IDS, ids=lambda route: route.name)
async def test_a_malformed_id_is_not_found(
    edge: Edge, person: Person, resident: Person, route: Any, malformed: str
) -> None:
    path = "/".join(malformed if part.startswith("{") else part for part in route.path.split("/"))
    proved = resident if route.access.level == 3 else person
    by = proved if route.access.who == "person" else await caller_for(edge, route)
    response = await edge.call(route.method, path, by=by)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    ["x=1", "limit=0", "limit=101", "limit=-1", "limit=1.5", "limit=", "limit=１", "limit=1&limit=2", "limit=99999999999999999999", "limit=true",
     "after=1", "after=", "after=%00", "limit=1%00", "after=%ff", "%ff=1", "limit=0x1", "limit[]=1", "=1", "limit=1;x=2"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/payments", "/v1/messages"])
async def test_an_unknown_doubled_or_wrong_query_parameter_is_refused(
    edge: Edge, person: Person, path: str, query: str
) -> None:
    response = await _refused(edge, (400, "request_malformed"), "GET", f"{path}?{query}", by=person)
    assert response.json()["data"]["where"].startswith("query")


@pytest.mark.parametrize("path", ["/v1/me", "/v1/sessions", "/v1/companies", "/livez", "/docs"])
async def test_a_query_where_none_belongs_is_refused(edge: Edge, person: Person, path: str) -> None:
    await _refused(edge, (400, "request_malformed"), "GET", f"{path}?debug=1", by=person)


@pytest.mark.parametrize(
    "keys", [[], [""], ["a", "b"], ["a", "a"], ["x" * 256], ["with space"], ["é"], ["a\tb"], ["键"]]
)
async def test_an_idempotency_key_that_is_none_is_refused(edge: Edge, person: Person, keys: list[str]) -> None:
    headers: list[tuple[str, str | bytes]] = [("Idempotency-Key", key.encode()) for key in keys]
    headers += [*person.headers.items(), ("Content-Type", "application/json")]
    before = await edge.spine.rows(STORED)
    response = await edge.http.post("/v1/payments", content=json.dumps({"quote_ids": [str(uuid4())]}), headers=headers)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_missing")
    assert await edge.spine.rows(STORED) == before


@pytest.mark.parametrize("length", [1, 255])
async def test_a_key_of_any_allowed_length_is_taken(edge: Edge, person: Person, length: int) -> None:
    await _refused(
        edge, (404, "not_found"), "POST", "/v1/payments", {"quote_ids": [str(uuid4())]}, by=person, key="~" * length
    )


async def test_the_same_key_with_another_body_is_refused_and_with_the_same_gives_the_same(
    edge: Edge, person: Person
) -> None:
    await edge.forget_limits()
    quotes = []
    for _ in range(2):
        token = await edge.spine.qr(await edge.spine.account(4199))
        quotes.append((await edge.told("POST", "/v1/quotes", {"token": token}, by=person))["quote_id"])
    key = uuid4().hex
    first = await edge.call("POST", "/v1/payments", {"quote_ids": [quotes[0]]}, by=person, key=key)
    again = await edge.call("POST", "/v1/payments", {"quote_ids": [quotes[0]]}, by=person, key=key)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    await _refused(
        edge, (422, "idempotency_key_reused"), "POST", "/v1/payments", {"quote_ids": [quotes[1]]}, by=person, key=key
    )
    other = await edge.person()
    await _refused(edge, (404, "not_found"), "POST", "/v1/payments", {"quote_ids": [quotes[0]]}, by=other, key=key)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abcdefgh", True),
        ("e807decb-29cb-4425-abb1-dc5d600a0ef9", True),
        ("short", False),
        ("x" * 41, False),
        ("a b c d e", False),
        ("<script>x", False),
        ("", False),
    ],
)
async def test_a_request_id_is_kept_when_it_is_one_and_made_when_not(edge: Edge, given: str, kept: bool) -> None:
    for path in ("/livez", "/v1/me", "/nowhere"):
        response = await edge.call("GET", path, headers={"X-Request-ID": given})
        assert (response.headers["x-request-id"] == given) is kept


async def test_too_many_calls_are_told_when_to_come_back(edge: Edge) -> None:
    await edge.forget_limits()
    person = await edge.person(1)
    answers = [await edge.call("POST", "/v1/me/phone", {"code": "x"}, by=person) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    assert answers[-1].json()["data"]["retry_after_s"] == int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    ],
    ids=["HTTP/0.9", "TLS", "another version", "negative length", "length with a letter", "huge header", "huge address", "no colon"],
)  # fmt: skip
async def test_what_is_not_http_is_answered_without_a_fault_of_ours(edge: Edge, sent: bytes) -> None:
    host, port = edge.http.base_url.host, edge.http.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(15):
        answer = await reader.read()
    writer.close()
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    assert status in (0, 400, 404, 413, 431), answer[:300]
    if answer:
        assert b"X-Content-Type-Options: nosniff" in answer or b"x-content-type-options: nosniff" in answer.lower()
    assert (await edge.call("GET", "/livez")).status_code == 200
