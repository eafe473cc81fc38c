"""Routes of utility accounts, bills and payments."""

from api import companies, overview, payment_methods, payments, scanned, top_ups, usage, utility_accounts
from api.access import (
    ANYBODY,
    PHONE_PAY,
    PHONE_READ,
    WECHAT,
    WECHAT_PAY,
    WECHAT_READ,
)
from api.calls import Limit, Route
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.billing.accounts import AccountNumberMalformed, AccountOrProofWrong, CompanyAway, ProofMalformed
from domain.billing.paying import (
    AlreadyPaid,
    OlderBillOpen,
    PaymentClosing,
    PaymentInProgress,
    QuoteStale,
    TooManyPayments,
)
from domain.billing.qr import QrCodeRefused
from domain.billing.quoted import BillNotInQuote, QuoteTwice
from domain.billing.quotes import AccountNotPayable, AmountTooLarge, MayOnlyRead, NothingOwed, PartialNotAllowed
from domain.billing.topping_up import TopUpAmountRefused, TopUpNotOffered
from domain.companies import CompanyNotJoined
from payments.following import PaymentUnclear
from payments.opening import OrderRefused, PaymentNotPayable, ProviderBusy
from payments.providers.registry import MethodNotOffered

ROUTES: tuple[Route, ...] = (
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
        "POST", "/v1/bindings", utility_accounts.bind, PHONE_PAY, "添加户号", utility_accounts.BindingView, 201, body=utility_accounts.BindRequest,
        errors=(CompanyNotJoined, AccountNumberMalformed, ProofMalformed, AccountOrProofWrong, CompanyAway, RateLimited, LimiterAway),
        example={"company": "water", "number": "0203001234", "proof": "{proof}", "label": "家里"}, tag="户号", shed="filing",
    ),
    Route(
        "DELETE", "/v1/bindings/{binding_id}", utility_accounts.revoke_binding, PHONE_PAY, "解除户号", None, 204, errors=(NotFound,), tag="户号",
        shed="filing",
    ),
    Route("GET", "/v1/utility-accounts", utility_accounts.list_accounts, PHONE_READ, "我的户号", utility_accounts.AccountList, tag="户号", shed="search"),
    Route(
        "GET", "/v1/utility-accounts/owed", overview.show, PHONE_READ, "全部户号各欠多少", overview.EverythingOwed, tag="账单", shed="refresh",
        limit=Limit(30), errors=(RateLimited,),
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/bindings", utility_accounts.list_bindings, PHONE_READ, "谁添加了这个户号",
        utility_accounts.BindingList, errors=(NotFound,), tag="户号", shed="search",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/owed", utility_accounts.show_owed, PHONE_READ, "这个户号欠多少",
        utility_accounts.OwedView, errors=(NotFound,), tag="账单", shed="refresh",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/bills", utility_accounts.list_bills, PHONE_READ, "这个户号的账单",
        utility_accounts.BillList, query=utility_accounts.BillQuery, errors=(NotFound,), tag="账单", shed="search",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/usage", usage.show, PHONE_READ, "这个户号每个月用了多少", usage.UsageList,
        query=usage.UsageQuery, errors=(NotFound,), tag="账单", shed="search",
    ),
    Route(
        "GET", "/v1/bills/{bill_id}", utility_accounts.show_bill, PHONE_READ, "一张账单的明细", utility_accounts.BillDetail, errors=(NotFound,),
        tag="账单", shed="search",
    ),
    Route(
        "POST", "/v1/quotes", payments.create_quote, WECHAT_PAY, "缴费前核对金额", payments.QuoteView | payments.QuoteList, 201,
        body=payments.QuoteRequest, limit=Limit(60),
        errors=(NotFound, MayOnlyRead, QrCodeRefused, CompanyAway, NothingOwed, AmountTooLarge, AccountNotPayable, PartialNotAllowed, RateLimited),
        example={"token": "{qr_token}"}, tag="缴费", shed="payment",
    ),
    Route(
        "POST", "/v1/payments", payments.create, WECHAT_PAY, "发起缴费", payments.PaymentCreated, 201, body=payments.PaymentRequest, idempotent=True,
        errors=(
            NotFound, MethodNotOffered, QuoteStale, QuoteTwice, BillNotInQuote, OlderBillOpen, AmountTooLarge, PaymentInProgress,
            PaymentClosing, AlreadyPaid, TooManyPayments,
        ),
        example={"quote_ids": ["{quote_id}"]}, tag="缴费", shed="payment",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/balance", top_ups.show_balance, PHONE_READ, "预存的余额，还能充多少", top_ups.BalanceView,
        errors=(NotFound,), tag="缴费", shed="refresh",
    ),
    Route(
        "POST", "/v1/utility-accounts/{account_id}/top-ups", top_ups.create, PHONE_PAY, "给预存的户号充值", payments.PaymentCreated, 201,
        body=top_ups.TopUpRequest, idempotent=True, limit=Limit(20),
        errors=(
            NotFound, MayOnlyRead, TopUpNotOffered, TopUpAmountRefused, AccountNotPayable, CompanyNotJoined, CompanyAway, MethodNotOffered,
            TooManyPayments, RateLimited,
        ),
        example={"amount_fen": 5000}, tag="缴费", shed="payment",
    ),
    Route(
        "GET", "/v1/payment-methods", payment_methods.list_methods, ANYBODY, "有哪些付款方式", payment_methods.PaymentMethodList, tag="缴费",
        shed="search", offline=True,
    ),
    Route("GET", "/v1/payments", payments.list_payments, WECHAT_READ, "我的缴费记录", payments.PaymentList, query=payments.Page, tag="缴费", shed="search"),
    Route("GET", "/v1/payments/{payment_id}", payments.show, WECHAT_READ, "一笔缴费的状态", payments.PaymentView, errors=(NotFound,), tag="缴费"),
    Route(
        "POST", "/v1/payments/{payment_id}/pay-params", payments.pay_params, WECHAT_PAY, "调起付款的参数", payments.CashierParams | payments.CashierAddress,
        limit=Limit(30), errors=(NotFound, MethodNotOffered, PaymentNotPayable, ProviderBusy, OrderRefused, RateLimited), tag="缴费",
    ),
    Route(
        "POST", "/v1/payments/{payment_id}/check", payments.check, WECHAT_READ, "付完回来，马上核对", payments.PaymentView,
        limit=Limit(30), errors=(NotFound, PaymentUnclear, RateLimited), tag="缴费",
    ),
    Route(
        "POST", "/v1/payments/{payment_id}/close", payments.close, WECHAT_PAY, "不缴了，关闭这一单", payments.PaymentView,
        errors=(NotFound, PaymentUnclear), tag="缴费",
    ),
)  # fmt: skip
