"""Drafts of applications: begun at one access point, gone on with at another, filed."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from api.applications import ApplicationList, listed
from api.calls import Answer, Call
from api.texts import CompanyCode, Input, Output
from core import clock
from domain.applications.drafts import Draft
from domain.applications.filing import Filed

AccessPoint = Literal["hubei_portal", "ehuiban", "kiosk", "operator_app", "mini_program", "official_account"]


class DraftBeginning(Input, frozen=True):
    """What is answered so far; the form says what there is to answer."""

    answers: dict[str, Any]
    access_point: AccessPoint


class DraftSaving(DraftBeginning, frozen=True):
    """All answers, over the version that was seen."""

    version: Annotated[int, Meta(ge=1)]


class AnswerProblem(Output, frozen=True):
    """One thing wrong with an answer; `pointer` leads to the field."""

    pointer: str
    code: str
    sentence: str


class DraftView(Output, frozen=True):
    """A draft: the answers as they were left, wrong ones too, and what is wrong with them."""

    draft_id: UUID
    version: int
    form_version: int
    access_point: str
    saved_at: datetime
    answers: dict[str, Any]
    problems: list[AnswerProblem]


class GivenConsent(Input, frozen=True):
    """One company may get its part; the notice that was shown for it."""

    company: CompanyCode
    notice_version: Annotated[str, Meta(min_length=1, max_length=40)]


class FilingRequest(Input, frozen=True):
    """The version of the draft that was looked at, and a consent for each company by name."""

    version: Annotated[int, Meta(ge=1)]
    consents: Annotated[list[GivenConsent], Meta(min_length=1, max_length=6)]


class FiledOrder(Output, frozen=True):
    """One company's part of what was filed."""

    order_id: UUID
    order_number: str
    company: str
    service: str


class FiledView(Output, frozen=True):
    """An application that has been filed. `progress_code` finds it without a login, with the last digits of the contact's phone."""

    application_id: UUID
    application_number: str
    progress_code: str
    filed_at: datetime
    orders: list[FiledOrder]


class NoticeReceiver(Output, frozen=True):
    """What one company gets, what for, and how it is dealt with. `hotline` null: not known."""

    company: str
    company_name: str
    hotline: str | None
    gets: str
    purpose: str
    way: str


class NoticeView(Output, frozen=True):
    """The notice of privacy that is to be shown before filing; a consent names its version."""

    notice_version: str
    title: str
    paragraphs: list[str]
    receivers: list[NoticeReceiver]
    source: str


async def show_notice(call: Call) -> Answer:
    city = call.services.city
    notice = city.applications.notice(clock.today())
    receivers: list[NoticeReceiver] = []
    for company in city.joined_companies():
        given = notice.receivers[company.code]
        receivers.append(
            NoticeReceiver(company.code, company.name, company.hotline, given.gets, given.purpose, given.way)
        )
    return Answer(NoticeView(notice.version, notice.title, list(notice.paragraphs), receivers, notice.source))


async def begin(call: Call) -> Answer:
    body: DraftBeginning = call.body
    return Answer(_view(await call.services.drafts.begin(call.caller, body.answers, body.access_point)), 201)


async def show(call: Call) -> Answer:
    return Answer(_view(await call.services.drafts.show(call.caller, call.path["draft_id"])))


async def save(call: Call) -> Answer:
    body: DraftSaving = call.body
    saved = await call.services.drafts.save(
        call.caller, call.path["draft_id"], body.version, body.answers, body.access_point
    )
    return Answer(_view(saved))


async def discard(call: Call) -> Answer:
    await call.services.drafts.discard(call.caller, call.path["draft_id"])
    return Answer(None, 204)


async def list_same(call: Call) -> Answer:
    """One's own cases of the same applicant or place: another is possible, none is forgotten."""
    found = await call.services.cases.same(call.caller, call.path["draft_id"])
    return Answer(ApplicationList([listed(one) for one in found], None))


async def file(call: Call) -> Answer:
    body: FilingRequest = call.body
    assert call.once is not None
    consents = {one.company: one.notice_version for one in body.consents}
    content = await call.services.filing.file(
        call.caller, call.path["draft_id"], body.version, consents, call.once, _filed
    )
    return Answer(content, 201)


def _filed(filed: Filed) -> bytes:
    orders = [FiledOrder(one.id, one.number, one.company, one.service) for one in filed.orders]
    return msgspec.json.encode(
        FiledView(filed.application_id, filed.number, filed.progress_code, filed.filed_at, orders)
    )


def _view(draft: Draft) -> DraftView:
    row = draft.application
    problems = [AnswerProblem(*problem) for problem in draft.problems]
    return DraftView(row.id, row.version, row.form_version, row.access_point, row.saved_at, draft.answers, problems)
