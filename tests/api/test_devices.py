"""Devices that read ID cards, over HTTP: the whole way to level 3, and what is not signed by a live device is nobody's word."""

from typing import Any

import pytest

from core import clock
from models.device import CardRead
from tests.harness import devices, staff
from tests.harness.devices import CARD, HALL, Reader
from tests.harness.edge import Edge, Person
from tests.harness.operations import acting_to, counter_code
from tests.harness.staff import Member

READS = "/device/v1/card-reads"


@pytest.fixture
async def kiosk(edge: Edge) -> Reader:
    await edge.forget_limits()
    return await devices.enrolled(edge.spine.services)


async def _installed(edge: Edge, kind: str) -> str:
    """A device of the outside world, enrolled over the API by who manages the hall."""
    made = await edge.spine.control("POST", "/readers")
    manager = await staff.member(edge.spine.services, HALL, "administrator")
    body = {"kind": kind, "label": "大厅入口", "public_key": made["public_key"]}
    device = await edge.told("POST", "/staff/v1/devices", body, by=manager)
    await edge.spine.control("POST", f"/readers/{made['reader_id']}/enrolled", {"device_id": device["device_id"]})
    return f"/readers/{made['reader_id']}/cards"


def _card(facts: dict[str, Any]) -> dict[str, Any]:
    return {"name": facts["name"], "id_number": facts["id_number"], "valid_until": None}


async def test_a_citizen_proves_his_real_name_at_a_kiosk_with_his_card_and_his_phone(edge: Edge) -> None:
    await edge.forget_limits()
    kiosk, person, facts = await _installed(edge, "kiosk"), await edge.person(), await edge.spine.known()
    read = (await edge.spine.control("POST", kiosk, _card(facts)))["body"]
    taken = await edge.told("POST", "/v1/me/card-reads", {"card_code": read["card_code"]}, by=person)
    assert (taken["state"], taken["name_masked"][0]) == ("taken", facts["name"][0])
    assert taken["id_number_masked"] == f"{facts['id_number'][:4]}**********{facts['id_number'][-4:]}"
    path = f"{kiosk}/{read['card_read_id']}"
    shown = (await edge.spine.control("GET", path))["body"]
    assert shown["phone_masked"] == f"{person.citizen.phone[:3]}****{person.citizen.phone[-4:]}"
    assert (await edge.told("GET", "/v1/me", by=person))["level"] == 2
    assert (await edge.spine.control("POST", f"{path}/confirm"))["body"]["state"] == "raised"
    state = await edge.told("GET", f"/v1/me/card-reads/{read['card_read_id']}", by=person)
    assert (state["state"], state["name_masked"]) == ("raised", None)
    opened = {"refresh_token": person.citizen.opened.refresh_token, "client_id": person.citizen.client_id}
    refreshed = await edge.told("POST", "/v1/sessions/refresh", opened)
    assert edge.spine.services.access_tokens.check(refreshed["access_token"]).level == 3


async def test_a_clerk_opens_a_session_by_the_card_on_his_reader(edge: Edge) -> None:
    await edge.forget_limits()
    reader, facts = await _installed(edge, "reader"), await edge.spine.known()
    clerk = await staff.member(edge.spine.services, HALL, "clerk")
    read = (await edge.spine.control("POST", reader, _card(facts)))["body"]
    body = {"card_code": read["card_code"], "acting_purpose": "bind"}
    both = body | {"counter_code": await counter_code(edge, await edge.person())}
    assert (await edge.call("POST", "/staff/v1/acting-sessions", both, by=clerk)).status_code == 400
    acting = await edge.told("POST", "/staff/v1/acting-sessions", body, by=clerk)
    path = f"/staff/v1/acting-sessions/{acting['acting_id']}/bindings"
    bound = {"company": "water", "number": await edge.spine.account(4199), "proof": "123X"}
    await edge.told("POST", path, bound, by=clerk)
    spent = await edge.call("POST", "/staff/v1/acting-sessions", body, by=clerk)
    assert (spent.status_code, spent.json()["code"]) == (422, "card_code_refused")


@pytest.mark.parametrize(
    "how",
    ["unsigned", "old", "from the future", "with another's key", "under an unknown id", "another body", "revoked"],
)
async def test_what_no_live_device_has_signed_is_refused_and_nothing_is_kept(
    edge: Edge, kiosk: Reader, how: str
) -> None:
    before, now = await CardRead.all().count(), int(clock.timestamp())
    created = {"old": now - 301, "from the future": now + 301}.get(how)
    signer = kiosk
    if how == "with another's key":
        signer = Reader(kiosk.device_id, (await devices.enrolled(edge.spine.services)).private_key)
    if how == "under an unknown id":
        signer = Reader("00000000-0000-7000-8000-000000000000", kiosk.private_key)
    headers, body = signer.signed(edge, "POST", READS, CARD, created=created)
    if how == "unsigned":
        headers = {"Content-Type": "application/json"}
    if how == "another body":
        body = body.replace("张三".encode(), "张五".encode())
    if how == "revoked":
        manager = await staff.member(edge.spine.services, HALL, "administrator")
        await edge.told("POST", f"/staff/v1/devices/{kiosk.device_id}/revoke", by=manager)
    answer = await edge.http.post(READS, headers=headers, content=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_wrong")
    assert await CardRead.all().count() == before


async def test_a_request_that_came_before_is_refused(edge: Edge, kiosk: Reader) -> None:
    headers, body = kiosk.signed(edge, "POST", READS, CARD)
    assert (await edge.http.post(READS, headers=headers, content=body)).status_code == 201
    before = await edge.spine.rows(("card_read", "device_nonce"))
    again = await edge.http.post(READS, headers=headers, content=body)
    assert (again.status_code, again.json()["code"]) == (401, "signature_wrong")
    assert await edge.spine.rows(("card_read", "device_nonce")) == before


async def test_another_device_s_card_is_answered_like_one_that_is_not_there(edge: Edge, kiosk: Reader) -> None:
    other, person = await devices.enrolled(edge.spine.services), await edge.person()
    theirs = await devices.taken(edge, other, person)
    neighbour = theirs[:-1] + ("0" if theirs[-1] != "0" else "1")
    for method, tail, body in (("GET", "", None), ("POST", "/confirm", {"agreed": True})):
        answers = [await kiosk.call(edge, method, f"{READS}/{id_}{tail}", body) for id_ in (theirs, neighbour)]
        said = [{**answer.json(), "request_id": ""} for answer in answers]
        assert said[0] == said[1]
        assert answers[0].status_code == 404
    assert (await edge.told("GET", "/v1/me", by=person))["level"] == 2


async def test_a_clerk_reaches_no_card_of_another_hall_and_proves_no_name_in_another_s_session(edge: Edge) -> None:
    await edge.forget_limits()
    reader = await devices.enrolled(edge.spine.services, "reader")
    person: Person = await edge.person()
    far: Member = await staff.member(edge.spine.services, "hall_420703", "clerk")
    near: Member = await staff.member(edge.spine.services, HALL, "clerk")
    acting_id = await acting_to(edge, near, person, "real_name")
    body = {"card_code": (await reader.reads(edge))["card_code"]}
    path = f"/staff/v1/acting-sessions/{acting_id}/real-name"
    assert (await edge.call("POST", path, body, by=far)).json()["code"] == "not_found"
    own = f"/staff/v1/acting-sessions/{await acting_to(edge, far, await edge.person(), 'real_name')}/real-name"
    assert (await edge.call("POST", own, body, by=far)).json()["code"] == "card_code_refused"
    assert (await edge.told("GET", "/v1/me", by=person))["level"] == 2
