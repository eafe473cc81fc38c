"""What we ask of WeChat Pay, and that only its signed word counts."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from core import clock
from core.outbound import Counterpart, FailureKind, MalformedAnswer, NotSent, OutcomeUnknown
from payments.providers.port import (
    CloseOutcome,
    HandleStale,
    Method,
    OrderPart,
    OrderRequest,
    OrderTrades,
    PaymentProvider,
    ProviderRefused,
    RefundRequest,
    RefundState,
    Trade,
    TradeState,
)
from payments.providers.wechat_pay.client import WeChatPay
from payments.providers.wechat_pay.notices import WeChatPayNotices
from tests.core.wire import drop, hang, nobody_listens, wire
from tests.payments.providers.platform import (
    API_V3_KEY,
    CERTIFICATE_SERIAL,
    PUBLIC_KEY_ID,
    SP_APPID,
    SP_MCHID,
    SUB_MCHID,
    FakeWeChatPay,
    Reply,
    certificate_pem,
    json_reply,
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

ORDER_NO, REFUND_NO = "LB20261123000001", "LBR20261123000001"
PART = OrderPart(ORDER_NO, SUB_MCHID, 4660, "水费 2026-10")
ORDER = OrderRequest(
    ORDER_NO,
    Method.JSAPI,
    (PART,),
    datetime(2026, 11, 23, 2, 30, tzinfo=UTC),
    "https://pay.lianban.example/callbacks/wechat-pay",
    payer="oPayer",
)
REFUND = RefundRequest(REFUND_NO, ORDER_NO, SUB_MCHID, 1000, 4660, "多收退回", "https://pay.lianban.example/r")
BY_CERTIFICATE = {"key": "certificate", "serial": CERTIFICATE_SERIAL}


@pytest.fixture
def pay() -> FakeWeChatPay:
    return FakeWeChatPay()


class TestOrders:
    async def test_an_order_is_opened_in_partner_mode(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, {"prepay_id": "wx201410272009395522657a690389285100"}))
        opened = await pay.provider().create_order(ORDER)
        assert opened.handle == "wx201410272009395522657a690389285100"
        method, target, body = pay.calls[0]
        assert (method, target) == ("POST", "/v3/pay/partner/transactions/jsapi")
        assert body == {
            "sp_appid": SP_APPID,
            "sp_mchid": SP_MCHID,
            "sub_mchid": SUB_MCHID,
            "description": "水费 2026-10",
            "out_trade_no": ORDER_NO,
            "time_expire": "2026-11-23T10:30:00+08:00",
            "notify_url": "https://pay.lianban.example/callbacks/wechat-pay",
            "amount": {"total": 4660, "currency": "CNY"},
            "payer": {"sp_openid": "oPayer"},
        }
        assert pay.headers[0]["wechatpay-serial"] == PUBLIC_KEY_ID

    async def test_without_a_public_key_no_serial_is_asked_for(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, {"prepay_id": "p"}, BY_CERTIFICATE))
        await pay.provider(make_config(public_key_id=None, public_key=None)).create_order(ORDER)
        assert "wechatpay-serial" not in pay.headers[0]

    def test_the_parameters_of_the_cashier_are_signed_fresh(self, pay: FakeWeChatPay) -> None:
        provider = pay.provider()
        first, second = (provider.client_params(Method.JSAPI, "wx2014") for _ in range(2))
        assert first["nonceStr"] != second["nonceStr"]
        assert set(first) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
        assert (first["appId"], first["package"], first["signType"]) == (SP_APPID, "prepay_id=wx2014", "RSA")
        assert abs(int(first["timeStamp"]) - clock.timestamp()) < 5
        message = f"{SP_APPID}\n{first['timeStamp']}\n{first['nonceStr']}\nprepay_id=wx2014\n".encode()
        public = rsa_key("merchant").public_key()
        public.verify(base64.b64decode(first["paySign"]), message, padding.PKCS1v15(), hashes.SHA256())

    @pytest.mark.parametrize(
        "change",
        [
            {"order_no": "short"},
            {"order_no": "x" * 33},
            {"order_no": "LB2026/0001"},
            {"order_no": "ＬＢ20261123"},
            {"amount_fen": 0},
            {"description": ""},
            {"description": "水" * 128},
            {"expires_at": datetime(2026, 11, 23)},  # noqa: DTZ001
            {"notify_url": "https://x/notify?a=1"},
            {"notify_url": "ftp://x"},
        ],
    )
    async def test_an_order_that_breaks_the_rules_is_not_sent(self, pay: FakeWeChatPay, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"order|description|expires_at|notify"):
            await pay.provider().create_order(_spoiled(change))
        assert pay.calls == []


class TestQueries:
    async def test_a_paid_trade_is_stated_with_its_total_and_not_with_what_the_payer_gave(
        self, pay: FakeWeChatPay
    ) -> None:
        pay.replies(json_reply(200, trade()))
        found = await only_trade(pay)
        assert (found.state, found.amount_fen, found.currency) == (TradeState.PAID, 4660, "CNY")
        assert (found.platform_merchant, found.merchant, found.app) == (SP_MCHID, SUB_MCHID, SP_APPID)
        assert (found.transaction_id, found.payer) == ("4200002026112300000000000001", "oPayer")
        assert found.succeeded_at == datetime(2026, 11, 23, 2, 2, 11, tzinfo=UTC)
        query = f"?sp_mchid={SP_MCHID}&sub_mchid={SUB_MCHID}"
        assert pay.calls[0] == ("GET", f"/v3/pay/partner/transactions/out-trade-no/{ORDER_NO}{query}", None)

    @pytest.mark.parametrize(
        ("word", "state"),
        [
            ("NOTPAY", TradeState.NOT_PAID),
            ("REFUND", TradeState.REFUNDED),
            ("CLOSED", TradeState.CLOSED),
            ("REVOKED", TradeState.CLOSED),
            ("USERPAYING", TradeState.PAYING),
            ("PAYERROR", TradeState.FAILED),
        ],
    )
    async def test_each_state_has_its_word(self, pay: FakeWeChatPay, word: str, state: TradeState) -> None:
        pay.replies(json_reply(200, trade(trade_state=word)))
        found = await only_trade(pay)
        assert found.state is state

    async def test_an_unpaid_trade_has_no_amount_rather_than_zero(self, pay: FakeWeChatPay) -> None:
        body = trade(trade_state="NOTPAY")
        for name in ("amount", "payer", "transaction_id", "success_time"):
            del body[name]
        pay.replies(json_reply(200, body))
        found = await only_trade(pay)
        assert (found.amount_fen, found.currency, found.transaction_id) == (None, None, None)

    @pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST"])
    async def test_an_order_nobody_knows_is_none_in_either_spelling(self, pay: FakeWeChatPay, code: str) -> None:
        pay.replies(json_reply(404, {"code": code, "message": "订单不存在"}))
        assert await pay.provider().query(ORDER.name) is None

    async def test_an_unsigned_404_does_not_say_that_there_is_no_order(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(404, {"code": "ORDER_NOT_EXIST"}, unsigned=True))
        with pytest.raises(OutcomeUnknown):
            await pay.provider().query(ORDER.name)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"out_trade_no": "LB20261123000002"}, "other_order"),
            ({"sub_mchid": "1900000102"}, "other_order"),
            ({"trade_state": "SETTLED"}, "state_unknown"),
            ({"amount": {"total": 46.6}}, "wrong_shape"),
            ({"amount": {"total": 0}}, "wrong_shape"),
            ({"amount": {"total": "4660"}}, "wrong_shape"),
            ({"success_time": "2026-11-23T10:02:11"}, "wrong_shape"),
        ],
    )
    async def test_an_answer_to_another_question_or_of_another_shape_is_malformed(
        self, pay: FakeWeChatPay, change: dict[str, Any], reason: str
    ) -> None:
        pay.replies(json_reply(200, trade(**change)))
        await malformed(pay.provider().query(ORDER.name), reason)


class TestClosing:
    async def test_a_204_is_verified_too(self, pay: FakeWeChatPay) -> None:
        pay.replies(Reply(204))
        assert await pay.provider().close(ORDER.name) is CloseOutcome.CLOSED
        target = f"/v3/pay/partner/transactions/out-trade-no/{ORDER_NO}/close"
        assert pay.calls[0] == ("POST", target, {"sp_mchid": SP_MCHID, "sub_mchid": SUB_MCHID})
        pay.replies(Reply(204, signed=None))
        await malformed(pay.provider().close(ORDER.name), "signature.header_missing")

    @pytest.mark.parametrize(
        ("status", "code", "outcome"),
        [
            (400, "ORDER_PAID", CloseOutcome.ALREADY_PAID),
            (400, "ORDERPAID", CloseOutcome.ALREADY_PAID),
            (400, "ORDER_CLOSED", CloseOutcome.CLOSED),
            (404, "ORDERNOTEXIST", CloseOutcome.UNKNOWN_ORDER),
        ],
    )
    async def test_what_became_of_it_otherwise(
        self, pay: FakeWeChatPay, status: int, code: str, outcome: CloseOutcome
    ) -> None:
        pay.replies(json_reply(status, {"code": code}))
        assert await pay.provider().close(ORDER.name) is outcome


class TestRefunds:
    async def test_a_refund_names_order_amounts_and_merchant(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, refund()))
        answer = await pay.provider().refund(REFUND)
        assert (answer.state, answer.refund_fen, answer.total_fen) == (RefundState.PROCESSING, 1000, 4660)
        assert answer.refund_id == "50000000382019052709732678859"
        method, target, body = pay.calls[0]
        assert (method, target) == ("POST", "/v3/refund/domestic/refunds")
        assert body["amount"] == {"refund": 1000, "total": 4660, "currency": "CNY"}
        assert (body["sub_mchid"], body["out_trade_no"], body["out_refund_no"]) == (SUB_MCHID, ORDER_NO, REFUND_NO)

    @pytest.mark.parametrize("state", list(RefundState))
    async def test_a_query_states_what_became_of_it(self, pay: FakeWeChatPay, state: RefundState) -> None:
        pay.replies(json_reply(200, refund(status=state.value.upper())))
        answer = await pay.provider().query_refund(REFUND)
        assert answer is not None
        assert answer.state is state
        assert pay.calls[0][1] == f"/v3/refund/domestic/refunds/{REFUND_NO}?sub_mchid={SUB_MCHID}"

    async def test_a_refund_nobody_knows_is_none(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(404, {"code": "RESOURCE_NOT_EXISTS"}))
        assert await pay.provider().query_refund(REFUND) is None

    async def test_too_small_a_balance_is_temporary(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(403, {"code": "NOT_ENOUGH", "message": "基本账户余额不足"}))
        with pytest.raises(ProviderRefused) as caught:
            await pay.provider().refund(REFUND)
        assert (caught.value.provider_code, caught.value.kind) == ("NOT_ENOUGH", FailureKind.TEMPORARY)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"out_refund_no": "LBR2"}, "other_refund"),
            ({"status": "DONE"}, "state_unknown"),
            ({"status": None}, "state_unknown"),
            ({"amount": {"total": 4660}}, "wrong_shape"),
        ],
    )
    async def test_an_answer_that_is_not_about_this_refund_is_malformed(
        self, pay: FakeWeChatPay, change: dict[str, Any], reason: str
    ) -> None:
        pay.replies(json_reply(200, refund(**change)))
        await malformed(pay.provider().refund(REFUND), reason)

    @pytest.mark.parametrize(
        "change",
        [{"refund_fen": 0}, {"refund_fen": 4661}, {"refund_no": ""}, {"refund_no": "a/b"}, {"reason": "x" * 81}],
    )
    async def test_a_refund_that_breaks_the_rules_is_not_sent(self, pay: FakeWeChatPay, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"refund|reason"):
            await pay.provider().refund(_changed(REFUND, change))
        assert pay.calls == []

    async def test_numbers_with_signs_are_signed_as_they_are_sent(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, refund(out_refund_no="R|1*@-_")))
        assert await pay.provider().query_refund(_changed(REFUND, {"refund_no": "R|1*@-_"}))


COMBINED = OrderRequest(
    "LBC20261123000001",
    Method.JSAPI,
    (PART, OrderPart("LB20261123000002", "1900000103", 801, "燃气费 2026-10")),
    datetime(2026, 11, 23, 2, 30, tzinfo=UTC),
    "https://pay.lianban.example/callbacks/wechat-pay",
    payer="oPayer",
)


def combined_trade(**more: Any) -> dict[str, Any]:
    sub_orders = [
        {
            "mchid": SP_MCHID, "sub_mchid": part.merchant, "out_trade_no": part.order_no, "trade_type": "JSAPI", "trade_state": "SUCCESS",
            "transaction_id": f"4200{part.order_no}", "success_time": "2026-11-23T10:02:11+08:00", "attach": "LBC20261123000001",
            "amount": {"total_amount": part.amount_fen, "payer_amount": 1, "currency": "CNY", "payer_currency": "CNY"},
        }
        for part in COMBINED.parts
    ]  # fmt: skip
    return {
        "combine_appid": SP_APPID,
        "combine_mchid": SP_MCHID,
        "combine_out_trade_no": COMBINED.number,
        "sub_orders": sub_orders,
        "combine_payer_info": {"openid": "oPayer"},
    } | more


class TestCombinedOrders:
    async def test_one_order_names_every_merchant_and_the_platform_s_own_field_names(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, {"prepay_id": "wx2026"}))
        assert (await pay.provider().create_order(COMBINED)).handle == "wx2026"
        method, target, body = pay.calls[0]
        assert (method, target) == ("POST", "/v3/combine-transactions/jsapi")
        assert (body["combine_appid"], body["combine_mchid"], body["combine_out_trade_no"]) == (
            SP_APPID,
            SP_MCHID,
            COMBINED.number,
        )
        assert body["combine_payer_info"] == {"openid": "oPayer"}
        assert [(item["mchid"], item["sub_mchid"], item["amount"]) for item in body["sub_orders"]] == [
            (SP_MCHID, SUB_MCHID, {"total_amount": 4660, "currency": "CNY"}),
            (SP_MCHID, "1900000103", {"total_amount": 801, "currency": "CNY"}),
        ]
        assert all(item["attach"] for item in body["sub_orders"]), "required, unlike in an ordinary order"

    @pytest.mark.parametrize(
        ("method", "answer", "more"),
        [
            (Method.NATIVE, {"code_url": "weixin://wxpay/bizpayurl?pr=x"}, {}),
            (Method.H5, {"h5_url": "https://wx.tenpay.com/x?y=1"}, {"payer_ip": "14.17.22.32"}),
        ],
    )
    async def test_other_methods_have_their_own_address_and_handle(
        self, pay: FakeWeChatPay, method: Method, answer: dict[str, str], more: dict[str, Any]
    ) -> None:
        pay.replies(json_reply(200, answer))
        order = _changed(COMBINED, {"method": method, "payer": None, **more})
        opened = await pay.provider().create_order(order)
        assert pay.provider().client_params(method, opened.handle) == {"url": next(iter(answer.values()))}
        assert pay.calls[0][1] == f"/v3/combine-transactions/{method}"
        await malformed(pay.provider().create_order(COMBINED), "wrong_shape")

    @pytest.mark.parametrize(
        "change",
        [
            {"number": ORDER_NO},
            {"parts": (PART, PART)},
            {"parts": ()},
            {"payer": None},
            {"method": Method.H5, "payer": None},
        ],
        ids=["number of a part", "part twice", "no part", "no payer", "no address"],
    )
    async def test_an_order_that_breaks_the_rules_is_not_sent(self, pay: FakeWeChatPay, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="order"):
            await pay.provider().create_order(_changed(COMBINED, change))
        assert pay.calls == []

    async def test_a_query_states_each_part_s_total(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, combined_trade()))
        found = await pay.provider().query(COMBINED.name)
        assert found is not None
        assert pay.calls[0][1] == f"/v3/combine-transactions/out-trade-no/{COMBINED.number}"
        assert [(one.order_no, one.merchant, one.amount_fen, one.state) for one in found.trades] == [
            (part.order_no, part.merchant, part.amount_fen, TradeState.PAID) for part in COMBINED.parts
        ]
        assert {(one.platform_merchant, one.app, one.currency) for one in found.trades} == {(SP_MCHID, SP_APPID, "CNY")}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"combine_out_trade_no": "LBC20261123000002"}, "other_order"),
            ({"sub_orders": combined_trade()["sub_orders"][:1]}, "other_order"),
            ({"sub_orders": [item | {"mchid": "1"} for item in combined_trade()["sub_orders"]]}, "state_unknown"),
            ({"sub_orders": [item | {"trade_state": "DONE"} for item in combined_trade()["sub_orders"]]}, "state_unknown"),
            ({"sub_orders": []}, "wrong_shape"),
        ],
        ids=["other number", "a part missing", "started by another", "unknown state", "no parts"],
    )  # fmt: skip
    async def test_an_answer_about_something_else_is_malformed(
        self, pay: FakeWeChatPay, change: dict[str, Any], reason: str
    ) -> None:
        pay.replies(json_reply(200, combined_trade(**change)))
        await malformed(pay.provider().query(COMBINED.name), reason)

    async def test_a_close_names_exactly_the_parts(self, pay: FakeWeChatPay) -> None:
        pay.replies(Reply(204))
        assert await pay.provider().close(COMBINED.name) is CloseOutcome.CLOSED
        method, target, body = pay.calls[0]
        assert (method, target) == ("POST", f"/v3/combine-transactions/out-trade-no/{COMBINED.number}/close")
        named = [(item["mchid"], item["sub_mchid"], item["out_trade_no"]) for item in body["sub_orders"]]
        assert named == [(SP_MCHID, part.merchant, part.order_no) for part in COMBINED.parts]

    async def test_a_notice_of_either_kind_is_told_by_its_number(self) -> None:
        notices = WeChatPayNotices(make_config())
        for plain, number, count in ((trade(), ORDER_NO, 1), (combined_trade(), COMBINED.number, 2)):
            body = notice(plain)
            told = notices.verify_notice(signed_headers(body), body, clock.now()).resource
            assert isinstance(told, OrderTrades)
            assert (told.number, len(told.trades)) == (number, count)


class TestWhoseWordCounts:
    async def test_both_the_public_key_and_the_certificate_are_believed(self, pay: FakeWeChatPay) -> None:
        provider = pay.provider()
        for signed in ({}, BY_CERTIFICATE, BY_CERTIFICATE | {"serial": CERTIFICATE_SERIAL.lower()}):
            pay.replies(json_reply(200, trade(), signed))
            assert await provider.query(ORDER.name)

    @pytest.mark.parametrize(
        ("signed", "reason"),
        [
            ({"key": "stranger"}, "signature.signature"),
            ({"serial": "PUB_KEY_ID_0999"}, "signature.serial_unknown"),
            ({"serial": "ABCDEF"}, "signature.serial_unknown"),
            ({"serial": "not-hex"}, "signature.serial_unknown"),
            ({"serial": CERTIFICATE_SERIAL}, "signature.signature"),
            ({"at": timedelta(seconds=-302)}, "signature.stale"),
            ({"at": timedelta(seconds=302)}, "signature.stale"),
        ],
    )
    async def test_a_200_with_another_signature_is_nobodys_word(
        self, pay: FakeWeChatPay, signed: dict[str, Any], reason: str
    ) -> None:
        if isinstance(signed.get("at"), timedelta):
            signed = signed | {"at": clock.now() + signed["at"]}
        pay.replies(json_reply(200, trade(), signed))
        await malformed(pay.provider().query(ORDER.name), reason)
        assert len(pay.calls) == 1, "an unknown serial is no reason to call anybody"

    async def test_an_expired_certificate_is_unknown(self, pay: FakeWeChatPay) -> None:
        old = certificate_pem("certificate", CERTIFICATE_SERIAL, days=10)
        pay.replies(json_reply(200, trade(), BY_CERTIFICATE))
        provider = pay.provider(make_config(platform_certificates=[old]))
        await malformed(provider.query(ORDER.name), "signature.serial_unknown")

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (400, "PARAM_ERROR", FailureKind.TECHNICAL),
            (400, "INVALID_REQUEST", FailureKind.TECHNICAL),
            (401, "SIGN_ERROR", FailureKind.TECHNICAL),
            (403, "RULELIMIT", FailureKind.PERMANENT),
            (429, "FREQUENCY_LIMITED", FailureKind.TEMPORARY),
            (429, "RATELIMIT_EXCEEDED", FailureKind.TEMPORARY),
            (500, "OPENID_MISMATCH", FailureKind.PERMANENT),
        ],
    )
    async def test_a_signed_refusal_says_whose_fault_it_is(
        self, pay: FakeWeChatPay, status: int, code: str, kind: FailureKind
    ) -> None:
        pay.replies(json_reply(status, {"code": code, "message": "x"}))
        with pytest.raises(ProviderRefused) as caught:
            await pay.provider().create_order(ORDER)
        assert caught.value.kind is kind

    @pytest.mark.parametrize(
        "reply",
        [
            json_reply(500, {"code": "SYSTEM_ERROR"}),
            json_reply(500, {"code": "SYSTEMERROR"}),
            json_reply(400, {"code": "NEVER_SEEN"}),
            json_reply(400, {"code": "PARAM_ERROR"}, unsigned=True),
            json_reply(400, {"code": "ORDER_PAID"}, {"key": "stranger"}),
            json_reply(502, {}, unsigned=True),
            Reply(400, b"<html>"),
            json_reply(302, {}),
        ],
    )
    async def test_everything_else_is_unknown_and_to_be_asked_about(self, pay: FakeWeChatPay, reply: Reply) -> None:
        pay.replies(reply)
        with pytest.raises(OutcomeUnknown):
            await pay.provider().refund(REFUND)

    async def test_an_unknown_code_is_loud(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(400, {"code": "NEVER_SEEN"}))
        with structlog.testing.capture_logs() as logs, pytest.raises(OutcomeUnknown):
            await pay.provider().refund(REFUND)
        assert [entry["log_level"] for entry in logs if entry["event"] == "wechat_pay.code_unknown"] == ["error"]

    async def test_a_200_with_an_error_inside_is_no_success(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, {"code": "ORDER_PAID", "message": "x"}))
        await malformed(pay.provider().create_order(ORDER), "wrong_shape")


class TestCertificates:
    NEW = "6E00000000000000000000000000000000000002"

    def listed(self, *pems: str, key: str = API_V3_KEY) -> dict[str, Any]:
        return {
            "data": [
                {
                    "serial_no": self.NEW,
                    "effective_time": "2026-01-01T00:00:00+08:00",
                    "expire_time": "2031-01-01T00:00:00+08:00",
                    "encrypt_certificate": sealed(pem.encode(), "certificate", key),
                }
                for pem in pems
            ]
        }

    async def test_a_refresh_adds_a_certificate_and_keeps_the_old_one(self, pay: FakeWeChatPay) -> None:
        provider, new = pay.provider(), certificate_pem("new", self.NEW)
        pay.replies(json_reply(200, self.listed(new)))
        assert await provider.refresh_certificates() == (new,)
        assert pay.calls[0][:2] == ("GET", "/v3/certificates")
        for signed in ({"key": "new", "serial": self.NEW}, BY_CERTIFICATE):
            pay.replies(json_reply(200, trade(), signed))
            assert await provider.query(ORDER.name)

    async def test_a_list_signed_by_one_of_its_own_is_believed_since_it_is_sealed_with_our_key(
        self, pay: FakeWeChatPay
    ) -> None:
        new = certificate_pem("new", self.NEW)
        pay.replies(json_reply(200, self.listed(new), {"key": "new", "serial": self.NEW}))
        assert await pay.provider().refresh_certificates() == (new,)

    @pytest.mark.parametrize(
        ("key", "signed"),
        [
            (API_V3_KEY, {"key": "stranger"}),
            (API_V3_KEY, {"key": "stranger", "serial": NEW}),
            (API_V3_KEY, {"key": "stranger", "serial": "AA"}),
            ("x" * 32, {}),
        ],
    )
    async def test_a_list_by_a_stranger_changes_nothing(
        self, pay: FakeWeChatPay, key: str, signed: dict[str, Any]
    ) -> None:
        provider, new = pay.provider(), certificate_pem("new", self.NEW)
        pay.replies(json_reply(200, self.listed(new, key=key), signed))
        with pytest.raises(MalformedAnswer):
            await provider.refresh_certificates()
        pay.replies(json_reply(200, trade(), {"key": "new", "serial": self.NEW}))
        await malformed(provider.query(ORDER.name), "signature.serial_unknown")

    async def test_a_merchant_without_certificates_gets_an_empty_list(self, pay: FakeWeChatPay) -> None:
        pay.replies(json_reply(200, {"data": []}))
        assert await pay.provider().refresh_certificates() == ()


@pytest.mark.parametrize("behaviour", [drop, hang])
async def test_a_connection_that_breaks_or_hangs_leaves_the_outcome_unknown(behaviour: Any) -> None:
    async with wire(behaviour) as there:
        provider = WeChatPay(make_config(), Counterpart("wechat_pay", there.url, timeout=timedelta(milliseconds=200)))
        with pytest.raises(OutcomeUnknown):
            await provider.create_order(ORDER)
        assert len(there.requests) == 1


async def test_a_refused_connection_has_done_nothing() -> None:
    provider = WeChatPay(make_config(), Counterpart("wechat_pay", await nobody_listens()))
    with pytest.raises(NotSent):
        await provider.create_order(ORDER)


def test_it_fits_the_port(pay: FakeWeChatPay) -> None:
    provider: PaymentProvider = pay.provider()
    assert provider.name == "wechat_pay"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"api_v3_key": "short"}, "APIv3"),
        ({"api_v3_key": "密" * 32}, "APIv3"),
        ({"serial": "xyz"}, "serial"),
        ({"public_key_id": "KEY_1"}, "PUB_KEY_ID"),
        ({"public_key": None}, "come together"),
        ({"public_key": None, "public_key_id": None, "platform_certificates": []}, "neither"),
    ],
)
def test_a_configuration_that_cannot_work_stops_the_start(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what) as caught:
        make_config(**change)
    assert "short" not in str(caught.value)


def test_no_secret_shows_in_the_configuration() -> None:
    text = repr(make_config())
    for secret in (API_V3_KEY, private_pem("merchant")[40:80], public_pem("public-key")[40:80]):
        assert secret not in text


async def test_no_body_signature_or_payer_reaches_the_log(pay: FakeWeChatPay) -> None:
    pay.replies(json_reply(400, {"code": "PARAM_ERROR", "message": "payer oPayer"}, unsigned=True))
    with structlog.testing.capture_logs() as logs, pytest.raises(OutcomeUnknown):
        await pay.provider().create_order(ORDER)
    for secret in ("oPayer", "signature=", PART.description):
        assert secret not in json.dumps(logs, ensure_ascii=False, default=str)


async def malformed(call: Any, reason: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        await call
    assert caught.value.reason == reason


def _spoiled(change: dict[str, Any]) -> OrderRequest:
    of_part = {name: value for name, value in change.items() if name in OrderPart.__dataclass_fields__}
    of_order = {name: value for name, value in change.items() if name not in of_part}
    return _changed(ORDER, {"parts": (_changed(PART, of_part),), **of_order})


async def only_trade(pay: FakeWeChatPay) -> Trade:
    found = await pay.provider().query(ORDER.name)
    assert found is not None
    assert found.number == ORDER_NO
    (trade_,) = found.trades
    return trade_


def _changed(value: Any, change: dict[str, Any]) -> Any:
    return type(value)(**({name: getattr(value, name) for name in value.__dataclass_fields__} | change))


class TestPages:
    async def test_a_page_says_where_to_come_back_to_and_is_renewed_after_five_minutes(
        self, pay: FakeWeChatPay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pay.replies(json_reply(200, {"h5_url": "https://wx.tenpay.com/x?y=1"}))
        back = "https://lianban.example/paid?a=1&b=2"
        order = _changed(ORDER, {"method": Method.H5, "payer": None, "payer_ip": "14.17.22.32", "return_url": back})
        provider = pay.provider()
        opened = await provider.create_order(order)
        assert pay.calls[-1][2]["scene_info"] == {"payer_client_ip": "14.17.22.32", "h5_info": {"type": "Wap"}}
        url = provider.client_params(Method.H5, opened.handle)["url"]
        assert url == "https://wx.tenpay.com/x?y=1&redirect_url=https%3A%2F%2Flianban.example%2Fpaid%3Fa%3D1%26b%3D2"
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(minutes=4, seconds=31))
        with pytest.raises(HandleStale):
            provider.client_params(Method.H5, opened.handle)
