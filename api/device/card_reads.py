"""What a device tells of an ID card that lies on it, and asks about it."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.device.signed import read_body, signing_device
from api.texts import Input, Output
from domain.identity.cards import CardFacts, Read


class CardReadRequest(Input, frozen=True):
    """What the card's chip says. `valid_until` null: 长期."""

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    id_number: Annotated[str, Meta(pattern=r"\A[0-9]{17}[0-9X]\Z")]
    valid_until: date | None


class CardReadView(Output, frozen=True):
    """`card_code` is shown as a QR code, or typed; it serves once, until `expires_at`."""

    card_read_id: UUID
    card_code: str
    expires_at: datetime


class CardReadState(Output, frozen=True):
    """How the card stands, and the phone of whoever has taken it up, for the person before the device to see."""

    card_read_id: UUID
    state: str
    phone_masked: str | None
    expires_at: datetime


class CardAnswer(Input, frozen=True):
    """What the person before the device has said, having seen the phone: that it is his, or not."""

    agreed: bool


async def create(call: Call) -> Answer:
    device = await signing_device(call)
    body = read_body(call, CardReadRequest)
    row, code = await call.services.cards.read(device, CardFacts(body.name, body.id_number), body.valid_until)
    return Answer(CardReadView(row.id, code, row.expires_at), 201)


async def show(call: Call) -> Answer:
    device = await signing_device(call)
    return Answer(_state(await call.services.cards.of_device(device, call.path["card_read_id"])))


async def confirm(call: Call) -> Answer:
    device = await signing_device(call)
    body = read_body(call, CardAnswer)
    return Answer(_state(await call.services.cards.confirm(device, call.path["card_read_id"], body.agreed)))


def _state(read: Read) -> CardReadState:
    phone = f"{read.phone[-11:-8]}****{read.phone[-4:]}" if read.phone else None
    return CardReadState(read.row.id, read.state, phone, read.row.expires_at)
