"""A company's system and its people do the same: the same reports leave the same journal, but for who acted."""

from typing import Any

import msgspec

from core import clock
from core.database import fetch
from domain.orders.moving import Handler
from gateways.company_order_types import AnyReport
from jobs import order_reports
from models.lifecycle import Actor
from models.service_order import ServiceOrder
from models.survey import SurveyPart
from tests.harness import desks
from tests.harness.spine import Spine

WAY: tuple[dict[str, Any], ...] = (
    {"report": "accepted"},
    {"report": "surveyed", "can_supply": True, "distance_m": 420, "plan": "由滨湖南路主管接入"},
    {"report": "plan_replied", "plan": "DN20 水表，从楼道立管接入"},
)


async def test_both_ways_leave_the_same_rows(spine: Spine) -> None:
    by_system, by_staff = await desks.standing(spine), await desks.standing(spine)
    clerk = Handler(Actor("staff", "01a20a10-779e-7efa-9524-b6e07f8a0e26"), "water")
    for number, said in enumerate(WAY, 1):
        for order in (by_system, by_staff):
            named = said | {"order_id": str(order.id), "sequence": number, "at": clock.now()}
            report = msgspec.convert(named, AnyReport)
            if order is by_system:
                assert await order_reports.take(spine.services, "water", report) == "done"
            else:
                assert await spine.services.company_work.do(order.id, clerk, report) == "done"
    journals, parts = [], []
    for order in (by_system, by_staff):
        rows = await fetch(
            "select from_state, to_state, event from journal where subject = 'service_order' and subject_id = $1 order by at, id",
            order.id,
        )
        journals.append([tuple(row) for row in rows])
        part = await SurveyPart.get(order_id=order.id)
        parts.append((part.version, part.can_supply, part.distance_m, part.distance_source))
        assert (await ServiceOrder.get(id=order.id)).status == "plan_replied"
    assert journals[0] == journals[1]
    assert parts[0] == parts[1]
