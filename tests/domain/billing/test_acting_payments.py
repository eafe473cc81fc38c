"""At a counter a citizen pays with his own phone: the clerk quotes and shows a code, in the citizen's name and within his session only."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from api import payments as payments_api
from core.database import fetch
from core.errors import LianbanError, NotFound
from domain.billing.paying import ActingEndsSoon, Way
from domain.identity.acting import PurposeExceeded
from domain.identity.staff_sessions import StaffCaller
from domain.identity.tokens import Caller
from models.acting import ActingPayment
from models.payment import LIVE_STATUSES, Claim, Payment
from payments.views import progress
from tests.harness.spine import Citizen, Spine
from tests.harness.staff import member

NATIVE = Way("wechat_pay", "native")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def clerk(spine: Spine) -> StaffCaller:
    return await spine.services.staff_sessions.check((await member(spine.services, "hall_420704", "clerk")).token)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _opened(spine: Spine, clerk: StaffCaller, citizen: Citizen, purpose: str = "pay") -> UUID:
    code, _ = await spine.services.acting.new_code(citizen.caller)
    return (await spine.services.acting.open(clerk, code, purpose)).id


async def _as(spine: Spine, clerk: StaffCaller, acting_id: UUID, deed: str) -> Caller:
    return await spine.services.acting.principal(clerk, acting_id, deed, "request-1")


async def _begun(spine: Spine, clerk: StaffCaller, citizen: Citizen, acting_id: UUID, number: str) -> Payment:
    services = spine.services
    quote = await services.quotes.for_scan(await _as(spine, clerk, acting_id, "quoted"), await spine.qr(number))
    caller = await _as(spine, clerk, acting_id, "payment_created")
    once = spine.once(citizen, quote.quote.id)
    return await spine.created(
        await services.paying.create(caller, [quote.quote.id], None, NATIVE, once, payments_api.created)
    )


async def _code(spine: Spine, clerk: StaffCaller, acting_id: UUID, payment: Payment) -> dict[str, str]:
    caller = await _as(spine, clerk, acting_id, "payment_code_shown")
    return await spine.services.cashier.client_params(payment.id, caller.principal, None, caller.actor)


async def test_a_code_on_the_clerk_s_screen_is_paid_with_the_citizen_s_phone_and_both_see_it(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    acting_id, number = await _opened(spine, clerk, citizen), await spine.account(4199)
    payment = await _begun(spine, clerk, citizen, acting_id, number)
    params = await _code(spine, clerk, acting_id, payment)
    assert await spine.control("POST", f"/people/{citizen.phone_id}/pay", params) == {"result": "ok"}
    assert await spine.notify(await spine.order_no(payment)) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert (payment.status, payment.person_id, payment.actor_user_id) == ("succeeded", citizen.id, clerk.staff_id)
    await spine.services.acting_payments.require(acting_id, payment.id)
    (row,) = await progress([payment.id], citizen.principal)
    assert row["progress"] == "posted"
    moves = await fetch("select event, actor_kind from journal where subject_id = $1 order by at, id", payment.id)
    assert [tuple(move) for move in moves][:2] == [("created", "staff"), ("order", "staff")]
    (seen,) = await spine.services.acting.of_person(citizen.id, None, 10)
    assert (seen["purpose"], seen["deeds"]) == ("pay", ["quoted", "payment_created", "payment_code_shown"])
    assert await spine.told(citizen) == ["acting.opened", "payment.succeeded", "payment.posted"]


@pytest.mark.parametrize("how", ["clerk", "citizen", "the next citizen"])
async def test_what_nobody_has_paid_ends_with_the_session(
    spine: Spine, clerk: StaffCaller, citizen: Citizen, how: str
) -> None:
    acting, acting_id = spine.services.acting, await _opened(spine, clerk, citizen)
    payment = await _begun(spine, clerk, citizen, acting_id, await spine.account(4199))
    params = await _code(spine, clerk, acting_id, payment)
    match how:
        case "clerk":
            await acting.end(clerk, acting_id)
        case "citizen":
            await acting.end_by_citizen(citizen.id, acting_id)
        case _:
            await _opened(spine, clerk, await spine.citizen())
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "closed"
    assert await spine.control("POST", f"/people/{citizen.phone_id}/pay", params) != {"result": "ok"}
    with pytest.raises(NotFound):
        await _as(spine, clerk, acting_id, "payment_seen")


async def test_what_has_been_paid_when_the_session_ends_stays_paid(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    acting_id = await _opened(spine, clerk, citizen)
    payment = await _begun(spine, clerk, citizen, acting_id, await spine.account(4199))
    params = await _code(spine, clerk, acting_id, payment)
    assert await spine.control("POST", f"/people/{citizen.phone_id}/pay", params) == {"result": "ok"}
    await spine.services.acting.end(clerk, acting_id)
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"


async def test_a_payment_never_outlives_its_session_nor_begins_where_too_little_of_it_is_left(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    acting_id, number = await _opened(spine, clerk, citizen), await spine.account(4199)
    await spine.travel(12 * MINUTE)
    payment = await _begun(spine, clerk, citizen, acting_id, number)
    caller = await _as(spine, clerk, acting_id, "payment_created")
    assert caller.counter is not None
    assert payment.expires_at == caller.counter.ends_at
    await spine.travel(2 * MINUTE)
    with pytest.raises(ActingEndsSoon):
        await _begun(spine, clerk, citizen, acting_id, await spine.account(1000))
    await spine.jobs.pass_time(2 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "closed"


async def test_nothing_begins_in_a_session_that_has_just_ended(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    services, acting_id = spine.services, await _opened(spine, clerk, citizen)
    caller = await _as(spine, clerk, acting_id, "payment_created")
    quote = await services.quotes.for_scan(caller, await spine.qr(await spine.account(4199)))
    await services.acting.end_by_citizen(citizen.id, acting_id)
    with pytest.raises(NotFound):
        await services.paying.create(
            caller, [quote.quote.id], None, NATIVE, spine.once(citizen, quote.quote.id), payments_api.created
        )
    assert await Payment.all().count() == await ActingPayment.all().count() == 0
    await spine.jobs.run()


async def test_the_citizen_s_other_payments_and_other_sessions_are_none_of_the_clerk_s(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    require = spine.services.acting_payments.require
    own = await spine.payment(citizen, await spine.account(1000))
    first = await _opened(spine, clerk, citizen)
    begun = await _begun(spine, clerk, citizen, first, await spine.account(4199))
    second = await _opened(spine, clerk, citizen)
    for acting_id, payment_id in ((first, own.id), (second, begun.id), (first, uuid4())):
        with pytest.raises(NotFound):
            await require(acting_id, payment_id)
    looking = await _opened(spine, clerk, citizen, "look_up")
    with pytest.raises(PurposeExceeded):
        await _as(spine, clerk, looking, "quoted")
    await spine.jobs.run()


async def test_the_owner_s_own_phone_takes_over_from_the_counter(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    acting_id, number = await _opened(spine, clerk, citizen), await spine.account(4199)
    at_counter = await _begun(spine, clerk, citizen, acting_id, number)
    await _code(spine, clerk, acting_id, at_counter)
    on_phone = await spine.payment(citizen, number)
    await at_counter.refresh_from_db()
    assert (at_counter.status, on_phone.status) == ("closed", "created")
    await spine.jobs.run()


async def test_the_phone_and_the_counter_at_once_leave_one_payment_that_can_be_paid(
    spine: Spine, clerk: StaffCaller, citizen: Citizen
) -> None:
    services, number = spine.services, await spine.account(4199)
    acting_id = await _opened(spine, clerk, citizen)
    caller = await _as(spine, clerk, acting_id, "payment_created")
    at_counter = await services.quotes.for_scan(caller, await spine.qr(number))
    on_phone = await spine.quote(citizen, number)
    once = spine.once(citizen, at_counter.quote.id)
    answers = await asyncio.gather(
        services.paying.create(caller, [at_counter.quote.id], None, NATIVE, once, payments_api.created),
        spine.create(citizen, on_phone),
        return_exceptions=True,
    )
    assert any(isinstance(answer, bytes) for answer in answers)
    assert all(isinstance(answer, bytes | LianbanError) for answer in answers)
    assert await Payment.filter(status__in=LIVE_STATUSES).count() == 1
    assert await Claim.filter(freed_at=None).count() == 1
    await services.acting.end(clerk, acting_id)
    await spine.jobs.run()
