"""Every verb of an order: who may, from where, what it leaves, and what it does to the promise."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from core import clock
from core.database import fetch
from core.errors import NotFound
from domain.applications.filing import Filed
from domain.orders.answering import PlanDiffers
from domain.orders.handling import Found, Item
from domain.orders.moving import OncePerOrder, ReasonNotListed, SupervisorNeeded, TooLate
from models.lifecycle import IllegalMove
from models.service_order import SERVICE_ORDER, OrderStatus, ServiceOrder, official_code
from tests.harness import cases
from tests.harness.cases import FOUND, of
from tests.harness.spine import Citizen, Spine

DAY = timedelta(days=1)
MISSING = (Item("/site/real_estate_no", "房产证号没有写"),)


class Filing:
    """A household's case for water and gas, and its applicant."""

    def __init__(self, spine: Spine, citizen: Citizen, filed: Filed) -> None:
        self.spine, self.citizen, self.filed = spine, citizen, filed
        self.orders, self.answers = spine.services.orders, spine.services.order_answers

    async def order(self, company: str = "water") -> ServiceOrder:
        return await cases.order_of(self.filed, company)

    async def to(self, status: str, company: str = "water") -> ServiceOrder:
        await cases.brought_to(self.spine, self.citizen.caller, await self.order(company), status)
        return await self.order(company)

    async def due(self, order: ServiceOrder) -> tuple[int, str | None, int]:
        """Promised days, the outcome, and how many pauses are open."""
        found = await self.spine.services.order_clock.explain(order.id)
        assert found is not None
        days = found.deadline.days + found.deadline.extra_days
        return days, found.deadline.outcome, sum(pause.ends_at is None for pause in found.pauses)


@pytest.fixture
async def case(spine: Spine) -> Filing:
    citizen, _ = await spine.resident()
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water", "gas"]))
    return Filing(spine, citizen, filed)


async def test_the_straight_way_leads_to_the_archive_with_a_journal_and_a_kept_promise(case: Filing) -> None:
    order = await case.to("archived")
    states = await fetch("select to_state from journal where subject_id = $1 order by at, id", order.id)
    assert [row["to_state"] for row in states] == [
        "created", "received", "accepted", "surveyed", "plan_replied", "plan_confirmed", "contracted", "constructing", "inspected",
        "connected", "archived",
    ]  # fmt: skip
    assert await case.due(order) == (3, "met", 0)
    await case.spine.jobs.run()
    told = [row["kind"] for row in await fetch("select distinct kind from message where channel = 'inbox'")]
    assert sorted(told) == [
        "application.accepted", "application.connected", "application.constructing", "application.filed", "application.inspected",
        "application.plan_replied", "application.surveyed", "survey.opened",
    ]  # fmt: skip


async def test_a_company_reaches_no_other_companys_order_and_a_stranger_none(case: Filing) -> None:
    order = await case.to("plan_replied")
    with pytest.raises(NotFound):
        await case.orders.accept(order.id, of("power"))
    stranger, _ = await case.spine.resident()
    with pytest.raises(NotFound):
        await case.answers.confirm_plan(stranger.caller, order.id, 1)
    with pytest.raises(NotFound):
        await case.spine.services.withdrawing.withdraw(stranger.caller, case.filed.application_id)


async def test_a_correction_is_asked_once_and_again_only_with_a_supervisor_who_is_counted(case: Filing) -> None:
    order = await case.to("accepted")
    await case.orders.send_back(order.id, of("water"), MISSING)
    assert await case.due(order) == (5, None, 1), "nobody has measured yet, and it is the applicant's turn"
    await case.answers.answer(case.citizen.caller, order.id, {"/site/real_estate_no": "鄂(2023)1号"}, "")
    back = await case.order()
    assert (back.status, back.revision, back.corrections, (await case.due(order))[2]) == ("accepted", 2, 1, 0)
    for by in (of("water"), of("water", "water")):
        with pytest.raises(SupervisorNeeded):
            await case.orders.send_back(order.id, by, MISSING)
    await case.orders.send_back(order.id, of("water", "staff-7"), MISSING)
    again = await case.order()
    assert (again.corrections, again.late_corrections) == (2, 1)
    other = await case.to("received", "gas")
    await case.orders.send_back(other.id, of("gas"), MISSING)
    await case.answers.answer(case.citizen.caller, other.id, {}, "补好了")
    await case.orders.send_back(other.id, of("gas"), MISSING, seen_before=False)
    assert (await case.order("gas")).late_corrections == 0, "what only the answer showed is no late word"


async def test_what_nobody_corrects_is_withdrawn_by_itself(case: Filing) -> None:
    order = await case.to("received")
    await case.orders.send_back(order.id, of("water"), MISSING)
    await case.spine.travel(30 * DAY)
    await case.answers.lapse()
    assert (await case.order()).status == "correcting", "the last day counts"
    await case.spine.travel(DAY)
    await case.answers.lapse()
    assert (await case.order()).status == "withdrawn"


async def test_a_refusal_has_a_reason_of_the_list_for_its_stage(case: Filing) -> None:
    order = await case.to("received")
    with pytest.raises(ReasonNotListed):
        await case.orders.refuse(order.id, of("water"), "cannot_supply")
    await case.orders.refuse(order.id, of("water"), "outside_area", "属邻市供水")
    gas = await case.to("surveyed", "gas")
    await case.orders.refuse(gas.id, of("gas"), "cannot_supply")
    assert [(await case.order(company)).status for company in ("water", "gas")] == ["refused", "failed"]
    assert (await case.due(gas))[1] == "void"


async def test_the_surveyed_distance_takes_the_declared_ones_place_longer_only_with_approval(case: Filing) -> None:
    order = await case.to("accepted")
    assert (await case.due(order))[0] == 5
    await case.orders.survey(order.id, of("water"), FOUND)
    assert (await case.due(order))[0] == 3, "shorter at once"
    gas = await case.order("gas")
    await fetch("update service_order set distance_m = 100, distance_source = 'declared' where id = $1", gas.id)
    gas = await case.to("accepted", "gas")
    assert (await case.due(gas))[0] == 3
    await case.orders.survey(gas.id, of("gas"), Found(800, "surveyed"))
    assert (await case.due(gas))[0] == 3, "longer, and nobody approved"


async def test_beyond_the_last_band_the_company_commits_itself_with_a_supervisor(case: Filing) -> None:
    order = await case.order()
    await fetch("update service_order set distance_m = 1200, distance_source = 'declared' where id = $1", order.id)
    await case.to("accepted")
    assert await case.spine.services.order_clock.explain(order.id) is None, "nothing is promised before the survey"
    await case.orders.survey(order.id, of("water"), Found(1300, "surveyed"))
    with pytest.raises(SupervisorNeeded):
        await case.orders.commit(order.id, of("water"), 12, "要过路顶管")
    await case.orders.commit(order.id, of("water", "staff-7"), 12, "要过路顶管")
    assert (await case.due(order))[0] == 12


async def test_a_plan_is_confirmed_as_seen_questioned_and_signed(case: Filing) -> None:
    order = await case.to("plan_replied")
    assert (await case.due(order))[2] == 1, "it is the applicant's turn"
    with pytest.raises(PlanDiffers):
        await case.answers.confirm_plan(case.citizen.caller, order.id, 2)
    await case.answers.question_plan(case.citizen.caller, order.id, 1, "能不能换个方向")
    assert ((await case.order()).status, (await case.due(order))[2]) == ("surveyed", 0)
    await case.orders.reply_plan(order.id, of("water"), "从北侧接入")
    await case.answers.confirm_plan(case.citizen.caller, order.id, 2)
    await case.answers.sign_contract(case.citizen.caller, order.id, 2)
    assert ((await case.order()).status, (await case.due(order))[2]) == ("contracted", 0)


async def test_nothing_is_connected_that_was_not_inspected_and_each_inspection_counts(case: Filing) -> None:
    order = await case.to("constructing", "gas")
    with pytest.raises(IllegalMove):
        await case.orders.connect(order.id, of("gas"))
    await case.orders.inspect(order.id, of("gas"), False, MISSING, clock.today() + 3 * DAY)
    with pytest.raises(IllegalMove):
        await case.orders.inspect(order.id, of("gas"), True)
    await case.orders.rectify(order.id, of("gas"), "已加装报警器")
    await case.orders.inspect(order.id, of("gas"), True)
    await case.orders.connect(order.id, of("gas"))
    assert ((await case.order("gas")).inspections, (await case.order("gas")).rectify_by) == (2, None)


async def test_a_promise_is_extended_once_before_it_is_over_by_two_people(case: Filing) -> None:
    order = await case.to("surveyed")
    await case.orders.ask_extension(order.id, of("water"), 2, "管沟遇岩石")
    with pytest.raises(OncePerOrder):
        await case.orders.ask_extension(order.id, of("water"), 2, "再要两天")
    with pytest.raises(SupervisorNeeded):
        await case.orders.extend(order.id, of("water"), True)
    await case.orders.extend(order.id, of("water", "staff-7"), True)
    assert (await case.due(order))[0] == 5
    with pytest.raises(OncePerOrder):
        await case.orders.ask_extension(order.id, of("water"), 2, "第二次")
    gas = await case.to("surveyed", "gas")
    await case.spine.travel(30 * DAY)
    with pytest.raises(TooLate):
        await case.orders.ask_extension(gas.id, of("gas"), 2, "晚了")


async def test_a_pause_stops_the_promise_until_it_is_over(case: Filing) -> None:
    order = await case.to("contracted")
    await case.orders.suspend(order.id, of("water"), "permit", "占道许可申请书 2026-17")
    with pytest.raises(OncePerOrder):
        await case.orders.suspend(order.id, of("water"), "permit", "又一个")
    paused = await case.order()
    assert (paused.paused_reason, (await case.due(order))[2]) == ("permit", 1)
    await case.orders.resume(order.id, of("water"), "许可已取得")
    assert ((await case.order()).paused_reason, (await case.due(order))[2]) == (None, 0)


async def test_withdrawing_is_free_before_construction_and_agreed_after_it(case: Filing) -> None:
    await case.to("constructing")
    withdrawing, caller = case.spine.services.withdrawing, case.citizen.caller
    application = await withdrawing.withdraw(caller, case.filed.application_id)
    gas, water = await case.order("gas"), await case.order()
    assert (application.status, gas.status, water.status) == ("filed", "withdrawn", "constructing")
    with pytest.raises(OncePerOrder):
        await case.answers.withdraw(caller, water.id)
    with pytest.raises(IllegalMove):
        await case.orders.agree_withdrawal(gas.id, of("gas"))
    await case.orders.agree_withdrawal(water.id, of("water"))
    await case.spine.jobs.run()
    await application.refresh_from_db()
    assert application.status == "withdrawn"
    kept = await fetch(
        "select withdrawn_at from consent where application_id = $1 and withdrawn_at is null", application.id
    )
    assert len(kept) == 0, "the consents went with them"


async def test_what_is_not_a_companys_own_goes_back_within_a_working_day_and_on_with_the_applicants_word(
    spine: Spine,
) -> None:
    citizen, _ = await spine.resident()
    answers = cases.changed(
        await cases.answers_of(spine, citizen.caller, ["network"]), "/network/companies", ["telecom_cm"]
    )
    answers = cases.changed(answers, "/network/primary", "telecom_cm")
    case = Filing(spine, citizen, await cases.file(spine, citizen.caller, answers))
    order = await case.to("received", "telecom_cm")
    await case.orders.hand_back(order.id, of("telecom_cm"), "小区没有移动光缆")
    notice = spine.services.city.applications.notice(clock.today()).version
    new = await spine.services.withdrawing.hand_on(citizen.caller, order.id, "telecom_cu", notice)
    assert (new.status, new.number[-3:], (await case.order("telecom_cm")).status) == ("created", "-W3", "reassigned")
    late = await case.to("received", "telecom_cu")
    await spine.travel(5 * DAY)
    with pytest.raises(TooLate):
        await case.orders.hand_back(late.id, of("telecom_cu"), "太晚了")


@pytest.mark.parametrize("rival", ["withdraw", "refuse"])
async def test_of_two_who_act_at_once_one_wins_and_the_other_is_told(case: Filing, rival: str) -> None:
    order = await case.to("received")
    rivals: dict[str, Callable[[], Awaitable[object]]] = {
        "withdraw": lambda: case.answers.withdraw(case.citizen.caller, order.id),
        "refuse": lambda: case.orders.refuse(order.id, of("water"), "outside_area"),
    }
    both = [case.orders.hand_back(order.id, of("water"), "不归我们"), rivals[rival]()]
    results = await asyncio.gather(*both, return_exceptions=True)
    lost = [one for one in results if isinstance(one, BaseException)]
    assert len(lost) == (0 if rival == "withdraw" and (await case.order()).status == "withdrawn" else 1)
    assert all(isinstance(one, IllegalMove) for one in lost)


def test_every_state_has_its_official_code_and_only_what_nobody_has_is_without() -> None:
    assert [status for status in OrderStatus if official_code(status) is None] == [OrderStatus.CREATED]
    assert official_code(OrderStatus.WITHDRAWN, was_accepted=True) == 14
    assert official_code(OrderStatus.REFUSED, not_taken=True) == 4
    assert official_code(OrderStatus.SURVEYED, paused=True) == 9
    assert official_code(OrderStatus.SURVEYED, resumed=True) == 10
    assert {edge.next_state for edge in SERVICE_ORDER.edges} >= set(OrderStatus) - {OrderStatus.CREATED}
