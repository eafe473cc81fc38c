"""The posting files of the companies, as a source of bills."""

from collections.abc import Mapping
from datetime import date
from typing import Protocol

from core.outbound import FailureKind
from gateways.companies import CompanyRefusal, PostingFile
from payments.providers.bills import BillNotReady, BillRow, DayBill


class PostingFiles(Protocol):
    """A company that tells what it has recorded, over its interface or by files of its own."""

    async def posting_file(self, day: date) -> PostingFile:
        """What it has recorded as paid on that day."""
        ...


class CompanyPostings:
    """What each company has recorded as paid; parties are the codes of companies."""

    def __init__(self, gateways: Mapping[str, PostingFiles]) -> None:
        self._gateways = dict(gateways)

    async def day_bill(self, day: date, party: str) -> DayBill:
        """The file of one company's day.

        Raises:
            BillNotReady: EF0001.
        """
        try:
            file = await self._gateways[party].posting_file(day)
        except CompanyRefusal as refusal:
            if refusal.kind is FailureKind.TEMPORARY:
                raise BillNotReady from refusal
            raise
        rows = tuple(
            BillRow("posting", posting.posting_id, posting.serial, posting.total_fen, posting.posted_at, "posted")
            for posting in file.postings
        )
        return DayBill(day, party, file.sha256, rows)
