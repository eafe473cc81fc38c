"""The exchange of files with companies that have no interface: account files in, postings out at each cutoff, answers in.

A file is taken whole or not at all. One that proves nothing changes nothing: it is an alarm, its reason is kept, and it is fetched
again until a right one lies there. Each step may be repeated, by anybody, at any time: a killed one goes on where it stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import msgspec

from cities.schema import City
from core import clock, ids
from core.apart import Apart
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, OutboundError
from core.queue import enqueue
from domain.billing.posting import POST_TASK
from domain.companies import Companies
from domain.companies.filed import FiledCompany, due_day, last_cutoff
from gateways.company_codes import COMPANY_CODES
from gateways.company_files import (
    Envelope,
    File,
    FiledAnswer,
    FileRefused,
    NameTaken,
    accounts_in,
    answers_in,
    open_file,
    write_file,
)
from models.company_file import CompanyFile, FiledPosting

log = get_logger(__name__)

AT_ONCE = 200
"""Accounts written in one statement."""
_BODY = "company_file.body"

_SHELVE = """
insert into filed_account (id, company, number_index, content, as_of)
select gen_random_uuid(), $1, number_index, content, $4 from unnest($2::bytea[], $3::bytea[]) as said (number_index, content)
on conflict (company, number_index) do update set content = excluded.content, as_of = excluded.as_of
where filed_account.as_of <= excluded.as_of
"""
_SEEN = """
insert into company_file (id, company, kind, name, day, number, made_at, rows, total_fen) values ($1, $2, $3, $4, $5, $6, $7, 0, 0)
on conflict (company, name) do nothing
"""
_SETTLE = """
update company_file set settled_at = $3, sha256 = $4, rows = $5, total_fen = $6, refusal = null, refused_at = null
where company = $1 and name = $2 and settled_at is null returning id
"""
_REFUSED = (
    "update company_file set refusal = $3, refused_at = $4 where company = $1 and name = $2 and settled_at is null"
)
_ANSWER = """
update filed_posting p set answer = said.answer, serial = said.serial, posted_at = said.posted_at, refusal_code = said.code, answered_at = $6
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[]) as said (id, answer, serial, posted_at, code)
where p.id = said.id and p.answer is null returning p.id
"""
_UNANSWERED = """
select * from company_file f where f.company = $1 and f.kind = 'postings' and f.settled_at is not null
  and exists (select 1 from filed_posting p where p.file_id = f.id and p.answer is null) order by f.day, f.number
"""


class Exchange:
    """Carries files between us and the companies of the gateway mode ``file``."""

    def __init__(self, companies: Companies, vault: Vault, city: City) -> None:
        self._filed = [company.gateway for company in companies if isinstance(company.gateway, FiledCompany)]
        self._vault = vault
        self._city = city

    async def tick(self) -> None:
        """Everything that is due, company by company; one that is away, or whose step fails, holds up nobody else."""
        apart = Apart("company_file.step_failed")
        for filed in self._filed:
            for step in (self.take_accounts, self.cut, self.deliver, self.take_answers):
                with apart.one(company=filed.code, step=step.__name__):
                    await self._tried(filed, step)
        apart.end()

    async def take_accounts(self, filed: FiledCompany) -> None:
        """Take the newest account file there is, if it is newer than the one we have; say when today's is overdue."""
        now, due = clock.now(), due_day(filed.rule, clock.now())
        row = await fetch_one(
            "select max(day) as day from company_file where company = $1 and kind = 'accounts' and settled_at is not null",
            filed.code,
        )
        newest: date | None = row["day"] if row else None
        look_back = self._city.payment_rules(clock.today()).bill_file.look_back.days
        for day in (due - timedelta(days=back) for back in range(look_back)):
            if newest is not None and day <= newest:
                break
            if await self._take_day(filed, day):
                return
        overdue_at = datetime.combine(due + timedelta(days=1), filed.rule.late_at, clock.SHANGHAI)
        if now >= overdue_at and newest != due:
            await self._say_late(filed, filed.files.envelope("accounts", due))

    async def cut(self, filed: FiledCompany) -> None:
        """Write everything that waits since before the last cutoff into its file, once for each cutoff."""
        cut_at, number = last_cutoff(filed.rule, clock.now())
        envelope = filed.files.envelope("postings", cut_at.date(), number)
        try:
            async with transaction():
                waiting = (
                    await FiledPosting.filter(company=filed.code, file_id=None, made_at__lt=cut_at)
                    .order_by("id")
                    .select_for_update()
                )
                if waiting:
                    await self._made(filed, envelope, number, waiting)
        except Exception as error:
            if violated_constraint(error) != "company_file_once":
                raise
            return  # this cutoff has its file: what came after it waits for the next
        failpoint("company_file.made_committed")

    async def deliver(self, filed: FiledCompany) -> None:
        """Lay our files down at the company's place; again until they surely lie there."""
        for row in await CompanyFile.filter(company=filed.code, kind="postings", settled_at=None).order_by(
            "day", "number"
        ):
            await filed.files.put(row.name, self._vault.open_bytes(row.body, _BODY, row.id))
            failpoint("company_file.put")
            async with transaction():
                await CompanyFile.filter(id=row.id, settled_at=None).update(settled_at=clock.now())
            failpoint("company_file.delivered_committed")
            log.info("company_file.delivered", company=filed.code, name=row.name, count=row.rows)

    async def take_answers(self, filed: FiledCompany) -> None:
        """Take the answer to each of our files that has none; each of its postings goes on by its own job."""
        for row in await fetch(_UNANSWERED, filed.code):
            wanted = filed.files.envelope("answers", row["day"], row["number"])
            body = await filed.files.fetch(wanted.name)
            if body is None:
                if clock.now() >= row["settled_at"] + filed.rule.answered_within:
                    await self._say_late(filed, wanted, row["number"])
                continue
            asked = {str(posting.id): posting.total_fen for posting in await FiledPosting.filter(file_id=row["id"])}
            try:
                file = await asyncio.to_thread(open_file, body, wanted, filed.files.keys)
                answers = _known(answers_in(file, asked))
            except FileRefused as refused:
                await self._refuse(filed, wanted, refused.reason, row["number"])
                continue
            await self._answered(filed, file, answers, row["number"])

    async def _take_day(self, filed: FiledCompany, day: date) -> bool:
        wanted = filed.files.envelope("accounts", day)
        body = await filed.files.fetch(wanted.name)
        if body is None:
            return False
        service = self._city.company(filed.code).service
        try:
            file = await asyncio.to_thread(open_file, body, wanted, filed.files.keys)
            accounts = await asyncio.to_thread(accounts_in, file, service)
        except FileRefused as refused:
            await self._refuse(filed, wanted, refused.reason)
            return False
        as_of = datetime.combine(day + timedelta(days=1), time(), clock.SHANGHAI)
        for begin in range(0, len(accounts), AT_ONCE):
            shelved = [filed.shelved(account) for account in accounts[begin : begin + AT_ONCE]]
            async with transaction():
                await fetch(_SHELVE, filed.code, [row[0] for row in shelved], [row[1] for row in shelved], as_of)
            failpoint("company_file.accounts_committed")
        async with transaction():
            await self._seen(filed, wanted, None)
            await fetch("delete from filed_account where company = $1 and as_of < $2", filed.code, as_of)
            await fetch(_SETTLE, filed.code, wanted.name, clock.now(), file.sha256, len(accounts), file.total_fen)
        failpoint("company_file.taken_committed")
        log.info("company_file.taken", company=filed.code, name=wanted.name, count=len(accounts))
        return True

    async def _made(self, filed: FiledCompany, envelope: Envelope, number: int, waiting: list[FiledPosting]) -> None:
        lines = [msgspec.json.decode(filed.content(row.id, row.content)) for row in waiting]
        total_fen = sum(row.total_fen for row in waiting)
        body = write_file(envelope, lines, total_fen, filed.files.key)
        file_id = ids.new_id()
        await CompanyFile.create(
            id=file_id,
            company=filed.code,
            kind="postings",
            name=envelope.name,
            day=envelope.day,
            number=number,
            sha256=msgspec.json.decode(body.rstrip(b"\n").rpartition(b"\n")[2])["trailer"]["sha256"],
            rows=len(waiting),
            total_fen=total_fen,
            body=self._vault.seal(body, _BODY, file_id),
            made_at=clock.now(),
        )
        await FiledPosting.filter(id__in=[row.id for row in waiting], file_id=None).update(file_id=file_id)

    async def _answered(self, filed: FiledCompany, file: File, answers: tuple[FiledAnswer, ...], number: int) -> None:
        async with transaction():
            await self._seen(filed, file.envelope, number)
            await fetch(
                _ANSWER, [UUID(one.posting_id) for one in answers], [one.status for one in answers], [one.serial for one in answers],
                [one.posted_at for one in answers], [one.code for one in answers], clock.now(),
            )  # fmt: skip
            await fetch(_SETTLE, filed.code, file.envelope.name, clock.now(), file.sha256, len(answers), file.total_fen)
            for one in answers:
                await enqueue(POST_TASK, posting_id=UUID(one.posting_id), step=0)
        failpoint("company_file.answers_committed")
        log.info("company_file.answered", company=filed.code, name=file.envelope.name, count=len(answers))

    async def _refuse(self, filed: FiledCompany, wanted: Envelope, reason: str, number: int | None = None) -> None:
        """Keep why a file was not taken; nothing else changes."""
        async with transaction():
            await self._seen(filed, wanted, number)
            await fetch(_REFUSED, filed.code, wanted.name, reason, clock.now())
        log.error("company_file.refused", company=filed.code, name=wanted.name, reason=reason)

    async def _say_late(self, filed: FiledCompany, wanted: Envelope, number: int | None = None) -> None:
        """Say once, as an error, that a file is overdue."""
        async with transaction():
            await self._seen(filed, wanted, number)
            said = await fetch(
                "update company_file set late_at = $3 where company = $1 and name = $2 and late_at is null returning id",
                filed.code,
                wanted.name,
                clock.now(),
            )
        if said:
            log.error("company_file.late", company=filed.code, name=wanted.name)

    async def _seen(self, filed: FiledCompany, wanted: Envelope, number: int | None) -> None:
        await fetch(_SEEN, ids.new_id(), filed.code, wanted.kind, wanted.name, wanted.day, number, clock.now())

    async def _tried(self, filed: FiledCompany, step: Callable[[FiledCompany], Awaitable[Any]]) -> None:
        try:
            await step(filed)
        except (OutboundError, NameTaken) as error:
            level = log.error if isinstance(error, NameTaken) else log.warning
            level("company_file.postponed", company=filed.code, step=step.__name__, error_code=error.code)


def _known(answers: tuple[FiledAnswer, ...]) -> tuple[FiledAnswer, ...]:
    """A refusal by file is for good: a code that is unknown, or of a passing trouble, is no answer."""
    for answer in answers:
        meaning = COMPANY_CODES.get(answer.code) if answer.code is not None else None
        if answer.status == "refused" and (meaning is None or meaning.kind is not FailureKind.PERMANENT):
            raise FileRefused("code")
    return answers
