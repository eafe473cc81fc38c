"""Logging in by way of a browser: each step serves once, in the browser it began in, at the source it was made for."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from core import ids
from core.database import fetch, fetch_one
from core.errors import NotFound
from domain.identity.people import RealNameContradicts
from domain.identity.sso import HANDOVER_LIFE, TRIP_LIFE, HandoverRefused, ReturnUrlNotAllowed
from models.person import Organization, Person, User
from models.session import Session
from tests.harness.spine import OFFICIAL, Spine

SOURCES = ("ehuiban", "hubei_portal")
EVERY_SOURCE = (*SOURCES, OFFICIAL)
EXCHANGE = {
    "ehuiban": ("unified_identity", "ticket"), "hubei_portal": ("unified_identity", "token"), OFFICIAL: ("wechat", "web_token"),
}  # fmt: skip
"""What is asked of a source for the code that a browser brings back."""
CREDIT_CODE = "91420704MA49236618"


class Trip:
    """One browser on its way, whose every step a test can spoil."""

    def __init__(self, spine: Spine, source: str = "ehuiban") -> None:
        self.spine, self.sso, self.source = spine, spine.services.sso, source
        self.page = spine.services.settings.return_urls[0]
        self.client_id = uuid4().hex
        self.browser = ""
        self.known: dict[str, Any] = {}

    async def begin(self, **facts: Any) -> str:
        """Start; where the browser goes."""
        started = await self.sso.start(self.source, self.page, self.client_id, "person", self.browser or None)
        self.browser = started.browser
        self.known = self.known or await self.spine.known_at(self.source, **facts)
        return started.login_url

    async def logged_in(self, **facts: Any) -> dict[str, str]:
        """Start and log in at the source; what the browser brings back."""
        return (
            await self.spine.at_the_source(self.known, await self.begin(**facts))
            if self.known
            else await self._new(facts)
        )

    async def _new(self, facts: dict[str, Any]) -> dict[str, str]:
        url = await self.begin(**facts)
        return await self.spine.at_the_source(self.known, url)

    async def back(self, query: dict[str, str]) -> str:
        """Come back with this; the fragment our page gets."""
        address = await self.sso.come_back(self.source, query, self.browser)
        assert address.startswith(self.page)
        return address.partition("#")[2]

    async def handover(self, **facts: Any) -> str:
        """All until the page has its handover code."""
        word, _, code = (await self.back(await self.logged_in(**facts))).partition("=")
        assert word == "handover", code
        return code

    async def finish(self, handover: str) -> Any:
        """The page asks for its tokens."""
        return await self.sso.finish(handover, self.client_id, "测试浏览器", self.browser)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_person_vouched_for_comes_in_at_level_three_and_is_found_again(spine: Spine, source: str) -> None:
    trip = Trip(spine, source)
    opened = await trip.finish(await trip.handover())
    assert opened.level == 3
    assert spine.services.access_tokens.check(opened.access_token).level == 3
    again = await trip.finish(await trip.handover())
    assert (again.person_id, again.session_id != opened.session_id) == (opened.person_id, True)
    person = await Person.get(id=opened.person_id)
    assert person.name is not None
    assert person.id_number is not None
    assert person.phone is not None
    vault = spine.services.vault
    assert vault.open(person.name, "person.name", person.id) == trip.known["name"]
    assert vault.open(person.id_number, "person.id_number", person.id) == trip.known["id_number"]
    assert vault.open(person.phone, "person.phone", person.id) == f"+86{trip.known['phone']}"
    assert (await Person.all().count(), await User.all().count()) == (1, 1)
    session = await Session.get(id=opened.session_id)
    assert (session.access_point, session.organization_id) == (source, None)


@pytest.mark.parametrize("source", SOURCES)
async def test_who_is_not_checked_at_the_source_stays_below_level_three(spine: Spine, source: str) -> None:
    trip = Trip(spine, source)
    opened = await trip.finish(await trip.handover(is_real_name=False))
    assert opened.level == 2
    person = await Person.get(id=opened.person_id)
    assert (person.name, person.id_number, person.real_name_source) == (None, None, None)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_legal_person_s_own_login_proves_the_organization_in_its_session(spine: Spine, source: str) -> None:
    organizations = [{"name": "鄂州示范商贸有限公司", "credit_code": CREDIT_CODE, "legal_representative": "王小明"}]
    citizen, known = await spine.resident(source, as_organization=True, organizations=organizations)
    proved = await spine.services.sessions.organization_proved(citizen.caller.session_id)
    assert proved is not None
    organization = await Organization.get(id=proved.organization_id)
    assert spine.services.vault.open(organization.name, "organization.name", organization.id) == "鄂州示范商贸有限公司"
    # The same person without the organization proves himself only.
    opened = await spine.log_in_at(source, known, uuid4().hex)
    assert opened.person_id == citizen.id
    assert await spine.services.sessions.organization_proved(opened.session_id) is None
    await spine.resident(source, as_organization=True, organizations=organizations)
    assert await Organization.all().count() == 1


async def test_one_id_number_belongs_to_one_person_until_both_identities_are_proved_in_one_session(
    spine: Spine,
) -> None:
    citizen, known = await spine.resident("ehuiban")
    opened = await spine.log_in_at("hubei_portal", known, uuid4().hex)
    assert opened.person_id != citizen.id
    assert opened.level == 2
    assert (await Person.get(id=opened.person_id)).id_number is None
    assert (await spine.log_in_at("ehuiban", known, uuid4().hex)).level == 3


async def test_first_logins_at_once_make_one_person_of_one_number(spine: Spine) -> None:
    known = await spine.known()
    opened = await asyncio.gather(*(spine.log_in_at(SOURCES[n % 2], known, uuid4().hex) for n in range(6)))
    assert len({answer.person_id for answer in opened}) == 2
    assert sorted(person.level for person in await Person.all()) == [2, 3]


async def test_another_id_number_of_the_same_subject_is_refused(spine: Spine) -> None:
    trip = Trip(spine)
    await trip.finish(await trip.handover())
    other = await spine.known()
    await spine.control("POST", f"/unified/people/{trip.known['person_id']}", {"id_number": other["id_number"]})
    handover = await trip.handover()
    before = await spine.rows()
    with pytest.raises(RealNameContradicts):
        await trip.finish(handover)
    assert await spine.rows() == before


async def test_an_id_number_that_cannot_be_raises_nobody(spine: Spine) -> None:
    trip = Trip(spine)
    with pytest.raises(RealNameContradicts):
        await trip.finish(await trip.handover(id_number="420704198803190021"))
    assert await Person.all().count() == 0


async def test_a_changed_name_is_taken_over(spine: Spine) -> None:
    trip = Trip(spine)
    opened = await trip.finish(await trip.handover())
    await spine.control("POST", f"/unified/people/{trip.known['person_id']}", {"name": "改名的人"})
    await trip.finish(await trip.handover())
    person = await Person.get(id=opened.person_id)
    assert person.name is not None
    assert spine.services.vault.open(person.name, "person.name", person.id) == "改名的人"


# What others may try


SPOILED: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "no state": lambda query: {name: value for name, value in query.items() if name != "state"},
    "an empty state": lambda query: {**query, "state": ""},
    "a state nobody made": lambda query: {**query, "state": ids.new_state()},
    "a state in other letters": lambda query: {**query, "state": query["state"].upper()},
    "a state with more behind it": lambda query: {**query, "state": query["state"] + "\n"},
    "a state of full-width digits": lambda query: {**query, "state": "\uff11" * 64},
    "nothing": lambda _query: {},
}


@pytest.mark.parametrize("source", EVERY_SOURCE)
@pytest.mark.parametrize("name", SPOILED)
async def test_without_the_right_state_nothing_is_asked_of_the_source(spine: Spine, source: str, name: str) -> None:
    trip = Trip(spine, source)
    query = await trip.logged_in()
    assert await trip.back(SPOILED[name](query)) == "error=login_state_refused"
    assert await fetch("select 1 from spent_code") == []
    assert await spine.calls(*EXCHANGE[source]) == {}
    assert (await trip.back(query)).startswith("handover=")


@pytest.mark.parametrize("browser", [None, "A" * 43, ""])
async def test_another_browser_cannot_come_back_with_it(spine: Spine, browser: str | None) -> None:
    trip = Trip(spine)
    query = await trip.logged_in()
    own, trip.browser = trip.browser, browser  # type: ignore[assignment]
    assert await trip.back(query) == "error=login_state_refused"
    trip.browser = own
    assert (await trip.back(query)).startswith("handover=")


async def test_a_victim_is_not_logged_in_as_the_attacker(spine: Spine) -> None:
    attacker, victim = Trip(spine), Trip(spine)
    await victim.begin()
    query = await attacker.logged_in()
    address = await victim.sso.come_back("ehuiban", query, victim.browser)
    assert address.endswith("#error=login_state_refused")


async def test_a_state_serves_once(spine: Spine) -> None:
    trip = Trip(spine)
    query = await trip.logged_in()
    assert (await trip.back(query)).startswith("handover=")
    assert await trip.back(query) == "error=login_state_refused"


async def test_a_state_serves_once_though_the_browser_comes_back_often_at_once(spine: Spine) -> None:
    trip = Trip(spine)
    query = await trip.logged_in()
    fragments = await asyncio.gather(*(trip.back(query) for _ in range(8)))
    assert sorted(fragment.partition("=")[0] for fragment in fragments) == ["error"] * 7 + ["handover"]


async def test_a_trip_lasts_ten_minutes(spine: Spine) -> None:
    trip = Trip(spine)
    url = await trip.begin()
    await spine.travel(TRIP_LIFE + timedelta(seconds=1))
    assert await trip.back(await spine.at_the_source(trip.known, url)) == "error=login_state_refused"


@pytest.mark.parametrize("source", EVERY_SOURCE)
async def test_a_code_brought_back_before_is_never_sent_again(spine: Spine, source: str) -> None:
    """Whoever has seen another's code begins a trip of his own and injects it."""
    victim, thief = Trip(spine, source), Trip(spine, source)
    stolen = await victim.logged_in()
    assert (await victim.back(stolen)).startswith("handover=")
    query = await thief.logged_in()
    name = "ticket" if source == "ehuiban" else "code"
    assert await thief.back({**query, name: stolen[name]}) == "error=login_code_replayed"
    assert sum((await spine.calls(*EXCHANGE[source])).values()) == 1


async def test_a_stolen_code_is_worthless_without_the_verifier_of_its_start(spine: Spine) -> None:
    """PKCE: a code that was stolen before it was used, brought back in a trip of the thief's own."""
    victim, thief = Trip(spine, "hubei_portal"), Trip(spine, "hubei_portal")
    stolen, query = await victim.logged_in(), await thief.logged_in()
    assert await thief.back({**query, "code": stolen["code"]}) == "error=login_code_refused"


async def test_an_answer_of_another_source_is_not_taken(spine: Spine) -> None:
    """Mix-up: the state belongs to its source, and a code names its issuer."""
    ours, other = Trip(spine, "hubei_portal"), Trip(spine, "ehuiban")
    query, foreign = await ours.logged_in(), await other.logged_in()
    assert (await other.sso.come_back("ehuiban", query, ours.browser)).endswith("#error=login_state_refused")
    assert (await ours.sso.come_back("elsewhere", query, ours.browser)).endswith("#error=login_state_refused")
    assert await ours.back({**query, "iss": "https://elsewhere.example"}) == "error=login_return_refused"
    second = await ours.logged_in()
    assert await ours.back({**second, "code": foreign["ticket"]}) == "error=login_code_refused"


@pytest.mark.parametrize("source", EVERY_SOURCE)
async def test_who_cancels_comes_back_with_nothing(spine: Spine, source: str) -> None:
    trip = Trip(spine, source)
    state = (await trip.logged_in())["state"]
    query = {"state": state, "error": "access_denied", "iss": "https://hubei-portal.sandbox"}
    assert await trip.back(query) == "error=login_return_refused"


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"fault": "error", "status": 500},
    "cut before": {"fault": "drop"},
    "cut after": {"fault": "drop", "after": True},
    "a forged answer": {"fault": "forge"},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("source", "operation"),
    [("ehuiban", "ticket"), ("hubei_portal", "token"), ("hubei_portal", "user_info"), (OFFICIAL, "web_token")],
)
async def test_while_the_source_is_away_or_not_itself_nobody_comes_in(
    spine: Spine, source: str, operation: str, fault: str
) -> None:
    if source == OFFICIAL and fault == "a forged answer":
        return  # WeChat signs nothing here: TLS alone says who answers
    trip = Trip(spine, source)
    query = await trip.logged_in()
    await spine.fault(EXCHANGE[source][0], operation, times=None, **FAULTS[fault])
    assert await trip.back(query) == "error=identity_source_away"
    assert await Person.all().count() == 0
    row = await fetch_one("select count(*) from login_attempt where vouched is not null")
    assert row is not None
    assert row["count"] == 0


# The handover


async def test_a_handover_serves_once_in_its_browser_for_its_client(spine: Spine) -> None:
    trip = Trip(spine)
    handover = await trip.handover()
    before = await spine.rows()
    sso = trip.sso
    for code, client_id, browser in (
        (ids.new_secret(), trip.client_id, trip.browser),
        (handover, uuid4().hex, trip.browser),
        (handover, trip.client_id, ids.new_secret()),
        (handover, trip.client_id, None),
    ):
        with pytest.raises(HandoverRefused):
            await sso.finish(code, client_id, "", browser)
    assert await spine.rows() == before
    answers = await asyncio.gather(*(trip.finish(handover) for _ in range(6)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(HandoverRefused) == 5
    assert await Session.all().count() == 1
    assert await fetch("select 1 from login_attempt where vouched is not null") == []


async def test_a_handover_lasts_two_minutes(spine: Spine) -> None:
    trip = Trip(spine)
    handover = await trip.handover()
    await spine.travel(HANDOVER_LIFE + timedelta(seconds=1))
    with pytest.raises(HandoverRefused):
        await trip.finish(handover)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example/",
        "{page}@evil.example",
        "{page}.evil.example/",
        "{page}?next=https://evil.example",
        "{page}../evil",
        "{page}#x",
        " {page}",
        "{page}\n",
        "javascript:alert(1)",
        "/h5/",
        "",
    ],
)
async def test_a_login_comes_back_to_our_own_pages_only(spine: Spine, address: str) -> None:
    page = spine.services.settings.return_urls[0]
    with pytest.raises(ReturnUrlNotAllowed):
        await spine.services.sso.start("ehuiban", address.replace("{page}", page), uuid4().hex, "person", None)
    with pytest.raises(NotFound):
        await spine.services.sso.start("nowhere", page, uuid4().hex, "person", None)


async def test_behind_a_page_s_own_fragment_the_code_comes_as_its_query(spine: Spine) -> None:
    trip = Trip(spine)
    trip.page = spine.services.settings.return_urls[1]
    assert "#" in trip.page
    address = await trip.sso.come_back(trip.source, await trip.logged_in(), trip.browser)
    assert address.startswith(f"{trip.page}?handover=")


async def test_two_trips_of_one_browser_do_not_disturb_each_other(spine: Spine) -> None:
    one, two = Trip(spine), Trip(spine, "hubei_portal")
    query = await one.logged_in()
    two.browser = one.browser
    second = await two.logged_in()
    assert two.browser == one.browser
    await two.finish((await two.back(second)).partition("=")[2])
    await one.finish((await one.back(query)).partition("=")[2])


async def test_what_the_source_said_lies_nowhere_in_plain_text(spine: Spine) -> None:
    organizations = [{"name": "鄂州示范商贸有限公司", "credit_code": CREDIT_CODE, "legal_representative": "不露名"}]
    trip = Trip(spine)
    query = await trip.logged_in(name="欧阳隐名", organizations=organizations)
    assert (await trip.back(query)).startswith("handover=")
    citizen, known = await spine.resident(as_organization=True, name="欧阳无名", organizations=organizations)
    secrets = [
        *(one[name] for one in (trip.known, known) for name in ("name", "id_number", "phone")), CREDIT_CODE, "鄂州示范商贸有限公司", "不露名",
        trip.browser, query["state"], query["ticket"], citizen.client_id,
    ]  # fmt: skip
    needles = [*secrets, *(secret.encode().hex() for secret in secrets)]
    for table in (
        "person",
        "login_user",
        "session",
        "organization",
        "login_attempt",
        "spent_code",
        "audit",
        "event",
        "journal",
    ):
        for needle in needles:
            found = await fetch(f"select 1 from {table} t where position($1 in t::text) > 0 limit 1", needle)
            assert not found, f"{needle} in {table}"
