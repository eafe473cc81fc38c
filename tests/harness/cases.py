"""Applications for tests: a citizen's answers, filed; companies that act on its orders."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from core import clock, ids
from core.database import transaction
from domain.applications.facts import facts_of
from domain.applications.filing import Filed
from domain.identity.tokens import Caller
from domain.orders.handling import Found, Item
from domain.orders.moving import Handler
from models.application import Application
from models.idempotency import Once
from models.lifecycle import SYSTEM, Actor, born, move
from models.material import MATERIAL, Material, MaterialStatus, MaterialUse
from models.person import Person
from models.service_order import ServiceOrder
from tests.cities.answers import FACTORY, PERSON, changed
from tests.harness.spine import Spine

FOUND = Found(distance_m=420, source="surveyed", plan="由滨湖南路主管接入")


def of(company: str, supervisor: str | None = None) -> Handler:
    """A company that acts by its own system."""
    return Handler(Actor("company", company), company, supervisor)


async def answers_of(spine: Spine, caller: Caller, services: list[str] | None = None) -> dict[str, Any]:
    """A household's answers in the caller's own name."""
    person = await Person.get(id=caller.person_id)
    assert person.id_number is not None
    number = spine.services.vault.open(person.id_number, "person.id_number", person.id)
    answers = changed(PERSON, "/applicant/id_number", number)
    if services is not None:
        answers["services"] = services
        for service in ("water", "network"):
            if service not in services:
                del answers[service]
        for service in services:
            answers.setdefault(service, FACTORY[service])
    return answers


async def begun(spine: Spine, caller: Caller, answers: dict[str, Any]) -> UUID:
    """A draft with these answers."""
    return (await spine.services.drafts.begin(caller, answers, "mini_program")).application.id


def once(spine: Spine, caller: Caller, key: str | None = None, body: bytes = b"") -> Once:
    """A request to file under a key."""
    return Once(spine.services.vault, str(caller.person_id), "applications_file", key or uuid4().hex, body)


async def hand_in(application_id: UUID, requirement: str = "property", paper: str = "property_proof") -> UUID:
    """A paper of the application's owner that serves it, as if uploaded; no bytes lie behind it."""
    application, material_id, now = await Application.get(id=application_id), ids.new_id(), clock.now()
    assert application.actor_user_id is not None
    async with transaction():
        material = await Material.create(
            id=material_id, status=MaterialStatus.UNSCANNED, person_id=application.person_id,
            organization_id=application.organization_id, actor_user_id=application.actor_user_id, kind=paper,
            content_index=material_id.bytes * 2, media_type="application/pdf", size_bytes=1, created_at=now,
        )  # fmt: skip
        await born(MATERIAL, material, SYSTEM)
        await move(MATERIAL, material, "found_clean", SYSTEM)
        await MaterialUse.create(
            id=ids.new_id(), material_id=material_id, application_id=application_id, requirement=requirement,
            actor_user_id=application.actor_user_id, created_at=now,
        )  # fmt: skip
    return material_id


async def hand_in_all(spine: Spine, application_id: UUID) -> None:
    """Every paper that an application asks for and does not have."""
    for need in await spine.services.needs.of(await Application.get(id=application_id)):
        if need.state == "missing":
            await hand_in(application_id, need.requirement.code, need.requirement.paper)


async def promise(spine: Spine, caller: Caller, draft_id: UUID, *requirements: str, days: int = 2) -> None:
    """Sign that these papers come so many days later."""
    asked, due_on = await spine.services.needs.asked_of(caller, draft_id), clock.today() + timedelta(days=days)
    statement = spine.services.tolerances.statement(asked, list(requirements), due_on)
    await spine.services.tolerances.sign(caller, draft_id, asked, list(requirements), due_on, statement.sha256)


async def file(spine: Spine, caller: Caller, answers: dict[str, Any], *promised: str) -> Filed:
    """File these answers with the consents and papers they need; papers of the requirements `promised` come later."""
    draft_id = await begun(spine, caller, answers)
    if promised:
        await promise(spine, caller, draft_id, *promised)
    await hand_in_all(spine, draft_id)
    notice = spine.services.city.applications.notice(clock.today())
    consents = {company: notice.version for company, _ in facts_of(spine.services.city, answers).companies}
    made: list[Filed] = []

    def render(filed: Filed) -> bytes:
        made.append(filed)
        return msgspec.json.encode(filed.number)

    await spine.services.filing.file(caller, draft_id, 1, consents, once(spine, caller), render)
    return made[0]


async def order_of(filed: Filed, company: str) -> ServiceOrder:
    """The order of this company as it stands."""
    return await ServiceOrder.get(application_id=filed.application_id, company=company)


async def brought_to(spine: Spine, caller: Caller, order: ServiceOrder, status: str) -> None:
    """Take an order along the straight way until it stands there."""
    orders, applicant, by = spine.services.orders, spine.services.order_answers, of(order.company)
    steps = (
        ("received", lambda: orders.receive(order.id)),
        ("accepted", lambda: orders.accept(order.id, by)),
        ("surveyed", lambda: orders.survey(order.id, by, FOUND)),
        ("plan_replied", lambda: orders.reply_plan(order.id, by, "DN20 水表，从楼道立管接入")),
        ("plan_confirmed", lambda: applicant.confirm_plan(caller, order.id, 1)),
        ("contracted", lambda: applicant.sign_contract(caller, order.id, 1)),
        ("constructing", lambda: orders.construct(order.id, by)),
        ("inspected", lambda: orders.inspect(order.id, by, True)),
        ("connected", lambda: orders.connect(order.id, by, "0209012345")),
        ("archived", lambda: orders.archive(order.id, by)),
    )
    reached = [name for name, _ in steps]
    start = reached.index(order.status) + 1 if order.status in reached else 0
    for name, step in steps[start : reached.index(status) + 1]:
        await step()
        assert (await ServiceOrder.get(id=order.id)).status == name


async def standing(spine: Spine, caller: Caller, company: str, status: str) -> ServiceOrder:
    """A new order of the caller's at this company, brought to where it is to stand."""
    service = spine.services.city.company(company).service
    answers = await answers_of(spine, caller, [service])
    if service == "network":
        answers["network"] = {**answers["network"], "companies": [company], "primary": company}
    order = await order_of(await file(spine, caller, answers), company)
    if status in ("correcting", "returned"):
        await brought_to(spine, caller, order, "received")
        if status == "correcting":
            await spine.services.orders.send_back(order.id, of(company), [Item("/site/real_estate_no", "没有填")])
        else:
            await spine.services.orders.hand_back(order.id, of(company), "不归我们")
    else:
        await brought_to(spine, caller, order, status)
    return await ServiceOrder.get(id=order.id)


__all__ = [
    "FACTORY",
    "FOUND",
    "PERSON",
    "Item",
    "answers_of",
    "begun",
    "brought_to",
    "changed",
    "file",
    "of",
    "once",
    "order_of",
]
