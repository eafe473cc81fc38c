"""What an account used, month by month: the company's bills as history."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from api.calls import Answer, Call
from api.explanations import plain
from api.texts import Input, Output
from core import clock
from core.errors import NotFound
from domain.billing.usage import UsageMonth, month_before, usage_history
from models.access import way_to
from models.share import note_use
from models.utility_account import UtilityAccount

Month = Annotated[str, Meta(pattern=r"\A[0-9]{4}-(0[1-9]|1[0-2])\Z")]


class UsageQuery(Input, frozen=True):
    """Paging by months: at most `months` before `before`."""

    months: Annotated[int, Meta(ge=1, le=36)] = 12
    before: Month | None = None


class UsageMonthView(Output, frozen=True):
    """One month. `state` missing: we have no bill of it and know nothing; that is not 0."""

    period: str
    state: Literal["missing", "billed"]
    usage: str | None
    unit: str | None
    amount_fen: int | None
    bill_count: int


class UsageList(Output, frozen=True):
    """A page of months without gaps, newest first, back to the oldest bill."""

    months: list[UsageMonthView]
    checked_at: datetime | None
    is_fresh: bool
    next_before: str | None


async def show(call: Call) -> Answer:
    query: UsageQuery = call.query
    principal = call.caller.principal
    way = await way_to(call.path["account_id"], principal)
    if way is None:
        raise NotFound("utility_account")
    await note_use(way, principal.person_id, "usage.seen", call.path["account_id"])
    account = await UtilityAccount.get(id=call.path["account_id"])
    fresh = await call.services.quotes.keep_fresh(account)
    last_month = month_before(f"{clock.today():%Y-%m}")
    months, next_before = await usage_history(account.id, principal, last_month, query.before, query.months)
    return Answer(UsageList([_month(month) for month in months], account.bills_checked_at, fresh, next_before))


def _month(month: UsageMonth) -> UsageMonthView:
    usage = None if month.usage is None else plain(month.usage)
    state = "billed" if month.bill_count else "missing"
    return UsageMonthView(month.period, state, usage, month.unit, month.amount_fen, month.bill_count)
