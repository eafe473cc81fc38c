"""What the clock does: lost jobs are found, dead workers' jobs handed on, old things removed."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from procrastinate.testing import InMemoryConnector

from core import clock
from core.database import fetch
from jobs import retention, tasks, timetable
from jobs.worker import connector
from models.payment import Payment
from models.posting import Posting
from tests.harness.spine import MINUTE, WATER, Spine


async def _lose_all_jobs() -> None:
    await fetch("update procrastinate_jobs set status = 'cancelled' where status = 'todo'")


async def test_what_no_job_is_about_any_more_is_found_and_finished(spine: Spine) -> None:
    citizen = await spine.citizen()
    unpaid = await spine.payment(citizen, await spine.account(1))
    number = await spine.account(2)
    await spine.control("POST", f"/companies/{WATER}/processing", {"account_number": number, "seconds": 1})
    await spine.paid(citizen, number)
    refused = await spine.account(3)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": refused, "code": "EP0001"})
    returned = await spine.paid(citizen, refused)
    await spine.end_refunds()
    await _lose_all_jobs()
    await spine.travel(29 * MINUTE)
    assert await timetable.sweep() == 0, "not everything that waits is lost"
    await spine.travel(2 * MINUTE)
    assert await timetable.sweep() == 3
    assert await timetable.sweep() == 0

    async def settled() -> bool:
        return all(posting["status"] != "processing" for posting in (await spine.ledger())["postings"])

    await spine.until(settled, "the company's own work")
    await spine.jobs.run()
    assert (await Payment.get(id=unpaid.id)).status == "closed"
    assert (await Payment.get(id=returned.id)).status == "refunded"
    assert sorted(posting.status for posting in await Posting.all()) == ["posted", "refused"]
    assert await timetable.sweep() == 0


async def test_what_a_job_is_about_is_left_to_it(spine: Spine) -> None:
    citizen = await spine.citizen()
    payment = await spine.payment(citizen, await spine.account(1))
    await spine.order(citizen, payment)
    await spine.travel(31 * MINUTE)
    assert await timetable.sweep() == 0
    await spine.jobs.run()


async def test_a_job_of_a_dead_worker_is_given_to_the_living(spine: Spine) -> None:
    citizen = await spine.citizen()
    payment = await spine.payment(citizen, await spine.account(1))
    app = tasks.build(spine.services, connector(spine.services.settings.database_url, 2))
    async with app.open_async():
        assert await timetable.rescue(app) == 0
        (worker,) = await fetch(
            "insert into procrastinate_workers (last_heartbeat) values (now() - interval '11 seconds') returning id"
        )
        await fetch(
            "update procrastinate_jobs set status = 'doing', worker_id = $1 where task_name = 'payments.watch'",
            worker["id"],
        )
        assert await timetable.rescue(app) == 1
        assert await timetable.rescue(app) == 0
    await spine.jobs.pass_time(11 * MINUTE)
    assert (await Payment.get(id=payment.id)).status == "closed"


async def test_a_job_of_a_living_worker_is_left_alone(spine: Spine) -> None:
    citizen = await spine.citizen()
    await spine.payment(citizen, await spine.account(1))
    app = tasks.build(spine.services, connector(spine.services.settings.database_url, 2))
    async with app.open_async():
        (worker,) = await fetch("insert into procrastinate_workers (last_heartbeat) values (now()) returning id")
        await fetch(
            "update procrastinate_jobs set status = 'doing', worker_id = $1 where task_name = 'payments.watch'",
            worker["id"],
        )
        assert await timetable.rescue(app) == 0


async def test_tidying_keeps_every_quote_that_was_paid(spine: Spine) -> None:
    citizen = await spine.citizen()
    number = await spine.account(1)
    await spine.quote(citizen, number)
    await spine.paid(citizen, number)
    await spine.travel(timedelta(days=3))
    await timetable.tidy()
    await retention.sweep(spine.services.city.retention.rule(clock.today()))
    (left,) = await fetch("select id from quote")
    (payment,) = await fetch("select quote_id from payment_part")
    assert left["id"] == payment["quote_id"]
    assert await fetch("select 1 from idempotent_answer") == []


async def test_the_daily_file_brings_bills_of_known_accounts_and_may_be_taken_again(spine: Spine) -> None:
    number = await spine.account()
    await spine.qr(number)
    await spine.bill(number, 777, issued_on=clock.today().isoformat())
    await spine.account(5)  # which nobody of ours knows
    await spine.travel(timedelta(days=1))
    await timetable.take_bill_files(spine.services)
    (bill,) = await fetch("select payable_fen, status from bill")
    assert (bill["payable_fen"], bill["status"]) == (777, "open")
    before = await spine.rows()
    await timetable.take_bill_files(spine.services)
    assert (await spine.rows()) == before


DAY = timedelta(days=1)


async def _days_taken() -> list[str]:
    rows = await fetch("select day::text from bill_file where company = $1 order by day", WATER)
    return [row["day"] for row in rows]


async def test_files_that_were_missed_are_fetched_later_and_an_older_one_undoes_nothing(spine: Spine) -> None:
    number = await spine.account()
    await spine.qr(number)
    start = clock.today()
    bill_no = await spine.bill(number, 100, issued_on=start.isoformat())
    await spine.travel(DAY)
    await timetable.take_bill_files(spine.services)
    assert await _days_taken() == [str(start)]
    await spine.bill(number, 200, bill_no=bill_no, issued_on=start.isoformat())
    await spine.travel(DAY)
    await spine.fault("company:water", "bill_file", "error", status=503)
    await timetable.take_bill_files(spine.services)
    assert await _days_taken() == [str(start)], "the company was away"
    await spine.bill(number, 300, bill_no=bill_no, issued_on=start.isoformat())
    await spine.travel(DAY)
    # The file in the middle comes last.
    await spine.fault("company:water", "bill_file", "error", status=503)
    await timetable.take_bill_files(spine.services)
    assert await _days_taken() == [str(start), str(start + 2 * DAY)]
    (bill,) = await fetch("select payable_fen from bill")
    assert bill["payable_fen"] == 300
    await timetable.take_bill_files(spine.services)
    assert await _days_taken() == [str(start + count * DAY) for count in range(3)]
    (bill,) = await fetch("select payable_fen from bill")
    assert bill["payable_fen"] == 300, "the older file says what has been overtaken"


async def test_a_file_that_is_overdue_is_an_alarm_and_one_from_before_the_first_is_not_missed(spine: Spine) -> None:
    await spine.fault("company:water", "bill_file", "error", times=None, status=503)
    now = clock.now().astimezone(clock.SHANGHAI)
    await spine.travel(DAY - timedelta(hours=now.hour, minutes=now.minute) + timedelta(hours=3))
    with structlog.testing.capture_logs() as early:
        await timetable.take_bill_files(spine.services)
    await spine.travel(timedelta(hours=10))
    with structlog.testing.capture_logs() as late:
        await timetable.take_bill_files(spine.services)

    def said(logs: Sequence[Mapping[str, object]]) -> list[tuple[object, object]]:
        return [
            (line["log_level"], line["day"])
            for line in logs
            if line["event"] == "bills.file_missing" and line["company"] == WATER
        ]

    yesterday = str(clock.today() - DAY)
    assert (said(early), said(late)) == ([("warning", yesterday)], [("error", yesterday)])


async def test_the_worker_knows_every_task(spine: Spine) -> None:
    assert set(tasks.build(spine.services, InMemoryConnector()).tasks) >= set(tasks.tasks(spine.services))
