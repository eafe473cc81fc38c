"""Routes of those who act for others: family members and agents of organizations."""

from api import mandates, shares
from api.access import PHONE, PHONE_READ, REAL_NAME, REAL_NAME_APPOINT, WECHAT
from api.calls import Limit, Route
from api.errors import OrganizationNotNamed
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.billing.sharing import AlreadyMember, InvitationRefused, TooManyMembers
from domain.identity.first_agents import OrganizationNotProved
from domain.identity.mandates import MandateExceeds, MandateRefused, TooManyAgents

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/v1/utility-accounts/{account_id}/shares", shares.offer, PHONE, "邀请家人代办", shares.ShareInvitation, 201, body=shares.ShareOffer,
        limit=Limit(20), errors=(NotFound, TooManyMembers, RateLimited), example={"label": "妈妈", "may_pay": True}, tag="家人代办", shed="filing",
    ),
    Route(
        "GET", "/v1/utility-accounts/{account_id}/shares", shares.list_given, PHONE, "我让谁代办这个户号", shares.ShareList, errors=(NotFound,),
        tag="家人代办", shed="search",
    ),
    Route(
        "POST", "/v1/shares", shares.accept, PHONE, "接受家人代办的邀请", shares.TakenShare, 201, body=shares.ShareAcceptance,
        errors=(InvitationRefused, AlreadyMember, RateLimited, LimiterAway), example={"code": "{invitation_code}"}, tag="家人代办", shed="filing",
    ),
    Route("DELETE", "/v1/shares/{share_id}", shares.end, PHONE, "收回或退出家人代办", None, 204, errors=(NotFound,), tag="家人代办", shed="filing"),
    Route(
        "GET", "/v1/shares/{share_id}/uses", shares.list_uses, PHONE, "家人看了什么、缴了什么", shares.UseList, query=shares.Page,
        errors=(NotFound,), tag="家人代办", shed="search",
    ),
    Route(
        "GET", "/v1/organizations", mandates.list_organizations, WECHAT, "我替哪些单位办事", mandates.OrganizationList, tag="单位代办", shed="search",
    ),
    Route(
        "POST", "/v1/organizations", mandates.claim_organization, REAL_NAME, "以单位登录后，成为单位的首位经办人", mandates.OrganizationView, 201,
        limit=Limit(20), errors=(OrganizationNotProved, RateLimited), tag="单位代办", shed="filing",
    ),
    Route(
        "POST", "/v1/mandates", mandates.appoint, REAL_NAME_APPOINT, "任命单位的经办人", mandates.AppointmentView, 201,
        body=mandates.AppointRequest, limit=Limit(20), errors=(OrganizationNotNamed, MandateExceeds, TooManyAgents, RateLimited),
        example={"agent_name": "李会计", "scopes": ["read", "pay"], "ends_at": "2026-12-31T23:59:59+08:00", "services": ["water"]},
        tag="单位代办", shed="filing",
    ),
    Route(
        "GET", "/v1/mandates", mandates.list_agents, PHONE_READ, "单位有哪些经办人", mandates.MandateList, errors=(OrganizationNotNamed,),
        tag="单位代办", shed="search",
    ),
    Route(
        "POST", "/v1/mandates/accept", mandates.accept, REAL_NAME, "接受单位的任命", mandates.TakenMandate, 201, body=mandates.AppointmentAcceptance,
        errors=(MandateRefused, RateLimited, LimiterAway), example={"code": "{appointment_code}"}, tag="单位代办", shed="filing",
    ),
    Route(
        "DELETE", "/v1/mandates/{mandate_id}", mandates.end, PHONE_READ, "收回任命，或者不再担任", None, 204, errors=(NotFound,),
        tag="单位代办", shed="filing",
    ),
    Route(
        "GET", "/v1/mandates/{mandate_id}/uses", mandates.list_uses, PHONE_READ, "经办人做了什么", shares.UseList,
        query=mandates.Page, errors=(NotFound,), tag="单位代办", shed="search",
    ),
)  # fmt: skip
