"""Routes of service orders at the desks of staff, of crews' free times, and of the applicant's survey."""

from typing import Any

from api import surveys
from api.access import REAL_NAME_FILE, STAFF_APPROVE, STAFF_ORDER_REVEAL, STAFF_ORDERS, STAFF_WORK
from api.calls import Limit, Route
from api.staff import service_orders as orders
from api.staff import survey_slots
from api.texts import Page
from core.errors import LianbanError, NotFound
from core.redis import LimiterAway, RateLimited
from domain.applications.company_work import DistanceMissing, NotYourOwnRequest
from domain.deadlines.clocks import ExtensionRefused
from domain.orders.clock import PauseNotListed
from domain.orders.moving import OncePerOrder, PapersMissing, ReasonNotListed, TooLate
from domain.surveys.appointments import OtherRound, WindowsUnsuitable
from domain.surveys.slots import SlotUnsuitable
from models.lifecycle import IllegalMove, StaleState

_ORDER = "/staff/v1/service-orders/{order_id}"
_TAG = "子单"
_MOVE = (NotFound, IllegalMove, StaleState)


def _verb(
    path: str,
    handler: Any,
    what: str,
    body: Any = None,
    example: Any = None,
    errors: tuple[type[LianbanError], ...] = (),
) -> Route:
    """One verb of a company's people."""
    return Route(
        "POST",
        f"{_ORDER}/{path}",
        handler,
        STAFF_WORK,
        what,
        orders.OrderOutcome,
        body=body,
        example=example,
        errors=(*_MOVE, *errors),
        tag=_TAG,
    )


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/v1/applications/{application_id}/survey", surveys.show, REAL_NAME_FILE, "一起上门踏勘约在什么时候", surveys.SurveyView,
        errors=(NotFound,), tag="报装", shed="search",
    ),
    Route(
        "POST", "/v1/applications/{application_id}/survey/windows", surveys.offer_windows, REAL_NAME_FILE, "我什么时候方便踏勘", surveys.SurveyView,
        body=surveys.SurveyWindows, errors=(NotFound, WindowsUnsuitable), tag="报装", shed="filing",
        example={"windows": [{"starts_at": "{starts_at}", "ends_at": "{ends_at}"}]},
    ),
    Route(
        "POST", "/v1/applications/{application_id}/survey/confirmation", surveys.confirm, REAL_NAME_FILE, "这个时间我在",
        surveys.SurveyView, body=surveys.SurveyConfirmation, errors=(NotFound, OtherRound), tag="报装", shed="filing", example={"round": 1},
    ),
    Route(
        "GET", "/staff/v1/service-orders", orders.list_orders, STAFF_ORDERS, "子单清单", orders.DeskOrderList, query=orders.OrderPage,
        errors=(NotFound,), tag=_TAG, shed="search",
    ),
    Route("GET", _ORDER, orders.show, STAFF_ORDERS, "一张子单", orders.DeskOrderView, errors=(NotFound,), tag=_TAG, shed="search"),
    Route(
        "POST", f"{_ORDER}/reveal", orders.reveal, STAFF_ORDER_REVEAL, "写明用途，看申请人、联系方式和地址", orders.RevealedOrder, body=orders.OrderReveal,
        limit=Limit(20, closed=True), errors=(NotFound, RateLimited, LimiterAway), tag=_TAG, shed="search",
        example={"purpose": "survey_visit", "note": "明天上午上门踏勘，先联系"},
    ),
    _verb("acceptance", orders.accept, "受理"),
    _verb(
        "correction", orders.send_back, "一次性告知要补正的全部内容", orders.OrderSendBack,
        {"items": [{"subject": "/water/caliber_mm", "note": "口径和每天用量对不上"}]}, (OncePerOrder,),
    ),
    _verb(
        "refusal", orders.refuse, "不予受理，或者办结（不通过）", orders.OrderRefusal, {"reason": "outside_area", "note": "属邻市供水范围"},
        (ReasonNotListed,),
    ),
    _verb("return", orders.hand_back, "不是本单位办的，一个工作日内退回", orders.OrderWords, {"note": "这个小区由另一家供水"}, (TooLate,)),
    _verb(
        "survey", orders.sign_survey, "签本单位的踏勘结论", orders.OrderSurvey,
        {"can_supply": True, "distance_m": 420, "distance_source": "surveyed", "plan": "由滨湖南路主管接入"}, (DistanceMissing, ReasonNotListed),
    ),
    _verb(
        "commitment", orders.commit_days, "超过最远一档，承诺几个工作日", orders.OrderDays, {"days": 12, "note": "要穿越省道，新建 1.4 公里管线"},
        (OncePerOrder, ExtensionRefused),
    ),
    _verb("plan", orders.reply_plan, "方案答复", orders.OrderPlan, {"plan": "DN20 水表，从楼道立管接入"}),
    _verb("construction", orders.construct, "外线开工"),
    _verb("inspection", orders.inspect, "验收，通过或者要整改", orders.OrderInspection, {"passed": True}),
    _verb("rectification", orders.rectify, "整改做完了"),
    _verb("connection", orders.connect, "接通", orders.OrderConnection, {"account_number": "0209012345"}, (PapersMissing,)),
    _verb("cost", orders.state_cost, "红线外的费用实际是多少", orders.OrderCost, {"amount_fen": 1250000}),
    _verb("archive", orders.archive, "归档", orders.OrderArchive, {"file_number": "2026-BZ-000017"}),
    _verb(
        "extension-request", orders.ask_extension, "到期前要求延期，由主管决定", orders.OrderDays, {"days": 2, "note": "管沟遇岩石"},
        (OncePerOrder, TooLate),
    ),
    _verb(
        "pause", orders.pause, "暂停计时，要有凭据", orders.OrderPause, {"reason": "permit", "note": "占道挖掘许可 鄂占〔2026〕17 号"},
        (OncePerOrder, PauseNotListed),
    ),
    _verb("resumption", orders.resume, "恢复计时"),
    _verb("withdrawal-agreement", orders.agree_withdrawal, "同意申请人撤回（已经开工的）"),
    Route(
        "POST", f"{_ORDER}/redispatch", orders.redispatch, STAFF_APPROVE, "退回的子单仍由这家办", orders.OrderOutcome, body=orders.OrderWords,
        errors=_MOVE, example={"note": "经核实，属这家供水范围"}, tag=_TAG,
    ),
    Route(
        "POST", f"{_ORDER}/extension", orders.decide_extension, STAFF_APPROVE, "同意或者不同意延期", orders.OrderOutcome, body=orders.OrderDecision,
        errors=(*_MOVE, NotYourOwnRequest, ExtensionRefused), example={"agreed": True}, tag=_TAG,
    ),
    Route(
        "GET", "/staff/v1/order-requests", orders.list_requests, STAFF_ORDERS, "等主管同意的请求", orders.OrderRequestList, query=Page,
        errors=(NotFound,), tag=_TAG, shed="search",
    ),
    Route(
        "POST", "/staff/v1/order-requests/{request_id}/decision", orders.decide, STAFF_APPROVE, "同意或者不同意这个请求", orders.OrderOutcome,
        body=orders.OrderDecision, errors=(*_MOVE, NotYourOwnRequest, OncePerOrder), example={"agreed": True}, tag=_TAG,
    ),
    Route(
        "GET", "/staff/v1/survey-slots", survey_slots.list_slots, STAFF_WORK, "本单位踏勘队的空档", survey_slots.CrewSlotList, query=Page,
        errors=(NotFound,), tag=_TAG, shed="search",
    ),
    Route(
        "POST", "/staff/v1/survey-slots", survey_slots.change_slots, STAFF_WORK, "写进踏勘队的空档，或者收回", survey_slots.CrewSlotList,
        body=survey_slots.CrewSlotChange, errors=(NotFound, SlotUnsuitable), tag=_TAG,
        example={"slots": [{"slot_code": "{slot_code}", "area": "420704", "starts_at": "{starts_at}", "ends_at": "{ends_at}"}]},
    ),
    Route(
        "POST", "/staff/v1/surveys/{survey_id}/answer", survey_slots.answer_appointment, STAFF_WORK, "确认约好的踏勘，或者说来不了",
        survey_slots.AppointmentOutcome, body=survey_slots.AppointmentWord, errors=(NotFound,), tag=_TAG,
        example={"round": 1, "answer": "confirmed"},
    ),
)  # fmt: skip
