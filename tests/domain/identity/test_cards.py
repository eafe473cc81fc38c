"""A card read at an enrolled device raises whoever took part and has said so there: nobody else, no second time, not too late."""

import asyncio
from datetime import date, timedelta
from uuid import UUID

import pytest

from core import clock
from core.errors import NotFound
from domain.identity.acting import PurposeExceeded, RealNameElsewhere
from domain.identity.cards import CardCodeRefused, CardFacts, CardNotTaken, CardRefused, lapse_cards
from domain.identity.devices import DeviceRefused
from domain.identity.people import RealNameContradicts
from domain.identity.staff_sessions import StaffCaller
from models.acting import ActingSession
from models.audit import AuditEntry
from models.device import CardRead, Device
from models.person import Person
from models.utility_account import Binding
from tests.harness import devices
from tests.harness.devices import HALL
from tests.harness.spine import WATER, Citizen, Spine
from tests.harness.staff import member

CARD = CardFacts("张三", "11010519491231002X")
OTHER = CardFacts("李四", "110105194912310038")
MINUTE = timedelta(minutes=1)


async def _staff(spine: Spine, role: str, unit: str = HALL) -> StaffCaller:
    return await spine.services.staff_sessions.check((await member(spine.services, unit, role)).token)


async def _device(spine: Spine, kind: str = "kiosk", unit: str = HALL) -> Device:
    return await Device.get(id=(await devices.enrolled(spine.services, kind, unit=unit)).device_id)


async def _level(citizen: Citizen) -> int:
    return (await Person.get(id=citizen.id)).level


@pytest.fixture
async def kiosk(spine: Spine) -> Device:
    return await _device(spine)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _raised(spine: Spine, kiosk: Device, citizen: Citizen, card: CardFacts = CARD) -> str:
    cards = spine.services.cards
    row, code = await cards.read(kiosk, card, None)
    await cards.take(citizen.caller, code)
    return (await cards.confirm(kiosk, row.id, agreed=True)).state


async def test_whoever_took_part_is_of_level_three_from_then_on_and_is_told(
    spine: Spine, kiosk: Device, citizen: Citizen
) -> None:
    cards, bystander = spine.services.cards, await spine.citizen()
    row, code = await cards.read(kiosk, CARD, date(2036, 5, 31))
    taken = await cards.take(citizen.caller, code.lower())
    assert (taken.state, taken.facts) == ("taken", CARD)
    with pytest.raises(CardCodeRefused):
        await cards.take(bystander.caller, code)
    assert await _level(citizen) == 1
    assert [(await cards.confirm(kiosk, row.id, agreed=True)).state for _ in range(2)] == ["raised"] * 2
    person = await Person.get(id=citizen.id)
    assert (person.level, person.real_name_source) == (3, "id_card")
    assert await _level(bystander) == 1
    assert (await CardRead.get(id=row.id)).facts is None
    entry = await AuditEntry.get(action="person.real_name_proved")
    assert (entry.actor_kind, entry.actor_id) == ("device", str(kiosk.id))
    await spine.jobs.run()
    assert await spine.told(citizen) == ["identity.proved_by_card"]


async def test_of_two_phones_that_scan_one_code_one_takes_it(spine: Spine, kiosk: Device) -> None:
    both = [await spine.citizen(), await spine.citizen()]
    row, code = await spine.services.cards.read(kiosk, CARD, None)
    answers = await asyncio.gather(
        *(spine.services.cards.take(one.caller, code) for one in both), return_exceptions=True
    )
    assert sum(isinstance(answer, CardCodeRefused) for answer in answers) == 1
    await spine.services.cards.confirm(kiosk, row.id, agreed=True)
    assert sorted([await _level(one) for one in both]) == [1, 3]
    await spine.jobs.run()


@pytest.mark.parametrize(
    "what", ["the person says no", "too late", "the next card", "the device is revoked", "the session has ended"]
)
async def test_nobody_is_raised(spine: Spine, kiosk: Device, citizen: Citizen, what: str) -> None:
    cards = spine.services.cards
    row, code = await cards.read(kiosk, CARD, None)
    await cards.take(citizen.caller, code)
    match what:
        case "the person says no":
            await cards.confirm(kiosk, row.id, agreed=False)
        case "too late":
            await spine.travel(3 * MINUTE)
            await lapse_cards()
        case "the next card":
            await cards.read(kiosk, OTHER, None)
        case "the device is revoked":
            await spine.services.devices.revoke(await _staff(spine, "administrator"), kiosk.id)
        case _:
            await spine.services.sessions.end(citizen.caller.session_id, citizen.id)
    state = (await cards.confirm(kiosk, row.id, agreed=True)).state
    assert state == ("refused" if "no" in what.split() else "lapsed")
    assert (await _level(citizen), (await CardRead.get(id=row.id)).facts) == (1, None)


async def test_a_card_is_confirmed_only_where_it_was_read_and_only_once_somebody_has_taken_it(
    spine: Spine, kiosk: Device, citizen: Citizen
) -> None:
    cards, other = spine.services.cards, await _device(spine)
    row, code = await cards.read(kiosk, CARD, None)
    with pytest.raises(CardNotTaken):
        await cards.confirm(kiosk, row.id, agreed=True)
    await cards.take(citizen.caller, code)
    for stranger in (cards.confirm(other, row.id, agreed=True), cards.of_device(other, row.id)):
        with pytest.raises(NotFound):
            await stranger
    assert await _level(citizen) == 1


@pytest.mark.parametrize("facts", [CardFacts("张三", "110105194912310021"), CARD], ids=["no such number", "expired"])
async def test_a_card_that_proves_nothing_is_refused(spine: Spine, kiosk: Device, facts: CardFacts) -> None:
    with pytest.raises(CardRefused):
        await spine.services.cards.read(kiosk, facts, clock.today() - timedelta(days=1))
    assert await CardRead.all().count() == 0


async def test_a_number_stays_with_whom_it_is_and_nobody_gets_a_second_one(
    spine: Spine, kiosk: Device, citizen: Citizen
) -> None:
    assert await _raised(spine, kiosk, citizen) == "raised"
    assert await _raised(spine, kiosk, citizen) == "raised"
    assert await _raised(spine, kiosk, citizen, OTHER) == "contradicts"
    other = await spine.citizen()
    assert await _raised(spine, kiosk, other) == "elsewhere"
    assert await _level(other) == 1
    await spine.jobs.run()


async def test_devices_are_of_halls_and_have_keys_of_their_own(spine: Spine) -> None:
    enrol, by = spine.services.devices.enrol, await _staff(spine, "administrator")
    _, public = devices.new_key()
    device = await enrol(by, "kiosk", None, "大厅入口", public)
    city = await _staff(spine, "platform_administrator", "city")
    for staff, unit, key in (
        (by, None, public), (by, "hall_420703", devices.new_key()[1]), (by, None, "no key"), (city, None, devices.new_key()[1]),
        (await _staff(spine, "administrator", "water"), None, devices.new_key()[1]),
    ):  # fmt: skip
        with pytest.raises(DeviceRefused):
            await enrol(staff, "kiosk", unit, "大厅入口", key)
    far = await enrol(city, "reader", "hall_420703", "1 号窗口", devices.new_key()[1])
    assert [row.id for row in await spine.services.devices.listed(by, None, 10)] == [device.id]
    assert [row.id for row in await spine.services.devices.listed(city, None, 10)] == [device.id, far.id]
    with pytest.raises(NotFound):
        await spine.services.devices.revoke(by, far.id)
    await spine.services.devices.revoke(city, far.id)
    assert await spine.services.devices.live(str(far.id)) is None
    entries = (
        await AuditEntry.filter(action__startswith="device.").order_by("at", "id").values_list("action", flat=True)
    )
    assert list(entries) == ["device.enrolled", "device.enrolled", "device.revoked"]


# At a counter


async def _on_reader(spine: Spine, card: CardFacts = CARD, unit: str = HALL) -> str:
    return (await spine.services.cards.read(await _device(spine, "reader", unit), card, None))[1]


async def test_a_clerk_acts_for_somebody_with_nothing_but_his_card_and_it_is_his_when_he_logs_in(spine: Spine) -> None:
    services, clerk, number = spine.services, await _staff(spine, "clerk"), await spine.account(4199)
    session = await services.acting.open_by_card(clerk, await _on_reader(spine), "bind")
    caller = await services.acting.principal(clerk, session.id, "bound", "request-1")
    assert (await Person.get(id=caller.person_id)).real_name_source == "id_card"
    await services.accounts.bind(caller, WATER, number, "123X", None)
    citizen, _ = await spine.resident(name=CARD.name, id_number=CARD.id_number)
    assert (await Person.get(id=citizen.id)).level == 3
    assert citizen.id != caller.person_id
    (binding,) = await Binding.filter(revoked_at=None)
    assert binding.person_id == citizen.id
    with pytest.raises(NotFound):  # he is another now: his card is asked for again
        await services.acting.principal(clerk, session.id, "bound", "request-2")
    again = await services.acting.open_by_card(clerk, await _on_reader(spine), "bind")
    assert again.person_id == citizen.id
    assert await services.joining.joins(citizen.id) == []
    await spine.jobs.run()


@pytest.mark.parametrize("where", ["a kiosk", "another hall", "twice", "too late"])
async def test_a_card_opens_nothing(spine: Spine, where: str) -> None:
    clerk, cards = await _staff(spine, "clerk"), spine.services.cards
    match where:
        case "a kiosk":
            code = (await cards.read(await _device(spine), CARD, None))[1]
        case "another hall":
            code = await _on_reader(spine, unit="hall_420703")
        case "twice":
            code = await _on_reader(spine)
            await spine.services.acting.open_by_card(clerk, code, "look_up")
        case _:
            code = await _on_reader(spine)
            await spine.travel(3 * MINUTE)
    before = await ActingSession.all().count()
    with pytest.raises(CardCodeRefused):
        await spine.services.acting.open_by_card(clerk, code, "bind")
    assert await ActingSession.all().count() == before
    await spine.jobs.run()


async def test_what_lies_on_a_counter_s_reader_is_nobody_s_to_take_up_by_phone(spine: Spine, citizen: Citizen) -> None:
    with pytest.raises(CardCodeRefused):
        await spine.services.cards.take(citizen.caller, await _on_reader(spine))


async def test_a_clerk_proves_the_real_name_of_whoever_shows_his_code_for_it_and_his_card(
    spine: Spine, citizen: Citizen
) -> None:
    services, clerk = spine.services, await _staff(spine, "clerk")

    async def opened(one: Citizen, purpose: str) -> UUID:
        return (await services.acting.open(clerk, (await services.acting.new_code(one.caller))[0], purpose)).id

    paying = await opened(citizen, "pay")
    with pytest.raises(PurposeExceeded):
        await services.acting.prove_real_name(clerk, paying, await _on_reader(spine), "request-1")
    assert await _level(citizen) == 1
    acting_id = await opened(citizen, "real_name")
    await services.acting.prove_real_name(clerk, acting_id, await _on_reader(spine), "request-2")
    assert await _level(citizen) == 3
    with pytest.raises(RealNameContradicts):
        await services.acting.prove_real_name(clerk, acting_id, await _on_reader(spine, OTHER), "request-3")
    other = await opened(await spine.citizen(), "real_name")
    with pytest.raises(RealNameElsewhere):
        await services.acting.prove_real_name(clerk, other, await _on_reader(spine), "request-4")
    await spine.jobs.run()
    assert await spine.told(citizen) == ["acting.opened", "acting.opened", "identity.proved_by_card"]
