"""Routes of the systems that call us: platforms and companies."""

from api.access import COMPANY, PLATFORM
from api.callbacks import alipay, wechat, wechat_pay
from api.callbacks import companies as company_events
from api.calls import Route
from api.company import materials, qr_codes
from api.errors import RequestMalformed, SignatureWrong
from api.texts import Failure
from core.errors import NotFound
from core.redis import RateLimited
from domain.billing.accounts import CompanyAway
from domain.billing.scene_codes import WeChatCodesAway
from domain.companies import CompanyNotJoined
from domain.materials.materials import LinkRefused, MaterialWithheld
from domain.materials.store import StoreAway

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/callbacks/wechat-pay", wechat_pay.receive, PLATFORM, "微信支付的通知", None, 204, raw=True, others=((401, Failure),),
        tag="平台通知",
    ),
    Route(
        "POST", "/callbacks/alipay", alipay.receive, PLATFORM, "支付宝的通知", None, raw=True, media_type="text/plain", others=((401, Failure),),
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
        "GET", "/callbacks/wechat/official-account", wechat.verify_official_address, PLATFORM, "微信验证公众号的地址", None, raw=True,
        media_type="text/plain", others=((401, Failure),), tag="平台通知", offline=True,
    ),
    Route(
        "POST", "/callbacks/wechat/official-account", wechat.receive_official, PLATFORM, "公众号消息推送", None, raw=True,
        media_type="text/plain", others=((401, Failure),), tag="平台通知",
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
        "POST", "/company/v1/qr-codes/wechat", qr_codes.draw, COMPANY, "收费单位领取小程序码或公众号二维码", qr_codes.WeChatCodeAnswer, raw=True,
        body=qr_codes.WeChatCodeRequest, errors=(SignatureWrong, RequestMalformed, NotFound, CompanyNotJoined, WeChatCodesAway), tag="收费单位",
        shed="filing", example={"token": "{qr_token}", "kind": "mini_program", "width": 430},
    ),
    Route(
        "POST", "/company/v1/qr-codes/revoke", qr_codes.revoke, COMPANY, "收费单位作废二维码", None, 204, raw=True, body=qr_codes.QrCodeRevocation,
        errors=(SignatureWrong, RequestMalformed, NotFound, CompanyNotJoined), tag="收费单位", example={"token": "{qr_token}"},
    ),
    Route(
        "GET", "/company/v1/service-orders/{order_id}/materials", materials.list_materials, COMPANY, "子单的材料，和没有交的靠什么免交",
        materials.LinkedMaterials, raw=True, errors=(SignatureWrong, NotFound, CompanyNotJoined), tag="收费单位", shed="search",
    ),
    Route(
        "GET", "/company/v1/service-orders/{order_id}/materials/{material_id}/{material_link}", materials.read, COMPANY, "领取子单的一份材料",
        None, raw=True, media_type="application/octet-stream",
        errors=(SignatureWrong, NotFound, CompanyNotJoined, MaterialWithheld, LinkRefused, StoreAway), tag="收费单位", shed="search",
    ),
)  # fmt: skip
