"""A unified identity that hands out one-time tickets: the browser brings one back, our signed call turns it into a person.

Both directions are signed with the shared secret (HMAC-SHA256). The answer repeats the nonce of the question, so that it answers
this question and no earlier one. The address to come back to has one query parameter only: login pages of this family are known to
lose what stands behind an ``&``.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlencode

import msgspec

from core import clock, ids
from core.outbound import Counterpart, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from gateways.unified_identity import (
    CLOCK_SKEW_S,
    LegalPerson,
    NaturalPerson,
    ReturnRefused,
    Trip,
    Vouched,
    VouchingRefused,
)

_USER_TYPES = {"person": "1", "organization": "2"}
_REFUSED = frozenset({"TICKET_INVALID", "TICKET_USED", "TICKET_EXPIRED"})
_DONE = "0"


class _Answer(msgspec.Struct, frozen=True):
    code: str
    nonce: str
    timestamp: int
    data: str
    sign: str


class _User(msgspec.Struct, frozen=True):
    user_id: str
    user_type: Literal["1", "2"]
    name: str | None = None
    cert_no: str | None = None
    mobile: str | None = None
    auth_level: Literal["1", "2", "3"] = "1"
    """3: name and ID number have been checked."""
    corp_name: str | None = None
    credit_code: str | None = None
    legal_name: str | None = None


class TicketSource:
    """One source of the protocol ``ticket``."""

    real_name: str | None = "unified_identity"
    takes_organizations = True

    def __init__(
        self, code: str, issuer: str, login_url: str, client_id: str, secret: str, counterpart: Counterpart
    ) -> None:
        self.code = code
        self.realm = issuer
        self._login_url = login_url
        self._client_id = client_id
        self._secret = secret.encode()
        self._counterpart = counterpart

    def login_url(self, trip: Trip) -> str:
        back = f"{trip.callback_url}?{urlencode({'state': trip.state})}"
        query = {"appCode": self._client_id, "userType": _USER_TYPES[trip.acting_as], "gotoUrl": back}
        return f"{self._login_url}?{urlencode(query)}"

    def returned(self, trip_query: Mapping[str, str]) -> str:
        ticket = trip_query.get("ticket", "")
        if not 8 <= len(ticket) <= 512 or not ticket.isascii():
            raise ReturnRefused("declined")
        return ticket

    async def vouch(self, code: str, trip: Trip) -> Vouched:
        nonce, timestamp = ids.new_secret(), int(clock.timestamp() * 1000)
        body = {
            "app_code": self._client_id,
            "ticket": code,
            "timestamp": timestamp,
            "nonce": nonce,
            "sign": self._sign(self._client_id, code, str(timestamp), nonce),
        }
        answer = await self._counterpart.request(
            "POST",
            "/ticket/validate",
            operation="ticket",
            headers={"Content-Type": "application/json"},
            content=msgspec.json.encode(body),
        )
        if answer.status >= 500:
            raise OutcomeUnknown(self._counterpart.name, "ticket", "server_error")
        if answer.status != 200:
            raise MalformedAnswer(self._counterpart.name, "ticket", "status")
        user = self._user(answer.content, nonce)
        if user.user_type != _USER_TYPES[trip.acting_as]:
            raise MalformedAnswer(self._counterpart.name, "ticket", "user_type")
        return self._vouched(user)

    def _user(self, content: bytes, nonce: str) -> _User:
        try:
            told = decode(content, _Answer)
        except JsonRefused as error:
            raise MalformedAnswer(self._counterpart.name, "ticket", error.reason) from error
        expected = self._sign(told.code, told.nonce, str(told.timestamp), told.data)
        late = abs(clock.timestamp() - told.timestamp / 1000) > CLOCK_SKEW_S
        if not hmac.compare_digest(expected.encode(), told.sign.encode()) or told.nonce != nonce or late:
            raise MalformedAnswer(self._counterpart.name, "ticket", "signature")
        if told.code in _REFUSED:
            raise VouchingRefused("ticket")
        if told.code != _DONE:
            raise MalformedAnswer(self._counterpart.name, "ticket", "code")
        try:
            return decode(told.data.encode(), _User)
        except JsonRefused as error:
            raise MalformedAnswer(self._counterpart.name, "ticket", error.reason) from error

    def _vouched(self, user: _User) -> Vouched:
        phone = f"+86{user.mobile}" if user.mobile else None
        person = {
            "subject": user.user_id, "name": user.name, "id_number": user.cert_no, "phone": phone, "is_real_name": user.auth_level == "3",
        }  # fmt: skip
        legal = {"name": user.corp_name, "credit_code": user.credit_code, "legal_representative": user.legal_name}
        try:
            return Vouched(
                msgspec.convert(person, NaturalPerson),
                msgspec.convert(legal, LegalPerson) if user.user_type == _USER_TYPES["organization"] else None,
            )
        except msgspec.ValidationError:
            raise MalformedAnswer(self._counterpart.name, "ticket", "shape") from None

    def _sign(self, *parts: str) -> str:
        return hmac.digest(self._secret, "\n".join(parts).encode(), hashlib.sha256).hex()
