"""Refunds: asked for under one number, followed to their end also when their way back is blocked."""

from datetime import timedelta

import pytest

from models.payment import Claim
from models.refund import Refund
from tests.harness.spine import MINUTE, Citizen, Spine

FEN = 4199
HOUR = timedelta(hours=1)


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _refused_by_the_company(spine: Spine, citizen: Citizen) -> Refund:
    """A payment whose bill has been paid at the counter meanwhile: the company takes no money, which has to go back."""
    number = await spine.account()
    bill_no = await spine.bill(number, FEN)
    payment = await spine.payment(citizen, number)
    order_no = await spine.pay(citizen, payment)
    await spine.bill(number, FEN, bill_no=bill_no, status="paid")
    assert await spine.notify(order_no) == [204]
    await spine.jobs.run()
    return await Refund.get(payment_id=payment.id)


async def _settled(spine: Spine) -> None:
    """Let the provider do what it does by itself a few seconds after it was asked."""
    await spine.control("POST", "/wechat-pay/pace", {"factor": 1})
    await spine.travel(timedelta(seconds=5))

    async def done() -> bool:
        return all(refund["status"] != "PROCESSING" for refund in await spine.refunds())

    await spine.until(done, "the refund")


async def _force(spine: Spine, refund: Refund, status: str) -> None:
    await spine.control("POST", f"/wechat-pay/refunds/{refund.refund_number}/force", {"status": status})


async def test_a_blocked_refund_that_people_unblock_is_noticed_without_any_notice(
    spine: Spine, citizen: Citizen
) -> None:
    await spine.control("POST", "/wechat-pay/refund-outcome", {"outcome": "ABNORMAL"})
    refund = await _refused_by_the_company(spine, citizen)
    await _settled(spine)
    await spine.jobs.pass_time(MINUTE)
    await refund.refresh_from_db()
    assert refund.status == "abnormal"
    assert await Claim.filter(freed_at=None).count() == 1
    await _force(spine, refund, "SUCCESS")
    await spine.jobs.pass_time(2 * HOUR)
    await refund.refresh_from_db()
    assert refund.status == "succeeded"
    assert await spine.balance("suspense") == 0
    assert await Claim.filter(freed_at=None).count() == 0
    assert (await spine.told(citizen))[-2:] == ["payment.refund_stuck", "payment.refunded"]
    assert await spine.jobs.waiting("payments.follow_refund") == 0


async def test_a_refund_the_provider_refuses_for_good_is_told_once_and_asked_for_until_it_passes(
    spine: Spine, citizen: Citizen
) -> None:
    await spine.control("POST", "/wechat-pay/refund-outcome", {"outcome": "USER_ACCOUNT_ABNORMAL"})
    refund = await _refused_by_the_company(spine, citizen)
    await spine.jobs.pass_time(MINUTE)
    await refund.refresh_from_db()
    assert refund.status == "abnormal"
    await spine.control("POST", "/wechat-pay/refund-outcome", {"outcome": "SUCCESS"})
    await spine.jobs.pass_time(HOUR)
    await _settled(spine)
    await spine.jobs.pass_time(2 * HOUR)
    await refund.refresh_from_db()
    assert refund.status == "succeeded"
    assert (await spine.told(citizen)).count("payment.refund_stuck") == 1
    assert len(await spine.refunds()) == 1


async def test_a_refund_that_never_arrived_is_submitted_again_under_its_number(spine: Spine, citizen: Citizen) -> None:
    await spine.fault("wechat_pay", "refund", "drop")
    refund = await _refused_by_the_company(spine, citizen)
    await refund.refresh_from_db()
    assert refund.status == "submitting"
    await spine.jobs.pass_time(MINUTE)
    await refund.refresh_from_db()
    assert refund.status in ("processing", "succeeded")
    assert [found["out_refund_no"] for found in await spine.refunds()] == [refund.refund_number]


async def test_a_refund_whose_answer_was_lost_is_found_by_asking_and_not_asked_for_twice(
    spine: Spine, citizen: Citizen
) -> None:
    await spine.fault("wechat_pay", "refund", "drop", after=True)
    refund = await _refused_by_the_company(spine, citizen)
    await spine.jobs.pass_time(MINUTE)
    await refund.refresh_from_db()
    assert refund.status in ("processing", "succeeded")
    assert await spine.calls("wechat_pay", "refund") == {refund.refund_number: 1}
