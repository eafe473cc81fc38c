"""Paying in advance: a payment of its own, posted once to the balance, given back when refused, asked about when unknown."""

from typing import Any

import pytest

from api import payments as payments_api
from core.database import fetch, violated_constraint
from core.errors import NotFound
from domain.billing.accounts import CompanyAway
from domain.billing.paying import TooManyPayments
from domain.billing.topping_up import Prepaid, TopUpAmountRefused, TopUpNotOffered
from models.bill import Bill, Quote
from models.idempotency import KeyReused
from models.payment import Claim, Payment
from models.posting import PostingBill
from payments.views import progress
from tests.harness.spine import JSAPI, MINUTE, Citizen, Spine

POWER, BALANCE, FEN = "power", 1500, 5000


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    citizen = await spine.citizen()
    await spine.services.login.prove_phone(citizen.caller, await spine.phone_code(citizen.phone_id))
    return citizen


async def topped_up(spine: Spine, citizen: Citizen, number: str, fen: int = FEN, key: str | None = None) -> Payment:
    account = await spine.row_of(number, POWER)
    once = spine.once(citizen, account.id, None, key)
    create = spine.services.topping_up.create
    return await spine.created(await create(citizen.caller, account.id, fen, JSAPI, once, payments_api.created))


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
