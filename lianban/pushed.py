"""The story of a pushed project: its mains laid beforehand, nobody applies, everything at zero, the platform told of every node.

The housing bureau's clerk fills in the form with the construction permit; the companies come by themselves; the enterprise logs in, looks
and signs. Every project is a new one, so that the story can be played as often as one likes.
"""

import secrets
from datetime import datetime
from typing import Any, NamedTuple

from core import clock
from lianban.agent import check_character
from lianban.family import check_digit
from lianban.phone import Phone
from lianban.story import StoryFailed, Teller, World, until

_PORTAL = "hubei_portal"
_NAMES = {"water": "水务集团", "power": "供电公司", "gas": "安泰天然气", "telecom_ct": "中国电信"}
_LAID = {"water", "gas", "telecom_ct"}
_KW = 120


class Project(NamedTuple):
    """A project under construction: its enterprise as the unified identity knows it, its push."""

    firm: str
    credit_code: str
    unified_id: str
    push_id: str


async def pushed(world: World, tell: Teller) -> None:
    """From the bureau's window to the fourth connection, on one day."""
    async with world.device() as device:
        project = await _filed_at_the_window(device, tell)
        orders = await _companies_come(world, device, project, tell)
        application_id = await _seen(world, device, project, tell)
        await _connected(world, device, application_id, orders, tell)
        await _returned(world, device, project, tell)


async def _filed_at_the_window(device: Phone, tell: Teller) -> Project:
    number = len((await device.control("GET", "/unified/people"))["people"])
    body, seventeen = f"91420703MP{number:07}", f"42070319820{number // 900 % 9 + 1}03{number % 900 + 1:03}"
    firm, code = f"鄂州临港仓储{number}号有限公司", body + check_character(body)
    facts = {
        "name": "陈志强", "phone": f"1380712{number:04}", "id_number": seventeen + check_digit(seventeen),
        "organizations": [{"name": firm, "credit_code": code, "legal_representative": "陈志强"}],
    }  # fmt: skip
    known = await device.control("POST", "/unified/people", facts)
    notice = await device.call("GET", "/v1/notices/application")
    content = {
        "form_version": 1,
        "answers": _answers(firm, code, facts["phone"], number),
        "mains": ["water", "gas", "network"],
        "authorization": {
            "given_at": clock.now().isoformat(), "notice_version": notice["notice_version"], "companies": list(_NAMES),
        },
    }  # fmt: skip
    made = await device.control("POST", "/construction/pushes", {"content": content})
    tell.step(
        "住建窗口", "办施工许可时代填采集单，企业逐家授权，工改平台推送", f"推送编号 {made['push_id']}，企业没有填一个字、没有交一份材料"
    )  # fmt: skip
    return Project(firm, code, known["person_id"], made["push_id"])


async def _companies_come(world: World, device: Phone, project: Project, tell: Teller) -> dict[str, str]:
    """Each company has its lead, with the planned days; company → order."""

    async def receipt() -> dict[str, Any] | None:
        pushes = (await device.control("GET", "/construction/pushes"))["pushes"]
        return next((one for one in pushes if one["push_id"] == project.push_id and one["receipt"]), None)

    sent = await until(world, receipt, "工改平台没有收到回执")
    tell.step("工改平台", "收到签名的回执", f"{sent['receipt']['receipt']}，原文摘要 {sent['sha256'][:12]}…")
    orders: dict[str, str] = {}
    for company, name in _NAMES.items():

        async def lead(company: str = company) -> dict[str, Any] | None:
            ledger = await device.control("GET", f"/companies/{company}/ledger")
            wanted = (one for one in ledger["orders"] if one["content"]["common"]["applicant"]["name"] == project.firm)
            return next(wanted, None)

        order = await until(world, lead, f"{name}没有收到线索")
        content = order["content"]
        if content["source"] != "platform_push":
            raise StoryFailed(f"{name}不知道这是推送的项目")
        laid = "管线已经到位" if content["lead"].get("main_laid") else "按距离办"
        orders[company] = order["order_id"]
        tell.step(
            name, "收到线索，主动上门", f"{content['number']}，计划 {content['lead']['planned_on']} 前接通，{laid}"
        )
        for report in (
            {"report": "accepted"},
            {"report": "surveyed", "can_supply": True, "distance_m": 30, "distance_source": "gis", "plan": "预踏勘"},
            {"report": "plan_replied", "plan": "从已到位的管线接入，红线外不收费"},
        ):
            await device.control("POST", f"/companies/{company}/report", {"order_id": order["order_id"], **report})
    return orders


async def _seen(world: World, device: Phone, project: Project, tell: Teller) -> str:
    """The enterprise logs in for the first time and finds its case, with the zeros; its id."""
    device.organization_id = None
    await device.log_in_at(_PORTAL, project.unified_id, world.settings.return_urls[0], project.credit_code)
    device.organization_id = (await device.call("POST", "/v1/organizations"))["organization_id"]
    (mine,) = (await device.call("GET", "/v1/applications"))["applications"]
    application_id = mine["application_id"]

    async def planned() -> dict[str, Any] | None:
        case = await device.call("GET", f"/v1/applications/{application_id}")
        return case if {one["status"] for one in case["orders"]} == {"plan_replied"} else None

    case = await until(world, planned, "四家的方案没有到齐")
    promised = {one["company"]: one["promise"]["promised_days"] for one in case["orders"]}
    if any(promised[company] != 0 for company in _LAID):
        raise StoryFailed(f"管线到位的没有承诺当天：{promised}")
    needs = (await device.call("GET", f"/v1/applications/{application_id}/papers"))["papers"]
    missing = [need["paper_name"] for need in needs if need["state"] != "waived"]
    if missing:
        raise StoryFailed(f"还要材料：{missing}")
    guide = await device.call("GET", f"/v1/guides/connection?pushed=true&kw={_KW}&applicant=enterprise")
    costs = {service["service"]: service["costs"][0] for service in guide["services"]}
    if any(cost["applicant_fen"] != 0 for cost in costs.values()):
        raise StoryFailed(f"还要企业付钱：{costs}")
    days = "、".join(f"{_NAMES[company]} {promised[company]}" for company in promised)
    tell.step(
        "企业", "第一次登录，看到已经替它办到哪里",
        f"0 环节：没有申请、没有预约，{len(case['orders'])} 家已经踏勘、给了方案",
        f"0 材料：{len(needs)} 样都免交（平台录入推送）",
        f"0 费用：红线外都不用付；办电 {_KW} 千瓦，{costs['power']['words']}",
        f"0 个工作日（水、气、网；办电按距离）：{days}",
        "0 跑腿：接下来在网上看方案、签合同",
    )  # fmt: skip
    return application_id


async def _connected(world: World, device: Phone, application_id: str, orders: dict[str, str], tell: Teller) -> None:
    """Confirmed, signed and connected within the hour: the pipes lie there."""
    for order_id in orders.values():
        for step in ("plan-confirmation", "contract"):
            await device.call("POST", f"/v1/service-orders/{order_id}/{step}", {"plan_version": 1})
    for company, order_id in orders.items():
        for report in ({"report": "inspected", "passed": True}, {"report": "connected"}):
            await device.control("POST", f"/companies/{company}/report", {"order_id": order_id, **report})

    async def done() -> dict[str, Any] | None:
        case = await device.call("GET", f"/v1/applications/{application_id}")
        return case if case["stage"] == "connected" else None

    case = await until(world, done, "没有全部接通")
    outcomes = {one["promise"]["outcome"] for one in case["orders"]}
    if outcomes != {"met"}:
        raise StoryFailed(f"没有按承诺接通：{outcomes}")
    took = clock.now() - datetime.fromisoformat(case["filed_at"])
    tell.step("企业", "看过方案，签了四份合同", f"从推送到全部接通 {took.total_seconds() / 60:.0f} 分钟，承诺都兑现")


async def _returned(world: World, device: Phone, project: Project, tell: Teller) -> None:
    """Every node has gone back to the platform, in order, signed."""

    async def whole() -> list[dict[str, Any]] | None:
        reports = (await device.control("GET", "/construction/reports"))["reports"]
        mine = [one for one in reports if one["push_id"] == project.push_id]
        return mine if sum(one["node"] == "connect" for one in mine) == len(_NAMES) else None

    reports = await until(world, whole, "办理状态没有全部返回工改平台")
    if [one["number"] for one in reports] != list(range(1, len(reports) + 1)):
        raise StoryFailed("办理状态的先后乱了")
    water = [f"{one['code']} {one['name']}" for one in reports if one.get("company") == "water"]
    tell.step("工改平台", "收到每个环节的办理状态，验过签名", f"{len(reports)} 条，一条不少；供水：{' → '.join(water)}")


def _answers(firm: str, code: str, mobile: str, number: int) -> dict[str, Any]:
    return {
        "applicant": {"kind": "enterprise", "name": firm, "credit_code": code, "legal_representative": "陈志强"},
        "contact": {"name": "陈志强", "mobile": mobile},
        "services": ["water", "power", "gas", "network"],
        "term": "permanent",
        "site": {
            "area": "420704401", "address": f"机场大道{number}号", "right": "developer", "planned_start": "2026-03-01",
            "planned_on": "2026-12-31",
        },
        "project": {
            "name": "临港冷链仓", "code": f"2301-420704-04-01-{secrets.randbelow(10**6):06}", "usage": "storage", "floor_area_m2": 8000,
            "height_m": 12, "hazardous": False, "low_risk": True,
        },
        "water": {"use": "business", "caliber_mm": 80, "distance_m": 30},
        "power": {"business": "new", "use": "business", "voltage": "380v", "applied_kw": _KW, "distance_m": 30},
        "gas": {"use": "industrial", "devices": [{"name": "锅炉", "quantity": 1}], "ventilated": True, "distance_m": 30},
        "network": {"companies": ["telecom_ct"], "primary": "telecom_ct", "product": "dedicated", "bandwidth_mbps": 500},
    }  # fmt: skip
