"""Withdrawing a whole case, and handing one order to another company with the applicant's word."""

from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.database import transaction
from core.errors import NotFound
from domain.applications.facts import company_letters
from domain.applications.filing import NoticeChanged
from domain.companies import CompanyNotJoined
from domain.identity.tokens import Caller
from domain.orders.answering import OrderAnswers
from domain.orders.moving import event_data, moved, take_consent_back
from models.application import APPLICATION, Application, ApplicationStatus, way_to_application
from models.consent import Consent
from models.lifecycle import SYSTEM, Actor, IllegalMove, born_all, move
from models.service_order import OVER, SERVICE_ORDER, OrderStatus, ServiceOrder
from models.share import note_use

_S = OrderStatus
_GONE = (_S.WITHDRAWN, _S.REASSIGNED)


class Withdrawing:
    """Ends cases by their applicants' wish."""

    def __init__(self, city: City, answers: OrderAnswers) -> None:
        self._city = city
        self._answers = answers

    async def withdraw(self, caller: Caller, application_id: UUID) -> Application:
        """Withdraw everything that still runs: at once what nobody builds yet, the rest when its company agrees; again asks nobody twice.

        Raises:
            NotFound. IllegalMove: nothing runs any more.
        """
        async with transaction():
            application = await self._locked(caller, application_id)
            orders = await ServiceOrder.filter(application_id=application_id).order_by("id").select_for_update()
            running = [one for one in orders if one.status not in OVER]
            if application.status != ApplicationStatus.FILED or not running:
                raise IllegalMove(subject="application", state=application.status, event="withdraw")
            actor = Actor("person", str(caller.person_id))
            for order in running:
                if order.withdrawal_asked_at is None:
                    await self._answers.withdrawn(order, actor)
            if all(one.status in _GONE for one in orders):
                await move(APPLICATION, application, "withdraw", actor, columns={"withdrawn_at": clock.now()})
        return application

    async def follow(self, application_id: UUID) -> None:
        """After an order was withdrawn: the case is withdrawn when nothing else is left of it."""
        async with transaction():
            application = await Application.filter(id=application_id).select_for_update().get()
            orders = await ServiceOrder.filter(application_id=application_id)
            if application.status == ApplicationStatus.FILED and all(one.status in _GONE for one in orders):
                await move(APPLICATION, application, "withdraw", SYSTEM, columns={"withdrawn_at": clock.now()})

    async def hand_on(self, caller: Caller, order_id: UUID, company: str, notice_version: str) -> ServiceOrder:
        """An order that its company has handed back goes to another of the same service, which the applicant chooses and consents to.

        Raises:
            NotFound. CompanyNotJoined: no such company of this service. NoticeChanged. IllegalMove.
        """
        known = await ServiceOrder.get_or_none(id=order_id)
        if known is None or await way_to_application(known.application_id, caller.principal, "file") is None:
            raise NotFound("service_order")
        rules = self._city.companies.get(company)
        if rules is None or not rules.joined or rules.service != known.service or company == known.company:
            raise CompanyNotJoined(company=company)
        notice = self._city.applications.notice(clock.today())
        async with transaction():
            application = await self._locked(caller, known.application_id)
            if notice_version != notice.version:
                raise NoticeChanged(notice_version=notice.version)
            old = await ServiceOrder.filter(id=order_id).select_for_update().get()
            now, actor = clock.now(), Actor("person", str(caller.person_id))
            if await ServiceOrder.exists(application_id=application.id, company=company):
                raise IllegalMove(subject="service_order", state=old.status, event="reassign")
            await moved(old, "reassign", actor, columns={"ended_at": now})
            await take_consent_back(old)
            await Consent.create(
                id=ids.new_id(), application_id=application.id, company=company, notice_version=notice.version,
                notice_sha256=notice.sha256(rules), person_id=caller.person_id, given_at=now,
            )  # fmt: skip
            order = await ServiceOrder.create(
                id=ids.new_id(), status=_S.CREATED, application_id=application.id, company=company, service=old.service,
                number=f"{application.number}-{company_letters(self._city)[company]}", distance_m=old.distance_m,
                distance_source=old.distance_source, created_at=now,
            )  # fmt: skip
            await born_all(SERVICE_ORDER, [order], actor, announces="service_order.created", data=event_data)
        return order

    async def _locked(self, caller: Caller, application_id: UUID) -> Application:
        way = await way_to_application(application_id, caller.principal, "file")
        if way is None:
            raise NotFound("application")
        application = await Application.filter(id=application_id).select_for_update().get()
        await note_use(way, caller.person_id, "application.withdrawn", None, application_id)
        return application
