"""What reconciliation has found to differ: the list of those who must explain it, and how one of them is taken up, explained and closed."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output, Page
from core.errors import NotFound
from domain.identity.staff_sessions import StaffCaller
from models.reconciliation import ItemStatus
from payments.reconciliation import items

DifferenceState = Literal["open", "in_hand", "proposed", "explained", "resolved"]
_STANDING = (ItemStatus.OPEN, ItemStatus.IN_HAND, ItemStatus.PROPOSED)


class DifferencePage(Page, frozen=True):
    """Those of one state (else of all that are not over) and of one day's files (else of all)."""

    state: DifferenceState | None = None
    day: date | None = None


class DifferenceExplanation(Input, frozen=True):
    """What it was, or why that does not explain it, for the record; no personal data."""

    reason: Annotated[str, Meta(min_length=4, max_length=200)]


class DifferenceView(Output, frozen=True):
    """One difference. `ours_fen`, `theirs_fen` null: that side has nothing. `proposal` waits for another who agrees."""

    difference_id: UUID
    state: str
    kind: str
    subject: str
    number: str
    day: date
    source: str
    company: str
    ours_fen: int | None
    theirs_fen: int | None
    payment_id: UUID | None
    owner: str
    age_s: int
    taken_by: UUID | None
    proposed_by: UUID | None
    proposal: str | None
    opened_at: datetime
    ended_at: datetime | None


class DifferenceList(Output, frozen=True):
    """A page of them, oldest first."""

    differences: list[DifferenceView]
    next_after: UUID | None


async def list_differences(call: Call) -> Answer:
    query: DifferencePage = call.query
    states = (ItemStatus(query.state),) if query.state else _STANDING
    rows = await items.seen(scope_of(call.staff), states, query.day, query.after, query.limit)
    views = [_view(row) for row in rows]
    return Answer(DifferenceList(views, views[-1].difference_id if len(rows) == query.limit else None))


async def take_up(call: Call) -> Answer:
    await items.take_in_hand(call.path["difference_id"], scope_of(call.staff), call.staff.staff_id)
    return await _shown(call)


async def explain(call: Call) -> Answer:
    body: DifferenceExplanation = call.body
    await items.propose(call.path["difference_id"], scope_of(call.staff), call.staff.staff_id, body.reason)
    return await _shown(call)


async def send_back(call: Call) -> Answer:
    body: DifferenceExplanation = call.body
    await items.send_back(call.path["difference_id"], scope_of(call.staff), call.staff.staff_id, body.reason)
    return await _shown(call)


async def close(call: Call) -> Answer:
    await items.agree(call.path["difference_id"], scope_of(call.staff), call.staff.staff_id)
    return await _shown(call)


async def _shown(call: Call) -> Answer:
    return Answer(_view(await items.one(call.path["difference_id"], scope_of(call.staff))))


def scope_of(staff: StaffCaller) -> str | None:
    """The caller's company; None for the city's staff, who see all. Who belongs to neither finds nothing."""
    if staff.unit.kind == "city":
        return None
    if staff.unit.company is None:
        raise NotFound("difference")
    return staff.unit.company


def _view(row: dict[str, Any]) -> DifferenceView:
    return DifferenceView(
        row["id"], row["status"], row["kind"], row["subject"], row["number"], row["day"], row["source"], row["company"], row["ours_fen"],
        row["theirs_fen"], row["payment_id"], row["owner"], int(row["age"].total_seconds()), row["taken_by"], row["proposed_by"],
        row["proposal"], row["opened_at"], row["ended_at"],
    )  # fmt: skip
