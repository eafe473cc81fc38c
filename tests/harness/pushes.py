"""Pushed projects for tests: what the construction platform sends, and a case made of it."""

import itertools
from copy import deepcopy
from typing import Any

import msgspec

from core import clock
from domain.applications.facts import facts_of
from models.application import Application
from models.platform_push import PlatformPush
from models.service_order import ServiceOrder
from tests.cities.answers import FACTORY
from tests.harness.spine import Spine

_numbers = itertools.count(1)


def content(spine: Spine, *, laid: tuple[str, ...] = ("water", "gas", "network"), **answers: Any) -> dict[str, Any]:
    """The body of a push but for what the platform adds: a new factory's project, `answers` in the place of its own."""
    number = next(_numbers)
    filled = deepcopy(FACTORY)
    del filled["agent"]
    filled["site"]["address"] = f"创业大道{number}号"
    filled["project"]["code"] = f"2301-420703-04-01-{number:06}"
    filled |= answers
    notice = spine.services.city.applications.notice(clock.today()).version
    companies = [company for company, _ in facts_of(spine.services.city, filled).companies]
    return {
        "form_version": 1, "answers": filled, "mains": list(laid),
        "authorization": {"given_at": clock.now().isoformat(), "notice_version": notice, "companies": companies},
    }  # fmt: skip


def sent(spine: Spine, said: dict[str, Any] | None = None, **more: Any) -> bytes:
    """The bytes of a push."""
    head = {"push_id": f"GG-{next(_numbers)}", "schema": "1", "pushed_at": clock.now().isoformat()}
    return msgspec.json.encode(head | (content(spine) if said is None else said) | more)


def number_of(body: bytes) -> str:
    """The platform's id in it."""
    return msgspec.json.decode(body)["push_id"]


async def case_of(body: bytes) -> tuple[Application, dict[str, ServiceOrder]]:
    """The case a push has become, its orders by company."""
    push = await PlatformPush.get(number=number_of(body))
    case = await Application.get(id=push.application_id)
    return case, {order.company: order for order in await ServiceOrder.filter(application_id=case.id)}


async def stuck(spine: Spine, **more: Any) -> PlatformPush:
    """A push that waits for staff: of a schema nobody knows."""
    body = sent(spine, schema="9", **more)
    assert await spine.services.pushes.take(body) == "schema_unknown"
    return await PlatformPush.get(number=number_of(body))
