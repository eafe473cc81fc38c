"""Our clients and the sandbox were written apart from the same contracts: here they meet over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core import clock
from core.crypto import Vault
from core.outbound import Counterpart, MalformedAnswer, OutcomeUnknown
from core.redis import connect
from core.settings import Settings
from gateways.companies import (
    Bills,
    CompanyGateway,
    CompanyRefusal,
    HolderNotice,
    Posted,
    Posting,
    PostingBill,
    Proof,
    SigningKey,
    load_public_key,
    load_signing_key,
    verify_company_request,
)
from gateways.company_order_types import OrderNotice, SentOrder
from lianban.keys import Ports
from lianban.sandbox import SandboxProcess
from payments.providers.port import (
    CloseOutcome,
    ExpectedTrade,
    Method,
    NoticeRefused,
    OrderPart,
    OrderRequest,
    OrderTrades,
    ProviderRefused,
    RefundRequest,
    RefundState,
    TradeState,
    refund_matches,
    trade_matches,
)
from payments.providers.wechat_pay.client import WeChatPay
from payments.providers.wechat_pay.config import WeChatPayConfig
from payments.providers.wechat_pay.notices import WeChatPayNotices
from tests.core.wire import Wire, answer, wire
from wechat.client import MiniProgram
from wechat.codes import WeChatRefused
from wechat.push import PushReceiver, SubscribePopup
from wechat.token import TokenKeeper

COMPANY = "water"


@dataclass
class World:
    settings: Settings
    control: httpx.AsyncClient
    mini: MiniProgram
    pay: WeChatPay
    pay_config: WeChatPayConfig
    api_port: int
    stack: AsyncExitStack

    def gateway(self, key: SigningKey | None = None) -> CompanyGateway:
        keys = self.settings.companies[COMPANY]
        ours = self.settings.gateway_keys[0]
        counterpart = Counterpart(f"company:{COMPANY}", keys.base_url, timeout=timedelta(seconds=2))
        self.stack.push_async_callback(counterpart.aclose)
        theirs = {one.keyid: load_public_key(one.key) for one in keys.public_keys}
        signing = key or load_signing_key(ours.keyid, ours.key)
        return CompanyGateway(COMPANY, counterpart, counterpart.authority, signing, theirs)

    async def tell(self, path: str, body: dict[str, Any]) -> Any:
        response = await self.control.post(f"/control{path}", json=body)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    async def person(self) -> dict[str, Any]:
        return await self.tell("/people", {"nickname": "小明", "phone": "13800000009"})

    async def accounts(self) -> list[dict[str, Any]]:
        ledger = (await self.control.get(f"/control/companies/{COMPANY}/ledger")).json()
        return ledger["accounts"]


@pytest.fixture
async def world(settings: Settings, sandbox: SandboxProcess, ports: Ports) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect("unix:///nonexistent/redis.socket", 1.0))
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=sandbox.url, trust_env=False))
        assert (await control.post("/control/reset")).status_code < 300
        wechat = await stack.enter_async_context(aclosing(Counterpart("wechat", settings.endpoints.wechat)))
        app, pay = settings.wechat, settings.wechat_pay
        tokens = TokenKeeper(app.appid, app.secret, wechat, redis, Vault([("k", bytes(32))], bytes(32)))
        config = WeChatPayConfig.load(
            sp_appid=pay.sp_appid,
            sp_mchid=pay.sp_mchid,
            serial=pay.serial,
            private_key=pay.private_key,
            api_v3_key=pay.api_v3_key,
            public_key_id=pay.public_key_id,
            public_key=pay.public_key,
            platform_certificates=pay.platform_certificates,
        )
        platform = Counterpart("wechat_pay", settings.endpoints.wechat_pay)
        provider = WeChatPay(config, await stack.enter_async_context(aclosing(platform)))
        mini = MiniProgram(app.appid, app.secret, wechat, tokens)
        yield World(settings, control, mini, provider, config, ports.api, stack)


async def quoted(world: World) -> tuple[str, Bills]:
    """An account of the demo that has something to pay, and its quote."""
    gateway = world.gateway()
    for account in await world.accounts():
        bills = await gateway.query_bills(account["number"], "quote")
        if bills.quote is not None:
            return account["number"], bills
    raise AssertionError("no account with an open bill")


def posting_of(number: str, bills: Bills, posting_id: str) -> Posting:
    assert bills.quote is not None
    bill = next(bill for bill in bills.bills if bill.status == "open")
    return Posting(
        posting_id,
        number,
        bills.quote.quote_id,
        bill.payable_fen,
        (PostingBill(bill.bill_no, bill.payable_fen),),
        clock.now(),
        "wechat_pay",
        "1900000101",
        "4200002026",
    )


def order_of(order_id: str) -> SentOrder:
    return SentOrder(
        order_id=order_id, revision=1, number="EZ1-W1", application_number="EZ1", service="water", area="420704001",
        form_version="application-1", filed_at=clock.now(), notice_version="1", consented_at=clock.now(),
        common={"applicant": {"name": "王小明"}}, part={"caliber": "DN20"},
    )  # fmt: skip


class TestACompany:
    async def test_an_account_is_found_and_proven(self, world: World) -> None:
        number, _ = await quoted(world)
        found = await world.gateway().find_account(number)
        assert (found.number, found.holder_name) == (number, None)
        with pytest.raises(CompanyRefusal) as caught:
            await world.gateway().find_account(number, Proof("holder_id_last4", "0000"))
        assert caught.value.company_code == "EB0001"
        with pytest.raises(CompanyRefusal) as caught:
            await world.gateway().find_account("0")
        assert caught.value.company_code == "EQ0006"

    async def test_a_bill_is_quoted_posted_once_and_found_again(self, world: World) -> None:
        number, bills = await quoted(world)
        posting = posting_of(number, bills, "019ab0c2-contract-1")
        gateway = world.gateway()
        assert await gateway.query_posting(posting.posting_id) is None
        first = await gateway.post_payment(posting)
        assert isinstance(first, Posted)
        assert await gateway.post_payment(posting) == first == await gateway.query_posting(posting.posting_id)
        again = await gateway.query_bills(number, "view")
        paid = {bill.bill_no: bill.status for bill in again.bills}
        assert paid[posting.bills[0].bill_no] == "paid"

    async def test_a_connection_dropped_after_the_work_is_unknown_and_asking_finds_it(self, world: World) -> None:
        number, bills = await quoted(world)
        posting = posting_of(number, bills, "019ab0c2-contract-2")
        fault = {"counterpart": f"company:{COMPANY}", "operation": "post_payment", "fault": "drop", "after": True}
        await world.tell("/faults", fault | {"times": 1})
        with pytest.raises(OutcomeUnknown):
            await world.gateway().post_payment(posting)
        assert isinstance(await world.gateway().query_posting(posting.posting_id), Posted)

    async def test_a_forged_answer_is_no_answer_and_a_hanging_one_unknown(self, world: World) -> None:
        number, _ = await quoted(world)
        for fault, kind in (("forge", MalformedAnswer), ("hang", OutcomeUnknown), ("error", OutcomeUnknown)):
            body = {"counterpart": f"company:{COMPANY}", "operation": "query_bills", "fault": fault, "times": 1}
            await world.tell("/faults", body | ({"status": 503} if fault == "error" else {}))
            with pytest.raises(kind):
                await world.gateway().query_bills(number, "view")
        assert (await world.gateway().query_bills(number, "view")).account.number == number

    async def test_a_stranger_is_refused(self, world: World) -> None:
        stranger = SigningKey(world.settings.gateway_keys[0].keyid, Ed25519PrivateKey.generate())
        with pytest.raises(CompanyRefusal) as caught:
            await world.gateway(stranger).find_account("0203001234")
        assert caught.value.company_code == "EQ0001"

    async def test_a_notice_to_the_holder_is_accepted(self, world: World) -> None:
        number, _ = await quoted(world)
        notice = HolderNotice("019ab0-n", number, "binding_created", "B7K2-M9QD", clock.now())
        await world.gateway().holder_notice(notice)
        await world.gateway().holder_notice(notice)
        ledger = (await world.control.get(f"/control/companies/{COMPANY}/ledger")).json()
        assert [kept["notice_id"] for kept in ledger["holder_notices"]].count("019ab0-n") == 1

    async def test_the_daily_file_is_whole(self, world: World) -> None:
        found = await world.gateway().bill_file(clock.today() - timedelta(days=2))
        assert found.payable_fen == sum(bill.payable_fen for bill in found.bills)

    async def test_its_event_is_verified_with_its_own_key_only(self, world: World) -> None:
        async with wire(answer(204, b""), world.api_port) as api:
            data = {"account_number": "0203001234"}
            await world.tell(f"/companies/{COMPANY}/events", {"type": "bills.changed", "data": data})
            head, body = await arrived(api)
        keys = {one.keyid: load_public_key(one.key) for one in world.settings.companies[COMPANY].public_keys}
        headers = dict(head)
        path = f"/callbacks/companies/{COMPANY}"
        assert verify_company_request("POST", headers["host"], path, head, body, keys, clock.now()) in keys


class TestServiceOrders:
    async def told(self, world: World, path: str, body: dict[str, Any]) -> Any:
        return await world.tell(f"/companies/{COMPANY}/{path}", body)

    async def test_an_order_is_kept_once_asked_about_and_told_of(self, world: World) -> None:
        gateway, order = world.gateway(), order_of("019ab0c2-order-1")
        assert await gateway.query_order(order.order_id) is None
        first = await gateway.send_order(order)
        assert await gateway.send_order(order) == first
        with pytest.raises(CompanyRefusal) as caught:
            await gateway.send_order(msgspec.structs.replace(order, part={"caliber": "DN50"}))
        assert caught.value.company_code == "EO0002"
        revised = msgspec.structs.replace(order, revision=2, part={"caliber": "DN50"})
        assert (await gateway.send_order(revised)).company_number == first.company_number
        notice = OrderNotice("019ab0c2-n1", order.order_id, "plan_confirmed", clock.now(), {"plan": 1})
        await gateway.order_notice(notice)
        await gateway.order_notice(notice)
        written = (await self.told(world, "report", {"order_id": order.order_id, "report": "accepted"}))["report"]
        standing = await gateway.query_order(order.order_id)
        assert standing is not None
        assert (standing.revision, [report.sequence for report in standing.reports]) == (2, [written["sequence"]])
        (kept,) = (await world.control.get(f"/control/companies/{COMPANY}/ledger")).json()["orders"]
        assert [told["kind"] for told in kept["notices"]] == ["plan_confirmed"]

    async def test_an_order_dropped_after_the_work_is_unknown_and_asking_finds_it(self, world: World) -> None:
        order = order_of("019ab0c2-order-2")
        fault = {"counterpart": f"company:{COMPANY}", "operation": "send_order", "fault": "drop", "after": True}
        await world.tell("/faults", fault | {"times": 1})
        with pytest.raises(OutcomeUnknown):
            await world.gateway().send_order(order)
        standing = await world.gateway().query_order(order.order_id)
        assert standing is not None
        assert standing.status == "received"

    async def test_once_construction_has_begun_nobody_withdraws_alone(self, world: World) -> None:
        gateway, order = world.gateway(), order_of("019ab0c2-order-3")
        await gateway.send_order(order)
        await self.told(world, "report", {"order_id": order.order_id, "report": "construction_started"})
        with pytest.raises(CompanyRefusal) as caught:
            await gateway.withdraw_order(order.order_id, "withdrawn_by_applicant")
        assert caught.value.company_code == "EO0003"
        other = order_of("019ab0c2-order-4")
        await gateway.send_order(other)
        first = await gateway.withdraw_order(other.order_id, "withdrawn_by_applicant")
        assert await gateway.withdraw_order(other.order_id, "withdrawn_by_applicant") == first

    async def test_a_company_works_its_orders_by_itself_and_waits_for_the_applicant(self, world: World) -> None:
        gateway, order = world.gateway(), order_of("019ab0c2-order-5")
        await self.told(world, "order-mode", {"mode": "auto", "survey": "alone", "facts": {"distance_m": 420}})
        await gateway.send_order(order)

        async def reports(last: str) -> list[str]:
            for _ in range(200):
                standing = await gateway.query_order(order.order_id)
                assert standing is not None
                said = [msgspec.to_builtins(report)["report"] for report in standing.reports]
                if said and said[-1] == last:
                    return said
                await asyncio.sleep(0.02)
            raise AssertionError(f"{last} was never reported")

        assert await reports("plan_replied") == ["accepted", "surveyed", "plan_replied"]
        await gateway.order_notice(OrderNotice("019ab0c2-n5", order.order_id, "contract_signed", clock.now()))
        end = ["construction_started", "inspected", "connected", "archived"]
        assert (await reports("archived"))[3:] == end


class TestWeChat:
    async def test_login_phone_number_and_a_used_code(self, world: World) -> None:
        person = await world.person()
        appid = world.settings.wechat.appid
        code = (await world.tell(f"/people/{person['person_id']}/login-code", {"appid": appid}))["code"]
        assert (await world.mini.code2session(code)).openid == person["openid"]
        with pytest.raises(WeChatRefused):
            await world.mini.code2session(code)
        code = (await world.tell(f"/people/{person['person_id']}/phone-code", {"appid": appid}))["code"]
        assert await world.mini.phone_number(code, person["openid"]) == "+8613800000009"

    async def test_a_credit_is_pushed_and_buys_one_message(self, world: World) -> None:
        person, app = await world.person(), world.settings.wechat
        name, template = next(iter(app.templates.items()))
        async with wire(answer(200, b"success"), world.api_port) as api:
            body = {"appid": app.appid, "template_ids": [template], "accept": True}
            await world.tell(f"/people/{person['person_id']}/subscribe", body)
            _, content = await arrived(api)
            query = query_of(api.requests[0])
        event = PushReceiver(app.appid, app.push_token, app.push_encoding_aes_key).open(query, content, clock.now())
        assert isinstance(event, SubscribePopup), name
        assert (event.openid, event.choices[0].template_id, event.choices[0].accepted) == (
            person["openid"],
            template,
            True,
        )

    async def test_a_code_is_an_image(self, world: World) -> None:
        assert len(await world.mini.unlimited_code("q=abc", "pages/index/index", check_path=False)) > 60


class TestWeChatPay:
    async def order(self, world: World, number: str) -> tuple[OrderRequest, dict[str, Any]]:
        person = await world.person()
        merchant = world.settings.companies[COMPANY].sub_mchid
        assert merchant is not None
        url = world.settings.wechat_pay.notify_url
        expires = clock.now() + timedelta(minutes=15)
        part = OrderPart(number, merchant, 4660, "水费 2026-10")
        return OrderRequest(number, Method.JSAPI, (part,), expires, url, payer=person["openid"]), person

    async def test_an_order_is_paid_noticed_queried_and_refunded(self, world: World) -> None:
        order, person = await self.order(world, "LBCONTRACT0001")
        assert await world.pay.query(order.name) is None
        opened = await world.pay.create_order(order)
        unpaid = await world.pay.query(order.name)
        assert unpaid is not None
        assert unpaid.trades[0].state is TradeState.NOT_PAID
        params = world.pay.client_params(Method.JSAPI, opened.handle)
        async with wire(answer(204, b""), world.api_port) as api:
            assert (await world.tell(f"/people/{person['person_id']}/pay", params))["result"] == "ok"
            head, body = await arrived(api)
        (part,) = order.parts
        expected = ExpectedTrade(
            part.order_no, world.pay_config.sp_mchid, part.merchant, world.pay_config.sp_appid, part.amount_fen
        )
        notices = WeChatPayNotices(world.pay_config)
        noticed = notices.verify_notice(head, body, clock.now()).resource
        assert isinstance(noticed, OrderTrades)
        queried = await world.pay.query(order.name)
        assert queried is not None
        assert trade_matches(noticed.trades[0], expected) == trade_matches(queried.trades[0], expected) == []
        assert noticed.trades[0].transaction_id == queried.trades[0].transaction_id
        with pytest.raises(NoticeRefused):
            notices.verify_notice(head, body, clock.now() + timedelta(minutes=6))
        assert await world.pay.close(order.name) is CloseOutcome.ALREADY_PAID
        await self.refund(world, order)

    async def refund(self, world: World, order: OrderRequest) -> None:
        asked = RefundRequest(
            "LBRCONTRACT0001", order.number, order.parts[0].merchant, 1000, 4660, "多收退回", order.notify_url
        )
        assert await world.pay.query_refund(asked) is None
        first = await world.pay.refund(asked)
        second = await world.pay.refund(asked)
        assert refund_matches(first, asked) == refund_matches(second, asked) == []
        assert first.refund_id == second.refund_id
        found = await world.pay.query_refund(asked)
        assert found is not None
        assert found.state in (RefundState.PROCESSING, RefundState.SUCCESS)

    @pytest.mark.parametrize("fault", ["signtest", "stranger"])
    async def test_a_spoiled_notice_is_refused(self, world: World, fault: str) -> None:
        order, person = await self.order(world, "LBCONTRACT0002")
        params = world.pay.client_params(Method.JSAPI, (await world.pay.create_order(order)).handle)
        async with wire(answer(204, b""), world.api_port) as api:
            await world.tell(f"/people/{person['person_id']}/pay", params)
            await arrived(api)
            await world.tell(f"/wechat-pay/orders/{order.number}/notify", {"sign_with": fault})
            head, body = await arrived(api, probes=True)
        with pytest.raises(NoticeRefused):
            WeChatPayNotices(world.pay_config).verify_notice(head, body, clock.now())

    async def test_an_order_closes_once_and_a_strange_one_is_unknown(self, world: World) -> None:
        order, _ = await self.order(world, "LBCONTRACT0003")
        assert await world.pay.close(order.name) is CloseOutcome.UNKNOWN_ORDER
        await world.pay.create_order(order)
        for _ in range(2):
            assert await world.pay.close(order.name) is CloseOutcome.CLOSED
        with pytest.raises(ProviderRefused):
            await world.pay.create_order(order)

    async def test_a_forged_answer_and_a_dropped_one_leave_the_outcome_unknown(self, world: World) -> None:
        order, _ = await self.order(world, "LBCONTRACT0004")
        for fault in ("forge", "drop"):
            await world.tell("/faults", {"counterpart": "wechat_pay", "operation": "order", "fault": fault, "times": 1})
            with pytest.raises(OutcomeUnknown):
                await world.pay.create_order(order)
        assert (await world.pay.create_order(order)).handle

    async def test_certificates_are_refreshed(self, world: World) -> None:
        assert len(await world.pay.refresh_certificates()) >= 1


async def arrived(api: Wire, *, probes: bool = False) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of the next request that comes in; WeChat Pay's probes with a wrong signature are left aside."""
    async with asyncio.timeout(10):
        request = await api.inbox.get()
        while b"WECHATPAY/SIGNTEST/" in request and not probes:
            request = await api.inbox.get()
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
    return [(name.lower(), value.strip()) for name, _, value in lines], body


def query_of(request: bytes) -> dict[str, str]:
    target = request.split(b" ", 2)[1].decode()
    return dict(httpx.URL(f"http://x{target}").params)
