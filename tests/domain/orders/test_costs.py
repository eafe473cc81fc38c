"""Who bears what an order costs is recorded with its acceptance, by the kilowatts it asks for, and dropped with it."""

from core import clock
from core.database import fetch
from models.fee import FeeClaim
from models.service_order import ServiceOrder
from tests.harness import cases
from tests.harness.spine import Spine


async def _accepted(spine: Spine, service: str) -> ServiceOrder:
    citizen, _ = await spine.resident()
    answers = await cases.answers_of(spine, citizen.caller, [service])
    order = await cases.order_of(await cases.file(spine, citizen.caller, answers), service)
    await cases.brought_to(spine, citizen.caller, order, "accepted")
    await spine.services.order_costs.record(order.id)
    return await ServiceOrder.get(id=order.id)


async def test_power_of_180_kw_is_the_governments_to_pay(spine: Spine) -> None:
    order = await _accepted(spine, "power")
    await spine.services.order_costs.record(order.id)
    claim = await FeeClaim.get(subject_id=order.id)
    assert (claim.bearer, str(claim.kw), claim.area) == ("government", "180.000", "420704")
    (row,) = await spine.services.fees.month(clock.today().replace(day=1))
    assert (row.company, row.bearer, row.cases) == ("power", "government", 1)
    await spine.services.order_costs.drop(order.id)
    assert await spine.services.fees.month(clock.today().replace(day=1)) == []


async def test_water_is_the_companys_and_nothing_is_recorded_before_acceptance(spine: Spine) -> None:
    citizen, _ = await spine.resident()
    answers = await cases.answers_of(spine, citizen.caller, ["water"])
    order = await cases.order_of(await cases.file(spine, citizen.caller, answers), "water")
    await spine.services.order_costs.record(order.id)
    assert await fetch("select 1 from fee_claim") == []
    claim = await FeeClaim.get(subject_id=(await _accepted(spine, "water")).id)
    assert (claim.bearer, claim.kw) == ("company", None)
