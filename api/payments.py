"""Quotes and payments: what will be paid, the payment, the parameters of the cashier, how it stands."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import segno
from msgspec import Meta

from api.calls import Answer, Call
from api.errors import WORDS, RequestMalformed
from api.texts import Input, Output, Page
from core import clock
from core.database import fetch
from core.errors import NotFound
from core.outbound import OutboundError
from domain.billing.paying import Created, Way
from domain.billing.quotes import OpenQuote
from models.bill import BILLS
from models.payment import Payment, payment_for
from payments.following import PaymentUnclear
from payments.providers.port import ProviderRefused
from payments.providers.registry import MethodNotOffered
from payments.settling import TradeMismatch
from payments.views import progress


class QuoteRequest(Input, frozen=True):
    """Exactly one of the three: an account one is bound to, several such accounts, or a scanned code."""

    account_id: UUID | None = None
    account_ids: Annotated[list[UUID], Meta(min_length=1, max_length=20)] | None = None
    token: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    amount_fen: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    """Pay only so much, the oldest bills first; whether a bill may be paid in part is the company's rule. Not with `account_ids`."""


class QuotedBill(Output, frozen=True):
    """A bill that may be paid at this amount."""

    bill_id: UUID
    period: str
    payable_fen: int


class QuoteView(Output, frozen=True, tag_field="kind", tag="quote"):
    """Amounts fixed by the company until `expires_at`; oldest bill first. Who came by a scan sees the total only: no `bills`."""

    quote_id: UUID
    company: str
    total_fen: int
    expires_at: datetime
    bills: list[QuotedBill]
    notice: str


class QuoteRefused(Output, frozen=True):
    """Why an account has no quote: the same code and words as if it had been asked for alone."""

    code: str
    title: str
    detail: str


class AccountQuote(Output, frozen=True):
    """A quote for one of several accounts, or why there is none: exactly one of `quote` and `refused`."""

    account_id: UUID
    quote: QuoteView | None
    refused: QuoteRefused | None


class QuoteList(Output, frozen=True, tag_field="kind", tag="quotes"):
    """An answer for each account, in their order; whoever is late or refuses holds up nobody. `total_fen`: of the quotes there are."""

    quotes: list[AccountQuote]
    total_fen: int


class PaymentRequest(Input, frozen=True):
    """All bills of the quotes, or those named; `method` and `provider` say how they are to be paid."""

    quote_ids: Annotated[list[UUID], Meta(min_length=1, max_length=20)]
    bill_ids: Annotated[list[UUID], Meta(min_length=1, max_length=100)] | None = None
    method: Literal["jsapi", "h5", "native", "wap"] = "jsapi"
    provider: Literal["wechat_pay", "alipay"] = "wechat_pay"


class PaidBill(Output, frozen=True):
    """A bill of a payment."""

    bill_id: UUID
    amount_fen: int


class CreatedPartView(Output, frozen=True):
    """What goes to one company for one account. `purpose` top_up: to its balance, then there are no `bills`."""

    company: str
    amount_fen: int
    bills: list[PaidBill]
    purpose: str


class PaymentCreated(Output, frozen=True):
    """A payment waiting for its payer until `expires_at`."""

    payment_id: UUID
    status: str
    total_fen: int
    expires_at: datetime
    parts: list[CreatedPartView]


class PaymentPartView(Output, frozen=True):
    """How the part of one company stands; `progress` as in the payment."""

    company: str
    progress: str
    amount_fen: int
    posted_at: datetime | None
    posting_serial: str | None
    refunded_fen: int
    refund_reason: str | None
    bills: list[PaidBill]
    purpose: str


class PaymentView(Output, frozen=True):
    """How a payment stands, in words a page can show without guessing.

    `progress`: waiting, closed, failed, posting (received, the company is being told), posted, refunding, refunded,
    refund_stuck, posted_in_part (some companies have recorded their parts, the rest has been given back). Of parts that stand
    apart the payment says the word that the payer must hear first.
    """

    payment_id: UUID
    status: str
    progress: str
    provider: str
    method: str
    total_fen: int
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    refunded_fen: int
    parts: list[PaymentPartView]


class PaymentList(Output, frozen=True):
    """One's own payments, newest first; `next_after` leads to the next page."""

    payments: list[PaymentView]
    next_after: UUID | None


class CashierParams(Output, frozen=True, tag_field="cashier", tag="wechat"):
    """What wx.requestPayment takes, signed for this call."""

    appId: str
    timeStamp: str
    nonceStr: str
    package: str
    signType: str
    paySign: str


class CashierAddress(Output, frozen=True, tag_field="cashier", tag="address"):
    """The provider's page to open (h5, wap), or the text of the code to show on a screen (native), drawn as well."""

    url: str
    code_svg: str | None = None


async def create_quote(call: Call) -> Answer:
    body: QuoteRequest = call.body
    quotes = call.services.quotes
    if sum(given is not None for given in (body.account_id, body.account_ids, body.token)) != 1:
        raise RequestMalformed(where="body", reason="exactly one of account_id, account_ids and token")
    if body.account_ids is not None:
        if body.amount_fen is not None:
            raise RequestMalformed(where="body.amount_fen", reason="for one account only")
        return Answer(await _quotes(call, body.account_ids), 201)
    if body.account_id is not None:
        found = await quotes.for_binding(call.caller, body.account_id, body.amount_fen)
    else:
        found = await quotes.for_scan(call.caller, body.token or "", body.amount_fen)
    return Answer(_quote(call, found), 201)


async def create(call: Call) -> Answer:
    body: PaymentRequest = call.body
    assert call.once is not None
    way = Way(body.provider, body.method)
    content = await call.services.paying.create(call.caller, body.quote_ids, body.bill_ids, way, call.once, created)
    return Answer(content, 201)


async def pay_params(call: Call) -> Answer:
    params = await call.services.cashier.client_params(
        call.path["payment_id"], call.caller.principal, call.client_ip, call.caller.actor
    )
    if "url" not in params:
        return Answer(CashierParams(**params))
    is_code = urlsplit(params["url"]).scheme not in ("http", "https")
    return Answer(CashierAddress(params["url"], _drawn(params["url"]) if is_code else None))


async def show(call: Call) -> Answer:
    rows = await progress([call.path["payment_id"]], call.caller.principal)
    if not rows:
        raise NotFound("payment")
    return Answer(_view(rows[0]))


async def check(call: Call) -> Answer:
    """The payer has come back from the cashier: ask the provider now rather than wait for its notice."""
    payment = await _own(call)
    try:
        await call.services.follower.query(payment)
    except (OutboundError, ProviderRefused, TradeMismatch, MethodNotOffered) as error:
        raise PaymentUnclear from error
    return await show(call)


async def close(call: Call) -> Answer:
    payment = await _own(call)
    try:
        await call.services.follower.close(payment, call.caller.actor)
    except (OutboundError, ProviderRefused, TradeMismatch, MethodNotOffered) as error:
        raise PaymentUnclear from error
    return await show(call)


async def list_payments(call: Call) -> Answer:
    query: Page = call.query
    principal = call.caller.principal
    rows = await fetch(
        "select p.id from payment p join payment_access($1, $2, $3) way on way.payment_id = p.id"
        " where $4::uuid is null or p.id < $4 group by p.id order by p.id desc limit $5",
        *principal,
        clock.now(),
        query.after,
        query.limit,
    )
    found = await progress([row["id"] for row in rows], principal)
    return Answer(PaymentList([_view(row) for row in found], found[-1]["id"] if len(rows) == query.limit else None))


async def _own(call: Call) -> Payment:
    payment = await payment_for(call.path["payment_id"], call.caller.principal)
    if payment is None:
        raise NotFound("payment")
    return payment


def _drawn(text: str) -> str:
    """A QR code as an SVG image, with the quiet zone that scanners need."""
    return segno.make(text, error="m", micro=False).svg_inline(scale=4, border=4)


def created(created: Created) -> bytes:
    parts = [
        CreatedPartView(
            part.company,
            part.amount_fen,
            [PaidBill(bill_id, amount_fen) for bill_id, amount_fen in part.bills],
            part.purpose,
        )
        for part in created.parts
    ]
    return msgspec.json.encode(
        PaymentCreated(created.payment_id, "created", created.total_fen, created.expires_at, parts)
    )


async def _quotes(call: Call, account_ids: list[UUID]) -> QuoteList:
    if len(set(account_ids)) != len(account_ids):
        raise RequestMalformed(where="body.account_ids", reason="an account named twice")
    found = await call.services.quotes.for_accounts(call.caller, account_ids)
    answers: list[AccountQuote] = []
    for account_id, one in zip(account_ids, found, strict=True):
        if isinstance(one, OpenQuote):
            answers.append(AccountQuote(account_id, _quote(call, one), None))
        else:
            words = WORDS[one.code]
            answers.append(AccountQuote(account_id, None, QuoteRefused(one.code, words.title, words.detail)))
    return QuoteList(answers, sum(answer.quote.total_fen for answer in answers if answer.quote))


def _quote(call: Call, found: OpenQuote) -> QuoteView:
    quote = found.quote
    company = found.bills[0].company
    shown = found.bills if quote.basis != "scan" else []
    bills = [QuotedBill(bill.id, bill.period, quote.lines[str(bill.id)]) for bill in shown]
    notice = call.services.city.payment_rules(clock.today()).surcharge.notice
    return QuoteView(quote.id, company, quote.total_fen, quote.expires_at, bills, notice)


def _view(row: dict) -> PaymentView:
    return PaymentView(
        row["id"], row["status"], row["progress"], row["provider"], row["method"], row["total_fen"], row["created_at"], row["expires_at"],
        row["paid_at"], row["refunded_fen"], [_part(part) for part in row["parts"]],
    )  # fmt: skip


def _part(row: dict) -> PaymentPartView:
    bills = [
        PaidBill(UUID(key.removeprefix("bill:")), amount)
        for key, amount in zip(row["claim_keys"], row["amounts_fen"], strict=True)
        if row["purpose"] == BILLS
    ]
    return PaymentPartView(
        row["payee"], row["progress"], row["amount_fen"], row["posted_at"], row["posting_serial"], row["refunded_fen"], row["refund_reason"],
        bills, row["purpose"],
    )  # fmt: skip
