"""The page: served from memory, kept as long as its name says, nothing beside it."""

import re
from pathlib import Path

import httpx

from domain.identity.sso import TOLD_BY_THE_PAGE
from tests.harness.edge import Edge


async def test_the_bare_address_leads_to_the_page(edge: Edge) -> None:
    answer = await edge.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/h5/")


async def test_the_page_lets_in_nothing_from_elsewhere(edge: Edge) -> None:
    answer = await edge.http.get("/h5/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.text)
    assert "<script>" not in answer.text


async def test_what_the_page_names_is_there_and_kept_for_ever(edge: Edge) -> None:
    page = (await edge.http.get("/h5/")).text
    names = re.findall(r"\./(assets/[^\"]+)", page)
    assert names
    # A browser's client: the one of `edge` holds answers against the contract, which names scripts only.
    async with httpx.AsyncClient(base_url=edge.http.base_url, trust_env=False) as browser:
        for name in names:
            answer = await browser.get(f"/h5/{name}")
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            again = await browser.get(f"/h5/{name}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


async def test_there_is_no_way_out_of_the_folder(edge: Edge) -> None:
    for name in ("..%2findex.html", "%2e%2e%2fpackage.json", "nothing.js", "..%5c..%5cREADME.md"):
        assert (await edge.http.get(f"/h5/assets/{name}")).status_code == 404


def test_the_page_has_a_sentence_for_every_way_in_which_a_login_comes_back_without_one() -> None:
    texts = (Path(__file__).parents[2] / "web" / "src" / "texts.ts").read_text()
    (said,) = re.findall(r"loginErrors: Record<string, string> = \{(.*?)\n\}", texts, re.DOTALL)
    assert set(re.findall(r"^  (\w+): '[^']+[。]',$", said, re.MULTILINE)) == {error.code for error in TOLD_BY_THE_PAGE}
