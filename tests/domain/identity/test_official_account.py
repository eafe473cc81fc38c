"""The official account as an identity source: the person WeChat names to our server, and never a preview."""

from datetime import timedelta
from uuid import uuid4

import pytest

from api.errors import WORDS
from core.database import fetch
from core.errors import NotFound
from domain.identity.official_account import OfficialAccountSource
from domain.identity.sso import Sso
from models.person import Person, User
from models.session import Session
from tests.domain.identity.test_joining import join
from tests.domain.identity.test_sso import Trip
from tests.harness.spine import OFFICIAL, Spine
from wechat.web_login import WebLogin


async def test_who_comes_from_the_account_s_pages_is_at_level_one_and_found_again(spine: Spine) -> None:
    trip = Trip(spine, OFFICIAL)
    opened = await trip.finish(await trip.handover())
    again = await trip.finish(await trip.handover())
    assert (opened.level, again.person_id) == (1, opened.person_id)
    (user,) = await User.all()
    account = spine.services.settings.official_account
    assert account is not None
    assert (user.source, user.realm) == (OFFICIAL, account.appid)
    openid = trip.known["openids"][account.appid]
    assert spine.services.vault.open(user.subject, "login_user.subject", user.id) == openid
    assert (await Session.get(id=opened.session_id)).access_point == OFFICIAL


async def test_one_human_is_one_person_in_the_mini_program_and_in_the_account_s_pages(spine: Spine) -> None:
    citizen = await spine.citizen()
    trip = Trip(spine, OFFICIAL)
    trip.known = {"person_id": citizen.phone_id}
    assert (await trip.finish(await trip.handover())).person_id == citizen.id
    assert sorted(user.source for user in await User.all()) == ["wechat_mini_program", OFFICIAL]


async def test_a_follower_of_old_is_told_by_the_account_after_his_first_login(spine: Spine) -> None:
    """He followed before anybody listened: only his login makes us ask."""
    followers = spine.services.followers
    assert followers is not None
    citizen = await spine.citizen()
    await spine.follow(citizen)
    assert await followers.of_person(citizen.id) is None
    trip = Trip(spine, OFFICIAL)
    trip.known = {"person_id": citizen.phone_id}
    await trip.finish(await trip.handover())
    await spine.fault("wechat", "user_info", "error", status=502)
    await spine.jobs.run()
    assert await followers.of_person(citizen.id) is None, "WeChat was away"
    await spine.jobs.pass_time(timedelta(seconds=5))
    addressee = await followers.of_person(citizen.id)
    assert addressee is not None
    assert addressee.openid == await spine.official_openid(citizen)
    spine.jobs.failures.clear()


async def test_a_preview_s_account_is_nobody_s_and_nothing_is_bound_to_it(spine: Spine) -> None:
    trip = Trip(spine, OFFICIAL)
    url = await trip.begin()
    tables = ("person", "login_user", "session", "follower", "event", "audit")
    before = await spine.rows(tables)
    query = await spine.at_the_source(trip.known, url, snapshot=True)
    assert await trip.back(query) == "error=login_snapshot_user"
    assert await spine.rows(tables) == before
    assert await fetch("select 1 from login_attempt where vouched is not null or handover_hash is not null") == []
    assert "完整服务" in WORDS["login_snapshot_user"].detail
    assert (await trip.finish(await trip.handover())).level == 1


async def test_an_openid_in_the_address_is_not_looked_at(spine: Spine) -> None:
    victim, trip = await spine.citizen(), Trip(spine, OFFICIAL)
    query = await trip.logged_in()
    named = {**query, "openid": await spine.official_openid(victim), "unionid": "oUnion", "is_snapshotuser": "0"}
    word, _, handover = (await trip.back(named)).partition("=")
    assert word == "handover"
    assert (await trip.finish(handover)).person_id != victim.id


async def test_a_code_that_was_used_elsewhere_is_refused(spine: Spine) -> None:
    trip = Trip(spine, OFFICIAL)
    query = await trip.logged_in()
    await _web(spine, "snsapi_userinfo").exchange(query["code"])
    assert await trip.back(query) == "error=login_code_refused"
    assert await Person.all().count() == 0


async def test_a_code_older_than_five_minutes_is_refused(spine: Spine) -> None:
    trip = Trip(spine, OFFICIAL)
    query = await trip.logged_in()
    await spine.travel(timedelta(minutes=5, seconds=1))
    assert await trip.back(query) == "error=login_code_refused"


async def test_nobody_comes_for_an_organization(spine: Spine) -> None:
    page = spine.services.settings.return_urls[0]
    with pytest.raises(NotFound):
        await spine.services.sso.start(OFFICIAL, page, uuid4().hex, "organization", None)


async def test_the_silent_scope_names_no_union_so_a_follower_s_is_asked_for(spine: Spine) -> None:
    followers, services = spine.services.followers, spine.services
    assert followers is not None
    source = OfficialAccountSource(_web(spine, "snsapi_base"), followers._account)
    sso = Sso(
        [source], services.sessions, services.people, services.vault,
        return_urls=services.settings.return_urls, public_url=services.settings.public_url,
    )  # fmt: skip
    follower, passer_by = await spine.citizen(), await spine.citizen()
    await spine.follow(follower)
    persons = []
    for citizen in (follower, passer_by):
        trip = Trip(spine, OFFICIAL)
        trip.sso, trip.known = sso, {"person_id": citizen.phone_id}
        assert "scope=snsapi_base" in await trip.begin()
        persons.append((await trip.finish(await trip.handover())).person_id)
    assert persons[0] == follower.id
    assert persons[1] != passer_by.id, "nobody says that the two are one"


async def test_a_second_identity_may_be_the_one_of_wechat(spine: Spine) -> None:
    resident, _ = await spine.resident()
    phone = await spine.known_at(OFFICIAL)
    caller, _ = await join(spine, resident, phone, OFFICIAL)
    assert (caller.person_id, caller.level) == (resident.id, 3)
    assert {user.source for user in await User.filter(person_id=resident.id)} == {"ehuiban", OFFICIAL}


def _web(spine: Spine, scope: str) -> WebLogin:
    account, side = spine.services.settings.official_account, spine.services.counterparts[0]
    assert account is not None
    assert side.name == "wechat"
    pages = spine.services.settings.endpoints.wechat_pages
    return WebLogin(account.appid, account.secret, scope, pages, side)  # type: ignore[arg-type]
