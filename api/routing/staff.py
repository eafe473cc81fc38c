"""Routes of staff. Only setting up and logging in are open; every other row names its permission, or is about one's own login."""

from api import payments, utility_accounts
from api.access import (
    ANYBODY,
    STAFF,
    STAFF_ACCOUNTS,
    STAFF_ACT,
    STAFF_AUDIT,
    STAFF_DIFFERENCES,
    STAFF_MANAGE,
    STAFF_PAYMENTS,
    STAFF_RESOLVE,
    STAFF_REVEAL,
    STAFF_UNRESOLVED,
)
from api.calls import Limit, Route
from api.staff import acting, desk, differences, files, sessions, users
from api.texts import Page
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.billing.accounts import AccountNumberMalformed, AccountOrProofWrong, CompanyAway, ProofMalformed
from domain.billing.paying import (
    ActingEndsSoon,
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
from domain.companies import CompanyNotJoined
from domain.identity.acting import CounterCodeRefused, PurposeExceeded, RealNameElsewhere
from domain.identity.cards import CardCodeRefused
from domain.identity.passwords import PasswordWeak
from domain.identity.people import RealNameContradicts
from domain.identity.staff import GrantRefused, LoginTaken
from domain.identity.staff_login import SetupRefused, StaffLoginRefused
from models.lifecycle import IllegalMove, StaleState
from payments.following import PaymentUnclear
from payments.opening import OrderRefused, PaymentNotPayable, ProviderBusy
from payments.providers.registry import MethodNotOffered
from payments.reconciliation.items import AnotherMustAgree

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/staff/v1/enrolments", sessions.enrol, ANYBODY, "用设置码设置口令和验证器", sessions.Authenticator, 201,
        body=sessions.StaffEnrolment, limit=Limit(20, closed=True), errors=(SetupRefused, PasswordWeak, RateLimited, LimiterAway),
        example={"login": "{staff_login}", "setup_code": "{setup_code}", "password": "{staff_password}"}, tag="工作人员", shed="login",
    ),
    Route(
        "POST", "/staff/v1/enrolments/confirm", sessions.confirm, ANYBODY, "用验证器的第一个验证码完成设置", None, 204,
        body=sessions.StaffConfirmation, limit=Limit(20, closed=True), errors=(SetupRefused, RateLimited, LimiterAway),
        example={"login": "{staff_login}", "setup_code": "{setup_code}", "totp_code": "{totp_code}"}, tag="工作人员", shed="login",
    ),
    Route(
        "POST", "/staff/v1/sessions", sessions.log_in, ANYBODY, "工作人员登录", sessions.StaffTokenView, 201,
        body=sessions.StaffLoginRequest, limit=Limit(20, closed=True), errors=(StaffLoginRefused, RateLimited, LimiterAway),
        example={"login": "{staff_login}", "password": "{staff_password}", "totp_code": "{totp_code}", "client_label": "大厅 3 号窗口"},
        tag="工作人员", shed="login",
    ),
    Route("POST", "/staff/v1/sessions/renew", sessions.renew, STAFF, "还在用，换新的登录凭据", sessions.StaffTokenView, 201, tag="工作人员"),
    Route("GET", "/staff/v1/sessions", sessions.list_sessions, STAFF, "我的登录记录（工作人员）", sessions.StaffSessionList, tag="工作人员", shed="search"),
    Route("DELETE", "/staff/v1/sessions/current", sessions.end_current, STAFF, "退出登录（工作人员）", None, 204, tag="工作人员"),
    Route(
        "DELETE", "/staff/v1/sessions/{staff_session_id}", sessions.end_session, STAFF, "让某处的登录退出", None, 204, errors=(NotFound,),
        tag="工作人员",
    ),
    Route("GET", "/staff/v1/me", sessions.show_self, STAFF, "我的单位、角色和权限", sessions.StaffSelf, tag="工作人员", shed="search"),
    Route(
        "POST", "/staff/v1/me/password", sessions.change_password, STAFF, "换口令", None, 204, body=sessions.PasswordChange,
        limit=Limit(5, closed=True), errors=(StaffLoginRefused, PasswordWeak, RateLimited, LimiterAway),
        example={"old_password": "{staff_password}", "new_password": "Hu-Yu-Yu-Chi-2027", "totp_code": "{totp_code}"},
        tag="工作人员", shed="login",
    ),
    Route(
        "POST", "/staff/v1/users", users.create, STAFF_MANAGE, "新建工作人员的登录", users.NewStaffView, 201, body=users.NewStaffRequest,
        limit=Limit(60), errors=(GrantRefused, LoginTaken, RateLimited),
        example={"login": "{new_login}", "name": "李秀英", "unit": "{staff_unit}", "roles": ["administrator"]}, tag="工作人员", shed="filing",
    ),
    Route("GET", "/staff/v1/users", users.list_users, STAFF_MANAGE, "我管的工作人员", users.StaffUserList, query=Page, tag="工作人员", shed="search"),
    Route(
        "POST", "/staff/v1/users/{staff_id}/disable", users.disable, STAFF_MANAGE, "停用，马上退出所有登录", None, 204, errors=(NotFound,),
        tag="工作人员",
    ),
    Route(
        "POST", "/staff/v1/users/{staff_id}/setup-code", users.renew_setup, STAFF_MANAGE, "丢了验证器或忘了口令，重新设置", users.NewStaffView,
        limit=Limit(30), errors=(NotFound, RateLimited), tag="工作人员", shed="filing",
    ),
    Route(
        "POST", "/staff/v1/utility-accounts/search", desk.find_account, STAFF_ACCOUNTS, "按户号找本单位的户", desk.DeskAccount,
        body=desk.AccountSearch, limit=Limit(60), errors=(NotFound, CompanyNotJoined, RateLimited), example={"number": "{number}"},
        tag="工作人员", shed="search",
    ),
    Route(
        "GET", "/staff/v1/utility-accounts/{account_id}/bills", desk.list_bills, STAFF_ACCOUNTS, "这个户号的账单（工作人员）", desk.DeskBills,
        query=Page, errors=(NotFound,), tag="工作人员", shed="search",
    ),
    Route(
        "GET", "/staff/v1/utility-accounts/{account_id}/payments", desk.list_account_payments, STAFF_PAYMENTS, "这个户号的缴费和入账",
        desk.DeskPayments, query=Page, errors=(NotFound,), tag="工作人员", shed="search",
    ),
    Route(
        "POST", "/staff/v1/utility-accounts/{account_id}/reveal", desk.reveal_account, STAFF_REVEAL, "写明用途，看没有隐去的户号", desk.Revealed,
        body=desk.AccountReveal, limit=Limit(20, closed=True), errors=(NotFound, RateLimited, LimiterAway),
        example={"field": "number", "purpose": "complaint", "note": "用户来电核对户号"}, tag="工作人员", shed="search",
    ),
    Route(
        "GET", "/staff/v1/payments", desk.list_payments, STAFF_PAYMENTS, "本单位一天的缴费", desk.DeskPayments, query=desk.DayPage,
        errors=(NotFound,), tag="工作人员", shed="search",
    ),
    Route(
        "POST", "/staff/v1/payments/{payment_id}/reveal-payer", desk.reveal_payer, STAFF_REVEAL, "写明用途，看付款人的手机号", desk.Revealed,
        body=desk.PayerReveal, limit=Limit(20, closed=True), errors=(NotFound, RateLimited, LimiterAway),
        example={"purpose": "refund_contact", "note": "退款被退回，联系付款人"}, tag="工作人员", shed="search",
    ),
    Route(
        "GET", "/staff/v1/unresolved", desk.list_unresolved, STAFF_UNRESOLVED, "等人处理的退款和入账", desk.UnresolvedList, query=Page,
        errors=(NotFound,), tag="工作人员", shed="search",
    ),
    Route(
        "GET", "/staff/v1/differences", differences.list_differences, STAFF_DIFFERENCES, "对账有出入、要说明的", differences.DifferenceList,
        query=differences.DifferencePage, errors=(NotFound,), tag="工作人员", shed="search",
    ),
    Route(
        "GET", "/staff/v1/company-files", files.list_files, STAFF_DIFFERENCES, "企业送来的文件没有收下、逾期未到的", files.CompanyFileList,
        query=Page, errors=(NotFound,), tag="工作人员", shed="search",
    ),
    Route(
        "POST", "/staff/v1/differences/{difference_id}/take-up", differences.take_up, STAFF_RESOLVE, "这笔出入我来查", differences.DifferenceView,
        errors=(NotFound, IllegalMove, StaleState), tag="工作人员",
    ),
    Route(
        "POST", "/staff/v1/differences/{difference_id}/explanation", differences.explain, STAFF_RESOLVE, "写明这笔出入是怎么回事",
        differences.DifferenceView, body=differences.DifferenceExplanation, errors=(NotFound, IllegalMove, StaleState),
        example={"reason": "支付机构漏记，次日已补记"}, tag="工作人员",
    ),
    Route(
        "POST", "/staff/v1/differences/{difference_id}/send-back", differences.send_back, STAFF_RESOLVE, "这个说明不对，退回再查",
        differences.DifferenceView, body=differences.DifferenceExplanation, errors=(NotFound, IllegalMove, StaleState),
        example={"reason": "次日的文件里没有补记"}, tag="工作人员",
    ),
    Route(
        "POST", "/staff/v1/differences/{difference_id}/close", differences.close, STAFF_RESOLVE, "另一个人同意说明，这笔出入办结",
        differences.DifferenceView, errors=(NotFound, AnotherMustAgree, IllegalMove, StaleState), tag="工作人员",
    ),
    Route(
        "GET", "/staff/v1/disclosures", desk.list_disclosures, STAFF_AUDIT, "谁看过没有隐去的信息", desk.DisclosureList, query=Page,
        tag="工作人员", shed="search",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions", acting.open_session, STAFF_ACT, "凭市民出示的办事码或者身份证代办", acting.ActingView, 201,
        body=acting.ActingRequest, limit=Limit(20, closed=True), errors=(CounterCodeRefused, CardCodeRefused, RateLimited, LimiterAway),
        example={"counter_code": "{counter_code}", "acting_purpose": "bind"}, tag="代办", shed="filing",
    ),
    Route(
        "DELETE", "/staff/v1/acting-sessions/{acting_id}", acting.end_session, STAFF_ACT, "代办结束", None, 204, errors=(NotFound,), tag="代办",
    ),
    Route(
        "GET", "/staff/v1/acting-sessions/{acting_id}/utility-accounts", acting.list_accounts, STAFF_ACT, "这位市民的户号",
        utility_accounts.AccountList, errors=(NotFound,), tag="代办", shed="search",
    ),
    Route(
        "GET", "/staff/v1/acting-sessions/{acting_id}/utility-accounts/{account_id}/owed", acting.show_owed, STAFF_ACT,
        "这位市民的户号欠多少", utility_accounts.OwedView, errors=(NotFound,), tag="代办", shed="refresh",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/bindings", acting.bind, STAFF_ACT, "替这位市民添加户号", utility_accounts.BindingView, 201,
        body=utility_accounts.BindRequest,
        errors=(
            NotFound, PurposeExceeded, CompanyNotJoined, AccountNumberMalformed, ProofMalformed, AccountOrProofWrong, CompanyAway, RateLimited,
            LimiterAway,
        ),
        example={"company": "water", "number": "0203001234", "proof": "{proof}", "label": "家里"}, tag="代办", shed="filing",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/real-name", acting.prove_real_name, STAFF_ACT, "用身份证替这位市民实名", None, 204,
        body=acting.CardAtCounter, limit=Limit(20, closed=True),
        errors=(NotFound, PurposeExceeded, CardCodeRefused, RealNameContradicts, RealNameElsewhere, RateLimited, LimiterAway),
        example={"card_code": "{card_code}"}, tag="代办", shed="filing",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/quotes", acting.quote, STAFF_ACT, "替这位市民核对金额",
        payments.QuoteView | payments.QuoteList, 201, body=payments.QuoteRequest, limit=Limit(60),
        errors=(
            NotFound, PurposeExceeded, MayOnlyRead, QrCodeRefused, CompanyAway, NothingOwed, AmountTooLarge, AccountNotPayable, PartialNotAllowed,
            RateLimited,
        ),
        example={"token": "{qr_token}"}, tag="代办", shed="payment",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/payments", acting.create_payment, STAFF_ACT, "替这位市民发起缴费，由他扫码付款",
        payments.PaymentCreated, 201, body=acting.CounterPaymentRequest, idempotent=True,
        errors=(
            NotFound, PurposeExceeded, ActingEndsSoon, MethodNotOffered, QuoteStale, QuoteTwice, BillNotInQuote, OlderBillOpen, AmountTooLarge,
            PaymentInProgress, PaymentClosing, AlreadyPaid, TooManyPayments,
        ),
        example={"quote_ids": ["{quote_id}"]}, tag="代办", shed="payment",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/payments/{payment_id}/code", acting.show_code, STAFF_ACT, "屏幕上给市民扫的付款码",
        payments.CashierAddress, limit=Limit(30),
        errors=(NotFound, PurposeExceeded, MethodNotOffered, PaymentNotPayable, ProviderBusy, OrderRefused, RateLimited), tag="代办",
    ),
    Route(
        "GET", "/staff/v1/acting-sessions/{acting_id}/payments/{payment_id}", acting.show_payment, STAFF_ACT, "这次代办的缴费付了没有",
        payments.PaymentView, errors=(NotFound, PurposeExceeded), tag="代办",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/payments/{payment_id}/check", acting.check_payment, STAFF_ACT, "市民说付了，马上核对",
        payments.PaymentView, limit=Limit(30), errors=(NotFound, PurposeExceeded, PaymentUnclear, RateLimited), tag="代办",
    ),
    Route(
        "POST", "/staff/v1/acting-sessions/{acting_id}/payments/{payment_id}/close", acting.close_payment, STAFF_ACT, "市民不缴了，关闭这一单",
        payments.PaymentView, errors=(NotFound, PurposeExceeded, PaymentUnclear), tag="代办",
    ),
)  # fmt: skip
