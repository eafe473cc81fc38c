"""The construction platform's door: believed by its own keys only; the same again changes nothing; what is forged leaves no trace."""

import json
from typing import Any

from sandbox import http_signatures
from tests.harness import pushes, staff
from tests.harness.edge import Edge

PATH = "/callbacks/construction-platform"


async def push(edge: Edge, body: bytes) -> Any:
    query, headers, content = edge.senders.construction(PATH, body)
    return await edge.http.request("POST", PATH, params=query, headers=headers, content=content)


async def test_the_same_push_again_is_acknowledged_and_another_content_under_its_number_refused(edge: Edge) -> None:
    body = pushes.sent(edge.spine)
    first, again = [await push(edge, body) for _ in range(2)]
    assert [one.json()["receipt"] for one in (first, again)] == ["stored", "again"]
    await edge.spine.jobs.run()
    assert (await push(edge, body)).json()["receipt"] == "again"
    differs = await push(edge, json.dumps(json.loads(body) | {"mains": []}).encode())
    assert (differs.status_code, differs.json()["code"]) == (409, "push_differs")
    assert "signature-input" in differs.headers, "the platform may believe the refusal"
    unread = await push(edge, b"not even JSON")
    assert unread.json()["push_id"].startswith("sha256:")


async def test_a_company_s_key_and_a_stranger_s_push_nothing(edge: Edge) -> None:
    before = await edge.spine.rows(("inbox",))
    body = pushes.sent(edge.spine)
    _, headers, content = edge.senders.company("water", "POST", PATH, body)
    refused = await edge.http.request("POST", PATH, headers=headers, content=content)
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_wrong")
    assert http_signatures.MAX_AGE_S == 300
    assert await edge.spine.rows(("inbox",)) == before


async def test_an_officer_reads_amends_and_replays_and_whoever_reads_the_words_leaves_a_row(edge: Edge) -> None:
    services = edge.spine.services
    officer = await staff.member(services, "housing", "push_officer")
    stuck = await pushes.stuck(edge.spine)
    path = f"/staff/v1/pushes/{stuck.id}"
    seen = await edge.told("GET", path, by=officer)
    assert (seen["push"]["problem"], seen["problems"][0]["pointer"]) == ("schema_unknown", "")
    listed = await edge.told("GET", "/staff/v1/pushes", by=officer)
    assert str(stuck.id) in [one["push_id"] for one in listed["pushes"]]
    purpose = {"push_purpose": "understand_push", "note": "核对采集单版本"}
    read = await edge.told("POST", f"{path}/reveal", purpose, by=officer)
    amended = json.loads(read["original"]) | {"schema": "1"}
    why = {"reason": "平台升级了版本，内容没有变"}
    await edge.told("POST", f"{path}/amendment", {"content": amended, **why}, by=officer)
    await edge.told("POST", f"{path}/replay", why, by=officer)
    await edge.spine.jobs.run()
    after = await edge.told("GET", path, by=officer)
    assert (after["push"]["state"], after["push"]["amendments"]) == ("filed", 1)
    assert [step["event"] for step in after["steps"]] == ["created", "arrive", "stick", "replay", "file"]
    district = await staff.member(services, "approval_420703", "push_officer")
    assert (await edge.call("GET", path, by=district)).status_code == 404
    planner = await staff.member(services, "gas", "handler")
    day = after["push"]["pushed_on"]
    csv = await edge.call("GET", "/staff/v1/demand", by=planner, params={"first": day, "last": day})
    assert csv.headers["content-disposition"].endswith('.csv"')
    assert {line.split(",")[2] for line in csv.text.strip().split("\r\n")[1:]} == {"gas"}
