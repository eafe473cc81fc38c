"""One payment of several companies: paid all or nothing, posted part by part, and only a refused part goes back."""

import asyncio
import random
from typing import Any

import pytest

from core.database import fetch
from core.outbound import OutboundError
from domain.billing.paying import AlreadyPaid, PaymentInProgress
from domain.billing.quoted import QuoteTwice
from models.lifecycle import SYSTEM
from models.payment import Claim, Payment, PaymentPart
from models.posting import Posting
from models.refund import Refund
from payments.opening import ProviderBusy
from payments.providers.registry import MethodNotOffered
from payments.views import progress
from tests.harness.spine import MINUTE, Citizen, Spine, Way

WATER_FEN, GAS_FEN, POWER_FEN = 4199, 8820, 12345
NATIVE = Way("wechat_pay", "native")


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def accounts(spine: Spine) -> list[tuple[str, str]]:
    """Accounts at three companies, each with something open."""
    fens = {"water": WATER_FEN, "gas": GAS_FEN, "power": POWER_FEN}
    return [(company, await spine.account(fen, company=company)) for company, fen in fens.items()]


@pytest.fixture
async def payment(spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]]) -> Payment:
    return await spine.combined(citizen, *accounts)


async def parts(payment: Payment) -> dict[str, PaymentPart]:
    return {part.payee: part for part in await PaymentPart.filter(payment_id=payment.id)}


async def posted(payment: Payment) -> dict[str, str]:
    return {posting.company: str(posting.status) for posting in await Posting.filter(payment_id=payment.id)}


async def live_claims() -> int:
    return await Claim.filter(freed_at=None).count()


async def test_a_payment_of_three_companies_is_one_order_with_three_parts(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    assert payment.total_fen == WATER_FEN + GAS_FEN + POWER_FEN
    assert await spine.pay(citizen, payment) == payment.id.hex
    (order,) = (await spine.control("GET", "/wechat-pay/combined"))["orders"]
    said = {item["sub_mchid"]: item["amount"]["total_amount"] for item in order["sub_orders"]}
    assert said == {part.merchant: part.amount_fen for part in (await parts(payment)).values()}
    assert await spine.notify(payment.id.hex) == [204]
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert await posted(payment) == {"water": "posted", "gas": "posted", "power": "posted"}
    assert (await spine.balance("posted"), await spine.balance("suspense")) == (payment.total_fen, 0)
    (view,) = await progress([payment.id], citizen.principal)
    assert view["progress"] == "posted"
    assert {part["payee"]: part["progress"] for part in view["parts"]} == dict.fromkeys(
        ["water", "gas", "power"], "posted"
    )
    told = await spine.told(citizen)
    assert (told.count("payment.succeeded"), told.count("payment.posted")) == (1, 3)


async def refuse(spine: Spine, account: tuple[str, str], code: str | None) -> None:
    company, number = account
    await spine.control("POST", f"/companies/{company}/refuse", {"account_number": number, "code": code})


async def test_a_query_alone_brings_all_parts_in_one_commit(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    await spine.pay(citizen, payment)
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    rows = await fetch("select distinct at from ledger_transaction where kind = 'received'")
    assert len(rows) >= 1
    assert await spine.balance("clearing") == payment.total_fen


async def test_the_same_notice_again_and_a_query_change_nothing(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.pay(citizen, payment)
    await spine.notify(payment.id.hex)
    await spine.jobs.run()
    before = await spine.rows()
    await spine.notify(payment.id.hex, times=3)
    await spine.services.follower.query(await Payment.get(id=payment.id))
    await spine.jobs.run()
    assert await spine.rows() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda subs: subs[1]["amount"].update(total_amount=GAS_FEN - 1),
        lambda subs: subs[1]["amount"].update(currency="USD"),
        lambda subs: subs[1]["amount"].pop("total_amount"),
        lambda subs: subs[1].update(trade_state="NOTPAY"),
        lambda subs: subs[1].pop("transaction_id"),
        lambda subs: subs[1].update(sub_mchid=subs[0]["sub_mchid"]),
        lambda subs: subs[1].update(transaction_id=None),
        lambda subs: subs.pop(),
        lambda subs: subs.append(dict(subs[0])),
    ],
    ids=["amount", "currency", "no amount", "unpaid", "no transaction", "merchant", "null transaction", "missing", "twice"],
)  # fmt: skip
async def test_one_wrong_field_of_one_part_books_nothing_at_all(
    spine: Spine, citizen: Citizen, payment: Payment, spoil: Any
) -> None:
    await spine.pay(citizen, payment)
    (order,) = (await spine.control("GET", "/wechat-pay/combined"))["orders"]
    spoil(order["sub_orders"])
    await spine.notify(payment.id.hex, mutate={"sub_orders": order["sub_orders"]})
    await spine.jobs.run()
    await payment.refresh_from_db()
    assert payment.status == "awaiting_payer"
    assert await spine.balance("clearing") == 0
    assert (await fetch("select outcome from inbox"))[0]["outcome"] == "payment_trade_mismatch"


async def test_a_notice_under_another_number_books_nothing(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    await spine.pay(citizen, payment)
    await spine.notify(payment.id.hex, mutate={"combine_out_trade_no": "0" * 32})
    await spine.jobs.run()
    assert await spine.balance("clearing") == 0
    assert (await fetch("select outcome from inbox"))[0]["outcome"] == "payment_trade_mismatch"


async def test_only_the_part_that_its_company_refuses_goes_back(
    spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]], payment: Payment
) -> None:
    await refuse(spine, accounts[1], "EP0002")
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert await posted(payment) == {"water": "posted", "gas": "refused", "power": "posted"}
    (refund,) = await Refund.all()
    gas = (await parts(payment))["gas"]
    assert (refund.part_id, refund.amount_fen, str(refund.status)) == (gas.id, GAS_FEN, "succeeded")
    (theirs,) = await spine.refunds()
    assert (theirs["out_trade_no"], theirs["amount"]["refund"]) == (gas.order_number, GAS_FEN)
    assert await spine.balance("posted") == WATER_FEN + POWER_FEN
    assert await spine.balance("suspense") == 0
    assert await live_claims() == 2, "the gas bill is free again, the others are paid"
    (view,) = await progress([payment.id], citizen.principal)
    assert (view["progress"], view["refunded_fen"]) == ("posted_in_part", GAS_FEN)
    await refuse(spine, accounts[1], None)
    again = await spine.combined(citizen, accounts[1])
    assert again.total_fen == GAS_FEN


async def test_all_parts_refused_end_in_a_payment_that_is_refunded(
    spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]], payment: Payment
) -> None:
    for account in accounts:
        await refuse(spine, account, "EP0002")
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    assert await live_claims() == 0
    assert len(await spine.refunds()) == 3


async def test_closing_closes_all_parts_and_frees_them(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    params = await spine.order(citizen, payment)
    await payment.refresh_from_db()
    await spine.services.follower.close(payment, SYSTEM)
    assert payment.status == "closed"
    assert await live_claims() == 0
    (order,) = (await spine.control("GET", "/wechat-pay/combined"))["orders"]
    assert {item["trade_state"] for item in order["sub_orders"]} == {"CLOSED"}
    late = await spine.control("POST", f"/people/{citizen.phone_id}/pay", params)
    assert late["result"] == "fail"


async def test_money_that_comes_after_the_end_goes_back_part_by_part(
    spine: Spine, citizen: Citizen, payment: Payment
) -> None:
    await spine.order(citizen, payment)
    await payment.refresh_from_db()
    await spine.services.follower.close(payment, SYSTEM)
    await spine.control("POST", f"/wechat-pay/combined/{payment.id.hex}/force", {"trade_state": "SUCCESS"})
    await spine.notify(payment.id.hex)
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    await payment.refresh_from_db()
    assert payment.status == "refunded"
    assert sorted(refund["amount"]["refund"] for refund in await spine.refunds()) == sorted(
        [WATER_FEN, GAS_FEN, POWER_FEN]
    )


@pytest.mark.parametrize("fault", ["drop", "forge"])
async def test_an_order_in_doubt_is_opened_once(spine: Spine, citizen: Citizen, payment: Payment, fault: str) -> None:
    await spine.fault("wechat_pay", "order", fault, **({"after": True} if fault == "drop" else {}))
    with pytest.raises(ProviderBusy):
        await spine.order(citizen, payment)
    assert await spine.pay(citizen, payment) == payment.id.hex
    assert len((await spine.control("GET", "/wechat-pay/combined"))["orders"]) == 1


async def test_a_close_in_doubt_is_repeated(spine: Spine, citizen: Citizen, payment: Payment) -> None:
    await spine.order(citizen, payment)
    await payment.refresh_from_db()
    await spine.fault("wechat_pay", "close", "drop", after=True)
    with pytest.raises(OutboundError):
        await spine.services.follower.close(payment, SYSTEM)
    assert await live_claims() == 3
    await spine.services.follower.close(await Payment.get(id=payment.id), SYSTEM)
    assert await live_claims() == 0


async def test_paying_one_of_the_accounts_alone_closes_the_combined_order_first(
    spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]], payment: Payment
) -> None:
    params = await spine.order(citizen, payment)
    alone = await spine.combined(citizen, accounts[0])
    await payment.refresh_from_db()
    assert (payment.status, alone.total_fen) == ("closed", WATER_FEN)
    assert (await spine.control("POST", f"/people/{citizen.phone_id}/pay", params))["result"] == "fail"


async def test_two_devices_with_overlapping_accounts_pay_each_bill_once(
    spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]]
) -> None:
    water, gas, power = accounts
    quotes = {account: await spine.quote(citizen, account[1], account[0]) for account in accounts}
    answers = await asyncio.gather(
        spine.create_of(citizen, [quotes[water], quotes[gas]]),
        spine.create_of(citizen, [quotes[power], quotes[gas]]),
        spine.create_of(citizen, [quotes[gas], quotes[power], quotes[water]]),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(error, PaymentInProgress | AlreadyPaid) for error in refused), refused
    live = await fetch("select claim_key from claim where freed_at is null group by 1 having count(*) > 1")
    assert live == []


async def test_a_binder_displaces_a_scanner_only_where_he_is_bound(
    spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]], payment: Payment
) -> None:
    owner = await spine.citizen()
    await spine.bind(owner, accounts[0][1])
    with pytest.raises(PaymentInProgress):
        await spine.combined(owner, *accounts)
    await payment.refresh_from_db()
    assert payment.status == "created", "nobody gives way to what is refused all the same"
    theirs = await spine.combined(owner, accounts[0])
    await payment.refresh_from_db()
    assert (payment.status, theirs.total_fen) == ("closed", WATER_FEN)


async def test_a_quote_named_twice_is_refused(spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]]) -> None:
    quote = await spine.quote(citizen, accounts[0][1])
    for pair in ([quote, quote], [quote, await spine.quote(citizen, accounts[0][1])]):
        with pytest.raises(QuoteTwice):
            await spine.create_of(citizen, pair)
    assert await Payment.all().count() == 0


async def test_a_way_that_carries_one_company_only_is_refused_for_several(
    spine: Spine, citizen: Citizen, accounts: list[tuple[str, str]]
) -> None:
    for way in (Way("wechat_pay", "wap"), Way("nobody", "jsapi")):
        with pytest.raises(MethodNotOffered):
            await spine.combined(citizen, *accounts, way=way)
    assert await Payment.all().count() == 0


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_paid_and_refused_the_sums_hold(spine: Spine, citizen: Citizen, seed: int) -> None:
    chance = random.Random(seed)
    companies = [chance.choice(["water", "gas", "power"]) for _ in range(chance.randint(2, 5))]
    fens = [[chance.randint(1, 20_000) for _ in range(chance.randint(1, 3))] for _ in companies]
    accounts = [
        (company, await spine.account(*own, company=company)) for company, own in zip(companies, fens, strict=True)
    ]
    payment = await spine.combined(citizen, *accounts)
    refused = [place for place in range(len(accounts)) if chance.random() < 0.5]
    for place in refused:
        await refuse(spine, accounts[place], "EP0002")
    await spine.pay(citizen, payment)
    for _ in range(chance.randint(0, 2)):
        await spine.notify(payment.id.hex)
    await spine.services.follower.query(await Payment.get(id=payment.id))
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(MINUTE)
    back = sum(sum(fens[place]) for place in refused)
    total = sum(map(sum, fens))
    assert (await spine.balance("posted"), await spine.balance("suspense")) == (total - back, 0)
    assert sum(refund.amount_fen for refund in await Refund.filter(status="succeeded")) == back
    (view,) = await progress([payment.id], citizen.principal)
    assert sum(part["amount_fen"] for part in view["parts"]) == view["total_fen"] == total
    assert sum(part["refunded_fen"] for part in view["parts"]) == view["refunded_fen"] == back
    words = {0: "posted", len(accounts): "refunded"}
    assert view["progress"] == words.get(len(refused), "posted_in_part")
    assert await live_claims() == sum(len(own) for place, own in enumerate(fens) if place not in refused)
