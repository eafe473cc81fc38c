"""Text messages to the proved number, for the kinds that merit them; limited per person and for the city, asked about, never repeated."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from cities.schema import City
from core import clock
from core.clock import SHANGHAI
from core.crypto import Vault
from core.database import fetch_one
from core.errors import LianbanError
from core.log import get_logger
from core.outbound import OutboundError
from gateways.sms import SmsGateway
from gateways.sms_codes import SmsRefused
from models.message import Message
from models.person import Person
from notifications.channels import SMS, Judged, Ready, Report

log = get_logger(__name__)

_LOCK = 7_366_512
"""Counting and marking as leaving are one step: two at once would both find room."""
_COUNT = (
    "select count(*) filter (where person_id = $1) as person, count(*) as city from message"
    " where channel = 'sms' and status not in ('pending', 'skipped') and created_at >= $2"
)


class SmsChannel:
    """See :class:`notifications.channels.Channel`."""

    name = SMS
    refusals: ClassVar[tuple[type[LianbanError], ...]] = (SmsRefused,)
    repeats_within: timedelta | None = None

    def __init__(self, gateway: SmsGateway, templates: Mapping[str, str], vault: Vault, city: City) -> None:
        """`templates`: the pack's template name → template id at the supplier."""
        self._gateway = gateway
        self._templates = templates
        self._vault = vault
        self._city = city
        self.ask_after: tuple[timedelta, ...] = city.payment_rules(clock.today()).sms.ask_after

    async def reaches(self, person_id: UUID) -> bool:
        return await Person.exists(id=person_id, phone_index__isnull=False)

    async def prepare(self, message: Message, content: dict[str, Any]) -> Ready | str:
        template_id = self._templates.get(content["template"])
        if template_id is None:
            return "no_template"
        person = await Person.get(id=message.person_id)
        if person.phone is None:
            return "no_phone"
        rule = self._city.payment_rules(clock.today()).sms
        await fetch_one("select pg_advisory_xact_lock($1)", _LOCK)
        sent = await fetch_one(_COUNT, person.id, _today_began())
        assert sent is not None
        if sent["person"] >= rule.per_person_and_day:
            return "person_limit"
        if sent["city"] >= rule.per_city_and_day:
            return "city_limit"
        return Ready(self._vault.open(person.phone, "person.phone", person.id), template_id, person.id)

    async def send(self, ready: Ready, message: Message, content: dict[str, Any]) -> str | None:
        accepted = await self._gateway.send(ready.address, ready.template_id, content["params"], str(message.id))
        return accepted.serial

    def judged(self, error: LianbanError) -> Judged:
        assert isinstance(error, SmsRefused)
        return Judged(error.supplier_code.rpartition(".")[2][:30], error.kind)

    async def not_left(self, ready: Ready, message: Message, error: LianbanError, judged: Judged) -> None:
        return None

    async def report(self, message: Message) -> Report | None:
        """Found by the supplier's number, or by ours where it gives it back."""
        person = await Person.get(id=message.person_id)
        if person.phone is None:
            return None
        number = self._vault.open(person.phone, "person.phone", person.id)
        try:
            found = await self._gateway.reports(number, message.created_at - timedelta(minutes=1))
        except (SmsRefused, OutboundError) as error:
            log.warning("sms.not_asked", message_id=str(message.id), error_code=error.code)
            return None
        for report in found:
            if report.serial == message.provider_message or report.session == str(message.id):
                return Report(report.serial, None if report.delivered else report.code or "undelivered")
        return None


def _today_began() -> datetime:
    return datetime.combine(clock.today(), datetime.min.time(), SHANGHAI)
