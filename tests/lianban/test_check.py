"""``lianban check`` finds nothing where all is well, having looked at everything, and finds each thing that is planted."""

import argparse
import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from api import payments as payments_api
from core import clock, ids
from domain.billing.paying import Way
from domain.deadlines.clocks import Subject
from domain.identity.cards import CardFacts
from domain.identity.mandates import Scope
from lianban import check
from models.checks import CHECKS, NOT_EXAMINED
from models.device import Device
from models.lifecycle import SYSTEM
from models.payment import Payment
from tests.harness import cases, devices
from tests.harness.devices import HALL
from tests.harness.spine import WATER, Citizen, Spine
from tests.harness.staff import member
from tests.lianban.plants import ALSO, PLANTS
from tests.payments.reconciliation.days import morning_after, reconcile, spoil_bill


async def _live(spine: Spine) -> None:
    """One payment on a binding that the company records, one by scanning that it refuses, one that nobody pays, a binding that ends."""
    day = clock.today()  # before time passes, perhaps over midnight
    payer = await spine.citizen()
    await spine.credit(payer, "payment_received")
    await spine.credit(payer, "payment_posted")
    number = await spine.account(4199)
    await spine.control("POST", "/wechat-pay/pace", {"factor": 100})
    binding = await spine.bind(payer, number)
    await spine.paid(payer, number)
    await _others_act(spine, payer, binding.account_id)
    await _promises(spine)
    await _case(spine)
    passer_by = await spine.citizen()
    number = await spine.account()
    bill_no = await spine.bill(number, 1000)
    refused = await _at_the_counter(spine, passer_by, number)
    order_no = await spine.pay(passer_by, refused)
    await spine.bill(number, 1000, bill_no=bill_no, status="paid")
    await spine.notify(order_no)
    await spine.jobs.pass_time(timedelta(minutes=1))

    async def returned() -> bool:
        return [refund["status"] for refund in await spine.refunds()] == ["SUCCESS"]

    await spine.until(returned, "the refund")
    await spine.jobs.pass_time(timedelta(minutes=10))
    binding = await spine.bind(passer_by, await spine.account(500))
    await spine.services.accounts.revoke(binding.id, passer_by.principal)
    await spine.jobs.run()
    await morning_after(spine, day)
    await spine.services.delivery.expire()
    await spoil_bill(spine, day, drop=[order_no])
    await reconcile(spine, day)


async def _at_the_counter(spine: Spine, citizen: Citizen, number: str) -> Payment:
    """A clerk looks something up for somebody who has laid his card on the reader, and begins a payment for another."""
    services = spine.services
    clerk = await services.staff_sessions.check((await member(services, HALL, "clerk")).token)
    reader = await Device.get(id=(await devices.enrolled(services, "reader")).device_id)
    _, card = await services.cards.read(reader, CardFacts("张三", "11010519491231002X"), None)
    await services.acting.open_by_card(clerk, card, "look_up")
    session = await services.acting.open(clerk, (await services.acting.new_code(citizen.caller))[0], "pay")
    caller = await services.acting.principal(clerk, session.id, "payment_created", "request-1")
    quote = (await services.quotes.for_scan(caller, await spine.qr(number))).quote
    once, way = spine.once(citizen, quote.id), Way("wechat_pay", "native")
    return await spine.created(await services.paying.create(caller, [quote.id], None, way, once, payments_api.created))


async def _others_act(spine: Spine, owner: Citizen, account_id: UUID) -> None:
    """A family member looks at the account; an organization's first agent adds one and names somebody."""
    services, member, agent = spine.services, await spine.citizen(), await spine.citizen()
    invitation = await services.sharing.offer(owner.caller, account_id, "妈妈", False)
    await services.sharing.accept(member.caller, invitation.code)
    await services.quotes.owed(account_id, member.principal)
    await spine.real_name(agent, "王法人")
    await spine.real_name(member, "李会计")
    organization_id = await spine.organization()
    await services.first_agents.make(agent.caller, organization_id, clock.now())
    acting = replace(agent.caller, organization_id=organization_id)
    await services.accounts.bind(acting, WATER, await spine.account(), "123X", None)
    ends_at = clock.now() + timedelta(days=30)
    appointment = await services.mandates.appoint(acting, "李会计", Scope(frozenset({"pay"})), ends_at)
    await services.mandates.accept(member.caller, appointment.code)


async def _case(spine: Spine) -> None:
    """An application for two services: one order has been worked, the other withdrawn with its consent."""
    citizen, _ = await spine.resident()
    filed = await cases.file(spine, citizen.caller, await cases.answers_of(spine, citizen.caller, ["water", "gas"]))
    await cases.brought_to(spine, citizen.caller, await cases.order_of(filed, "water"), "contracted")
    await spine.services.order_answers.withdraw(citizen.caller, (await cases.order_of(filed, "gas")).id)


async def _promises(spine: Spine) -> None:
    """One that stood still for a moment and was kept, one that runs, one that is over and supervised."""
    deadlines, now = spine.services.deadlines, clock.now()
    kept, running, late = (Subject("service_order", ids.new_id()) for _ in range(3))
    three = deadlines.promise(420, clock.today())
    await deadlines.open_deadline(kept, three, now, company="water", area="420704")
    await deadlines.pause(kept, "permit", "占道许可申请 2026-118", SYSTEM)
    await deadlines.resume(kept, "permit")
    assert await deadlines.close(kept) == "met"
    await deadlines.open_deadline(running, three, now, company="water", area="420704")
    await deadlines.open_deadline(late, three, now - timedelta(days=30), company="gas", area="420704")
    await spine.services.watch.run()


@asynccontextmanager
async def _planting(database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A transaction of somebody who may do all, without triggers and foreign keys, that leaves nothing behind."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("set local session_replication_role = replica")
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


def _arguments(var: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    return parser.parse_args(["--var", str(var)])


async def test_where_all_is_well_every_check_has_looked_and_found_nothing(spine: Spine, database_url: str) -> None:
    await _live(spine)
    findings = await check.examine(database_url)
    assert [finding for finding in findings if finding.violations] == []
    unlooked = {finding.check.name for finding in findings if not finding.examined}
    assert unlooked == {"correction_has_reason"}, "no correction happened, everything else did"


async def test_each_check_reports_what_is_planted(spine: Spine, database_url: str, subtests: pytest.Subtests) -> None:
    await _live(spine)
    now = clock.now() + timedelta(minutes=20)
    for plant in PLANTS:
        with subtests.test(check=plant.check, says=plant.says):
            async with _planting(database_url) as connection:
                for statement in plant.statements:
                    assert await connection.execute(statement) not in ("UPDATE 0", "DELETE 0", "INSERT 0 0"), statement
                findings = {
                    finding.check.name: finding.violations for finding in await check.examine_on(connection, now)
                }
                said = [violation.what for violation in findings[plant.check]]
                assert any(plant.says in what for what in said), said


def test_each_check_has_something_planted() -> None:
    assert {plant.check for plant in PLANTS} == {one.name for one in CHECKS}
    assert len({one.name for one in CHECKS}) == len(CHECKS)


def test_the_rules_examined_are_those_of_the_design() -> None:
    assert {one.rule for one in CHECKS} | set(NOT_EXAMINED) == {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 14}
    assert [one.rule for one in CHECKS] == sorted(one.rule for one in CHECKS)


async def test_it_reads_as_the_application_and_cannot_write(database: None, database_url: str) -> None:
    connection = await check._connect(database_url)
    try:
        assert await connection.fetchval("select current_user") == "lianban_app"
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("insert into audit default values")
    finally:
        await connection.close()


def test_the_command_says_each_rule_and_ends_well(
    clean: None, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert check.run(_arguments(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHECKS) + len(NOT_EXAMINED) + 1
    assert lines[-1] == f"共 {len(CHECKS)} 项，违反 0 处"
    assert all(any(line.startswith(f"– {rule}") for line in lines) for rule in NOT_EXAMINED)


async def _plant_for_good(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        f"insert into inbox (id, source, key, kind, content, received_at) values ('{ALSO}', 'x', 'k', 'k', '', '2026-01-01Z')"
    )
    await connection.close()


async def test_the_command_names_the_row_and_fails(
    clean: None, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await _plant_for_good(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert await asyncio.to_thread(check.run, _arguments(tmp_path)) == 1
    assert f"{ALSO}  x k waits since" in capsys.readouterr().out
