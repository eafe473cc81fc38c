"""Routes of 报装: drafts, filing, one's cases and what one does with each company's part, progress without a login."""

from api import applications, drafts, service_orders
from api.access import ANYBODY, REAL_NAME_FILE, REAL_NAME_SIGN, WECHAT_FILE, WECHAT_READ
from api.calls import Limit, Route
from api.texts import Page
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.applications.cases import ProgressRefused
from domain.applications.correcting import CorrectionOutside
from domain.applications.drafts import AnswersUnreadable, DraftChanged, NoDraft, TooManyDrafts
from domain.applications.filing import (
    AnswersIncomplete,
    ConsentMissing,
    FormOutdated,
    NoticeChanged,
    SubjectNotYours,
)
from domain.companies import CompanyNotJoined
from domain.materials.needs import PapersNeeded
from domain.orders.answering import PlanDiffers
from domain.orders.moving import OncePerOrder
from models.idempotency import KeyInFlight, KeyReused
from models.lifecycle import IllegalMove, StaleState

_MOVE = (NotFound, IllegalMove, StaleState)
_ANSWERS = {"services": ["water"], "term": "permanent"}

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/notices/application", drafts.show_notice, ANYBODY, "报装前的个人信息告知", drafts.NoticeView, tag="报装", shed="search",
        offline=True,
    ),
    Route(
        "POST", "/v1/application-drafts", drafts.begin, WECHAT_FILE, "开始填报装申请", drafts.DraftView, 201, body=drafts.DraftBeginning,
        limit=Limit(20), errors=(NotFound, TooManyDrafts, AnswersUnreadable, RateLimited),
        example={"answers": _ANSWERS, "access_point": "mini_program"}, tag="报装", shed="filing",
    ),
    Route(
        "GET", "/v1/application-drafts/{draft_id}", drafts.show, WECHAT_READ, "填到一半的申请", drafts.DraftView, errors=(NotFound, NoDraft),
        tag="报装", shed="search",
    ),
    Route(
        "PUT", "/v1/application-drafts/{draft_id}", drafts.save, WECHAT_FILE, "保存填到一半的申请", drafts.DraftView, body=drafts.DraftSaving,
        limit=Limit(60), errors=(NotFound, NoDraft, DraftChanged, AnswersUnreadable, RateLimited),
        example={"answers": _ANSWERS, "access_point": "ehuiban", "version": 1}, tag="报装", shed="filing",
    ),
    Route(
        "DELETE", "/v1/application-drafts/{draft_id}", drafts.discard, WECHAT_FILE, "删掉草稿和填过的内容", None, 204,
        errors=(NotFound, NoDraft), tag="报装", shed="filing",
    ),
    Route(
        "GET", "/v1/application-drafts/{draft_id}/same", drafts.list_same, WECHAT_READ, "这个申请人或这个地址，我已有的申请",
        applications.ApplicationList, errors=(NotFound, NoDraft), tag="报装", shed="search",
    ),
    Route(
        "POST", "/v1/application-drafts/{draft_id}/filing", drafts.file, REAL_NAME_FILE, "提交报装申请", drafts.FiledView, 201,
        body=drafts.FilingRequest, idempotent=True,
        errors=(
            NotFound, NoDraft, DraftChanged, FormOutdated, AnswersIncomplete, SubjectNotYours, ConsentMissing, NoticeChanged, PapersNeeded,
            KeyInFlight, KeyReused,
        ),
        example={"version": 1, "consents": [{"company": "water", "notice_version": "2023-03"}]}, tag="报装", shed="filing",
    ),
    Route(
        "GET", "/v1/applications", applications.list_applications, WECHAT_READ, "我的申请", applications.ApplicationList, query=Page,
        tag="报装", shed="search",
    ),
    Route(
        "GET", "/v1/applications/{application_id}", applications.show, WECHAT_READ, "一件申请的进度", applications.ApplicationView,
        errors=(NotFound,), tag="报装", shed="search",
    ),
    Route(
        "POST", "/v1/applications/{application_id}/withdrawal", applications.withdraw, REAL_NAME_FILE, "撤回整件申请",
        applications.ApplicationView, errors=_MOVE, tag="报装", shed="filing",
    ),
    Route(
        "POST", "/v1/progress", applications.show_progress, ANYBODY, "不登录查进度", applications.ProgressView, body=applications.ProgressRequest,
        limit=Limit(30), errors=(ProgressRefused, RateLimited, LimiterAway),
        example={"progress_code": "{progress_code}", "phone_last4": "{phone_last4}"}, tag="报装", shed="search",
    ),
    Route(
        "POST", "/v1/service-orders/{order_id}/correction", service_orders.answer_correction, REAL_NAME_FILE, "答复补正",
        service_orders.OrderStanding, body=service_orders.CorrectionAnswer, errors=(*_MOVE, CorrectionOutside, AnswersIncomplete),
        example={"changes": {"/site/real_estate_no": "鄂(2023)鄂州市不动产权第0001234号"}, "note": "房产证号补上了"}, tag="报装", shed="filing",
    ),
    Route(
        "POST", "/v1/service-orders/{order_id}/plan-confirmation", service_orders.confirm_plan, REAL_NAME_SIGN, "同意方案",
        service_orders.OrderStanding, body=service_orders.PlanAnswer, errors=(*_MOVE, PlanDiffers), example={"plan_version": 1}, tag="报装",
        shed="filing",
    ),
    Route(
        "POST", "/v1/service-orders/{order_id}/plan-question", service_orders.question_plan, REAL_NAME_FILE, "对方案有疑问",
        service_orders.OrderStanding, body=service_orders.PlanQuestion, errors=(*_MOVE, PlanDiffers),
        example={"plan_version": 1, "note": "水表能不能装在北墙"}, tag="报装", shed="filing",
    ),
    Route(
        "POST", "/v1/service-orders/{order_id}/contract", service_orders.sign_contract, REAL_NAME_SIGN, "签供用合同",
        service_orders.OrderStanding, body=service_orders.PlanAnswer, errors=(*_MOVE, PlanDiffers), example={"plan_version": 1}, tag="报装",
        shed="filing",
    ),
    Route(
        "POST", "/v1/service-orders/{order_id}/withdrawal", service_orders.withdraw, REAL_NAME_FILE, "撤回一家的那一项",
        service_orders.OrderStanding, errors=(*_MOVE, OncePerOrder), tag="报装", shed="filing",
    ),
    Route(
        "POST", "/v1/service-orders/{order_id}/company", service_orders.hand_on, REAL_NAME_FILE, "退回的那一项，换一家办",
        service_orders.OrderStanding, 201, body=service_orders.OtherCompany, errors=(*_MOVE, CompanyNotJoined, NoticeChanged),
        example={"company": "telecom_cu", "notice_version": "2023-03"}, tag="报装", shed="filing",
    ),
)  # fmt: skip
