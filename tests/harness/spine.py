"""The whole business in one process: services on the test's database, the API on its port, jobs by hand, the outside world.

Fixture: ``spine``. The outside world begins silent: its notices, pushes and events leave only when a test says so
(:meth:`Spine.let_speak`) or sends them by hand, so that nothing arrives at a moment of its own choosing.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from api import payments as payments_api
from core import clock
from core.database import fetch, fetch_one
from core.settings import Settings
from domain.billing.paying import Way
from domain.billing.quotes import OpenQuote
from domain.identity.sessions import Opened
from domain.identity.tokens import Caller
from domain.services import Services
from lianban.app import listen, running_api, services_for
from lianban.keys import Ports
from lianban.sandbox import SandboxProcess
from models.access import Principal
from models.idempotency import Once
from models.payment import Payment
from models.person import Organization, Person
from models.utility_account import Binding, UtilityAccount
from notifications import credits
from tests.harness.invariants import violations
from tests.harness.jobs import Jobs, Travel

WATER = "water"
OFFICIAL = "wechat_official_account"
JSAPI = Way("wechat_pay", "jsapi")
_NUMBERS = {"water": "02090{:05}", "power": "42900000{:05}", "gas": "Q290{:05}", "telecom_cu": "07119{:09}"}
CREDIT_CODE = "91420704MA49236618"
MINUTE = timedelta(minutes=1)
_PATIENCE_S = 10.0
_SPEAKERS = (("wechat_pay", "notice"), ("alipay", "notice"), ("wechat", "message_push"), ("company:water", "event"))
_ALL_TABLES = (
    "person", "login_user", "session", "refresh_token", "utility_account", "binding", "account_share", "mandate",
    "access_use", "bill", "quote", "payment", "payment_part",
    "payment_line", "claim", "refund", "ledger_transaction", "ledger_entry", "posting", "posting_bill", "message", "subscription_credit",
    "follower", "event", "journal", "organization", "login_attempt", "spent_code",
)  # fmt: skip
BUSINESS = _ALL_TABLES
"""Every table of the business; the inbox, the audit and the queue record what came in, not what became of it."""


@dataclass
class Citizen:
    """A person with a phone: known to the sandbox's WeChat, logged in with us."""

    phone_id: str
    openid: str
    phone: str
    opened: Opened
    caller: Caller
    client_id: str

    @property
    def id(self) -> UUID:
        """The person."""
        return self.caller.person_id

    @property
    def principal(self) -> Principal:
        """Acting for himself."""
        return self.caller.principal


class Spine:
    """What a test holds in its hand."""

    def __init__(
        self,
        services: Services,
        sandbox: httpx.AsyncClient,
        jobs: Jobs,
        travel: Travel,
        open_door: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        """`open_door` serves the API when something from outside is to come in; None: it is served already."""
        self.services = services
        self._open_door = open_door
        self.jobs = jobs
        self._sandbox = sandbox
        self._travel = travel
        self._numbers = iter(range(1, 1_000))

    # The outside world

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """One control call of the sandbox."""
        response = await self._sandbox.request(method, f"/control{path}", json=body)
        assert response.is_success, f"{path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def fault(self, counterpart: str, operation: str, fault: str, *, times: int | None = 1, **more: Any) -> None:
        """Plan a fault of the sandbox."""
        plan = {"counterpart": counterpart, "operation": operation, "fault": fault, **more}
        await self.control("POST", "/faults", plan if times is None else {**plan, "times": times})

    async def all_well(self) -> None:
        """End every fault; the outside world stays silent."""
        await self.control("DELETE", "/faults")
        for counterpart, operation in _SPEAKERS:
            await self.fault(counterpart, operation, "silence", times=None)

    async def let_speak(self, *faults: tuple[str, str, str]) -> None:
        """End every fault; from now on notices, pushes and events leave by themselves, but for these faults, once each."""
        await self._serve()
        await self.control("DELETE", "/faults")
        for counterpart, operation, fault in faults:
            await self.fault(counterpart, operation, fault)

    async def _serve(self) -> None:
        if self._open_door is not None:
            open_door, self._open_door = self._open_door, None
            await open_door()

    async def calls(self, counterpart: str, operation: str) -> dict[str, int]:
        """How often an operation was called, by the id in the call."""
        found = (await self.control("GET", f"/calls?counterpart={counterpart}"))["calls"]
        return {call["id"]: call["count"] for call in found if call["operation"] == operation}

    # Time

    async def travel(self, by: timedelta) -> None:
        """Let `by` pass at once, here and outside. Jobs that are due by then do not run yet."""
        await self._travel.forward(by)

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str = "it") -> Any:
        """Wait for what the outside world does by itself; the condition's first true value."""
        end = clock.monotonic() + _PATIENCE_S
        while not (value := await condition()):
            assert clock.monotonic() < end, f"{what} did not happen"
            await asyncio.sleep(0.02)
        return value

    async def until_inbox(self, count: int, source: str = "wechat_pay") -> None:
        """Wait until so many deliveries of a source have been stored."""

        async def stored() -> bool:
            row = await fetch_one("select count(*) from inbox where source = $1", source)
            return row is not None and row["count"] >= count

        await self.until(stored, f"{count} deliveries of {source}")

    # People

    async def citizen(self, nickname: str | None = None, *, phone: str | None = None) -> Citizen:
        """Somebody new, logged in by WeChat."""
        number = next(self._numbers)
        phone = phone or f"139{number:08}"
        body = {"nickname": nickname or f"市民{number}", "phone": phone}
        person = await self.control("POST", "/people", body)
        client_id = uuid4().hex
        opened = await self.services.login.by_wechat(await self.login_code(person["person_id"]), client_id, "测试手机")
        caller = self.services.access_tokens.check(opened.access_token)
        return Citizen(person["person_id"], await self.openid_of(caller), phone, opened, caller, client_id)

    async def resident(
        self, source: str = "ehuiban", *, as_organization: bool = False, **facts: Any
    ) -> "tuple[Citizen, dict[str, Any]]":
        """Somebody new whom the unified identity knows, logged in there at level 3; and what it knows of him."""
        known = await self.known(**facts)
        client_id = uuid4().hex
        opened = await self.log_in_at(source, known, client_id, as_organization=as_organization)
        caller = self.services.access_tokens.check(opened.access_token)
        return Citizen(known["person_id"], "", known["phone"], opened, caller, client_id), known

    async def known(self, **facts: Any) -> dict[str, Any]:
        """Somebody new whom the unified identity knows, by default with a checked name and ID number."""
        number = next(self._numbers)
        seventeen = f"420704{1950 + number // 365 % 50}0{number % 9 + 1}{number % 28 + 1:02}{number % 1000:03}"
        usual = {
            "name": f"居民{number}", "phone": f"137{number:08}", "id_number": seventeen + id_check(seventeen), "is_real_name": True,
        }  # fmt: skip
        return await self.control("POST", "/unified/people", {**usual, **facts})

    async def known_at(self, source: str, **facts: Any) -> dict[str, Any]:
        """Somebody new whom this source knows."""
        if source != OFFICIAL:
            return await self.known(**facts)
        return await self.control("POST", "/people", {"nickname": "网页用户", "phone": None, **facts})

    async def log_in_at(
        self, source: str, known: dict[str, Any], client_id: str, *, as_organization: bool = False
    ) -> Opened:
        """The whole trip of one browser, without any page."""
        sso, page = self.services.sso, self.services.settings.return_urls[0]
        started = await sso.start(source, page, client_id, "organization" if as_organization else "person", None)
        query = await self.at_the_source(known, started.login_url, as_organization=as_organization)
        address = await sso.come_back(source, query, started.browser)
        handover = address.partition("#handover=")[2]
        assert handover, address
        return await sso.finish(handover, client_id, "测试浏览器", started.browser)

    async def at_the_source(
        self, known: dict[str, Any], login_url: str, *, as_organization: bool = False, **how: Any
    ) -> dict[str, str]:
        """He logs in at the source; what his browser brings back. `how` is for the sandbox's page."""
        body = {"login_url": login_url, **how}
        if as_organization:
            body["credit_code"] = known["organizations"][0]["credit_code"]
        path = "/people/{}/web-login" if "/connect/oauth2/authorize" in login_url else "/unified/people/{}/login"
        back = await self.control("POST", path.format(known["person_id"]), body)
        return dict(parse_qsl(urlsplit(back["location"]).query))

    async def real_name(self, citizen: Citizen, name: str) -> Caller:
        """Raise somebody to level 3 as a source of real names does; he as caller from now on."""
        number = f"42070019900101{next(self._numbers):04}"
        vault, person = self.services.vault, await Person.get(id=citizen.id)
        person.name = vault.seal(name, "person.name", person.id)
        person.id_number = vault.seal(number, "person.id_number", person.id)
        person.id_number_index = vault.index("person.id_number", number)
        person.real_name_source, person.level = "unified_identity", 3
        await person.save()
        citizen.caller = replace(citizen.caller, level=3)
        return citizen.caller

    async def legal_person(self, name: str, credit_code: str = CREDIT_CODE) -> "tuple[Citizen, dict[str, Any]]":
        """Somebody of this name whom an organization's own login has just brought; and what the source knows of him."""
        organizations = [{"name": "鄂州示范商贸有限公司", "credit_code": credit_code, "legal_representative": "王小明"}]
        return await self.resident(as_organization=True, name=name, organizations=organizations)

    async def organization(self, name: str = "鄂州某某有限公司") -> UUID:
        """A legal person that an identity source has vouched for."""
        organization_id, number = uuid4(), f"9142070{next(self._numbers):011}"
        vault = self.services.vault
        await Organization.create(
            id=organization_id,
            name=vault.seal(name, "organization.name", organization_id),
            credit_code=vault.seal(number, "organization.credit_code", organization_id),
            credit_code_index=vault.index("organization.credit_code", number),
            created_at=clock.now(),
        )
        return organization_id

    async def openid_of(self, caller: Caller) -> str:
        """The openid we keep of a login."""
        row = await fetch_one("select subject from login_user where id = $1", caller.user_id)
        assert row is not None
        return self.services.vault.open(row["subject"], "login_user.subject", caller.user_id)

    async def login_code(self, phone_id: str) -> str:
        """What wx.login gives."""
        appid = self.services.settings.wechat.appid
        return (await self.control("POST", f"/people/{phone_id}/login-code", {"appid": appid}))["code"]

    async def phone_code(self, phone_id: str) -> str:
        """What the getPhoneNumber button gives."""
        appid = self.services.settings.wechat.appid
        return (await self.control("POST", f"/people/{phone_id}/phone-code", {"appid": appid}))["code"]

    async def credit(self, citizen: Citizen, template: str, count: int = 1) -> str:
        """Accepted subscriptions, here and at WeChat; the template's id."""
        template_id = self.services.settings.wechat.templates[template]
        for _ in range(count):
            await credits.grant(citizen.caller.user_id, template_id, uuid4().hex)
            body = {"appid": self.services.settings.wechat.appid, "template_ids": [template_id], "accept": True}
            await self.control("POST", f"/people/{citizen.phone_id}/subscribe", body)
        return template_id

    async def follow(self, citizen: Citizen, scene: str | None = None) -> None:
        """Follow the official account at the sandbox; its event leaves when the outside world may speak."""
        account = self.services.settings.official_account
        assert account is not None
        await self.control("POST", f"/people/{citizen.phone_id}/follow", {"appid": account.appid, "scene": scene})

    async def official(self, citizen: Citizen) -> dict[str, Any]:
        """What the official account has sent: ``{messages, replies, follows}``."""
        account = self.services.settings.official_account
        assert account is not None
        return await self.control("GET", f"/people/{citizen.phone_id}/official/{account.appid}")

    async def official_openid(self, citizen: Citizen) -> str:
        """The person's openid at the official account."""
        account = self.services.settings.official_account
        assert account is not None
        people = (await self.control("GET", "/people"))["people"]
        return next(person for person in people if person["person_id"] == citizen.phone_id)["openids"][account.appid]

    # Bills

    async def account(self, *fens: int, holder: str = "张三", proof: str = "123X", company: str = WATER) -> str:
        """A new account at a company (water) with an open bill for each amount, oldest first; its number."""
        number = _NUMBERS[company].format(next(self._numbers))
        body = {
            "number": number, "holder_name": holder, "holder_id_last4": proof, "holder_mobile": "13800000009", "address": "鄂城区某路1号1栋",
            "address_masked": "鄂城区***1栋", "status": "open",
        }  # fmt: skip
        await self.control("POST", f"/companies/{company}/accounts", body)
        for month, fen in enumerate(fens, 1):
            await self.bill(number, fen, period=f"2026-{month:02}", company=company)
        return number

    async def prepaid_account(self, balance_fen: int, *fens: int, company: str = "power", **more: Any) -> str:
        """A new account that is paid in advance, with so much left, at a company (power); its number."""
        number = await self.account(*fens, company=company)
        body = {"number": number, "prepaid": True, "balance_fen": balance_fen, **more}
        await self.control("POST", f"/companies/{company}/accounts", body)
        return number

    async def bill(
        self,
        number: str,
        fen: int,
        *,
        period: str = "2026-10",
        bill_no: str | None = None,
        company: str = WATER,
        **more: Any,
    ) -> str:
        """Issue a bill, or change the one with this number; its number."""
        bill_no = bill_no or f"T{period}-{next(self._numbers):06}"
        body = {
            "account_number": number, "bill_no": bill_no, "period": period, "issued_on": f"{period}-01", "status": "open", "principal_fen": fen,
            "late_fee_fen": 0, "payable_fen": fen, "lines": [{"name": "水费", "amount_fen": fen}], "event": False, **more,
        }  # fmt: skip
        await self.control("POST", f"/companies/{company}/bills", body)
        return bill_no

    async def qr(self, number: str, company: str = WATER) -> str:
        """The code that the company prints for an account."""
        return (await self.services.qr_codes.issue(self.services.companies.get(company), number, "账单")).token

    async def bind(self, citizen: Citizen, number: str, proof: str = "123X", company: str = WATER) -> Binding:
        """Bind an account with its proof."""
        return await self.services.accounts.bind(citizen.caller, company, number, proof, None)

    async def row_of(self, number: str, company: str = WATER) -> UtilityAccount:
        """Our row of an account."""
        account = await self.services.accounts.known(self.services.companies.get(company), number)
        assert account is not None
        return account

    async def company_bill(self, bill_no: str) -> dict[str, Any]:
        """A bill as the company's own books have it."""
        bills = (await self.ledger())["bills"]
        return next(bill for bill in bills if bill["bill_no"] == bill_no)

    async def ledger(self) -> dict[str, Any]:
        """The water company's own record."""
        return await self.control("GET", f"/companies/{WATER}/ledger")

    # Payments

    async def quote(self, citizen: Citizen, number: str, company: str = WATER) -> OpenQuote:
        """A quote as its binder, or by scanning the account's code."""
        account = await self.services.accounts.known(self.services.companies.get(company), number)
        if account is not None and await Binding.live(account.id, citizen.principal):
            return await self.services.quotes.for_binding(citizen.caller, account.id)
        return await self.services.quotes.for_scan(citizen.caller, await self.qr(number, company))

    async def combined(self, citizen: Citizen, *accounts: tuple[str, str], way: Way = JSAPI) -> Payment:
        """One payment of everything that is open on several accounts: (company, number)."""
        quotes = [await self.quote(citizen, number, company) for company, number in accounts]
        return await self.created(await self.create_of(citizen, quotes, way=way))

    async def create(
        self,
        citizen: Citizen,
        quote: OpenQuote,
        *,
        bills: Sequence[UUID] | None = None,
        key: str | None = None,
        way: Way = JSAPI,
    ) -> bytes:
        """Create a payment as the API does; the answer's bytes."""
        return await self.create_of(citizen, [quote], bills=bills, key=key, way=way)

    async def create_of(
        self,
        citizen: Citizen,
        quotes: Sequence[OpenQuote],
        *,
        bills: Sequence[UUID] | None = None,
        key: str | None = None,
        way: Way = JSAPI,
    ) -> bytes:
        """Create one payment of several quotes; the answer's bytes."""
        quote_ids = [quote.quote.id for quote in quotes]
        once = self.once(citizen, quote_ids[0], bills, key)
        return await self.services.paying.create(citizen.caller, quote_ids, bills, way, once, payments_api.created)

    def once(
        self, citizen: Citizen, quote_id: UUID, bills: Sequence[UUID] | None = None, key: str | None = None
    ) -> Once:
        """A keyed request for :meth:`create`."""
        fingerprint = msgspec.json.encode([str(quote_id), [str(bill) for bill in bills or ()]])
        return Once(self.services.vault, str(citizen.id), "payments_create", key or uuid4().hex, fingerprint)

    async def payment(self, citizen: Citizen, number: str, way: Way = JSAPI) -> Payment:
        """Quote everything that is open on an account and create a payment of it."""
        return await self.created(await self.create(citizen, await self.quote(citizen, number), way=way))

    async def created(self, answer: bytes) -> Payment:
        """The payment an answer is about."""
        return await Payment.get(id=msgspec.json.decode(answer)["payment_id"])

    async def order(self, citizen: Citizen, payment: Payment, payer_ip: str = "203.0.113.7") -> dict[str, str]:
        """Ask for the cashier's parameters, which opens the order."""
        return await self.services.cashier.client_params(payment.id, citizen.principal, payer_ip)

    async def pay(self, citizen: Citizen, payment: Payment, **more: Any) -> str:
        """Pay in WeChat with fresh parameters; our order number."""
        answer = await self.control(
            "POST", f"/people/{citizen.phone_id}/pay", {**await self.order(citizen, payment), **more}
        )
        assert answer == {"result": "ok"}, answer
        return await self.order_no(payment)

    async def order_no(self, payment: Payment) -> str:
        """Our number of a payment's order: its part's, or its own when it has several parts."""
        rows = await fetch("select order_number from payment_part where payment_id = $1", payment.id)
        return rows[0]["order_number"] if len(rows) == 1 else payment.id.hex

    async def order_at_provider(self, payment: Payment) -> dict[str, Any] | None:
        """The order as WeChat Pay has it."""
        orders = (await self.control("GET", "/wechat-pay/orders"))["orders"]
        number = await self.order_no(payment)
        found = [order for order in orders if order["out_trade_no"] == number]
        assert len(found) <= 1
        return found[0] if found else None

    async def notify(self, order_no: str, **spoiled: Any) -> list[int | str]:
        """WeChat Pay sends the notice of an order (again, or spoiled); what our door answered."""
        await self._serve()
        combined = (await self.control("GET", "/wechat-pay/combined"))["orders"]
        kind = "combined" if order_no in {order["combine_out_trade_no"] for order in combined} else "orders"
        return (await self.control("POST", f"/wechat-pay/{kind}/{order_no}/notify", spoiled))["answers"]

    async def refunds(self) -> list[dict[str, Any]]:
        """The refunds as WeChat Pay has them."""
        return (await self.control("GET", "/wechat-pay/refunds"))["refunds"]

    async def end_refunds(self, status: str = "SUCCESS") -> None:
        """WeChat Pay ends every refund that is on its way: SUCCESS, ABNORMAL or CLOSED. Nobody is told."""
        for refund in await self.refunds():
            if refund["status"] in ("PROCESSING", "ABNORMAL"):
                await self.control("POST", f"/wechat-pay/refunds/{refund['out_refund_no']}/force", {"status": status})

    async def close_refunds(self, times: int) -> None:
        """WeChat Pay closes so many refunds, one after the other, as we hear of it by asking; later ones succeed."""
        await self.control("POST", "/wechat-pay/refund-outcome", {"outcome": "CLOSED"})
        for left in reversed(range(times)):
            await self.jobs.run()
            if left == 0:
                await self.control("POST", "/wechat-pay/refund-outcome", {"outcome": "SUCCESS"})
            await self.end_refunds("CLOSED")
            # The question about a refund is planned for fifteen seconds after the answer to the request.
            await self.jobs.pass_time(timedelta(seconds=20))
        closed = await fetch("select 1 from refund where status = 'closed'")
        assert len(closed) >= times, [tuple(row) for row in await fetch("select status, created_at from refund")]

    async def notify_refund(self, refund_no: str, **spoiled: Any) -> list[int | str]:
        """WeChat Pay sends the notice of a refund (again, or spoiled); what our door answered."""
        await self._serve()
        return (await self.control("POST", f"/wechat-pay/refunds/{refund_no}/notify", spoiled))["answers"]

    async def paid(self, citizen: Citizen, number: str) -> Payment:
        """A payment that has been paid, told of and posted, as far as nobody hinders it."""
        payment = await self.payment(citizen, number)
        assert await self.notify(await self.pay(citizen, payment)) == [204]
        await self.jobs.run()
        await payment.refresh_from_db()
        return payment

    # Rows

    async def rows(self, tables: Iterable[str] = BUSINESS) -> dict[str, str | None]:
        """A fingerprint of every table: equal when every row is."""
        return {
            table: (await fetch(f"select md5(string_agg(t::text, '|' order by t.id::text)) as sum from {table} t"))[0][
                "sum"
            ]
            for table in tables
        }

    async def balance(self, kind: str, provider: str | None = None) -> int:
        """What an account of the ledger holds over all merchants (of one provider, or of all), as a positive number."""
        query = (
            "select coalesce(sum(e.amount_fen), 0) as fen from ledger_entry e join ledger_account a on a.id = e.account_id"
            " where a.kind = $1 and ($2::text is null or a.provider = $2)"
        )
        row = await fetch_one(query, kind, provider)
        assert row is not None
        return abs(int(row["fen"]))

    async def told(self, citizen: Citizen) -> list[str]:
        """The kinds of in-app messages a person has got, in order."""
        rows = await fetch(
            "select kind from message where person_id = $1 and channel = 'inbox' order by created_at", citizen.id
        )
        return [row["kind"] for row in rows]


def id_check(seventeen: str) -> str:
    """The check character of an ID number (GB 11643)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(seventeen, weights, strict=True)) % 11]


@pytest.fixture
async def spine(clean: None, settings: Settings, sandbox: SandboxProcess, ports: Ports) -> AsyncGenerator[Spine]:
    """Everything composed and running but the worker; at the end no job has failed unexpectedly and every rule holds."""
    assert settings.clock_file is not None
    travel = Travel(Path(settings.clock_file))
    travel.begin()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=sandbox.url, timeout=20, trust_env=False, verify=False)
        )
        services = await stack.enter_async_context(services_for(settings))

        async def open_door() -> None:
            await stack.enter_async_context(running_api(services, listen("127.0.0.1", ports.api)))

        spine = Spine(services, client, Jobs(services, travel), travel, open_door)
        await spine.control("POST", "/reset")
        # Refunds end when a test says so, not three seconds later, which on a busy machine is in the middle of it.
        await spine.control("POST", "/wechat-pay/pace", {"factor": 0.001})
        await spine.all_well()
        try:
            yield spine
            assert spine.jobs.failures == []
            assert await violations() == []
        finally:
            travel.home()
            await spine.all_well()
