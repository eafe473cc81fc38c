"""Service orders for tests of the desks: one of this company's, gone as far as a verb needs it; requests that wait; appointments that are held."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from core import clock
from domain.identity.tokens import Caller
from domain.surveys.planning import Window
from domain.surveys.slots import Offer
from gateways import company_order_types as reports
from models.lifecycle import Actor
from models.order_request import OrderRequest
from models.service_order import ServiceOrder
from models.survey import Survey
from tests.harness import cases
from tests.harness.spine import Spine

STANDING = {
    "sign_survey": "accepted", "commit_days": "surveyed", "reply_plan": "surveyed", "construct": "contracted", "inspect": "constructing",
    "rectify": "rectifying", "connect": "inspected", "archive": "connected", "state_cost": "accepted", "ask_extension": "accepted", "pause": "accepted",
    "resume": "paused", "agree_withdrawal": "withdrawal_asked", "redispatch": "returned", "decide_extension": "extension_asked",
    "staff_credit_note_deceit": "untrue",
}  # fmt: skip
"""Handler of a verb → where the order stands before it; received, where it is not named."""


def at(hour: float, days: int = 2) -> datetime:
    """A time of a coming day."""
    day = clock.today() + timedelta(days=days)
    return datetime.combine(day, time(), clock.SHANGHAI) + timedelta(hours=hour)


async def filed(spine: Spine, caller: Caller) -> ServiceOrder:
    """An order for water that its company has received."""
    order = await cases.order_of(
        await cases.file(spine, caller, await cases.answers_of(spine, caller, ["water"])), "water"
    )
    await spine.jobs.run()
    return await ServiceOrder.get(id=order.id)


async def standing(spine: Spine, status: str = "received") -> ServiceOrder:
    """Somebody's order at the water company that stands there."""
    citizen, _ = await spine.resident()
    order, by, orders = await filed(spine, citizen.caller), cases.of("water"), spine.services.orders
    match status:
        case "received":
            pass
        case "rectifying":
            await cases.brought_to(spine, citizen.caller, order, "constructing")
            await orders.inspect(
                order.id, by, False, [cases.Item("valve", "阀门渗水")], clock.today() + timedelta(days=2)
            )
        case "paused":
            await cases.brought_to(spine, citizen.caller, order, "accepted")
            await orders.suspend(order.id, by, "permit", "占道挖掘许可 17 号")
        case "withdrawal_asked":
            await cases.brought_to(spine, citizen.caller, order, "constructing")
            await spine.services.order_answers.withdraw(citizen.caller, order.id)
        case "returned":
            await orders.hand_back(order.id, by, "这个小区由另一家供水")
        case "untrue":
            await orders.refuse(order.id, by, "papers_not_true", "产权证查无此证")
        case "extension_asked":
            await cases.brought_to(spine, citizen.caller, order, "accepted")
            await orders.ask_extension(order.id, by, 2, "管沟遇岩石")
        case _:
            await cases.brought_to(spine, citizen.caller, order, status)
    return await ServiceOrder.get(id=order.id)


async def request(spine: Spine) -> OrderRequest:
    """A company's wish to send an order back a second time."""
    citizen, _ = await spine.resident()
    order = await filed(spine, citizen.caller)
    said: dict[str, Any] = {"order_id": str(order.id), "sequence": 1, "at": clock.now()}
    asked = reports.CorrectionAsked(items=(reports.Item("/water/use", "用水性质与房屋不符"),), **said)
    await spine.services.company_work.do(order.id, cases.of("water"), asked)
    await spine.services.order_answers.answer(citizen.caller, order.id, {}, "是自住")
    assert await spine.services.company_work.do(order.id, cases.of("water"), asked) == "asked"
    return await OrderRequest.get(order_id=order.id)


async def opened(spine: Spine, caller: Caller) -> UUID:
    """An application whose appointment is to be arranged."""
    return (await filed(spine, caller)).application_id


async def held(spine: Spine, caller: Caller) -> Survey:
    """An appointment that is held for the first time."""
    application_id = await opened(spine, caller)
    # As many as others may be waiting for, since who came first is served first.
    slots = [Offer(f"crew-{number}-{application_id}", "420704", at(9), at(12)) for number in range(9)]
    await spine.services.surveys.slots("water", slots, (), Actor("company", "water"))
    await spine.services.surveys.offer_windows(caller, application_id, [Window(at(9), at(18))])
    await spine.jobs.run()
    return await Survey.get(application_id=application_id)


async def appointment(spine: Spine, caller: Caller, operation: str) -> str:
    """The application of an appointment that is as far as the operation needs it."""
    if operation == "surveys_confirm":
        return str((await held(spine, caller)).application_id)
    return str(await opened(spine, caller))
