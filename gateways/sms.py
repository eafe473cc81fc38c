"""Text messages through Tencent Cloud SMS (API 3.0, version 2021-01-11, signature TC3-HMAC-SHA256).

The number stands in the signed body, never in an address. The supplier does not de-duplicate, so what may have left is not sent
again; what became of it is asked by number (``PullSmsSendStatusByPhoneNumber``, which consumes nothing), where our id comes back
as ``SessionContext``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from core import clock
from core.outbound import Answer, Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from gateways import tc3
from gateways.sms_codes import OK, SmsRefused, kind_of

T = TypeVar("T")

SERVICE, VERSION, REGION = "sms", "2021-01-11", "ap-guangzhou"
LONGEST_LOOK_BACK = timedelta(days=6)
"""The supplier keeps reports for seven days."""
_NUMBER = re.compile(r"\+861[3-9][0-9]{9}")
_SESSION = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class SmsAccepted:
    """The supplier took the message: its number of it, and the segments it bills."""

    serial: str
    segments: int


@dataclass(frozen=True, slots=True)
class SmsReport:
    """What became of a message at the phone; `session` is our id where the supplier gives it back."""

    serial: str
    session: str
    delivered: bool
    code: str


class _Error(msgspec.Struct, frozen=True):
    Code: Annotated[str, Meta(min_length=1, max_length=120)]


class _SendStatus(msgspec.Struct, frozen=True):
    Code: Annotated[str, Meta(min_length=1, max_length=120)]
    SerialNo: Annotated[str, Meta(max_length=128)] = ""
    Fee: Annotated[int, Meta(ge=0, le=100)] = 0


class _Sent(msgspec.Struct, frozen=True):
    Error: _Error | None = None
    SendStatusSet: list[_SendStatus] = []


class _Report(msgspec.Struct, frozen=True):
    SerialNo: Annotated[str, Meta(max_length=128)]
    ReportStatus: Literal["SUCCESS", "FAIL"]
    Description: str | None = None
    SessionContext: str | None = None


class _Reports(msgspec.Struct, frozen=True):
    Error: _Error | None = None
    PullSmsSendStatusSet: list[_Report] = []


class _SentAnswer(msgspec.Struct, frozen=True):
    Response: _Sent


class _ReportsAnswer(msgspec.Struct, frozen=True):
    Response: _Reports


class SmsGateway:
    """One application at the supplier, with one reviewed signature."""

    def __init__(self, counterpart: Counterpart, secret_id: str, secret_key: str, app_id: str, sign_name: str) -> None:
        self._counterpart = counterpart
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._app_id = app_id
        self._sign_name = sign_name

    async def send(self, number: str, template_id: str, params: Sequence[str], session: str) -> SmsAccepted:
        """Send one text to one number of mainland China (``+8613…``); `session` is our id of it.

        Raises:
            SmsRefused: surely nothing left. NotSent: likewise.
            OutcomeUnknown: it may have left: never send it again, ask :meth:`reports`.
        """
        if not _NUMBER.fullmatch(number):
            raise SmsRefused("InvalidParameterValue.IncorrectPhoneNumber", FailureKind.PERMANENT)
        if not _SESSION.fullmatch(session):
            raise ValueError("a session is 1 to 64 letters, digits and hyphens")
        body = {
            "PhoneNumberSet": [number],
            "SmsSdkAppId": self._app_id,
            "SignName": self._sign_name,
            "TemplateId": template_id,
            "TemplateParamSet": list(params),
            "SessionContext": session,
        }
        answer = (await self._call("SendSms", "send", body, _SentAnswer, idempotent=False)).Response
        if answer.Error is not None:
            raise self._refusal("send", answer.Error.Code)
        if len(answer.SendStatusSet) != 1:
            raise MalformedAnswer(self._counterpart.name, "send", "wrong_shape")
        status = answer.SendStatusSet[0]
        if status.Code != OK:
            # The call succeeds although the one message in it was refused.
            raise self._refusal("send", status.Code)
        if not status.SerialNo:
            raise MalformedAnswer(self._counterpart.name, "send", "wrong_shape")
        return SmsAccepted(status.SerialNo, status.Fee)

    async def reports(self, number: str, since: datetime) -> list[SmsReport]:
        """What became of the messages to a number since then; those still on their way are missing.

        Raises:
            SmsRefused, NotSent, OutcomeUnknown: not known now.
        """
        begin = max(since, clock.now() - LONGEST_LOOK_BACK).astimezone(UTC)
        body = {
            "BeginTime": int(begin.timestamp()),
            "Offset": 0,
            "Limit": 100,
            "PhoneNumber": number,
            "SmsSdkAppId": self._app_id,
        }
        answer = (
            await self._call("PullSmsSendStatusByPhoneNumber", "pull", body, _ReportsAnswer, idempotent=True)
        ).Response
        if answer.Error is not None:
            raise self._refusal("pull", answer.Error.Code)
        return [
            SmsReport(
                report.SerialNo,
                report.SessionContext or "",
                report.ReportStatus == "SUCCESS",
                (report.Description or "")[:20],
            )
            for report in answer.PullSmsSendStatusSet
        ]

    def _refusal(self, operation: str, supplier_code: str) -> SmsRefused | OutcomeUnknown:
        kind = kind_of(supplier_code)
        if kind is FailureKind.UNKNOWN:
            return OutcomeUnknown(self._counterpart.name, operation, "supplier_unsure")
        return SmsRefused(supplier_code, kind)

    async def _call(self, action: str, operation: str, body: Any, type_: type[T], *, idempotent: bool) -> T:
        content = msgspec.json.encode(body)
        signed = tc3.headers(
            self._secret_id,
            self._secret_key,
            host=self._counterpart.authority,
            service=SERVICE,
            action=action,
            version=VERSION,
            region=REGION,
            content=content,
            now=clock.now(),
        )
        answer: Answer = await self._counterpart.request(
            "POST", "/", operation=operation, headers=signed, content=content, idempotent=idempotent
        )
        if answer.status >= 500:
            raise OutcomeUnknown(self._counterpart.name, operation, "server_error")
        if answer.status != 200:
            raise MalformedAnswer(self._counterpart.name, operation, "status")
        try:
            return decode(answer.content, type_)
        except JsonRefused as error:
            raise MalformedAnswer(self._counterpart.name, operation, error.reason) from error
