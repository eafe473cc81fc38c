"""What staff do, and what must come of it in the end."""

from base64 import b32decode

from core import clock
from domain.identity import totp
from lianban.compose import compose
from lianban.phone import CallFailed
from tests.faults.customer import COMPANY, PROOF, Customer
from tests.faults.journeys import Outcome
from tests.harness import staff
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
