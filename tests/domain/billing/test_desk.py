"""A company's staff see their company's objects, masked; who sees a value in clear leaves a row the people concerned can read."""

import re
from datetime import timedelta

import pytest

from core import clock
from core.database import fetch
from core.errors import NotFound
from domain.identity.staff_sessions import StaffCaller
from models.acting import CONCERNS, Disclosure
from tests.harness import cases, staff
from tests.harness.spine import WATER, Citizen, Spine
from tests.harness.staff import member


async def _staff(spine: Spine, unit: str, *roles: str) -> StaffCaller:
    return await spine.services.staff_sessions.check((await member(spine.services, unit, *roles)).token)


async def _paid(spine: Spine) -> tuple[Citizen, str]:
    citizen, number = await spine.citizen(), await spine.account(4199)
    await spine.services.login.prove_phone(citizen.caller, await spine.phone_code(citizen.phone_id))
    await spine.bind(citizen, number)
    await spine.paid(citizen, number)
    return citizen, number


async def test_an_account_with_its_bills_and_payments_is_found_by_its_own_company_only(spine: Spine) -> None:
    desk, (_, number) = spine.services.desk, await _paid(spine)
    own, other = await _staff(spine, "water", "finance"), await _staff(spine, "gas", "finance")
    view = await desk.find(own, f" {number} ")
    assert view.number_masked == f"******{number[-4:]}"
    account_id = view.account.id
    (bill,) = await desk.bills(own, account_id, None, 10)
    assert bill.status == "posted"
    (payment,) = await desk.payments_of(own, account_id, None, 10)
    assert (payment["amount_fen"], payment["posting_status"], payment["refunded_fen"]) == (4199, "posted", 0)
    assert [row["payment_id"] for row in await desk.payments_on(own, clock.today(), None, 10)] == [
        payment["payment_id"]
    ]
    assert await desk.payments_on(own, clock.today(), payment["part_id"], 10) == []
    assert await desk.payments_on(other, clock.today(), None, 10) == []
    for hidden in (
        desk.find(other, number), desk.bills(other, account_id, None, 10), desk.payments_of(other, account_id, None, 10),
        desk.reveal(other, account_id, "number", "complaint", "用户来电", "request-1"),
        desk.reveal_payer(other, payment["payment_id"], "complaint", "用户来电", "request-1"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await hidden
    assert await Disclosure.all().count() == 0


async def test_two_accounts_at_one_company_paid_at_once_are_both_found_page_by_page(spine: Spine) -> None:
    citizen, numbers = await spine.citizen(), [await spine.account(4199), await spine.account(2500)]
    await spine.combined(citizen, *((WATER, number) for number in numbers))
    own, pages, after = await _staff(spine, "water", "finance"), [], None
    while page := await spine.services.desk.payments_on(own, clock.today(), after, 1):
        pages.append(page[0]["amount_fen"])
        after = page[0]["part_id"]
    assert sorted(pages) == [2500, 4199]
    await spine.jobs.run()


async def test_every_value_in_clear_is_a_row_its_people_see_and_auditors_read(spine: Spine) -> None:
    desk, (citizen, number) = spine.services.desk, await _paid(spine)
    stranger, service = await spine.citizen(), await _staff(spine, "water", "service")
    account_id = (await desk.find(service, number)).account.id
    (payment,) = await desk.payments_of(service, account_id, None, 10)
    assert await desk.reveal(service, account_id, "number", "complaint", "用户来电核对", "request-1") == number
    phone = await desk.reveal_payer(service, payment["payment_id"], "refund_contact", "联系付款人", "request-2")
    assert phone.endswith(citizen.phone)
    seen = await desk.disclosures_about(citizen.id, None, 10)
    assert [(row["subject"], row["field"], row["purpose"]) for row in seen] == [
        ("person", "phone", "refund_contact"), ("utility_account", "number", "complaint"),
    ]  # fmt: skip
    assert await desk.disclosures_about(stranger.id, None, 10) == []
    assert [note for _, note in await desk.disclosures(await _staff(spine, "water", "auditor"), None, 10)] == [
        "联系付款人", "用户来电核对",
    ]  # fmt: skip
    assert len(await desk.disclosures(await _staff(spine, "city", "auditor"), None, 10)) == 2
    assert await desk.disclosures(await _staff(spine, "gas", "auditor"), None, 10) == []


async def test_whoever_saw_an_order_in_clear_is_seen_by_its_applicant_alone(spine: Spine) -> None:
    applicant, _ = await spine.resident()
    stranger, _ = await spine.resident()
    order = await cases.standing(spine, applicant.caller, "water", "received")
    handler = await staff.caller(spine.services, "water", "handler")
    await spine.services.order_desk.reveal(handler, order.id, "survey_visit", "明天上门踏勘", "request-3")
    about = spine.services.desk.disclosures_about
    (seen,) = await about(applicant.id, None, 10)
    assert (seen["order_number"], seen["field"], seen["purpose"]) == (order.number, "applicant", "survey_visit")
    assert await about(stranger.id, None, 10) == []
    (law,) = await fetch(
        "select pg_get_constraintdef(oid) as text from pg_constraint where conname = 'disclosure_subject_known'"
    )
    assert set(re.findall(r"'([a-z_]+)'", law["text"])) == set(CONCERNS), (
        "whatever can be seen can be shown to whom it concerns"
    )


async def test_nobody_can_change_or_remove_what_was_seen(spine: Spine) -> None:
    for statement in ("update disclosure set purpose = 'x'", "delete from disclosure"):
        with pytest.raises(Exception, match="permission denied"):
            await fetch(statement)


async def test_what_is_stuck_is_seen_by_its_company_and_by_the_city(spine: Spine) -> None:
    citizen, number = await spine.citizen(), await spine.account(4199)
    await spine.fault("company:water", "post_payment", "drop", after=True)
    payment = await spine.paid(citizen, number)
    desk = spine.services.desk
    own, city = await _staff(spine, "water", "finance"), await _staff(spine, "city", "operator")
    (found,) = await desk.unresolved(own, None, 10)
    assert (found["kind"], found["status"], found["payment_id"]) == ("posting", "unknown", payment.id)
    assert await desk.unresolved(city, None, 10) == [found]
    assert await desk.unresolved(own, found["id"], 10) == []
    assert await desk.unresolved(await _staff(spine, "gas", "finance"), None, 10) == []
    await spine.jobs.pass_time(timedelta(minutes=2))
    assert await desk.unresolved(own, None, 10) == []
