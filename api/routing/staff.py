"""Routes of staff. Only setting up and logging in are open; every other row names its permission, or is about one's own login."""

from api.access import ANYBODY, STAFF, STAFF_MANAGE
from api.calls import Limit, Route
from api.staff import sessions, users
from api.texts import Page
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.identity.passwords import PasswordWeak
from domain.identity.staff import GrantRefused, LoginTaken
from domain.identity.staff_login import SetupRefused, StaffLoginRefused

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
)  # fmt: skip
