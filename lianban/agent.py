"""The story of a company's agents: who may act for a legal person, in what, and how that ends.

The legal person's own login makes the first agent; he names another for one service and a quarter of an hour, who looks up and pays
the company's bill; the clock ends that. Named anew, he names a third, and what is taken from him is taken from that one at once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from core import clock
from lianban.family import check_digit
from lianban.phone import Phone
from lianban.story import StoryFailed, Teller, World, at, refused, until, yuan

PORTAL, APP = "hubei_portal", "ehuiban"
_SHORT = timedelta(minutes=15)
_CREDIT_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SCOPES = {"read": "查看", "pay": "缴费", "file": "申请", "sign": "签署", "appoint": "任命"}
_ACTIONS = {
    "owed.seen": "查了欠费", "bills.listed": "看了账单", "payment.created": "发起缴费", "binding.created": "添加户号", "mandate.offered": "任命",
}  # fmt: skip
_WAYS = {"water": "水费", "power": "电费"}


class Somebody(NamedTuple):
    """Who the unified identity knows, on a device of his own."""

    name: str
    unified_id: str
    device: Phone


class Firm(NamedTuple):
    """A company that is new in town, holder of an account at two utilities."""

    name: str
    credit_code: str
    numbers: dict[str, str]
    legal: Somebody
    clerk: Somebody
    cashier: Somebody


class Office:
    """A firm's people at work: every call says for whom it is made."""

    def __init__(self, world: World, firm: Firm, organization_id: str) -> None:
        self.world = world
        self.firm = firm
        self._id = organization_id

    async def call(self, who: Somebody, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """One call in the firm's name."""
        who.device.organization_id = self._id
        try:
            return await who.device.call(method, path, body, key=key)
        finally:
            who.device.organization_id = None

    async def refused(self, who: Somebody, method: str, path: str, body: Any = None, *, key: str | None = None) -> str:
        """One call in the firm's name that must be refused."""
        who.device.organization_id = self._id
        try:
            return await refused(who.device, method, path, body, key=key)
        finally:
            who.device.organization_id = None

    async def log_in(self, who: Somebody, source: str = APP) -> dict[str, Any]:
        """He logs in as himself."""
        return await who.device.log_in_at(source, who.unified_id, self.world.settings.return_urls[0])


async def agent(world: World, tell: Teller) -> None:
    """From the legal person's login to the end of all that was given."""
    async with world.device() as legal, world.device() as clerk, world.device() as cashier:
        firm = await _opened((legal, clerk, cashier), tell)
        office = await _first_agent(world, firm, tell)
        accounts = await _added(office, tell)
        mandate = await _named(office, tell)
        left = await _paid(office, accounts, mandate, tell)
        await _over(office, accounts, mandate, left, tell)
        again = await _named_further(office, tell)
        await _sent_away(office, accounts, again, tell)
        await _messages(office, tell)


async def _opened(devices: Sequence[Phone], tell: Teller) -> Firm:
    number = len((await devices[0].control("GET", "/unified/people"))["people"])
    body = f"91420704MB{number:07}"
    firm_name, credit_code = f"鄂州新凤商贸{number}号有限公司", body + check_character(body)
    organization = {"name": firm_name, "credit_code": credit_code, "legal_representative": "周建国"}
    people: list[Somebody] = []
    for place, (device, name) in enumerate(zip(devices, ("周建国", "李会计", "赵出纳"), strict=True), number):
        seventeen = f"42070419790{place // 900 % 9 + 1}02{place % 900 + 1:03}"
        facts: dict[str, Any] = {
            "name": name,
            "phone": f"1370711{place:04}",
            "id_number": seventeen + check_digit(seventeen),
        }
        if place == number:
            facts["organizations"] = [organization]
        known = await device.control("POST", "/unified/people", facts)
        people.append(Somebody(name, known["person_id"], device))
    numbers = {"water": f"02033{number:05}", "power": f"42000993{number:05}"}
    owed = {"water": (18060, 12040), "power": (88600,)}
    for company, account in numbers.items():
        holder = {
            "number": account, "holder_name": firm_name, "holder_id_last4": credit_code[-4:], "holder_mobile": f"1370711{number:04}",
            "address": f"鄂城区创业路{number}号", "address_masked": "鄂城区创业路***", "status": "open",
        }  # fmt: skip
        await devices[0].control("POST", f"/companies/{company}/accounts", holder)
        for months_ago, fen in enumerate(owed[company]):
            await _issued(devices[0], company, account, months_ago, fen)
    tell.step("水务、供电", f"给新开户的{firm_name}出账", f"水费两期 {yuan(30100)}，电费 {yuan(88600)}")
    return Firm(firm_name, credit_code, numbers, *people)


async def _issued(device: Phone, company: str, account: str, months_ago: int, fen: int) -> None:
    month = clock.today().replace(day=1)
    for _ in range(months_ago):
        month = (month - timedelta(days=1)).replace(day=1)
    body = {
        "account_number": account, "period": f"{month:%Y-%m}", "principal_fen": fen, "event": False,
        "lines": [{"name": _WAYS[company], "amount_fen": fen}],
    }  # fmt: skip
    await device.control("POST", f"/companies/{company}/bills", body)


async def _first_agent(world: World, firm: Firm, tell: Teller) -> Office:
    device, page = firm.legal.device, world.settings.return_urls[0]
    tokens = await device.log_in_at(PORTAL, firm.legal.unified_id, page)
    tell.step(
        firm.legal.name,
        "在湖北政务服务网以个人登录，想替单位办事",
        f"等级 {tokens['level']}，{await refused(device, 'POST', '/v1/organizations')}",
    )
    tokens = await device.log_in_at(PORTAL, firm.legal.unified_id, page, firm.credit_code)
    first = await device.call("POST", "/v1/organizations")
    tell.step(
        firm.legal.name,
        "换成法人登录",
        f"会话 {tokens['session_id'][:8]}…，{first['organization_name']} {first['credit_code_masked']}",
        f"首位经办人：{_scopes(first)}，到 {_when(first['ends_at'])}",
    )
    return Office(world, firm, first["organization_id"])


async def _added(office: Office, tell: Teller) -> dict[str, str]:
    """The firm's accounts; their ids by company."""
    firm, ids = office.firm, {}
    for company, number in firm.numbers.items():
        body = {"company": company, "number": number, "proof": firm.credit_code[-4:], "label": "门店"}
        ids[company] = (await office.call(firm.legal, "POST", "/v1/bindings", body))["account_id"]
    seen = await office.call(firm.legal, "GET", "/v1/utility-accounts/owed")
    mine = await firm.legal.device.call("GET", "/v1/utility-accounts")
    tell.step(
        firm.legal.name,
        "替单位添加水、电户号，核对统一社会信用代码后四位，一次看单位欠多少",
        f"单位 {len(ids)} 个户号，已知 {yuan(seen['known_fen'])}；他个人名下 {len(mine['accounts'])} 个",
    )
    if seen["known_fen"] != 118700 or mine["accounts"]:
        raise StoryFailed("单位的户号不对")
    return ids


async def _named(office: Office, tell: Teller) -> dict[str, Any]:
    """A second agent, for water only and a quarter of an hour; only he can take it."""
    firm = office.firm
    wanted = {"agent_name": firm.clerk.name, "scopes": ["pay"], "services": ["water"]}
    too_long = await office.refused(firm.legal, "POST", "/v1/mandates", wanted | {"ends_at": _in(timedelta(days=800))})
    named = await office.call(firm.legal, "POST", "/v1/mandates", wanted | {"ends_at": _in(_SHORT)})
    tell.step(
        firm.legal.name,
        f"任命{firm.clerk.name}：只管水费，可以缴费，一刻钟",
        f"先写成两年多：{too_long}",
        f"任命码 {named['code'][:4]}…，自己交给他",
    )
    await office.log_in(firm.cashier)
    other = await refused(firm.cashier.device, "POST", "/v1/mandates/accept", {"code": named["code"]})
    tell.step(firm.cashier.name, "捡到任命码，在鄂汇办登录后输入", other)
    await office.log_in(firm.clerk)
    taken = await firm.clerk.device.call("POST", "/v1/mandates/accept", {"code": named["code"]})
    (one,) = (await firm.clerk.device.call("GET", "/v1/organizations"))["organizations"]
    tell.step(
        firm.clerk.name,
        "在鄂汇办实名登录，输入任命码",
        f"替{one['organization_name']}办：{_scopes(one)}，{'、'.join(_WAYS[name] for name in one['services'])}，到 {_when(one['ends_at'])}",
    )
    return taken


async def _paid(office: Office, accounts: dict[str, str], mandate: dict[str, Any], tell: Teller) -> str:
    """The clerk sees and pays what is his to; the quote he leaves open."""
    firm, clerk = office.firm, office.firm.clerk
    seen = (await office.call(clerk, "GET", "/v1/utility-accounts"))["accounts"]
    owed = await office.call(clerk, "GET", f"/v1/utility-accounts/{accounts['water']}/owed")
    tell.step(
        clerk.name,
        "看单位的户号",
        f"{len(seen)} 个：{'、'.join(_WAYS[one['service']] for one in seen)}，欠 {yuan(owed['total_fen'])}",
        f"看电费：{await office.refused(clerk, 'GET', '/v1/utility-accounts/' + accounts['power'] + '/owed')}",
        f"任命别人：{await office.refused(clerk, 'POST', '/v1/mandates', {'agent_name': '钱七', 'scopes': ['pay'], 'ends_at': _in(_SHORT)})}",
    )
    quote = await office.call(clerk, "POST", "/v1/quotes", {"account_id": accounts["water"], "amount_fen": 12040})
    body = {"quote_ids": [quote["quote_id"]], "method": "native"}
    payment = await office.call(clerk, "POST", "/v1/payments", body, key=str(uuid4()))
    params = await office.call(clerk, "POST", f"/v1/payments/{payment['payment_id']}/pay-params")
    await clerk.device.become(f"会计{clerk.unified_id[:6]}", f"138{int(clerk.unified_id[:8], 16) % 10**8:08}")
    paid = await clerk.device.pay({"code_url": params["url"]})

    async def posted() -> dict[str, Any] | None:
        view = await office.call(clerk, "GET", f"/v1/payments/{payment['payment_id']}")
        return view if view["progress"] == "posted" else None

    view = await until(office.world, posted, "单位的水费没有入账")
    serial = view["parts"][0]["posting_serial"]
    ledger = await clerk.device.control("GET", "/companies/water/ledger")
    own = next(one for one in ledger["postings"] if one["serial"] == serial)
    tell.step(
        clerk.name,
        "缴较早的一期，屏幕上出付款码，用自己的微信扫",
        f"微信支付：{paid['result']}，{yuan(view['total_fen'])} {view['progress']}，流水号 {serial}",
        f"水务自己的账：{own['serial']} {yuan(own['content']['total_fen'])} {own['status']}",
    )
    uses = (await office.call(firm.legal, "GET", f"/v1/mandates/{mandate['mandate_id']}/uses"))["uses"]
    theirs = (await office.call(firm.legal, "GET", "/v1/payments"))["payments"]
    tell.step(
        firm.legal.name,
        f"看{clerk.name}做了什么",
        *(f"{at(use['at'])} {_ACTIONS[use['action']]}" for use in reversed(uses)),
        f"单位的缴费记录 {len(theirs)} 笔；他个人的 {len((await clerk.device.call('GET', '/v1/payments'))['payments'])} 笔",
    )
    left = await office.call(clerk, "POST", "/v1/quotes", {"account_id": accounts["water"]})
    tell.step(clerk.name, "核对下一期，还没有付", f"报价 {yuan(left['total_fen'])}，{at(left['expires_at'])} 前有效")
    return left["quote_id"]


async def _over(office: Office, accounts: dict[str, str], mandate: dict[str, Any], left: str, tell: Teller) -> None:
    """The clock ends the mandate; nothing of it is left."""
    firm, clerk = office.firm, office.firm.clerk
    await office.world.travel_to(datetime.fromisoformat(mandate["ends_at"]) + timedelta(seconds=1))
    await office.log_in(clerk)
    organizations = (await clerk.device.call("GET", "/v1/organizations"))["organizations"]
    tell.step("联办", "把时钟拨过任命的期限", f"{_when(clock.now().isoformat())}，以后接着从这时起走")
    tell.step(
        clerk.name,
        "重新登录鄂汇办，接着办",
        f"替 {len(organizations)} 个单位办事",
        f"看欠费：{await office.refused(clerk, 'GET', '/v1/utility-accounts/' + accounts['water'] + '/owed')}",
        f"用刚才的报价缴费：{await office.refused(clerk, 'POST', '/v1/payments', {'quote_ids': [left], 'method': 'native'}, key=str(uuid4()))}",
    )
    await office.log_in(firm.legal, PORTAL)
    await _told(office, clerk, "mandate.expired")
    await _told(office, firm.legal, "mandate.agent_expired")


async def _named_further(office: Office, tell: Teller) -> dict[str, Any]:
    """Named anew, with the right to name; nobody gives more than he has. The clerk's mandate."""
    firm = office.firm
    wide = {"agent_name": firm.clerk.name, "scopes": ["pay", "appoint"], "ends_at": _in(timedelta(days=30))}
    code = (await office.call(firm.legal, "POST", "/v1/mandates", wide))["code"]
    taken = await firm.clerk.device.call("POST", "/v1/mandates/accept", {"code": code})
    tell.step(
        firm.legal.name,
        f"重新任命{firm.clerk.name}一个月，可以再任命别人",
        f"{firm.clerk.name}已接受：{_scopes(taken)}",
    )
    wanted = {
        "agent_name": firm.cashier.name,
        "scopes": ["pay"],
        "services": ["power"],
        "ends_at": _in(timedelta(days=9)),
    }
    more = await office.refused(firm.clerk, "POST", "/v1/mandates", wanted | {"scopes": ["pay", "sign"]})
    longer = await office.refused(firm.clerk, "POST", "/v1/mandates", wanted | {"ends_at": _in(timedelta(days=60))})
    code = (await office.call(firm.clerk, "POST", "/v1/mandates", wanted))["code"]
    tell.step(
        firm.clerk.name,
        f"任命{firm.cashier.name}只管电费，九天",
        f"想加上签署：{more}",
        f"想给两个月：{longer}",
        f"任命码 {code[:4]}…",
    )
    await office.log_in(firm.cashier)
    await firm.cashier.device.call("POST", "/v1/mandates/accept", {"code": code})
    seen = await office.call(firm.cashier, "GET", "/v1/utility-accounts/owed")
    shown = [f"{one['bill_name']} {yuan(one['total_fen'])}" for place in seen["places"] for one in place["accounts"]]
    tell.step(firm.cashier.name, "接受任命，看单位欠多少", "、".join(shown))
    return taken


async def _sent_away(office: Office, accounts: dict[str, str], mandate: dict[str, Any], tell: Teller) -> None:
    """What is taken from the clerk is taken from the one he named, though that one was about to pay."""
    firm = office.firm
    quote = await office.call(firm.cashier, "POST", "/v1/quotes", {"account_id": accounts["power"]})
    listed = (await office.call(firm.legal, "GET", "/v1/mandates"))["mandates"]
    tell.step(
        firm.legal.name,
        "看单位有哪些经办人",
        *(f"{one['agent_name']}：{_scopes(one)}，到 {_when(one['ends_at'])}" for one in listed),
    )
    await office.call(firm.legal, "DELETE", f"/v1/mandates/{mandate['mandate_id']}")
    left = (await office.call(firm.legal, "GET", "/v1/mandates"))["mandates"]
    tell.step(firm.legal.name, f"收回{firm.clerk.name}的任命", f"还剩 {len(left)} 位")
    body = {"quote_ids": [quote["quote_id"]], "method": "native"}
    tell.step(
        firm.cashier.name,
        f"正要缴电费 {yuan(quote['total_fen'])}，点缴费",
        await office.refused(firm.cashier, "POST", "/v1/payments", body, key=str(uuid4())),
    )
    tell.step(firm.clerk.name, "看单位的户号", await office.refused(firm.clerk, "GET", "/v1/utility-accounts"))
    await _told(office, firm.clerk, "mandate.revoked")
    await _told(office, firm.cashier, "mandate.revoked")


async def _messages(office: Office, tell: Teller) -> None:
    for who in (office.firm.legal, office.firm.clerk, office.firm.cashier):
        inbox = (await who.device.call("GET", "/v1/messages?limit=50"))["messages"]
        tell.step(who.name, "看站内信", *(f"{one['title']}：{one['body']}" for one in reversed(inbox)))


async def _told(office: Office, who: Somebody, kind: str) -> None:
    async def look() -> bool | None:
        inbox = (await who.device.call("GET", "/v1/messages?limit=50"))["messages"]
        return any(one["kind"] == kind for one in inbox) or None

    await until(office.world, look, f"{who.name}没有收到 {kind}")


def _scopes(mandate: dict[str, Any]) -> str:
    return "、".join(_SCOPES[scope] for scope in mandate["scopes"])


def _in(time: timedelta) -> str:
    return (clock.now() + time).isoformat()


def _when(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}"


def check_character(seventeen: str) -> str:
    """The last character of a unified social credit code (GB 32100)."""
    total = sum(_CREDIT_CHARACTERS.index(character) * pow(3, place, 31) for place, character in enumerate(seventeen))
    return _CREDIT_CHARACTERS[-total % 31]
