"""Reconciling a day: each file is taken whole and once, compared with our books, and what differs becomes items.

Running a day again gives the same rows. Killed anywhere, the next run goes on where the last one stopped: a run that has its rows
does not ask for the file again, and an item exists once for ever. A difference that a later day explains ends by itself.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from cities.schema import City, ReconciliationRule
from core import clock, ids
from core.apart import Apart
from core.database import fetch, transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import OutboundError
from gateways.companies import CompanyRefusal
from models.lifecycle import SYSTEM, StaleState, born, move
from models.payment import Payment, PaymentPart
from models.reconciliation import (
    RECONCILIATION_ITEM,
    RECONCILIATION_RUN,
    ItemKind,
    ItemStatus,
    ReconciliationItem,
    ReconciliationRun,
    RunStatus,
)
from payments.providers.bills import BillNotReady, BillSource, BillWrong, DayBill, NoBill
from payments.providers.port import ProviderRefused
from payments.reconciliation.books import books_for, bounds, rows_of
from payments.reconciliation.comparing import Difference, compare

log = get_logger(__name__)

AT_ONCE = 200
"""Items opened in one transaction."""
LOOK_AGAIN = timedelta(hours=1)
_OPEN = (ItemStatus.OPEN, ItemStatus.IN_HAND, ItemStatus.PROPOSED)

_KEEP = """
insert into reconciliation_row (id, run_id, kind, number, copy, other_number, order_number, amount_fen, fee_millifen, state, at)
select gen_random_uuid(), $1, kind, number, row_number() over (partition by kind, number order by place) - 1,
  other_number, order_number, amount_fen, fee_millifen, state, at
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::timestamptz[])
  with ordinality as said (kind, number, other_number, order_number, amount_fen, fee_millifen, state, at, place)
"""


_UNEXPLAINED = """
select day, source, party, company from reconciliation_run run
where compared_at < $1 and exists (select 1 from reconciliation_item i where i.run_id = run.id and i.status not in ('explained', 'resolved'))
order by day, source, party
"""


class DayNotOver(LianbanError):
    """Files are written after the end of the day."""

    code = "reconciliation_day_not_over"


class Party(NamedTuple):
    """Whose file: `source` is a provider or ``company``, `party` the merchant's number there or the company's code."""

    source: str
    party: str
    company: str


class Outcome(NamedTuple):
    """What became of one file: `state` is the run's, or why there is no file yet."""

    party: Party
    state: str
    opened: int = 0
    explained: int = 0


class Reconciling:
    """Takes and compares the files of all parties.

    `sources` by name; `ask_again` asks the provider about a payment whose money we have not heard of, by a signed query.
    """

    def __init__(
        self,
        sources: Mapping[str, BillSource],
        parties: Sequence[Party],
        ask_again: Callable[[Payment], Awaitable[None]],
        city: City,
    ) -> None:
        self._sources = dict(sources)
        self._parties = tuple(parties)
        self._ask_again = ask_again
        self._city = city

    async def tick(self) -> int:
        """What the timetable does: files that should be there and have not been compared, and differences still open.

        How many runs were looked at. The failure of one keeps no other waiting; the first is raised in the end.
        """
        looked = 0
        apart = Apart("reconciliation.run_failed")
        today = clock.today()
        rule = self._rule(today)
        for back in range(rule.look_back.days, 0, -1):
            day = today - timedelta(days=back)
            if clock.now() < bounds(day)[1] + rule.ready_after:
                continue
            done = await ReconciliationRun.filter(day=day, status=RunStatus.MATCHED).values_list("source", "party")
            for party in self._parties:
                if (party.source, party.party) not in done:
                    with apart.one(day=str(day), source=party.source, company=party.company):
                        await self._one(day, party)
                    looked += 1
        for row in await fetch(_UNEXPLAINED, clock.now() - LOOK_AGAIN):
            with apart.one(day=str(row["day"]), source=row["source"], company=row["company"]):
                await self._one(row["day"], Party(row["source"], row["party"], row["company"]))
            looked += 1
        apart.end()
        return looked

    async def day(self, day: date) -> list[Outcome]:
        """Take and compare every file of a day that is over; may be repeated.

        Raises:
            DayNotOver: files of that day cannot exist yet.
        """
        if clock.now() < bounds(day)[1]:
            raise DayNotOver
        return [await self._one(day, party) for party in self._parties]

    async def _one(self, day: date, party: Party) -> Outcome:
        run = await _opened(day, party)
        if run.status == RunStatus.WAITING:
            try:
                bill = await self._file(run)
            except (BillNotReady, BillWrong, CompanyRefusal, OutboundError, ProviderRefused) as error:
                reason = getattr(error, "reason", None)
                log.warning(
                    "reconciliation.no_file",
                    run_id=str(run.id),
                    source=run.source,
                    error_code=error.code,
                    reason=reason,
                )
                await self._report_late(run)
                return Outcome(party, reason or error.code)
            failpoint("reconciliation.answered")
            await _keep(run, bill)
        opened, explained = await self._compare(run)
        if await self._ask_about_missing(run):
            # What the provider has confirmed meanwhile explains itself at once.
            explained += (await self._compare(run))[1]
        return Outcome(party, str(run.status), opened, explained)

    async def _file(self, run: ReconciliationRun) -> DayBill | None:
        """The file of a run; None when the provider says that there is none and nothing of ours, or the hour, speaks against it."""
        try:
            return await self._sources[run.source].day_bill(run.day, run.party)
        except NoBill:
            if clock.now() < self._late_at(run.day) and (await books_for(run, [])).trades:
                raise BillNotReady from None
            return None
        except BillWrong as wrong:
            log.error("reconciliation.file_wrong", run_id=str(run.id), source=run.source, reason=wrong.reason)
            raise

    async def _compare(self, run: ReconciliationRun) -> tuple[int, int]:
        """Open what differs, end what no longer does; how many of each."""
        rows = await rows_of(run.id)
        rate = Decimal(self._rule(run.day).most_fee_rate)
        differences = compare(rows, await books_for(run, rows), rate)
        opened = 0
        for begin in range(0, len(differences), AT_ONCE):
            async with transaction():
                opened += await _open(run, differences[begin : begin + AT_ONCE])
            failpoint("reconciliation.items_committed")
        explained = await _explain(run, {one.key for one in differences})
        await _compared(run)
        if opened:
            log.error("reconciliation.items_opened", run_id=str(run.id), source=run.source, count=opened)
        return opened, explained

    async def _ask_about_missing(self, run: ReconciliationRun) -> bool:
        """Ask the provider about our own orders that its file calls paid and we do not; whether there were any."""
        query = ReconciliationItem.filter(
            run_id=run.id, kind=ItemKind.MISSING_HERE, status__in=_OPEN, part_id__isnull=False
        )
        asked = False
        for item in await query.limit(AT_ONCE):
            part = await PaymentPart.get(id=item.part_id)
            try:
                await self._ask_again(await Payment.get(id=part.payment_id))
            except LianbanError as error:
                log.warning("reconciliation.not_asked", item_id=str(item.id), error_code=error.code)
                continue
            asked = True
        return asked

    async def _report_late(self, run: ReconciliationRun) -> None:
        """Say once, as an error, that a file is late."""
        if run.late_at is not None or clock.now() < self._late_at(run.day):
            return
        run.late_at = clock.now()
        await run.save(update_fields=["late_at"])
        log.error(
            "reconciliation.file_late", run_id=str(run.id), source=run.source, party=run.party, day=run.day.isoformat()
        )

    def _late_at(self, day: date) -> datetime:
        return bounds(day)[1] + self._rule(day).late_after

    def _rule(self, day: date) -> ReconciliationRule:
        return self._city.payment_rules(day).reconciliation


async def _opened(day: date, party: Party) -> ReconciliationRun:
    """The run of a day and party, born when it is the first."""
    found = await ReconciliationRun.get_or_none(day=day, source=party.source, party=party.party)
    if found is not None:
        return found
    async with transaction():
        run_id = ids.new_id()
        written = await fetch(
            "insert into reconciliation_run (id, status, day, source, party, company, created_at) values ($1, $2, $3, $4, $5, $6, $7)"
            " on conflict do nothing returning id",
            run_id, RunStatus.WAITING, day, party.source, party.party, party.company, clock.now(),
        )  # fmt: skip
        if written:
            await born(RECONCILIATION_RUN, await ReconciliationRun.get(id=run_id), SYSTEM)
    failpoint("reconciliation.opened_committed")
    return await ReconciliationRun.get(day=day, source=party.source, party=party.party)


async def _keep(run: ReconciliationRun, bill: DayBill | None) -> None:
    """Keep the rows of a file with its hash and sums, once; `run` is brought up to date."""
    rows = bill.rows if bill else ()
    columns = {
        "file_sha256": bill.sha256 if bill else None,
        "rows_taken": len(rows),
        "paid_fen": bill.total_fen("trade", "posting") if bill else 0,
        "refunded_fen": bill.total_fen("refund") if bill else 0,
        "fee_millifen": bill.fee_millifen if bill else 0,
        "taken_at": clock.now(),
    }
    try:
        async with transaction():
            await move(RECONCILIATION_RUN, run, "file_taken", SYSTEM, columns=columns)
            await fetch(
                _KEEP, run.id,
                [row.kind for row in rows], [row.number for row in rows], [row.other_number for row in rows],
                [row.order_number for row in rows], [row.amount_fen for row in rows], [row.fee_millifen for row in rows],
                [row.state for row in rows], [row.at for row in rows],
            )  # fmt: skip
    except StaleState:
        await run.refresh_from_db()  # somebody else has taken it meanwhile
    failpoint("reconciliation.taken_committed")


async def _open(run: ReconciliationRun, differences: Iterable[Difference]) -> int:
    """Write the items that do not exist yet, in the caller's transaction; how many."""
    written = 0
    for one in differences:
        item = ReconciliationItem(
            id=ids.new_id(), status=ItemStatus.OPEN, run_id=run.id, day=run.day, source=run.source, party=run.party,
            company=run.company, kind=one.kind, subject=one.subject, number=one.number, part_id=one.part_id,
            refund_id=one.refund_id, posting_id=one.posting_id, ours_fen=one.ours_fen, theirs_fen=one.theirs_fen,
            detail=one.detail, owner=one.owner, opened_at=clock.now(),
        )  # fmt: skip
        if await _insert(item):
            await born(RECONCILIATION_ITEM, item, SYSTEM, reason=one.kind)
            written += 1
    return written


_INSERT_ITEM = """
insert into reconciliation_item (id, status, run_id, day, source, party, company, kind, subject, number, part_id, refund_id, posting_id,
  ours_fen, theirs_fen, detail, owner, opened_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) on conflict do nothing returning id
"""


async def _insert(item: ReconciliationItem) -> bool:
    """Write an item unless there is one about the same; whether it was written."""
    written = await fetch(
        _INSERT_ITEM, item.id, item.status, item.run_id, item.day, item.source, item.party, item.company, item.kind,
        item.subject, item.number, item.part_id, item.refund_id, item.posting_id, item.ours_fen, item.theirs_fen,
        item.detail, item.owner, item.opened_at,
    )  # fmt: skip
    return bool(written)


async def _explain(run: ReconciliationRun, still: set[tuple[str, str, str]]) -> int:
    """End the open items of a run that are no longer so; how many."""
    ended = 0
    for item in await ReconciliationItem.filter(run_id=run.id, status__in=_OPEN):
        if (item.kind, item.subject, item.number) in still:
            continue
        try:
            async with transaction():
                await move(
                    RECONCILIATION_ITEM,
                    item,
                    "explain",
                    SYSTEM,
                    reason="no longer so",
                    columns={"ended_at": clock.now()},
                )
            ended += 1
        except StaleState:
            continue  # a person has just said what it was
        failpoint("reconciliation.explained_committed")
    return ended


async def _compared(run: ReconciliationRun) -> None:
    async with transaction():
        if run.status == RunStatus.TAKEN:
            try:
                await move(RECONCILIATION_RUN, run, "compared", SYSTEM, columns={"compared_at": clock.now()})
            except StaleState:
                await run.refresh_from_db()
        else:
            await ReconciliationRun.filter(id=run.id).update(compared_at=clock.now())
    failpoint("reconciliation.compared_committed")
