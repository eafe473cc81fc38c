"""What differs between a file and our books, as a pure function: rows and facts in, differences out.

Rows and facts meet by number, never by day: a payment of the last minute may stand in tomorrow's file. The day only says when a
fact of ours should have been told by now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from models.reconciliation import ItemKind
from payments.providers.bills import MILLIFEN, BillRow, Kind

PLATFORM = "platform_operator"
COMPANY_FINANCE = "company_finance"
_K = ItemKind

_OWNERS = {
    _K.FEE_TOO_HIGH: COMPANY_FINANCE,
    _K.POSTED_NOT_PAID: COMPANY_FINANCE,
    _K.PAID_NOT_POSTED: COMPANY_FINANCE,
}


class Told(NamedTuple):
    """A number that a file has told of."""

    kind: Kind
    number: str


@dataclass(frozen=True, slots=True)
class OurTrade:
    """A payment part. `received_fen` is None while we know of no money; `of_day`: paid on the day that is looked at."""

    number: str
    part_id: UUID
    received_fen: int | None
    transaction: str | None
    of_day: bool


@dataclass(frozen=True, slots=True)
class OurRefund:
    """A refund; `of_day`: it succeeded on the day that is looked at."""

    number: str
    refund_id: UUID
    part_id: UUID
    order_number: str
    amount_fen: int
    status: str
    other_number: str | None
    of_day: bool


@dataclass(frozen=True, slots=True)
class OurPosting:
    """A posting; `of_day`: posted on the day that is looked at."""

    number: str
    posting_id: UUID
    part_id: UUID
    total_fen: int
    status: str
    serial: str | None
    of_day: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Money of that day that has neither reached the company nor its payer. `going_back`: a refund is under way."""

    number: str
    part_id: UUID
    fen: int
    going_back: bool


@dataclass(frozen=True, slots=True)
class Books:
    """Our facts about the numbers of a file and about its day, and what the other files of the same source tell.

    `told_before`: in files of earlier days; `told_elsewhere`: in any other file.
    """

    trades: Sequence[OurTrade] = ()
    refunds: Sequence[OurRefund] = ()
    postings: Sequence[OurPosting] = ()
    waiting: Sequence[Waiting] = ()
    told_before: frozenset[Told] = frozenset()
    told_elsewhere: frozenset[Told] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; `ours_fen` and `theirs_fen` are None where that side has nothing."""

    kind: ItemKind
    subject: Kind
    number: str
    ours_fen: int | None
    theirs_fen: int | None
    detail: str = ""
    part_id: UUID | None = None
    refund_id: UUID | None = None
    posting_id: UUID | None = None
    owner: str = field(default=PLATFORM)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it this one among the differences of its source and party."""
        return (self.kind, self.subject, self.number)


class _Found:
    """Differences by key: the first of a kind about a number stands for all."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[str, str, str], Difference] = {}

    def add(self, kind: ItemKind, row: Kind, number: str, ours: int | None, theirs: int | None, **more: object) -> None:
        owner = _OWNERS.get(kind, COMPANY_FINANCE if row == "posting" else PLATFORM)
        one = Difference(kind, row, number, ours, theirs, **{"owner": owner, **more})  # type: ignore[arg-type]
        self.by_key.setdefault(one.key, one)


def compare(rows: Iterable[BillRow], books: Books, most_fee_rate: Decimal) -> list[Difference]:
    """Every difference of one file, in a fixed order; the same for the same arguments."""
    found = _Found()
    told: dict[Told, list[BillRow]] = {}
    for row in rows:
        told.setdefault(Told(row.kind, row.number), []).append(row)
    trades = {trade.number: trade for trade in books.trades}
    refunds = {refund.number: refund for refund in books.refunds}
    postings = {posting.number: posting for posting in books.postings}
    for (kind, number), copies in told.items():
        if len(copies) > 1 or Told(kind, number) in books.told_before:
            _twice(found, copies, trades.get(number), refunds.get(number), postings.get(number))
        for row in copies:
            if kind == "trade":
                _trade(found, row, trades.get(number), most_fee_rate)
            elif kind == "refund":
                _refund(found, row, refunds.get(number))
            else:
                _posting(found, row, postings.get(number))
    known = told.keys() | books.told_elsewhere
    _untold(found, books, known)
    return [found.by_key[key] for key in sorted(found.by_key)]


def _twice(
    found: _Found,
    copies: list[BillRow],
    trade: OurTrade | None,
    refund: OurRefund | None,
    posting: OurPosting | None,
) -> None:
    first = copies[0]
    theirs = sum(row.amount_fen for row in copies)
    if first.kind == "trade":
        ours, ids = (trade.received_fen, {"part_id": trade.part_id}) if trade else (None, {})
    elif first.kind == "refund":
        ours, ids = (refund.amount_fen, {"refund_id": refund.refund_id}) if refund else (None, {})
    else:
        ours, ids = (posting.total_fen, {"posting_id": posting.posting_id}) if posting else (None, {})
    detail = f"{len(copies)} rows" if len(copies) > 1 else "in the file of an earlier day too"
    found.add(_K.TWICE, first.kind, first.number, ours, theirs, detail=detail, **ids)


def _trade(found: _Found, row: BillRow, ours: OurTrade | None, most_fee_rate: Decimal) -> None:
    if ours is None or ours.received_fen is None:
        part_id = ours.part_id if ours else None
        detail = "not received" if ours else "no such order"
        found.add(_K.MISSING_HERE, "trade", row.number, None, row.amount_fen, detail=detail, part_id=part_id)
        return
    if row.amount_fen != ours.received_fen:
        found.add(_K.AMOUNT_DIFFERS, "trade", row.number, ours.received_fen, row.amount_fen, part_id=ours.part_id)
    if row.state != "success":
        found.add(
            _K.STATE_DIFFERS, "trade", row.number, ours.received_fen, row.amount_fen,
            detail=f"received, {row.state}", part_id=ours.part_id,
        )  # fmt: skip
    if row.other_number != ours.transaction:
        found.add(_K.NUMBER_DIFFERS, "trade", row.number, ours.received_fen, row.amount_fen, part_id=ours.part_id)
    # Fees are rounded to whole fen, upwards at most.
    if row.fee_millifen > row.amount_fen * MILLIFEN * most_fee_rate + MILLIFEN:
        found.add(
            _K.FEE_TOO_HIGH, "trade", row.number, 0, row.fee_millifen // MILLIFEN, detail="fee", part_id=ours.part_id
        )


def _refund(found: _Found, row: BillRow, ours: OurRefund | None) -> None:
    if ours is None:
        found.add(_K.REFUND_MISSING_HERE, "refund", row.number, None, row.amount_fen, detail="no such refund")
        return
    ids = {"refund_id": ours.refund_id, "part_id": ours.part_id}
    if row.amount_fen != ours.amount_fen:
        found.add(_K.AMOUNT_DIFFERS, "refund", row.number, ours.amount_fen, row.amount_fen, **ids)
    if _contradicts(ours.status, row.state):
        found.add(
            _K.STATE_DIFFERS, "refund", row.number, ours.amount_fen, row.amount_fen,
            detail=f"{ours.status}, {row.state}", **ids,
        )  # fmt: skip
    other_differs = ours.other_number is not None and row.other_number != ours.other_number
    if other_differs or (row.order_number is not None and row.order_number != ours.order_number):
        found.add(_K.NUMBER_DIFFERS, "refund", row.number, ours.amount_fen, row.amount_fen, **ids)


def _contradicts(ours: str, theirs: str) -> bool:
    """Whether two states of a refund exclude each other. A file may have been written before the refund ended."""
    if theirs == "success":
        return ours != "succeeded"
    return ours == "succeeded" and theirs in ("failed", "unknown")


def _posting(found: _Found, row: BillRow, ours: OurPosting | None) -> None:
    if ours is None or ours.status == "refused":
        ids = {"posting_id": ours.posting_id, "part_id": ours.part_id} if ours else {}
        detail = "refused, and the money went back" if ours else "no such posting"
        found.add(_K.POSTED_NOT_PAID, "posting", row.number, None, row.amount_fen, detail=detail, **ids)
        return
    ids = {"posting_id": ours.posting_id, "part_id": ours.part_id}
    if row.amount_fen != ours.total_fen:
        found.add(_K.AMOUNT_DIFFERS, "posting", row.number, ours.total_fen, row.amount_fen, **ids)
    if ours.status != "posted":
        found.add(
            _K.STATE_DIFFERS, "posting", row.number, ours.total_fen, row.amount_fen, detail=f"{ours.status}, posted", **ids
        )  # fmt: skip
    elif ours.serial != row.other_number:
        found.add(_K.NUMBER_DIFFERS, "posting", row.number, ours.total_fen, row.amount_fen, **ids)


def _untold(found: _Found, books: Books, known: Iterable[Told]) -> None:
    """Facts of ours of that day that no file tells."""
    told = frozenset(known)
    for trade in books.trades:
        if trade.of_day and trade.received_fen is not None and Told("trade", trade.number) not in told:
            found.add(_K.MISSING_AT_PROVIDER, "trade", trade.number, trade.received_fen, None, part_id=trade.part_id)
    for refund in books.refunds:
        if refund.of_day and refund.status == "succeeded" and Told("refund", refund.number) not in told:
            found.add(
                _K.REFUND_MISSING_AT_PROVIDER, "refund", refund.number, refund.amount_fen, None,
                refund_id=refund.refund_id, part_id=refund.part_id,
            )  # fmt: skip
    for posting in books.postings:
        if posting.of_day and posting.status == "posted" and Told("posting", posting.number) not in told:
            found.add(
                _K.PAID_NOT_POSTED, "posting", posting.number, posting.total_fen, None,
                detail="not in the company's file", posting_id=posting.posting_id, part_id=posting.part_id,
            )  # fmt: skip
    for money in books.waiting:
        detail = "a refund is under way" if money.going_back else "with the company"
        owner = PLATFORM if money.going_back else COMPANY_FINANCE
        found.add(
            _K.PAID_NOT_POSTED, "trade", money.number, money.fen, None, detail=detail, owner=owner, part_id=money.part_id
        )  # fmt: skip
