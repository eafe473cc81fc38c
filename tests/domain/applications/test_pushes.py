"""A pushed project becomes a case once, with everything at zero; what cannot be understood is kept whole until somebody has put it right."""

import asyncio
from copy import deepcopy
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from core import clock
from core.database import fetch, violated_constraint
from core.errors import NotFound
from domain.applications.pushes import SOURCE, PushDiffers
from domain.identity.tokens import Caller
from models import inbox
from models.application import Application
from models.consent import Consent
from models.fee import FeeClaim
from models.lifecycle import Actor, IllegalMove
from models.person import Organization
from models.platform_push import PlatformPush, PushAmendment
from models.service_order import ServiceOrder
from tests.cities.answers import FACTORY
from tests.harness import cases, pushes
from tests.harness.spine import CREDIT_CODE, Spine

CLERK = Actor("staff", "city:wang")


async def taken(spine: Spine, body: bytes) -> PlatformPush:
    await spine.services.pushes.take(body)
    return await PlatformPush.get(number=pushes.number_of(body))


async def test_a_pushed_project_becomes_a_case_of_its_enterprise_with_a_lead_for_each_company(spine: Spine) -> None:
    """Zero 环节, zero 材料: nobody of the enterprise has done or handed in anything until the companies come to it."""
    body = pushes.sent(spine)
    assert await spine.services.pushes.take(body) == "filed"
    case, orders = await pushes.case_of(body)
    assert (case.access_point, case.actor_user_id, case.status) == ("platform_push", None, "filed")
    assert set(orders) == {"water", "power", "gas", "telecom_cu"}
    consents = {one.company: one for one in await Consent.filter(application_id=case.id)}
    push = await PlatformPush.get(application_id=case.id)
    assert {(one.basis, one.push_id, one.person_id) for one in consents.values()} == {("platform_push", push.id, None)}
    assert "创业大道" not in str([dict(row) for row in await fetch("select * from platform_push")])
    await spine.jobs.run()
    assert "surveys.open" not in {row["event"] for row in await fetch("select event from journal")}
    assert await fetch("select 1 from survey where application_id = $1", case.id) == []
    for company in ("water", "gas", "power"):
        ledger = await spine.control("GET", f"/companies/{company}/ledger")
        (lead,) = [one["content"] for one in ledger["orders"] if one["order_id"] == str(orders[company].id)]
        assert lead["source"] == "platform_push"
        assert lead["lead"] == {"planned_start": "2026-03-01", "planned_on": "2026-12-01"} | (
            {} if company == "power" else {"main_laid": True}
        )
    steps = await fetch("select distinct actor_kind from journal where subject in ('application', 'service_order')")
    assert {row["actor_kind"] for row in steps} == {"platform", "system"}
    needs = await spine.services.needs.of(await Application.get(id=case.id))
    assert {need.state for need in needs} == {"waived"}
    written = await fetch("select requirement, basis from asked_paper where application_id = $1", case.id)
    assert {row["requirement"] for row in written} == {need.requirement.code for need in needs}
    assert {row["basis"] for row in written} == {"platform_push"}


async def test_mains_laid_beforehand_are_promised_for_the_same_day_and_power_by_its_distance(spine: Spine) -> None:
    """Zero 工作日, as the policy says it: of water, gas and network; a survey that measures more changes nothing of that."""
    body = pushes.sent(spine)
    await taken(spine, body)
    _, orders = await pushes.case_of(body)
    await spine.jobs.run()
    for company, order in orders.items():
        await spine.services.orders.receive(order.id)
        await spine.services.orders.accept(order.id, cases.of(company))
        await spine.services.orders.survey(order.id, cases.of(company), cases.FOUND)
    promised = {company: await spine.services.order_clock.explain(order.id) for company, order in orders.items()}
    assert {company: found.deadline.days for company, found in promised.items() if found} == {
        "water": 0, "gas": 0, "telecom_cu": 0, "power": 3,
    }  # fmt: skip
    water = promised["water"]
    assert water is not None
    assert (water.due.due_on, water.deadline.basis) == (
        water.deadline.accepted_at.astimezone(clock.SHANGHAI).date(),
        "main_laid",
    )


async def test_nobody_of_the_enterprise_pays_and_180_kw_are_the_government_s(spine: Spine) -> None:
    """Zero 费用."""
    body = pushes.sent(spine)
    await taken(spine, body)
    _, orders = await pushes.case_of(body)
    for company, order in orders.items():
        await spine.services.orders.accept(order.id, cases.of(company))
    await spine.jobs.run()
    claims = {one.company: one.bearer for one in await FeeClaim.all()}
    assert claims == {"water": "company", "gas": "company", "telecom_cu": "company", "power": "government"}
    assert await fetch("select 1 from charge") == []


async def test_its_people_see_the_case_once_they_have_logged_in_and_go_nowhere(spine: Spine) -> None:
    """Zero 跑腿: from the push to the connection the enterprise signs at its own screen; nobody else's login opens it."""
    said = pushes.content(spine)
    said["answers"]["applicant"] |= {"credit_code": CREDIT_CODE}
    body = pushes.sent(spine, said)
    await taken(spine, body)
    case, orders = await pushes.case_of(body)
    owner = await Organization.get(id=case.organization_id)
    firm, _ = await spine.legal_person("王小明")
    mandate = await spine.services.first_agents.claim(firm.caller)
    assert mandate.organization_id == owner.id
    stranger, _ = await spine.resident()
    caller = _acting(firm.caller, owner.id)
    seen = await spine.services.cases.show(caller, case.id)
    assert {one.order.company for one in seen.orders} == set(orders)
    with pytest.raises(NotFound):
        await spine.services.cases.show(stranger.caller, case.id)
    water = orders["water"]
    await cases.brought_to(spine, caller, water, "connected")
    assert (await ServiceOrder.get(id=water.id)).status == "connected"
    assert await fetch("select 1 from acting_session") == []
    name = spine.services.vault.open((await Organization.get(id=owner.id)).name, "organization.name", owner.id)
    assert name == "鄂州示范商贸有限公司", "what an identity source says of an enterprise counts, not the push"


def _acting(caller: Caller, organization_id: UUID) -> Caller:
    return replace(caller, organization_id=organization_id)


def spoiled(said: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    copy = deepcopy(said)
    *way, last = pointer.split("/")[1:]
    place = copy
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copy


WRONG = (
    ("/schema", "9", "schema_unknown"),
    ("/pushed_at", "yesterday", "fields_wrong"),
    ("/authorization", ..., "fields_wrong"),
    ("/form_version", 99, "form_unknown"),
    ("/answers/site/area", "999999999", "answers_wrong"),
    ("/answers/services", ["water", "steam"], "answers_wrong"),
    ("/answers/network/companies", ["telecom_xx"], "answers_wrong"),
    ("/answers/project/code", ..., "no_project"),
    ("/mains", ["heat"], "mains_wrong"),
    ("/authorization/notice_version", "1999-01", "notice_unknown"),
    ("/authorization/companies", ["water"], "authorization_wrong"),
)


async def test_what_cannot_be_understood_waits_whole_and_says_where_without_a_value(spine: Spine) -> None:
    before = await Application.all().count()
    for pointer, value, problem in WRONG:
        body = msgspec.json.encode(spoiled(msgspec.json.decode(pushes.sent(spine)), pointer, value))
        push = await taken(spine, body)
        assert (push.status, push.problem) == ("stuck", problem), pointer
        assert spine.services.pushes.original_of(push) == body
        shown = await spine.services.push_desk.one(push.id)
        assert shown.problems
        assert "示范" not in str(shown)
    for raw in (b'{"pushed_at": "9999-12-31T23:59:59-12:00"}', b"{", b"[1]", b'{"push_id": 7}', b'{"a": 1, "a": 2}'):
        await spine.services.pushes.take(raw)
        assert await spine.services.pushes.take(raw) in ("stuck", "not_json", "schema_unknown"), "the same bytes, once"
    assert await PlatformPush.all().count() == len(WRONG) + 5
    assert await Application.all().count() == before


async def test_staff_amend_it_the_original_stays_and_a_replay_makes_the_case(spine: Spine) -> None:
    push = await pushes.stuck(spine)
    original = spine.services.pushes.original_of(push)
    staff_id = uuid4()
    right = msgspec.json.decode(original) | {"schema": "1"}
    await spine.services.pushes.amend(push.id, right, staff_id, "平台升级了版本，内容没有变")
    await spine.services.pushes.replay(push.id, CLERK, "改好了")
    with pytest.raises(IllegalMove):
        await spine.services.pushes.replay(push.id, CLERK, "又点了一次")
    await spine.jobs.run()
    await push.refresh_from_db()
    assert push.status == "filed"
    assert spine.services.pushes.original_of(push) == original
    (amendment,) = await PushAmendment.filter(push_id=push.id)
    assert (amendment.staff_id, amendment.reason) == (staff_id, "平台升级了版本，内容没有变")
    with pytest.raises(IllegalMove):
        await spine.services.pushes.amend(push.id, right, staff_id, "已经是申请了")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch("update push_amendment set reason = 'xxxx' where push_id = $1", push.id)


async def test_the_same_push_however_often_and_at_once_is_one_case_another_content_is_refused(spine: Spine) -> None:
    body = pushes.sent(spine)
    number = pushes.number_of(body)
    assert not await spine.services.pushes.is_known(body)
    stored = [await inbox.store(spine.services.vault, SOURCE, number, "project_push", body) for _ in range(2)]
    assert stored[1] is None
    assert await spine.services.pushes.is_known(body), "while it still waits in the inbox"
    await asyncio.gather(*(spine.services.pushes.take(body) for _ in range(4)))
    await spine.jobs.run()
    assert await Application.filter(access_point="platform_push").count() == 1
    assert await spine.services.pushes.is_known(body)
    with pytest.raises(PushDiffers):
        await spine.services.pushes.is_known(msgspec.json.encode(msgspec.json.decode(body) | {"mains": []}))


async def test_two_pushes_of_one_project_at_once_make_one_case_and_the_other_is_staff_s_to_decide(spine: Spine) -> None:
    said = pushes.content(spine)
    first, second = pushes.sent(spine, said), pushes.sent(spine, said)
    outcomes = await asyncio.gather(*(spine.services.pushes.take(one) for one in (first, second)))
    assert sorted(outcomes) == ["already_filed", "filed"]
    (stuck,) = await PlatformPush.filter(status="stuck")
    (case,) = await Application.filter(access_point="platform_push")
    await spine.services.pushes.dismiss(stuck.id, CLERK, "和前一次推送重复")
    with pytest.raises(IllegalMove):
        await spine.services.pushes.replay(stuck.id, CLERK, "又要办了")
    for order in await ServiceOrder.filter(application_id=case.id):
        await spine.services.orders.refuse(order.id, cases.of(order.company), "outside_area")
    assert await spine.services.pushes.take(pushes.sent(spine, said)) == "filed", "what came to nothing may come again"


async def test_a_consent_says_on_what_it_stands_and_an_order_whose_it_is(spine: Spine) -> None:
    body = pushes.sent(spine)
    await taken(spine, body)
    case, orders = await pushes.case_of(body)
    for statement, row_id, constraint in (
        ("update consent set push_id = null where application_id = $1", case.id, "consent_basis_whole"),
        ("update consent set basis = 'applicant' where application_id = $1", case.id, "consent_basis_whole"),
        ("update service_order set pushed = false where id = $1", orders["water"].id, "service_order_laid_was_pushed"),
        ("update application set access_point = 'kiosk' where id = $1", case.id, "application_has_actor_or_was_pushed"),
    ):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await fetch(statement, row_id)
        assert violated_constraint(refused.value) == constraint


async def test_an_enterprise_that_has_applied_itself_is_not_filed_for_a_second_time(spine: Spine) -> None:
    firm, _ = await spine.legal_person("王小明")
    mandate = await spine.services.first_agents.claim(firm.caller)
    said = pushes.content(spine)
    said["answers"]["applicant"]["credit_code"] = CREDIT_CODE
    own = deepcopy(said["answers"]) | {"agent": FACTORY["agent"]}
    await cases.file(spine, _acting(firm.caller, mandate.organization_id), own)
    assert await spine.services.pushes.take(pushes.sent(spine, said)) == "already_filed"
