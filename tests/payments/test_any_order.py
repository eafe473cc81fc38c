"""Creating, paying, telling, asking, closing, posting and refunding in any order: every rule holds after every step, and in the end
every fen is where it belongs, at WeChat Pay, in our books and at the company."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from core.database import fetch
from core.errors import LianbanError
from models.lifecycle import SYSTEM
from models.payment import Payment
from tests.harness.invariants import violations
from tests.harness.spine import WATER, Citizen, Spine

_ANY = st.integers(0, 7)
SIDE = f"company:{WATER}"


class Trade(RuleBasedStateMachine):
    """Two persons, two accounts, one company, one provider. Its steps run on the loop of the test that owns it."""

    spine: ClassVar[Spine]
    people: ClassVar[list[Citizen]]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[str] = []
        self.payments: list[Payment] = []
        self.params: dict[Any, dict[str, str]] = {}

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def _payment(self, pick: int) -> Payment:
        payment = self.payments[pick % len(self.payments)]
        self.wait(payment.refresh_from_db())
        return payment

    def _payer(self, payment: Payment) -> Citizen:
        return next(person for person in self.people if person.id == payment.person_id)

    @initialize(code=st.sampled_from([None, None, "EP0002", "EQ0007"]), seconds=st.sampled_from([None, 3]))
    def two_accounts_and_a_payment_of_each(self, code: str | None, seconds: int | None) -> None:
        self.numbers = [self.wait(self.spine.account(4199, 801)), self.wait(self.spine.account(66))]
        self.company_refuses(0, code)
        self.company_takes_its_time(1, seconds)
        for where, person in enumerate(self.people):
            self.create(where, where)
            with suppress(LianbanError):
                self.params[self.payments[where].id] = self.wait(self.spine.order(person, self.payments[where]))

    @rule(who=_ANY, where=_ANY)
    def create(self, who: int, where: int) -> None:
        with suppress(LianbanError):
            self.payments.append(self.wait(self.spine.payment(self.people[who % 2], self.numbers[where % 2])))

    @rule(pick=_ANY, lost=st.sampled_from([None, None, {"after": True}, {"after": False}]))
    def order(self, pick: int, lost: dict[str, bool] | None) -> None:
        payment = self._payment(pick)
        if lost is not None and payment.status in ("created", "ordering", "order_unknown"):
            self.wait(self.spine.fault("wechat_pay", "order", "drop", **lost))
        with suppress(LianbanError):
            self.params[payment.id] = self.wait(self.spine.order(self._payer(payment), payment))

    @rule(pick=_ANY, told=st.booleans())
    def pay(self, pick: int, told: bool) -> None:
        payment = self._payment(pick)
        if payment.id not in self.params:
            self.order(pick, None)
        if payment.id in self.params:
            phone = self._payer(payment).phone_id
            self.wait(self.spine.control("POST", f"/people/{phone}/pay", self.params[payment.id]))
        if told:
            self.notify(pick, 1)

    @rule(pick=_ANY)
    def money_arrives_all_the_same(self, pick: int) -> None:
        order = self.wait(self.spine.order_at_provider(self._payment(pick)))
        if order is not None and order["trade_state"] == "CLOSED":
            path = f"/wechat-pay/orders/{order['out_trade_no']}/force"
            self.wait(self.spine.control("POST", path, {"trade_state": "SUCCESS"}))

    @rule(pick=_ANY, times=st.integers(1, 2))
    def notify(self, pick: int, times: int) -> None:
        order = self.wait(self.spine.order_at_provider(self._payment(pick)))
        if order is not None:
            self.wait(self.spine.notify(order["out_trade_no"], times=times))

    @rule(pick=_ANY)
    def query(self, pick: int) -> None:
        with suppress(LianbanError):
            self.wait(self.spine.services.follower.query(self._payment(pick)))

    @rule(pick=_ANY)
    def close(self, pick: int) -> None:
        with suppress(LianbanError):
            self.wait(self.spine.services.follower.close(self._payment(pick), SYSTEM))

    @rule(where=_ANY, code=st.sampled_from([None, "EP0002", "EP0003", "EQ0007"]))
    def company_refuses(self, where: int, code: str | None) -> None:
        body = {"account_number": self.numbers[where % 2], "code": code}
        self.wait(self.spine.control("POST", f"/companies/{WATER}/refuse", body))

    @rule(where=_ANY, seconds=st.sampled_from([None, 3]))
    def company_takes_its_time(self, where: int, seconds: int | None) -> None:
        body = {"account_number": self.numbers[where % 2], "seconds": seconds}
        self.wait(self.spine.control("POST", f"/companies/{WATER}/processing", body))

    @rule(
        where=st.sampled_from(
            [(SIDE, "post_payment"), (SIDE, "query_posting"), ("wechat_pay", "refund"), ("wechat_pay", "close")]
        ),
        after=st.booleans(),
    )
    def an_answer_will_be_lost(self, where: tuple[str, str], after: bool) -> None:
        self.wait(self.spine.fault(*where, "drop", after=after))

    @rule(status=st.sampled_from(["SUCCESS", "SUCCESS", "ABNORMAL"]))
    def refunds_end(self, status: str) -> None:
        self.wait(self.spine.end_refunds(status))

    @rule()
    def jobs_run(self) -> None:
        self.wait(self.spine.jobs.run())

    @rule(seconds=st.sampled_from([5, 20, 120, 660]))
    def time_passes(self, seconds: int) -> None:
        self.wait(self.spine.jobs.pass_time(timedelta(seconds=seconds)))

    @invariant()
    def every_rule_holds(self) -> None:
        assert self.wait(violations()) == []

    def teardown(self) -> None:
        """All is well again: everything ends by itself, and all three sides agree to the fen."""
        self.wait(self._end())

    async def _end(self) -> None:
        spine = self.spine
        await spine.all_well()
        for number in self.numbers:
            await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": None})
            await spine.control("POST", f"/companies/{WATER}/processing", {"account_number": number, "seconds": None})
        orders = (await spine.control("GET", "/wechat-pay/orders"))["orders"]
        for order in orders:
            await spine.notify(order["out_trade_no"])

        async def settled() -> bool:
            return all(posting["status"] != "processing" for posting in (await spine.ledger())["postings"])

        await spine.jobs.pass_time(timedelta(minutes=11))
        await spine.until(settled, "the company's own work")
        await spine.end_refunds("SUCCESS")
        await spine.jobs.pass_time(timedelta(hours=3))
        assert await violations() == []
        assert {payment.status for payment in await Payment.all()} <= {"closed", "failed", "succeeded", "refunded"}
        assert await spine.balance("suspense") == 0
        paid_fen = sum(order["amount"]["total"] for order in orders if order["trade_state"] in ("SUCCESS", "REFUND"))
        returned_fen = sum(
            refund["amount"]["refund"] for refund in await spine.refunds() if refund["status"] == "SUCCESS"
        )
        recorded_fen = sum(
            posting["content"]["total_fen"]
            for posting in (await spine.ledger())["postings"]
            if posting["status"] == "posted"
        )
        assert (
            paid_fen - returned_fen == recorded_fen == await spine.balance("posted") == await spine.balance("clearing")
        )


@pytest.mark.timeout(180)
async def test_in_any_order_every_rule_holds_after_every_step(spine: Spine) -> None:
    Trade.spine = spine
    Trade.people = [await spine.citizen(), await spine.citizen()]
    Trade.loop = asyncio.get_running_loop()
    how = settings(
        max_examples=20,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    await asyncio.to_thread(run_state_machine_as_test, Trade, settings=how)
    spine.jobs.failures.clear()
    seen = {
        row["to_state"]
        for row in await fetch(
            "select distinct to_state from journal where subject in ('payment', 'refund', 'posting')"
        )
    }
    wanted = {"succeeded", "closed", "refunded", "received_late", "closing", "posted", "refused", "processing"}
    assert seen >= wanted, "the steps have led everywhere that matters"
