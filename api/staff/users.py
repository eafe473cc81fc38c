"""Administrators make, list, disable and set up anew the logins of those whose roles they may give."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.staff.sessions import StaffName
from api.texts import Input, Output, Page
from domain.identity.staff import NewStaff

RoleCode = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]


class NewStaffRequest(Input, frozen=True):
    """Somebody who begins to work here."""

    login: StaffName
    name: Annotated[str, Meta(min_length=1, max_length=40)]
    unit: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]
    roles: Annotated[list[RoleCode], Meta(min_length=1, max_length=10)]


class NewStaffView(Output, frozen=True):
    """The login, and the setup code for its owner, shown once."""

    staff_id: UUID
    login: str
    setup_code: str
    setup_expires_at: datetime


class StaffUserView(Output, frozen=True):
    """A login within one's reach. `state`: waiting (not set up yet), live, disabled."""

    staff_id: UUID
    login: str
    name: str
    unit: str
    roles: list[str]
    state: str
    created_at: datetime


class StaffUserList(Output, frozen=True):
    """Logins in the order of their making; `next_after` leads to the next page."""

    users: list[StaffUserView]
    next_after: UUID | None


async def create(call: Call) -> Answer:
    body: NewStaffRequest = call.body
    made = await call.services.staff.create(call.staff, body.login, body.name, body.unit, body.roles)
    return Answer(_new(made), 201)


async def list_users(call: Call) -> Answer:
    query: Page = call.query
    rows = await call.services.staff.listed(call.staff, query.after, query.limit)
    views = [
        StaffUserView(
            user.id,
            user.login,
            name,
            user.unit,
            list(user.roles),
            "disabled" if user.disabled_at else "live" if user.enrolled_at else "waiting",
            user.created_at,
        )
        for user, name in rows
    ]
    return Answer(StaffUserList(views, rows[-1][0].id if len(rows) == query.limit else None))


async def disable(call: Call) -> Answer:
    await call.services.staff.disable(call.staff, call.path["staff_id"])
    return Answer(None, 204)


async def renew_setup(call: Call) -> Answer:
    return Answer(_new(await call.services.staff.renew_setup(call.staff, call.path["staff_id"])))


def _new(made: NewStaff) -> NewStaffView:
    return NewStaffView(made.user.id, made.user.login, made.setup_code, made.expires_at)
