"""Routes of promises, fees and the public guide."""

from api import guides
from api.access import (
    ANYBODY,
    STAFF_ANSWER_PERMITS,
    STAFF_ASK_PERMITS,
    STAFF_DEADLINES,
    STAFF_FEES,
    STAFF_PERMITS,
    STAFF_REPLY,
    STAFF_SUPERVISE,
    STAFF_WARNINGS,
)
from api.calls import Route
from api.staff import deadlines, permits
from core.errors import NotFound
from domain.deadlines.clocks import ApproverNeeded, DeadlineNotRunning, DeadlinePaused
from domain.orders.permits import PermitKindUnknown, PermitOpen
from models.lifecycle import IllegalMove, StaleState

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/guides/connection", guides.show_connection, ANYBODY, "办事指南：报装几天、多少钱、依据", guides.ConnectionGuide,
        query=guides.GuideQuery, tag="报装", shed="search", offline=True,
    ),
    Route(
        "GET", "/staff/v1/warnings", deadlines.list_warnings, STAFF_DEADLINES, "快到期和已经超期的承诺", deadlines.WarningList,
        query=deadlines.WarningPage, errors=(NotFound,), tag="时限和督办", shed="search",
    ),
    Route(
        "POST", "/staff/v1/warnings/{warning_id}/answer", deadlines.answer_warning, STAFF_WARNINGS, "写明怎么处理，这条预警不再上报",
        deadlines.WarningView, body=deadlines.WarningAnswer, errors=(NotFound,), example={"note": "已安排明天上午装表"}, tag="时限和督办",
    ),
    Route(
        "GET", "/staff/v1/supervisions", deadlines.list_supervisions, STAFF_DEADLINES, "督办单", deadlines.SupervisionList,
        query=deadlines.SupervisionPage, errors=(NotFound,), tag="时限和督办", shed="search",
    ),
    Route(
        "POST", "/staff/v1/supervisions/{supervision_id}/reply", deadlines.reply_supervision, STAFF_REPLY, "回复督办：为什么、什么时候办好",
        deadlines.SupervisionView, body=deadlines.SupervisionText, errors=(NotFound, IllegalMove, StaleState),
        example={"text": "管沟遇岩石，改道后明天上午通水"}, tag="时限和督办",
    ),
    Route(
        "POST", "/staff/v1/supervisions/{supervision_id}/send-back", deadlines.send_back_supervision, STAFF_SUPERVISE,
        "回复不行，写明理由，退回重新回复", deadlines.SupervisionView, body=deadlines.SupervisionText,
        errors=(NotFound, IllegalMove, StaleState), example={"text": "没有写明什么时候办好"}, tag="时限和督办",
    ),
    Route(
        "POST", "/staff/v1/supervisions/{supervision_id}/close", deadlines.close_supervision, STAFF_SUPERVISE, "督办办结",
        deadlines.SupervisionView, errors=(NotFound, IllegalMove, StaleState), tag="时限和督办",
    ),
    Route(
        "POST", "/staff/v1/service-orders/{order_id}/permits", permits.ask, STAFF_ASK_PERMITS, "外线施工要的审批，一次报给各部门，承诺暂停",
        permits.PermitList, 201,
        body=permits.PermitRequest,
        errors=(NotFound, PermitKindUnknown, PermitOpen, ApproverNeeded, DeadlinePaused, DeadlineNotRunning, IllegalMove),
        example={"kinds": ["road_digging", "traffic"], "evidence": "占道许可申请 2026-118"}, tag="时限和督办",
    ),
    Route(
        "GET", "/staff/v1/permits", permits.list_permits, STAFF_PERMITS, "外线施工的审批", permits.PermitList, query=permits.PermitPage,
        tag="时限和督办", shed="search",
    ),
    Route(
        "POST", "/staff/v1/permits/{permit_id}/answer", permits.answer, STAFF_ANSWER_PERMITS, "部门答复：同意或者不同意", permits.PermitView,
        body=permits.PermitAnswer, errors=(NotFound, IllegalMove, StaleState),
        example={"granted": True, "text": "鄂城管占道〔2026〕118号"}, tag="时限和督办",
    ),
    Route(
        "GET", "/staff/v1/deadline-figures", deadlines.show_figures, STAFF_DEADLINES, "按企业和区看按时、超期和办理天数",
        deadlines.FigureList, query=deadlines.Span, errors=(NotFound,), tag="时限和督办", shed="report",
    ),
    Route(
        "GET", "/staff/v1/fee-claims", deadlines.show_fees, STAFF_FEES, "一个月的报装费用由谁承担", deadlines.FeeReport,
        query=deadlines.Month, errors=(NotFound,), tag="时限和督办", shed="report",
    ),
)  # fmt: skip
