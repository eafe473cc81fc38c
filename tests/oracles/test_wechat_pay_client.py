"""A foreign client of WeChat Pay judges ours: what we sign it would sign alike, what we believe it believes, and neither a forgery.

It checks no age, no duplicate and no amount, so it may accept more than we do, never less.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

wechatpayv3 = pytest.importorskip("wechatpayv3")

from wechatpayv3 import WeChatPay as ForeignClient  # noqa: E402
from wechatpayv3 import WeChatPayType, utils  # noqa: E402

from core import clock  # noqa: E402
from payments.providers.port import NoticeRefused, OrderTrades  # noqa: E402
from payments.providers.wechat_pay import signing  # noqa: E402
from payments.providers.wechat_pay.notices import WeChatPayNotices  # noqa: E402
from tests.payments.providers.platform import (  # noqa: E402
    API_V3_KEY,
    CERTIFICATE_SERIAL,
    MERCHANT_SERIAL,
    PUBLIC_KEY_ID,
    SP_APPID,
    SP_MCHID,
    certificate_pem,
    make_config,
    notice,
    private_pem,
    public_pem,
    refund,
    rsa_key,
    sealed,
    signed_headers,
    trade,
)

pytestmark = pytest.mark.oracle

BY_CERTIFICATE: dict[str, Any] = {"key": "certificate", "serial": CERTIFICATE_SERIAL}


def foreign(folder: Path | None = None) -> Any:
    """By public key, or by the certificate found in a folder; either way it asks nobody."""
    keys: dict[str, Any] = {"public_key": public_pem("public-key"), "public_key_id": PUBLIC_KEY_ID}
    if folder is not None:
        (folder / "platform.pem").write_text(certificate_pem("certificate", CERTIFICATE_SERIAL))
        keys = {"cert_dir": str(folder)}
    return ForeignClient(
        wechatpay_type=WeChatPayType.MINIPROG,
        mchid=SP_MCHID,
        private_key=private_pem("merchant"),
        cert_serial_no=MERCHANT_SERIAL,
        apiv3_key=API_V3_KEY,
        appid=SP_APPID,
        partner_mode=True,
        **keys,
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v3/pay/partner/transactions/jsapi", {"description": "水费 2026-10", "amount": {"total": 4660}}),
        ("POST", "/v3/pay/partner/transactions/native", {"description": "水费 2026-10", "amount": {"total": 4660}}),
        (
            "POST",
            "/v3/pay/partner/transactions/h5",
            {"scene_info": {"payer_client_ip": "14.17.22.32", "h5_info": {"type": "Wap"}}, "amount": {"total": 4660}},
        ),
        ("GET", "/v3/pay/partner/transactions/out-trade-no/LB1234?sp_mchid=1&sub_mchid=2", None),
        (
            "POST",
            "/v3/combine-transactions/jsapi",
            {"sub_orders": [{"description": "水费", "amount": {"total_amount": 4660}}]},
        ),
        ("POST", "/v3/combine-transactions/out-trade-no/LB1234/close", {"sub_orders": [{"sub_mchid": "2"}]}),
    ],
)
def test_it_would_write_the_same_authorization(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    now = clock.now()
    text = json.dumps(body) if body is not None else ""
    ours = signing.authorization(make_config(), method, path, text.encode(), now)
    nonce = ours.split('nonce_str="')[1].split('"')[0]
    monkeypatch.setattr(time, "time", lambda: now.timestamp())
    theirs = utils.build_authorization(path, method, SP_MCHID, MERCHANT_SERIAL, rsa_key("merchant"), body, nonce)
    assert ours == theirs


def test_it_would_sign_the_parameters_of_the_cashier_alike() -> None:
    ours = signing.client_params(make_config(), "wx201410272009395522657a690389285100", clock.now())
    theirs = foreign().sign([SP_APPID, ours["timeStamp"], ours["nonceStr"], ours["package"]])
    assert ours["paySign"] == theirs


@pytest.mark.parametrize("by_certificate", [False, True])
@pytest.mark.parametrize("kind", ["transaction", "combined", "refund"])
def test_both_believe_and_open_the_same_notice(tmp_path: Path, by_certificate: bool, kind: str) -> None:
    resource = {"transaction": trade, "combined": _combined, "refund": _refunded}[kind]()
    of_refund = kind == "refund"
    body = notice(
        resource, "REFUND.SUCCESS" if of_refund else "TRANSACTION.SUCCESS", "refund" if of_refund else "transaction"
    )
    headers = signed_headers(body, **(BY_CERTIFICATE if by_certificate else {}))
    theirs = foreign(tmp_path if by_certificate else None).callback(headers, body)
    ours = WeChatPayNotices(make_config()).verify_notice(headers, body, clock.now())
    assert theirs["id"] == ours.id
    assert theirs["resource"] == resource
    assert ours.resource is not None
    told = list(ours.resource.trades) if isinstance(ours.resource, OrderTrades) else [ours.resource]
    said = theirs["resource"].get("sub_orders", [theirs["resource"]])
    assert [one.order_no for one in told] == [one["out_trade_no"] for one in said]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers, body: (headers, body.replace(b"TRANSACTION", b"TRANSACTIOM")),
        lambda headers, body: (headers | {"Wechatpay-Nonce": "0" * 32}, body),
        lambda headers, body: (headers | {"Wechatpay-Timestamp": str(int(headers["Wechatpay-Timestamp"]) + 1)}, body),
        lambda headers, body: (headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/AAAA"}, body),
        lambda _headers, body: (signed_headers(body, key="stranger"), body),
    ],
)
def test_neither_believes_a_forgery(spoil: Any) -> None:
    body = notice(trade())
    headers, body = spoil(signed_headers(body), body)
    assert foreign().callback(headers, body) is None
    with pytest.raises(NoticeRefused):
        WeChatPayNotices(make_config()).verify_notice(headers, body, clock.now())


def test_both_open_what_the_platform_seals_and_nothing_sealed_with_another_key() -> None:
    box = sealed("付款码".encode(), "transaction")
    parts = (box["nonce"], box["ciphertext"], box["associated_data"])
    assert utils.aes_decrypt(*parts, API_V3_KEY) == "付款码"
    opened = signing.decrypt(API_V3_KEY.encode(), box["nonce"], box["associated_data"], box["ciphertext"])
    assert opened.decode() == "付款码"
    assert utils.aes_decrypt(*parts, "x" * 32) is None
    with pytest.raises(ValueError, match="does not open"):
        signing.decrypt(b"x" * 32, box["nonce"], box["associated_data"], box["ciphertext"])


def _combined() -> dict[str, Any]:
    sub_orders = [
        {
            name: value
            for name, value in trade(out_trade_no=f"LB2026112300000{place}").items()
            if not name.startswith("sp_")
        }
        | {
            "mchid": SP_MCHID,
            "transaction_id": f"42000020261123{place}",
            "amount": {"total_amount": place, "currency": "CNY"},
        }
        for place in (1, 2)
    ]
    return {
        "combine_appid": SP_APPID, "combine_mchid": SP_MCHID, "combine_out_trade_no": "LBC20261123000001", "sub_orders": sub_orders,
        "combine_payer_info": {"openid": "oPayer"},
    }  # fmt: skip


def _refunded() -> dict[str, Any]:
    resource = refund(refund_status="SUCCESS")
    del resource["status"]
    return resource
