"""What staff do, and what must come of it in the end."""

from base64 import b32decode

from core import clock
from domain.identity import totp
from lianban.compose import compose
from lianban.phone import CallFailed
from tests.faults.customer import Customer
from tests.faults.journeys import Outcome
from tests.harness import staff
from tests.harness.staff import PASSWORD


async def comes_in(customer: Customer) -> Outcome:
    """A member of staff sets his login up and logs in; what was used up when an answer was lost is not asked for again."""
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
    return Outcome()
