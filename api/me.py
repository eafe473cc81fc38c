"""The caller himself: how sure we are of him, and raising that."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, WeChatCode
from models.person import Person
from notifications import credits


class PhoneProof(Input, frozen=True):
    """What the phone number button gave."""

    code: WeChatCode


class PhoneCodeRequest(Input, frozen=True):
    """Where the code is to go: a mobile number of mainland China."""

    phone: Annotated[str, Meta(min_length=11, max_length=11)]


class PhoneCodeSent(Output, frozen=True):
    """A code is on its way."""

    code_id: UUID
    expires_in_s: int
    again_after_s: int


class SmsCode(Input, frozen=True):
    """What the text message said."""

    sms_code: Annotated[str, Meta(pattern=r"\A[0-9]{6}\Z")]


class RaisedLevel(Output, frozen=True):
    """A new access token that carries the new level."""

    access_token: str
    expires_in_s: int
    level: int


class Me(Output, frozen=True):
    """The caller. `message_credits`: how many one-off messages he has still allowed, by template id."""

    person_id: UUID
    level: int
    phone_masked: str | None
    message_credits: dict[str, int]
    message_templates: dict[str, str]


async def show(call: Call) -> Answer:
    services, person = call.services, await Person.get(id=call.caller.person_id)
    phone = services.vault.open(person.phone, "person.phone", person.id) if person.phone else None
    return Answer(
        Me(
            person.id,
            person.level,
            f"{phone[-11:-8]}****{phone[-4:]}" if phone else None,
            await credits.available(person.id, services.push.appid),
            services.settings.wechat.templates,
        )
    )


async def prove_phone(call: Call) -> Answer:
    body: PhoneProof = call.body
    token, life_s, level = await call.services.login.prove_phone(call.caller, body.code)
    return Answer(RaisedLevel(token, life_s, level))


async def request_phone_code(call: Call) -> Answer:
    body: PhoneCodeRequest = call.body
    requested = await call.services.phone_codes.request(call.caller, body.phone)
    life_s, pause_s = int(requested.life.total_seconds()), int(requested.pause.total_seconds())
    return Answer(PhoneCodeSent(requested.code_id, life_s, pause_s), 202)


async def prove_phone_by_code(call: Call) -> Answer:
    body: SmsCode = call.body
    token, life_s, level = await call.services.phone_codes.prove(call.caller, call.path["code_id"], body.sms_code)
    return Answer(RaisedLevel(token, life_s, level))
