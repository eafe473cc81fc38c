"""What staff do, and what must come of it in the end."""

import random
from base64 import b32decode
from typing import Any

from core import clock
from domain.identity import totp
from lianban.compose import compose
from lianban.phone import CallFailed
from tests.faults.customer import COMPANY, PROOF, Customer
from tests.faults.journeys import Outcome
from tests.harness import staff
from tests.harness.devices import HALL
from tests.harness.spine import id_check
from tests.harness.staff import PASSWORD


async def comes_in(customer: Customer) -> Outcome:
    """A member of staff sets his login up and logs in; what was used up when an answer was lost is not asked for again."""
    await customer.enter()
    citizen = customer.tokens
    services = compose(customer.world.settings)
    made = await staff.waiting(services, "water", "administrator")
    await services.redis.aclose()
    setup = {"login": made.user.login, "setup_code": made.setup_code}
    opened = await customer.call("POST", "/staff/v1/enrolments", {**setup, "password": PASSWORD})
    secret = b32decode(opened["totp_secret"])
    first = totp.step(clock.now())
    try:
        await customer.call("POST", "/staff/v1/enrolments/confirm", {**setup, "totp_code": totp.code(secret, first)})
    except CallFailed as refused:  # the second try of a call whose answer was lost
        assert refused.problem["code"] == "staff_setup_refused"  # noqa: PT017
    login = {"login": made.user.login, "password": PASSWORD}
    for counter in (first + 1, first + 2):
        await customer.until(
            lambda wanted=counter: totp.step(clock.now()) + totp.DRIFT_STEPS >= wanted,
            "the next code of the authenticator",
        )
        try:
            opened = await customer.call(
                "POST", "/staff/v1/sessions", {**login, "totp_code": totp.code(secret, counter)}
            )
        except CallFailed as refused:
            assert refused.problem["code"] == "staff_login_refused"  # noqa: PT017
        else:
            break
    customer.tokens = {"access_token": opened["access_token"]}
    assert (await customer.call("GET", "/staff/v1/me"))["unit"] == "water"
    customer.tokens = citizen
    return Outcome()


async def proves_at_a_kiosk(customer: Customer) -> Outcome:
    """A citizen proves his real name with his card and his phone; where an answer was lost he lays his card down again."""
    await customer.enter()
    reads, card = await _installed(customer, "kiosk"), _card()

    async def take_up() -> str | None:
        read = await _asked(customer, "POST", reads, card)
        if read is None or read["status"] != 201:
            return None
        try:
            await customer.call("POST", "/v1/me/card-reads", {"card_code": read["body"]["card_code"]})
        except CallFailed as refused:
            assert refused.problem["code"] == "card_code_refused"  # noqa: PT017
            return None
        return read["body"]["card_read_id"]

    read_id = await customer.until(take_up, "a card taken up")

    async def confirmed() -> bool:
        answer = await _asked(customer, "POST", f"{reads}/{read_id}/confirm", {"agreed": True})
        return answer is not None and answer["status"] == 200 and answer["body"]["state"] == "raised"

    await customer.until(confirmed, "the real name proved")
    assert (await customer.call("GET", "/v1/me"))["level"] == 3
    return Outcome(told=("identity.proved_by_card",))


async def proves_at_a_counter(customer: Customer) -> Outcome:
    """A clerk proves the real name of the citizen who has shown his code and whose card lies on the reader."""
    await customer.enter()
    citizen, card = customer.tokens, _card()
    reads = await _installed(customer, "reader")
    services = compose(customer.world.settings)
    clerk = await staff.member(services, HALL, "clerk")
    await services.redis.aclose()
    code = (await customer.call("POST", "/v1/me/counter-codes"))["counter_code"]
    customer.tokens = {"access_token": clerk.token}
    opened = await customer.call(
        "POST", "/staff/v1/acting-sessions", {"counter_code": code, "acting_purpose": "real_name"}
    )
    path = f"/staff/v1/acting-sessions/{opened['acting_id']}/real-name"

    async def proved() -> bool:
        read = await _asked(customer, "POST", reads, card)
        if read is None or read["status"] != 201:
            return False
        try:
            await customer.call("POST", path, {"card_code": read["body"]["card_code"]})
        except CallFailed as refused:
            assert refused.problem["code"] == "card_code_refused"  # noqa: PT017
            return False
        return True

    await customer.until(proved, "the real name proved")
    customer.tokens = citizen
    assert (await customer.call("GET", "/v1/me"))["level"] == 3
    return Outcome(told=("acting.opened", "identity.proved_by_card"))


async def _installed(customer: Customer, kind: str) -> str:
    """A device of the outside world, enrolled at a hall; where its cards are."""
    made = await customer.control("POST", "/readers")
    services = compose(customer.world.settings)
    manager = await staff.member(services, HALL, "administrator")
    by = await services.staff_sessions.check(manager.token)
    device = await services.devices.enrol(by, kind, None, "测试设备", made["public_key"])
    await services.redis.aclose()
    await customer.control("POST", f"/readers/{made['reader_id']}/enrolled", {"device_id": str(device.id)})
    return f"/readers/{made['reader_id']}/cards"


def _card() -> dict[str, str]:
    seventeen = f"42070419{random.randrange(50, 99)}0101{random.randrange(1000):03}"
    return {"name": "陈小红", "id_number": seventeen + id_check(seventeen)}


async def _asked(customer: Customer, method: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What the device heard from us; None when it heard nothing."""
    try:
        return await customer.control(method, path, body)
    except CallFailed:
        return None


async def acts(customer: Customer) -> Outcome:
    """A clerk acts for a citizen; where his answer was lost the code is used up, and the citizen shows another."""
    await customer.company_opens_account()
    await customer.enter()
    citizen = customer.tokens
    services = compose(customer.world.settings)
    clerk = await staff.member(services, "hall_420704", "clerk")
    await services.redis.aclose()
    opened: dict[str, str] = {}
    while not opened:
        customer.tokens = citizen
        code = (await customer.call("POST", "/v1/me/counter-codes"))["counter_code"]
        customer.tokens = {"access_token": clerk.token}
        wanted = {"counter_code": code, "acting_purpose": "bind"}
        try:
            opened = await customer.call("POST", "/staff/v1/acting-sessions", wanted)
        except CallFailed as refused:
            assert refused.problem["code"] == "counter_code_refused"  # noqa: PT017
    bound = {"company": COMPANY, "number": customer.number, "proof": PROOF}
    await customer.call("POST", f"/staff/v1/acting-sessions/{opened['acting_id']}/bindings", bound)
    await customer.call("DELETE", f"/staff/v1/acting-sessions/{opened['acting_id']}")
    customer.tokens = citizen
    sessions = (await customer.call("GET", "/v1/me/acting-sessions"))["acting_sessions"]
    assert sessions[0]["deeds"] == ["bound"]
    return Outcome(told=("acting.opened",) * len(sessions))
