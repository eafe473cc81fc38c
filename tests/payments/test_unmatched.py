"""A payment about which the provider says what never matches is ended by two persons, and by nobody alone."""

import argparse
from datetime import timedelta
from uuid import uuid4

import pytest

from core.database import fetch
from lianban import payment as command
from lianban.__main__ import COMMANDS
from models.lifecycle import Actor
from models.payment import Payment
from payments.unmatched import AgreementMissing, NothingUnmatched, give_up, unmatched
from tests.harness.spine import Citizen, Spine

WANG = Actor("staff", "console:wang")


async def _mismatched(spine: Spine, citizen: Citizen, number: str) -> Payment:
    """Paid at the provider, whose verified word names another amount; its own pages are silent since."""
    payment = await spine.payment(citizen, number)
    order_no = await spine.pay(citizen, payment)
    amount = {"total": 1, "payer_total": 1, "currency": "CNY", "payer_currency": "CNY"}
    assert await spine.notify(order_no, mutate={"amount": amount}) == [204]
    await spine.fault("wechat_pay", "*", "error", times=None, status=503)
    await spine.jobs.run()
    return payment


async def test_two_persons_end_it_and_its_bill_can_be_paid_anew(
    spine: Spine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "payment" in COMMANDS
    citizen = await spine.citizen()
    number = await spine.account(4199)
    payment = await _mismatched(spine, citizen, number)
    with pytest.raises(NothingUnmatched):
        await give_up(payment.id, WANG, "多收", "li")
    await spine.travel(timedelta(hours=1))
    ((found,), lost) = await unmatched(), await unmatched(uuid4())
    assert (found["id"], found["fields"], lost) == (payment.id, "amount_fen", [])
    for reason, approver in (("", "li"), ("多收", ""), ("多收", "Wang")):
        with pytest.raises(AgreementMissing):
            await give_up(payment.id, WANG, reason, approver)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    await command.perform(parser.parse_args(["list"]))
    assert f"{payment.id}\twechat_pay\t" in capsys.readouterr().out
    await give_up(payment.id, WANG, "商户后台已原路退回", "li")
    await payment.refresh_from_db()
    assert payment.status == "failed"
    assert await fetch("select 1 from claim where payment_id = $1 and freed_at is null", payment.id) == []
    with pytest.raises(NothingUnmatched):
        await give_up(payment.id, WANG, "再来一次", "li")
    await spine.jobs.run()
    assert (await spine.told(citizen))[-1] == "payment.given_up"
    await spine.payment(citizen, number)


async def test_a_word_that_matches_after_all_is_late_money_and_goes_back(spine: Spine) -> None:
    citizen = await spine.citizen()
    payment = await _mismatched(spine, citizen, await spine.account(4199))
    await spine.travel(timedelta(hours=1))
    await give_up(payment.id, WANG, "商户后台查无此单", "li")
    await spine.all_well()
    assert await spine.notify(await spine.order_no(payment)) == [204]
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(timedelta(minutes=1))
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    assert await spine.balance("suspense") == 0
