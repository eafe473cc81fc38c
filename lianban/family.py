"""The story of a family: everything it owes to five companies seen in one look, four of them paid at once, on a bad day.

One person logs in on the phone and at 鄂汇办 and joins the two. While one payment goes to four companies, one of them is down and
another refuses. Every household is a new one, so that the story can be played as often as one likes.
"""

from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from core import clock
from lianban.phone import Phone
from lianban.story import StoryFailed, Teller, World, at, until, yuan

SOURCE = "ehuiban"
DOWN, REFUSING, SLOW = "gas", "telecom_ct", "telecom_cm"
_MORNING = time(10, 5)
_WAYS = {"water": "水费", "power": "电费", "gas": "燃气费", "telecom_ct": "电信宽带", "telecom_cm": "移动宽带"}
_FENS = {"water": (4660, 5888), "power": (10944,), "gas": (4675, 3822), "telecom_ct": (8900,), "telecom_cm": (6800,)}


class Household(NamedTuple):
    """Somebody who has just moved in: known to the unified identity, holder of an account at each company."""

    name: str
    phone: str
    id_number: str
    unified_id: str
    meter: str
    numbers: dict[str, str]
    bill_nos: dict[str, list[str]]

    @property
    def last4(self) -> str:
        """What most companies ask for as a proof."""
        return self.id_number[-4:]


async def family(world: World, tell: Teller) -> None:
    """From two logins to one payment of four companies, and to the reconciliation of the day."""
    async with world.device() as phone, world.device() as app, world.device() as spouse:
        home = await _moved_in(phone, tell)
        await _on_the_phone(world, phone, home, tell)
        await _at_the_app(world, app, home, tell)
        await _joined(world, phone, home, tell)
        ids = await _everything(app, tell)
        payment_id = await _changed_his_mind(phone, app, ids, tell)
        await _bad_day(phone, home, tell)
        await _paid(world, phone, payment_id, tell)
        await _down_and_back(world, phone, home, payment_id, tell)
        view = await _ended(world, phone, app, payment_id, tell)
        await _refunded(phone, view, tell)
        await _spouse_pays(world, phone, spouse, home, ids[SLOW], tell)
        await _messages(world, phone, home, payment_id, tell)
        await _spouse_is_told(spouse, tell)
    await _morning_after(world, view, tell)


async def _moved_in(phone: Phone, tell: Teller) -> Household:
    """Accounts and open bills at five companies, and an entry at the unified identity."""
    number = len((await phone.control("GET", "/unified/people"))["people"])
    seventeen = f"42070419880{number // 900 % 9 + 1}01{number % 900 + 1:03}"
    facts = {"name": "赵家明", "phone": f"1380711{number:04}", "id_number": seventeen + check_digit(seventeen)}
    known = await phone.control("POST", "/unified/people", facts)
    numbers = {
        "water": f"02031{number:05}", "power": f"42000990{number:05}", "gas": f"Q2031{number:04}",
        "telecom_ct": f"07112000{number:06}", "telecom_cm": facts["phone"],
    }  # fmt: skip
    home = Household(
        facts["name"], facts["phone"], facts["id_number"], known["person_id"], f"G2031{number:05}", numbers, {}
    )
    for company, account in numbers.items():
        body = {
            "number": account, "holder_name": home.name, "holder_id_last4": home.last4, "holder_mobile": home.phone, "meter_number": home.meter,
            "address": f"鄂城区凤凰街道滨湖路8号{number}栋101", "address_masked": f"鄂城区凤凰街道***{number}栋", "status": "open",
        }  # fmt: skip
        await phone.control("POST", f"/companies/{company}/accounts", body)
        home.bill_nos[company] = [
            await _issued(phone, company, account, months, fen) for months, fen in enumerate(reversed(_FENS[company]))
        ]
    tell.step(
        "五家单位",
        f"给新搬来的{home.name}出账",
        "，".join(f"{_WAYS[company]} {yuan(sum(fens))}" for company, fens in _FENS.items()),
    )
    return home


async def _issued(phone: Phone, company: str, account: str, months_ago: int, fen: int) -> str:
    month = clock.today().replace(day=1)
    for _ in range(months_ago):
        month = (month - timedelta(days=1)).replace(day=1)
    body = {
        "account_number": account, "period": f"{month:%Y-%m}", "principal_fen": fen, "event": False,
        "lines": [{"name": _WAYS[company], "amount_fen": fen}],
    }  # fmt: skip
    return (await phone.control("POST", f"/companies/{company}/bills", body))["bill"]["bill_no"]


async def _on_the_phone(world: World, phone: Phone, home: Household, tell: Teller) -> None:
    await phone.become(f"家明{home.phone[-4:]}", home.phone)
    await phone.log_in()
    raised = await phone.prove_phone()
    tell.step("市民·手机", "微信小程序登录，验证手机号", f"等级 {raised['level']}")
    names = world.settings.wechat.templates
    wanted = ["payment_received", "payment_posted", "payment_refund", "security_notice"]
    templates = [names[name] for name in wanted if name in names]
    await phone.allow_messages(templates)
    if world.settings.official_account is not None:
        await phone.follow(world.settings.official_account.appid)
    tell.step("市民·手机", "同意接收消息，关注公众号", f"{len(templates)} 个小程序模板各一次，其余的走公众号")
    for company in ("water", "power"):
        await _bound(phone, home, company, tell, "市民·手机")


async def _at_the_app(world: World, app: Phone, home: Household, tell: Teller) -> None:
    tokens = await app.log_in_at(SOURCE, home.unified_id, world.settings.return_urls[0])
    tell.step("市民·鄂汇办", "在鄂汇办里打开，统一身份登录", f"等级 {tokens['level']}（实名）")
    for company in ("gas", "telecom_ct", "telecom_cm"):
        await _bound(app, home, company, tell, "市民·鄂汇办")


async def _bound(device: Phone, home: Household, company: str, tell: Teller, who: str) -> None:
    proof = home.meter if company == "gas" else home.last4
    body = {"company": company, "number": home.numbers[company], "proof": proof, "label": "家里"}
    bound = await device.call("POST", "/v1/bindings", body)
    tell.step(who, f"添加{_WAYS[company]}户号，核对户主信息", f"已添加，企业通知户主时用的编号 {bound['reference']}")


async def _joined(world: World, phone: Phone, home: Household, tell: Teller) -> None:
    apart = (await phone.call("GET", "/v1/utility-accounts"))["accounts"]
    joined = await phone.join_at(SOURCE, home.unified_id, world.settings.return_urls[0])
    identities = (await phone.call("GET", "/v1/identities"))["identities"]
    together = (await phone.call("GET", "/v1/utility-accounts"))["accounts"]
    tell.step(
        "市民·手机",
        "合并鄂汇办的登录：再去鄂汇办证明一次是本人",
        f"等级 {joined['level']}，登录方式 {'、'.join(one['source'] for one in identities)}",
        f"手机上原来看到 {len(apart)} 个户号，现在看到 {len(together)} 个",
    )


async def _everything(app: Phone, tell: Teller) -> dict[str, str]:
    """One call for everything; the account ids by company."""
    began = clock.monotonic()
    seen = await app.call("GET", "/v1/utility-accounts/owed")
    took_s = clock.monotonic() - began
    accounts = [account for place in seen["places"] for account in place["accounts"]]
    words = {
        "fresh": "刚查到",
        "asking": "还在查",
        "away": "查不到",
        "refused": "企业不答",
        "stale": "今天的文件没有到",
    }
    lines = [f"{one['company_name']} {yuan(one['total_fen'])}（{words[one['state']]}）" for one in accounts]
    more = "，还有没查到的" if seen["is_partial"] else ""
    total = (
        f"{took_s:.1f} 秒，{len(seen['places'])} 处地址，{len(accounts)} 个户号，已知 {yuan(seen['known_fen'])}{more}"
    )
    tell.step("市民·鄂汇办", "一次看全家欠多少", total, *lines)
    if len(accounts) != len(_FENS):
        raise StoryFailed("两处登录的户号没有合在一起")
    return {account["company"]: account["account_id"] for account in accounts}


async def _changed_his_mind(phone: Phone, app: Phone, ids: dict[str, str], tell: Teller) -> str:
    """Begun at 鄂汇办, paid on the phone: the first order is closed before there is a second. The payment's id."""
    chosen = [account_id for company, account_id in ids.items() if company != SLOW]
    quotes = await app.call("POST", "/v1/quotes", {"account_ids": chosen})
    quote_ids = [one["quote"]["quote_id"] for one in quotes["quotes"] if one["quote"]]
    if len(quote_ids) != len(chosen):
        raise StoryFailed(f"有单位没有报价：{quotes}")
    tell.step("市民·鄂汇办", "选四家一起缴，核对金额", f"四份报价合计 {yuan(quotes['total_fen'])}，不收手续费")
    begun = await app.call("POST", "/v1/payments", {"quote_ids": quote_ids, "method": "h5"}, key=str(uuid4()))
    page = await app.call("POST", f"/v1/payments/{begun['payment_id']}/pay-params")
    tell.step(
        "市民·鄂汇办", "点缴费，打开微信支付的网页", f"合单 {len(begun['parts'])} 份，{page['url'].partition('?')[0]}"
    )
    payment = await phone.call("POST", "/v1/payments", {"quote_ids": quote_ids}, key=str(uuid4()))
    first = await app.call("GET", f"/v1/payments/{begun['payment_id']}")
    orders = (await phone.control("GET", "/wechat-pay/combined"))["orders"]
    states = {order["combine_out_trade_no"]: {one["trade_state"] for one in order["sub_orders"]} for order in orders}
    number = begun["payment_id"].replace("-", "")
    tell.step(
        "市民·手机",
        "没有在网页上付，改用小程序付同一笔",
        f"新的缴费单 {payment['payment_id'][:8]}… {yuan(payment['total_fen'])}",
        f"先前那单 {first['progress']}，微信支付那边 {'、'.join(sorted(states[number]))}，不会付两次",
    )
    return payment["payment_id"]


async def _bad_day(phone: Phone, home: Household, tell: Teller) -> None:
    """One company goes down; at another somebody pays the bill at the counter meanwhile."""
    plan = {"counterpart": f"company:{DOWN}", "operation": "*", "fault": "error", "status": 503}
    await phone.control("POST", "/faults", plan)
    for bill_no in home.bill_nos[REFUSING]:
        paid = {"account_number": home.numbers[REFUSING], "bill_no": bill_no, "status": "paid", "event": False}
        await phone.control("POST", f"/companies/{REFUSING}/bills", paid)
    tell.step("安泰天然气", "系统停了", "对外一律 503")
    tell.step("中国电信", "家里老人在营业厅把同一张账单缴了", "账单已是 paid")


async def _paid(world: World, phone: Phone, payment_id: str, tell: Teller) -> None:
    params = await phone.call("POST", f"/v1/payments/{payment_id}/pay-params")
    result = await phone.pay(params)
    tell.step("市民·手机", "在微信里输入一次密码", f"微信支付：{result['result']}")
    if result["result"] != "ok":
        raise StoryFailed(f"微信支付没有接受：{result.get('reason')}")

    async def look() -> dict[str, Any] | None:
        view = await phone.call("GET", f"/v1/payments/{payment_id}")
        done = {part["company"] for part in view["parts"] if part["progress"] == "posted"}
        return view if done >= {"water", "power"} else None

    view = await until(world, look, "水、电没有入账")
    tell.step("联办", "一条通知，四份同时记账，分别告诉四家", *_parts(view))


async def _down_and_back(world: World, phone: Phone, home: Household, payment_id: str, tell: Teller) -> None:
    """The posting is asked about and told again under one id until the company answers."""

    async def tries() -> int:
        calls = (await phone.control("GET", f"/companies/{DOWN}/ledger"))["posting_calls"]
        return sum(sum(counts.values()) for posting_id, counts in calls.items() if posting_id not in before)

    ledger = await phone.control("GET", f"/companies/{DOWN}/ledger")
    before = {posting["posting_id"] for posting in ledger["postings"]}

    async def tried_again() -> int | None:
        return count if (count := await tries()) >= 2 else None

    count = await until(world, tried_again, "没有再去问停着的企业")
    view = await phone.call("GET", f"/v1/payments/{payment_id}")
    (waiting,) = (part for part in view["parts"] if part["company"] == DOWN)
    tell.step("联办", "告诉安泰天然气", f"已试 {count} 次没有回答，这一份 {waiting['progress']}，钱记在待入账，接着问")
    await phone.control("DELETE", f"/faults?counterpart=company:{DOWN}")
    tell.step("安泰天然气", "系统恢复", "自己不用做什么")

    async def posted() -> dict[str, Any] | None:
        view = await phone.call("GET", f"/v1/payments/{payment_id}")
        return next((part for part in view["parts"] if part["company"] == DOWN and part["posting_serial"]), None)

    part = await until(world, posted, "恢复以后没有入账")
    ledger = await phone.control("GET", f"/companies/{DOWN}/ledger")
    own = next(one for one in ledger["postings"] if one["serial"] == part["posting_serial"])
    calls = ledger["posting_calls"][own["posting_id"]]
    tell.step(
        "安泰天然气",
        "查自己的账",
        f"{own['serial']} {yuan(own['content']['total_fen'])} {own['status']}，"
        f"同一编号收到销账 {calls.get('post_payment', 0)} 次、查询 {calls.get('query_posting', 0)} 次，只记一笔",
    )


async def _ended(world: World, phone: Phone, app: Phone, payment_id: str, tell: Teller) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        view = await phone.call("GET", f"/v1/payments/{payment_id}")
        return view if view["progress"] == "posted_in_part" else None

    view = await until(world, look, "缴费单没有结束")
    there = await app.call("GET", f"/v1/payments/{payment_id}")
    same = "鄂汇办上看到的一样" if there == view else "鄂汇办上看到的不一样！"
    tell.step("市民·手机", "看结果", *_parts(view), f"缴费单 {view['progress']}，{same}")
    return view


async def _refunded(phone: Phone, view: dict[str, Any], tell: Teller) -> None:
    (part,) = (part for part in view["parts"] if part["company"] == REFUSING)
    refunds = (await phone.control("GET", "/wechat-pay/refunds"))["refunds"]
    mine = [one for one in refunds if one["amount"]["refund"] == part["refunded_fen"]][-1]
    tell.step(
        "微信支付",
        "查退款",
        f"{mine['out_refund_no'][:12]}… 退 {yuan(mine['amount']['refund'])}（该份 {yuan(mine['amount']['total'])}）{mine['status']}",
    )
    if part["refunded_fen"] != part["amount_fen"] or view["refunded_fen"] != part["amount_fen"]:
        raise StoryFailed("退的不是这一份")


async def _spouse_pays(
    world: World, phone: Phone, spouse: Phone, home: Household, account_id: str, tell: Teller
) -> None:
    """A member of the family takes a share, pays the fifth company with his own money, and the owner sees what was done."""
    share = await phone.call("POST", f"/v1/utility-accounts/{account_id}/shares", {"label": "爱人", "may_pay": True})
    tell.step(
        "市民·手机", "让爱人代缴移动宽带，邀请码念给他", f"{share['code'][:4]}…，{at(share['expires_at'])} 前有效"
    )
    await spouse.become(f"爱人{home.phone[-4:]}", f"139{home.phone[3:]}")
    await spouse.log_in()
    await spouse.prove_phone()
    await spouse.call("POST", "/v1/shares", {"code": share["code"]})
    quote = await spouse.call("POST", "/v1/quotes", {"account_id": account_id})
    payment = await spouse.call("POST", "/v1/payments", {"quote_ids": [quote["quote_id"]]}, key=str(uuid4()))
    paid = await spouse.pay(await spouse.call("POST", f"/v1/payments/{payment['payment_id']}/pay-params"))

    async def posted() -> dict[str, Any] | None:
        view = await spouse.call("GET", f"/v1/payments/{payment['payment_id']}")
        return view if view["progress"] == "posted" else None

    view = await until(world, posted, "家人缴的没有入账")
    tell.step("爱人·手机", "登录，输入邀请码，用自己的微信付", f"微信支付：{paid['result']}", *_parts(view))
    uses = (await phone.call("GET", f"/v1/shares/{share['share_id']}/uses"))["uses"]
    done = [f"{at(use['at'])} {use['action']}" for use in reversed(uses)]
    tell.step("市民·手机", "看爱人用它做了什么", *done)
    if "payment.created" not in [use["action"] for use in uses]:
        raise StoryFailed("家人做了什么没有记下来")


async def _spouse_is_told(spouse: Phone, tell: Teller) -> None:
    inbox = (await spouse.call("GET", "/v1/messages?limit=50"))["messages"]
    tell.step("爱人", "看站内信", *(f"{one['title']}：{one['body']}" for one in reversed(inbox)))


async def _messages(world: World, phone: Phone, home: Household, payment_id: str, tell: Teller) -> None:
    """Everything that everybody has been told, on each channel."""
    wanted = {"payment.succeeded": 1, "payment.posted": 3, "payment.refund_started": 1, "payment.refunded": 1}

    async def look() -> list[dict[str, Any]] | None:
        found = (await phone.call("GET", "/v1/messages?limit=50"))["messages"]
        kinds = [message["kind"] for message in found if payment_id in (message["page"] or "")]
        if "share.paid" not in [message["kind"] for message in found]:
            return None
        return found if all(kinds.count(kind) >= count for kind, count in wanted.items()) else None

    async def outside() -> tuple[list[str], list[str]] | None:
        account = world.settings.official_account
        chat, official = await phone.messages(), await phone.official_messages(account.appid) if account else []
        about = [one for one in (*chat, *official) if payment_id in one["content"].get("page", "")]
        if len(about) < sum(wanted.values()):
            return None
        return [_said(message) for message in chat], [_said(message) for message in official]

    inbox = await until(world, look, "站内信没有到齐")
    tell.step("市民", "看站内信", *(f"{one['title']}：{one['body']}" for one in reversed(inbox)))
    chat, official = await until(world, outside, "微信消息没有到齐")
    tell.step("市民", "看微信服务通知（小程序）", *chat)
    tell.step("市民", "看公众号（小程序的次数用完以后）", *official)
    texts = (await phone.control("GET", f"/sms?number={home.phone}"))["messages"]
    tell.step("市民", "看短信", *([message["text"] for message in texts] or ["没有：微信都送到了"]))

    async def told() -> list[str] | None:
        lines = [line for company in _FENS for line in await _told_holder(phone, company, home.numbers[company])]
        return lines if len(lines) >= len(_FENS) else None

    tell.step("户主", "各企业通知户主", *await until(world, told, "企业没有收到给户主的通知"))


async def _told_holder(phone: Phone, company: str, number: str) -> list[str]:
    notices = (await phone.control("GET", f"/companies/{company}/ledger"))["holder_notices"]
    mine = [notice for notice in notices if notice["account_number"] == number]
    return [
        f"{company} → {one['sent_to'][:3]}****{one['sent_to'][-4:]} {one['kind']} {one['binding_ref']}" for one in mine
    ]


async def _morning_after(world: World, view: dict[str, Any], tell: Teller) -> None:
    """Past ten the next day all files are there."""
    day = datetime.fromisoformat(view["paid_at"]).astimezone(clock.SHANGHAI).date()
    morning = datetime.combine(day + timedelta(days=1), _MORNING, clock.SHANGHAI)
    await world.travel_to(morning)
    tell.step(
        "联办", "把时钟拨到第二天上午", f"{clock.now().astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}，以后接着从这时起走"
    )
    lines = await world.reconcile(day)
    companies = {*_FENS}
    shown = [line for line in lines if line.split(" ")[0] in companies and " wechat_pay " in line]
    head = next(line for line in lines if line.startswith("商户"))
    tell.step("联办", f"对 {day} 的账：支付账单 × 我方的账 × 企业入账文件", head, *shown, lines[-1])
    if len(shown) != len(companies):
        raise StoryFailed("对账少了商户")
    if "合计未说明 0.00 元，差异 0 笔" not in lines[-1]:
        raise StoryFailed("对账有没有说明的差异")


def _parts(view: dict[str, Any]) -> list[str]:
    words = {
        "posted": "已入账", "posting": "入账中", "refunding": "退款中", "refunded": "已退回", "refund_stuck": "退款受阻", "waiting": "待付",
    }  # fmt: skip
    return [
        f"{_WAYS[part['company']]} {yuan(part['amount_fen'])} {words.get(part['progress'], part['progress'])}"
        + (f"，流水号 {part['posting_serial']}（{at(part['posted_at'])}）" if part["posting_serial"] else "")
        + (f"，原因 {part['refund_reason']}" if part["refund_reason"] else "")
        for part in view["parts"]
    ]


def _said(message: dict[str, Any]) -> str:
    content = message["content"]
    data = content.get("data", content)
    words = [value["value"] if isinstance(value, dict) else value for name, value in data.items() if name != "page"]
    return " · ".join(words)


def check_digit(seventeen: str) -> str:
    """The last character of an ID number (GB 11643)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(seventeen, weights, strict=True)) % 11]
