"""Finding a utility account at its company, binding it with a proof, and ending bindings."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.outbound import FailureKind, OutboundError
from core.redis import Limiter, RateLimited
from domain.billing.foreign import Candidate, number_in, recognised
from domain.companies import Companies, JoinedCompany
from domain.identity.mandates import ScopeMissing
from domain.identity.tokens import Caller
from gateways.companies import Account, CompanyRefusal, Proof
from models.access import Principal, way_to, way_to_any
from models.lifecycle import Actor, announce, move
from models.share import ACCOUNT_SHARE, OWN, Share, note_use
from models.utility_account import Binding, UtilityAccount

_MINUTE = timedelta(minutes=1)
_ONCE = ("binding_live_once_per_person", "binding_live_once_per_organization")
_NO_SUCH = ("EQ0004", "EQ0006", "EB0001")


class CompanyAway(LianbanError):
    """The company's system does not answer now: what it knows is unknown, never zero. data: ``company``."""

    code = "company_away"


class AccountOrProofWrong(LianbanError):
    """No such account, or the proof does not fit it: one answer for both."""

    code = "account_or_proof_wrong"


class AccountNumberMalformed(LianbanError):
    """The number has not the company's format. data: ``company``, ``explanation``."""

    code = "account_number_malformed"


class ProofMalformed(LianbanError):
    """The proof has not the form the company asks for. data: ``company``, ``explanation``."""

    code = "proof_malformed"


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as those see it who may."""

    account: UtilityAccount
    number_masked: str
    holder_masked: str | None
    address_masked: str | None


COPIED = ("company_state", "holder_masked", "address_masked", "address_index", "balance_fen", "balance_low_since")
"""What :meth:`Accounts.copy` takes over."""


@dataclass(frozen=True, slots=True)
class SeenAccount:
    """An account one may see, and through what: `via` binding, family or agent. `label` is one's own or, of a family member, none."""

    view: AccountView
    via: str
    may_pay: bool
    binding_id: UUID
    share_id: UUID | None
    mandate_id: UUID | None
    label: str | None

    @property
    def way(self) -> dict[str, UUID | None]:
        """What :func:`models.share.note_use` asks."""
        return {"share_id": self.share_id, "mandate_id": self.mandate_id}


_MINE = """
select distinct on (way.account_id) way.*, b.created_at, case when way.via <> 'family' then b.label end as label
from account_access($1, $2, $3) way join binding b on b.id = way.binding_id order by way.account_id, way.may_pay desc, way.via, b.created_at
"""
_REVOCABLE = """
select b.id from binding b where b.id = $1
  and (case when $3::uuid is null then b.person_id = $2 else b.organization_id = $3 end or exists (
    select 1 from binding earlier where earlier.account_id = b.account_id and earlier.revoked_at is null and earlier.created_at < b.created_at
      and case when $3::uuid is null then earlier.person_id = $2 else earlier.organization_id = $3 end))
  and ($3::uuid is null or (b.revoked_at is not null and b.organization_id = $3) or exists (
    select 1 from account_access($2, $3, $4) way where way.account_id = b.account_id and way.via = 'agent' and way.may_pay))
for update of b
"""
"""One's own binding, or one made after one's own; for an organization, where the mandate lets one pay the account."""
_BINDERS = """
select b.id from binding b where b.account_id = $1 and b.revoked_at is null
  and not exists (select 1 from person_join j where j.absorbed_id = b.person_id and j.undone_at is null)
order by b.created_at limit $2
"""
"""What stayed with an absorbed identity stayed since the other has it too."""
_MOST_LISTED = 200


class Accounts:
    """Utility accounts and who may see them."""

    def __init__(self, companies: Companies, city: City, vault: Vault, limiter: Limiter) -> None:
        self._companies = companies
        self._city = city
        self._vault = vault
        self._limiter = limiter

    async def bind(
        self, caller: Caller, company_code: str, number: str, proof_value: str, label: str | None
    ) -> Binding:
        """Bind an account to the caller after the company has checked his proof. Binding it again gives the same binding.

        `number` as typed, or the whole text of a code that the company printed by itself.
        The earlier binders and the holder are told and may revoke.

        Raises:
            CompanyNotJoined, AccountNumberMalformed, ProofMalformed, RateLimited, LimiterAway, AccountOrProofWrong, CompanyAway.
        """
        company = self._companies.get(company_code)
        if caller.organization_id is not None and await way_to_any(company.rules.service, caller.principal) is None:
            # All of his organization's agents will see it, so his mandate must not be for some accounts only.
            raise ScopeMissing(scope="pay")
        number = number_in(company.rules, number) or tidy(number)
        proof_value = tidy(proof_value).upper()
        if not company.rules.account.fits(number):
            raise AccountNumberMalformed(company=company.code, explanation=company.rules.account.explanation)
        if not company.rules.proof.fits(proof_value):
            raise ProofMalformed(company=company.code, explanation=company.rules.proof.explanation)
        await self._count_try(caller, company, number)
        found = await self._ask(company, number, proof_value)
        failpoint("binding.answered")
        try:
            async with transaction():
                account = await self.remember(company, number, found)
                binding = await self._insert_binding(caller, account, label)
        except Exception as error:
            if violated_constraint(error) not in _ONCE:
                raise
            account = await self.known(company, number)
            assert account is not None
            binding = await Binding.live(account.id, caller.principal)
            assert binding is not None
        failpoint("binding.committed")
        return binding

    async def remember(self, company: JoinedCompany, number: str, found: Account) -> UtilityAccount:
        """Our row of an account the company has told us about, in the caller's transaction."""
        known = await self.known(company, number, lock=True)
        if known is None:
            account_id = ids.new_id()
            await fetch_one(
                "insert into utility_account (id, company, service, number, number_index, company_state, created_at)"
                " values ($1, $2, $3, $4, $5, $6, $7) on conflict (company, number_index) do nothing",
                account_id, company.code, company.rules.service, self._vault.seal(number, "utility_account.number", account_id),
                self._number_index(company, number), str(found.status), clock.now(),
            )  # fmt: skip
            known = await self.known(company, number, lock=True)
            assert known is not None
        self.copy(known, found)
        await known.save(update_fields=list(COPIED))
        return known

    def copy(self, account: UtilityAccount, found: Account) -> None:
        """Take over what the company says of an account today; the caller saves it."""
        account.company_state = str(found.status)
        account.holder_masked = self._vault.seal(found.holder_masked, "utility_account.holder_masked", account.id)
        account.address_masked = self._vault.seal(found.address_masked, "utility_account.address_masked", account.id)
        account.balance_fen = found.balance_fen
        rule = self._city.company(account.company).top_up
        is_low = rule is not None and found.balance_fen is not None and found.balance_fen < rule.low_fen
        account.balance_low_since = (account.balance_low_since or clock.now()) if is_low else None
        if found.address is not None:
            account.address_index = self._vault.index("utility_account.address", tidy(found.address))

    async def known(self, company: JoinedCompany, number: str, *, lock: bool = False) -> UtilityAccount | None:
        """Our row of this account, if we have one."""
        query = UtilityAccount.filter(company=company.code, number_index=self._number_index(company, number))
        return await (query.select_for_update(no_key=True) if lock else query).get_or_none()

    async def find_or_ask(self, company: JoinedCompany, number: str) -> UtilityAccount:
        """Our row of this account; the company is asked when we have none.

        Raises:
            NotFound: the company knows no such account. CompanyAway: it does not answer.
        """
        account = await self.known(company, number)
        if account is not None:
            return account
        try:
            found = await company.gateway.find_account(number)
        except CompanyRefusal as error:
            if error.company_code in _NO_SUCH:
                raise NotFound("utility_account") from error
            raise CompanyAway(company=company.code) from error
        except OutboundError as error:
            raise CompanyAway(company=company.code) from error
        async with transaction():
            return await self.remember(company, number, found)

    async def mine(self, principal: Principal) -> list[SeenAccount]:
        """The accounts one may see, each once, by the time of their bindings, oldest first."""
        ways = sorted(await fetch(_MINE, *principal, clock.now()), key=lambda way: way["created_at"])[:_MOST_LISTED]
        accounts = await UtilityAccount.in_bulk([way["account_id"] for way in ways], "id")
        return [
            SeenAccount(
                self.view(accounts[way["account_id"]]),
                way["via"],
                way["may_pay"],
                way["binding_id"],
                way["share_id"],
                way["mandate_id"],
                way["label"],
            )
            for way in ways
        ]

    def candidates(self, text: str) -> tuple[Candidate, ...]:
        """The joined companies whose own printed codes look like `text`, each with the number in it; nothing is asked of anybody."""
        return recognised((company.rules for company in self._companies), text)

    def view(self, account: UtilityAccount) -> AccountView:
        """The account with its personal fields opened and masked."""
        number = self.number(account)
        return AccountView(
            account,
            "*" * max(0, len(number) - 4) + number[-4:],
            self._opened(account, "holder_masked"),
            self._opened(account, "address_masked"),
        )

    def number(self, account: UtilityAccount) -> str:
        """The account's number in full, for the company only."""
        return self._vault.open(account.number, "utility_account.number", account.id)

    async def binders(self, account_id: UUID, principal: Principal) -> list[Binding]:
        """The live bindings of an account that the principal has one of, oldest first; of joined identities that both had one, one.

        Raises:
            NotFound: he has none; a family member has none either.
        """
        way = await way_to(account_id, principal)
        if way is None or way["via"] == "family":
            raise NotFound("utility_account")
        shown = [row["id"] for row in await fetch(_BINDERS, account_id, _MOST_LISTED)]
        return await Binding.filter(id__in=shown).order_by("created_at")

    async def revoke(self, binding_id: UUID, principal: Principal) -> None:
        """End one's own binding, or one that was made after one's own. Ending it again changes nothing.

        Raises:
            NotFound: no such binding within his reach.
        """
        async with transaction():
            row = await fetch_one(_REVOCABLE, binding_id, *principal, clock.now())
            if row is None:
                raise NotFound("binding")
            binding = await Binding.get(id=binding_id)
            way, own = await self._way_to_revoke(binding, principal), binding.belongs_to(principal)
            if binding.revoked_at is None:
                await note_use(way, principal.person_id, "binding.revoked", binding.account_id, binding.id)
            await end_binding(
                binding,
                "owner" if own else "earlier_binder",
                Actor("person", str(principal.person_id)),
            )
        failpoint("binding.revoked_committed")

    async def _way_to_revoke(self, binding: Binding, principal: Principal) -> Any:
        """By which mandate an agent ends it, for it to be written down; what has ended already he may end again."""
        way = await way_to(binding.account_id, principal, "agent") if principal.organization_id is not None else None
        return way if way is not None and way["may_pay"] else OWN

    async def count_look(self, account: UtilityAccount) -> None:
        """Count a question to the company that somebody's look makes: whoever reloads a page does not pass that on to a company in need.

        Raises:
            CompanyAway: it has been asked about this account as often as the pack allows.
        """
        most = self._city.payment_rules(clock.today()).view.asks_per_minute
        try:
            await self._limiter.take(f"look:{account.id}", most, _MINUTE, closed=False)
        except RateLimited as error:
            raise CompanyAway(company=account.company) from error

    async def _count_try(self, caller: Caller, company: JoinedCompany, number: str) -> None:
        rule = self._city.payment_rules(clock.today()).binding_limit
        await self._limiter.take(f"bind:person:{caller.person_id}", rule.per_person, rule.window)
        await self._limiter.take(
            f"bind:account:{self._number_index(company, number).hex()}", rule.per_account, rule.window
        )

    async def _ask(self, company: JoinedCompany, number: str, proof_value: str) -> Account:
        try:
            return await company.gateway.find_account(number, Proof(company.rules.proof.kind, proof_value))
        except CompanyRefusal as error:
            if error.company_code in _NO_SUCH:
                raise AccountOrProofWrong from error
            if error.kind is FailureKind.PERMANENT:
                raise AccountOrProofWrong from error
            raise CompanyAway(company=company.code) from error
        except OutboundError as error:
            raise CompanyAway(company=company.code) from error

    async def _insert_binding(self, caller: Caller, account: UtilityAccount, label: str | None) -> Binding:
        way = await way_to_any(account.service, caller.principal) if caller.organization_id is not None else OWN
        if way is None:  # his mandate has ended while the company was asked
            raise ScopeMissing(scope="pay")
        binding = await Binding.create(
            id=ids.new_id(),
            account_id=account.id,
            **caller.principal.owned,
            actor_user_id=caller.user_id,
            reference=ids.new_reference(),
            label=label,
            created_at=clock.now(),
        )
        await announce("binding.created", "binding", binding.id, Actor("person", str(caller.person_id)))
        await note_use(way, caller.person_id, "binding.created", account.id, binding.id)
        return binding

    def _number_index(self, company: JoinedCompany, number: str) -> bytes:
        return self._vault.index(f"utility_account.number.{company.code}", number)

    def _opened(self, account: UtilityAccount, column: str) -> str | None:
        cell = getattr(account, column)
        return self._vault.open(cell, f"utility_account.{column}", account.id) if cell is not None else None


async def end_binding(binding: Binding, by: str, actor: Actor) -> None:
    """End a locked binding and all that hangs on it in the caller's transaction; `by` is owner, earlier_binder or holder."""
    if binding.revoked_at is not None:
        return
    shares = await Share.filter(binding_id=binding.id, status__in=("offered", "active")).select_for_update()
    await end_shares(shares, "binding", actor)
    binding.revoked_at, binding.revoked_by = clock.now(), by
    await binding.save(update_fields=["revoked_at", "revoked_by"])
    await announce("binding.revoked", "binding", binding.id, actor, {"by": by})


async def end_shares(shares: Sequence[Share], by: str, actor: Actor) -> None:
    """End locked shares in the caller's transaction; `by` is owner, member or binding. What is over already stays as it is."""
    for share in shares:
        event = {"offered": "withdraw", "active": "end"}.get(str(share.status))
        if event is not None:
            await move(ACCOUNT_SHARE, share, event, actor, columns={"ended_at": clock.now(), "ended_by": by})


def tidy(text: str) -> str:
    """What people type, without spaces and dashes, full-width digits and letters made plain; wrong input stays wrong."""
    return "".join(
        character
        for character in unicodedata.normalize("NFKC", text)
        if not character.isspace() and character not in "-－"
    )
