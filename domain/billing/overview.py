"""Everything one may see, in one look: each account with what is owed, all companies asked at once, for no longer than the pack says.

A slow or dead company costs only its own part. Its question is not given up when the caller's answer leaves, or the caller does: it
goes on by itself, and a job asks again should it come to nothing, so that the next look has the answer.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from cities.schema import City
from core import clock
from core.database import fetch
from core.failpoint import failpoint
from core.log import get_logger
from core.queue import enqueue_unless_waiting
from domain.billing.accounts import Accounts, CompanyAway, SeenAccount
from domain.billing.refresh import BEING_RECORDED, AccountRefused, FileOverdue, Refresher, is_fresh
from domain.companies import Companies, CompanyNotJoined
from models.access import Principal
from models.share import note_use
from models.utility_account import UtilityAccount

log = get_logger(__name__)

CATCH_UP_TASK = "billing.catch_up"
PER_COMPANY = 4
"""Questions of one look to one company at a time: whoever has very many accounts leaves room for others."""

State = Literal["fresh", "asking", "away", "refused", "stale"]
"""fresh: the company's word of now; asking: it has not answered yet; away: it cannot be asked; refused: it has nothing to say about this
account; stale: it sends its bills by file, and the newest one that should be here has not come."""

# When the company was asked is read here too: a question that somebody else began has not touched the rows this look has read.
_OPEN = f"""
select a.id as account_id, a.bills_checked_at, count(bill.id) as bills, coalesce(sum(bill.payable_fen), 0)::bigint as fen
from utility_account a left join bill on bill.account_id = a.id and bill.status = 'open' and not {BEING_RECORDED}
where a.id = any($1::uuid[]) group by a.id
"""  # noqa: S608  constants of ours


@dataclass(frozen=True, slots=True)
class Part:
    """One account. `total_fen` is said only when `state` is fresh; else `last_known_fen` is what the company last said, at `checked_at`.

    None: unknown, never 0 for that.
    """

    seen: SeenAccount
    state: State
    total_fen: int | None
    last_known_fen: int | None
    bill_count: int | None
    checked_at: datetime | None

    @property
    def account(self) -> UtilityAccount:
        """The account."""
        return self.seen.view.account


@dataclass(frozen=True, slots=True)
class Place:
    """The accounts of one address; `address_masked` None: the companies named none."""

    address_masked: str | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """All of it. `known_fen` adds up what is fresh; with `is_partial` there may be more."""

    known_fen: int
    is_partial: bool
    places: tuple[Place, ...]


class Overview:
    """Looks at all accounts at once."""

    def __init__(self, companies: Companies, accounts: Accounts, refresher: Refresher, city: City) -> None:
        self._companies = companies
        self._accounts = accounts
        self._refresher = refresher
        self._city = city
        self._questions: dict[UUID, asyncio.Task[State]] = {}

    async def look(self, principal: Principal) -> Look:
        """Every account the principal may see, by address, in the order in which they were added."""
        seen = await self._accounts.mine(principal)
        states = await self._ask_all([one.view.account for one in seen])
        for one in seen:
            await note_use(one.way, principal.person_id, "owed.seen", one.view.account.id)
        late = [account_id for account_id, state in states.items() if state == "asking"]
        if late:
            await self._catch_up_later(late)
        sums = {row["account_id"]: row for row in await fetch(_OPEN, list(states))}
        parts = [self._part(one, states[one.view.account.id], sums[one.view.account.id]) for one in seen]
        return Look(
            sum(part.total_fen or 0 for part in parts),
            any(part.total_fen is None for part in parts),
            _places(parts),
        )

    async def catch_up(self, account_id: UUID) -> None:
        """Ask about an account whose company did not answer in time; stops politely when somebody has been told since."""
        account = await UtilityAccount.get(id=account_id)
        if is_fresh(account, self._fresh_for()):
            return
        try:
            await self._refresher.refresh(account, "view")
        except (CompanyAway, CompanyNotJoined) as error:
            # Whoever looks next asks again: nothing waits for this answer.
            log.info("overview.not_caught_up", account_id=str(account_id), error_code=error.code)

    async def aclose(self) -> None:
        """End the questions that are still out: the process is going down, their jobs ask again."""
        questions = list(self._questions.values())
        for question in questions:
            question.cancel()
        if questions:
            await asyncio.wait(questions)

    def _fresh_for(self) -> timedelta:
        return self._city.fresh_for(clock.today())

    async def _ask_all(self, accounts: Sequence[UtilityAccount]) -> dict[UUID, State]:
        rule = self._city.payment_rules(clock.today()).view
        deadline_s = clock.monotonic() + rule.answer_within.total_seconds()
        states: dict[UUID, State] = {}
        places: dict[str, asyncio.Semaphore] = {}
        questions: dict[UUID, asyncio.Task[State]] = {}
        for account in accounts:
            known = self._known_state(account, rule.fresh_for)
            if known is not None:
                states[account.id] = known
                continue
            place = places.setdefault(account.company, asyncio.Semaphore(PER_COMPANY))
            questions[account.id] = self._question(account, place, deadline_s)
        if questions:
            await asyncio.wait(questions.values(), timeout=max(0.0, deadline_s - clock.monotonic()))
        for account in accounts:
            question = questions.get(account.id)
            if question is not None:
                states[account.id] = question.result() if question.done() and not question.cancelled() else "asking"
        return states

    def _known_state(self, account: UtilityAccount, fresh_for: timedelta) -> State | None:
        """The state of an account nobody has to be asked about; None: its company has to be."""
        try:
            self._companies.get(account.company)
        except CompanyNotJoined:
            return "away"
        return "fresh" if is_fresh(account, fresh_for) else None

    def _question(self, account: UtilityAccount, place: asyncio.Semaphore, deadline_s: float) -> asyncio.Task[State]:
        """The question about an account that is out, or a new one. It belongs to the process: no caller who leaves takes it along."""
        question = self._questions.get(account.id)
        if question is None:
            question = _start(self._ask(account, place, deadline_s))
            self._questions[account.id] = question
            question.add_done_callback(lambda _: self._questions.pop(account.id, None))
        return question

    async def _ask(self, account: UtilityAccount, place: asyncio.Semaphore, deadline_s: float) -> State:
        async with place:
            if clock.monotonic() >= deadline_s:
                return "asking"
            try:
                await self._refresher.look(account)
            except AccountRefused:
                return "refused"
            except FileOverdue:
                return "stale"
            except (CompanyAway, CompanyNotJoined):
                return "away"
            except Exception as error:
                log.error("overview.question_failed", account_id=str(account.id), error_type=type(error).__name__)
                return "away"
        return "fresh"

    async def _catch_up_later(self, account_ids: Sequence[UUID]) -> None:
        """A job for each account whose answer is late, unless one waits already: it finds nothing to do when the answer came after all."""
        at = clock.now() + max(
            (company.rules.gateway.timeout for company in self._companies), default=timedelta(seconds=5)
        )
        await enqueue_unless_waiting(CATCH_UP_TASK, "account_id", account_ids, at=at)
        failpoint("overview.catch_up_committed")

    def _part(self, seen: SeenAccount, state: State, open_bills: Any) -> Part:
        checked_at = open_bills["bills_checked_at"]
        if checked_at is None:
            return Part(seen, state, None, None, None, None)
        total_fen = open_bills["fen"] if state == "fresh" else None
        return Part(seen, state, total_fen, open_bills["fen"], open_bills["bills"], checked_at)


def _places(parts: Sequence[Part]) -> tuple[Place, ...]:
    """By address: the same one when companies told it alike in full, else when what they show of it is alike."""
    by_address: dict[object, list[Part]] = {}
    for part in parts:
        address = bytes(part.account.address_index) if part.account.address_index else part.seen.view.address_masked
        by_address.setdefault(address, []).append(part)
    return tuple(Place(parts[0].seen.view.address_masked, tuple(parts)) for parts in by_address.values())


def _start(work: Coroutine[Any, Any, State]) -> asyncio.Task[State]:
    return asyncio.create_task(work)  # noqa: TID251 -- outside any transaction
