"""All accounts of the caller in one look, by address: what the home screen shows."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from api.calls import Answer, Call
from api.texts import Output
from cities.schema import City
from core import clock
from domain.billing.overview import Part

OwedState = Literal["fresh", "asking", "away", "refused", "stale"]


class AccountOwed(Output, frozen=True):
    """One account. `total_fen` null: not known now; then `last_known_fen` is what the company last said, `age_s` seconds ago.

    `via`: through what one sees it, one's own binding, a family member's, or as agent; `may_pay` false: only looked at.
    """

    account_id: UUID
    via: Literal["binding", "family", "agent"]
    may_pay: bool
    company: str
    company_name: str
    bill_name: str
    service: str
    number_masked: str
    label: str | None
    company_state: str
    state: OwedState
    total_fen: int | None
    last_known_fen: int | None
    bill_count: int | None
    balance_fen: int | None
    checked_at: datetime | None
    age_s: int | None


class PlaceOwed(Output, frozen=True):
    """The accounts at one address."""

    address_masked: str | None
    accounts: list[AccountOwed]


class EverythingOwed(Output, frozen=True):
    """All of the caller's accounts. `known_fen` adds up those that are fresh; with `is_partial` more may be owed."""

    known_fen: int
    is_partial: bool
    places: list[PlaceOwed]


async def show(call: Call) -> Answer:
    look = await call.services.overview.look(call.caller.principal)
    city, now = call.services.city, clock.now()
    places = [
        PlaceOwed(place.address_masked, [_account(city, part, now) for part in place.parts]) for place in look.places
    ]
    return Answer(EverythingOwed(look.known_fen, look.is_partial, places))


def _account(city: City, part: Part, now: datetime) -> AccountOwed:
    account, company = part.account, city.company(part.account.company)
    age_s = None if part.checked_at is None else max(0, int((now - part.checked_at).total_seconds()))
    return AccountOwed(
        account.id, msgspec.convert(part.seen.via, Literal["binding", "family", "agent"]), part.seen.may_pay, company.code,
        company.name, company.bill_name, company.service, part.seen.view.number_masked, part.seen.label,
        account.company_state, part.state, part.total_fen, part.last_known_fen, part.bill_count,
        account.balance_fen, part.checked_at, age_s,
    )  # fmt: skip
