"""Paying in advance (预存): the balance of an account, and money for it, where the company keeps one.

A top-up is a payment like any other, with one part and no bill: the company has said beforehand that it takes exactly this amount for
this account, it is posted under one id for ever, refused it goes back, and what became of it is asked when it is not known. It is
never in one payment with bills, and no bill is paid out of it by us.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cities.schema import City, PaymentRules, TopUpRule
from core import clock, ids
from core.database import transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, OutboundError
from domain.billing.accounts import Accounts, CompanyAway
from domain.billing.paying import Created, CreatedPart, TooManyPayments, Way
from domain.billing.quotes import AccountNotPayable, MayOnlyRead, Quotes
from domain.companies import Companies, JoinedCompany
from domain.identity.tokens import Caller
from gateways.companies import CompanyRefusal, TopUpQuote
from models.access import way_to
from models.bill import TOP_UP, Quote
from models.idempotency import Once
from models.share import note_use
from models.utility_account import UtilityAccount
from payments import opening
from payments.opening import Line, Opening, PartOpening, TooManyLately
from payments.providers.registry import MethodNotOffered, Providers

log = get_logger(__name__)

_BY_CARD, _NOT_THIS_AMOUNT = "EQ0015", "EQ0016"


class TopUpNotOffered(LianbanError):
    """Nothing can be paid in advance for this account online. data: ``company``, ``why``: not_prepaid, or by_card (at a counter)."""

    code = "top_up_not_offered"


class TopUpAmountRefused(LianbanError):
    """Not an amount that may be paid in advance. data: ``least_fen``, ``most_fen``, ``step_fen``; null: the company's own limit."""

    code = "top_up_amount_refused"


@dataclass(frozen=True, slots=True)
class Prepaid:
    """The balance of an account. `known` False: the company could not be asked, the balance is an older word of it (None: none).

    `rule` None: the company takes nothing in advance, or keeps no balance for this account.
    """

    account: UtilityAccount
    known: bool
    rule: TopUpRule | None


class ToppingUp:
    """Shows balances and creates payments for them."""

    def __init__(
        self, companies: Companies, accounts: Accounts, quotes: Quotes, city: City, providers: Providers
    ) -> None:
        self._companies = companies
        self._accounts = accounts
        self._quotes = quotes
        self._city = city
        self._providers = providers

    async def prepaid(self, caller: Caller, account_id: UUID) -> Prepaid:
        """The balance of an account one may look at; the company is asked when what we know is old.

        Raises:
            NotFound: he may not.
        """
        way = await way_to(account_id, caller.principal)
        if way is None:
            raise NotFound("utility_account")
        account = await UtilityAccount.get(id=account_id)
        known = await self._quotes.keep_fresh(account)
        await note_use(way, caller.person_id, "owed.seen", account_id)
        rule = self._city.company(account.company).top_up
        return Prepaid(account, known, rule if account.balance_fen is not None else None)

    async def create(
        self,
        caller: Caller,
        account_id: UUID,
        amount_fen: int,
        way: Way,
        once: Once,
        render: Callable[[Created], bytes],
    ) -> bytes:
        """Create a payment of `amount_fen` for the account's balance, and keep the rendered answer under the client's key.

        Raises:
            NotFound, MayOnlyRead: the account is not his to pay. TopUpNotOffered, TopUpAmountRefused, AccountNotPayable,
            MethodNotOffered, CompanyAway, CompanyNotJoined, TooManyPayments, KeyInFlight, KeyReused.
        """
        self._providers.check(way.provider, way.method, 1)
        async with transaction():  # what was answered before needs no company to be asked again
            if kept := await once.begin():
                return kept[1]
        access = await way_to(account_id, caller.principal)
        if access is None:
            raise NotFound("utility_account")
        if not access["may_pay"]:
            raise MayOnlyRead
        account = await UtilityAccount.get(id=account_id)
        company = self._companies.get(account.company)
        if way.provider not in company.merchants:
            raise MethodNotOffered(provider=way.provider, method=way.method)
        _check_amount(company, amount_fen)
        answer = await self._asked(company, account, amount_fen)
        failpoint("top_up.quoted")
        rules = self._city.payment_rules(clock.today())
        async with transaction():
            if kept := await once.begin():
                return kept[1]
            created = await self._insert(caller, account, company, answer, amount_fen, way, rules)
            body = render(created)
            await once.keep(201, body)
            failpoint("top_up.created_before_commit")
        failpoint("top_up.created_committed")
        return body

    async def _asked(self, company: JoinedCompany, account: UtilityAccount, amount_fen: int) -> TopUpQuote:
        try:
            return await company.gateway.quote_top_up(self._accounts.number(account), amount_fen)
        except CompanyRefusal as refusal:
            log.warning("top_up.refused", company=company.code, company_code=refusal.company_code)
            if refusal.company_code == _BY_CARD:
                raise TopUpNotOffered(company=company.code, why="by_card") from refusal
            if refusal.company_code == _NOT_THIS_AMOUNT:
                raise TopUpAmountRefused(least_fen=None, most_fen=None, step_fen=None) from refusal
            if refusal.kind is FailureKind.PERMANENT and account.company_state == "open":
                raise TopUpNotOffered(company=company.code, why="not_prepaid") from refusal
            if refusal.kind is FailureKind.PERMANENT:
                raise AccountNotPayable(company=company.code, state=account.company_state) from refusal
            raise CompanyAway(company=company.code) from refusal
        except OutboundError as error:
            raise CompanyAway(company=company.code) from error

    async def _insert(
        self,
        caller: Caller,
        account: UtilityAccount,
        company: JoinedCompany,
        answer: TopUpQuote,
        amount_fen: int,
        way: Way,
        rules: PaymentRules,
    ) -> Created:
        """The quote and its payment in one commit, under the right to pay as it is now."""
        access = await way_to(account.id, caller.principal)
        if access is None or not access["may_pay"]:
            raise NotFound("utility_account")
        now, quote_id = clock.now(), ids.new_id()
        expires_at = min(now + rules.order.life, answer.quote.expires_at - rules.order.quote_margin)
        if expires_at - now < rules.order.shortest_life:
            raise CompanyAway(company=company.code)  # its word ends before anybody could pay
        await Quote.create(
            id=quote_id, account_id=account.id, person_id=caller.person_id, organization_id=caller.organization_id, basis=access["via"],
            company_quote_id=answer.quote.quote_id, lines={str(quote_id): amount_fen}, purpose=TOP_UP, total_fen=amount_fen,
            created_at=now, expires_at=answer.quote.expires_at,
        )  # fmt: skip
        await _check_often(caller, account.id, rules, now)
        payment_id = await self._open(caller, company, quote_id, access["via"], amount_fen, expires_at, way, rules)
        if access["via"] in ("family", "agent"):
            await note_use(access, caller.person_id, "payment.created", account.id, payment_id)
        return Created(payment_id, amount_fen, (CreatedPart(company.code, amount_fen, (), TOP_UP),), expires_at)

    async def _open(
        self,
        caller: Caller,
        company: JoinedCompany,
        quote_id: UUID,
        basis: str,
        amount_fen: int,
        expires_at: datetime,
        way: Way,
        rules: PaymentRules,
    ) -> UUID:
        description = f"{company.rules.short_name}-预存{company.rules.bill_name}"
        line = Line(f"fund:{quote_id}", amount_fen)
        part = PartOpening(company.code, company.merchants[way.provider], description, basis, quote_id, (line,))
        wanted = Opening(
            person_id=caller.person_id,
            organization_id=caller.organization_id,
            user_id=caller.user_id,
            provider=way.provider,
            method=way.method,
            description=description,
            parts=(part,),
            expires_at=expires_at,
            first_question_in=rules.order.query_after[0],
            most_lately=rules.creation_limit.per_bill_and_person,
            lately=clock.now() - rules.creation_limit.window,
            actor=caller.actor,
        )
        try:
            return await opening.insert(wanted)
        except TooManyLately:
            raise _too_many(rules.creation_limit.window) from None


async def _check_often(caller: Caller, account_id: UUID, rules: PaymentRules, now: datetime) -> None:
    """As many as of one bill: each question has a claim of its own here, so the account's questions are counted."""
    since = now - rules.creation_limit.window
    asked = await Quote.filter(
        account_id=account_id, person_id=caller.person_id, purpose=TOP_UP, created_at__gt=since
    ).count()
    if asked > rules.creation_limit.per_bill_and_person:
        raise _too_many(rules.creation_limit.window)


def _check_amount(company: JoinedCompany, amount_fen: int) -> None:
    rule = company.rules.top_up
    if rule is None:
        raise TopUpNotOffered(company=company.code, why="not_prepaid")
    if not rule.least_fen <= amount_fen <= rule.most_fen or amount_fen % rule.step_fen:
        raise TopUpAmountRefused(least_fen=rule.least_fen, most_fen=rule.most_fen, step_fen=rule.step_fen)


def _too_many(window: timedelta) -> TooManyPayments:
    return TooManyPayments(retry_after_s=int(window.total_seconds()))
