"""The home screen's one call, over HTTP; and requests of companies that come twice."""

from tests.harness.edge import Edge
from tests.harness.spine import MINUTE


async def test_everything_owed_in_one_call_with_its_age(edge: Edge) -> None:
    person = await edge.person()
    bound = await edge.bound(person, 4199, 801)
    body = {"company": "power", "number": "4200012345679", "proof": "002X", "label": "充电桩"}
    await edge.told("POST", "/v1/bindings", body, by=person)
    found = await edge.told("GET", "/v1/utility-accounts/owed", by=person)
    assert (found["known_fen"], found["is_partial"]) == (5000, False)
    water, charger = (account for place in found["places"] for account in place["accounts"])
    assert (water["account_id"], water["total_fen"], water["bill_count"], water["state"]) == (
        bound["account_id"], 5000, 2, "fresh",
    )  # fmt: skip
    assert 0 <= water["age_s"] < 60
    assert (charger["label"], charger["total_fen"], charger["balance_fen"]) == ("充电桩", 0, 12350)
    assert (charger["number_masked"], water["balance_fen"]) == ("*********5679", None)


async def test_a_family_member_and_an_agent_see_through_what_they_see_it_and_whether_they_may_pay(edge: Edge) -> None:
    owner, member, legal = await edge.person(), await edge.person(), await edge.legal_person()
    bound = await edge.bound(owner, 4199)
    shares = f"/v1/utility-accounts/{bound['account_id']}/shares"
    code = (await edge.told("POST", shares, {"label": "妈妈", "may_pay": False}, by=owner))["code"]
    share = await edge.told("POST", "/v1/shares", {"code": code}, by=member)
    organization = (await edge.told("POST", "/v1/organizations", by=legal))["organization_id"]
    acting = {"On-Behalf-Of": organization}
    body = {"company": "water", "number": bound["number"], "proof": "123X"}
    await edge.told("POST", "/v1/bindings", body, by=legal, headers=acting)
    for who, headers, via, may_pay in ((member, {}, "family", False), (legal, acting, "agent", True)):
        found = await edge.told("GET", "/v1/utility-accounts/owed", by=who, headers=headers)
        (account,) = found["places"][0]["accounts"]
        assert (account["via"], account["may_pay"], account["total_fen"]) == (via, may_pay, 4199)
    uses = await edge.told("GET", f"/v1/shares/{share['share_id']}/uses", by=owner)
    assert [use["action"] for use in uses["uses"]] == ["owed.seen"]
    assert (await edge.told("GET", "/v1/utility-accounts/owed", by=legal))["places"] == [], "none is his own"


async def test_one_company_away_is_said_of_its_part_only(edge: Edge) -> None:
    person = await edge.person()
    await edge.bound(person, 4199)
    await edge.spine.travel(6 * MINUTE)
    await edge.spine.fault("company:water", "query_bills", "error", times=None, status=503)
    found = await edge.told("GET", "/v1/utility-accounts/owed", by=person)
    await edge.spine.all_well()
    (account,) = found["places"][0]["accounts"]
    assert (account["state"], account["total_fen"], account["last_known_fen"]) == ("away", None, 4199)
    assert account["age_s"] >= 360
    assert (found["known_fen"], found["is_partial"]) == (0, True)


async def test_a_company_s_request_serves_once(edge: Edge) -> None:
    number = await edge.spine.account()
    path = "/company/v1/qr-codes"
    _, headers, body = edge.senders.company("water", "POST", path, {"account_number": number, "label": "账单"})
    first = await edge.http.post(path, headers=headers, content=body)
    assert first.status_code == 200, first.text
    again = await edge.http.post(path, headers=headers, content=body)
    assert (again.status_code, again.headers["www-authenticate"]) == (401, 'Signature realm="lianban"')
    other = edge.senders.company("water", "POST", path, {"account_number": number, "label": "账单"})
    assert (await edge.http.post(path, headers=other[1], content=other[2])).status_code == 200


async def test_who_lacks_a_token_is_asked_for_one(edge: Edge) -> None:
    response = await edge.call("GET", "/v1/utility-accounts/owed")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="lianban"')
