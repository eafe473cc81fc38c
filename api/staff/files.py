"""Files of companies without an interface that were refused or are overdue: what somebody must ask the company about."""

from datetime import date, datetime
from uuid import UUID

from api.calls import Answer, Call
from api.staff.differences import scope_of
from api.texts import Output, Page
from domain.billing.files_by_hand import at_fault


class CompanyFileView(Output, frozen=True):
    """One file. `refusal` says why it was not taken, else it has not come. `unanswered` postings of ours wait for it."""

    file_id: UUID
    company: str
    kind: str
    name: str
    day: date
    refusal: str | None
    refused_at: datetime | None
    late_at: datetime | None
    unanswered: int
    unanswered_fen: int


class CompanyFileList(Output, frozen=True):
    """A page of them, oldest first."""

    files: list[CompanyFileView]
    next_after: UUID | None


async def list_files(call: Call) -> Answer:
    query: Page = call.query
    rows = await at_fault(scope_of(call.staff), query.after, query.limit)
    views = [
        CompanyFileView(
            row["id"], row["company"], row["kind"], row["name"], row["day"], row["refusal"], row["refused_at"], row["late_at"],
            row["unanswered"], row["unanswered_fen"],
        )
        for row in rows
    ]  # fmt: skip
    return Answer(CompanyFileList(views, views[-1].file_id if len(rows) == query.limit else None))
