"""Paying in advance: a payment of its own, posted once to the balance, given back when refused, asked about when unknown."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api import payments as payments_api
from core import clock
from core.database import fetch, violated_constraint
from core.errors import NotFound
from domain.billing.accounts import CompanyAway
from domain.billing.paying import TooManyPayments, Way
from domain.billing.quotes import MayOnlyRead
from domain.billing.topping_up import Prepaid, TopUpAmountRefused, TopUpNotOffered
from domain.identity.mandates import Scope
from models.bill import Bill, Quote
from models.idempotency import KeyInFlight, KeyReused
from models.payment import Claim, Payment
from models.posting import PostingBill
from models.share import AccessUse
from payments.reconciliation.reporting import report
from payments.views import progress
from tests.harness.spine import JSAPI, MINUTE, Citizen, Spine
from tests.payments.reconciliation.days import begin_day, items, morning_after, of_companies

ALIPAY = Way("alipay", "wap")
POWER, BALANCE, FEN = "power", 1500, 5000


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    citizen = await spine.citizen()
    await spine.services.login.prove_phone(citizen.caller, await spine.phone_code(citizen.phone_id))
    return citizen


async def topped_up(
    spine: Spine, citizen: Citizen, number: str, fen: int = FEN, key: str | None = None, way: Way = JSAPI
) -> Payment:
    account = await spine.row_of(number, POWER)
    once = spine.once(citizen, account.id, None, key)
    create = spine.services.topping_up.create
    return await spine.created(await create(citizen.caller, account.id, fen, way, once, payments_api.created))


async def seen(spine: Spine, citizen: Citizen, number: str) -> Prepaid:
    return await spine.services.topping_up.prepaid(citizen.caller, (await spine.row_of(number, POWER)).id)


async def prepaid(spine: Spine, citizen: Citizen, *fens: int, **more: Any) -> str:
    number = await spine.prepaid_account(BALANCE, *fens, **more)
    await spine.bind(citizen, number, company=POWER)
    return number


async def company_balance(spine: Spine, number: str) -> int:
    accounts = (await spine.control("GET", f"/companies/{POWER}/ledger"))["accounts"]
    return next(account["balance_fen"] for account in accounts if account["number"] == number)


async def test_a_top_up_is_posted_to_the_balance_and_pays_no_bill(spine: Spine, citizen: Citizen) -> None:
    number = await prepaid(spine, citizen, 1000)
    before = await seen(spine, citizen, number)
    assert (before.account.balance_fen, before.known, before.rule is not None) == (BALANCE, True, True)
    assert before.account.balance_low_since is not None
    payment = await topped_up(spine, citizen, number)
    assert await spine.notify(await spine.pay(citizen, payment)) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert await company_balance(spine, number) == BALANCE + FEN
    after = await seen(spine, citizen, number)
    assert (after.account.balance_fen, after.account.balance_low_since) == (BALANCE + FEN, None)
    (bill,) = await Bill.all()
    assert (bill.status, bill.payable_fen) == ("open", 1000)
    assert await PostingBill.all().count() == 0
    (told,) = (await spine.control("GET", f"/companies/{POWER}/ledger"))["postings"]
    assert (told["content"]["purpose"], told["content"]["bills"], told["content"]["total_fen"]) == ("top_up", [], FEN)
    assert (await spine.balance("posted"), await spine.balance("suspense")) == (FEN, 0)
    (view,) = await progress([payment.id], citizen.caller.principal)
    assert (view["progress"], view["parts"][0]["purpose"]) == ("posted", "top_up")
    assert await spine.told(citizen) == ["payment.succeeded", "payment.posted"]
    assert (await topped_up(spine, citizen, number)).status == "created", "another one is another one"


@pytest.mark.parametrize("after", [True, False], ids=["the answer", "the question"])
async def test_when_it_is_lost_the_company_is_asked_and_it_is_posted_once(
    spine: Spine, citizen: Citizen, after: bool
) -> None:
    number = await prepaid(spine, citizen)
    payment = await topped_up(spine, citizen, number)
    await spine.fault(f"company:{POWER}", "post_payment", "drop", times=1, after=after)
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    await spine.jobs.pass_time(MINUTE)
    assert await company_balance(spine, number) == BALANCE + FEN
    assert await spine.balance("posted") == FEN


async def test_one_that_the_company_refuses_goes_back(spine: Spine, citizen: Citizen) -> None:
    number = await prepaid(spine, citizen)
    payment = await topped_up(spine, citizen, number)
    await spine.control("POST", f"/companies/{POWER}/refuse", {"account_number": number, "code": "EP0004"})
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    assert await company_balance(spine, number) == BALANCE
    assert (await spine.balance("clearing"), await Claim.filter(freed_at=None).count()) == (0, 0)
    kinds = await spine.told(citizen)
    (said,) = [
        body
        for kind, body in zip(kinds, await _bodies(spine, citizen), strict=True)
        if kind == "payment.refund_started"
    ]
    assert "余额没有增加" in said
    assert "账单" not in said


async def _bodies(spine: Spine, citizen: Citizen) -> list[str]:
    """What the messages in the app say, in order."""
    rows = await fetch(
        "select id, text from message where person_id = $1 and channel = 'inbox' order by created_at", citizen.id
    )
    return [spine.services.intents.opened(row["id"], row["text"])["body"] for row in rows]


async def test_who_may_only_read_tops_nothing_up_and_who_may_pay_does_it_in_sight_of_the_owner(
    spine: Spine, citizen: Citizen
) -> None:
    number, services = await prepaid(spine, citizen), spine.services
    account_id, reader, payer = (await spine.row_of(number, POWER)).id, await spine.citizen(), await spine.citizen()
    for member, may_pay in ((reader, False), (payer, True)):
        offered = await services.sharing.offer(citizen.caller, account_id, "妈妈", may_pay)
        await services.sharing.accept(member.caller, offered.code)
    with pytest.raises(MayOnlyRead):
        await topped_up(spine, reader, number)
    assert await Quote.all().count() == await Payment.all().count() == 0
    payment = await topped_up(spine, payer, number)
    assert await spine.notify(await spine.pay(payer, payment)) == [204]
    await spine.jobs.run()
    assert await company_balance(spine, number) == BALANCE + FEN
    (use,) = await AccessUse.filter(action="payment.created")
    assert (use.person_id, use.subject_id, use.account_id) == (payer.id, payment.id, account_id)
    assert "share.paid" in await spine.told(citizen)


async def test_an_agent_without_paying_tops_nothing_up(spine: Spine, citizen: Citizen) -> None:
    await spine.real_name(citizen, "王法人")
    organization_id, clerk = await spine.organization(), await spine.citizen()
    await spine.real_name(clerk, "李会计")
    await spine.services.first_agents.make(citizen.caller, organization_id, clock.now())
    first, agent = (replace(one.caller, organization_id=organization_id) for one in (citizen, clerk))
    number = await spine.prepaid_account(BALANCE)
    await spine.services.accounts.bind(first, POWER, number, "123X", None)
    ends_at = clock.now() + timedelta(days=30)
    made = await spine.services.mandates.appoint(first, "李会计", Scope(frozenset({"read"})), ends_at)
    await spine.services.mandates.accept(clerk.caller, made.code)
    with pytest.raises(MayOnlyRead):
        await topped_up(spine, replace(clerk, caller=agent), number)
    payment = await topped_up(spine, replace(citizen, caller=first), number)
    assert payment.organization_id == organization_id
    await spine.jobs.run()


async def test_it_is_paid_by_alipay_and_the_day_comes_to_nothing_unexplained(spine: Spine, citizen: Citizen) -> None:
    day = await begin_day(spine)
    number = await prepaid(spine, citizen)
    for way in (ALIPAY, JSAPI):
        payment = await topped_up(spine, citizen, number, way=way)
        await spine.control("POST", f"/people/{citizen.phone_id}/pay", await spine.order(citizen, payment))
        await spine.services.follower.query(payment)
        await spine.jobs.run()
        assert payment.status == "succeeded"
    assert await company_balance(spine, number) == BALANCE + 2 * FEN
    await morning_after(spine, day)
    outcomes = await of_companies(spine, POWER).day(day)
    assert {one.state for one in outcomes} == {"matched"}
    assert await items() == []
    for source in ("alipay", "wechat_pay"):
        row = next(row for row in await report(day) if (row.company, row.source) == (POWER, source))
        assert (row.paid_fen, row.received_fen, row.posted_fen, row.unexplained_fen) == (FEN, FEN, FEN, 0)


async def test_two_devices_with_one_key_make_one_top_up_and_with_two_keys_each_its_own(
    spine: Spine, citizen: Citizen
) -> None:
    number = await prepaid(spine, citizen)
    same = await asyncio.gather(
        *(topped_up(spine, citizen, number, key="one-key") for _ in range(2)), return_exceptions=True
    )
    made = [one for one in same if isinstance(one, Payment)]
    assert made
    assert all(isinstance(one, Payment | KeyInFlight) for one in same)
    await topped_up(spine, citizen, number, key="one-key")
    assert await Payment.all().count() == 1
    others = await asyncio.gather(*(topped_up(spine, citizen, number) for _ in range(2)))
    assert len({one.id for one in (*others, made[0])}) == 3
    for payment in (made[0], *others):
        assert await spine.notify(await spine.pay(citizen, payment)) == [204]
    await spine.jobs.run()
    assert await company_balance(spine, number) == BALANCE + 3 * FEN


async def test_what_may_not_be_paid_in_advance_creates_nothing(spine: Spine, citizen: Citizen) -> None:
    number = await prepaid(spine, citizen, most_fen=BALANCE + FEN)
    for fen in (900, 1050, 500_100):
        with pytest.raises(TopUpAmountRefused) as refused:
            await topped_up(spine, citizen, number, fen)
        assert refused.value.data == {"least_fen": 1000, "most_fen": 500_000, "step_fen": 100}
    with pytest.raises(TopUpAmountRefused):
        await topped_up(spine, citizen, number, FEN + 100)
    by_card = await prepaid(spine, citizen, prepaid="card")
    with pytest.raises(TopUpNotOffered) as card:
        await topped_up(spine, citizen, by_card)
    assert card.value.data["why"] == "by_card"
    plain = await spine.account(1000, company=POWER)
    await spine.bind(citizen, plain, company=POWER)
    assert ((await seen(spine, citizen, plain)).account.balance_fen, (await seen(spine, citizen, plain)).rule) == (
        None,
        None,
    )
    with pytest.raises(TopUpNotOffered):
        await topped_up(spine, citizen, plain)
    with pytest.raises(NotFound):
        await topped_up(spine, await spine.citizen(), number)
    await spine.fault(f"company:{POWER}", "quote_top_up", "error", status=500)
    with pytest.raises(CompanyAway):
        await topped_up(spine, citizen, number)
    assert (await Payment.all().count(), await Quote.all().count()) == (0, 0)


async def test_the_same_key_gives_the_same_payment_and_asks_nobody_again(spine: Spine, citizen: Citizen) -> None:
    number = await prepaid(spine, citizen)
    first = await topped_up(spine, citizen, number, key="k" * 16)
    await spine.fault(f"company:{POWER}", "quote_top_up", "error", status=500)
    assert (await topped_up(spine, citizen, number, key="k" * 16)).id == first.id
    account = await spine.row_of(number, POWER)
    other = spine.once(citizen, account.id, [first.id], "k" * 16)
    with pytest.raises(KeyReused):
        await spine.services.topping_up.create(citizen.caller, account.id, FEN, JSAPI, other, payments_api.created)
    await spine.all_well()
    most = spine.services.city.payment_rules(first.created_at.date()).creation_limit.per_bill_and_person
    for _ in range(most - 1):
        await topped_up(spine, citizen, number)
    with pytest.raises(TooManyPayments):
        await topped_up(spine, citizen, number)


async def test_no_payment_mixes_it_with_a_bill_and_none_is_more_than_was_quoted(spine: Spine, citizen: Citizen) -> None:
    number = await prepaid(spine, citizen, 1000)
    payment = await topped_up(spine, citizen, number)
    other = await spine.payment(citizen, await spine.account(700))
    quote = (await Quote.get(purpose="top_up")).id
    for statement in (
        f"update payment_line set claim_key = 'bill:{quote}' where payment_id = '{payment.id}'",
        f"update payment set total_fen = total_fen + 1 where id = '{payment.id}'",
        f"update quote set total_fen = total_fen + 1 where id = '{quote}'",
        f"update quote set purpose = 'bills' where id = '{quote}'",
        f"update payment_part set payment_id = '{payment.id}' where payment_id = '{other.id}'",
    ):
        with pytest.raises(Exception) as refused:  # noqa: PT011 the driver's own
            await fetch(statement)
        assert violated_constraint(refused.value) in ("payment_no_surcharge", "quote_no_surcharge"), statement
