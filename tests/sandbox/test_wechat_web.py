"""Web pages inside WeChat at the sandbox: strict where the platform is, and where our mistakes would hide."""

from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from tests.sandbox.wechat_support import APPID, SECRET, WEB_APPID, WEB_HOST, World

ASKED = {
    "appid": WEB_APPID, "redirect_uri": f"http://{WEB_HOST}/back", "response_type": "code", "scope": "snsapi_userinfo", "state": "abc0123456789XYZ",
}  # fmt: skip


def _address(wechat: World, asked: dict[str, str], fragment: str = "#wechat_redirect") -> str:
    return f"{wechat.base_url}/connect/oauth2/authorize?{urlencode(asked)}{fragment}"


async def _back(wechat: World, person: dict[str, Any], asked: dict[str, str] = ASKED, **how: Any) -> dict[str, str]:
    body = {"login_url": _address(wechat, asked), **how}
    return dict(
        parse_qsl(
            urlsplit((await wechat.control("POST", f"/people/{person['person_id']}/web-login", body))["location"]).query
        )
    )


async def _exchange(wechat: World, code: str, **changed: str) -> dict[str, Any]:
    query = {"appid": WEB_APPID, "secret": SECRET, "code": code, "grant_type": "authorization_code"} | changed
    return (await wechat.http.get(f"{wechat.base_url}/sns/oauth2/access_token", params=query)).json()


async def test_a_code_is_worth_one_exchange_and_a_preview_is_nobody(wechat: World) -> None:
    person = await wechat.person()
    back = await _back(wechat, person)
    assert back["state"] == ASKED["state"]
    for changed, errcode in (({"secret": "x"}, 40125), ({"appid": APPID}, 40029), ({"grant_type": "x"}, 40002)):
        assert (await _exchange(wechat, back["code"], **changed))["errcode"] == errcode
    told = await _exchange(wechat, back["code"])
    assert (told["openid"], told["unionid"]) == (person["openids"][WEB_APPID], person["unionid"])
    assert "is_snapshotuser" not in told
    assert (await _exchange(wechat, back["code"]))["errcode"] == 40163
    silent = await _exchange(wechat, (await _back(wechat, person, ASKED | {"scope": "snsapi_base"}))["code"])
    assert "unionid" not in silent
    preview = await _exchange(wechat, (await _back(wechat, person, snapshot=True))["code"])
    assert preview["is_snapshotuser"] == 1
    assert preview["openid"] not in person["openids"].values()
    assert await _back(wechat, person, decline=True) == {"state": ASKED["state"]}
    late = await _back(wechat, person)
    wechat.travel(301)
    assert (await _exchange(wechat, late["code"]))["errcode"] == 40029


@pytest.mark.parametrize(
    "changed",
    [
        {"appid": APPID},
        {"appid": "wx0"},
        {"redirect_uri": "http://evil.example/back"},
        {"redirect_uri": f"http://{WEB_HOST}.evil.example/back"},
        {"redirect_uri": f"http://{WEB_HOST}@evil.example/back"},
        {"response_type": "token"},
        {"scope": "openid"},
        {"state": "a-b"},
        {"state": "a" * 129},
        {"state": ""},
        {"more": "1"},
    ],
    ids=str,
)
async def test_a_wrong_start_ends_on_wechat_s_own_page(wechat: World, changed: dict[str, str]) -> None:
    page = await wechat.http.get(_address(wechat, ASKED | changed))
    assert page.status_code == 400
    with pytest.raises(httpx.HTTPStatusError):
        await _back(wechat, await wechat.person(), ASKED | changed)


async def test_the_order_of_the_parameters_and_the_fragment_count(wechat: World) -> None:
    turned = dict(reversed(ASKED.items()))
    assert (await wechat.http.get(_address(wechat, turned))).status_code == 400
    person = await wechat.person()
    body = {"login_url": _address(wechat, ASKED, "")}
    with pytest.raises(httpx.HTTPStatusError):
        await wechat.control("POST", f"/people/{person['person_id']}/web-login", body)


async def test_people_choose_on_the_page_itself(wechat: World) -> None:
    person = await wechat.person("<王小明>")
    page = await wechat.http.get(_address(wechat, ASKED))
    assert "&lt;王小明&gt;" in page.text
    for who, expected in ((f"{person['person_id']}|", {"code", "state"}), ("", {"state"})):
        sent = await wechat.http.post(f"{wechat.base_url}/connect/oauth2/authorize", data={**ASKED, "who": who})
        assert sent.status_code == 302
        assert parse_qs(urlsplit(sent.headers["location"]).query).keys() == expected
