"""What waits for a job and has none is found, whatever it is, and goes on as if nothing had happened."""

from datetime import datetime, timedelta

import msgspec
import pytest

from core import clock
from core.database import fetch
from jobs import tasks
from jobs.orphans import KINDS, sweep
from models.inbox import InboxItem
from models.lifecycle import Event
from models.message import Message
from models.payment import Payment
from models.posting import Posting
from models.refund import Refund
from tests.harness.spine import MINUTE, WATER, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def _lose_all_jobs() -> None:
    await fetch("update procrastinate_jobs set status = 'failed' where status = 'todo'")


async def _run_until(spine: Spine, task: str) -> None:
    """Run jobs, and lose all that is still to do as soon as this task is among it."""
    while not await spine.jobs.waiting(task):
        (row,) = await fetch(
            "select task_name, args::text from procrastinate_jobs where status = 'todo' and scheduled_at is null order by id limit 1"
        )
        await fetch(
            "update procrastinate_jobs set status = 'succeeded' where status = 'todo' and task_name = $1 and args::text = $2",
            *row,
        )
        await spine.jobs.do(row["task_name"], **msgspec.json.decode(row["args"]))
    await _lose_all_jobs()


async def _found(began: datetime, after: timedelta) -> int:
    """How many are found once `after` has passed since now, and none as long as it has not passed since `began`, when none was there."""
    assert await sweep(began + after) == 0, "not everything that waits is lost"
    then = clock.now() + after
    found = await sweep(then)
    assert await sweep(then) == 0
    return found


async def _refused(spine: Spine, citizen: Citizen) -> Payment:
    number = await spine.account(FEN)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0002"})
    payment = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, payment))
    return payment


async def _returned(spine: Spine, payment: Payment) -> None:
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(5 * MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"


def test_every_kind_is_taken_up_by_a_task_that_exists(spine: Spine) -> None:
    assert {kind.task for kind in KINDS} <= set(tasks.tasks(spine.services))
    assert len({kind.name for kind in KINDS}) == len(KINDS)


async def test_a_delivery_nobody_has_processed(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    order_no, began = await spine.pay(citizen, payment), clock.now()
    await spine.notify(order_no)
    await _lose_all_jobs()
    assert await _found(began, 15 * MINUTE) == 1
    await spine.jobs.run()
    assert await InboxItem.filter(processed_at=None).count() == 0
    assert (await Posting.get()).status == "posted"


async def test_an_event_nobody_has_dispatched(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    await spine.notify(await spine.pay(citizen, payment))
    began = clock.now()
    await _run_until(spine, "events.dispatch")
    assert await _found(began, 15 * MINUTE) == 1
    await spine.jobs.run()
    assert await Event.filter(dispatched_at=None).count() == 0
    assert (await Posting.get()).status == "posted"


async def test_a_payment_of_which_the_company_was_never_to_be_told(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    await spine.notify(await spine.pay(citizen, payment))
    began = clock.now()
    await _run_until(spine, "billing.open_posting")
    assert await _found(began, 30 * MINUTE) == 1
    await spine.jobs.run()
    assert (await Posting.get()).status == "posted"


async def test_late_money_nobody_sends_back(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    await spine.order(citizen, payment)
    await spine.jobs.pass_time(11 * MINUTE)
    path = f"/wechat-pay/orders/{await spine.order_no(payment)}/force"
    await spine.control("POST", path, {"trade_state": "SUCCESS"})
    await spine.notify(await spine.order_no(payment))
    began = clock.now()
    await _run_until(spine, "payments.refund_late")
    assert await _found(began, 30 * MINUTE) == 1
    await _returned(spine, payment)


async def test_a_refused_posting_whose_money_nobody_sends_back(spine: Spine, citizen: Citizen) -> None:
    payment = await _refused(spine, citizen)
    began = clock.now()
    await _run_until(spine, "payments.refund_refused")
    assert await _found(began, 30 * MINUTE) == 1
    await _returned(spine, payment)


async def test_a_closed_refund_that_no_other_follows(spine: Spine, citizen: Citizen) -> None:
    payment = await _refused(spine, citizen)
    await spine.jobs.run()
    await spine.end_refunds("CLOSED")
    (refund,) = await Refund.all()
    began = clock.now()
    await spine.jobs.do("payments.follow_refund", refund_id=refund.id, step=1)
    await _run_until(spine, "payments.refund_again")
    assert await _found(began, 30 * MINUTE) == 1
    await _returned(spine, payment)
    assert await Refund.all().count() == 2


async def test_after_three_closed_refunds_nothing_is_planned_for_ever(spine: Spine, citizen: Citizen) -> None:
    await _refused(spine, citizen)
    await spine.close_refunds(3)
    await spine.jobs.run()
    await spine.travel(60 * MINUTE)
    assert await sweep() == 0


@pytest.mark.parametrize("status", ["pending", "sending"])
async def test_a_message_nobody_sends(spine: Spine, citizen: Citizen, status: str) -> None:
    await spine.credit(citizen, "payment_received")
    payment = await spine.payment(citizen, await spine.account(FEN))
    await spine.notify(await spine.pay(citizen, payment))
    await _run_until(spine, "notifications.deliver")
    (message,) = await Message.filter(channel="mini_program")
    if status == "sending":
        delivery = spine.services.delivery
        content = spine.services.intents.content(message)
        await delivery._begin(message, delivery._channels["mini_program"], content)
    await spine.travel(31 * MINUTE)
    assert await sweep() >= 1
    await spine.jobs.run()
    await message.refresh_from_db()
    assert message.status == ("accepted" if status == "pending" else "unknown")


async def test_old_events_are_not_gone_through_for_ever(spine: Spine, citizen: Citizen) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    await spine.notify(await spine.pay(citizen, payment))
    await _run_until(spine, "billing.open_posting")
    await spine.travel(timedelta(days=8))
    assert await sweep() == 0
    await spine.jobs.run()
    event = await Event.get(kind="payment.succeeded")
    await spine.jobs.do("billing.open_posting", event_id=event.id)
    await spine.jobs.run()
