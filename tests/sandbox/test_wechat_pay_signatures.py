"""WeChat Pay lets nobody in whose signature is not right in every part, and signs what it answers."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.sandbox.wechat_support import (
    API_V3_KEY,
    PLATFORM_KEY,
    PLATFORM_SERIAL,
    PUBLIC_KEY_ID,
    PUBLIC_KEY_PAIR,
    SERIAL,
    STRANGER_KEY,
    SUB_MCHID,
    World,
    is_signed,
    world,
)

REFUND = "/v3/refund/domestic/refunds/R1?sub_mchid=" + SUB_MCHID


@pytest.mark.parametrize(
    "spoiled",
    [
        {"scheme": "WECHATPAY2-SHA256-RSA2047"},
        {"mchid": "1900000009"},
        {"serial": "00" + SERIAL[2:]},
        {"serial": SERIAL.lower()},
        {"key": STRANGER_KEY},
        {"timestamp": -400},
        {"timestamp": 400},
        {"timestamp": "1.7e9"},
        {"timestamp": "soon"},
        {"nonce": ""},
        {"signed_body": "{}"},
    ],
)
async def test_a_spoiled_signature_is_refused_with_401(wechat: World, spoiled: dict[str, Any]) -> None:
    # Seconds from now, counted when the test runs: tests are collected long before.
    if isinstance(skew_s := spoiled.get("timestamp"), int):
        spoiled = {"timestamp": str(int(time.time()) + skew_s)}
    response = await wechat.pay.call("GET", REFUND, **spoiled)
    assert response.status_code == 401
    assert response.json()["code"] == "SIGN_ERROR"
    assert response.headers["request-id"].rpartition("-")[2] == "0"


async def test_a_missing_or_broken_authorization_is_refused(wechat: World) -> None:
    for header in ("", "Bearer x", 'WECHATPAY2-SHA256-RSA2048 mchid="1",mchid="1"', "WECHATPAY2-SHA256-RSA2048 x"):
        response = await wechat.pay.call("GET", REFUND, headers={"Authorization": header})
        assert response.json()["code"] == "SIGN_ERROR", header


async def test_a_nonce_serves_once(wechat: World) -> None:
    first = await wechat.pay.call("GET", REFUND, nonce="the-same-nonce")
    again = await wechat.pay.call("GET", REFUND, nonce="the-same-nonce")
    assert (first.status_code, again.status_code) == (404, 401)


async def test_the_query_of_the_address_is_part_of_what_is_signed(wechat: World) -> None:
    authorization = wechat.pay.authorization("GET", REFUND, "")
    response = await wechat.pay.call("GET", REFUND + "&x=1", headers={"Authorization": authorization})
    assert response.status_code == 401


async def test_an_hour_of_travel_is_followed_on_both_sides(wechat: World) -> None:
    wechat.travel(3600)
    assert (await wechat.pay.call("GET", REFUND)).status_code == 404
    wechat.pay.offset_s = 0
    assert (await wechat.pay.call("GET", REFUND)).status_code == 401


async def test_answers_are_signed_with_the_public_key_of_the_platform(wechat: World) -> None:
    response = await wechat.pay.query("NO-SUCH-ORDER")
    assert response.status_code == 404
    assert response.headers["wechatpay-serial"] == PUBLIC_KEY_ID
    assert is_signed(response.headers, response.content)
    assert not is_signed(response.headers, response.content + b" ")


async def test_the_caller_chooses_the_key_by_its_serial(wechat: World) -> None:
    person = await wechat.person()
    body = wechat.order("SERIAL-0001", person["openid"])
    target = "/v3/pay/partner/transactions/jsapi"
    for serial, key in ((PLATFORM_SERIAL, PLATFORM_KEY), (PUBLIC_KEY_ID, PUBLIC_KEY_PAIR)):
        response = await wechat.pay.call("POST", target, body, headers={"Wechatpay-Serial": serial})
        assert response.headers["wechatpay-serial"] == serial
        assert is_signed(response.headers, response.content, key)


async def test_a_platform_may_answer_with_its_certificate(tmp_path: Path) -> None:
    async with world(tmp_path, answer_with="certificate") as wechat:
        person = await wechat.person()
        response = await wechat.pay.open(wechat.order("CERT-0001", person["openid"]))
        assert response.headers["wechatpay-serial"] == PLATFORM_SERIAL
        assert is_signed(response.headers, response.content, PLATFORM_KEY)


async def test_an_empty_answer_is_signed_too(wechat: World) -> None:
    person = await wechat.person()
    await wechat.pay.open(wechat.order("EMPTY-0001", person["openid"]))
    response = await wechat.pay.close("EMPTY-0001")
    assert (response.status_code, response.content) == (204, b"")
    assert is_signed(response.headers, b"")


async def test_the_fault_forge_spoils_only_the_signature(wechat: World) -> None:
    await wechat.fault("wechat_pay", "query", "forge", times=1)
    forged, right = await wechat.pay.query("NONE-0001"), await wechat.pay.query("NONE-0001")
    assert forged.status_code == right.status_code == 404
    assert forged.headers["wechatpay-serial"] == PUBLIC_KEY_ID
    assert not is_signed(forged.headers, forged.content)
    assert is_signed(right.headers, right.content)


async def test_certificates_are_sealed_with_the_merchants_own_key(wechat: World) -> None:
    response = await wechat.pay.call("GET", "/v3/certificates")
    assert response.headers["wechatpay-serial"] == PLATFORM_SERIAL
    assert is_signed(response.headers, response.content, PLATFORM_KEY)
    (entry,) = response.json()["data"]
    sealed = entry["encrypt_certificate"]
    assert (sealed["algorithm"], sealed["associated_data"]) == ("AEAD_AES_256_GCM", "certificate")
    opened = AESGCM(API_V3_KEY.encode()).decrypt(
        sealed["nonce"].encode(), base64.b64decode(sealed["ciphertext"]), b"certificate"
    )
    certificate = x509.load_pem_x509_certificate(opened)
    assert f"{certificate.serial_number:X}" == entry["serial_no"] == PLATFORM_SERIAL


@pytest.mark.parametrize("header", ["Accept", "User-Agent", "Content-Type"])
async def test_the_headers_the_sdks_send_are_asked_for(wechat: World, header: str) -> None:
    body = wechat.order("HEADER-0001", (await wechat.person())["openid"])
    spoiled = {"Accept": "text/html", "User-Agent": "", "Content-Type": "text/plain"}[header]
    response = await wechat.pay.call("POST", "/v3/pay/partner/transactions/jsapi", body, headers={header: spoiled})
    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


async def test_an_unknown_address_has_no_answer_of_weight(wechat: World) -> None:
    response = await wechat.pay.call("GET", "/v3/pay/transactions/jsapi")
    assert (response.status_code, response.json()["code"]) == (404, "RESOURCE_NOT_EXISTS")
    assert "wechatpay-signature" not in response.headers
