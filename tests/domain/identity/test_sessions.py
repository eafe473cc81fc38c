"""Sessions: tokens that rotate, tokens used twice, sessions that end."""

import asyncio
from datetime import timedelta

import pytest

from core.errors import NotFound
from domain.identity.sessions import Opened, RefreshRefused, ended_lately
from domain.identity.tokens import TokenRefused
from models.session import RefreshToken, Session
from tests.harness.spine import Citizen, Spine

SECOND = timedelta(seconds=1)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _refresh(spine: Spine, citizen: Citizen, token: str | None = None, client_id: str | None = None) -> Opened:
    return await spine.services.sessions.refresh(token or citizen.opened.refresh_token, client_id or citizen.client_id)


async def _is_alive(citizen: Citizen) -> bool:
    return (await Session.get(id=citizen.caller.session_id)).ended_at is None


async def test_each_refresh_gives_a_new_token_of_the_same_session(spine: Spine, citizen: Citizen) -> None:
    tokens = [citizen.opened.refresh_token]
    for _ in range(4):
        opened = await _refresh(spine, citizen, tokens[-1])
        assert (opened.session_id, opened.person_id) == (citizen.caller.session_id, citizen.id)
        assert spine.services.access_tokens.check(opened.access_token).session_id == opened.session_id
        tokens.append(opened.refresh_token)
        await spine.travel(timedelta(minutes=5))
    assert len(set(tokens)) == 5
    assert await _is_alive(citizen)


async def test_a_lost_answer_is_given_again_to_the_same_client_within_ten_seconds(
    spine: Spine, citizen: Citizen
) -> None:
    first = await _refresh(spine, citizen)
    await spine.travel(9 * SECOND)
    assert (await _refresh(spine, citizen)).refresh_token == first.refresh_token
    assert await RefreshToken.all().count() == 2
    assert (await _refresh(spine, citizen, first.refresh_token)).refresh_token != first.refresh_token


async def test_a_token_used_again_later_ends_its_family_and_its_owner_is_told(spine: Spine, citizen: Citizen) -> None:
    first = await _refresh(spine, citizen)
    await spine.travel(11 * SECOND)
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen)
    assert not await _is_alive(citizen)
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen, first.refresh_token)
    await spine.jobs.run()
    assert await spine.told(citizen) == ["session.reuse_detected"]
    # Every further try tells nobody anything new.
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen)
    await spine.jobs.run()
    assert await spine.told(citizen) == ["session.reuse_detected"]


@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
async def test_a_token_in_other_hands_ends_its_family_at_once(spine: Spine, citizen: Citizen, used: bool) -> None:
    if used:
        await _refresh(spine, citizen)
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen, client_id="stolen-by-somebody")
    assert not await _is_alive(citizen)
    await spine.jobs.run()
    assert await spine.told(citizen) == ["session.reuse_detected"]


async def test_other_sessions_of_the_same_person_live_on(spine: Spine, citizen: Citizen) -> None:
    other = await spine.services.login.by_wechat(await spine.login_code(citizen.phone_id), "client-number-two", "")
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen, client_id="stolen-by-somebody")
    assert await spine.services.sessions.refresh(other.refresh_token, "client-number-two")
    await spine.jobs.run()


async def test_refreshes_at_once_get_one_successor(spine: Spine, citizen: Citizen) -> None:
    answers = await asyncio.gather(*(_refresh(spine, citizen) for _ in range(12)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert await RefreshToken.all().count() == 2
    assert await _is_alive(citizen)


@pytest.mark.parametrize("token", ["x" * 43, "", "\N{FULLWIDTH DIGIT ONE}" * 43])
async def test_a_token_nobody_gave_is_refused(spine: Spine, citizen: Citizen, token: str) -> None:
    with pytest.raises(RefreshRefused):
        await spine.services.sessions.refresh(token, citizen.client_id)
    assert await _is_alive(citizen)


async def test_after_thirty_days_one_logs_in_again(spine: Spine, citizen: Citizen) -> None:
    await spine.travel(timedelta(days=29, hours=23))
    opened = await _refresh(spine, citizen)
    await spine.travel(timedelta(hours=2))
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen, opened.refresh_token)


async def test_one_sees_and_ends_ones_own_sessions_only(spine: Spine, citizen: Citizen) -> None:
    other = await spine.citizen()
    assert [session.id for session in await spine.services.sessions.list(citizen.id)] == [citizen.caller.session_id]
    with pytest.raises(NotFound):
        await spine.services.sessions.end(other.caller.session_id, citizen.id)
    assert await _is_alive(other)
    for _ in range(2):
        await spine.services.sessions.end(citizen.caller.session_id, citizen.id)
    assert await spine.services.sessions.list(citizen.id) == []
    with pytest.raises(RefreshRefused):
        await _refresh(spine, citizen)


async def test_the_access_token_of_an_ended_session_is_refused_though_it_was_cached(
    spine: Spine, citizen: Citizen
) -> None:
    check = spine.services.access_tokens.check
    assert check(citizen.opened.access_token).person_id == citizen.id
    await spine.services.sessions.end(citizen.caller.session_id, citizen.id)
    spine.services.access_tokens.ended(await ended_lately())
    with pytest.raises(TokenRefused, match="session_ended"):
        check(citizen.opened.access_token)
    # It stays refused for as long as the token could live.
    await spine.travel(timedelta(minutes=9))
    spine.services.access_tokens.ended(await ended_lately())
    with pytest.raises(TokenRefused):
        check(citizen.opened.access_token)


async def test_an_access_token_lives_ten_minutes(spine: Spine, citizen: Citizen) -> None:
    await spine.travel(timedelta(minutes=9, seconds=50))
    assert spine.services.access_tokens.check(citizen.opened.access_token)
    await spine.travel(15 * SECOND)
    with pytest.raises(TokenRefused, match="expired"):
        spine.services.access_tokens.check(citizen.opened.access_token)
