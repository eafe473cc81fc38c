"""The WeChat platform: login, access tokens, phone numbers, codes."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.sandbox.wechat_support import APPID, OTHER_APPID, SECRET, World


async def token(wechat: World, appid: str = APPID, **more: Any) -> dict[str, Any]:
    body = {"grant_type": "client_credential", "appid": appid, "secret": SECRET, **more}
    response = await wechat.http.post(f"{wechat.base_url}/cgi-bin/stable_token", json=body)
    assert response.status_code == 200
    return response.json()


async def login(wechat: World, code: str, **changed: str) -> httpx.Response:
    query = {"appid": APPID, "secret": SECRET, "js_code": code, "grant_type": "authorization_code"} | changed
    return await wechat.http.get(f"{wechat.base_url}/sns/jscode2session", params=query)


async def post(wechat: World, path: str, access_token: str, body: Any) -> httpx.Response:
    return await wechat.http.post(f"{wechat.base_url}{path}", params={"access_token": access_token}, json=body)


async def login_code(wechat: World, person: dict[str, Any], appid: str = APPID) -> str:
    return (await wechat.control("POST", f"/people/{person['person_id']}/login-code", {"appid": appid}))["code"]


async def test_a_login_code_is_worth_one_session(wechat: World) -> None:
    person = await wechat.person()
    code = await login_code(wechat, person)
    response = await login(wechat, code)
    session = response.json()
    assert response.headers["content-type"] == "text/plain"
    assert (session["openid"], session["unionid"]) == (person["openid"], person["unionid"])
    assert "errcode" not in session
    again = await login(wechat, code)
    assert (again.status_code, again.json()["errcode"]) == (200, 40163)


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": "wx0"}, 40013),
        ({"secret": "wrong"}, 40125),
        ({"js_code": "wrong"}, 40029),
        ({"grant_type": "code"}, 40002),
        ({"appid": OTHER_APPID}, 40029),
    ],
)
async def test_a_wrong_login_is_refused_and_leaves_the_code_good(
    wechat: World, changed: dict[str, str], errcode: int
) -> None:
    code = await login_code(wechat, await wechat.person())
    assert (await login(wechat, code, **changed)).json()["errcode"] == errcode
    assert "openid" in (await login(wechat, code)).json()


async def test_a_login_code_lives_five_minutes(wechat: World) -> None:
    code = await login_code(wechat, await wechat.person())
    wechat.travel(301)
    assert (await login(wechat, code)).json()["errcode"] == 40029


async def test_a_person_has_an_openid_in_each_app_and_one_unionid(wechat: World) -> None:
    person = await wechat.person()
    here = (await login(wechat, await login_code(wechat, person))).json()
    there = (await login(wechat, await login_code(wechat, person, OTHER_APPID), appid=OTHER_APPID)).json()
    assert here["openid"] != there["openid"] == person["openids"][OTHER_APPID]
    assert here["unionid"] == there["unionid"]


async def test_the_stable_token_is_the_same_until_five_minutes_before_its_end(wechat: World) -> None:
    first = await token(wechat)
    assert first["expires_in"] == 7200
    wechat.travel(6890)
    same = await token(wechat)
    assert same["access_token"] == first["access_token"]
    assert 300 <= same["expires_in"] <= 310
    wechat.travel(6910)
    renewed = await token(wechat)
    assert renewed["access_token"] != first["access_token"]
    assert renewed["expires_in"] == 7200
    for valid in (first, renewed):  # both live for the last five minutes
        assert (await post(wechat, "/wxa/getwxacodeunlimit", valid["access_token"], {"scene": "a"})).content[
            :4
        ] == b"\x89PNG"
    wechat.travel(7201)
    response = await post(wechat, "/wxa/getwxacodeunlimit", first["access_token"], {"scene": "a"})
    assert response.json()["errcode"] == 42001


async def test_a_forced_refresh_kills_the_old_token_and_is_rationed(wechat: World) -> None:
    first = await token(wechat)
    second = await token(wechat, force_refresh=True)
    assert first["access_token"] != second["access_token"]
    response = await post(wechat, "/wxa/getwxacodeunlimit", first["access_token"], {"scene": "a"})
    assert response.json()["errcode"] == 40001
    assert (await token(wechat, force_refresh=True))["errcode"] == 45011
    assert (await token(wechat))["access_token"] == second["access_token"]


async def test_twenty_forced_refreshes_are_all_of_a_day(wechat: World) -> None:
    # Midnight in Shanghai starts the count anew, so the trial begins just after one.
    start_s = 86400 - (int(time.time()) + 8 * 3600) % 86400 + 60
    for number in range(20):
        wechat.travel(start_s + number * 31)
        assert "access_token" in await token(wechat, force_refresh=True)
    wechat.travel(start_s + 700)
    assert (await token(wechat, force_refresh=True))["errcode"] == 45009
    wechat.travel(start_s + 86400)
    assert "access_token" in await token(wechat, force_refresh=True)


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": "wx0"}, 40013),
        ({"secret": "x"}, 40125),
        ({"grant_type": "x"}, 40002),
        ({"force_refresh": "no"}, 47001),
    ],
)
async def test_a_wrong_request_for_a_token_is_refused(wechat: World, changed: dict[str, Any], errcode: int) -> None:
    body = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET} | changed
    response = await wechat.http.post(f"{wechat.base_url}/cgi-bin/stable_token", json=body)
    assert (response.status_code, response.json()["errcode"]) == (200, errcode)


async def test_a_phone_code_gives_the_number_once_to_its_owner(wechat: World) -> None:
    person, other = await wechat.person(phone="13800000007"), await wechat.person("李四")
    access_token = (await token(wechat))["access_token"]
    code = (await wechat.control("POST", f"/people/{person['person_id']}/phone-code", {"appid": APPID}))["code"]
    path = "/wxa/business/getuserphonenumber"
    wrong = await post(wechat, path, access_token, {"code": code, "openid": other["openid"]})
    assert wrong.json()["errcode"] == 40029
    elsewhere = (await token(wechat, OTHER_APPID))["access_token"]
    assert (await post(wechat, path, elsewhere, {"code": code})).json()["errcode"] == 40013
    right = (await post(wechat, path, access_token, {"code": code, "openid": person["openid"]})).json()
    assert right["phone_info"]["purePhoneNumber"] == "13800000007"
    assert right["phone_info"]["watermark"]["appid"] == APPID
    assert (await post(wechat, path, access_token, {"code": code})).json()["errcode"] == 40029
    login_instead = await login_code(wechat, person)
    assert (await post(wechat, path, access_token, {"code": login_instead})).json()["errcode"] == 40029


@pytest.mark.parametrize(("access_token", "errcode"), [("", 41001), ("unknown", 40001)])
async def test_a_call_without_a_token_is_refused(wechat: World, access_token: str, errcode: int) -> None:
    response = await post(wechat, "/wxa/getwxacodeunlimit", access_token, {"scene": "a"})
    assert (response.status_code, response.json()["errcode"]) == (200, errcode)


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"scene": "x" * 33}, 40169),
        ({"scene": ""}, 40169),
        ({"scene": "户号"}, 40169),
        ({"scene": "a%20b"}, 40169),
        ({"scene": "a", "page": "/pages/index"}, 41030),
        ({"scene": "a", "page": "pages/index?x=1"}, 41030),
        ({"scene": "a", "width": 100}, 40097),
        ({"scene": "a", "env_version": "beta"}, 40097),
        ([], 47001),
    ],
)
async def test_a_wrong_code_is_refused_in_json(wechat: World, body: Any, errcode: int) -> None:
    response = await post(wechat, "/wxa/getwxacodeunlimit", (await token(wechat))["access_token"], body)
    assert json.loads(response.content)["errcode"] == errcode


async def test_a_code_is_a_picture(wechat: World) -> None:
    body = {"scene": "b=!#$&'()*+,/:;=?@-._~1", "page": "pages/bill/index", "width": 280}
    response = await post(wechat, "/wxa/getwxacodeunlimit", (await token(wechat))["access_token"], body)
    assert response.headers["content-type"] == "image/png"
    assert response.content[:8] == b"\x89PNG\r\n\x1a\n"
