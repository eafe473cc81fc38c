"""Routes of logins, of oneself and of one's messages."""

from api import counters, identities, me, messages, sessions, unified
from api.access import ANYBODY, FRESH, PHONE, WECHAT
from api.calls import Limit, Route
from api.texts import Page
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.identity.joining import (
    IdentitiesDiffer,
    IdentityAlreadyYours,
    IdentityOfThisKindTaken,
    UndoTooLate,
)
from domain.identity.login import IdentityProofRefused, IdentitySourceAway, LoginCodeRefused, PhoneCodeRefused
from domain.identity.people import RealNameContradicts
from domain.identity.phone_codes import PhoneMalformed, SmsAway, SmsCodeRefused
from domain.identity.sessions import RefreshRefused
from domain.identity.sso import HandoverRefused, LoginStateRefused, ReturnUrlNotAllowed

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
    Route(
        "POST", "/v1/sessions/unified/start", unified.start, ANYBODY, "开始统一身份登录", unified.LoginStarted, 201, body=unified.LoginStart,
        limit=Limit(60, closed=True), errors=(NotFound, ReturnUrlNotAllowed, RateLimited, LimiterAway),
        example={"source": "ehuiban", "return_url": "{return_url}", "client_id": _CLIENT}, tag="登录", shed="login",
    ),
    # Whoever sends the browser back may add to the address, so its query is looked at by the handler alone.
    Route(
        "GET", "/v1/sessions/unified/{source}/callback", unified.come_back, ANYBODY, "从统一身份登录回来（浏览器）", None, 303, raw=True,
        media_type="text/html", limit=Limit(120, closed=True), errors=(RateLimited, LimiterAway), tag="登录", shed="login",
    ),
    Route(
        "POST", "/v1/sessions/unified/finish", unified.finish, ANYBODY, "完成统一身份登录", sessions.Tokens, 201, body=unified.LoginFinish,
        limit=Limit(60, closed=True), errors=(HandoverRefused, RealNameContradicts, RateLimited, LimiterAway),
        example={"handover": "{handover}", "client_id": _CLIENT}, tag="登录", shed="login",
    ),
    Route("GET", "/v1/sessions", sessions.list_sessions, WECHAT, "我的登录记录", sessions.SessionList, tag="登录", shed="search"),
    Route("DELETE", "/v1/sessions/current", sessions.end_current, WECHAT, "退出登录", None, 204, tag="登录"),
    Route("DELETE", "/v1/sessions/{session_id}", sessions.end_session, WECHAT, "让某个设备退出", None, 204, errors=(NotFound,), tag="登录"),
    Route("GET", "/v1/me", me.show, WECHAT, "我的资料", me.Me, tag="我", shed="search"),
    Route(
        "POST", "/v1/me/phone", me.prove_phone, WECHAT, "验证手机号", me.RaisedLevel, body=me.PhoneProof, limit=Limit(10, closed=True),
        errors=(PhoneCodeRefused, IdentitySourceAway, RateLimited, LimiterAway), example={"code": "{phone_code}"}, tag="我", shed="login",
    ),
    Route(
        "POST", "/v1/me/phone-codes", me.request_phone_code, WECHAT, "发短信验证码", me.PhoneCodeSent, 202, body=me.PhoneCodeRequest,
        limit=Limit(10, closed=True), errors=(PhoneMalformed, SmsAway, RateLimited, LimiterAway), example={"phone": "{phone}"}, tag="我",
        shed="login",
    ),
    Route(
        "POST", "/v1/me/phone-codes/{code_id}/proof", me.prove_phone_by_code, WECHAT, "用短信验证码验证手机号", me.RaisedLevel, body=me.SmsCode,
        limit=Limit(20, closed=True), errors=(NotFound, SmsCodeRefused, RateLimited, LimiterAway), example={"sms_code": "{sms_code}"}, tag="我",
        shed="login",
    ),
    Route(
        "POST", "/v1/me/proof", identities.prove, WECHAT, "再确认一次是本人（微信）", me.RaisedLevel, body=identities.Reproof, limit=Limit(10, closed=True),
        errors=(IdentityProofRefused, IdentitySourceAway, RateLimited, LimiterAway), example={"code": "{login_code}"}, tag="我", shed="login",
    ),
    Route("GET", "/v1/identities", identities.list_identities, WECHAT, "我的登录方式", identities.IdentityList, tag="登录", shed="search"),
    Route(
        "POST", "/v1/identities/start", identities.start, WECHAT, "开始合并另一个登录方式", unified.LoginStarted, 201, body=identities.JoinStart,
        limit=Limit(10, closed=True), errors=(NotFound, ReturnUrlNotAllowed, RateLimited, LimiterAway),
        example={"source": "ehuiban", "return_url": "{return_url}", "client_id": _CLIENT}, tag="登录", shed="login",
    ),
    Route(
        "GET", "/v1/identities/go/{link}", identities.go, ANYBODY, "去证明另一个登录方式（浏览器）", None, 303, raw=True, media_type="text/html",
        limit=Limit(60, closed=True), errors=(LoginStateRefused, RateLimited, LimiterAway), tag="登录", shed="login",
    ),
    Route(
        "POST", "/v1/identities/join", identities.join, FRESH, "合并另一个登录方式", identities.Joined, 201, body=unified.LoginFinish,
        limit=Limit(10, closed=True), tag="登录", shed="login", example={"handover": "{join_handover}", "client_id": _CLIENT},
        errors=(
            IdentityProofRefused, IdentityAlreadyYours, IdentitiesDiffer, IdentityOfThisKindTaken, RealNameContradicts,
            RateLimited, LimiterAway,
        ),
    ),
    Route(
        "POST", "/v1/identities/{join_id}/undo", identities.undo, WECHAT, "撤销合并", None, 204, errors=(NotFound, UndoTooLate), tag="登录",
    ),
    Route("GET", "/v1/messages", messages.list_messages, WECHAT, "我的消息", messages.MessageList, query=messages.Page, tag="消息", shed="search"),
    Route("POST", "/v1/messages/{message_id}/read", messages.mark_read, WECHAT, "标为已读", None, 204, errors=(NotFound,), tag="消息", shed="search"),
    Route(
        "POST", "/v1/me/counter-codes", counters.new_code, PHONE, "出示给窗口的办事码", counters.CounterCodeView, 201, limit=Limit(10),
        errors=(RateLimited,), tag="代办", shed="filing",
    ),
    Route(
        "GET", "/v1/me/acting-sessions", counters.list_acting, WECHAT, "谁在窗口替我办过事", counters.ActingOfMineList,
        query=Page, tag="代办", shed="search",
    ),
    Route("POST", "/v1/me/acting-sessions/{acting_id}/end", counters.end_acting, WECHAT, "不让窗口再替我办", None, 204, errors=(NotFound,), tag="代办"),
    Route(
        "GET", "/v1/me/disclosures", counters.list_disclosures, WECHAT, "谁看过我没有隐去的信息", counters.DisclosureOfMineList, query=Page,
        tag="我", shed="search",
    ),
)  # fmt: skip
