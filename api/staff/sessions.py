"""Staff set their login up, come in, stay in while they work, see and end their sessions, change their password."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from domain.identity.staff_sessions import StaffToken

StaffName = Annotated[str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9._-]{2,39}\Z")]
Password = Annotated[str, Meta(min_length=1, max_length=128)]
SetupCode = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z]{4}(-[0-9A-Za-z]{4}){3}\Z")]
TotpCode = Annotated[str, Meta(pattern=r"\A[0-9]{6}\Z")]


class StaffEnrolment(Input, frozen=True):
    """The setup code from one's administrator, and one's own password."""

    login: StaffName
    setup_code: SetupCode
    password: Password


class Authenticator(Output, frozen=True):
    """For the authenticator app, shown once: as the text of a QR code, and for typing."""

    totp_uri: str
    totp_secret: str


class StaffConfirmation(Input, frozen=True):
    """The first code that the authenticator shows."""

    login: StaffName
    setup_code: SetupCode
    totp_code: TotpCode


class StaffLoginRequest(Input, frozen=True):
    """Name, password and one-time code."""

    login: StaffName
    password: Password
    totp_code: TotpCode
    client_label: Annotated[str, Meta(max_length=80)] = ""


class StaffTokenView(Output, frozen=True):
    """A login. The client renews the token while its user works; nothing outlives `session_ends_at`."""

    access_token: str
    expires_in_s: int
    session_id: UUID
    session_ends_at: datetime
    token_type: str = "Bearer"


class StaffSelf(Output, frozen=True):
    """Who one is here, and what one may do."""

    staff_id: UUID
    unit: str
    unit_name: str
    unit_kind: str
    roles: list[str]
    permissions: list[str]


class StaffSessionView(Output, frozen=True):
    """One of one's own sessions."""

    staff_session_id: UUID
    client_label: str
    created_at: datetime
    used_at: datetime
    is_current: bool


class StaffSessionList(Output, frozen=True):
    """One's own live sessions, latest first."""

    sessions: list[StaffSessionView]


class PasswordChange(Input, frozen=True):
    """The old password, the new one, and a one-time code."""

    old_password: Password
    new_password: Password
    totp_code: TotpCode


async def enrol(call: Call) -> Answer:
    body: StaffEnrolment = call.body
    made = await call.services.staff_login.enrol(body.login, body.setup_code, body.password)
    return Answer(Authenticator(made.totp_uri, made.totp_secret), 201)


async def confirm(call: Call) -> Answer:
    body: StaffConfirmation = call.body
    await call.services.staff_login.confirm(body.login, body.setup_code, body.totp_code)
    return Answer(None, 204)


async def log_in(call: Call) -> Answer:
    body: StaffLoginRequest = call.body
    opened = await call.services.staff_login.log_in(body.login, body.password, body.totp_code, body.client_label)
    return Answer(_token(opened), 201)


async def renew(call: Call) -> Answer:
    return Answer(_token(call.services.staff_sessions.renewed(call.staff)), 201)


async def show_self(call: Call) -> Answer:
    staff = call.staff
    return Answer(
        StaffSelf(
            staff.staff_id,
            staff.unit.code,
            staff.unit.name,
            staff.unit.kind,
            list(staff.roles),
            sorted(staff.permissions),
        )
    )


async def list_sessions(call: Call) -> Answer:
    rows = await call.services.staff_sessions.list(call.staff.staff_id)
    views = [
        StaffSessionView(row.id, row.client_label, row.created_at, row.used_at, row.id == call.staff.session_id)
        for row in rows
    ]
    return Answer(StaffSessionList(views))


async def end_session(call: Call) -> Answer:
    await call.services.staff_sessions.end(call.path["staff_session_id"], call.staff.staff_id)
    return Answer(None, 204)


async def end_current(call: Call) -> Answer:
    await call.services.staff_sessions.end(call.staff.session_id, call.staff.staff_id)
    return Answer(None, 204)


async def change_password(call: Call) -> Answer:
    body: PasswordChange = call.body
    await call.services.staff_login.change_password(call.staff, body.old_password, body.new_password, body.totp_code)
    return Answer(None, 204)


def _token(opened: StaffToken) -> StaffTokenView:
    return StaffTokenView(opened.token, opened.expires_in_s, opened.session_id, opened.session_ends_at)
