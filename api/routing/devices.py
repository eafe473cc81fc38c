"""Routes of devices that read ID cards, of those who enrol them, and of the citizens before them."""

from api import card_reads
from api.access import DEVICE, PHONE, STAFF_DEVICES, WECHAT
from api.calls import Limit, Route
from api.device import card_reads as of_device
from api.errors import RequestMalformed, SignatureWrong
from api.staff import devices
from api.texts import Page
from core.errors import NotFound
from core.redis import LimiterAway, RateLimited
from domain.identity.cards import CardCodeRefused, CardNotTaken, CardRefused
from domain.identity.devices import DeviceRefused

_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
"""

ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/device/v1/card-reads", of_device.create, DEVICE, "读了一张身份证", of_device.CardReadView, 201, raw=True,
        body=of_device.CardReadRequest, limit=Limit(120), errors=(SignatureWrong, RequestMalformed, NotFound, CardRefused, RateLimited),
        example={"name": "张三", "id_number": "11010519491231002X", "valid_until": "2036-05-31"}, tag="身份证设备", shed="filing",
    ),
    Route(
        "GET", "/device/v1/card-reads/{card_read_id}", of_device.show, DEVICE, "有没有人用手机接走", of_device.CardReadState, raw=True,
        limit=Limit(600), errors=(SignatureWrong, NotFound, RateLimited), tag="身份证设备", shed="search",
    ),
    Route(
        "POST", "/device/v1/card-reads/{card_read_id}/confirm", of_device.confirm, DEVICE, "设备前的人看过手机号，说是不是他的",
        of_device.CardReadState, raw=True, body=of_device.CardAnswer, limit=Limit(120),
        errors=(SignatureWrong, RequestMalformed, NotFound, CardNotTaken, RateLimited), example={"agreed": True}, tag="身份证设备", shed="filing",
    ),
    Route(
        "POST", "/v1/me/card-reads", card_reads.take, PHONE, "扫自助机上的码，用身份证实名", card_reads.CardReadOfMine, 201,
        body=card_reads.CardTaking, limit=Limit(20, closed=True), errors=(CardCodeRefused, RateLimited, LimiterAway),
        example={"card_code": "{card_code}"}, tag="我", shed="filing",
    ),
    Route(
        "GET", "/v1/me/card-reads/{card_read_id}", card_reads.show, WECHAT, "身份证实名办到哪一步", card_reads.CardReadOfMine,
        errors=(NotFound,), tag="我", shed="search",
    ),
    Route(
        "POST", "/staff/v1/devices", devices.enrol, STAFF_DEVICES, "登记一台读身份证的设备", devices.DeviceView, 201,
        body=devices.DeviceEnrolment, limit=Limit(30), errors=(DeviceRefused, RateLimited),
        example={"kind": "reader", "label": "3 号窗口读卡器", "public_key": _PUBLIC_KEY, "unit": "hall_420704"}, tag="身份证设备", shed="filing",
    ),
    Route(
        "GET", "/staff/v1/devices", devices.list_devices, STAFF_DEVICES, "登记过的设备", devices.DeviceList, query=Page, tag="身份证设备",
        shed="search",
    ),
    Route(
        "POST", "/staff/v1/devices/{device_id}/revoke", devices.revoke, STAFF_DEVICES, "停用一台设备", None, 204, errors=(NotFound,),
        tag="身份证设备",
    ),
)  # fmt: skip
