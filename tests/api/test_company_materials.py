"""A company's system fetches the papers of its own open orders, for minutes, under its signature, and the applicant sees that it did."""

from datetime import timedelta
from typing import Any

import httpx

from models.service_order import ServiceOrder
from tests.harness import cases, staff
from tests.harness.edge import Edge, Person

ROOT = "/company/v1/service-orders"


async def _get(edge: Edge, company: str, path: str) -> httpx.Response:
    _, headers, _ = edge.senders.company(company, "GET", path, {})
    return await edge.http.request("GET", path, headers=headers)


async def _handed_in(edge: Edge, person: Person, order: ServiceOrder, *papers: tuple[str, str]) -> list[str]:
    found: list[str] = []
    for requirement, paper in papers:
        material_id = (await edge.upload(person, paper=paper)).json()["material_id"]
        body = {"requirement": requirement, "material_id": material_id}
        await edge.told("POST", f"/v1/applications/{order.application_id}/papers", body, by=person)
        found.append(material_id)
    return found


async def _orders(edge: Edge, person: Person, *services: str) -> dict[str, ServiceOrder]:
    answers = await cases.answers_of(edge.spine, person.citizen.caller, list(services))
    filed = await cases.file(edge.spine, person.citizen.caller, answers, "property")
    await edge.spine.jobs.run()
    return {order.company: order for order in await ServiceOrder.filter(application_id=filed.application_id)}


async def test_one_upload_serves_each_company_whose_service_asks_for_it_and_no_other(edge: Edge) -> None:
    await edge.forget_limits()
    person = await edge.person(3)
    orders = await _orders(edge, person, "water", "gas", "network")
    (deed,) = await _handed_in(edge, person, orders["water"], ("property", "property_proof"))
    fetched: dict[str, Any] = {}
    for company in ("water", "gas", "telecom_ct"):
        body = {"order_id": str(orders[company].id)}
        fetched[company] = await edge.spine.control("POST", f"/companies/{company}/materials", body)
    assert [[one["material_id"] for one in found["papers"]] for found in fetched.values()] == [[deed], [deed], []]
    (paper,) = fetched["water"]["papers"]
    assert (paper["status"], paper["content_type"]) == (200, "application/octet-stream")
    assert paper["bytes"] > 100
    assert ("applicant_id", "waived", "real_name") in [
        (one["requirement"], one["state"], one["evidence_source"]) for one in fetched["telecom_ct"]["not_handed_in"]
    ]
    await edge.spine.jobs.run()
    (order,) = (await edge.spine.control("GET", "/companies/water/ledger"))["orders"]
    assert [(one["kind"], one["data"]) for one in order["notices"]] == [("material_added", {"requirement": "property"})]
    assert [one["requirement"] for one in order["materials"]] == ["property"]
    ((network,),) = [(await edge.spine.control("GET", "/companies/telecom_ct/ledger"))["orders"]]
    assert network["notices"] == [], "who does not need a paper is not told of it"

    seen = (await edge.told("GET", "/v1/me/disclosures", by=person))["disclosures"]
    assert sorted((one["unit_name"], one["paper_name"], one["by_system"]) for one in seen) == [
        ("安泰天然气", "不动产权证或购房合同", True), ("市水务集团", "不动产权证或购房合同", True),
    ]  # fmt: skip
    auditor = await staff.member(edge.spine.services, "water", "auditor")
    (kept,) = [
        one
        for one in (await edge.told("GET", "/staff/v1/disclosures", by=auditor))["disclosures"]
        if one["material_id"] == deed
    ]
    assert (kept["staff_id"], kept["unit"], kept["purpose"]) == (None, "water", "handling")


async def test_a_link_opens_for_its_company_its_order_and_its_minutes_only(edge: Edge) -> None:
    await edge.forget_limits()
    person, other = await edge.person(3), await edge.person(3)
    orders, theirs = await _orders(edge, person, "water", "gas"), await _orders(edge, other, "water")
    await _handed_in(edge, person, orders["water"], ("property", "property_proof"))
    listed = (await _get(edge, "water", f"{ROOT}/{orders['water'].id}/materials")).json()
    (url,) = [one["url"] for one in listed["papers"]]
    assert (await _get(edge, "water", url)).status_code == 200
    elsewhere = [
        ("gas", url),
        ("gas", f"{ROOT}/{orders['water'].id}/materials"),
        ("water", f"{ROOT}/{orders['gas'].id}/materials"),
        ("water", url.replace(str(orders["water"].id), str(theirs["water"].id))),
    ]
    assert [(await _get(edge, company, path)).status_code for company, path in elsewhere] == [404, 404, 404, 404]
    (gas,) = (await _get(edge, "gas", f"{ROOT}/{orders['gas'].id}/materials")).json()["papers"]
    stolen = f"{gas['url'].rpartition('/')[0]}/{url.rpartition('/')[2]}"
    assert (await _get(edge, "gas", stolen)).json()["code"] == "material_link_refused", "the link was made for another"
    _, headers, _ = edge.senders.company("water", "GET", url, {})
    assert [(await edge.http.get(url, headers=headers)).status_code for _ in range(2)] == [200, 401], "heard once"
    assert (await edge.http.get(url)).status_code == 401
    await edge.spine.travel(timedelta(minutes=6))
    assert (await _get(edge, "water", url)).json()["code"] == "material_link_refused"
    fresh = (await _get(edge, "water", f"{ROOT}/{orders['water'].id}/materials")).json()["papers"][0]["url"]
    await edge.spine.services.order_answers.withdraw(person.citizen.caller, orders["water"].id)
    for path in (fresh, f"{ROOT}/{orders['water'].id}/materials"):
        assert (await _get(edge, "water", path)).status_code == 404, "what was taken back is read no more"
