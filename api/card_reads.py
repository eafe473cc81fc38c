"""The citizen takes an ID card up that he has laid on a kiosk, which proves his real name once he has said so there."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from domain.identity.cards import Read

CardCode = Annotated[str, Meta(min_length=12, max_length=40)]


class CardTaking(Input, frozen=True):
    """What the kiosk shows."""

    card_code: CardCode


class CardReadOfMine(Output, frozen=True):
    """Whose card it is, masked, while it waits; `state` raised: refresh the login, it is of level 3 then."""

    card_read_id: UUID
    state: str
    name_masked: str | None
    id_number_masked: str | None
    unit_name: str
    expires_at: datetime


async def take(call: Call) -> Answer:
    return Answer(_mine(await call.services.cards.take(call.caller, call.body.card_code)), 201)


async def show(call: Call) -> Answer:
    return Answer(_mine(await call.services.cards.of_person(call.caller.person_id, call.path["card_read_id"])))


def _mine(read: Read) -> CardReadOfMine:
    name, number = (read.facts.name, read.facts.id_number) if read.facts else (None, None)
    return CardReadOfMine(
        read.row.id,
        read.state,
        f"{name[0]}{'*' * max(1, len(name) - 1)}" if name else None,
        f"{number[:4]}**********{number[-4:]}" if number else None,
        read.unit,
        read.row.expires_at,
    )
