"""Routes of pushed projects: the door of the construction-approval platform, the desk of those who read what it sent, the planners' export."""

from api.access import PLATFORM, STAFF_DEMAND, STAFF_PUSHES
from api.callbacks import construction_platform
from api.calls import Limit, Route
from api.errors import SignatureWrong
from api.staff import pushes
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.applications.demand import PeriodTooLong
from domain.applications.pushes import PushDiffers
from models.lifecycle import IllegalMove, StaleState

_PUSH = "/staff/v1/pushes/{push_id}"
_TAG = "工改推送"
_MOVE = (NotFound, IllegalMove, StaleState)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/callbacks/construction-platform", construction_platform.receive, PLATFORM, "工改平台推送一个项目",
        construction_platform.PushReceipt, raw=True, body=construction_platform.ProjectPushMessage, errors=(SignatureWrong, PushDiffers),
        tag=_TAG, signed_answer=True,
        example={
            "push_id": "GG-20261123-000017", "schema": "1", "pushed_at": "2026-11-23T10:02:11+08:00", "form_version": 1,
            "answers": {"services": ["water"]}, "mains": ["water"],
            "authorization": {"given_at": "2026-11-20T15:00:00+08:00", "notice_version": "2023-03", "companies": ["water"]},
        },
    ),
    Route(
        "GET", "/staff/v1/pushes", pushes.list_pushes, STAFF_PUSHES, "等人处理的推送，或者某一种状态的", pushes.PushList, query=pushes.PushPage,
        tag=_TAG, shed="search",
    ),
    Route("GET", _PUSH, pushes.show, STAFF_PUSHES, "一次推送，哪里看不懂，做过什么", pushes.PushView, errors=(NotFound,), tag=_TAG, shed="search"),
    Route(
        "POST", f"{_PUSH}/reveal", pushes.reveal, STAFF_PUSHES, "写明用途，看推送的原文", pushes.PushContent, body=pushes.PushReveal,
        limit=Limit(20, closed=True), errors=(NotFound, RateLimited, LimiterAway), tag=_TAG, shed="search",
        example={"push_purpose": "understand_push", "note": "核对采集单版本"},
    ),
    Route(
        "POST", f"{_PUSH}/amendment", pushes.amend, STAFF_PUSHES, "改成看得懂的，原文留着", pushes.PushView, body=pushes.PushAmend, errors=_MOVE,
        tag=_TAG, shed="filing", example={"content": {"schema": "1"}, "reason": "平台升级了版本，内容没有变"},
    ),
    Route(
        "POST", f"{_PUSH}/replay", pushes.replay, STAFF_PUSHES, "按现在的样子重新处理", pushes.PushView, body=pushes.PushReason, errors=_MOVE,
        tag=_TAG, example={"reason": "已经和平台核对，改好了"},
    ),
    Route(
        "POST", f"{_PUSH}/dismissal", pushes.dismiss, STAFF_PUSHES, "不办，告诉平台不受理", pushes.PushView, body=pushes.PushReason, errors=_MOVE,
        tag=_TAG, example={"reason": "项目已撤销，平台同意"},
    ),
    Route(
        "POST", f"{_PUSH}/explanation", pushes.explain, STAFF_PUSHES, "和平台的清单对不上，写明是怎么回事", pushes.PushView,
        body=pushes.PushReason, errors=(NotFound, IllegalMove), tag=_TAG, example={"reason": "平台补录了清单，以我方收到的为准"},
    ),
    Route(
        "GET", "/staff/v1/demand", pushes.export_demand, STAFF_DEMAND, "工改项目的需求，按片区和月份，给管网规划", None, query=pushes.DemandPeriod,
        media_type="text/csv", errors=(NotFound, PeriodTooLong), tag=_TAG, shed="report",
    ),
)  # fmt: skip
