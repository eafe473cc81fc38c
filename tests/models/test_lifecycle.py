"""A move writes state, journal, event and dispatch job together, or none of them."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import clock, ids
from core.database import fetch, transaction
from models.bill import BILL, Bill, BillStatus, Quote
from models.lifecycle import DISPATCH_TASK, SYSTEM, Actor, IllegalMove, JournalEntry, StaleState, announce, born, move
from models.message import MESSAGE, Message, MessageStatus
from models.payment import PAYMENT, Payment, PaymentLine, PaymentPart, PaymentStatus
from models.person import Person
from models.utility_account import UtilityAccount
from tests.models.conftest import WATER

PROVIDER = Actor("provider", "wechat_pay")


class RollBack(Exception):
    """Ends a transaction."""


async def _in_vain(work: Awaitable[None]) -> None:
    """Do it with its dispatch job, then roll back."""
    async with transaction():
        await work
        assert len(await _dispatched()) == 1
        raise RollBack


async def _payment(person: Person) -> Payment:
    """A payment of one fen that has been quoted; what is not would be refused."""
    now = clock.now()
    water = await UtilityAccount.create(
        id=ids.new_id(), company="water", service="water", number=b"n", number_index=ids.new_id().bytes, company_state="open", created_at=now,
    )  # fmt: skip
    bill = await Bill.create(
        id=ids.new_id(), account_id=water.id, company="water", bill_no=ids.new_id().hex, period="2026-10", status=BillStatus.OPEN,
        issued_on=now.date(), principal_fen=1, late_fee_fen=0, payable_fen=1, checked_at=now,
    )  # fmt: skip
    quote = await Quote.create(
        id=ids.new_id(), account_id=water.id, person_id=person.id, basis="scan", company_quote_id="Q1", lines={str(bill.id): 1}, total_fen=1,
        created_at=now, expires_at=now + timedelta(minutes=10),
    )  # fmt: skip
    async with transaction():
        row = await Payment.create(
            id=ids.new_id(), status=PaymentStatus.CREATED, person_id=person.id, actor_user_id=ids.new_id(), provider="wechat_pay",
            method="jsapi", total_fen=1, description="-", created_at=now, expires_at=now,
        )  # fmt: skip
        part = await PaymentPart.create(
            id=ids.new_id(), payment_id=row.id, provider="wechat_pay", payee="water", merchant="1", order_number=row.id.hex, description="-",
            basis="scan", quote_id=quote.id, amount_fen=1,
        )  # fmt: skip
        await PaymentLine.create(
            id=ids.new_id(), part_id=part.id, payment_id=row.id, claim_key=f"bill:{bill.id}", amount_fen=1
        )
        await born(PAYMENT, row, Actor("person", str(person.id)))
    return row


async def _message(person_id: UUID) -> Message:
    row = await Message.create(
        id=ids.new_id(), status=MessageStatus.PENDING, event_id=ids.new_id(), kind="k", person_id=person_id,
        channel="inbox", text=b"", created_at=clock.now(),
    )  # fmt: skip
    await born(MESSAGE, row, SYSTEM)
    return row


async def _steps(subject_id: UUID) -> list[tuple[Any, ...]]:
    rows = await fetch(
        "select from_state, event, to_state, actor_kind, actor_id from journal where subject_id = $1 order by at",
        subject_id,
    )
    return [tuple(row.values()) for row in rows]


async def _dispatched() -> list[UUID]:
    rows = await fetch("select args::text from procrastinate_jobs where task_name = $1", DISPATCH_TASK)
    return [UUID(msgspec.json.decode(row["args"])["event_id"]) for row in rows]


async def test_a_move_writes_the_state_the_columns_and_a_journal_row(bill: Bill) -> None:
    paid_at = clock.now()
    await move(BILL, bill, "pay_elsewhere", WATER, reason="said so", approver="S1", columns={"paid_at": paid_at})
    assert (bill.status, bill.paid_at) == (BillStatus.PAID_ELSEWHERE, paid_at)
    row = await Bill.get(id=bill.id)
    assert (row.status, row.paid_at) == ("paid_elsewhere", paid_at)
    assert await _steps(bill.id) == [
        (None, "created", "open", "company", "water"),
        ("open", "pay_elsewhere", "paid_elsewhere", "company", "water"),
    ]
    last = await JournalEntry.filter(subject_id=bill.id, event="pay_elsewhere").get()
    assert (last.subject, last.reason, last.approver) == ("bill", "said so", "S1")


async def test_an_announcing_move_writes_its_event_and_one_dispatch_job(person: Person) -> None:
    payment = await _payment(person)
    await move(PAYMENT, payment, "abandon", SYSTEM, data={"why": "test"})
    (event,) = await fetch("select id, kind, subject, subject_id, data::text, dispatched_at from event")
    assert tuple(event.values())[1:4] == ("payment.closed", "payment", payment.id)
    assert msgspec.json.decode(event["data"]) == {"why": "test"}
    assert event["dispatched_at"] is None
    assert await _dispatched() == [event["id"]]


async def test_a_silent_move_announces_nothing(bill: Bill) -> None:
    await move(BILL, bill, "void", WATER)
    assert await fetch("select 1 from event") == []
    assert await _dispatched() == []


async def test_what_is_rolled_back_has_left_nothing(person: Person) -> None:
    payment = await _payment(person)
    with pytest.raises(RollBack):
        await _in_vain(move(PAYMENT, payment, "abandon", SYSTEM))
    assert (await Payment.get(id=payment.id)).status == "created"
    assert len(await _steps(payment.id)) == 1
    assert await fetch("select 1 from event") == []
    assert await _dispatched() == []


@pytest.mark.parametrize(
    ("event", "actor"),
    [("post", SYSTEM), ("post", Actor("person", "x")), ("correct_to_open", WATER), ("no_such_event", WATER)],
)
async def test_no_edge_or_the_wrong_actor_changes_nothing(bill: Bill, event: str, actor: Actor) -> None:
    with pytest.raises(IllegalMove):
        await move(BILL, bill, event, actor, columns={"paid_at": clock.now()})
    row = await Bill.get(id=bill.id)
    assert (bill.status, row.status, row.paid_at) == (BillStatus.OPEN, "open", None)
    assert len(await _steps(bill.id)) == 1


async def test_whoever_comes_second_is_told_that_his_state_is_stale(person: Person) -> None:
    first = await _payment(person)
    second = await Payment.get(id=first.id)
    await move(PAYMENT, first, "abandon", SYSTEM)
    with pytest.raises(StaleState):
        await move(PAYMENT, second, "money_received", PROVIDER, columns={"paid_at": clock.now()})
    assert second.status == "created", "the instance is as it was read"
    assert (await Payment.get(id=first.id)).status == "closed"
    assert len(await _steps(first.id)) == 2
    assert [row["kind"] for row in await fetch("select kind from event")] == ["payment.closed"]


async def test_a_row_is_born_in_its_initial_state_only(bill: Bill) -> None:
    await move(BILL, bill, "void", WATER)
    with pytest.raises(IllegalMove):
        await born(BILL, bill, WATER)


async def test_a_birth_can_be_announced(person: Person) -> None:
    row = await _message(person.id)
    await born(MESSAGE, row, SYSTEM, announces="message.test", reason="why", data={"a": 1})
    (event,) = await fetch("select id, kind, subject_id from event")
    assert (event["kind"], event["subject_id"]) == ("message.test", row.id)
    assert await _dispatched() == [event["id"]]


async def test_what_has_no_lifecycle_is_announced_in_one_go(database: None) -> None:
    subject_id = ids.new_id()
    with pytest.raises(RollBack):
        await _in_vain(announce("binding.created", "binding", subject_id, SYSTEM))
    assert (
        await fetch("select 1 from journal union all select 1 from event union all select 1 from procrastinate_jobs")
        == []
    )
    await announce("binding.created", "binding", subject_id, SYSTEM, {"by": "owner"})
    assert await _steps(subject_id) == [(None, "binding.created", "-", "system", "")]
    assert len(await _dispatched()) == 1


_EVENTS = sorted({edge.event for edge in MESSAGE.edges})


@given(walk=st.lists(st.tuples(st.sampled_from(_EVENTS), st.sampled_from(["system", "provider"])), max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_journal_of_any_walk_is_a_path_from_birth_to_the_row(
    person: Person, walk: list[tuple[str, str]]
) -> None:
    row = await _message(person.id)
    path: list[tuple[str | None, str, str]] = [(None, "created", "pending")]
    for event, kind in walk:
        before = str(row.status)
        try:
            await move(MESSAGE, row, event, Actor(kind))
        except IllegalMove:
            assert str(row.status) == before
        else:
            path.append((before, event, str(row.status)))
    assert [step[:3] for step in await _steps(row.id)] == path
    assert (await Message.get(id=row.id)).status == path[-1][2]
