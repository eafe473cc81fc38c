"""``lianban demo``: plays a journey over HTTP against a running system and prints each step with what really came back."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from core import clock
from core import settings as settings_module
from core.settings import Settings
from lianban import check
from lianban.agent import agent
from lianban.chapters import application_in_turn
from lianban.family import family
from lianban.phone import CallFailed, Phone
from lianban.story import Running, StoryFailed, Teller, World, at, refused, until, yuan

STORY = "pay"
COMPANY, ACCOUNT = "water", "0203001234"
_IDLE_WITHIN_S = 30.0


async def play(story: str, world: World) -> int:
    """Play one story; 0 when it ended well. What fails is printed with the step."""
    print(f"\n—— 演示：{TITLES[story]} ——", flush=True)
    started = clock.monotonic()
    try:
        await STORIES[story](world, Teller())
        await _checked(world.settings)
    except (CallFailed, StoryFailed) as error:
        print(f"  ✗ {error}", flush=True)
        return 1
    print(f"—— 完成，用时 {clock.monotonic() - started:.1f} 秒 ——\n", flush=True)
    return 0


async def pay(world: World, tell: Teller) -> None:
    """From the printed bill to the posted payment, the company's own record and the message on the phone."""
    async with world.device() as phone:
        await _scanned_and_paid(world, phone, tell)


async def _scanned_and_paid(world: World, phone: Phone, tell: Teller) -> None:
    settings = world.settings
    token = await _printed_bill(phone, tell)
    person = await phone.become("小明", "13800000001")
    tokens = await phone.log_in()
    tell.step(
        "市民",
        "打开小程序，微信登录",
        f"会话 {tokens['session_id'][:8]}…，等级 {tokens['level']}，凭据 {tokens['expires_in_s']} 秒内有效",
    )
    templates = [
        settings.wechat.templates[name]
        for name in ("payment_received", "payment_posted")
        if name in settings.wechat.templates
    ]
    await phone.allow_messages(templates)
    tell.step("市民", "同意接收缴费结果消息", f"{len(templates)} 个模板各一次")
    seen = await _until_owed(world, phone, token)
    tell.step(
        "市民",
        "扫账单上的二维码",
        f"{seen['company_name']} {seen['holder_masked']} 应缴 {yuan(seen['total_fen'])}",
    )
    quote = await phone.call("POST", "/v1/quotes", {"token": token})
    tell.step(
        "市民",
        "核对金额",
        f"报价 {quote['quote_id'][:8]}… 合计 {yuan(quote['total_fen'])}，{quote['notice']}，{at(quote['expires_at'])} 前有效",
    )
    key = str(uuid4())
    payment = await phone.call("POST", "/v1/payments", {"quote_ids": [quote["quote_id"]]}, key=key)
    again = await phone.call("POST", "/v1/payments", {"quote_ids": [quote["quote_id"]]}, key=key)
    tell.step(
        "市民",
        "点缴费（网络不好，又点了一次）",
        f"缴费单 {payment['payment_id'][:8]}…，两次{'是同一单' if again == payment else '不是同一单！'}",
    )
    params = await phone.call("POST", f"/v1/payments/{payment['payment_id']}/pay-params")
    tell.step("联办", "到微信支付下单并签名", f"{params['package'][:24]}… {params['signType']}")
    paid = await phone.pay(params)
    tell.step("市民", "在微信里输入密码付款", f"微信支付：{paid['result']}")
    if paid["result"] != "ok":
        raise StoryFailed(f"微信支付没有接受：{paid.get('reason')}")
    view = await _until_posted(world, phone, payment["payment_id"])
    tell.step(
        "联办", "收到通知、验签、记账、销账", f"{view['progress']}，企业流水号 {view['parts'][0]['posting_serial']}"
    )
    await _company_agrees(phone, view, tell)
    await _told(world, phone, view, tell)
    tell.step("市民", "再扫一次", await refused(phone, "POST", "/v1/quotes", {"token": token}))
    print(
        f"     {person['nickname']} 付了 {yuan(payment['total_fen'])}，企业记了 {yuan(view['total_fen'])}，两边一致。"
    )


async def _checked(settings: Settings) -> None:
    """What must always hold, on the live database, after the journey, once what it has set going is done."""
    await check.until_idle(settings.database_url, _IDLE_WITHIN_S)
    findings = await check.examine(settings.database_url)
    wrong = sum(len(finding.violations) for finding in findings)
    examined = sum(finding.examined for finding in findings)
    print(f"     核对：{len(findings)} 条规则，看过 {examined} 行，{wrong} 处不符（明细：make check）", flush=True)
    if wrong:
        raise StoryFailed("有规则不成立")


async def _printed_bill(phone: Phone, tell: Teller) -> str:
    """The company issues a bill and prints our QR code on it."""
    ledger = await phone.control("GET", f"/companies/{COMPANY}/ledger")
    number = sum(1 for bill in ledger["bills"] if bill["account_number"] == ACCOUNT) + 1
    today = clock.today()
    lines = [
        {"name": "基本水费", "quantity": "17.00", "unit_price": "1.52", "amount_fen": 2584},
        {"name": "污水处理费", "quantity": "17.00", "unit_price": "0.95", "amount_fen": 1615},
    ]
    bill = {
        "account_number": ACCOUNT, "bill_no": f"W{today:%Y%m%d}-{number:04}", "period": f"{today:%Y-%m}", "issued_on": today.isoformat(),
        "due_on": today.replace(day=28).isoformat(), "status": "open", "principal_fen": 4199, "late_fee_fen": 0, "payable_fen": 4199,
        "usage": "17.00", "unit": "m3", "lines": lines,
    }  # fmt: skip
    await phone.control("POST", f"/companies/{COMPANY}/bills", bill)
    issued = await phone.control(
        "POST", f"/companies/{COMPANY}/qr-codes", {"account_number": ACCOUNT, "label": f"{today:%Y-%m} 账单"}
    )
    if issued["status"] != 200 or issued["signature_error"]:
        raise StoryFailed(f"企业没有领到二维码：{issued}")
    token = issued["answer"]["token"]
    tell.step("水务", f"出账 {bill['bill_no']} {yuan(4199)}，向联办领二维码印在账单上", f"{token[:12]}…")
    return token


async def _until_owed(world: World, phone: Phone, token: str) -> dict[str, Any]:
    """Scan until the company's word about its new bill has arrived; it sends an event the moment it issues one."""

    async def look() -> dict[str, Any] | None:
        seen = await phone.call("POST", "/v1/scans", {"token": token})
        return seen if seen["total_fen"] else None

    return await until(world, look, "没有看到新账单")


async def _until_posted(world: World, phone: Phone, payment_id: str) -> dict[str, Any]:
    """Look at the payment as the page does, until the company has recorded it."""

    async def look() -> dict[str, Any] | None:
        view = await phone.call("GET", f"/v1/payments/{payment_id}")
        if view["progress"] not in ("waiting", "posting", "posted"):
            raise StoryFailed(f"缴费单没有入账：{view['status']}/{view['progress']}")
        return view if view["progress"] == "posted" else None

    return await until(world, look, "缴费单还没有入账")


async def _company_agrees(phone: Phone, view: dict[str, Any], tell: Teller) -> None:
    ledger = await phone.control("GET", f"/companies/{COMPANY}/ledger")
    posting = next(
        (posting for posting in ledger["postings"] if posting.get("serial") == view["parts"][0]["posting_serial"]), None
    )
    if posting is None or posting["content"]["total_fen"] != view["total_fen"]:
        raise StoryFailed("企业自己的账和我们的不一致")
    times = ledger["posting_calls"].get(posting["posting_id"], {}).get("post_payment", 0)
    tell.step(
        "水务",
        "查自己的账",
        f"{posting['serial']} {yuan(posting['content']['total_fen'])} {posting['status']}，收到销账请求 {times} 次",
    )


async def _told(world: World, phone: Phone, view: dict[str, Any], tell: Teller) -> None:
    async def look() -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
        inbox = await phone.call("GET", "/v1/messages?limit=5")
        about = [message for message in inbox["messages"] if view["payment_id"] in (message["page"] or "")]
        on_phone = [
            message for message in await phone.messages() if view["payment_id"] in message["content"].get("page", "")
        ]
        kinds = {message["kind"] for message in about}
        return (about, on_phone) if kinds >= {"payment.succeeded", "payment.posted"} and len(on_phone) >= 2 else None

    about, on_phone = await until(world, look, "消息没有送到")
    tell.step("市民", "看消息", f"站内信“{about[0]['title']}”：{about[0]['body']}")
    tell.step("市民", "看微信", f"收到 {len(on_phone)} 条订阅消息")


STORIES: dict[str, Callable[[World, Teller], Awaitable[None]]] = {
    "pay": pay,
    "family": family,
    "agent": agent,
    "application": application_in_turn,
}
TITLES = {
    "pay": "扫码缴一张水费",
    "family": "一家人的水电气网，一次缴清",
    "agent": "单位的经办人，到期就停",
    "application": "报装水电气网，一张表，一次踏勘，一个承诺",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which story, and where the running system keeps its settings."""
    parser.add_argument("story", nargs="?", default=os.environ.get("STORY") or STORY, choices=sorted(STORIES))
    parser.add_argument(
        "--var", type=Path, default=Path("var"), help="folder of the running `lianban dev` (default: var)"
    )
    parser.add_argument("--sandbox-url", default="http://127.0.0.1:9100", help="the running sandbox")


def run(arguments: argparse.Namespace) -> int:
    """Play it; 1 when it did not end well."""
    path = Path(os.environ.get("LIANBAN_SETTINGS") or arguments.var / "keys" / "settings.json")
    settings = settings_module.load({**os.environ, "LIANBAN_SETTINGS": str(path)})
    if settings.clock_file:
        clock.follow(Path(settings.clock_file))
    try:
        return asyncio.run(play(arguments.story, Running(settings, path, arguments.sandbox_url)))
    except httpx.ConnectError:
        print(
            f"连不上 {settings.public_url} 或者沙箱 {arguments.sandbox_url}：先在另一个终端 make run，等它说已启动",
            file=sys.stderr,
        )
        return 1
