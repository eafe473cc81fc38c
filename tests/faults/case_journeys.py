"""An application on its way while processes die: filed, worked by its company through the gateway, connected."""

import random
from typing import Any
from uuid import UUID, uuid4

from core import clock
from core.database import fetch_one
from lianban.phone import CallFailed
from tests.cities.answers import FACTORY, PERSON, changed
from tests.faults.customer import COMPANY, Customer
from tests.faults.journeys import Outcome
from tests.harness.cases import hand_in
from tests.harness.spine import id_check

_WAY = (
    ("accepted", {"report": "accepted"}),
    ("surveyed", {"report": "surveyed", "can_supply": True, "distance_m": 420}),
    ("plan_replied", {"report": "plan_replied", "plan": "从楼道立管接入"}),
)
_END = (
    ("constructing", {"report": "construction_started"}),
    ("inspected", {"report": "inspected", "passed": True}),
    ("connected", {"report": "connected"}),
)


_OF_PUSH = (
    "select o.id from platform_push p join service_order o on o.application_id = p.application_id where p.number = $1"
)


async def is_connected(customer: Customer) -> Outcome:
    """Somebody applies for water, once; the company accepts, surveys, plans, builds and connects, and he confirms and signs between."""
    await customer.enter()
    async with Customer(customer.world) as applicant:
        answers = await _known(applicant)
        draft = await applicant.call("POST", "/v1/application-drafts", {"answers": answers, "access_point": "ehuiban"})
        await hand_in(UUID(draft["draft_id"]))
        notice = (await applicant.call("GET", "/v1/notices/application"))["notice_version"]
        body = {"version": 1, "consents": [{"company": COMPANY, "notice_version": notice}]}
        path = f"/v1/application-drafts/{draft['draft_id']}/filing"
        filed = await applicant.call("POST", path, body, key=uuid4().hex)
        order_id = filed["orders"][0]["order_id"]
        await _works(applicant, order_id, _WAY)
        for step, status in (("plan-confirmation", "plan_confirmed"), ("contract", "contracted")):
            await _done(applicant, f"/v1/service-orders/{order_id}/{step}", order_id, status)
        await _works(applicant, order_id, _END)
        row = await fetch_one("select count(*) from service_order where application_id = $1", draft["draft_id"])
        assert row is not None
        assert row["count"] == 1
    return Outcome()


async def is_pushed(customer: Customer) -> Outcome:
    """The construction platform pushes a project; it becomes one case, and every node of its order comes back to the platform, in order."""
    await customer.enter()
    number, code = f"GG-{uuid4().hex[:12]}", f"2301-420703-04-01-{random.randrange(10**6):06}"
    answers = changed(changed(FACTORY, "/agent", ...), "/project/code", code)
    answers["site"]["address"] = f"创业大道{random.randrange(10**6)}号"
    answers["services"] = [COMPANY]
    for service in ("power", "gas", "network"):
        del answers[service]
    notice = (await customer.call("GET", "/v1/notices/application"))["notice_version"]
    said = {"given_at": clock.now().isoformat(), "notice_version": notice, "companies": [COMPANY]}
    content = {"form_version": 1, "answers": answers, "mains": [COMPANY], "authorization": said}
    await customer.control("POST", "/construction/pushes", {"push_id": number, "content": content})

    async def filed() -> Any:
        return await fetch_one(_OF_PUSH, number)

    order = await customer.until(filed, "a case of the pushed project")
    await _works(customer, str(order["id"]), _WAY[:1])

    async def returned() -> bool:
        reports = (await customer.control("GET", "/construction/reports"))["reports"]
        return [one["code"] for one in reports if one["push_id"] == number] == [1, 1, 3]

    await customer.until(returned, "the statuses at the platform, each once, in order")
    row = await fetch_one(
        "select count(*) from platform_push p join consent c on c.push_id = p.id where p.number = $1", number
    )
    assert row is not None
    assert row["count"] == 1
    return Outcome()


async def _known(applicant: Customer) -> dict[str, Any]:
    """He logs in with his real name; a household's answers in it."""
    seventeen = f"42070419{random.randrange(60, 99)}0{random.randrange(1, 9)}{random.randrange(10, 28)}{random.randrange(1000):03}"
    known = {
        "name": "张三", "phone": f"136{random.randrange(10**8):08}", "id_number": seventeen + id_check(seventeen), "is_real_name": True,
    }  # fmt: skip
    person_id = (await applicant.control("POST", "/unified/people", known))["person_id"]
    await applicant.log_in_at("ehuiban", person_id, applicant.world.settings.return_urls[0])
    answers = changed(PERSON, "/applicant/id_number", known["id_number"])
    answers["services"] = ["water"]
    del answers["network"]
    return answers


async def _works(applicant: Customer, order_id: str, way: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    """The company has the order and reports; each report is followed to where it leads."""

    async def has_it() -> bool:
        orders = (await applicant.control("GET", f"/companies/{COMPANY}/ledger"))["orders"]
        return any(order["order_id"] == order_id for order in orders)

    await applicant.until(has_it, "the order at its company")
    for status, report in way:
        await applicant.control("POST", f"/companies/{COMPANY}/report", {"order_id": order_id, **report})
        await applicant.until(lambda status=status: _stands(order_id, status), f"an order that is {status}")


async def _done(applicant: Customer, path: str, order_id: str, status: str) -> None:
    """What he does once: who got no answer and asks again is told that it stands elsewhere by now."""
    try:
        await applicant.call("POST", path, {"plan_version": 1})
    except CallFailed as failed:
        if failed.problem.get("code") != "illegal_move":
            raise
    assert await _stands(order_id, status)


async def _stands(order_id: str, status: str) -> bool:
    row = await fetch_one("select status from service_order where id = $1", order_id)
    return row is not None and row["status"] == status
