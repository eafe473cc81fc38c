"""The table of all routes: who may call what, on whose behalf, at which assurance level. Nothing outside this table is served."""

from api import companies, docs, health, keys, me, messages, payments, scanned, sessions, usage, utility_accounts
from api.callbacks import companies as company_events
from api.callbacks import wechat, wechat_pay
from api.calls import Access, Limit, Route
from api.company import qr_codes
from api.errors import RequestMalformed, SignatureWrong
from api.texts import Failure
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.billing.accounts import AccountNumberMalformed, AccountOrProofWrong, CompanyAway, ProofMalformed
from domain.billing.paying import (
    AlreadyPaid,
    BillNotInQuote,
    PaymentClosing,
    PaymentInProgress,
    QuoteStale,
    TooManyPayments,
)
from domain.billing.qr import QrCodeRefused
from domain.billing.quotes import AccountNotPayable, AmountTooLarge, NothingOwed
from domain.companies import CompanyNotJoined
from domain.identity.login import IdentitySourceAway, LoginCodeRefused, PhoneCodeRefused
from domain.identity.sessions import RefreshRefused
from payments.following import PaymentUnclear
from payments.opening import OrderRefused, PaymentNotPayable, ProviderBusy

ANYBODY = Access("anybody")
WECHAT = Access("person", 1)
PHONE = Access("person", 2)
COMPANY = Access("company")
PLATFORM = Access("platform")

_CLIENT = "4f9c2b7a61d84e0f"

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/v1/sessions/wechat-mini-program", sessions.login_by_wechat, ANYBODY, "微信小程序登录", sessions.Tokens, 201,
        body=sessions.WeChatLogin, limit=Limit(60, closed=True), errors=(LoginCodeRefused, IdentitySourceAway, RateLimited, LimiterAway),
        example={"code": "{login_code}", "client_id": _CLIENT, "client_label": "iPhone 15"}, tag="登录", shed="login",
    ),
    Route(
        "POST", "/v1/sessions/refresh", sessions.refresh, ANYBODY, "换新的登录凭据", sessions.Tokens, 201,
        body=sessions.RefreshRequest, limit=Limit(120), errors=(RefreshRefused, RateLimited),
        example={"refresh_token": "{refresh_token}", "client_id": _CLIENT}, tag="登录",
    ),
    Route("GET", "/v1/sessions", sessions.list_sessions, WECHAT, "我的登录记录", sessions.SessionList, tag="登录", shed="search"),
    Route("DELETE", "/v1/sessions/current", sessions.end_current, WECHAT, "退出登录", None, 204, tag="登录"),
    Route("DELETE", "/v1/sessions/{session_id}", sessions.end_session, WECHAT, "让某个设备退出", None, 204, errors=(NotFound,), tag="登录"),
    Route("GET", "/v1/me", me.show, WECHAT, "我的资料", me.Me, tag="我", shed="search"),
    Route(
        "POST", "/v1/me/phone", me.prove_phone, WECHAT, "验证手机号", me.RaisedLevel, body=me.PhoneProof, limit=Limit(10, closed=True),
        errors=(PhoneCodeRefused, IdentitySourceAway, RateLimited, LimiterAway), example={"code": "{phone_code}"}, tag="我", shed="login",
    ),
    Route("GET", "/v1/companies", companies.list_companies, ANYBODY, "收费单位", companies.CompanyList, tag="户号", shed="search", offline=True),
    # Whoever opens a scanned address may add to it, so its query is not looked at.
    Route(
        "GET", "/q/{token}", scanned.show, ANYBODY, "扫印在账单上的二维码打开的网页", None, media_type="text/html", raw=True, tag="户号",
        offline=True,
    ),
    Route(
        "POST", "/v1/scans", utility_accounts.scan, WECHAT, "扫账单上的二维码", utility_accounts.ScanView | utility_accounts.ForeignScanView,
        body=utility_accounts.Scan,
        limit=Limit(60), errors=(QrCodeRefused, RateLimited), example={"token": "{qr_token}"}, tag="户号", shed="payment",
    ),
    Route(
        "POST", "/v1/bindings", utility_accounts.bind, PHONE, "添加户号", utility_accounts.BindingView, 201, body=utility_accounts.BindRequest,
        errors=(CompanyNotJoined, AccountNumberMalformed, ProofMalformed, AccountOrProofWrong, CompanyAway, RateLimited, LimiterAway),
        example={"company": "water", "number": "0203001234", "proof": "{proof}", "label": "家里"}, tag="户号", shed="filing",
    ),
    Route("DELETE", "/v1/bindings/{binding_id}", utility_accounts.revoke_binding, PHONE, "解除户号", None, 204, errors=(NotFound,), tag="户号", shed="filing"),
    Route("GET", "/v1/utility-accounts", utility_accounts.list_accounts, PHONE, "我的户号", utility_accounts.AccountList, tag="户号", shed="search"),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/bindings", utility_accounts.list_bindings, PHONE, "谁添加了这个户号",
        utility_accounts.BindingList, errors=(NotFound,), tag="户号", shed="search",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/owed", utility_accounts.show_owed, PHONE, "这个户号欠多少",
        utility_accounts.OwedView, errors=(NotFound,), tag="账单", shed="refresh",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/bills", utility_accounts.list_bills, PHONE, "这个户号的账单",
        utility_accounts.BillList, query=utility_accounts.BillQuery, errors=(NotFound,), tag="账单", shed="search",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/usage", usage.show, PHONE, "这个户号每个月用了多少", usage.UsageList,
        query=usage.UsageQuery, errors=(NotFound,), tag="账单", shed="search",
    ),
    Route(
        "GET", "/v1/bills/{bill_id}", utility_accounts.show_bill, PHONE, "一张账单的明细", utility_accounts.BillDetail, errors=(NotFound,),
        tag="账单", shed="search",
    ),
    Route(
        "POST", "/v1/quotes", payments.create_quote, WECHAT, "缴费前核对金额", payments.QuoteView, 201, body=payments.QuoteRequest, limit=Limit(60),
        errors=(NotFound, QrCodeRefused, CompanyAway, NothingOwed, AmountTooLarge, AccountNotPayable, RateLimited),
        example={"token": "{qr_token}"}, tag="缴费", shed="payment",
    ),
    Route(
        "POST", "/v1/payments", payments.create, WECHAT, "发起缴费", payments.PaymentCreated, 201, body=payments.PaymentRequest, idempotent=True,
        errors=(NotFound, QuoteStale, BillNotInQuote, PaymentInProgress, PaymentClosing, AlreadyPaid, TooManyPayments),
        example={"quote_id": "{quote_id}"}, tag="缴费", shed="payment",
    ),
    Route("GET", "/v1/payments", payments.list_payments, WECHAT, "我的缴费记录", payments.PaymentList, query=payments.Page, tag="缴费"),
    Route("GET", "/v1/payments/{payment_id}", payments.show, WECHAT, "一笔缴费的状态", payments.PaymentView, errors=(NotFound,), tag="缴费"),
    Route(
        "POST", "/v1/payments/{payment_id}/pay-params", payments.pay_params, WECHAT, "调起微信支付的参数", payments.CashierParams,
        limit=Limit(30), errors=(NotFound, PaymentNotPayable, ProviderBusy, OrderRefused, RateLimited), tag="缴费",
    ),
    Route(
        "POST", "/v1/payments/{payment_id}/check", payments.check, WECHAT, "付完回来，马上核对", payments.PaymentView,
        limit=Limit(30), errors=(NotFound, PaymentUnclear, RateLimited), tag="缴费",
    ),
    Route(
        "POST", "/v1/payments/{payment_id}/close", payments.close, WECHAT, "不缴了，关闭这一单", payments.PaymentView,
        errors=(NotFound, PaymentUnclear), tag="缴费",
    ),
    Route("GET", "/v1/messages", messages.list_messages, WECHAT, "我的消息", messages.MessageList, query=messages.Page, tag="消息", shed="search"),
    Route("POST", "/v1/messages/{message_id}/read", messages.mark_read, WECHAT, "标为已读", None, 204, errors=(NotFound,), tag="消息", shed="search"),
    Route(
        "POST", "/callbacks/wechat-pay", wechat_pay.receive, PLATFORM, "微信支付的通知", None, 204, raw=True, others=((401, Failure),),
        tag="平台通知",
    ),
    Route(
        "GET", "/callbacks/wechat/mini-program", wechat.verify_address, PLATFORM, "微信验证地址", None, raw=True, media_type="text/plain",
        others=((401, Failure),), tag="平台通知", offline=True,
    ),
    Route(
        "POST", "/callbacks/wechat/mini-program", wechat.receive, PLATFORM, "微信消息推送", None, raw=True, media_type="text/plain",
        others=((401, Failure),), tag="平台通知",
    ),
    Route(
        "POST", "/callbacks/companies/{company}", company_events.receive, COMPANY, "收费单位的事件", None, 204, raw=True,
        body=company_events.CompanyEventMessage, errors=(SignatureWrong, RequestMalformed), tag="收费单位",
        example={
            "event_id": "evt-20261123-0001", "type": "bills.changed", "at": "2026-11-23T10:02:11+08:00", "data": {"account_number": "0203001234"},
        },
    ),
    Route(
        "POST", "/company/v1/qr-codes", qr_codes.issue, COMPANY, "收费单位领取二维码", qr_codes.QrCodeAnswer, raw=True, body=qr_codes.QrCodeRequest,
        errors=(SignatureWrong, RequestMalformed, NotFound, CompanyNotJoined, CompanyAway, RateLimited), tag="收费单位", shed="filing",
        example={"account_number": "0203001234", "label": "2026-10 账单"},
    ),
    Route(
        "POST", "/company/v1/qr-codes/revoke", qr_codes.revoke, COMPANY, "收费单位作废二维码", None, 204, raw=True, body=qr_codes.QrCodeRevocation,
        errors=(SignatureWrong, RequestMalformed, NotFound, CompanyNotJoined), tag="收费单位", example={"token": "{qr_token}"},
    ),
    Route("GET", "/.well-known/jwks.json", keys.publish, ANYBODY, "登录凭据的公钥", keys.JwkSet, tag="运行", offline=True),
    Route("GET", "/openapi.json", docs.openapi, ANYBODY, "接口描述（OpenAPI 3.1）", dict, tag="运行", shed="report", offline=True),
    Route("GET", "/docs", docs.show, ANYBODY, "接口文档", None, media_type="text/html", tag="运行", shed="report", offline=True),
    Route("GET", "/livez", health.alive, ANYBODY, "进程活着", None, media_type="text/plain", tag="运行", offline=True),
)  # fmt: skip
