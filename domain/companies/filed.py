"""A company without an interface, as the others are asked: its last account file answers, what it is told waits for the next file.

Nothing here waits for the company. What it says is as old as its file (:class:`FiledBills`), and a posting stays in processing until
its answer file has come (:mod:`domain.billing.exchange`).
"""

import hmac
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from cities.schema import FileRule
from core import clock
from core.crypto import Vault
from core.database import fetch, fetch_one
from core.failpoint import failpoint
from core.outbound import FailureKind, MalformedAnswer
from core.strict_json import decode
from gateways.companies import (
    Account,
    AccountStatus,
    Bills,
    CompanyRefusal,
    HolderNotice,
    Posted,
    Posting,
    PostingAnswer,
    PostingFile,
    Processing,
    Proof,
    Quote,
    Refused,
    TopUpQuote,
)
from gateways.company_codes import COMPANY_CODES
from gateways.company_files import CompanyFiles, FiledAccount, FileRefused, open_file, owed_fen, postings_in, write_file

QUOTE_LIFE = timedelta(minutes=20)
"""How long the amounts of a file stand for one payment; the next file does not change them meanwhile."""
_ACCOUNT, _POSTING = "filed_account.content", "filed_posting.content"

_KEEP = """
insert into filed_posting (id, company, content, total_fen, made_at) values ($1, $2, $3, $4, $5) on conflict do nothing
"""


class FiledBills(Bills, frozen=True, kw_only=True):
    """Bills as they stood at `as_of`; not `is_current` when a newer file should have come by now."""

    as_of: datetime
    is_current: bool


class FiledCompany:
    """One company of the gateway mode ``file``."""

    def __init__(self, code: str, rule: FileRule, files: CompanyFiles, vault: Vault) -> None:
        self.code = code
        self.rule = rule
        self.files = files
        self._vault = vault

    async def find_account(self, account_number: str, proof: Proof | None = None) -> Account:
        """§3, out of the last account file. The address is there only when `proof` was given and right.

        Raises:
            CompanyRefusal: EQ0006 no such account, EB0001 the proof does not fit, EF0001 no file has come yet.
        """
        found, _ = await self._filed("find_account", account_number)
        if proof is None:
            return _shown(found)
        if not hmac.compare_digest(found.proof.value.upper().encode(), proof.value.upper().encode()):
            raise self._refusal("find_account", "EB0001")
        return msgspec.structs.replace(_shown(found), address=found.address)

    async def query_bills(self, account_number: str, purpose: Literal["view", "quote"]) -> Bills:
        """§4, out of the last account file; a quote only while that file is the newest there should be.

        Raises:
            CompanyRefusal: EQ0006, EQ0009 (a quote for an account that is not open), EF0001.
        """
        found, as_of = await self._filed("query_bills", account_number)
        is_current = as_of >= due_until(self.rule, clock.now())
        owed = owed_fen(found.bills)
        quote = None
        if purpose == "quote":
            if found.status is not AccountStatus.OPEN:
                raise self._refusal("query_bills", "EQ0009")
            if is_current and owed:
                day = as_of.astimezone(clock.SHANGHAI).date() - timedelta(days=1)
                quote = Quote(f"file-{day}", clock.now() + QUOTE_LIFE, owed)
        return FiledBills(_shown(found), found.bills, quote, as_of=as_of, is_current=is_current)

    async def quote_top_up(self, account_number: str, _amount_fen: int) -> TopUpQuote:
        """§4a: nothing is paid in advance where files alone speak of balances.

        Raises:
            CompanyRefusal: always, EQ0009.
        """
        await self._filed("quote_top_up", account_number)
        raise self._refusal("quote_top_up", "EQ0009")

    async def post_payment(self, posting: Posting) -> PostingAnswer:
        """§5: kept for the next file, under its id for ever; posting it again is the same."""
        posting_id = UUID(posting.posting_id)
        content = self._vault.seal(msgspec.json.encode(posting), _POSTING, posting_id)
        await fetch(_KEEP, posting_id, self.code, content, posting.total_fen, clock.now())
        failpoint("filed_posting.committed")
        answer = await self.query_posting(posting.posting_id)
        assert answer is not None
        return answer

    async def query_posting(self, posting_id: str) -> PostingAnswer | None:
        """§6: how it stands; None when it was never kept."""
        row = await fetch_one("select * from filed_posting where id = $1 and company = $2", UUID(posting_id), self.code)
        if row is None:
            return None
        if row["answer"] is None:
            return Processing(posting_id)
        if row["answer"] == "posted":
            return Posted(posting_id, row["serial"], row["posted_at"])
        code = row["refusal_code"]
        return Refused(posting_id, code, COMPANY_CODES[code].kind, "")

    async def posting_file(self, day: date) -> PostingFile:
        """§7a: what the company's own books have as paid on that day.

        Raises:
            CompanyRefusal: EF0001, not there yet. MalformedAnswer: it proves nothing.
        """
        wanted = self.files.envelope("posted", day)
        body = await self.files.fetch(wanted.name)
        if body is None:
            raise self._refusal("posting_file", "EF0001")
        try:
            file = open_file(body, wanted, self.files.keys)
            return PostingFile(day, postings_in(file), file.total_fen, file.sha256)
        except FileRefused as refused:
            raise MalformedAnswer(f"company:{self.code}", "posting_file", refused.reason) from refused

    async def holder_notice(self, notice: HolderNotice) -> None:
        """§8, a file for each notice: it names nobody but the account, and the company tells the holder."""
        name = f"notice-{notice.notice_id}.ndjson"
        envelope = msgspec.structs.replace(
            self.files.envelope("notice", notice.at.astimezone(clock.SHANGHAI).date()), name=name
        )
        await self.files.put(name, write_file(envelope, [notice], 0, self.files.key))

    def content(self, posting_id: UUID, sealed: bytes) -> bytes:
        """A kept posting, as it goes into the file."""
        return self._vault.open_bytes(sealed, _POSTING, posting_id)

    def shelved(self, account: FiledAccount) -> tuple[bytes, bytes]:
        """An account of a file as it is kept: what finds it, and itself sealed."""
        index = self._index(account.number)
        return index, self._vault.seal(msgspec.json.encode(account), _ACCOUNT, f"{self.code}.{index.hex()}")

    async def _filed(self, operation: str, number: str) -> tuple[FiledAccount, datetime]:
        index = self._index(number)
        row = await fetch_one(
            "select content, as_of from filed_account where company = $1 and number_index = $2", self.code, index
        )
        if row is None:
            any_file = "select 1 from company_file where company = $1 and kind = 'accounts' and settled_at is not null"
            known = await fetch_one(f"{any_file} limit 1", self.code)
            raise self._refusal(operation, "EQ0006" if known else "EF0001")
        line = self._vault.open_bytes(row["content"], _ACCOUNT, f"{self.code}.{index.hex()}")
        return decode(line, FiledAccount), row["as_of"]

    def _index(self, number: str) -> bytes:
        return self._vault.index(f"filed_account.number.{self.code}", number)

    def _refusal(self, operation: str, code: str) -> CompanyRefusal:
        kind = COMPANY_CODES[code].kind
        assert kind in (FailureKind.PERMANENT, FailureKind.TEMPORARY)
        return CompanyRefusal(self.code, operation, code, kind, "")


def due_day(rule: FileRule, now: datetime) -> date:
    """The day whose account file is the newest that should be there."""
    here = now.astimezone(clock.SHANGHAI)
    return here.date() - timedelta(days=1 if here.timetz().replace(tzinfo=None) >= rule.ready_at else 2)


def due_until(rule: FileRule, now: datetime) -> datetime:
    """The moment that the newest file that should be there speaks of: the end of its day."""
    return datetime.combine(due_day(rule, now) + timedelta(days=1), time(), clock.SHANGHAI)


def last_cutoff(rule: FileRule, now: datetime) -> tuple[datetime, int]:
    """The last cutoff that is over, and its number within its day, from 1."""
    here = now.astimezone(clock.SHANGHAI)
    for day in (here.date(), here.date() - timedelta(days=1)):
        for number, cutoff in reversed(list(enumerate(rule.cutoffs, 1))):
            moment = datetime.combine(day, cutoff, clock.SHANGHAI)
            if moment <= here:
                return moment, number
    raise AssertionError("every day has a cutoff")


def answer_due(rule: FileRule, since: datetime) -> datetime:
    """When a posting that waits since then should have been answered: at the next cutoff it leaves."""
    here = since.astimezone(clock.SHANGHAI)
    days = (here.date(), here.date() + timedelta(days=1))
    cutoffs = (datetime.combine(day, cutoff, clock.SHANGHAI) for day in days for cutoff in rule.cutoffs)
    return next(moment for moment in cutoffs if moment > here) + rule.answered_within


def _shown(found: FiledAccount) -> Account:
    return Account(
        found.number, found.service, found.status, found.holder_masked, found.address_masked, None, None, found.balance_fen
    )  # fmt: skip
