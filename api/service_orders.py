"""What an applicant does with one company's part: answer a correction, confirm or question a plan, sign, withdraw, choose another company."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from api.calls import Answer, Call
from api.texts import CompanyCode, Input, Output
from models.service_order import ServiceOrder

PlanVersion = Annotated[int, Meta(ge=1, le=1000)]
Note = Annotated[str, Meta(max_length=500)]


class CorrectionAnswer(Input, frozen=True):
    """New values by pointer into the form, and a note; papers that were uploaded meanwhile count by themselves."""

    changes: dict[str, Any] = msgspec.field(default_factory=dict)
    note: Note = ""


class PlanAnswer(Input, frozen=True):
    """The plan that was looked at."""

    plan_version: PlanVersion


class PlanQuestion(PlanAnswer, frozen=True):
    """What is not clear, or should be otherwise."""

    note: Annotated[str, Meta(min_length=1, max_length=500)]


class OtherCompany(Input, frozen=True):
    """The company that is to do it instead, and the notice that was shown for it."""

    company: CompanyCode
    notice_version: Annotated[str, Meta(min_length=1, max_length=40)]


class OrderStanding(Output, frozen=True):
    """Where the part stands now."""

    order_id: UUID
    order_number: str
    company: str
    status: str


async def answer_correction(call: Call) -> Answer:
    body: CorrectionAnswer = call.body
    return _standing(await call.services.correcting.answer(call.caller, call.path["order_id"], body.changes, body.note))


async def confirm_plan(call: Call) -> Answer:
    body: PlanAnswer = call.body
    return _standing(
        await call.services.order_answers.confirm_plan(call.caller, call.path["order_id"], body.plan_version)
    )


async def question_plan(call: Call) -> Answer:
    body: PlanQuestion = call.body
    return _standing(
        await call.services.order_answers.question_plan(
            call.caller, call.path["order_id"], body.plan_version, body.note
        )
    )


async def sign_contract(call: Call) -> Answer:
    body: PlanAnswer = call.body
    return _standing(
        await call.services.order_answers.sign_contract(call.caller, call.path["order_id"], body.plan_version)
    )


async def withdraw(call: Call) -> Answer:
    return _standing(await call.services.order_answers.withdraw(call.caller, call.path["order_id"]))


async def hand_on(call: Call) -> Answer:
    body: OtherCompany = call.body
    made = await call.services.withdrawing.hand_on(
        call.caller, call.path["order_id"], body.company, body.notice_version
    )
    return Answer(OrderStanding(made.id, made.number, made.company, made.status), 201)


def _standing(order: ServiceOrder) -> Answer:
    return Answer(OrderStanding(order.id, order.number, order.company, order.status))
