"""Logins by way of a browser, over HTTP: every way to bend one ends in the same refusal, and nothing is left of it."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api.errors import WORDS
from core import ids
from tests.harness.edge import Edge, Person
from tests.harness.spine import OFFICIAL

CLIENT = "4f9c2b7a61d84e0f"
SOURCES = ("ehuiban", "hubei_portal", OFFICIAL)
KEPT = ("person", "login_user", "session", "organization", "spent_code")
COOKIE = "lianban-login"

REDIRECTS = (
    "https://evil.example/", "//evil.example/", "///evil.example/", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https:/evil.example",
    "http:///evil.example", "//evil.example\\@{host}", "http://{host}@evil.example/", "http://{host}:pw@evil.example/", "http://evil.example#{host}",
    "http://evil.example?{page}", "http://evil.example/{page}", "{page}@evil.example", "{page}.evil.example", "{page}..", "{page}../", "{page}//evil.example",
    "{page}%2e%2e/", "{page}?next=https://evil.example", "{page}?", "{page}#", "{page}#/pages/../evil", "{page};", "{page}\\", "{page} ", " {page}", "\t{page}",
    "{page}\r\nLocation: https://evil.example", "{page}%0d%0aSet-Cookie:a=b", "{page}%00", "{PAGE}", "https://{host}/h5/", "http://{host}/", "/h5/", "h5/", "#",
    "?",     "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "weixin://dl/x",
    "http://{host}\u3002evil.example/", "http://\uff45vil.example/", "http://xn--evil.example/", "http://0x7f000001/", "http://[::1]/h5/", "http://2130706433/",
)  # fmt: skip
"""Every spelling of elsewhere; `{page}` is one of our pages, `{host}` its host."""


def _spelled(edge: Edge, address: str) -> str:
    page = edge.spine.services.settings.return_urls[0]
    return address.replace("{page}", page).replace("{PAGE}", page.upper()).replace("{host}", urlsplit(page).netloc)


def _without_number(response: httpx.Response) -> tuple[int, dict[str, Any]]:
    return response.status_code, {**response.json(), "request_id": ""}


@pytest.fixture(scope="module")
async def person(edge: Edge) -> Person:
    return await edge.person()


@pytest.fixture(autouse=True)
async def _fresh(edge: Edge) -> None:
    await edge.forget_limits()
    edge.http.cookies.clear()


@pytest.mark.parametrize("address", REDIRECTS, ids=lambda address: ascii(address)[1:60])
async def test_no_spelling_of_elsewhere_is_a_page_to_come_back_to(edge: Edge, person: Person, address: str) -> None:
    before = await edge.spine.rows((*KEPT, "login_attempt"))
    body = {"source": "ehuiban", "return_url": _spelled(edge, address), "client_id": CLIENT}
    plain = await edge.call("POST", "/v1/sessions/unified/start", body | {"return_url": "https://elsewhere.example/"})
    answers = [
        await edge.call("POST", "/v1/sessions/unified/start", body),
        await edge.call("POST", "/v1/identities/start", body, by=person),
    ]
    assert [_without_number(answer) for answer in answers] == [_without_number(plain)] * 2
    assert _without_number(plain)[1]["code"] == "return_url_not_allowed"
    assert "evil" not in answers[0].text
    assert "set-cookie" not in answers[0].headers
    assert await edge.spine.rows((*KEPT, "login_attempt")) == before


@pytest.mark.parametrize("source", SOURCES)
async def test_the_way_back_is_ours_whatever_host_the_browser_names(edge: Edge, source: str) -> None:
    settings = edge.spine.services.settings
    body = {"source": source, "return_url": settings.return_urls[0], "client_id": CLIENT}
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
        "Origin": "https://evil.example",
    }
    started = await edge.call("POST", "/v1/sessions/unified/start", body, headers=headers)
    assert started.status_code == 201
    assert "evil" not in started.text
    query = parse_qs(urlsplit(started.json()["login_url"]).query)
    (back,) = query.get("redirect_uri") or query["gotoUrl"]
    assert back.startswith(f"{settings.public_url}/v1/sessions/unified/{source}/callback")


def _bent(query: dict[str, str], **changes: Any) -> list[tuple[str, Any]]:
    merged = {**query, **changes}
    return [(name, value) for name, value in merged.items() if value is not None]


BENT: dict[str, Any] = {
    "nothing": lambda query: [],
    "no state": lambda query: _bent(query, state=None),
    "a state nobody made": lambda query: _bent(query, state=ids.new_state()),
    "the state twice": lambda query: [*query.items(), ("state", query["state"])],
    "another state before it": lambda query: [("state", "0" * 64), *query.items()],
    "a huge state": lambda query: _bent(query, state="a" * 6_000),
    "a state with a NUL": lambda query: _bent(query, state=query["state"] + "\0"),
    "fifty fields more": lambda query: [*query.items(), *((f"f{number}", "1") for number in range(60))],
    "no code": lambda query: _bent(query, code=None, ticket=None),
    "an empty code": lambda query: _bent(query, code="", ticket=""),
    "a code nobody gave": lambda query: _bent(query, **{name: "ST-" + "x" * 32 for name in ("code", "ticket") if name in query}),
    "a code in other letters": lambda query: _bent(query, **{name: query[name].swapcase() for name in ("code", "ticket") if name in query}),
    "the code twice": lambda query: [*query.items(), *((name, query[name]) for name in ("code", "ticket") if name in query)],
    "a code that is no text": lambda query: _bent(query, **{name: "\uff11" * 20 for name in ("code", "ticket") if name in query}),
}  # fmt: skip
COOKIES: dict[str, Any] = {
    "no cookie": lambda own: None,
    "another browser's cookie": lambda own: f"{COOKIE}={ids.new_secret()}",
    "two cookies": lambda own: f"{COOKIE}={own}; {COOKIE}={ids.new_secret()}",
    "a cookie of another name": lambda own: f"Lianban-Login={own}",
    "a cookie with more behind it": lambda own: f"{COOKIE}={own}A",
}
NOTHING = ("nothing", "the code twice", "fifty fields more")
FRAGMENTS = {"login_state_refused", "login_return_refused", "login_code_refused"}


async def _at_the_source(edge: Edge, source: str) -> tuple[dict[str, str], str]:
    """What a browser brings back, and the cookie it keeps."""
    page = edge.spine.services.settings.return_urls[0]
    started = await edge.told(
        "POST", "/v1/sessions/unified/start", {"source": source, "return_url": page, "client_id": CLIENT}
    )
    query = await edge.spine.at_the_source(await edge.spine.known_at(source), started["login_url"])
    cookie = edge.http.cookies[COOKIE]
    edge.http.cookies.clear()
    return query, cookie


async def _back(edge: Edge, source: str, query: Any, cookie: str | None) -> str:
    """The fragment our page gets; the page is ours in any case."""
    page = edge.spine.services.settings.return_urls[0]
    response = await edge.call(
        "GET", f"/v1/sessions/unified/{source}/callback", params=query, headers={"Cookie": cookie} if cookie else {}
    )
    assert response.status_code == 303
    assert "set-cookie" not in response.headers
    location = response.headers["location"]
    assert location.partition("#")[0] == page
    return location.partition("#")[2]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", [*BENT, *COOKIES])
async def test_a_browser_that_comes_back_with_anything_else_brings_nobody(edge: Edge, source: str, name: str) -> None:
    query, cookie = await _at_the_source(edge, source)
    tables = ("person", "login_user", "session")
    before = await edge.spine.rows(tables)
    bent, own = BENT.get(name, lambda query: query)(query), f"{COOKIE}={cookie}"
    word, _, code = (await _back(edge, source, bent, COOKIES[name](cookie) if name in COOKIES else own)).partition("=")
    assert word == "error"
    assert code in FRAGMENTS & set(WORDS)
    assert (code == "login_state_refused") == (name in COOKIES or "state" in name or name in NOTHING)
    assert await edge.spine.rows(tables) == before


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("other", [*SOURCES, "elsewhere"])
async def test_what_one_source_gave_is_worth_nothing_at_another_s_door(edge: Edge, source: str, other: str) -> None:
    """Mix-up: also with the code under the name which the other door looks for."""
    if source == other:
        return
    query, cookie = await _at_the_source(edge, source)
    code = query.get("code") or query["ticket"]
    before = await edge.spine.rows(KEPT)
    given = {**query, "code": code, "ticket": code, "iss": "https://hubei-portal.sandbox"}
    assert await _back(edge, other, given, f"{COOKIE}={cookie}") == "error=login_state_refused"
    assert await edge.spine.rows(KEPT) == before


async def test_nothing_in_the_address_chooses_where_the_browser_goes(edge: Edge) -> None:
    query, cookie = await _at_the_source(edge, "hubei_portal")
    wishes = dict.fromkeys(
        ("return_url", "redirect_uri", "next", "url", "target", "RelayState"), "https://evil.example/"
    )
    fragment = await _back(edge, "hubei_portal", {**query, **wishes}, f"{COOKIE}={cookie}")
    assert fragment.startswith("handover=")
    assert await _back(edge, "hubei_portal", wishes, None) == "error=login_state_refused"


HANDOVERS: dict[str, Any] = {
    "a code nobody gave": lambda given: given | {"handover": ids.new_secret()},
    "another client": lambda given: given | {"client_id": "0" * 16},
}


@pytest.mark.parametrize("name", [*HANDOVERS, *COOKIES, "used before"])
async def test_a_handover_serves_its_browser_and_client_once(edge: Edge, name: str) -> None:
    query, cookie = await _at_the_source(edge, "ehuiban")
    own = f"{COOKIE}={cookie}"
    given = {"handover": (await _back(edge, "ehuiban", query, own)).partition("=")[2], "client_id": CLIENT}
    path = "/v1/sessions/unified/finish"
    if name == "used before":
        await edge.told("POST", path, given, headers={"Cookie": own})
    before = await edge.spine.rows(KEPT)
    nonsense = await edge.call("POST", path, given | {"handover": "A" * 43})
    shown = COOKIES[name](cookie) if name in COOKIES else own
    bent = HANDOVERS[name](given) if name in HANDOVERS else given
    response = await edge.call("POST", path, bent, headers={"Cookie": shown} if shown else {})
    assert _without_number(response) == _without_number(nonsense)
    assert (response.status_code, response.json()["code"]) == (401, "handover_refused")
    assert await edge.spine.rows(KEPT) == before
