"""A notice moves money: whatever is not exactly the platform's fresh word is refused before it is read."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from payments.providers.port import NoticeRefused, OrderTrades, RefundAnswer, RefundState, TradeState
from payments.providers.wechat_pay.notices import WeChatPayNotices
from tests.payments.providers.platform import (
    CERTIFICATE_SERIAL,
    SP_MCHID,
    SUB_MCHID,
    make_config,
    notice,
    refund,
    sealed,
    signed_headers,
    trade,
)

NOW = datetime(2026, 11, 23, 2, 2, 13, tzinfo=UTC)
NOTICES = WeChatPayNotices(make_config())
BODY = notice(trade())


def refund_resource(**more: Any) -> dict[str, Any]:
    """As in notices: ``refund_status``, the merchants, and neither currency nor app."""
    resource = refund(sp_mchid=SP_MCHID, sub_mchid=SUB_MCHID, refund_status="SUCCESS", **more)
    del resource["status"]
    resource["amount"] = {"total": 4660, "refund": 1000, "payer_total": 4600, "payer_refund": 990}
    return resource


def refusal(headers: Any, body: bytes = BODY, now: datetime = NOW) -> str:
    with pytest.raises(NoticeRefused) as caught:
        NOTICES.verify_notice(headers, body, now)
    return caught.value.reason


@pytest.mark.parametrize("signed", [{}, {"key": "certificate", "serial": CERTIFICATE_SERIAL}])
def test_a_payment_is_read_whichever_platform_key_signed_it(signed: dict[str, str]) -> None:
    found = NOTICES.verify_notice(signed_headers(BODY, at=NOW, **signed), BODY, NOW)
    assert (found.id, found.event_type) == ("EV-2018022511223320873", "TRANSACTION.SUCCESS")
    assert isinstance(found.resource, OrderTrades)
    (told,) = found.resource.trades
    assert found.resource.number == told.order_no
    assert (told.state, told.amount_fen, told.currency) == (TradeState.PAID, 4660, "CNY")
    assert (told.platform_merchant, told.merchant) == (SP_MCHID, SUB_MCHID)


@pytest.mark.parametrize(
    ("event", "word", "state"),
    [
        ("REFUND.SUCCESS", "SUCCESS", RefundState.SUCCESS),
        ("REFUND.ABNORMAL", "ABNORMAL", RefundState.ABNORMAL),
        ("REFUND.CLOSED", "CLOSED", RefundState.CLOSED),
    ],
)
def test_a_refund_is_read_from_its_own_spelling(event: str, word: str, state: RefundState) -> None:
    body = notice(refund_resource() | {"refund_status": word}, event, "refund")
    found = NOTICES.verify_notice(signed_headers(body, at=NOW), body, NOW)
    assert isinstance(found.resource, RefundAnswer)
    assert (found.resource.state, found.resource.refund_fen, found.resource.merchant) == (state, 1000, SUB_MCHID)
    assert found.resource.currency is None


def test_header_names_come_in_any_case_and_the_signature_type_may_be_missing() -> None:
    headers = {name.lower(): value for name, value in signed_headers(BODY, at=NOW).items()}
    assert NOTICES.verify_notice(headers, BODY, NOW)
    del headers["wechatpay-signature-type"]
    assert NOTICES.verify_notice(headers, BODY, NOW)


@pytest.mark.parametrize("name", ["Timestamp", "Nonce", "Signature", "Serial"])
def test_each_header_stands_exactly_once(name: str) -> None:
    headers = signed_headers(BODY, at=NOW)
    key = f"Wechatpay-{name}"
    assert refusal([*headers.items(), (key.upper(), headers[key])]) == "header_twice"
    del headers[key]
    assert refusal(headers) == "header_missing"


@pytest.mark.parametrize("late_s", [-300, 300])
def test_at_the_edge_of_five_minutes_it_is_still_fresh(late_s: int) -> None:
    assert NOTICES.verify_notice(signed_headers(BODY, at=NOW), BODY, NOW + timedelta(seconds=late_s))


@pytest.mark.parametrize("late_s", [-301, 301, 86_400])
def test_beyond_five_minutes_either_way_it_is_stale(late_s: int) -> None:
    assert refusal(signed_headers(BODY, at=NOW), now=NOW + timedelta(seconds=late_s)) == "stale"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Wechatpay-Serial": "PUB_KEY_ID_0999"}, "serial_unknown"),
        ({"Wechatpay-Serial": "DEADBEEF"}, "serial_unknown"),
        ({"Wechatpay-Serial": "zz"}, "serial_unknown"),
        ({"Wechatpay-Serial": ""}, "serial_unknown"),
        ({"Wechatpay-Serial": "0x" + CERTIFICATE_SERIAL}, "serial_unknown"),
        ({"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abc"}, "signtest"),
        ({"Wechatpay-Signature": "not base64"}, "signature"),
        ({"Wechatpay-Signature": ""}, "signature"),
        ({"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}, "signature_type"),
        ({"Wechatpay-Timestamp": "１７９５"}, "header_malformed"),
        ({"Wechatpay-Timestamp": "1795000000.5"}, "header_malformed"),
        ({"Wechatpay-Nonce": ""}, "header_malformed"),
        ({"Wechatpay-Nonce": "a\nb"}, "header_malformed"),
        ({"Wechatpay-Nonce": "other"}, "signature"),
    ],
)
def test_headers_that_were_changed_are_refused(change: dict[str, str], reason: str) -> None:
    assert refusal(signed_headers(BODY, at=NOW) | change) == reason


def test_the_signature_test_of_the_platform_is_refused_even_without_a_known_serial() -> None:
    headers = signed_headers(BODY, at=NOW) | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/x", "Wechatpay-Serial": "?"}
    assert refusal(headers) == "signtest"


def test_a_stranger_and_a_changed_body_are_refused() -> None:
    assert refusal(signed_headers(BODY, key="stranger", at=NOW)) == "signature"
    assert refusal(signed_headers(BODY, at=NOW), BODY.replace(b"EV-2018", b"EV-2019")) == "signature"
    assert refusal(signed_headers(BODY, at=NOW), BODY + b" ") == "signature"


def test_a_body_above_the_cap_is_refused_before_anything_else() -> None:
    large = BODY + b" " * 65_536
    assert refusal(signed_headers(large, at=NOW), large) == "too_large"


SEALED = sealed(json.dumps(trade()).encode(), "transaction")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "not_json"),
        (b"[]", "wrong_shape"),
        (b'{"id": "a", "id": "b"}', "duplicate_key"),
        (notice(trade(), resource=SEALED | {"algorithm": "AEAD_SM4_GCM"}), "algorithm"),
        (notice(trade(), resource=SEALED | {"nonce": "short"}), "ciphertext"),
        (notice(trade(), resource=SEALED | {"associated_data": "refund"}), "ciphertext"),
        (notice(trade(), resource=SEALED | {"ciphertext": "AAAA"}), "ciphertext"),
        (notice(trade(), resource=SEALED | {"ciphertext": "中文"}), "ciphertext"),
        (notice(trade(), resource=sealed(b"{}", "transaction", "x" * 32)), "ciphertext"),
        (notice(trade(), resource=sealed(json.dumps(trade()).encode(), "t", nonce_bytes=16)), "ciphertext"),
        (notice(trade(), resource=sealed(b"{}", "transaction")), "wrong_shape"),
        (notice(trade(), resource=sealed(b'{"out_trade_no": "a", "out_trade_no": "b"}', "t")), "duplicate_key"),
        (notice(trade(), resource=None), "wrong_shape"),
        (notice(trade(), id="x" * 37), "wrong_shape"),
        (notice(trade(trade_state="SETTLED")), "state_unknown"),
        (notice(trade(amount={"total": 46.6, "currency": "CNY"})), "wrong_shape"),
        (notice(trade(), "REFUND.SUCCESS"), "wrong_shape"),
    ],
)
def test_what_is_signed_but_no_notice_is_refused(body: bytes, reason: str) -> None:
    assert refusal(signed_headers(body, at=NOW), body) == reason


def test_an_event_of_another_kind_is_kept_without_a_resource_and_loud() -> None:
    body = notice({"anything": 1}, "COUPON.USE", "coupon")
    with structlog.testing.capture_logs() as logs:
        found = NOTICES.verify_notice(signed_headers(body, at=NOW), body, NOW)
    assert (found.event_type, found.resource) == ("COUPON.USE", None)
    assert [entry["event"] for entry in logs] == ["wechat_pay.event_unknown"]


def test_from_the_inbox_a_notice_opens_however_old_it_is() -> None:
    assert NOTICES.open_notice(BODY).id == "EV-2018022511223320873"
    with pytest.raises(NoticeRefused):
        NOTICES.open_notice(BODY[:-1])


def test_a_notice_shows_neither_payer_nor_plaintext_in_a_log() -> None:
    assert "oPayer" not in repr(NOTICES.open_notice(BODY))
