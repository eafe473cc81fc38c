"""Free times of crews and appointments, for companies whose people keep them by hand."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from core.errors import NotFound
from domain.identity.staff_sessions import StaffCaller
from domain.surveys import slots
from domain.surveys.slots import Offer

SlotCode = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]


class CrewSlot(Input, frozen=True):
    """When a crew could come to a district; `slot_code` is the company's own, never used again."""

    slot_code: SlotCode
    area: Annotated[str, Meta(pattern=r"\A[0-9]{6,9}\Z")]
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)]


class CrewSlotChange(Input, frozen=True):
    """New free times, and such as are withdrawn for ever."""

    slots: Annotated[tuple[CrewSlot, ...], Meta(max_length=200)] = ()
    withdrawn_codes: Annotated[tuple[SlotCode, ...], Meta(max_length=200)] = ()


class CrewSlotView(Output, frozen=True):
    """One coming free time; `is_booked`: an applicant has it."""

    slot_code: str
    area: str
    starts_at: datetime
    ends_at: datetime
    is_booked: bool


class CrewSlotList(Output, frozen=True):
    """The company's coming free times, soonest first."""

    slots: list[CrewSlotView]


class AppointmentWord(Input, frozen=True):
    """The company's word on the appointment of this round."""

    round: Annotated[int, Meta(ge=1, le=1000)]
    answer: Literal["confirmed", "declined"]


class AppointmentOutcome(Output, frozen=True):
    """What the word did: confirmed, declined, or already: it had been given, or another time is held by now."""

    survey_id: UUID
    outcome: str


async def list_slots(call: Call) -> Answer:
    query: Page = call.query
    return Answer(await _listed(_company(call.staff), query.limit))


async def change_slots(call: Call) -> Answer:
    body: CrewSlotChange = call.body
    company = _company(call.staff)
    offers = [Offer(one.slot_code, one.area, one.starts_at, one.ends_at) for one in body.slots]
    await call.services.surveys.slots(company, offers, body.withdrawn_codes, call.staff.actor)
    return Answer(await _listed(company, 100))


async def _listed(company: str, limit: int) -> CrewSlotList:
    rows = await slots.listed(company, limit)
    return CrewSlotList(
        [CrewSlotView(row["code"], row["area"], row["starts_at"], row["ends_at"], row["is_booked"]) for row in rows]
    )


async def answer_appointment(call: Call) -> Answer:
    body: AppointmentWord = call.body
    survey_id: UUID = call.path["survey_id"]
    said = await call.services.surveys.answer(
        _company(call.staff), survey_id, body.round, body.answer, call.staff.actor
    )
    if said == "no_such_appointment":
        raise NotFound("survey")
    return Answer(AppointmentOutcome(survey_id, said))


def _company(staff: StaffCaller) -> str:
    """The caller's company; who belongs to none finds nothing."""
    if staff.unit.company is None:
        raise NotFound("company")
    return staff.unit.company
