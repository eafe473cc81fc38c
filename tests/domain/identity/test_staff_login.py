"""How staff come in, how they are kept out, and how their sessions end."""

import asyncio
from base64 import b32decode
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import clock
from core.errors import NotFound
from core.redis import Limiter, LimiterAway, RateLimited, connect
from domain.identity import totp
from domain.identity.passwords import Passwords, PasswordWeak, check_strength
from domain.identity.staff import GrantRefused, LoginTaken
from domain.identity.staff_login import TRIES_PER_NAME, SetupRefused, StaffLogin, StaffLoginRefused
from domain.identity.staff_sessions import StaffCaller
from domain.identity.tokens import TokenRefused
from models.audit import AuditEntry
from models.staff import StaffSession
from tests.harness import staff
from tests.harness.spine import Spine
from tests.harness.staff import PASSWORD, STEP, Member, member, user_of, waiting

MINUTE = timedelta(minutes=1)
_NO_HEALTH_CHECK: Any = list(HealthCheck)


@pytest.fixture
async def clerk(spine: Spine) -> Member:
    return await member(spine.services, "water", "administrator")


async def _log_in(spine: Spine, who: Member, *, password: str = PASSWORD, code: str | None = None) -> StaffCaller:
    opened = await spine.services.staff_login.log_in(who.login, password, code or who.code(), "")
    return await spine.services.staff_sessions.check(opened.token)


async def _refused(spine: Spine, who: Member, **given: str) -> None:
    with pytest.raises(StaffLoginRefused):
        await _log_in(spine, who, **given)


def test_codes_are_those_of_rfc_6238() -> None:
    # Appendix B, the last six of its eight digits.
    for at, code in {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}.items():
        assert totp.code(b"12345678901234567890", at // 30) == code


async def test_a_new_login_is_set_up_by_its_owner_once(spine: Spine) -> None:
    login = spine.services.staff_login
    made = await waiting(spine.services, "water", "administrator")
    name, code = made.user.login, made.setup_code
    with pytest.raises(SetupRefused):
        await login.enrol(name, staff_code_other_than(code), PASSWORD)
    with pytest.raises(PasswordWeak):
        await login.enrol(name, code, "short")
    secret = b32decode((await login.enrol(name, code.lower(), PASSWORD)).totp_secret)
    one = Member(made.user.id, name, "water", secret, "")
    await _refused(spine, one)  # not before it is confirmed
    with pytest.raises(SetupRefused):
        await login.confirm(name, code, one.code(5))
    await login.confirm(name, code, one.code())
    await _refused(spine, one)  # this code has been used
    for again in (login.enrol(name, code, PASSWORD), login.confirm(name, code, one.code(1))):
        with pytest.raises(SetupRefused):
            await again
    await spine.travel(STEP)
    caller = await _log_in(spine, one)
    assert (caller.unit.code, caller.roles, caller.permissions) == (
        "water",
        ("administrator",),
        {"staff.manage", "devices.manage"},
    )


async def test_a_setup_code_ends_after_three_days_and_with_the_login(spine: Spine, clerk: Member) -> None:
    late, disabled = [await waiting(spine.services, "water", "administrator") for _ in range(2)]
    caller = await spine.services.staff_sessions.check(clerk.token)
    await spine.services.staff.disable(caller, disabled.user.id)
    with pytest.raises(SetupRefused):
        await spine.services.staff_login.enrol(disabled.user.login, disabled.setup_code, PASSWORD)
    await spine.travel(timedelta(days=3))
    with pytest.raises(SetupRefused):
        await spine.services.staff_login.enrol(late.user.login, late.setup_code, PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        "Wu-Chang-Y1",
        "aaaaaaaaaaaaaaaa",
        "ab-ab-ab-ab-ab-ab",
        "li.xiuying-2026-x",
        "Password-2026-Xy",
        "Xy-123456-Zw-ab",
        "x" * 129,
    ],
)
def test_what_others_will_try_is_no_password(password: str) -> None:
    with pytest.raises(PasswordWeak):
        check_strength(password, "li.xiuying")
    check_strength(PASSWORD, "li.xiuying")


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_a_code_is_right_one_step_early_or_late(spine: Spine, clerk: Member, steps: int) -> None:
    await _log_in(spine, clerk, code=clerk.code(steps))


@pytest.mark.parametrize("steps", [-2, 2])
async def test_a_code_is_wrong_two_steps_early_or_late(spine: Spine, clerk: Member, steps: int) -> None:
    await _refused(spine, clerk, code=clerk.code(steps))


async def test_a_code_opens_once_and_none_before_it_does(spine: Spine, clerk: Member) -> None:
    code, earlier = clerk.code(), clerk.code(-1)
    await _log_in(spine, clerk, code=code)
    await _refused(spine, clerk, code=code)
    await _refused(spine, clerk, code=earlier)
    await _log_in(spine, clerk, code=clerk.code(1))


async def test_one_of_several_logins_at_once_with_one_code_succeeds(spine: Spine, clerk: Member) -> None:
    code = clerk.code()
    answers = await asyncio.gather(*(_log_in(spine, clerk, code=code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(answer, StaffCaller) for answer in answers) == 1
    assert sum(isinstance(answer, StaffLoginRefused) for answer in answers) == 3


async def test_every_refusal_is_the_same_and_an_unknown_name_costs_as_much(spine: Spine, clerk: Member) -> None:
    verified: list[str] = []

    class Counted(Passwords):
        def _verify(self, known: str, password: str) -> bool:
            verified.append(password)
            return super()._verify(known, password)

    services = spine.services
    login = StaffLogin(services.vault, services.city, services.limiter, services.staff_sessions, Counted())
    new = await waiting(services, "water", "administrator")
    refusals = []
    for name, password, code in (
        ("nobody.here", PASSWORD, clerk.code()), (clerk.login, "wrong", clerk.code()), (clerk.login, PASSWORD, clerk.code(9)),
        (new.user.login, PASSWORD, clerk.code()),
    ):  # fmt: skip
        with pytest.raises(StaffLoginRefused) as refused:
            await login.log_in(name, password, code, "")
        refusals.append((refused.value.code, refused.value.data, str(refused.value)))
    assert len(set(map(repr, refusals))) == 1
    assert len(verified) == 4


async def test_five_wrong_tries_lock_the_login_even_for_its_owner_for_a_quarter_of_an_hour(
    spine: Spine, clerk: Member
) -> None:
    for _ in range(5):
        await _refused(spine, clerk, password="wrong")
    await _refused(spine, clerk)
    await spine.travel(14 * MINUTE)
    await _refused(spine, clerk)
    await spine.travel(MINUTE)
    await _log_in(spine, clerk)
    assert await AuditEntry.filter(action="staff.locked", subject_id=str(clerk.staff_id)).count() == 1


async def test_tries_at_once_are_counted_one_by_one(spine: Spine, clerk: Member) -> None:
    tries = (_log_in(spine, clerk, code=clerk.code(9)) for _ in range(8))
    assert all(isinstance(answer, StaffLoginRefused) for answer in await asyncio.gather(*tries, return_exceptions=True))
    user = await user_of(clerk)
    assert user.locked_until is not None
    assert user.failed_tries == 0
    await _refused(spine, clerk)


@pytest.mark.timeout(120)
async def test_whatever_is_tried_in_whatever_order_the_lock_is_that_of_the_rule(spine: Spine) -> None:
    """Against a model of three lines: right tries, wrong ones and pauses in any order."""
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    services, loop = spine.services, asyncio.get_running_loop()
    login = StaffLogin(services.vault, services.city, services.limiter, services.staff_sessions, passwords)
    hashed = await passwords.hashed(PASSWORD)

    async def play(story: list[str]) -> None:
        one, wrong, locked_until = await member(services, "water", "administrator"), 0, clock.now()
        await type(await user_of(one)).filter(id=one.staff_id).update(password_hash=hashed)
        for act in story:
            await services.redis.flushdb()
            await spine.travel(STEP * 2 if act != "pause" else 8 * MINUTE)
            if act == "pause":
                continue
            try:
                await login.log_in(one.login, PASSWORD if act == "right" else "wrong", one.code(), "")
                came_in = True
            except StaffLoginRefused:
                came_in = False
            locked = clock.now() < locked_until
            assert came_in == (act == "right" and not locked), story
            if not locked:
                wrong = 0 if act == "right" else wrong + 1
                if wrong == 5:
                    wrong, locked_until = 0, clock.now() + 15 * MINUTE

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=_NO_HEALTH_CHECK)
    @given(st.lists(st.sampled_from(["wrong", "wrong", "wrong", "right", "pause"]), min_size=6, max_size=14))
    def stories(story: list[str]) -> None:
        asyncio.run_coroutine_threadsafe(play(story), loop).result()

    await asyncio.to_thread(stories)


async def test_names_are_limited_whether_they_exist_or_not_and_nobody_comes_in_without_valkey(
    spine: Spine, clerk: Member
) -> None:
    login = spine.services.staff_login
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    services = spine.services
    login = StaffLogin(services.vault, services.city, services.limiter, services.staff_sessions, passwords)
    for name in ("nobody.here", clerk.login):
        for _ in range(TRIES_PER_NAME):
            with pytest.raises(StaffLoginRefused):
                await login.log_in(name, "wrong", "000000", "")
        with pytest.raises(RateLimited):
            await login.log_in(name.upper(), PASSWORD, "000000", "")
    away = connect("unix:///nowhere/valkey.sock", 1.0)
    closed = StaffLogin(services.vault, services.city, Limiter(away), services.staff_sessions, passwords)
    for attempt in (
        closed.log_in("a.b.c", "x", "000000", ""),
        closed.enrol("a.b.c", "x", "y"),
        closed.confirm("a.b.c", "x", "y"),
    ):
        with pytest.raises(LimiterAway):
            await attempt
    await away.aclose()


async def test_hashes_of_other_parameters_are_made_anew_at_the_next_login(spine: Spine, clerk: Member) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await type(await user_of(clerk)).filter(id=clerk.staff_id).update(password_hash=old)
    await _log_in(spine, clerk)
    new = (await user_of(clerk)).password_hash
    assert new is not None
    assert new != old
    assert not PasswordHasher().check_needs_rehash(new)


async def test_an_idle_session_ends_after_a_quarter_of_an_hour_and_a_used_one_after_ten_hours(
    spine: Spine, clerk: Member
) -> None:
    sessions = spine.services.staff_sessions
    idle, token = (await member(spine.services, "water", "administrator")).token, clerk.token
    for _ in range(42):
        await spine.travel(14 * MINUTE)
        caller = await sessions.check(token)
        token = sessions.renewed(caller).token
    await spine.travel(14 * MINUTE)
    for refused in (idle, token):
        with pytest.raises(TokenRefused):
            await sessions.check(refused)
    assert await sessions.list(clerk.staff_id) == []


async def test_idle_is_what_the_server_saw_whatever_the_token_says(spine: Spine, clerk: Member) -> None:
    sessions = spine.services.staff_sessions
    await StaffSession.filter(staff_id=clerk.staff_id).update(used_at=clock.now() - 15 * MINUTE)
    with pytest.raises(TokenRefused):
        await sessions.check(clerk.token)


async def test_disabling_or_setting_up_anew_ends_every_session_at_once(spine: Spine, clerk: Member) -> None:
    services = spine.services
    caller = await services.staff_sessions.check(clerk.token)
    leaver, loser = [await member(services, "water", "administrator") for _ in range(2)]
    await services.staff.disable(caller, leaver.staff_id)
    made = await services.staff.renew_setup(caller, loser.staff_id)
    for gone in (leaver, loser):
        with pytest.raises(TokenRefused):
            await services.staff_sessions.check(gone.token)
        await _refused(spine, gone)
    await services.staff.disable(caller, leaver.staff_id)  # again: nothing more happens
    with pytest.raises(NotFound):
        await services.staff.renew_setup(caller, leaver.staff_id)
    await services.staff_login.enrol(loser.login, made.setup_code, "Hu-Yu-Yu-Chi-2027")
    assert await AuditEntry.filter(action="staff.disabled").count() == 1


async def test_a_changed_password_ends_the_other_sessions_and_wrong_tries_count(spine: Spine, clerk: Member) -> None:
    services = spine.services
    caller = await services.staff_sessions.check(clerk.token)
    other = await services.staff_login.log_in(clerk.login, PASSWORD, clerk.code(-1), "")
    change = services.staff_login.change_password
    with pytest.raises(PasswordWeak):
        await change(caller, PASSWORD, "short", clerk.code())
    with pytest.raises(StaffLoginRefused):
        await change(caller, "wrong", "Hu-Yu-Yu-Chi-2027", clerk.code())
    assert (await user_of(clerk)).failed_tries == 1
    await change(caller, PASSWORD, "Hu-Yu-Yu-Chi-2027", clerk.code())
    await services.staff_sessions.check(clerk.token)
    with pytest.raises(TokenRefused):
        await services.staff_sessions.check(other.token)
    await _refused(spine, clerk, code=clerk.code(1))
    await _log_in(spine, clerk, password="Hu-Yu-Yu-Chi-2027", code=clerk.code(1))


async def test_nobody_gives_more_than_he_has(spine: Spine) -> None:
    """Every role of the city pack in every unit tries to give every role in every unit."""
    services, table = spine.services, spine.services.city.staff
    given, number = set(), 0
    for role in table.roles:
        unit = staff.unit_of(services, role)
        caller = await services.staff_sessions.check((await member(services, unit, role.code)).token)
        for where in table.units:
            for wanted in table.roles:
                number += 1
                try:
                    made = await services.staff.create(caller, f"new{number}", "张三", where.code, [wanted.code])
                except GrantRefused:
                    continue
                given.add((role.code, wanted.code, where.kind, where.code == unit))
                colleague = await member(services, where.code, wanted.code)
                await services.staff.disable(caller, colleague.staff_id)
                assert made.user.roles == [wanted.code]
    expected = {
        (role.code, wanted.code, where.kind, where.code == staff.unit_of(services, role))
        for role in table.roles
        for wanted in table.roles
        for where in table.units
        if wanted.code in role.grants
        and where.kind in wanted.units
        and (role.reach == "all" or where.code == staff.unit_of(services, role))
    }
    assert given == expected
    assert {wanted for role, wanted, _, _ in given if role == "administrator"}.isdisjoint({"platform_administrator"})


async def test_what_one_may_not_give_one_may_not_disable_and_oneself_neither(spine: Spine, clerk: Member) -> None:
    services = spine.services
    caller = await services.staff_sessions.check(clerk.token)
    others = [
        await member(services, unit, role)
        for unit, role in (("power", "administrator"), ("city", "platform_administrator"))
    ]
    for other in (*others, clerk):
        with pytest.raises(NotFound):
            await services.staff.disable(caller, other.staff_id)
        with pytest.raises(NotFound):
            await services.staff.renew_setup(caller, other.staff_id)
    listed = [user.id for user, _ in await services.staff.listed(caller, None, 100)]
    assert listed == [clerk.staff_id]
    with pytest.raises(LoginTaken):
        await services.staff.create(caller, clerk.login, "张三", "water", ["administrator"])


def staff_code_other_than(code: str) -> str:
    """Another setup code."""
    return ("3" if code[0] == "2" else "2") + code[1:]
