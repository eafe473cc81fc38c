"""A bill's page, months of usage, and scanned codes of others, over HTTP."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from api.explanations import NOTES, ROUNDINGS, plain
from domain.billing.explanation import Note
from tests.harness.edge import Edge


def test_every_note_and_every_rounding_has_its_words() -> None:
    assert set(NOTES) == {note.value for note in Note}
    assert set(ROUNDINGS) == {"half_up", "half_even", "down", "up"}


async def _bill(edge: Edge, **more: Any) -> tuple[Any, dict[str, str]]:
    person = await edge.person()
    number = await edge.spine.account()
    lines = [{"name": "基本水费", "quantity": "40.00", "unit_price": "1.52", "amount_fen": 30 * 152 + 10 * 228}]
    said = {"lines": lines, "usage": "40.00", "unit": "m3", "due_on": "2026-12-31", "class": "resident", **more}
    await edge.spine.bill(number, lines[0]["amount_fen"], **said)
    body = {"company": "water", "number": number, "proof": "123X"}
    binding = await edge.told("POST", "/v1/bindings", body, by=person)
    bills = await edge.told("GET", f"/v1/utility-accounts/{binding['account_id']}/bills", by=person)
    return person, {"account_id": binding["account_id"], "bill_id": bills["bills"][0]["bill_id"]}


async def test_a_bill_says_how_it_comes_about(edge: Edge) -> None:
    readings = {"last": "500.00", "this": "540.00", "read_on": "2026-10-30", "estimated": True}
    person, ids = await _bill(edge, household_size=4, annual_usage_before="290.00", readings=readings)
    found = (await edge.told("GET", f"/v1/bills/{ids['bill_id']}", by=person))["explanation"]
    assert (found["is_demo"], found["tariff_name"], found["unit_name"]) == (True, "居民生活用水", "立方米")
    assert found["notes"] == [{"code": "demo", "text": "演示价格，不是真实的收费标准"}]
    line, *others = found["lines"]
    assert (line["agrees"], line["amount_fen"], line["result_fen"]) == (True, 6840, 6840)
    assert [(step["name"], step["quantity"], step["unit_price"], step["yuan"]) for step in line["steps"]] == [
        ("第一档", "30", "1.52", "45.6"), ("第二档", "10", "2.28", "22.8"),
    ]  # fmt: skip
    assert [(other["name"], other["amount_fen"], other["agrees"]) for other in others] == [
        ("污水处理费", None, False), ("水资源费", None, False),
    ]  # fmt: skip
    assert found["agrees"] is False
    assert (found["tiers"]["current_tier"], found["tiers"]["until_next"]) == ("第二档", "110")
    assert found["reading"] == {"last": "500.00", "this": "540.00", "read_on": "2026-10-30", "is_estimated": True}


async def test_what_is_not_known_is_null_and_has_a_reason(edge: Edge) -> None:
    person, ids = await _bill(edge)
    found = (await edge.told("GET", f"/v1/bills/{ids['bill_id']}", by=person))["explanation"]
    assert (found["tiers"], found["reading"], found["household_size"]) == (None, None, None)
    line = found["lines"][0]
    assert (line["agrees"], line["result_fen"], line["note"]["code"]) == (None, None, "used_before_unknown")


async def test_a_bill_says_what_has_been_paid_of_it_and_what_is_left(edge: Edge) -> None:
    person = await edge.person()
    number = await edge.spine.account(1000, company="power")
    body = {"company": "power", "number": number, "proof": "123X"}
    account_id = (await edge.told("POST", "/v1/bindings", body, by=person))["account_id"]
    seen = []
    for fen in (300, None, None):
        page = await edge.told("GET", f"/v1/utility-accounts/{account_id}/bills", by=person)
        (bill,) = page["bills"]
        detail = await edge.told("GET", f"/v1/bills/{bill['bill_id']}", by=person)
        assert all(detail[name] == bill[name] for name in bill)
        seen.append((bill["status"], bill["paid_fen"], bill["left_fen"]))
        if bill["left_fen"]:
            quote = await edge.spine.services.quotes.for_binding(person.citizen.caller, UUID(account_id), fen)
            payment = await edge.spine.created(await edge.spine.create(person.citizen, quote))
            await edge.spine.notify(await edge.spine.pay(person.citizen, payment))
            await edge.spine.jobs.run()
    assert seen == [("open", 0, 1000), ("open", 300, 700), ("posted", 1000, 0)]


async def test_months_of_usage(edge: Edge) -> None:
    person, ids = await _bill(edge)
    path = f"/v1/utility-accounts/{ids['account_id']}/usage"
    found = await edge.told("GET", path, by=person)
    assert found["months"][-1] == {
        "period": "2026-10", "state": "billed", "usage": "40", "unit": "m3", "amount_fen": 6840, "bill_count": 1,
    }  # fmt: skip
    assert (found["is_fresh"], found["next_before"]) == (True, None)
    assert (await edge.told("GET", f"{path}?before=2026-10&months=36", by=person))["months"] == []
    for wrong in ("months=0", "months=37", "before=2026-13", "before=2026-1０", "before=2026-10%0A"):
        response = await edge.call("GET", f"{path}?{wrong}", by=person)
        assert response.status_code == 400, wrong
    assert (await edge.call("GET", path, by=await edge.person())).json()["code"] == "not_found"


@pytest.mark.parametrize("text", ["{number}", "https://water.example/pay?account={number}"])
async def test_a_company_s_own_code_leads_to_binding_and_shows_nothing(edge: Edge, text: str) -> None:
    number = await edge.spine.account(4199)
    person = await edge.person(1)
    found = await edge.told("POST", "/v1/scans", {"token": text.format(number=number)}, by=person)
    candidate = {"company": "water", "number_masked": "******" + number[-4:], "needs": "binding_proof"}
    assert found["kind"] == "foreign"
    assert candidate in found["candidates"]
    assert all(set(one) == set(candidate) for one in found["candidates"])
    quoted = await edge.call("POST", "/v1/quotes", {"token": text.format(number=number)}, by=person)
    assert quoted.json()["code"] == "qr_code_refused"


async def test_a_number_that_does_not_exist_looks_the_same(edge: Edge) -> None:
    person = await edge.person(1)
    (found,) = [
        one for one in (await edge.told("POST", "/v1/scans", {"token": "0299999999"}, by=person))["candidates"]
        if one["company"] == "water"
    ]  # fmt: skip
    assert found == {"company": "water", "number_masked": "******9999", "needs": "binding_proof"}


@pytest.mark.parametrize(
    "text",
    [
        "x", "A" * 32, "０２０３００１２３４", "0203001234\n", "https://wаter.example/pay?account=0203001234",
        "https://water.example.evil.example/pay?account=0203001234", "https://evil.example/0203001234",
    ],
)  # fmt: skip
async def test_any_other_text_is_refused_like_a_wrong_code(edge: Edge, text: str) -> None:
    response = await edge.call("POST", "/v1/scans", {"token": text}, by=await edge.person(1))
    assert response.json()["code"] == "qr_code_refused"


def test_numbers_are_plain() -> None:
    assert [plain(Decimal(text)) for text in ("100", "1E+3", "0.00", "17.50", "0.000001")] == [
        "100", "1000", "0", "17.5", "0.000001",
    ]  # fmt: skip
