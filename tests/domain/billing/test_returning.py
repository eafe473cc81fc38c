"""Refunds by hand: by two people, of money nobody has, and of no other."""

from uuid import UUID, uuid4

import pytest

from core.database import fetch
from domain.billing.returning import ApproverMissing, NothingToReturn, return_again
from models.lifecycle import Actor
from models.payment import Claim, Payment
from models.refund import Refund
from payments.refunding import ByHand
from payments.views import progress, refunds_to_look_at
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

FEN = 4199
HAND = ByHand(Actor("staff", "console:alice"), "bob", "账户已恢复")


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _refused(spine: Spine, citizen: Citizen) -> Payment:
    number = await spine.account(FEN)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0002"})
    payment = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, payment))
    return payment


async def _closed_for_good(spine: Spine, citizen: Citizen) -> Payment:
    payment = await _refused(spine, citizen)
    await spine.close_refunds(3)
    return payment


async def test_two_people_return_what_the_provider_has_closed_three_times(spine: Spine, citizen: Citizen) -> None:
    payment = await _closed_for_good(spine, citizen)
    (listed,) = await refunds_to_look_at()
    assert (listed["payment_id"], listed["status"], listed["times"]) == (payment.id, "closed", 3)
    (refund_id,) = await return_again(payment.id, HAND)
    (born,) = await fetch("select * from journal where subject_id = $1", refund_id)
    assert (born["actor_kind"], born["actor_id"], born["approver"], born["reason"]) == (
        "staff", "console:alice", "bob", "账户已恢复",
    )  # fmt: skip
    (audited,) = await fetch("select * from audit where action = 'refund.requested_by_hand'")
    assert (audited["subject_id"], audited["actor_id"]) == (str(refund_id), "console:alice")
    await spine.jobs.run()
    (view,) = await progress([payment.id], citizen.principal)
    assert (view["progress"], view["refund_reason"]) == ("refunding", "amount_changed")
    await spine.end_refunds("SUCCESS")
    await spine.jobs.pass_time(10 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    assert await refunds_to_look_at() == []
    assert await Claim.filter(freed_at=None).count() == 0
    assert (await spine.told(citizen))[-3:] == [
        "payment.refund_stuck", "payment.refund_started", "payment.refunded",
    ]  # fmt: skip


async def test_a_fourth_that_is_closed_too_is_followed_by_none(spine: Spine, citizen: Citizen) -> None:
    payment = await _closed_for_good(spine, citizen)
    await return_again(payment.id, HAND)
    await spine.close_refunds(1)
    assert await Refund.all().count() == 4
    (view,) = await progress([payment.id], citizen.principal)
    assert view["progress"] == "refund_stuck"
    assert (await spine.told(citizen)).count("payment.refund_stuck") == 2


@pytest.mark.parametrize(
    "by_hand",
    [
        HAND._replace(approver="alice"),
        HAND._replace(approver=" Alice "),
        HAND._replace(approver=" "),
        HAND._replace(why=""),
        HAND._replace(why="x" * 201),
    ],
    ids=["himself", "himself, spelt otherwise", "nobody", "no reason", "a long story"],
)
async def test_nobody_decides_alone_or_without_a_reason(spine: Spine, citizen: Citizen, by_hand: ByHand) -> None:
    payment = await _closed_for_good(spine, citizen)
    with pytest.raises(ApproverMissing):
        await return_again(payment.id, by_hand)
    assert await Refund.all().count() == 3


async def test_what_a_company_has_or_is_being_told_or_goes_back_already_is_not_returned(
    spine: Spine, citizen: Citizen
) -> None:
    posted = await spine.paid(citizen, await spine.account(1))
    unpaid = await spine.payment(citizen, await spine.account(2))
    on_its_way = await _refused(spine, citizen)
    await spine.jobs.run()
    number = await spine.account(3)
    told = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, told))
    assert await _received(spine, told) == 3, "received, and its posting not opened yet"
    for payment_id in (posted.id, unpaid.id, on_its_way.id, told.id, uuid4()):
        with pytest.raises(NothingToReturn):
            await return_again(payment_id, HAND)
    assert await Refund.all().count() == 1
    await spine.jobs.run()


async def _received(spine: Spine, payment: Payment) -> int:
    """Take the notice in and nothing else; the fen received."""
    (item,) = await fetch("select id from inbox where processed_at is null")
    await spine.jobs.do("inbox.process", inbox_id=UUID(str(item["id"])))
    (part,) = await fetch("select received_fen from payment_part where payment_id = $1", payment.id)
    return part["received_fen"]
