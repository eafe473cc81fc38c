"""Proof of a phone number by a code in a text message, for people whose identity source brings none.

The code is kept nowhere: it follows from the row's id and the index key. Requests are limited by Valkey and refused without it.
A code leaves at most once: its row says so before the call, and one whose fate is unknown is not repeated; the person asks for
another.
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.log import get_logger
from core.numbers import is_mobile
from core.outbound import FailureKind, NotSent, OutcomeUnknown
from core.queue import enqueue
from core.redis import Limiter
from domain.identity.phones import write_proved_phone
from domain.identity.sessions import Sessions
from domain.identity.tokens import Caller
from gateways.sms import SmsGateway
from gateways.sms_codes import SmsRefused
from models.phone_code import PhoneCode

log = get_logger(__name__)

SEND_CODE_TASK = "identity.send_phone_code"
TEMPLATE = "phone_code"
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class PhoneMalformed(LianbanError):
    """Not a mobile number of mainland China."""

    code = "phone_malformed"


class SmsAway(LianbanError):
    """No text messages can be sent now; nothing has changed."""

    code = "sms_away"


class SmsCodeRefused(LianbanError):
    """The code is wrong, used, too old, or has been tried too often: one answer for all."""

    code = "sms_code_refused"


@dataclass(frozen=True, slots=True)
class RequestedCode:
    """A code on its way: until when it is good, and after how long another may be asked for."""

    code_id: UUID
    life: timedelta
    pause: timedelta


class PhoneCodes:
    """Requests, sends and checks codes."""

    def __init__(
        self,
        gateway: SmsGateway | None,
        template_id: str | None,
        vault: Vault,
        limiter: Limiter,
        sessions: Sessions,
        city: City,
    ) -> None:
        """`template_id` at the supplier; without it or the gateway every request is refused."""
        self._gateway = gateway
        self._template_id = template_id
        self._vault = vault
        self._limiter = limiter
        self._sessions = sessions
        self._city = city

    async def request(self, caller: Caller, phone: str) -> RequestedCode:
        """Send a code to a number, by a job.

        Raises:
            PhoneMalformed. SmsAway: there is no supplier.
            RateLimited: too many for this number, this person or the city. LimiterAway: Valkey is away.
        """
        if not is_mobile(phone):
            raise PhoneMalformed
        if self._gateway is None or self._template_id is None:
            raise SmsAway
        number = f"+86{phone}"
        index = self._vault.index("person.phone", number)
        rule = self._city.payment_rules(clock.today()).phone_code
        for key, limit, window in (
            (f"sms:person:{caller.person_id}", rule.per_person_and_day, _DAY),
            (f"sms:pause:{index.hex()}", 1, rule.pause),
            (f"sms:hour:{index.hex()}", rule.per_number_and_hour, _HOUR),
            (f"sms:day:{index.hex()}", rule.per_number_and_day, _DAY),
            ("sms:city", rule.per_city_and_hour, _HOUR),
        ):
            await self._limiter.take(key, limit, window)
        code_id = ids.new_id()
        async with transaction():
            await PhoneCode.create(
                id=code_id,
                person_id=caller.person_id,
                phone=self._vault.seal(number, "phone_code.phone", code_id),
                phone_index=index,
                created_at=clock.now(),
                expires_at=clock.now() + rule.life,
            )
            await enqueue(SEND_CODE_TASK, code_id=code_id)
        failpoint("phone_code.requested_committed")
        return RequestedCode(code_id, rule.life, rule.pause)

    async def send(self, code_id: UUID) -> None:
        """Let a code leave, unless it has begun to or is too old; raises NotSent when it surely has not, so that the job runs again."""
        if self._gateway is None or self._template_id is None:
            return
        begun = await fetch_one(
            "update phone_code set begun_at = $2 where id = $1 and begun_at is null and expires_at > $2 returning phone",
            code_id, clock.now(),
        )  # fmt: skip
        if begun is None:
            return
        failpoint("phone_code.begun_committed")
        number = self._vault.open(begun["phone"], "phone_code.phone", code_id)
        minutes = max(1, int(self._city.payment_rules(clock.today()).phone_code.life.total_seconds()) // 60)
        try:
            await self._gateway.send(number, self._template_id, [self._code(code_id), str(minutes)], str(code_id))
        except (NotSent, SmsRefused) as error:
            again = isinstance(error, NotSent) or error.kind is FailureKind.TEMPORARY
            outcome = "not_sent" if isinstance(error, NotSent) else error.supplier_code.rpartition(".")[2][:30]
            await self._ended(code_id, outcome, again=again)
            if again:
                raise
            return
        except OutcomeUnknown:
            await self._ended(code_id, "unknown")
            return
        failpoint("phone_code.answered")
        await self._ended(code_id, "sent")

    async def prove(self, caller: Caller, code_id: UUID, code: str) -> tuple[str, int, int]:
        """Raise the caller to level 2 with the code he read: (new access token, life in s, level).

        Raises:
            NotFound: no code of this person. SmsCodeRefused.
        """
        if not await PhoneCode.exists(id=code_id, person_id=caller.person_id):
            raise NotFound("phone_code")
        # The try is counted before the code is compared, whatever becomes of the request.
        tried = await fetch_one(
            "update phone_code set tries = tries + 1 where id = $1 and person_id = $2 and used_at is null and expires_at > $3 and tries < $4"
            " returning phone",
            code_id, caller.person_id, clock.now(), self._city.payment_rules(clock.today()).phone_code.tries,
        )  # fmt: skip
        if tried is None or not hmac.compare_digest(self._code(code_id).encode(), code.encode()):
            raise SmsCodeRefused
        failpoint("phone_code.tried_committed")
        async with transaction():
            used = await fetch_one(
                "update phone_code set used_at = $2 where id = $1 and used_at is null returning id",
                code_id,
                clock.now(),
            )
            if used is None:
                raise SmsCodeRefused
            number = self._vault.open(tried["phone"], "phone_code.phone", code_id)
            await write_proved_phone(self._vault, caller.person_id, number)
        failpoint("phone_code.used_committed")
        return await self._sessions.renewed(caller, proved=True)

    async def _ended(self, code_id: UUID, outcome: str, *, again: bool = False) -> None:
        await fetch_one(
            "update phone_code set outcome = $2, begun_at = case when $3 then null else begun_at end where id = $1",
            code_id, outcome, again,
        )  # fmt: skip
        log.info("phone_code.ended", code_id=str(code_id), outcome=outcome)

    def _code(self, code_id: UUID) -> str:
        """Six digits that nobody without the key can know."""
        return f"{int.from_bytes(self._vault.index('phone_code.code', str(code_id))[:8]) % 10**6:06}"
