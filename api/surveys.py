"""The joint survey for its applicant: say when it suits, see what is held, confirm it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from domain.surveys.appointments import Appointment
from domain.surveys.planning import Window

Moment = Annotated[datetime, Meta(tz=True)]


class SurveyWindowInput(Input, frozen=True):
    """From when to when somebody can open the door."""

    starts_at: Moment
    ends_at: Moment


class SurveyWindows(Input, frozen=True):
    """All times that suit, instead of those said before."""

    windows: Annotated[tuple[SurveyWindowInput, ...], Meta(min_length=1, max_length=50)]


class SurveyConfirmation(Input, frozen=True):
    """Which appointment: its round."""

    round: Annotated[int, Meta(ge=1, le=1000)]


class SurveyWindowView(Output, frozen=True):
    """A time that suits the applicant."""

    starts_at: datetime
    ends_at: datetime


class CompanyWord(Output, frozen=True):
    """What one company has said to the appointment: asked, confirmed or declined."""

    company: str
    answer: str


class SurveyView(Output, frozen=True):
    """The appointment. `status`: gathering (a time is looked for), held (to be confirmed by `answer_by`), fixed, surveyed."""

    survey_id: UUID
    status: str
    round: int
    starts_at: datetime | None
    ends_at: datetime | None
    answer_by: datetime | None
    applicant_confirmed_at: datetime | None
    windows: list[SurveyWindowView]
    companies: list[CompanyWord]


async def show(call: Call) -> Answer:
    return Answer(_view(await call.services.surveys.shown(call.caller, call.path["application_id"])))


async def offer_windows(call: Call) -> Answer:
    body: SurveyWindows = call.body
    windows = [Window(window.starts_at, window.ends_at) for window in body.windows]
    await call.services.surveys.offer_windows(call.caller, call.path["application_id"], windows)
    return await show(call)


async def confirm(call: Call) -> Answer:
    body: SurveyConfirmation = call.body
    await call.services.surveys.confirm(call.caller, call.path["application_id"], body.round)
    return await show(call)


def _view(found: Appointment) -> SurveyView:
    survey = found.survey
    return SurveyView(
        survey.id, survey.status, survey.round, survey.starts_at, survey.ends_at, survey.answer_by, survey.applicant_confirmed_at,
        [SurveyWindowView(*window) for window in found.windows], [CompanyWord(*word) for word in sorted(found.answers.items())],
    )  # fmt: skip
