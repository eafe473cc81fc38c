"""The contract is valid OpenAPI, complete, the same on every run, and readable without anything from elsewhere."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from openapi_spec_validator import validate

from api.docs import render
from api.errors import STATUS, WORDS
from api.fields import FIELDS, placeholders
from api.openapi import AREAS, document, problems
from api.routes import ROUTES
from tests.harness.contract import Contract
from tests.harness.edge import Edge

DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(document(ROUTES)))
CONTRACT = Contract(DOCUMENT)
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
ROOT = Path(__file__).parents[2]


def test_it_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_route_is_one_operation() -> None:
    assert {name: (method.upper(), path) for name, (method, path, _) in OPERATIONS.items()} == {
        route.name: (route.method, route.path) for route in ROUTES
    }


def test_every_run_prints_the_same() -> None:
    def printed(seed: str) -> bytes:
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "lianban", "openapi"]
        return subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environ).stdout

    first = printed("1")
    assert first == printed("2")
    assert json.loads(first) == DOCUMENT


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_who_may_call_it_and_how_it_fails(name: str) -> None:
    _, path, operation = OPERATIONS[name]
    who = operation["x-access"]["who"]
    assert operation["summary"]
    assert operation["tags"] == [operation["tags"][0]]
    assert operation["description"]
    assert bool(operation["security"]) == (who != "anybody")
    named = re.findall(r"\{(\w+)\}", path)
    described = {one["name"]: one for one in operation["parameters"] if one["in"] == "path"}
    assert list(described) == named
    assert all(one["schema"].get("format") == "uuid" for id_, one in described.items() if id_.endswith("_id"))
    if who == "person":
        assert _codes(operation, 401) == {"token_refused"}
        assert ("level_too_low" in _codes(operation, 403)) == (operation["x-access"]["level"] > 1)
    if who == "staff":
        assert _codes(operation, 401) >= {"token_refused"}
        assert ("permission_missing" in _codes(operation, 403)) == (operation["x-access"]["permission"] is not None)
    if "requestBody" in operation:
        assert "body_too_large" in _codes(operation, 413)
    assert _codes(operation, 500) == {"internal"}
    assert "answer_late" in _codes(operation, 503)


def test_the_idempotency_key_stands_where_it_is_needed() -> None:
    keyed = {
        name
        for name, (_, _, operation) in OPERATIONS.items()
        if any(one["name"] == "Idempotency-Key" and one["required"] for one in operation["parameters"])
    }
    assert keyed == {route.name for route in ROUTES if route.idempotent}
    assert "payments_create" in keyed
    for name in keyed:
        operation = OPERATIONS[name][2]
        assert {"idempotency_in_flight", "idempotency_key_reused", "idempotency_key_missing"} <= {
            code for status in (400, 409, 422) for code in _codes(operation, status)
        }


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_is_of_its_schema(name: str) -> None:
    operation = OPERATIONS[name][2]
    contents = dict(operation.get("requestBody", {}).get("content", {}).items())
    for answer in operation["responses"].values():
        contents |= {f"{id(answer)}{kind}": one for kind, one in CONTRACT._resolved(answer).get("content", {}).items()}
    for content in contents.values():
        if content["schema"]:
            assert "example" in content
            assert CONTRACT.is_valid(content["schema"], content["example"]) == []
    for parameter in operation["parameters"]:
        assert CONTRACT.is_valid(parameter["schema"], parameter["example"]) == []


def test_every_body_of_ours_has_an_example_that_a_test_can_fill() -> None:
    assert [route.name for route in ROUTES if route.body and route.example is None] == []
    assert {name for route in ROUTES for name in placeholders(route.example)} <= {
        "login_code", "refresh_token", "phone_code", "qr_token", "proof", "quote_id", "return_url", "handover", "staff_login",
        "staff_password", "staff_unit", "setup_code", "totp_code", "new_login", "number", "counter_code", "card_code",
        "phone", "sms_code", "join_handover", "invitation_code", "appointment_code",
        "progress_code", "phone_last4", "starts_at", "ends_at", "slot_code",
        "promised_for", "property_material_id", "statement_sha256",
    }  # fmt: skip


def test_every_member_is_explained_in_chinese_and_no_explanation_is_left_over() -> None:
    members = {
        (owner, name): member
        for owner, schema in DOCUMENT["components"]["schemas"].items()
        for name, member in schema.get("properties", {}).items()
    }
    dumb = [key for key, member in members.items() if not re.search(r"[\u4e00-\u9fff]", member.get("description", ""))]
    assert dumb == []
    parameters = {one["name"] for _, _, operation in OPERATIONS.values() for one in operation["parameters"]}
    used = {name for _, name in members} | {f"{owner}.{name}" for owner, name in members} | parameters
    assert set(FIELDS) - used == set()


def test_an_area_says_which_call_follows_which_and_names_only_calls_there_are() -> None:
    assert {*AREAS} <= {route.tag for route in ROUTES}
    paths = {route.path for route in ROUTES}
    named = {path for text in AREAS.values() for path in re.findall(r"/(?:staff/)?v1/[a-z0-9{}_/-]+[a-z0-9}]", text)}
    assert named - paths == set()


def test_times_have_their_format_and_patterns_are_those_of_json_schema() -> None:
    text = json.dumps(DOCUMENT)
    assert DOCUMENT["components"]["schemas"]["QuoteView"]["properties"]["expires_at"]["format"] == "date-time"
    assert "\\\\A" not in text
    assert "\\\\Z" not in text


def test_every_documented_code_is_a_designed_error_with_words() -> None:
    codes = {error.code: STATUS[error] for error in STATUS}
    for route in ROUTES:
        for status, errors in problems(route).items():
            assert {codes[error.code] for error in errors} == {status}
            assert {error.code for error in errors} <= set(WORDS)


async def test_it_is_served_as_printed(edge: Edge) -> None:
    response = await edge.call("GET", "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()
        self.styled: set[str] = set()
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src", "action"):
                self.addresses.add(value or "")
            if name == "id":
                self.ids.append(value or "")
            assert name != "style"
            assert not name.startswith("on")


async def test_the_page_names_every_operation_type_and_error_and_loads_nothing(edge: Edge) -> None:
    response = await edge.call("GET", "/docs")
    page = _only_ours(response)
    assert {route.name for route in ROUTES} | {f"type-{name}" for name in DOCUMENT["components"]["schemas"]} <= set(
        page.ids
    )
    assert {f"error-{code}" for code in WORDS} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert {address for address in page.addresses if not address.startswith("#")} == {"/openapi.json"}
    for said in WORDS.values():
        assert said.detail in response.text


def test_the_page_escapes_what_it_shows() -> None:
    assert "<none>" not in render(ROUTES)
    assert "&quot;quote_ids&quot;: " in render(ROUTES)


async def test_a_scanned_address_shows_the_same_page_whatever_the_token(edge: Edge) -> None:
    token = await edge.spine.qr(await edge.spine.account(4199))
    answers = [
        await edge.call("GET", f"/q/{path}")
        for path in (token, "A" * 32, "x", f"{token}?scancode_time=1&scancode_time=2")
    ]
    assert (
        len({(answer.status_code, answer.content, answer.headers["content-security-policy"]) for answer in answers})
        == 1
    )
    page = _only_ours(answers[0])
    assert page.addresses == set()
    assert "微信小程序“联办”" in answers[0].text
    assert token not in answers[0].text


def _only_ours(response: httpx.Response) -> _Page:
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        policy,
    )
    page = _Page(response.text)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "object", "embed", "base"})
    return page


def _codes(operation: dict[str, Any], status: int) -> set[str]:
    answer = operation["responses"].get(str(status))
    if answer is None:
        return set()
    content = CONTRACT._resolved(answer)["content"]["application/problem+json"]
    return set(content["schema"]["allOf"][1]["properties"]["code"]["enum"])
