"""容缺: one promise from its signature to its end, and what it does to whoever breaks it."""

from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from asyncpg import CheckViolationError

from cities.materials import Requirement
from core import clock
from core.crypto import CannotDecrypt
from core.database import fetch, transaction, violated_constraint
from core.errors import NotFound
from core.workdays import Calendar
from domain.identity.staff_sessions import StaffCaller
from domain.materials.tolerances import (
    AlreadyPromised,
    NotDeferrable,
    PromiseBarred,
    PromiseDayRefused,
    StatementChanged,
    may_turn_on_gas,
)
from domain.orders.moving import PapersMissing
from models.credit import CreditRecord
from models.lifecycle import IllegalMove
from models.tolerance import Tolerance
from tests.cities.answers import FACTORY, PERSON
from tests.harness import cases, staff
from tests.harness.papers import document
from tests.harness.spine import Citizen, Spine


def _asked(spine: Spine) -> list[Requirement]:
    return spine.services.city.materials.required(FACTORY, clock.today())


async def _sign(spine: Spine, citizen: Citizen, application_id: UUID, due_on: date, *codes: str) -> list[Tolerance]:
    tolerances, asked = spine.services.tolerances, _asked(spine)
    statement = tolerances.statement(asked, codes, due_on)
    return await tolerances.sign(citizen.caller, application_id, asked, codes, due_on, statement.sha256)


async def _draft(spine: Spine, citizen: Citizen) -> UUID:
    return await cases.begun(spine, citizen.caller, {"services": ["water"]})


async def _filed(spine: Spine, citizen: Citizen) -> UUID:
    answers = await cases.answers_of(spine, citizen.caller, ["water"])
    return (await cases.file(spine, citizen.caller, answers)).application_id


async def _material(spine: Spine, citizen: Citizen) -> UUID:
    return (await spine.services.materials.upload(citizen.caller, "site_plan", document())).id


async def _fulfil(spine: Spine, citizen: Citizen, application_id: UUID, requirement: str, material_id: UUID) -> bool:
    async with transaction():
        return await spine.services.tolerances.fulfil(application_id, requirement, material_id, citizen.caller.actor)


async def _city_clerk(spine: Spine, unit: str = "city") -> StaffCaller:
    member = await staff.member(spine.services, unit, "credit_officer")
    return await spine.services.staff_sessions.check(member.token)


async def test_what_is_signed_is_what_was_shown_and_only_what_may_come_later(spine: Spine) -> None:
    citizen = await spine.citizen()
    application_id, due_on = await _draft(spine, citizen), clock.today() + timedelta(days=30)
    tolerances, asked = spine.services.tolerances, _asked(spine)
    statement = tolerances.statement(asked, ["planning", "plan_of_site", "planning"], due_on)
    assert "建设工程规划许可证、总平面图" in statement.text
    assert f"{due_on.year}年{due_on.month}月{due_on.day}日" in statement.text
    assert "不会通气" in statement.text
    for codes, error in ((["licence"], NotDeferrable), (["rural_land"], NotDeferrable), (["nothing"], NotDeferrable)):
        with pytest.raises(error):
            tolerances.statement(asked, codes, due_on)
    for day in (clock.today(), due_on + timedelta(days=1)):
        with pytest.raises(PromiseDayRefused):
            tolerances.statement(asked, ["planning"], day)
    with pytest.raises(StatementChanged):
        await tolerances.sign(citizen.caller, application_id, asked, ["planning"], due_on, statement.sha256)

    made = await _sign(spine, citizen, application_id, due_on, "planning", "plan_of_site")
    assert [bytes(one.statement_sha256).hex() for one in made] == [statement.sha256] * 2
    vault = spine.services.vault
    assert vault.open(made[0].statement, "tolerance.statement", made[0].id) == statement.text
    with pytest.raises(CannotDecrypt):
        vault.open(made[0].statement, "tolerance.statement", made[1].id)
    with pytest.raises(AlreadyPromised):
        await _sign(spine, citizen, application_id, due_on, "water_drawings", "planning")
    assert len(await tolerances.open_for(application_id)) == 2, "all or none"


async def test_gas_waits_for_every_paper_it_needs_and_for_no_other(spine: Spine) -> None:
    citizen = await spine.citizen()
    application_id, due_on = await _draft(spine, citizen), clock.today() + timedelta(days=5)
    await _sign(spine, citizen, application_id, due_on, "water_drawings")
    assert await may_turn_on_gas(application_id)
    await _sign(spine, citizen, application_id, due_on, "plan_of_site")
    assert not await may_turn_on_gas(application_id)
    material_id = await _material(spine, citizen)
    assert await _fulfil(spine, citizen, application_id, "plan_of_site", material_id)
    assert not await _fulfil(spine, citizen, application_id, "plan_of_site", material_id), "kept once"
    assert await may_turn_on_gas(application_id)
    assert await spine.services.tolerances.release(application_id) == 1
    assert await spine.services.tolerances.release(application_id) == 0
    await spine.jobs.run()
    assert await spine.told(citizen) == ["tolerance.released"]


async def test_no_company_turns_gas_on_before_its_papers_are_there(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water", "gas"]))
    asked = spine.services.city.materials.required(PERSON | {"services": ["gas"]}, clock.today())
    due_on, tolerances = clock.today() + timedelta(days=20), spine.services.tolerances
    statement = tolerances.statement(asked, ["property"], due_on)
    await tolerances.sign(citizen.caller, filed.application_id, asked, ["property"], due_on, statement.sha256)
    for company in ("water", "gas"):
        await cases.brought_to(spine, citizen.caller, await cases.order_of(filed, company), "inspected")
    gas, by = await cases.order_of(filed, "gas"), cases.of("gas")
    with pytest.raises(PapersMissing) as refused:
        await spine.services.orders.connect(gas.id, by)
    assert refused.value.data == {"missing": ["property"]}
    with pytest.raises(CheckViolationError, match="gas is not turned on"):
        await fetch(
            "update service_order set status = 'connected', connected_at = now(), ended_at = now() where id = $1",
            gas.id,
        )

    await cases.brought_to(spine, citizen.caller, await cases.order_of(filed, "water"), "connected")
    assert (await cases.order_of(filed, "water")).tolerated
    await _fulfil(spine, citizen, filed.application_id, "property", await _material(spine, citizen))

    handed_in = "kind = 'property_proof'"
    contest = (
        "insert into evidence_contest (id, person_id, actor_user_id, paper, source, note, created_at)"
        " select gen_random_uuid(), person_id, actor_user_id, 'id_card', 'real_name', '', created_at from application"
    )
    for spoil, mend in (
        (f"update material set status = 'quarantined' where {handed_in}", f"update material set status = 'clean' where {handed_in}"),
        (contest, "update evidence_contest set ended_at = created_at"),
    ):  # fmt: skip
        await fetch(spoil)
        with pytest.raises(PapersMissing):
            await spine.services.orders.connect(gas.id, by)
        await fetch(mend)
    assert (await spine.services.orders.connect(gas.id, by)).status == "connected"


async def test_a_paper_that_was_promised_for_gas_alone_is_not_owed_once_gas_is_withdrawn(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water", "gas"]))
    due_on = clock.today() + timedelta(days=5)
    water, gas = await _sign(spine, citizen, filed.application_id, due_on, "water_drawings", "plan_of_site")
    await Tolerance.filter(id=gas.id).update(services=["gas"])
    await spine.services.order_answers.withdraw(citizen.caller, (await cases.order_of(filed, "gas")).id)
    await spine.jobs.run()
    assert [(await Tolerance.get(id=one.id)).status for one in (water, gas)] == ["promised", "released"]


async def test_a_promise_in_a_draft_that_was_never_filed_is_no_fault_and_may_be_given_anew(spine: Spine) -> None:
    citizen = await spine.citizen()
    application_id = await _draft(spine, citizen)
    await _sign(spine, citizen, application_id, clock.today() + timedelta(days=2), "planning")
    await spine.travel(timedelta(days=3))
    await spine.services.tolerances.watch()
    await spine.jobs.run()
    assert (await Tolerance.get(application_id=application_id)).status == "released"
    assert await CreditRecord.all() == []
    assert await _sign(spine, citizen, application_id, clock.today() + timedelta(days=2), "planning")


async def test_a_broken_promise_goes_on_record_after_it_was_told_and_objected_to(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    application_id = await _filed(spine, citizen)
    services, due_on = spine.services, clock.today() + timedelta(days=4)
    await _sign(spine, citizen, application_id, due_on, "planning")
    await services.tolerances.watch()
    assert await fetch("select 1 from tolerance where reminded_at is not null") == []

    await spine.travel(timedelta(days=1))
    for _ in range(2):  # the clock strikes more than once
        await services.tolerances.watch()
        await spine.jobs.run()
    assert "tolerance.due_soon" in await spine.told(citizen)

    await spine.travel(timedelta(days=3))
    await services.tolerances.watch()
    assert (await Tolerance.get(application_id=application_id)).status == "promised", "its own day is not over"
    await spine.travel(timedelta(days=1))
    for _ in range(2):
        await services.tolerances.watch()
        await spine.jobs.run()
    record = await CreditRecord.get(person_id=citizen.id)
    calendar: Calendar = await services.deadlines._calendars.current()
    assert (record.status, record.event) == ("noticed", "promise_overdue")
    assert record.objection_until == calendar.after(clock.today(), 5)
    told = [kind for kind in await spine.told(citizen) if kind.startswith(("tolerance", "credit"))]
    assert sorted(told) == ["credit_record.noticed", "tolerance.due_soon", "tolerance.overdue"]
    with pytest.raises(PromiseBarred):
        await _sign(spine, citizen, await _draft(spine, citizen), clock.today() + timedelta(days=3), "planning")

    await services.credit.object(citizen.caller, record.id, "快递丢了")
    with pytest.raises(IllegalMove):
        await services.credit.object(citizen.caller, record.id, "再说一遍")
    await spine.travel(timedelta(days=30))
    await services.credit.confirm_due()
    assert (await CreditRecord.get(id=record.id)).status == "objected", "nobody decides by waiting"
    clerk = await _city_clerk(spine)
    assert [(row.id, words) for row, words in await services.credit.waiting(clerk, None, 10)] == [
        (record.id, "快递丢了")
    ]
    await services.credit.decide(clerk, record.id, "dismiss_objection", "快递单号查无此件")

    assert await _fulfil(spine, citizen, application_id, "planning", await _material(spine, citizen))
    assert (await Tolerance.get(application_id=application_id)).status == "late"
    with pytest.raises(PromiseBarred):
        await _sign(spine, citizen, await _draft(spine, citizen), clock.today() + timedelta(days=3), "planning")
    await services.credit.decide(clerk, record.id, "repair", "已经补交，承诺不再犯")
    assert await _sign(spine, citizen, await _draft(spine, citizen), clock.today() + timedelta(days=3), "planning")
    await spine.jobs.run()
    assert {*(await spine.told(citizen))} >= {
        "credit_record.confirmed",
        "tolerance.fulfilled_late",
        "credit_record.repaired",
    }


async def test_deceit_goes_on_record_where_a_company_refused_what_is_untrue_and_the_city_has_found_so(
    spine: Spine,
) -> None:
    citizen, _ = await spine.resident()
    credit, clerk = spine.services.credit, await _city_clerk(spine)
    refused = await cases.standing(spine, citizen.caller, "water", "received")
    with pytest.raises(NotFound):
        await credit.deceit(clerk, refused.id, "还没有哪家说它不真实")
    await spine.services.orders.refuse(refused.id, cases.of("water"), "papers_not_true", "产权证查无此证")
    with pytest.raises(NotFound):
        await credit.deceit(await _city_clerk(spine, "approval_420704"), refused.id, "区里不管")
    clerk = await _city_clerk(spine, "optimization")
    made = [await credit.deceit(clerk, refused.id, "向不动产登记部门查实") for _ in range(2)]
    await spine.jobs.run()
    assert [(one.id, one.status, one.event) for one in made] == [(made[0].id, "noticed", "false_material")] * 2
    assert [record.id for record in await credit.of(citizen.principal)] == [made[0].id]
    assert (await spine.told(citizen)).count("credit_record.noticed") == 1
    (row,) = await fetch("select actor_kind, reason from journal where subject = 'credit_record'")
    assert tuple(row) == ("staff", "向不动产登记部门查实")


async def test_the_database_itself_bars_who_has_a_confirmed_fault(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    made = await _sign(spine, citizen, await _filed(spine, citizen), clock.today() + timedelta(days=2), "planning")
    await spine.travel(timedelta(days=3))
    await spine.services.tolerances.watch()
    anew = "jsonb_build_object('id', $2::uuid, 'application_id', $3::uuid, 'status', 'promised')"
    copy = f"insert into tolerance select (jsonb_populate_record(t, {anew})).* from tolerance t where id = $1"
    with pytest.raises(CheckViolationError) as refused:
        await fetch(copy, made[0].id, uuid4(), await _draft(spine, citizen))
    assert violated_constraint(refused.value) == "tolerance_not_barred"


async def test_nobody_elses_record_is_there(spine: Spine) -> None:
    citizen = await spine.citizen()
    with pytest.raises(NotFound):
        await spine.services.credit.object(citizen.caller, uuid4(), "不是我")
    assert await spine.services.credit.of(citizen.principal) == []
