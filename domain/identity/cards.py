"""An ID card read at an enrolled device proves a real name, to the session that took part, and to no other.

At a kiosk the device gets a one-time code for what it has read, which it shows; the citizen takes it up with his own session, sees whose
card it is, and the device shows the phone of that session; only when the person before the device says that it is his, which the device
signs, is the level raised. So a code photographed over somebody's shoulder proves nothing: the phone shown would be another's. At a
counter the clerk's reader does the same for the session in which he acts. What people type raises nobody.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import msgspec

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.numbers import is_id_number
from core.redis import Limiter
from domain.identity.devices import end_reads_of
from domain.identity.people import People, RealNameContradicts
from domain.identity.tokens import Caller
from models import audit
from models.device import CardRead, Device
from models.lifecycle import Actor, Event, announce
from models.person import Person, User
from models.session import Session
from notifications.intents import Intents

_TRIES, _WINDOW = 10, timedelta(minutes=15)


class CardRefused(LianbanError):
    """No card that proves anything. data: ``why``: number (there can be no such number), expired."""

    code = "card_refused"


class CardCodeRefused(LianbanError):
    """No card waits under this code here: mistyped, taken up, too old, or of another hall's device."""

    code = "card_code_refused"


class CardNotTaken(LianbanError):
    """Nobody's session has taken the card up yet, so there is nobody to be sure of."""

    code = "card_not_taken"


class CardFacts(msgspec.Struct, frozen=True):
    """What a card says that we need."""

    name: str
    id_number: str

    def __repr__(self) -> str:
        return "CardFacts(…)"


@dataclass(frozen=True, slots=True)
class Read:
    """A card read at a device. `state`: waiting, taken, or its outcome; `facts` while it is live."""

    row: CardRead
    state: str
    unit: str
    facts: CardFacts | None
    phone: str | None = None
    """Of whoever has taken it up."""


class Cards:
    """Cards read at devices, from the reading to what came of it."""

    def __init__(self, vault: Vault, city: City, people: People, limiter: Limiter, intents: Intents) -> None:
        self._vault = vault
        self._city = city
        self._people = people
        self._limiter = limiter
        self._intents = intents

    async def read(self, device: Device, facts: CardFacts, valid_until: date | None) -> tuple[CardRead, str]:
        """Keep what a device has just read and give it a one-time code; what it has read before ends.

        `valid_until`: the card's last day, None: 长期.

        Raises:
            CardRefused.
        """
        if not is_id_number(facts.id_number):
            raise CardRefused(why="number")
        if valid_until is not None and valid_until < clock.today():
            raise CardRefused(why="expired")
        now, read_id, code = clock.now(), ids.new_id(), ids.new_code()
        async with transaction():
            # The device's row first: two cards at once come one after the other.
            if not await Device.filter(id=device.id, revoked_at=None).select_for_update().exists():
                raise NotFound("device")
            await end_reads_of(device.id)
            row = await CardRead.create(
                id=read_id,
                device_id=device.id,
                code_index=self._index(code),
                facts=self._vault.seal(msgspec.json.encode(facts), "card_read.facts", read_id),
                created_at=now,
                expires_at=now + self._city.staff.acting.card_life,
            )
        failpoint("card.read_committed")
        return row, code

    async def take(self, caller: Caller, code: str) -> Read:
        """The citizen's session takes the card up that lies on a device; nobody else can from now on.

        Raises:
            CardCodeRefused, RateLimited, LimiterAway.
        """
        await self._limiter.take(f"card:{caller.person_id}", _TRIES, _WINDOW, closed=True)
        row = await fetch_one(
            "update card_read r set session_id = $2, taken_at = $3 from device d where r.code_index = $1 and r.ended_at is null"
            " and r.taken_at is null and r.expires_at > $3 and d.id = r.device_id and d.kind = 'kiosk' and d.revoked_at is null"
            " returning r.id",
            self._index(code), caller.session_id, clock.now(),
        )  # fmt: skip
        failpoint("card.taken_committed")
        if row is None:
            raise CardCodeRefused
        return await self._shown(await CardRead.get(id=row["id"]))

    async def of_person(self, person_id: UUID, read_id: UUID) -> Read:
        """How a card stands that a session of this person has taken up.

        Raises:
            NotFound: none has.
        """
        row = await CardRead.get_or_none(id=read_id, session__person_id=person_id)
        if row is None:
            raise NotFound("card_read")
        return await self._shown(row)

    async def of_device(self, device: Device, read_id: UUID) -> Read:
        """How a card stands that this device has read; with the phone of whoever has taken it up.

        Raises:
            NotFound: not its.
        """
        row = await CardRead.get_or_none(id=read_id, device_id=device.id)
        if row is None:
            raise NotFound("card_read")
        return await self._shown(row)

    async def confirm(self, device: Device, read_id: UUID, agreed: bool) -> Read:
        """The person before the device has seen the phone and says that it is his, or not; saying it again changes nothing.

        Raises:
            NotFound: not a card of this device. CardNotTaken.
        """
        async with transaction():
            row = await CardRead.filter(id=read_id, device_id=device.id).select_for_update().get_or_none()
            if row is None:
                raise NotFound("card_read")
            if row.ended_at is None:
                await self._end(row, await self._outcome(row, device) if agreed else "refused")
        failpoint("card.confirmed_committed")
        return await self._shown(row)

    async def spend_at_counter(self, unit: str, code: str) -> tuple[CardRead, CardFacts, Actor]:
        """Use up a card that lies on a reader of this hall, in the caller's transaction; with the reader, who proves it.

        Raises:
            CardCodeRefused.
        """
        row = (
            await CardRead.filter(
                code_index=self._index(code), ended_at=None, taken_at=None, expires_at__gt=clock.now(),
                device__kind="reader", device__unit=unit, device__revoked_at=None,
            ).select_for_update(of=("card_read",)).get_or_none()
        )  # fmt: skip
        if row is None:
            raise CardCodeRefused
        facts = self._opened(row)
        assert facts is not None
        await self._end(row, "acted")
        return row, facts, Actor("device", str(row.device_id))

    async def tell(self, event: Event) -> None:
        """Whose real name has just been proved hears of it: should it not have been he, he can say so."""
        device = (await CardRead.get(id=event.subject_id).select_related("device")).device
        unit = self._city.staff.unit(device.unit)
        values = {"hall": unit.name if unit else device.unit, "at": event.at}
        await self._intents.intend(event.kind, event.id, UUID(event.data["person_id"]), values)

    async def _outcome(self, row: CardRead, device: Device) -> str:
        if row.expires_at <= clock.now():
            return "lapsed"
        if row.session_id is None:
            raise CardNotTaken
        session, facts = await Session.get(id=row.session_id), self._opened(row)
        assert facts is not None
        if session.ended_at is not None:
            return "lapsed"
        user = await User.get(id=session.user_id)
        person = await Person.filter(id=user.person_id).select_for_update().get()
        by, was_his = Actor("device", str(device.id)), person.id_number_index is not None
        try:
            is_his = await self._people.believe_card(user, person, facts.name, facts.id_number, by)
        except RealNameContradicts:
            await audit.record(by, "card.contradicts", "person", person.id)
            return "contradicts"
        if not is_his:
            return "elsewhere"
        if not was_his:
            await announce("identity.proved_by_card", "card_read", row.id, by, {"person_id": str(person.id)})
        return "raised"

    async def _end(self, row: CardRead, outcome: str) -> None:
        row.ended_at, row.outcome = clock.now(), outcome
        row.facts = None
        await row.save(update_fields=["ended_at", "outcome", "facts"])

    async def _shown(self, row: CardRead) -> Read:
        device, phone = await Device.get(id=row.device_id), None
        if row.session_id is not None:
            person = await Person.get(id=(await Session.get(id=row.session_id)).person_id)
            phone = self._vault.open(person.phone, "person.phone", person.id) if person.phone else None
        state = row.outcome or ("lapsed" if row.expires_at <= clock.now() else "taken" if row.taken_at else "waiting")
        unit = self._city.staff.unit(device.unit)
        facts = self._opened(row) if state in ("waiting", "taken") else None
        return Read(row, state, unit.name if unit else device.unit, facts, phone)

    def _opened(self, row: CardRead) -> CardFacts | None:
        if row.facts is None:
            return None
        return msgspec.json.decode(self._vault.open_bytes(row.facts, "card_read.facts", row.id), type=CardFacts)

    def _index(self, code: str) -> bytes:
        return self._vault.index("card_read.code", "".join(code.split()).replace("-", "").upper())


async def lapse_cards() -> None:
    """What nobody has used in time is forgotten."""
    await fetch(
        "update card_read set ended_at = $1, outcome = 'lapsed', facts = null where ended_at is null and expires_at <= $1",
        clock.now(),
    )
