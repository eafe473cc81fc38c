"""One appointment for all: windows offered, the first common time held, confirmed by everybody, looked for again when one drops out.

The applicant offers windows, crews are free at times; a job looks for the first time that suits all and holds a slot of each company. Two
applicants may find the same crew at once: the database gives it to one, and the other looks again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from cities.crews import SurveyRule
from cities.schema import City
from core import clock, ids
from core.database import fetch, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.log import get_logger
from core.queue import enqueue
from domain.identity.tokens import Caller
from domain.surveys import slots
from domain.surveys.planning import Found, Window, first_common
from domain.surveys.slots import Offer
from models.application import Application, ApplicationStatus, way_to_application
from models.lifecycle import SYSTEM, Actor, born, move
from models.service_order import OrderStatus, ServiceOrder
from models.share import note_use
from models.survey import SURVEY, Survey, SurveyBooking, SurveyPart, SurveySlot, SurveyStatus, SurveyWindow

log = get_logger(__name__)

PLAN_TASK = "surveys.plan"
LOOK_TASK = "surveys.look"

TO_BE_SURVEYED = (
    OrderStatus.CREATED, OrderStatus.RECEIVED, OrderStatus.CORRECTING, OrderStatus.CORRECTED, OrderStatus.ACCEPTED,
)  # fmt: skip
"""Orders whose company has to come; it need not have accepted yet."""
_TRIES = 3


class WindowsUnsuitable(LianbanError):
    """Times that cannot be the applicant's. data: ``why`` (too_many, backward, too_short, too_soon, too_far)."""

    code = "survey_windows_unsuitable"


class OtherRound(LianbanError):
    """The answer is to an appointment that is no longer the one that is held. data: ``round``."""

    code = "survey_other_round"


class Appointment(NamedTuple):
    """A survey as its applicant sees it. `answers`: each company's word in this round."""

    survey: Survey
    windows: list[Window]
    answers: dict[str, str]


class Surveys:
    """Arranges the surveys of the city."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._areas = set(city.areas)

    async def open(self, application_id: UUID) -> None:
        """A filed application needs an appointment: once; may be repeated.

        Not that of a pushed project: the companies survey beforehand by themselves (鄂州工改办〔2023〕11号 二、1), nobody has to ask for it.
        """
        async with transaction():
            application = await Application.filter(id=application_id).select_for_update().get()
            if application.access_point == "platform_push":
                return
            if application.status == ApplicationStatus.FILED and not await _live(application_id):
                await _opened(application_id)
        failpoint("survey.opened_committed")

    async def shown(self, caller: Caller, application_id: UUID) -> Appointment:
        """The applicant's appointment.

        Raises:
            NotFound: not his, or nothing to arrange.
        """
        await _own(caller, application_id, "read", "survey.seen")
        survey = await _live(application_id)
        if survey is None:
            raise NotFound("survey")
        rows = await SurveyWindow.filter(survey_id=survey.id).order_by("starts_at")
        bookings = await SurveyBooking.filter(survey_id=survey.id, round=survey.round)
        answers = {booking.company: booking.answer for booking in bookings}
        return Appointment(survey, [Window(row.starts_at, row.ends_at) for row in rows], answers)

    async def offer_windows(self, caller: Caller, application_id: UUID, windows: Sequence[Window]) -> None:
        """When it suits the applicant, instead of what he said before; an appointment outside of it is released.

        Raises:
            NotFound: not his, or nothing to arrange.
            WindowsUnsuitable: one of them can be no survey's.
        """
        self._check(windows)
        async with transaction():
            actor = await _own(caller, application_id, "file", "survey.windows_offered")
            survey = await _live(application_id, lock=True)
            if survey is None or survey.status in SURVEY.terminal:
                raise NotFound("survey")
            await fetch("delete from survey_window where survey_id = $1", survey.id)
            for window in windows:
                await SurveyWindow.create(
                    id=ids.new_id(), survey_id=survey.id, starts_at=window.starts_at, ends_at=window.ends_at
                )
            if (
                survey.starts_at is not None
                and survey.ends_at is not None
                and not any(
                    window.starts_at <= survey.starts_at and survey.ends_at <= window.ends_at for window in windows
                )
            ):
                await _release(survey, actor, "applicant")
            await enqueue(PLAN_TASK, survey_id=survey.id)

    async def confirm(self, caller: Caller, application_id: UUID, round_: int) -> None:
        """The applicant will be there.

        Raises:
            NotFound: not his, or nothing is held.
            OtherRound: another time is held by now.
        """
        async with transaction():
            actor = await _own(caller, application_id, "file", "survey.confirmed")
            survey = await _live(application_id, lock=True)
            if survey is None or survey.status not in (SurveyStatus.HELD, SurveyStatus.FIXED):
                raise NotFound("survey")
            if survey.round != round_:
                raise OtherRound(round=survey.round)
            if survey.applicant_confirmed_at is None:
                survey.applicant_confirmed_at = clock.now()
                await survey.save(update_fields=["applicant_confirmed_at"])
            await _fix_if_all(survey, actor)

    async def answer(self, company: str, survey_id: UUID, round_: int, answer: str, actor: Actor) -> str:
        """A company's word on the appointment it is asked about; what it did.

        An answer to an earlier round, or one that was given before, changes nothing. Declined: that crew's time is gone, and another
        time is looked for; also after everybody had confirmed.
        """
        async with transaction():
            survey = await Survey.filter(id=survey_id).select_for_update().get_or_none()
            booking = survey and await SurveyBooking.get_or_none(
                survey_id=survey_id, company=company, round=round_, released_at=None
            )
            if survey is None or booking is None:
                return "no_such_appointment"
            if survey.status not in (SurveyStatus.HELD, SurveyStatus.FIXED) or answer == booking.answer:
                return "already"
            if answer == "declined":
                await _gone([booking], "declined")
                await _release(survey, actor, "company")
            else:
                booking.answer, booking.answered_at = answer, clock.now()
                await booking.save(update_fields=["answer", "answered_at"])
                await _fix_if_all(survey, actor)
        return answer

    async def slots(self, company: str, offers: Sequence[Offer], withdrawn: Sequence[str], actor: Actor) -> int:
        """Free times of crews, and such as are no longer free; how many are new."""
        now = clock.now()
        for offer in offers:
            if not timedelta() < offer.ends_at - offer.starts_at <= timedelta(days=1):
                raise slots.SlotUnsuitable(slot=offer.code, why="length")
            if offer.area not in self._areas:
                raise slots.SlotUnsuitable(slot=offer.code, why="area")
        async with transaction():
            new = await slots.put(company, [offer for offer in offers if offer.ends_at > now], actor)
            for survey_id in await slots.take_back(company, withdrawn, actor):
                survey = await Survey.filter(id=survey_id).select_for_update().get()
                bookings = await SurveyBooking.filter(survey_id=survey_id, company=company, released_at=None)
                if survey.status in (SurveyStatus.HELD, SurveyStatus.FIXED):
                    await _gone(bookings, "declined")
                    await _release(survey, actor, "company")
            if new:
                for row in await fetch(_WAITING_FOR, company):
                    await enqueue(PLAN_TASK, survey_id=row["id"])
        return new

    async def plan(self, survey_id: UUID) -> str:
        """Look for the first common time and hold it; what came of it. Two who want one crew: the second looks again."""
        for _ in range(_TRIES):
            try:
                async with transaction():
                    outcome = await self._plan(survey_id)
            except Exception as error:
                if violated_constraint(error) != "survey_booking_slot_once":
                    raise
                continue
            return outcome
        raise CrewsContended

    async def look(self, survey_id: UUID, round_: int) -> None:
        """The time to confirm is over: who has not answered counts as unable to come."""
        async with transaction():
            survey = await Survey.filter(id=survey_id).select_for_update().get()
            if survey.status != SurveyStatus.HELD or survey.round != round_:
                return
            silent = await SurveyBooking.filter(survey_id=survey_id, round=round_, answer="asked", released_at=None)
            await _gone(silent, "declined")
            if survey.applicant_confirmed_at is None:
                await fetch("delete from survey_window where survey_id = $1", survey_id)
            await _release(survey, SYSTEM, "silence" if survey.applicant_confirmed_at else "applicant_silence")

    async def orders_changed(self, application_id: UUID) -> None:
        """Orders came, were surveyed or ended: those who need not come are let go, the rest goes on; may be repeated."""
        async with transaction():
            survey = await _live(application_id, lock=True)
            if survey is None or survey.status in SURVEY.terminal:
                return
            coming = await _to_be_surveyed(application_id)
            if not coming:
                await self._end(survey)
            elif survey.status in (SurveyStatus.HELD, SurveyStatus.FIXED):
                bookings = await SurveyBooking.filter(survey_id=survey.id, round=survey.round, released_at=None)
                assert survey.starts_at is not None
                if clock.now() < survey.starts_at:
                    freed = [one for one in bookings if one.company not in coming]
                    await _freed(freed)
                    if set(coming) - {one.company for one in bookings}:
                        await _release(survey, SYSTEM, "another_company")
                    else:
                        await _fix_if_all(survey, SYSTEM)

    async def _plan(self, survey_id: UUID) -> str:
        survey = await Survey.filter(id=survey_id).select_for_update().get()
        if survey.status != SurveyStatus.GATHERING:
            return "already"
        application = await Application.get(id=survey.application_id)
        coming = await _to_be_surveyed(application.id)
        windows = [Window(row.starts_at, row.ends_at) for row in await SurveyWindow.filter(survey_id=survey_id)]
        if not coming or not windows or application.area is None:
            return "nothing_to_plan"
        rule, not_before = self._rule(), clock.now() + self._rule().lead
        free = await slots.free(list(coming), application.area, not_before, max(window.ends_at for window in windows))
        found = first_common(windows, free, rule.duration, not_before)
        if found is None:
            return "no_common_time"
        await self._hold(survey, found, coming, rule)
        return "held"

    async def _hold(self, survey: Survey, found: Found, coming: Mapping[str, UUID], rule: SurveyRule) -> None:
        answer_by, round_ = min(clock.now() + rule.confirm_within, found.starts_at), survey.round + 1
        for company, slot_id in found.slots.items():
            await SurveyBooking.create(
                id=ids.new_id(),
                survey_id=survey.id,
                slot_id=slot_id,
                order_id=coming[company],
                company=company,
                round=round_,
            )
        columns = {
            "round": round_, "starts_at": found.starts_at, "ends_at": found.ends_at, "answer_by": answer_by,
            "applicant_confirmed_at": None,
        }  # fmt: skip
        data = _data(survey) | _time(round_, found.starts_at, found.ends_at)
        await move(SURVEY, survey, "hold", SYSTEM, columns=columns, data=data)
        await enqueue(LOOK_TASK, at=answer_by, survey_id=survey.id, held=round_)

    async def _end(self, survey: Survey) -> None:
        """Nobody has to come any more: all have signed, or nobody is left."""
        signed = await SurveyPart.exists(order__application_id=survey.application_id)
        event = "finish" if signed else "cancel"
        if not signed or survey.starts_at is None or clock.now() < survey.starts_at:
            await _freed(await SurveyBooking.filter(survey_id=survey.id, released_at=None))
        await move(SURVEY, survey, event, SYSTEM, columns={"ended_at": clock.now()}, data=_held(survey))

    def _check(self, windows: Sequence[Window]) -> None:
        rule, now = self._rule(), clock.now()
        if not 1 <= len(windows) <= rule.most_windows:
            raise WindowsUnsuitable(why="too_many" if windows else "none")
        for window in windows:
            if window.ends_at <= window.starts_at:
                raise WindowsUnsuitable(why="backward")
            if window.ends_at - window.starts_at < rule.duration:
                raise WindowsUnsuitable(why="too_short")
            if window.ends_at - rule.duration < now + rule.lead:
                raise WindowsUnsuitable(why="too_soon")
            if window.ends_at > now + rule.horizon:
                raise WindowsUnsuitable(why="too_far")

    def _rule(self) -> SurveyRule:
        return self._city.crews.survey(clock.today())


class CrewsContended(RuntimeError):
    """Others were quicker again and again: the job tries later."""


_WAITING_FOR = """
select s.id from survey s where s.status = 'gathering' and exists (
  select from service_order o where o.application_id = s.application_id and o.company = $1) order by s.id limit 1000
"""


async def _own(caller: Caller, application_id: UUID, scope: Literal["read", "file"], deed: str) -> Actor:
    """Who the caller is, to an application of his; what an agent does is written down.

    Raises:
        NotFound: not his, or there is none.
    """
    way = await way_to_application(application_id, caller.principal, scope)
    if way is None:
        raise NotFound("application")
    await note_use(way, caller.person_id, deed, None, application_id)
    return Actor("person", str(caller.person_id))


async def _live(application_id: UUID, *, lock: bool = False) -> Survey | None:
    query = Survey.filter(application_id=application_id).exclude(status=SurveyStatus.CANCELLED)
    return await (query.select_for_update() if lock else query).get_or_none()


async def _opened(application_id: UUID) -> Survey:
    survey = await Survey.create(
        id=ids.new_id(), status=SurveyStatus.GATHERING, application_id=application_id, created_at=clock.now()
    )
    await born(SURVEY, survey, SYSTEM, announces="survey.opened", data=_data(survey))
    return survey


async def _to_be_surveyed(application_id: UUID) -> dict[str, UUID]:
    """Company → its order, of those who have to come."""
    orders = await ServiceOrder.filter(application_id=application_id, status__in=TO_BE_SURVEYED).order_by("-id")
    return {order.company: order.id for order in orders}


async def _fix_if_all(survey: Survey, actor: Actor) -> None:
    if survey.status != SurveyStatus.HELD or survey.applicant_confirmed_at is None:
        return
    if not await SurveyBooking.exists(survey_id=survey.id, round=survey.round, answer="asked", released_at=None):
        await move(SURVEY, survey, "fix", actor, data=_held(survey))


async def _release(survey: Survey, actor: Actor, why: str) -> None:
    """Let a held time go, and look for another at once."""
    await _freed(await SurveyBooking.filter(survey_id=survey.id, released_at=None))
    columns: dict[str, Any] = dict.fromkeys(("starts_at", "ends_at", "answer_by", "applicant_confirmed_at"))
    data = _held(survey) | {"why": why}
    await move(SURVEY, survey, "release", actor, reason=why, columns=columns, data=data)
    await enqueue(PLAN_TASK, survey_id=survey.id)


async def _gone(bookings: Sequence[SurveyBooking], answer: str) -> None:
    """These crews cannot come at that time: nobody else is offered it either."""
    now = clock.now()
    for booking in bookings:
        booking.answer, booking.answered_at, booking.released_at = answer, now, now
        await booking.save(update_fields=["answer", "answered_at", "released_at"])
        await SurveySlot.filter(id=booking.slot_id, withdrawn_at=None).update(withdrawn_at=now)


async def _freed(bookings: Sequence[SurveyBooking]) -> None:
    for booking in bookings:
        booking.released_at = clock.now()
        await booking.save(update_fields=["released_at"])


def _data(survey: Survey) -> dict[str, Any]:
    return {"application_id": str(survey.application_id)}


def _held(survey: Survey) -> dict[str, Any]:
    """With the time that is held; without one when none is."""
    if survey.starts_at is None or survey.ends_at is None:
        return _data(survey)
    return _data(survey) | _time(survey.round, survey.starts_at, survey.ends_at)


def _time(round_: int, starts_at: datetime, ends_at: datetime) -> dict[str, Any]:
    return {"round": round_, "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
