"""The caller himself: how sure we are of him, and raising that."""

from uuid import UUID

from api.calls import Answer, Call
from api.texts import Input, Output, WeChatCode
from models.person import Person
from notifications import credits


class PhoneProof(Input, frozen=True):
    """What the phone number button gave."""

    code: WeChatCode


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
