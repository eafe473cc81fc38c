"""Our client of Alipay and the sandbox's gateway were written apart from the same documents: here they meet over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from core import clock
from core.outbound import FailureKind, MalformedAnswer, NotSent, OutcomeUnknown
from core.settings import Settings
from lianban.sandbox import SandboxProcess
from payments.providers.port import (
    CloseOutcome,
    ExpectedTrade,
    NoticeRefused,
    OrderRequest,
    OrderTrades,
    ProviderRefused,
    RefundAnswer,
    RefundState,
    TradeState,
    refund_matches,
    trade_matches,
)
from tests.contracts.alipay_world import (
    MODES,
    POWER,
    RETURN_URL,
    WATER,
    AlipayWorld,
    caught,
    enter,
    fields_of,
    refund_of,
)


@pytest.fixture(params=MODES)
async def alipay(
    request: pytest.FixtureRequest, settings: Settings, sandbox: SandboxProcess
) -> AsyncIterator[AlipayWorld]:
    async with AsyncExitStack() as stack:
        world = await enter(stack, settings, sandbox, request.param)
        await world.tell("/reset")
        yield world


def expected(alipay: AlipayWorld, order: OrderRequest) -> ExpectedTrade:
    (part,) = order.parts
    app = alipay.config.app_id
    return ExpectedTrade(part.order_no, app, part.merchant, app, part.amount_fen)


class TestTheAddress:
    async def test_says_what_is_paid_and_to_whom_and_opens(self, alipay: AlipayWorld) -> None:
        order = alipay.order(fen=4660)
        url = await alipay.address(order)
        fields = fields_of(url)
        assert (fields["method"], fields["return_url"], fields["charset"]) == (
            "alipay.trade.wap.pay",
            RETURN_URL,
            "utf-8",
        )
        assert '"total_amount":"46.60"' in fields["biz_content"]
        assert '"subject":"市水务／2026-10＝水费＆附加"' in fields["biz_content"]
        assert await alipay.visit(url, only="open") == {"result": "ok"}

    async def test_before_it_is_opened_alipay_knows_of_nothing(self, alipay: AlipayWorld) -> None:
        order = alipay.order()
        url = await alipay.address(order)
        assert await alipay.pay.query(order.name) is None
        assert await alipay.pay.close(order.name) is CloseOutcome.UNKNOWN_ORDER
        # The answer to the close has ended nothing: the address still opens, until its own time ends it.
        assert await alipay.visit(url) == {"result": "ok"}

    async def test_is_dead_after_its_time(self, alipay: AlipayWorld) -> None:
        url = await alipay.address(alipay.order(minutes=-0.1))
        assert (await alipay.visit(url))["result"] == "fail"

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("biz_content", "46.60", "0.01"),
            ("notify_url", "callbacks", "elsewhere"),
            ("return_url", "paid", "phish"),
            ("app_auth_token", "BB", "CC"),
            ("timestamp", "2026", "2027"),
        ],
    )
    async def test_changed_in_any_field_does_not_open(self, alipay: AlipayWorld, name: str, old: str, new: str) -> None:
        url = await alipay.address(alipay.order())
        base, fields = url.partition("?")[0], fields_of(url)
        assert old in fields[name]
        fields[name] = fields[name].replace(old, new)
        assert "isv.invalid-signature" in (await alipay.visit(f"{base}?{urlencode(fields)}"))["reason"]

    async def test_shows_a_page_and_comes_back_after_paying(self, alipay: AlipayWorld) -> None:
        order = alipay.order()
        async with httpx.AsyncClient(trust_env=False) as browser:
            page = await browser.get(await alipay.address(order))
            assert "46.60" in page.text
            action = page.text.split('action="')[1].split('"')[0]
            back = await browser.post(str(page.url.copy_with(path=action, query=None)))
        assert back.headers["location"].startswith(RETURN_URL)
        found = await alipay.pay.query(order.name)
        assert found is not None
        assert found.trades[0].state is TradeState.PAID

    async def test_of_a_merchant_who_has_not_authorised_us_is_not_made(self, alipay: AlipayWorld) -> None:
        with pytest.raises(ProviderRefused, match="merchant_not_authorised"):
            await alipay.pay.create_order(alipay.order(merchant="2088000000000999"))


class TestQueryAndClose:
    async def test_a_paid_trade_is_ours_to_the_fen(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid(fen=1999)
        found = await alipay.pay.query(order.name)
        assert found is not None
        (trade,) = found.trades
        assert trade.state is TradeState.PAID
        assert trade_matches(trade, expected(alipay, order)) == []
        assert trade.succeeded_at is not None
        assert abs(trade.succeeded_at - clock.now()) < timedelta(minutes=1)

    async def test_an_opened_trade_waits_and_can_be_closed_once(self, alipay: AlipayWorld) -> None:
        order = alipay.order()
        url = await alipay.address(order)
        await alipay.visit(url, only="open")
        found = await alipay.pay.query(order.name)
        assert found is not None
        assert found.trades[0].state is TradeState.NOT_PAID
        assert await alipay.pay.close(order.name) is CloseOutcome.CLOSED
        assert await alipay.pay.close(order.name) is CloseOutcome.CLOSED
        assert (await alipay.visit(url))["result"] == "fail"

    async def test_a_paid_trade_is_not_closed(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        assert await alipay.pay.close(order.name) is CloseOutcome.ALREADY_PAID

    async def test_another_merchant_does_not_find_it(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid(merchant=WATER)
        other = alipay.order(merchant=POWER, number=order.number)
        assert await alipay.pay.query(other.name) is None

    async def test_a_forged_answer_proves_nothing(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        await alipay.tell("/faults", {"counterpart": "alipay", "operation": "query", "fault": "forge", "times": 1})
        with pytest.raises(MalformedAnswer, match=r"signature\.signature"):
            await alipay.pay.query(order.name)

    async def test_an_answer_that_is_lost_is_unknown(self, alipay: AlipayWorld) -> None:
        order = alipay.order()
        await alipay.visit(await alipay.address(order), only="open")
        plan = {"counterpart": "alipay", "operation": "close", "fault": "drop", "after": True, "times": 1}
        await alipay.tell("/faults", plan)
        with pytest.raises(OutcomeUnknown):
            await alipay.pay.close(order.name)
        assert await alipay.pay.close(order.name) is CloseOutcome.CLOSED

    @pytest.mark.parametrize("status", [500, 502])
    async def test_a_gateway_in_trouble_is_unknown(self, alipay: AlipayWorld, status: int) -> None:
        plan = {"counterpart": "alipay", "operation": "query", "fault": "error", "status": status, "times": 1}
        await alipay.tell("/faults", plan)
        with pytest.raises(OutcomeUnknown):
            await alipay.pay.query(alipay.order().name)


class TestRefunds:
    async def test_money_goes_back_once_however_often_it_is_asked(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        asked = refund_of(order)
        first = await alipay.pay.refund(asked)
        assert (first.state, refund_matches(first, asked)) == (RefundState.SUCCESS, [])
        again = await alipay.pay.refund(asked)
        assert (again.state, refund_matches(again, asked)) == (RefundState.PROCESSING, [])
        found = await alipay.pay.query_refund(asked)
        assert found is not None
        assert (found.state, refund_matches(found, asked)) == (RefundState.SUCCESS, [])
        assert len((await alipay.trade(order))["refunds"]) == 1

    async def test_a_slow_refund_is_not_there_until_its_money_has_moved(self, alipay: AlipayWorld) -> None:
        await alipay.tell("/alipay/refund-outcome", {"outcome": "SLOW"})
        order = await alipay.paid()
        asked = refund_of(order)
        assert (await alipay.pay.refund(asked)).state is RefundState.PROCESSING
        assert await alipay.pay.query_refund(asked) is None
        await alipay.tell(f"/alipay/trades/{order.number}/refunds/{asked.refund_no}/move")
        found = await alipay.pay.query_refund(asked)
        assert found is not None
        assert found.state is RefundState.SUCCESS

    async def test_a_trade_given_back_whole_was_paid(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        await alipay.pay.refund(refund_of(order))
        found = await alipay.pay.query(order.name)
        assert found is not None
        assert found.trades[0].state is TradeState.REFUNDED
        assert await alipay.pay.close(order.name) is CloseOutcome.ALREADY_PAID

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [("SELLER_BALANCE_NOT_ENOUGH", FailureKind.TEMPORARY), ("TRADE_NOT_ALLOW_REFUND", FailureKind.PERMANENT)],
    )
    async def test_a_refusal_says_whose_fault_it_is(self, alipay: AlipayWorld, outcome: str, kind: FailureKind) -> None:
        await alipay.tell("/alipay/refund-outcome", {"outcome": outcome})
        order = await alipay.paid()
        with pytest.raises(ProviderRefused) as refused:
            await alipay.pay.refund(refund_of(order))
        assert (refused.value.provider_code, refused.value.kind) == (f"ACQ.{outcome}", kind)

    async def test_the_same_number_with_another_amount_is_refused(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        asked = refund_of(order, fen=1000)
        await alipay.pay.refund(asked)
        with pytest.raises(ProviderRefused, match="DISCORDANT_REPEAT_REQUEST"):
            await alipay.pay.refund(refund_of(order, fen=2000, number=asked.refund_no))


class TestNotices:
    async def test_a_notice_states_our_trade_to_the_fen(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        notice = alipay.notices.verify_notice((), await caught(alipay, order), clock.now())
        assert isinstance(notice.resource, OrderTrades)
        assert trade_matches(notice.resource.trades[0], expected(alipay, order)) == []
        assert notice.event_type == "TRADE_SUCCESS"

    async def test_it_keeps_its_id_when_it_is_repeated(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        ids = {alipay.notices.verify_notice((), await caught(alipay, order), clock.now()).id for _ in range(2)}
        assert len(ids) == 1

    async def test_money_that_went_back_is_told_as_our_refund(self, alipay: AlipayWorld) -> None:
        order = await alipay.paid()
        asked = refund_of(order)
        await alipay.pay.refund(asked)
        notice = alipay.notices.verify_notice((), await caught(alipay, order), clock.now())
        assert isinstance(notice.resource, RefundAnswer)
        assert (notice.resource.state, refund_matches(notice.resource, asked)) == (RefundState.SUCCESS, [])

    @pytest.mark.parametrize(
        ("spoiling", "reason"),
        [
            ({"sign_with": "stranger"}, "signature"),
            ({"sign_with": "unsigned"}, "unsigned"),
            ({"mutate": {"sign_type": "RSA"}}, "sign_type"),
            ({"mutate": {"charset": "gbk"}}, "charset"),
            ({"mutate": {"app_id": "2021000000000000"}}, "app"),
            ({"mutate": {"total_amount": "46,60"}}, "wrong_shape"),
            ({"mutate": {"trade_status": "TRADE_PENDING"}}, "state_unknown"),
            ({"mutate": {"seller_id": None}}, "wrong_shape"),
            ({"late_s": 27 * 3600}, "stale"),
            ({"late_s": -600}, "stale"),
        ],
        ids=["stranger", "unsigned", "weak", "charset", "app", "amount", "state", "no-seller", "old", "early"],
    )
    async def test_another_is_refused(self, alipay: AlipayWorld, spoiling: dict[str, object], reason: str) -> None:
        order = await alipay.paid()
        with pytest.raises(NoticeRefused, match=f"^{reason}$"):
            alipay.notices.verify_notice((), await caught(alipay, order, **spoiling), clock.now())

    async def test_a_field_changed_on_the_way_or_given_twice_is_refused(self, alipay: AlipayWorld) -> None:
        body = await caught(alipay, await alipay.paid())
        for changed, reason in (
            (body.replace(b"total_amount=46.60", b"total_amount=46.61"), "signature"),
            (body + b"&extra=1", "signature"),
            (body + b"&total_amount=46.60", "field_twice"),
        ):
            with pytest.raises(NoticeRefused, match=reason):
                alipay.notices.verify_notice((), changed, clock.now())


class TestTwoModes:
    async def test_an_answer_by_a_certificate_we_do_not_know_proves_nothing(
        self, settings: Settings, sandbox: SandboxProcess, tmp_path: Path
    ) -> None:
        assert settings.alipay is not None
        assert settings.alipay.certificate is not None
        async with AsyncExitStack() as stack:
            # Our own certificate stands in for one of Alipay's that has not signed this.
            world = await enter(stack, settings, sandbox, "certificate", certificates=[settings.alipay.certificate])
            with pytest.raises(MalformedAnswer, match="certificate_unknown"):
                await world.pay.query(world.order().name)

    async def test_nobody_listening_is_surely_not_sent(self, settings: Settings, sandbox: SandboxProcess) -> None:
        from core.outbound import Counterpart
        from payments.providers.alipay.client import Alipay

        async with AsyncExitStack() as stack:
            world = await enter(stack, settings, sandbox, "key")
            side = Counterpart("alipay", "http://127.0.0.1:1")
            stack.push_async_callback(side.aclose)
            with pytest.raises(NotSent):
                await Alipay(world.config, side).query(world.order().name)
