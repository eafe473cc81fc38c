"""What people and companies do around one bill, and what must come of it in the end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Any, NamedTuple

import httpx

from cities.loader import load_city
from core import clock
from core.database import fetch, fetch_one
from core.numbers import is_credit_code
from domain.companies.filed import answer_due
from domain.identity.sessions import REPEAT_GRACE
from lianban.phone import CallFailed
from tests.faults.customer import COMPANY, Customer
from tests.harness.spine import id_check

FILED = "telecom_cu"
"""The company that exchanges files."""


class Outcome(NamedTuple):
    """What must be true of one customer once everything is at rest."""

    payments: tuple[str, ...] = ()
    """Final statuses, in the order of creation."""
    paid_orders: int = 0
    posted: int = 0
    refunds: int = 0
    told: tuple[str, ...] = ()
    """Kinds of messages, each once per channel."""
    arrived_for_others: int = 0
    """Messages that reached this phone while it was another person's."""
    unsent: bool = False
    """The mini-program's messages may have failed or been skipped."""


Journey = Callable[[Customer], Awaitable[Outcome]]

POSTED = Outcome(("succeeded",), 1, 1, 0, ("payment.succeeded", "payment.posted"))
REFUNDED = Outcome(("refunded",), 1, 0, 1, ("payment.succeeded", "payment.refund_started", "payment.refunded"))
LATE = Outcome(("refunded",), 1, 0, 1, ("payment.refund_started", "payment.refunded"))
CLOSED = Outcome(("closed",))
POSTED_IN_PART = Outcome(
    ("succeeded",), 3, 2, 1, ("payment.succeeded", "payment.posted", "payment.posted", "payment.refund_started", "payment.refunded")
)  # fmt: skip
_ALIPAY = {"provider": "alipay", "method": "wap"}


async def pays(customer: Customer) -> Outcome:
    """From the printed bill to the posted payment."""
    await customer.company_prints_bill()
    await customer.enter()
    await customer.bind()
    await customer.scan()
    payment = await customer.create_payment()
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def pays_and_comes_back(customer: Customer) -> Outcome:
    """WeChat Pay's notice never comes; the app asks when the person returns to it."""
    payment = await _about_to_pay(customer)
    await customer.fault("wechat_pay", "notice", "silence", times=1)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.call("POST", f"/v1/payments/{payment}/check")
    await customer.until_progress(payment, "posted")
    return POSTED


async def pays_unheard(customer: Customer) -> Outcome:
    """Neither notice nor person comes: we ask by ourselves."""
    payment = await _about_to_pay(customer)
    params = await customer.params(payment)
    await customer.fault("wechat_pay", "notice", "silence", times=1)
    await customer.pay_in_wechat(params)
    await customer.until_progress(payment, "posted")
    return POSTED


async def pays_slowly(customer: Customer) -> Outcome:
    """The person looks for the purse until we have asked WeChat Pay once."""
    payment = await _about_to_pay(customer)
    params = await customer.params(payment)

    async def asked() -> object:
        return await fetch_one(
            "select 1 from procrastinate_jobs where task_name = 'payments.watch' and args->>'payment_id' = $1 and args->>'step' = '1'",
            payment,
        )

    await customer.until(asked, "the second look planned")
    await customer.pay_in_wechat(params)
    await customer.until_progress(payment, "posted")
    return POSTED


async def company_refuses(customer: Customer) -> Outcome:
    """The company does not take the money: it goes back."""
    payment = await _about_to_pay_and_be_refunded(customer)
    await customer.control(
        "POST", f"/companies/{COMPANY}/refuse", {"account_number": customer.number, "code": "EP0002"}
    )
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "refunding", "refunded")
    customer.stage("refunding")
    await customer.until_progress(payment, "refunded")
    return REFUNDED


async def refund_is_refused(customer: Customer) -> Outcome:
    """WeChat Pay refuses the refund for good; once people have cleared its way, it goes back under its number."""
    payment = await _about_to_pay_and_be_refunded(customer)
    await asyncio.sleep(1.1)
    await customer.allow_all_messages()
    await customer.control("POST", "/wechat-pay/refund-outcome", {"outcome": "USER_ACCOUNT_ABNORMAL"})
    await customer.control(
        "POST", f"/companies/{COMPANY}/refuse", {"account_number": customer.number, "code": "EP0002"}
    )
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "refund_stuck")
    await customer.control("POST", "/wechat-pay/refund-outcome", {"outcome": "SUCCESS"})
    await customer.until_progress(payment, "refunded")
    return REFUNDED._replace(told=(*REFUNDED.told, "payment.refund_stuck"))


async def company_takes_long(customer: Customer) -> Outcome:
    """The company's answer takes longer than half an hour: the person is told once, and then of the end."""
    payment = await _about_to_pay(customer)
    slow = {"account_number": customer.number, "seconds": 25}
    await customer.control("POST", f"/companies/{COMPANY}/processing", slow)
    await customer.pay_in_wechat(await customer.params(payment))

    async def processing() -> object:
        return await fetch_one("select 1 from posting where payment_id = $1 and status = 'processing'", payment)

    await customer.until(processing, "a posting that is being processed")
    customer.world.sql("update posting set created_at = created_at - interval '1 hour' where payment_id = %s", payment)
    await customer.until_progress(payment, "posted")
    return POSTED._replace(told=(*POSTED.told, "payment.posting_delayed"))


async def company_is_silent(customer: Customer) -> Outcome:
    """The company's answer is lost: we ask, and find that it took the money."""
    payment = await _about_to_pay(customer)
    await customer.fault(f"company:{COMPANY}", "post_payment", "drop", times=1, after=True)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def company_heard_nothing(customer: Customer) -> Outcome:
    """Our message to the company is lost: we ask, and tell it again under the same id."""
    payment = await _about_to_pay(customer)
    await customer.fault(f"company:{COMPANY}", "post_payment", "drop", times=1)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def company_is_slow(customer: Customer) -> Outcome:
    """The company answers later, by an event."""
    payment = await _about_to_pay(customer)
    slow = {"account_number": customer.number, "seconds": 3}
    await customer.control("POST", f"/companies/{COMPANY}/processing", slow)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def company_is_away_for_days(customer: Customer) -> Outcome:
    """After three days without the company the money goes back."""
    payment = await _about_to_pay_and_be_refunded(customer)
    await customer.fault(f"company:{COMPANY}", "post_payment", "error", status=503)
    await customer.pay_in_wechat(await customer.params(payment))

    async def untaken() -> object:
        # Unknown after an answer of 503; pending where the circuit to the company has opened meanwhile.
        return await fetch_one(
            "select 1 from posting p where payment_id = $1 and status in ('unknown', 'pending')"
            " and exists (select 1 from journal where subject = 'posting' and subject_id = p.id and event = 'send')",
            payment,
        )

    await customer.until_progress(payment, "posting")
    await customer.until(untaken, "a posting that the company has not taken")
    customer.world.sql("update posting set created_at = created_at - interval '4 days' where payment_id = %s", payment)
    await customer.until_progress(payment, "refunded")
    await customer.control("DELETE", "/faults")
    return REFUNDED


async def pays_at_the_second_try(customer: Customer) -> Outcome:
    """The person starts anew; the first payment is closed before the second exists."""
    first = await _about_to_pay(customer)
    await customer.params(first)
    customer.stage("replacing")
    second = await customer.create_payment()
    await customer.pay_in_wechat(await customer.params(second))
    await customer.until_progress(second, "posted")
    return POSTED._replace(payments=("closed", "succeeded"))


async def closes(customer: Customer) -> Outcome:
    """The person does not want to pay any more."""
    payment = await _about_to_pay(customer)
    await customer.params(payment)
    await customer.call("POST", f"/v1/payments/{payment}/close")
    await customer.until_progress(payment, "closed")
    return CLOSED


async def abandons(customer: Customer) -> Outcome:
    """The person closes it before WeChat Pay has heard of it."""
    payment = await _about_to_pay(customer)
    await customer.call("POST", f"/v1/payments/{payment}/close")
    await customer.until_progress(payment, "closed")
    return CLOSED


async def closes_after_paying(customer: Customer) -> Outcome:
    """The money was faster than the close: it is a payment."""
    payment = await _about_to_pay(customer)
    await customer.fault("wechat_pay", "notice", "silence", times=1)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.call("POST", f"/v1/payments/{payment}/close")
    await customer.until_progress(payment, "posted")
    return POSTED


async def pays_late(customer: Customer) -> Outcome:
    """Money comes after the close: it goes back."""
    payment = await _about_to_pay_and_be_refunded(customer)
    await customer.params(payment)
    await customer.call("POST", f"/v1/payments/{payment}/close")
    await customer.until_progress(payment, "closed")
    order = await _order_number(payment)
    customer.stage("paying")
    await customer.control("POST", f"/wechat-pay/orders/{order}/force", {"trade_state": "SUCCESS"})
    await customer.until_progress(payment, "refunded")
    return LATE


async def shares_with_the_family(customer: Customer) -> Outcome:
    """The owner invites somebody, who takes it, looks at the bills, and is sent away again."""
    await customer.company_opens_account()
    await customer.enter()
    await customer.bind()
    shares = f"/v1/utility-accounts/{customer.account_id}/shares"
    invitation = await customer.call("POST", shares, {"label": "妈妈", "may_pay": False})
    async with Customer(customer.world) as member:
        await member.enter()
        taken = await member.call("POST", "/v1/shares", {"code": invitation["code"]})
        await member.call("GET", f"/v1/utility-accounts/{customer.account_id}/bills")
        uses = await customer.call("GET", f"/v1/shares/{taken['share_id']}/uses")
        assert {use["action"] for use in uses["uses"]} == {"bills.listed"}
        await customer.call("DELETE", f"/v1/shares/{taken['share_id']}")
        assert await member.refused("GET", f"/v1/utility-accounts/{customer.account_id}/bills") == "not_found"
    return Outcome(told=("share.accepted",))


async def acts_for_an_organization(customer: Customer) -> Outcome:
    """The legal person's own login makes the first agent, who names another; that one takes it, acts, and is sent away."""
    await customer.enter()
    async with Customer(customer.world) as first, Customer(customer.world) as clerk:
        await _comes_by_browser(first, "王法人", for_organization=True)
        organization = await first.call("POST", "/v1/organizations")
        first.organization_id = organization["organization_id"]
        await _comes_by_browser(clerk, "李会计")
        ends_at = (clock.now() + timedelta(days=30)).isoformat()
        appointment = {"agent_name": "李会计", "scopes": ["pay"], "ends_at": ends_at}
        code = (await first.call("POST", "/v1/mandates", appointment))["code"]
        taken = await clerk.call("POST", "/v1/mandates/accept", {"code": code})
        clerk.organization_id = taken["organization_id"]
        assert (await clerk.call("GET", "/v1/utility-accounts"))["accounts"] == []
        ended = f"/v1/mandates/{taken['mandate_id']}"
        await first.call("DELETE", ended)
        assert await clerk.refused("GET", "/v1/utility-accounts") == "not_found"
        await _is_told(first, ["mandate.accepted"])
        await _is_told(clerk, ["mandate.revoked"])
    return Outcome()


async def lets_it_expire(customer: Customer) -> Outcome:
    """The person goes away: after ten minutes the payment is closed and the bill is free."""
    payment = await _about_to_pay(customer)
    await customer.params(payment)
    await _expires(customer, payment)
    return CLOSED


async def order_never_arrives(customer: Customer) -> Outcome:
    """WeChat Pay has never heard of the order: when its time is up, the bill is free."""
    payment = await _about_to_pay(customer)
    await customer.fault("wechat_pay", "order", "drop")
    await customer.try_once("POST", f"/v1/payments/{payment}/pay-params")
    await customer.control("DELETE", "/faults")
    for operation in ("query", "close"):  # and it does not even sign that
        await customer.fault("wechat_pay", operation, "forge")
    await _expires(customer, payment)
    await customer.control("DELETE", "/faults")
    return CLOSED


async def order_answer_is_lost(customer: Customer) -> Outcome:
    """WeChat Pay's answer to the order is lost: the next try finds the same order."""
    payment = await _about_to_pay(customer)
    await customer.fault("wechat_pay", "order", "drop", times=1, after=True)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def order_is_refused(customer: Customer) -> Outcome:
    """WeChat Pay refuses the order for good: the payment has failed and the bill is free."""
    payment = await _about_to_pay(customer)
    await customer.fault("wechat_pay", "order", "drop", after=True)
    await customer.try_once("POST", f"/v1/payments/{payment}/pay-params")
    await customer.control("DELETE", "/faults")
    order = await _order_number(payment)
    await customer.control("POST", f"/wechat-pay/orders/{order}/force", {"trade_state": "CLOSED"})
    assert await customer.refused("POST", f"/v1/payments/{payment}/pay-params") in (
        "payment_order_refused",
        "payment_not_payable",
    )
    return Outcome(("failed",))


async def notice_lies(customer: Customer) -> Outcome:
    """A notice with another amount is booked nowhere; the true one counts."""
    payment = await _about_to_pay(customer)
    await customer.fault("wechat_pay", "notice", "silence", times=1)
    await customer.pay_in_wechat(await customer.params(payment))
    order = await _order_number(payment)
    wrong = {"amount": {"total": 1, "payer_total": 1, "currency": "CNY", "payer_currency": "CNY"}}
    await customer.control("POST", f"/wechat-pay/orders/{order}/notify", {"mutate": wrong})
    await customer.until_progress(payment, "posted")
    return POSTED


async def pays_by_alipay(customer: Customer) -> Outcome:
    """The same bill, paid on Alipay's page."""
    await _about_to_scan(customer)
    payment = await customer.create_payment(**_ALIPAY)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def pays_both(customer: Customer) -> Outcome:
    """Alipay's page is left unopened for WeChat, and paid all the same afterwards: that money goes back, the bill is paid once."""
    await _about_to_scan(customer)
    await asyncio.sleep(1.1)
    await customer.allow_all_messages()
    first = await customer.create_payment(**_ALIPAY)
    page = await customer.params(first)
    customer.stage("changing")
    second = await customer.create_payment()
    await customer.pay_in_wechat(page)
    await customer.until_progress(first, "refunded")
    await customer.pay_in_wechat(await customer.params(second))
    await customer.until_progress(second, "posted")
    return Outcome(("refunded", "succeeded"), 2, 1, 1, (*LATE.told, *POSTED.told))


async def comes_late_to_the_page(customer: Customer) -> Outcome:
    """WeChat Pay's page in a browser lives five minutes; the person comes back after that and gets a fresh one."""
    await _about_to_scan(customer)
    payment = await customer.create_payment(method="h5")
    await customer.params(payment)
    stale = "update payment set handle = jsonb_set(handle::jsonb, '{until}', '\"2026-01-01T00:00:00Z\"')::text where id = %s"
    customer.world.sql(stale, payment)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED


async def wechat_refuses_the_message(customer: Customer) -> Outcome:
    """The person has switched messages off in WeChat and we did not hear of it."""
    payment = await _about_to_pay(customer)
    await customer.switches_messages_off()
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    return POSTED._replace(unsent=True)


async def is_told_by_the_official_account(customer: Customer) -> Outcome:
    """The mini-program's messages are switched off, but the person follows the official account."""
    payment = await _about_to_pay(customer)
    await customer.switches_messages_off()
    await customer.follows()
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    await customer.until(lambda: _told_by(customer, "official_account", 2, "delivered"), "two template messages")
    return POSTED._replace(unsent=True)


async def official_account_answer_is_lost(customer: Customer) -> Outcome:
    """The same; the answer to one message is lost: it is sent again under the same number, which the platform knows."""
    payment = await _about_to_pay(customer)
    await customer.switches_messages_off()
    await customer.follows()
    await customer.fault("wechat", "template_send", "drop", times=1, after=True)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    await customer.until(lambda: _told_by(customer, "official_account", 2, "delivered"), "two template messages")
    assert len(await customer.template_messages()) == 2
    return POSTED._replace(unsent=True)


async def is_told_by_text_message(customer: Customer) -> Outcome:
    """Nobody but the supplier of text messages reaches the person; what became of the text is asked."""
    payment = await _about_to_pay(customer)
    await customer.switches_messages_off()
    refusal = {"account_number": customer.number, "code": "EP0004"}
    await customer.control("POST", f"/companies/{COMPANY}/refuse", refusal)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "refunded")
    await customer.until(lambda: _told_by(customer, "sms", 1, "delivered"), "a text message")
    return REFUNDED._replace(unsent=True)


async def proves_phone_by_text_message(customer: Customer) -> Outcome:
    """Somebody proves his number by a code; a text that may have left is not sent again, he asks for another."""
    await customer.control("POST", "/people", {"nickname": customer.number})
    await customer.become(customer.number, "")
    await customer.log_in_anew()
    await customer.until(customer.proves_by_text_message, "a code that arrived")
    assert (await customer.call("GET", "/v1/me"))["level"] == 2
    return Outcome()


async def company_gets_a_wechat_code(customer: Customer) -> Outcome:
    """The company has WeChat draw its code; an answer that was lost is asked for again."""
    await customer.company_opens_account()
    await customer.company_gets_qr_code()
    await customer.until(customer.company_gets_mini_program_code, "a drawn code")
    return Outcome()


async def _told_by(customer: Customer, channel: str, count: int, status: str) -> bool:
    query = (
        "select count(*) from message m join session s on s.person_id = m.person_id"
        " where s.id = $1::uuid and m.channel = $2 and m.status = $3"
    )
    row = await fetch_one(query, customer.tokens["session_id"], channel, status)
    return row is not None and row["count"] == count


async def stays_logged_in(customer: Customer) -> Outcome:
    """The refresh token is changed for a new one; the client that lost the answer gets the same successor."""
    await customer.enter()
    customer.stage("refreshing")
    refresh = {"refresh_token": customer.tokens["refresh_token"], "client_id": customer._client_id}
    began = time.monotonic()
    try:
        customer.tokens = await customer.call("POST", "/v1/sessions/refresh", refresh)
    except CallFailed:
        # On a busy machine the restart may take longer than the ten seconds in which a token may be shown again (invariant 13).
        assert time.monotonic() - began > REPEAT_GRACE.total_seconds()
        return Outcome(told=("session.reuse_detected",))
    refresh["refresh_token"] = customer.tokens["refresh_token"]
    customer.tokens = await customer.call("POST", "/v1/sessions/refresh", refresh)
    await customer.call("GET", "/v1/me")
    row = await fetch_one("select count(*) from session s where s.person_id = $1", await _person_id(customer))
    assert row is not None
    assert row["count"] == 1
    return Outcome()


async def logs_in_by_browser(customer: Customer) -> Outcome:
    """To the unified identity and back; who gets no answer on the way begins again, and is the same person in the end."""
    await customer.enter()
    page = customer.world.settings.return_urls[0]
    number = f"42070419{random.randrange(60, 99)}0{random.randrange(1, 9)}{random.randrange(10, 28)}{random.randrange(1000):03}"
    known = {"name": "周到", "phone": f"136{random.randrange(10**8):08}", "id_number": number + id_check(number)}
    person_id = (await customer.control("POST", "/unified/people", known))["person_id"]

    async def tried() -> bool:
        try:
            await customer.log_in_at("ehuiban", person_id, page)
        except (httpx.TransportError, CallFailed):
            return False
        return True

    await customer.until(tried, "a login")
    first = (await customer.call("GET", "/v1/me"))["person_id"]
    await customer.until(tried, "another login")
    me = await customer.call("GET", "/v1/me")
    assert (me["person_id"], me["level"]) == (first, 3)
    left = await fetch_one("select count(*) from login_attempt where vouched is not null and handover_hash is null")
    assert left is not None
    assert left["count"] == 0
    return Outcome()


async def joins_and_parts(customer: Customer) -> Outcome:
    """A second identity is joined and parted again; whoever gets no answer logs in anew and goes on from what he finds."""
    page = customer.world.settings.return_urls[0]
    number = f"42070419{random.randrange(60, 99)}0{random.randrange(1, 9)}{random.randrange(10, 28)}{random.randrange(1000):03}"
    known = {"name": "周到", "phone": f"136{random.randrange(10**8):08}", "id_number": number + id_check(number)}
    person_id = (await customer.control("POST", "/unified/people", known))["person_id"]
    await customer.enter()
    await asyncio.sleep(1.1)  # two accepts within one second are one
    await customer.allow_all_messages()

    async def joined() -> str | None:
        try:
            await customer.log_in()
            found = await customer.call("GET", "/v1/identities")
            if len(found["identities"]) == 1:
                await customer.join_at("ehuiban", person_id, page)
                found = await customer.call("GET", "/v1/identities")
        except (httpx.TransportError, CallFailed):
            return None
        return found["joins"][0]["join_id"] if len(found["identities"]) == 2 else None

    join_id = await customer.until(joined, "two identities joined")
    waiting = "select 1 from procrastinate_jobs where task_name = 'identity.settle' and status = 'todo'"
    await fetch(
        "update procrastinate_jobs set scheduled_at = now() where task_name = 'identity.settle' and status = 'todo'"
    )

    async def settled() -> bool:
        return not await fetch(waiting)

    await customer.until(settled, "what was left over to go over")

    async def parted() -> bool:
        try:
            await customer.log_in()
            if len((await customer.call("GET", "/v1/identities"))["identities"]) == 2:
                await customer.call("POST", f"/v1/identities/{join_id}/undo")
                await customer.log_in()
            return len((await customer.call("GET", "/v1/identities"))["identities"]) == 1
        except (httpx.TransportError, CallFailed):
            return False

    await customer.until(parted, "two people again")
    return Outcome(told=("identity.parted",), arrived_for_others=1)


async def logs_out(customer: Customer) -> Outcome:
    """The session ends; a lost answer does not open it again."""
    await customer.enter()
    customer.stage("leaving")
    session = customer.tokens["session_id"]
    try:
        await customer.call("DELETE", f"/v1/sessions/{session}")
    except Exception as refused:  # the second try of a call whose answer was lost
        assert getattr(refused, "status", 0) == 401  # noqa: PT017
    row = await fetch_one("select ended_at, end_reason from session where id = $1", session)
    assert row is not None
    assert row["ended_at"] is not None
    assert row["end_reason"] == "ended_by_owner"
    return Outcome()


async def unbinds(customer: Customer) -> Outcome:
    """The person takes the account off the list."""
    await customer.company_opens_account()
    await customer.enter()
    bound = await customer.bind()
    await customer.call("DELETE", f"/v1/bindings/{bound['binding_id']}")
    assert (await customer.call("GET", "/v1/utility-accounts"))["accounts"] == []
    return Outcome()


async def looks_at_everything(customer: Customer) -> Outcome:
    """All accounts in one look while the company is slow: its answer is there at a later one."""
    await customer.company_prints_bill()
    await customer.enter()
    await customer.bind()
    await fetch("update utility_account set bills_checked_at = null")
    await customer.fault("company:water", "query_bills", "latency", latency_s=4.0, times=1)
    customer.stage("looking")

    async def fresh() -> bool:
        look = await customer.call("GET", "/v1/utility-accounts/owed")
        states = [account["state"] for place in look["places"] for account in place["accounts"]]
        return states == ["fresh"] and look["known_fen"] == 4199 and not look["is_partial"]

    await customer.until(fresh, "the late answer")
    return Outcome()


async def holder_objects(customer: Customer) -> Outcome:
    """The company tells the holder of the binding; he objects, and it ends."""
    await customer.company_opens_account()
    await customer.enter()
    await customer.bind()

    async def notice() -> object:
        notices = (await customer.company_ledger())["holder_notices"]
        return next((one for one in notices if one["account_number"] == customer.number), None)

    told = await customer.until(notice, "the holder was told")
    customer.stage("objecting")
    objection = {"account_number": customer.number, "binding_ref": told["binding_ref"]}
    await customer.control("POST", f"/companies/{COMPANY}/events", {"type": "binding.revoked", "data": objection})

    async def gone() -> bool:
        return (await customer.call("GET", "/v1/utility-accounts"))["accounts"] == []

    await customer.until(gone, "the binding ended")
    return Outcome(told=("binding.revoked",))


async def daily_file_comes(customer: Customer) -> Outcome:
    """The bills of the last day whose file is ready are in that file, taken once."""
    # Files are ready at two in the morning: before that, yesterday's is not there yet.
    day = (clock.now() - timedelta(hours=2, minutes=5)).astimezone(clock.SHANGHAI).date() - timedelta(days=1)
    await customer.company_opens_account()
    await customer.company_gets_qr_code()
    await customer.company_issues_bill(event=False, issued_on=day.isoformat(), due_on=clock.today().isoformat())
    customer.world.sql("delete from bill_file")
    customer.world.sql(
        "insert into bill_file (id, company, day, bills, payable_fen, taken_at) values (gen_random_uuid(), %s, %s, 0, 0, now())",
        COMPANY, day - timedelta(days=1),
    )  # fmt: skip
    customer.world.sql(
        "select procrastinate_defer_jobs_v1(array[row('default', 'bills.daily_file', 0, null, null, '{\"timestamp\": 0}', null)"
        "::procrastinate_job_to_defer_v1])"
    )

    async def taken() -> object:
        return await fetch_one("select 1 from bill_file where company = $1 and day = $2", COMPANY, day)

    await customer.until(taken, "the file of the day")
    rows = await fetch("select status, payable_fen from bill where bill_no = $1", customer.bill_no)
    assert [tuple(row) for row in rows] == [("open", 4199)]
    return Outcome()


async def pays_a_company_without_an_interface(customer: Customer) -> Outcome:
    """One payment to a company with an interface and to one that exchanges files: told at the cutoff, answered by file."""
    await customer.company_prints_bill()
    number = await _shelved(customer)
    customer.elsewhere[FILED] = (number, await customer._qr_code(FILED, number))
    await customer.enter()
    await asyncio.sleep(1.1)
    await customer.allow_all_messages()
    payment = await customer.create_payment()
    await customer.pay_in_wechat(await customer.params(payment))
    waits = "select count(*) from filed_posting f join posting p on p.id = f.id where p.payment_id = %s and p.status = 'processing'"
    await customer.until(lambda: customer.world.scalar(waits, payment) == 1, "a posting that waits for its file")
    try:
        await _after_its_cutoff(customer, payment)
        # What is still told in that time must not be told of in an earlier one.
        told = (
            "select (select count(*) from message where status in ('pending', 'sending', 'accepted'))"
            " + (select count(*) from event where dispatched_at is null) + (select count(*) from inbox where processed_at is null)"
            " + (select count(*) from procrastinate_jobs where status = 'doing' or (status = 'todo' and coalesce(scheduled_at, now()) <= now()))"
        )
        await customer.until(lambda: customer.world.scalar(told) == 0, "everybody told")
    finally:
        customer.world.travel(0)
    return Outcome(("succeeded",), 2, 2, 0, ("payment.succeeded", "payment.posted", "payment.posted"))


async def account_file_comes(customer: Customer) -> Outcome:
    """The accounts of a company without an interface, taken once."""
    await customer.company_opens_account()
    await _shelved(customer)
    return Outcome()


async def _shelved(customer: Customer) -> str:
    """A new account that stands in the company's newest file; its number."""
    number = f"0711{random.randrange(10**10):010}"
    account = {"number": number, "holder_name": "陈小红", "holder_id_last4": "0041", "holder_mobile": "13800000002"}
    await customer.control("POST", f"/companies/{FILED}/accounts", account)
    bill = {
        "account_number": number,
        "bill_no": f"U-{number}",
        "period": "2026-10",
        "principal_fen": 6900,
        "event": False,
    }
    issued_on = (clock.today() - timedelta(days=3)).isoformat()
    await customer.control("POST", f"/companies/{FILED}/bills", {**bill, "issued_on": issued_on})
    customer.world.sql("delete from filed_account")
    customer.world.sql("delete from company_file where kind = 'accounts'")
    _exchange(customer)
    taken = "select count(*) from company_file where kind = 'accounts' and settled_at is not null"
    await customer.until(lambda: customer.world.scalar(taken) == 1, "an account file")
    return number


async def _after_its_cutoff(customer: Customer, payment: str) -> None:
    """The next cutoff is over, then the company's half hour: the answer is there. What went at that cutoff before is forgotten."""
    rule = load_city("ezhou").company(FILED).gateway.files
    assert rule is not None
    customer.world.sql("delete from company_file where kind = 'answers'")
    customer.world.sql("update company_file set name = id::text where kind = 'postings'")
    await customer.control("POST", f"/companies/{FILED}/files", {"forget": True})
    after_s = (answer_due(rule, clock.now()) - rule.answered_within - clock.now()).total_seconds() + 60
    delivered = (
        "select count(*) from filed_posting p join company_file f on f.id = p.file_id join posting s on s.id = p.id"
        " where s.payment_id = %s and f.settled_at is not null"
    )
    answered = "select count(*) from posting where payment_id = %s and status = 'posted'"
    for travelled_s, seen, count, what in (
        (after_s, delivered, 1, "a file of ours at the company's place"),
        (after_s + 1900, answered, 2, "the company's answer, applied"),
    ):
        customer.world.travel(travelled_s)
        _exchange(customer)
        await customer.until(lambda seen=seen, count=count: customer.world.scalar(seen, payment) == count, what)


def _exchange(customer: Customer) -> None:
    customer.world.sql(
        "select procrastinate_defer_jobs_v1(array[row('default', 'companies.files', 0, null, null, '{\"timestamp\": 0}', null)"
        "::procrastinate_job_to_defer_v1])"
    )


async def day_is_reconciled(customer: Customer) -> Outcome:
    """The company forgets a posting in its file of the day and tells it in the next one: a difference, then explained."""
    # Ten days of all companies are compared, again after each death: the slow one would need most of a minute.
    await customer.control("POST", "/companies/telecom_cm/latency", {"seconds": [0, 0]})
    await pays(customer)
    posting = await fetch_one("select id, serial from posting where payment_id = any($1::uuid[])", customer.payments)
    assert posting is not None
    day = clock.today()
    posted_at = datetime.combine(day + timedelta(days=1), clock_time(0, 0, 10), clock.SHANGHAI)
    told = {
        "posting_id": str(posting["id"]),
        "serial": posting["serial"],
        "total_fen": 4199,
        "posted_at": posted_at.isoformat(),
    }
    for table in ("item", "row", "run"):
        customer.world.sql(f"delete from reconciliation_{table}")
    customer.world.sql("delete from journal where subject in ('reconciliation_run', 'reconciliation_item')")
    await _posting_file(customer, day, {"drop": [told["posting_id"]]})
    await _posting_file(customer, day + timedelta(days=1), {"add": [told]})
    try:
        await _reconciled(customer, day, posting["id"], "open")
        await _reconciled(customer, day + timedelta(days=1), posting["id"], "explained")
    finally:
        customer.world.travel(0)
        for spoilt in (day, day + timedelta(days=1)):
            await _posting_file(customer, spoilt, {})
    return POSTED


async def _posting_file(customer: Customer, day: date, spoiling: dict[str, object]) -> None:
    await customer.control("POST", f"/companies/{COMPANY}/posting-file", {"date": day.isoformat(), **spoiling})


async def _reconciled(customer: Customer, day: date, posting_id: object, status: str) -> None:
    """On the morning after `day` all its files are compared, and the difference about the posting stands so."""
    morning = datetime.combine(day + timedelta(days=1), clock_time(11), clock.SHANGHAI)
    customer.world.travel((morning - clock.now()).total_seconds())
    customer.world.sql(
        "select procrastinate_defer_jobs_v1(array[row('default', 'payments.reconcile', 0, null, null, '{\"timestamp\": 0}', null)"
        "::procrastinate_job_to_defer_v1])"
    )

    async def stands() -> object:
        return await fetch_one(
            "select 1 from reconciliation_item where posting_id = $1 and status = $2 and not exists"
            " (select 1 from reconciliation_run where day = $3 and status <> 'matched')",
            posting_id, status, day,
        )  # fmt: skip

    await customer.until(stands, f"the difference {status}")


async def one_of_three_refuses(customer: Customer) -> Outcome:
    """One payment of three companies; the second refuses its part, which goes back alone."""
    payment = await _about_to_pay_three(customer)
    await _refuses_its_part(customer)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted_in_part")
    return POSTED_IN_PART


async def one_of_three_refuses_unheard(customer: Customer) -> Outcome:
    """The same without WeChat Pay's notice: the app asks when the person returns to it."""
    payment = await _about_to_pay_three(customer)
    await _refuses_its_part(customer)
    await customer.fault("wechat_pay", "notice", "silence", times=1)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.call("POST", f"/v1/payments/{payment}/check")
    await customer.until_progress(payment, "posted_in_part")
    return POSTED_IN_PART


async def answer_to_the_order_of_three_is_lost(customer: Customer) -> Outcome:
    """WeChat Pay's answer to a combined order is lost: the next try finds the same order, and it is not wanted any more."""
    payment = await _about_to_pay_three(customer)
    await customer.fault("wechat_pay", "order", "drop", times=1, after=True)
    await customer.params(payment)
    await customer.call("POST", f"/v1/payments/{payment}/close")
    await customer.until_progress(payment, "closed")
    return CLOSED


async def pays_three_late(customer: Customer) -> Outcome:
    """Money for three companies comes after the close: each part goes back."""
    payment = await _about_to_pay_three(customer)
    await customer.switches_messages_off()
    await customer.params(payment)
    await customer.call("POST", f"/v1/payments/{payment}/close")
    await customer.until_progress(payment, "closed")
    customer.stage("paying")
    order = payment.replace("-", "")
    await customer.control("POST", f"/wechat-pay/combined/{order}/force", {"trade_state": "SUCCESS"})
    await customer.until_progress(payment, "refunded")
    return Outcome(("refunded",), 3, 0, 3, LATE.told * 3, unsent=True)


async def tops_up(customer: Customer) -> Outcome:
    """Money in advance, posted to the balance once."""
    payment = await _about_to_top_up(customer)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    await _balance_is(customer, 6500)
    return POSTED


async def company_is_silent_about_a_top_up(customer: Customer) -> Outcome:
    """The company's answer to a top-up is lost: we ask, and find that it took the money, once."""
    payment = await _about_to_top_up(customer)
    await customer.fault("company:power", "post_payment", "drop", times=1, after=True)
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "posted")
    await _balance_is(customer, 6500)
    return POSTED


async def company_refuses_a_top_up(customer: Customer) -> Outcome:
    """The company does not take it: it goes back, and the balance is what it was."""
    payment = await _about_to_top_up(customer)
    await asyncio.sleep(1.1)
    await customer.allow_all_messages()
    number, _ = customer.elsewhere["power"]
    await customer.control("POST", "/companies/power/refuse", {"account_number": number, "code": "EP0004"})
    await customer.pay_in_wechat(await customer.params(payment))
    await customer.until_progress(payment, "refunded")
    await _balance_is(customer, 1500)
    return REFUNDED


async def _about_to_top_up(customer: Customer) -> str:
    await customer.enter()
    await customer.company_opens_prepaid_account()
    return await customer.tops_up(5000)


async def _balance_is(customer: Customer, fen: int) -> None:
    number, _ = customer.elsewhere["power"]
    accounts = (await customer.company_ledger("power"))["accounts"]
    assert [account["balance_fen"] for account in accounts if account["number"] == number] == [fen]


async def _about_to_scan(customer: Customer) -> None:
    """A person before a bill."""
    await customer.company_prints_bill()
    await customer.enter()
    await customer.scan()


async def _comes_by_browser(customer: Customer, name: str, *, for_organization: bool = False) -> None:
    """Somebody new logs in at the unified identity, for a new organization or for himself."""
    page = customer.world.settings.return_urls[0]
    seventeen = f"42070419{random.randrange(60, 99)}0{random.randrange(1, 9)}{random.randrange(10, 28)}{random.randrange(1000):03}"
    known: dict[str, Any] = {
        "name": name,
        "phone": f"136{random.randrange(10**8):08}",
        "id_number": seventeen + id_check(seventeen),
    }
    credit_code = None
    if for_organization:
        body = f"91420704MA{random.randrange(10**7):07}"
        credit_code = next(
            code for code in (f"{body}{last}" for last in "0123456789ABCDEFGHJKLMNPQRTUWXY") if is_credit_code(code)
        )
        known["organizations"] = [
            {"name": "鄂州某某有限公司", "credit_code": credit_code, "legal_representative": name}
        ]
    person_id = (await customer.control("POST", "/unified/people", known))["person_id"]
    await customer.log_in_at("ehuiban", person_id, page, credit_code)


async def _is_told(customer: Customer, kinds: list[str]) -> None:
    """Nothing but these, each once."""
    customer.organization_id = None

    async def look() -> list[str]:
        return [message["kind"] for message in (await customer.call("GET", "/v1/messages"))["messages"]]

    await customer.until(look, f"a message of {kinds}")
    assert await look() == kinds


async def _about_to_pay(customer: Customer) -> str:
    """A payment that waits for its payer."""
    await _about_to_scan(customer)
    return await customer.create_payment()


async def _about_to_pay_and_be_refunded(customer: Customer) -> str:
    """The same; a refund sends two messages of one template, which takes two acceptances a second apart."""
    payment = await _about_to_pay(customer)
    await asyncio.sleep(1.1)
    await customer.allow_all_messages()
    return payment


async def _about_to_pay_three(customer: Customer) -> str:
    """One payment for three companies, which waits for its payer; messages of each kind may be sent twice."""
    await _about_to_scan(customer)
    await customer.others_print_bills()
    await asyncio.sleep(1.1)
    await customer.allow_all_messages()
    return await customer.create_payment()


async def _refuses_its_part(customer: Customer) -> None:
    (company, (number, _)), *_others = customer.elsewhere.items()
    await customer.control("POST", f"/companies/{company}/refuse", {"account_number": number, "code": "EP0002"})


async def _expires(customer: Customer, payment: str) -> None:
    """Ten minutes and more pass."""
    customer.stage("expiring")
    customer.world.travel(700)
    try:

        async def closed() -> object:
            return await fetch_one("select 1 from payment where id = $1 and status = 'closed'", payment)

        await customer.until(closed, "the expired payment closed")
    finally:
        customer.world.travel(0)


async def _order_number(payment_id: str) -> str:
    row = await fetch_one("select order_number from payment_part where payment_id = $1", payment_id)
    assert row is not None
    return row["order_number"]


async def _person_id(customer: Customer) -> object:
    row = await fetch_one("select person_id from session where id = $1", customer.tokens["session_id"])
    assert row is not None
    return row["person_id"]
