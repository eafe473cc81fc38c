"""The story of an enterprise that connects: one form, four companies, each its own part, one visit, one promise, to the last connection.

180 kilowatts, 420 metres from the mains: three working days. It is played in October 2024, over a Saturday on which the official
calendar has people work. The gas company asks for a correction, so that one hears whose turn it is; the time of the visit is found
among the crews' free hours; on the third counted day everything is connected. Every enterprise is a new one, so that the story can be
played as often as one likes.
"""

import io
from datetime import datetime, time
from typing import Any, NamedTuple
from uuid import uuid4

from PIL import Image

from core import clock
from lianban.agent import check_character
from lianban.family import check_digit
from lianban.phone import Phone
from lianban.story import StoryFailed, Teller, World, refused, until

PORTAL = "hubei_portal"
_NAMES = {"water": "水务集团", "power": "供电公司", "gas": "安泰天然气", "telecom_ct": "中国电信"}
_DISTANCE_M = 420
FRIDAY = datetime(2024, 10, 11, 8, 45, tzinfo=clock.SHANGHAI)
"""The day after it is a Saturday on which people work for the National Day holiday (国办发明电〔2023〕7号)."""
_WHY = {
    "workday": "工作日", "make_up": "调休上班，", "weekend": "周末", "holiday": "放假，", "accepted": "受理当天", "off_accepted": "非工作日提交",
    "after_hours": "下班后提交", "paused": "计时暂停，",
}  # fmt: skip
_FREE = {
    "water": (("11T14:00", "11T16:00"), ("12T09:00", "12T11:00")),
    "power": (("12T08:30", "12T11:30"),),
    "gas": (("11T15:00", "11T17:00"), ("12T09:30", "12T12:00")),
    "telecom_ct": (("12T09:00", "12T12:00"),),
}
"""When the crews are free in October 2024."""


class Enterprise(NamedTuple):
    """A factory being built: known to the unified identity by its legal person."""

    name: str
    credit_code: str
    legal: str
    id_number: str
    mobile: str
    unified_id: str


class Filed(NamedTuple):
    """What the receipt says: the case's id and number, its progress code, the orders by company."""

    application_id: str
    number: str
    code: str
    orders: dict[str, str]


async def application(world: World, tell: Teller) -> None:
    """From the notice of privacy to the fourth connection."""
    await world.go_back_to(FRIDAY)
    tell.step("联办", "把时钟拨回一个星期五", "第二天星期六，按国务院办公厅的通知，国庆节调休上班")
    async with world.device() as device, world.device() as passer_by:
        firm = await _founded(device, tell)
        await _logged_in(world, device, firm)
        filed = await _filed(device, firm, tell)
        await _delivered(world, device, filed, tell)
        await _corrected(world, device, filed, tell)
        await _visited(world, device, firm, filed, tell)
        await _planned(world, device, filed, tell)
        await _connected(world, device, firm, filed, tell)
        await _looked_up(device, passer_by, firm, filed, tell)


async def _founded(device: Phone, tell: Teller) -> Enterprise:
    number = len((await device.control("GET", "/unified/people"))["people"])
    body, seventeen = f"91420703MC{number:07}", f"42070319810{number // 900 % 9 + 1}03{number % 900 + 1:03}"
    firm, code = f"鄂州新港制造{number}号有限公司", body + check_character(body)
    facts = {
        "name": "周建国", "phone": f"1380711{number:04}", "id_number": seventeen + check_digit(seventeen),
        "organizations": [{"name": firm, "credit_code": code, "legal_representative": "周建国"}],
    }  # fmt: skip
    known = await device.control("POST", "/unified/people", facts)
    guide = await device.call("GET", f"/v1/guides/connection?distance_m={_DISTANCE_M}")
    tell.step("企业", "还没登录，先看办事指南：几天、多少钱、依据", f"{len(str(guide))} 字，和办件时用的是同一套规则")
    return Enterprise(firm, code, "周建国", facts["id_number"], facts["phone"], known["person_id"])


async def _logged_in(world: World, device: Phone, firm: Enterprise) -> None:
    device.organization_id = None
    await device.log_in_at(PORTAL, firm.unified_id, world.settings.return_urls[0], firm.credit_code)
    device.organization_id = (await device.call("POST", "/v1/organizations"))["organization_id"]


async def _filed(device: Phone, firm: Enterprise, tell: Teller) -> Filed:
    """Begun at the portal, gone on with at the app, consented to company by company, filed once."""
    answers = _answers(firm)
    part = {name: answers[name] for name in ("applicant", "contact", "services", "term")}
    draft = await device.call("POST", "/v1/application-drafts", {"answers": part, "access_point": "hubei_portal"})
    path = f"/v1/application-drafts/{draft['draft_id']}"
    saved = await device.call("PUT", path, {"answers": answers, "access_point": "ehuiban", "version": draft["version"]})
    stale = await refused(
        device, "PUT", path, {"answers": answers, "access_point": "hubei_portal", "version": draft["version"]}
    )
    tell.step("企业", "在政务服务网填一半，在鄂汇办填完；旧页面又点了保存", f"草稿第 {saved['version']} 版", stale)
    notice = await device.call("GET", "/v1/notices/application")
    await _handed_in(device, draft["draft_id"], saved["version"], notice["notice_version"], tell)
    consents = [{"company": company, "notice_version": notice["notice_version"]} for company in _NAMES]
    wanted = {"version": saved["version"], "consents": consents[:3]}
    missing = await refused(device, "POST", f"{path}/filing", wanted, key=str(uuid4()))
    wanted, key = {"version": saved["version"], "consents": consents}, str(uuid4())
    receipt = await device.call("POST", f"{path}/filing", wanted, key=key)
    again = await device.call("POST", f"{path}/filing", wanted, key=key)
    if again != receipt:
        raise StoryFailed("两次提交不是同一件")
    tell.step("企业", "少同意一家就提交", missing)
    tell.step(
        "企业",
        f"看完告知书 {notice['notice_version']}，逐家同意，提交（网络不好，又点了一次）",
        f"受理编号 {receipt['application_number']}，{len(receipt['orders'])} 个子单，两次是同一件",
    )
    orders = {order["company"]: order["order_id"] for order in receipt["orders"]}
    return Filed(receipt["application_id"], receipt["application_number"], receipt["progress_code"], orders)


async def _handed_in(device: Phone, draft_id: str, version: int, notice: str, tell: Teller) -> None:
    """Nothing is filed without its papers: what is known already is not asked for, the rest is uploaded once for all companies."""
    consents = [{"company": company, "notice_version": notice} for company in _NAMES]
    wanted = {"version": version, "consents": consents}
    empty = await refused(device, "POST", f"/v1/application-drafts/{draft_id}/filing", wanted, key=str(uuid4()))
    needs = (await device.call("GET", f"/v1/applications/{draft_id}/papers"))["papers"]
    waived = [need["paper_name"] for need in needs if need["state"] == "waived"]
    missing = [need for need in needs if need["state"] == "missing"]
    tell.step("企业", "材料还没有传就提交", empty, f"缺 {'、'.join(need['paper_name'] for need in missing)}")
    for need in missing:
        material_id = await device.upload(need["paper"], scan())
        await device.call(
            "POST",
            f"/v1/applications/{draft_id}/papers",
            {"requirement": need["requirement"], "material_id": material_id},
        )
    tell.step("企业", f"每样拍一张，传 {len(missing)} 份，四家共用", f"免交 {'、'.join(dict.fromkeys(waived))}")


def scan() -> bytes:
    """A paper as a phone photographs it."""
    made = io.BytesIO()
    Image.new("RGB", (80, 60), (240, 238, 228)).save(made, "JPEG")
    return made.getvalue()


async def _delivered(world: World, device: Phone, filed: Filed, tell: Teller) -> None:
    """Each company has its own part, and nothing of another's."""
    for company, order_id in filed.orders.items():

        async def came(company: str = company, order_id: str = order_id) -> dict[str, Any] | None:
            ledger = await device.control("GET", f"/companies/{company}/ledger")
            return next((one for one in ledger["orders"] if one["order_id"] == order_id), None)

        order = await until(world, came, f"{_NAMES[company]}没有收到子单")
        sent = order["content"]
        if {"water", "power", "gas", "network"} & set(sent["common"]):
            raise StoryFailed(f"{_NAMES[company]}看到了别家的内容")
        tell.step(_NAMES[company], "收到子单", f"{sent['number']}，自己的部分 {len(sent['part'])} 项")


async def _corrected(world: World, device: Phone, filed: Filed, tell: Teller) -> None:
    """Three accept; the gas company says once what is missing."""
    for company in ("water", "power", "telecom_ct"):
        await report(device, filed, company, {"report": "accepted"})
    items = [{"subject": "/gas/devices/0/model", "note": "锅炉没有填型号"}]
    await report(device, filed, "gas", {"report": "correction_asked", "items": items})
    await stand(
        world, device, filed, {"water": "accepted", "power": "accepted", "telecom_ct": "accepted", "gas": "correcting"}
    )
    case = await case_of(device, filed)
    tell.step(
        "安泰天然气",
        "一次说清缺什么",
        f"阶段 {case['stage']}，等企业的：{'、'.join(_NAMES[one] for one in case['your_turn'])}",
    )
    body = {"changes": {"/gas/devices/0/model": "WNS2-1.0"}, "note": "型号补上了"}
    answered = await device.call("POST", f"/v1/service-orders/{filed.orders['gas']}/correction", body)
    await report(device, filed, "gas", {"report": "accepted"})
    await stand(world, device, filed, {"gas": "accepted"})
    tell.step("企业", "补上型号", f"{answered['status']}，安泰天然气随即受理")


async def _visited(world: World, device: Phone, firm: Enterprise, filed: Filed, tell: Teller) -> None:
    """The crews' free hours and the enterprise's own: the platform holds the first that suits all, and everybody confirms it."""
    path = f"/v1/applications/{filed.application_id}/survey"
    for company, free in _FREE.items():
        slots = [
            {
                "slot_id": f"{filed.number}-{place}",
                "area": "420703",
                "starts_at": _moment(start),
                "ends_at": _moment(end),
            }
            for place, (start, end) in enumerate(free)
        ]
        await device.control("POST", f"/companies/{company}/slots", {"slots": slots})
    windows = [("11T14:00", "11T17:30"), ("12T08:30", "12T12:00")]
    offered = {"windows": [{"starts_at": _moment(start), "ends_at": _moment(end)} for start, end in windows]}
    await device.call("POST", f"{path}/windows", offered)

    async def held() -> dict[str, Any] | None:
        survey = await device.call("GET", path)
        return survey if survey["status"] == "held" else None

    survey = await until(world, held, "没有约到共同的时间")
    said = f"{_when(survey['starts_at'])} 起一小时"
    tell.step("联办", "四家的空档和企业方便的时间一对", f"第一个都行的时间：{said}，请各家和企业确认")
    for company in _FREE:
        word = {"survey_id": survey["survey_id"], "round": survey["round"], "answer": "confirmed"}
        await device.control("POST", f"/companies/{company}/appointment", word)
    await device.call("POST", f"{path}/confirmation", {"round": survey["round"]})

    async def fixed() -> bool:
        return (await device.call("GET", path))["status"] == "fixed"

    await until(world, fixed, "没有都确认")
    tell.step("企业", "确认在场", "四家都确认，一次上门")
    await world.travel_to(datetime.fromisoformat(survey["ends_at"]))
    await _logged_in(world, device, firm)


async def _planned(world: World, device: Phone, filed: Filed, tell: Teller) -> None:
    """Each company signs its own part, the plans come, the enterprise confirms and signs."""
    for company in filed.orders:
        await report(device, filed, company, {"report": "surveyed", "can_supply": True, "distance_m": _DISTANCE_M})
        await report(device, filed, company, {"report": "plan_replied", "plan": "从创业大道主管接入"})
    await stand(world, device, filed, dict.fromkeys(filed.orders, "plan_replied"))
    for order_id in filed.orders.values():
        for step in ("plan-confirmation", "contract"):
            await device.call("POST", f"/v1/service-orders/{order_id}/{step}", {"plan_version": 1})
    promise = (await case_of(device, filed))["orders"][0]["promise"]
    tell.step(
        "企业",
        "四家各签各的踏勘结论，方案都看过，当场同意并签约",
        f"踏勘 {_DISTANCE_M} 米，承诺 {promise['promised_days']} 个工作日，{promise['due_on']} 前办结（{promise['clause'][:20]}…）",
        *counted(promise),
    )


async def _connected(world: World, device: Phone, firm: Enterprise, filed: Filed, tell: Teller) -> None:
    """They build, and on the third counted day they connect, one after another."""
    promise = (await case_of(device, filed))["orders"][0]["promise"]
    days = [datetime.fromisoformat(day["day"]) for day in promise["counted_days"] if day["counted"]]
    if not any(day["why"] == "make_up" for day in promise["counted_days"] if day["counted"]):
        raise StoryFailed("调休的星期六没有计入")
    await world.travel_to(datetime.combine(days[1], time(9), clock.SHANGHAI))
    for company in filed.orders:
        await report(device, filed, company, {"report": "construction_started"})
    await _logged_in(world, device, firm)
    await stand(world, device, filed, dict.fromkeys(filed.orders, "constructing"))
    tell.step("四家", f"{days[1]:%m-%d}，第二个工作日，一起进场", "施工")
    await world.travel_to(datetime.combine(days[2], time(9, 30), clock.SHANGHAI))
    await _logged_in(world, device, firm)
    case = await case_of(device, filed)
    for place, company in enumerate(filed.orders, 1):
        for said in ({"report": "inspected", "passed": True}, {"report": "connected"}):
            await report(device, filed, company, said)
        await stand(world, device, filed, {company: "connected"})
        case = await case_of(device, filed)
        tell.step(_NAMES[company], f"{days[2]:%m-%d}，验收、接通", f"{place} 家已通，阶段 {case['stage']}")
    outcomes = {one["promise"]["outcome"] for one in case["orders"]}
    if case["stage"] != "connected" or outcomes != {"met"}:
        raise StoryFailed(f"没有按时全部接通：{case['stage']} {outcomes}")
    promise = case["orders"][0]["promise"]
    tell.step(
        "企业",
        "看进度",
        f"全部接通，都按时；承诺的时限用了 {promise['used_days']} 天，实际等了 {promise['lived_days']} 个工作日",
    )


async def _looked_up(device: Phone, passer_by: Phone, firm: Enterprise, filed: Filed, tell: Teller) -> None:
    """Progress without a login, and every message."""
    asked = {"progress_code": filed.code, "phone_last4": "0000"}
    wrong = await refused(passer_by, "POST", "/v1/progress", asked)
    found = await passer_by.call("POST", "/v1/progress", asked | {"phone_last4": firm.mobile[-4:]})
    if firm.name in str(found) or "创业大道" in str(found):
        raise StoryFailed("不登录看到了名称或地址")
    tell.step(
        "门卫", "凭进度码和手机号后四位查", wrong, f"{found['stage']}，{len(found['orders'])} 家的日期，没有名称和地址"
    )
    device.organization_id = None
    titles = [message["title"] for message in (await device.call("GET", "/v1/messages?limit=100"))["messages"]]
    tell.step("企业", "翻消息", f"{len(titles)} 条：" + "、".join(dict.fromkeys(reversed(titles))))


async def report(device: Phone, filed: Filed, company: str, said: dict[str, Any]) -> None:
    """What the company says of its order, by its own system."""
    await device.control("POST", f"/companies/{company}/report", {"order_id": filed.orders[company], **said})


async def case_of(device: Phone, filed: Filed) -> dict[str, Any]:
    """The case as its applicant sees it."""
    return await device.call("GET", f"/v1/applications/{filed.application_id}")


async def stand(world: World, device: Phone, filed: Filed, wanted: dict[str, str]) -> None:
    """Wait until the orders of these companies stand there.

    Raises:
        StoryFailed.
    """

    async def stands() -> bool:
        case = await case_of(device, filed)
        return wanted.items() <= {one["company"]: one["status"] for one in case["orders"]}.items()

    await until(world, stands, f"没有走到 {wanted}")


def counted(promise: dict[str, Any]) -> list[str]:
    """Each day up to the due date, counted or not, and why."""
    return [
        f"{day['day']} {'计入' if day['counted'] else '不计'}：{_WHY[day['why']]}{day['name'] or ''}"
        for day in promise["counted_days"]
    ]


def _moment(text: str) -> str:
    return f"2024-10-{text}:00+08:00"


def _when(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(clock.SHANGHAI):%m-%d %H:%M}"


def _answers(firm: Enterprise) -> dict[str, Any]:
    return {
        "applicant": {"kind": "enterprise", "name": firm.name, "credit_code": firm.credit_code, "legal_representative": firm.legal},
        "agent": {"name": firm.legal, "id_number": firm.id_number},
        "contact": {"name": firm.legal, "mobile": firm.mobile},
        "services": ["water", "power", "gas", "network"],
        "term": "permanent",
        "site": {"area": "420703400", "address": "创业大道8号", "right": "developer"},
        "project": {
            "name": "新港厂房", "code": "2301-420703-04-01-123456", "usage": "industrial", "floor_area_m2": 9000, "height_m": 18,
            "hazardous": False, "low_risk": True,
        },
        "water": {"use": "business", "caliber_mm": 80, "distance_m": _DISTANCE_M},
        "power": {
            "business": "new", "use": "business", "voltage": "10kv", "applied_kw": 180, "applied_kva": 200, "supply": "single",
            "load_class": "third", "important": "none", "devices": [{"name": "机床", "quantity": 3, "kw": 30.5}], "distance_m": _DISTANCE_M,
        },
        "gas": {"use": "industrial", "devices": [{"name": "锅炉", "quantity": 1}], "ventilated": True, "distance_m": _DISTANCE_M},
        "network": {"companies": ["telecom_ct"], "primary": "telecom_ct", "product": "dedicated", "bandwidth_mbps": 1000},
    }  # fmt: skip
